"""Unpacking archives that others made, without trusting them.

In: a tar (gz, bz2, xz) or zip, and a folder. Out: its files below that folder. A member that would land anywhere else,
or that is a device or a link, stops it and is not written.
"""

import lzma
import stat
import tarfile
import zipfile
import zlib
from pathlib import Path

from asr.errors import DataError


def extract(archive: Path, folder: Path) -> None:
    """Unpack ``archive`` below ``folder``; files that are there already are written over.

    Raises:
        DataError: if it is no archive, is damaged, the disk is full, or a member points outside ``folder``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        if tarfile.is_tarfile(archive):
            _extract_tar(archive, folder)
        elif zipfile.is_zipfile(archive):
            _extract_zip(archive, folder)
        else:
            raise DataError(f"{archive} is neither a tar nor a zip archive: delete it and fetch it again.")
    except (tarfile.FilterError, _UnsafeMember) as error:
        raise DataError(f"{archive} is not safe to unpack: {error}. Nothing should be kept of it.") from error
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError) as error:
        raise DataError(f"{archive} is damaged ({error}): delete it and fetch it again.") from error
    except OSError as error:
        raise DataError(f"{archive} cannot be unpacked into {folder}: {error.strerror or error}.") from error


class _UnsafeMember(Exception):
    """A member that would land outside the folder, or is a link."""


def _extract_tar(archive: Path, folder: Path) -> None:
    if not hasattr(tarfile, "data_filter"):
        raise DataError("This Python cannot unpack archives safely: use 3.11.4 or later.")
    with tarfile.open(archive) as tar:  # a stream is read once: a corpus may have 20 GB
        tar.extractall(folder, filter=_files_only)


def _files_only(member: tarfile.TarInfo, folder: str) -> tarfile.TarInfo | None:
    """Python's data filter, and no links: no corpus here has any, and links are how that filter was got round."""
    if not (member.isreg() or member.isdir()):
        raise _UnsafeMember(f"{member.name!r} is a link or a device")
    return tarfile.data_filter(member, folder)


def _extract_zip(archive: Path, folder: Path) -> None:
    root = folder.resolve()
    with zipfile.ZipFile(archive) as bundle:
        for member in bundle.infolist():
            if not (root / member.filename).resolve().is_relative_to(root) or "\\" in member.filename:
                raise _UnsafeMember(f"{member.filename!r} would be outside {folder}")
            if stat.S_ISLNK(member.external_attr >> 16):
                raise _UnsafeMember(f"{member.filename!r} is a link")
        bundle.extractall(root)
