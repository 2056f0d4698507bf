"""Which recordings an annotation file is of.

In: the recordings of a corpus and an annotation file with the names in it. Out: the recordings. In this order: those
that match the pattern ``link``; the one of the same name beside the file; the one that the file names; the only one of
that name in the corpus.
"""

import fnmatch
import glob
import os
import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

from asr.audio import AUDIO_EXTENSIONS, MEDIA_EXTENSIONS
from asr.errors import ConfigError


class Recordings:
    """The recordings below ``home`` by their path without extension, composed (NFC), with "/"."""

    def __init__(self, home: Path, by_stem: Mapping[str, Path]) -> None:
        self._home, self._by_stem = home, by_stem
        self._by_name: dict[str, list[Path]] = {}
        for stem, path in by_stem.items():
            self._by_name.setdefault(os.path.basename(stem), []).append(path)

    def of_file(self, file: Path, named: Sequence[str], link: str | None) -> list[Path]:
        """The recordings of an annotation file that names ``named``; several by a pattern only."""
        return self._of(file.parent, [file.stem, *map(_media_stem, named)], link)

    def of_name(self, file: Path, name: str, link: str | None) -> list[Path]:
        """The recordings that a file with several recordings calls ``name``, which may be a path from its folder."""
        return self._of(file.parent, [name], link)

    def _of(self, home: Path, names: Sequence[str], link: str | None) -> list[Path]:
        folder, stems = _plain(os.path.relpath(home, self._home)), [_plain(name) for name in names]
        if link is not None:
            return self._matching(folder, stems[0], link)
        beside = (self._by_stem.get(os.path.normpath(os.path.join(folder, one))) for one in stems)
        anywhere = (self._by_name[one][0] for one in stems if len(self._by_name.get(one, ())) == 1)
        found = next((path for path in (*beside, *anywhere) if path is not None), None)
        return [] if found is None else [found]

    def _matching(self, folder: str, stem: str, link: str) -> list[Path]:
        if re.search("[{}]", link.replace("{name}", "")):
            raise ConfigError(f"link={link}: the only name in braces is {{name}}, the annotation file's")
        pattern = _plain(link).replace("{name}", glob.escape(stem))
        if Path(pattern).suffix.lower() in AUDIO_EXTENSIONS | MEDIA_EXTENSIONS:
            pattern = os.path.splitext(pattern)[0]
        wanted = os.path.normpath(os.path.join(glob.escape(folder), pattern))
        return [path for one, path in self._by_stem.items() if fnmatch.fnmatchcase(one, wanted)]


def _media_stem(name: str) -> str:
    """The name of a linked recording, which may be the path of another machine, without its extension."""
    plain = _plain(name.replace("\\", "/").rpartition("/")[2])
    stem, suffix = os.path.splitext(plain)
    return stem if suffix.lower() in AUDIO_EXTENSIONS | MEDIA_EXTENSIONS else plain


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name)
