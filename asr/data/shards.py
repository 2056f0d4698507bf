"""Recordings in tar archives ("shards"): written in WebDataset's layout, and read from those of others.

In: a manifest, and a folder or an address (``s3://...``). Out: shards of ``NUMBER.flac`` (or another format) and
``NUMBER.json`` for each utterance, and the manifest with its recordings there (asr/audio/shards.py). Its order stays,
so that training draws the same batches; in the shards utterances lie in hashed order, so that each is a fair sample.

A recording goes in as it is. Of a longer one an utterance's own span is cut out, without loss where its samples have 16
bits: whole, even seconds with a second or more around it, so that the resampler sees what it would see in the whole.
"""

import contextlib
import dataclasses
import gzip
import hashlib
import io
import json
import math
import os
import re
import tarfile
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, cast

import soundfile

from asr.audio import AUDIO_EXTENSIONS, MEDIA_EXTENSIONS, load_audio, probe
from asr.audio.head import shown
from asr.audio.shards import (
    MOST_BYTES,
    ShardPlace,
    TransientError,
    in_memory,
    is_remote,
    one_line,
    read_range,
    remote_file,
    retry,
    shard_place,
)
from asr.data.cache import as_int16
from asr.data.manifest import Utterance, read_manifest, write_manifest
from asr.data.recordings import with_durations
from asr.data.records import decoded, field_value, json_object
from asr.errors import AudioError, ConfigError, DataError
from asr.files import atomic_path, finite, naming, remove_leftovers, temporary_path
from asr.terminal import Progress, printable

SPARE_S = 4.0  # seconds of a recording that its utterance does not use, before it is cut
MOST_MB = 100_000
MOST_TEXT = 1 << 20  # bytes of a text, of a header of a tar, of a line of cuts
READ_AHEAD = 1 << 22
SOUND = AUDIO_EXTENSIONS | MEDIA_EXTENSIONS | {".audio", ".original"}  # the last: lhotse's, of any format
_SHAR = re.compile(r"recording\.(\d+)\.tar")
BLOCK = tarfile.BLOCKSIZE
_END_BYTES = tarfile.RECORDSIZE + 2 * BLOCK  # zeros at an archive's end, and the header of one joined to it


def check_target(target: str, shard_mb: float) -> None:
    """Raise ConfigError where shards cannot be written there, or not of that size."""
    if "://" in target and (not is_remote(target) or target.startswith("http")):
        raise ConfigError(f"shards={target}: give a folder, or an address such as s3://BUCKET/FOLDER.")
    if not 0 < shard_mb <= MOST_MB:
        raise ConfigError(f"shard_mb={shard_mb:g} must be above 0 and at most {MOST_MB}.")


def write_shards(out: Path, target: str, shard_mb: float) -> str:
    """Put the recordings of all manifests in ``out`` into shards of about ``shard_mb`` megabytes; returns a summary.

    A manifest is replaced once its shards are complete. Their names hold a checksum: shards that another manifest, or a
    training that is running, reads are never changed. Recordings that are in shards already stay where they are.

    Raises:
        ConfigError: as ``check_target``.
        AudioError, DataError: a recording cannot be read, or a server does not take a shard.
    """
    check_target(target, shard_mb)
    if os.path.isdir(target):
        remove_leftovers(Path(target))
    lines = []
    names = [path for path in sorted(out.glob("*.jsonl")) if path.stem.split("-")[0] in ("train", "dev", "test")]
    for manifest in names:
        utterances = read_manifest(manifest)
        waiting = [one for one in utterances if shard_place(one.audio) is None]
        if not waiting:
            continue
        written: dict[str, Utterance] = {}
        parts = _parts(waiting, shard_mb * 1e6)
        with Progress(len(waiting), f"writing shards of {manifest.stem}", "utterances") as progress:
            for number, part in enumerate(parts):
                written |= _write_shard(f"{manifest.stem}-{number:05d}", target, part, progress)
        write_manifest(manifest, [written.get(one.id, one) for one in utterances])
        lines.append(f"{manifest.stem}: {len(waiting):,} utterances in {len(parts):,} shards in {target}")
    return "\n".join(lines)


def _parts(utterances: Sequence[Utterance], most_bytes: float) -> list[list[Utterance]]:
    """The utterances of each shard, in hashed order."""
    parts: list[list[Utterance]] = []
    filled = math.inf
    for one in sorted(utterances, key=lambda one: hashlib.sha256(one.id.encode()).digest()):
        size = min(os.path.getsize(one.audio), 100_000 * one.duration_s)  # an estimate: 16 bits at 48 kHz
        if filled + size > most_bytes:
            parts.append([])
            filled = 0.0
        parts[-1].append(one)
        filled += size + 3 * BLOCK
    return parts


def _write_shard(name: str, target: str, utterances: Sequence[Utterance], progress: Progress) -> dict[str, Utterance]:
    """Write one shard; the utterances by id, with their new places."""
    placed: list[tuple[Utterance, int, int, int]] = []
    with _folder_to_write(target) as folder, naming(folder / f"{name}.tar"):
        complete = temporary_path(folder / name)  # another process may write a shard of that name there
        with atomic_path(complete) as temporary, tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT) as tar:
            for number, utterance in enumerate(utterances):
                moved, suffix, data = _member(utterance)
                offset = _add(tar, f"{number:09d}{suffix}", data)
                placed.append((moved, offset, len(data), zlib.crc32(data)))
                _add(tar, f"{number:09d}.json", _description(moved))
                progress.update()
        checksum = zlib.crc32(repr([place for _, *place in placed]).encode())
        shard = f"{name}-{checksum:08x}.tar"
        if is_remote(target):
            shard = f"{target.rstrip('/')}/{shard}"
            retry(f"{shown(shard)}: writing it", lambda: _upload(complete, shard))
        else:
            shard = os.path.abspath(folder / shard)
            os.replace(complete, shard)
    return {one.id: dataclasses.replace(one, audio=str(ShardPlace(shard, *place))) for one, *place in placed}


@contextlib.contextmanager
def _folder_to_write(target: str) -> Iterator[Path]:
    """``target``, or a folder for what goes to a server next."""
    if not is_remote(target):
        yield Path(target)
        return
    with tempfile.TemporaryDirectory(prefix="asr-shards-") as folder:
        yield Path(folder)


def _upload(file: Path, shard: str) -> None:
    try:
        system, path = remote_file(shard)
        system.put_file(str(file), path)
    except AudioError:
        raise
    except Exception as error:  # each of fsspec's file systems has errors of its own
        if isinstance(error, FileNotFoundError | PermissionError) or "Credentials" in type(error).__name__:
            raise DataError(
                f"{shown(shard)}: cannot be written ({one_line(error)}). Check the address, that the bucket is there, "
                "and the credentials."
            ) from None
        raise TransientError(one_line(error)) from None


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> int:
    """Add a file, the same bytes at any time and for any user; returns the offset of ``data`` in the tar."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))
    return tar.offset - math.ceil(len(data) / BLOCK) * BLOCK


def _member(utterance: Utterance) -> tuple[Utterance, str, bytes]:
    """The utterance as it is in its shard, the ending that its recording has there, and the recording."""
    audio, info = utterance.audio, probe(utterance.audio)
    if utterance.channel is None and info.duration_s - utterance.duration_s <= SPARE_S:
        data = Path(audio).read_bytes()
        with in_memory(audio, data) as file:
            if probe(file).frames != info.frames:  # a format that is known by the file's ending alone
                raise DataError(f"{audio}: is not read alike without its ending. Convert it to WAV or FLAC first.")
        suffix = Path(audio).suffix.lower()
        return utterance, suffix if suffix in SOUND else ".audio", data
    # Even seconds: as many samples at any rate, also where half a sample is rounded.
    first_s = max(0, 2 * math.floor((utterance.start_s - 1) / 2))
    stop_s = math.ceil(utterance.start_s + utterance.duration_s) + 1
    waveform = load_audio(
        audio,
        sample_rate=info.sample_rate,
        start_s=first_s,
        duration_s=None if stop_s >= info.duration_s else stop_s - first_s,
        channel=utterance.channel,
    )
    stream, samples = io.BytesIO(), as_int16(waveform)
    if samples is not None:
        soundfile.write(stream, samples, info.sample_rate, format="FLAC", subtype="PCM_16")
    else:
        soundfile.write(stream, waveform, info.sample_rate, format="WAV", subtype="FLOAT")
    moved = dataclasses.replace(utterance, start_s=utterance.start_s - first_s, channel=None)
    return moved, ".wav" if samples is None else ".flac", stream.getvalue()


def _description(utterance: Utterance) -> bytes:
    """The utterance without its place, as JSON."""
    fields = {"id": utterance.id, "text": utterance.text, "duration_s": utterance.duration_s}
    more = {"start_s": utterance.start_s or None, "speaker": utterance.speaker, **utterance.extra}
    fields |= {key: value for key, value in more.items() if value is not None}
    return json.dumps(fields, ensure_ascii=False).encode()


# --- reading ----------------------------------------------------------------------------------------------------


def list_shards(path: Path) -> list[str]:
    """The shards in a folder, or those that a ``.shards`` file lists, an address or path a line; ``{000..041}`` counts.

    Raises DataError where the list cannot be read.
    """
    if path.is_dir():
        found = sorted(str(one) for one in path.glob("*.tar"))
        return [one for one in found if _SHAR.fullmatch(os.path.basename(one))] or found
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({error}).") from None
    shards = []
    for line in filter(None, map(str.strip, lines)):
        run = re.fullmatch(r"(.*)\{(\d{1,6})\.\.(\d{1,6})\}(.*)", line)
        numbers = range(int(run[2]), int(run[3]) + 1) if run else range(1)
        names = [f"{run[1]}{number:0{len(run[2])}d}{run[4]}" if run else line for number in numbers]
        shards += [one if is_remote(one) else os.path.join(path.parent, one) for one in names]
    return shards


def read_shards(path: Path) -> list[Utterance]:
    """The utterances of shards that WebDataset, lhotse (Shar) or this program wrote.

    A sample is a recording with a ``.txt`` or ``.json`` of the same key beside it. Of Shar the ``recording.*.tar`` are
    read, with their texts from ``cuts.*.jsonl.gz``. Every byte is read once, for its checksum; nothing is unpacked.

    Raises:
        DataError: all problems: no archive, one that is cut, members that are links or devices, that lead out of the
            archive or are too large, recordings without text or that cannot be read.
    """
    problems: list[str] = []
    utterances: list[Utterance] = []
    for shard in list_shards(path):
        try:
            utterances += _samples(shard, problems)
        except (AudioError, ValueError, OSError, EOFError, zlib.error, tarfile.TarError) as error:
            problems.append(str(error) if isinstance(error, AudioError) else f"{shard}: is damaged ({error})")
    return with_durations(utterances, where=str(path), problems=problems)


def _samples(shard: str, problems: list[str]) -> list[Utterance]:
    """What a shard holds; texts that come before or after their recording are brought together by key."""
    cuts = _cuts(shard)
    places: dict[str, ShardPlace] = {}
    fields: dict[str, dict[str, Any]] = {}
    for name, place, data in _members(shard, problems):
        folder, base = os.path.split(name)
        key, _, kind = base.partition(".")
        key, suffix = os.path.join(folder, key), f".{kind.lower().rpartition('.')[2]}"
        if suffix in SOUND:
            places[base.rpartition(".")[0] if cuts else key] = place
        elif not cuts:
            try:
                own = json_object(data) if suffix == ".json" else {"text": decoded(data).removeprefix("\ufeff").strip()}
            except ValueError as error:
                problems.append(f"{shard}: {printable(name)}: {error}")
                own = {"text": ""}  # said already
            fields.setdefault(key, {}).update(own)
    stem = os.path.basename(shard).removesuffix(".tar")
    made = []
    for key, place in places.items():
        row = (cuts or fields).get(key, {})
        text, speaker, start_s = (field_value(row, name) for name in ("text", "speaker", "start_s"))
        if not isinstance(text, str):
            problems.append(f"{shard}: {key} has no text (a .txt, or a .json with text, of the same name)")
            continue
        made.append(
            Utterance(
                id=str(field_value(row, "id") or f"{stem}-{key}"),
                audio=str(place),
                start_s=finite(start_s) or 0.0,
                duration_s=0.0 if cuts else finite(field_value(row, "duration_s")) or 0.0,
                text=text,
                speaker=speaker if isinstance(speaker, str) else None,
            )
        )
    return made


def _members(shard: str, problems: list[str]) -> Iterator[tuple[str, ShardPlace, bytes]]:
    """Name, place and bytes of every recording and text."""
    file = _Shard(shard)
    with tarfile.open(fileobj=cast(IO[bytes], file), mode="r:") as tar:
        while (member := tar.next()) is not None:
            vars(tar)["members"].clear()  # tarfile keeps them all
            suffix = os.path.splitext(member.name)[1].lower()
            is_text = suffix in (".txt", ".json")
            if member.isdir() or (member.isreg() and suffix not in SOUND and not is_text):
                continue
            if problem := _member_problem(member, MOST_TEXT if is_text else MOST_BYTES):
                problems.append(f"{shown(shard)}: {printable(member.name)} {problem}")
                continue
            data = file.part(member.offset_data, member.size)
            if len(data) < member.size:
                raise tarfile.ReadError(f"it ends in {member.name}")
            yield member.name, ShardPlace(shard, member.offset_data, member.size, zlib.crc32(data)), data
        rest = file.part(tar.offset, _END_BYTES)  # tarfile ends without a word at a header that it cannot read
        if len(rest) < BLOCK or rest.strip(b"\0"):
            raise tarfile.ReadError(f"at byte {tar.offset:,} there is neither a file nor the archive's end")


def _member_problem(member: tarfile.TarInfo, most: int) -> str | None:
    if not member.isreg() or member.issparse():
        return "is a link, a device or a file with holes"
    if member.name.startswith("/") or ".." in member.name.split("/") or not member.name.isprintable():
        return "leads out of the archive, or has no printable name"
    return None if 0 < member.size <= most else f"has {member.size:,} bytes; 1 to {most:,} are read"


class _Shard:
    """A shard as ``tarfile`` reads its headers; reads ahead, so that one pass is one sequential reading."""

    def __init__(self, name: str) -> None:
        self._name, self._position, self._start, self._block = name, 0, 0, b""

    def tell(self) -> int:
        return self._position

    def seek(self, position: int) -> None:
        self._position = position

    def read(self, size: int) -> bytes:
        """A header. Raises tarfile.ReadError for one that would take the memory."""
        if not 0 <= size <= MOST_TEXT:
            raise tarfile.ReadError(f"it has a header of {size:,} bytes")
        data = self.part(self._position, size)
        self._position += len(data)
        return data

    def part(self, offset: int, size: int) -> bytes:
        """``size`` bytes from ``offset`` on, fewer at the end."""
        if not self._start <= offset <= offset + size <= self._start + len(self._block):
            self._start, self._block = offset, read_range(self._name, offset, max(size, READ_AHEAD))
        return self._block[offset - self._start :][:size]


def _cuts(shard: str) -> dict[str, dict[str, Any]]:
    """Of lhotse's Shar: text and speaker by cut, from the file beside the recordings; else empty."""
    folder, name = os.path.split(shard)
    if (found := _SHAR.fullmatch(name)) is None:
        return {}
    path = os.path.join(folder, f"cuts.{found[1]}.jsonl.gz")
    cuts: dict[str, dict[str, Any]] = {}
    with gzip.open(cast(IO[bytes], _Shard(path))) as lines:
        while line := lines.readline(MOST_TEXT):
            if len(line) == MOST_TEXT:
                raise ValueError(f"{path} has a line of more than {MOST_TEXT:,} bytes")
            cut = json_object(line)
            said = [one for one in cut.get("supervisions") or [] if isinstance(one, dict)]
            texts = [one["text"] for one in said if isinstance(one.get("text"), str)]
            speaker = next((one["speaker"] for one in said if isinstance(one.get("speaker"), str)), None)
            cuts[str(cut.get("id"))] = {"id": cut.get("id"), "speaker": speaker} | (
                {"text": " ".join(texts)} if texts else {}
            )
    return cuts
