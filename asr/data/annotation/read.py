"""Long recordings with annotation files to utterances.

In: a folder's recordings and annotation files, and ``AnnotationOptions``. Out: utterances, each a segment of a
recording, and in an ``AnnotationReport`` what was left out. Every problem with a file is listed with the others of the
corpus.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from asr.audio import probe
from asr.data.annotation.eaf import read_eaf
from asr.data.annotation.link import Recordings
from asr.data.annotation.records import AnnotationFile, AnnotationTier
from asr.data.annotation.report import AnnotationReport
from asr.data.annotation.segments import NO_TIME, NOT_CHOSEN, SegmentRules, TimedSegment, make_segments
from asr.data.annotation.select import choose_tiers, listed
from asr.data.annotation.textgrid import read_textgrid
from asr.data.annotation.timed_text import looks_like_labels, read_cha, read_labels, read_srt, read_stm, read_vtt
from asr.data.manifest import Utterance, with_unique_ids
from asr.errors import AudioError, DataError

Kind = Literal["auto", "eaf", "textgrid", "srt", "vtt", "labels", "stm", "cha"]
READERS: Mapping[str, Callable[[bytes], AnnotationFile]] = {
    "eaf": read_eaf,
    "textgrid": read_textgrid,
    "srt": read_srt,
    "vtt": read_vtt,
    "labels": read_labels,
    "stm": read_stm,
    "cha": read_cha,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotationOptions:
    """``kind``: the format to read, ``auto`` for all. ``tier``: see ``choose_tiers``. ``link``: a pattern for the
    recordings of a file, relative to it, in which ``{name}`` is its name: ``../audio/{name}_*``.

    ``speaker_from_folder``: where the annotation names no speaker, the first subfolder does.
    """

    kind: Kind = "auto"
    tier: str | None = None
    link: str | None = None
    speaker_from_folder: bool = True
    rules: SegmentRules = field(default_factory=SegmentRules)


def kind_of(file: Path) -> str | None:
    """The format of an annotation file by its ending; of a .txt by what it holds; None for other files."""
    suffix = file.suffix.lower().removeprefix(".")
    if suffix == "txt":
        return "labels" if looks_like_labels(file.read_bytes()) else None
    return suffix if suffix in READERS and suffix != "labels" else None


def read_annotations(
    home: Path,
    files: Mapping[Path, str],
    recordings: Recordings,
    options: AnnotationOptions,
    report: AnnotationReport,
    problems: list[str],
) -> tuple[list[Utterance], set[Path]]:
    """The segments of all files, and the recordings that the files are of.

    Args:
        home: the corpus' folder, from which files are named.
        files: annotation files, each with its format.
        recordings: of the corpus.
        options: what to read, and how to make segments.
        report: what was taken and left out is added to it.
        problems: what is wrong with files is added to it.
    """
    found: list[_Linked] = []
    owners: dict[Path, str] = {}
    for file, kind in files.items():
        name = file.relative_to(home).as_posix()
        try:
            annotated = READERS[kind](file.read_bytes())
            found += _linked(file, name, annotated, recordings, options, report)
        except (DataError, OSError) as error:
            problems.append(f"{file}: {error}")
    for one in found:
        if owners.setdefault(one.audio, one.file) != one.file:
            problems.append(f"{one.audio}: {owners[one.audio]} and {one.file} are both of it; {_ONE_OF}")
    if options.tier is not None and found and not any(one.tiers for one in found):
        problems.append(f"no file has a tier {options.tier}; {found[0].file} has: {listed(found[0].all_tiers)}")
    utterances = (utterance for one in found for utterance in _utterances(home, one, options, report))
    return with_unique_ids(utterances), set(owners)  # two speakers may begin and end at the same times


_ONE_OF = "choose one with annotation=FORMAT or remove one"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Linked:
    """A recording with the tiers of one annotation file. ``file``: its name in the corpus."""

    audio: Path
    file: str
    tiers: Sequence[AnnotationTier]
    all_tiers: Sequence[AnnotationTier]
    folder_speaker: str | None


def _linked(
    file: Path,
    name: str,
    annotated: AnnotationFile,
    recordings: Recordings,
    options: AnnotationOptions,
    report: AnnotationReport,
) -> list[_Linked]:
    """A pair for each recording of the file. Raises DataError."""
    tiers = choose_tiers(annotated.tiers, options.tier)
    if not tiers:
        why = "No annotation with text" if options.tier is None else f"No tier {options.tier} with text"
        report.without[why].append(name)
    by_recording: dict[str | None, list[AnnotationTier]] = {}
    for tier in tiers or annotated.tiers:
        by_recording.setdefault(tier.recording, []).append(tier)
    pairs = []
    for recording, own in by_recording.items():
        if recording is None:
            paths = recordings.of_file(file, annotated.media, options.link)
        else:
            paths = recordings.of_name(file, recording, options.link)
        if not paths:
            wanted = [recording] if recording else [file.stem, *annotated.media]
            raise DataError(
                f"no recording of it in the corpus ({' or '.join(map(str, wanted))}); link=PATTERN says which, e.g."
                " link='../audio/{name}*'"
            )
        subfolders = Path(name).parts[:-1]
        for path in paths:
            together = path.parent == file.parent and subfolders and options.speaker_from_folder
            pairs.append(
                _Linked(
                    audio=path,
                    file=name,
                    tiers=own if tiers else (),
                    all_tiers=annotated.tiers,
                    folder_speaker=subfolders[0] if together else None,
                )
            )
    return pairs


def _utterances(home: Path, one: _Linked, options: AnnotationOptions, report: AnnotationReport) -> Iterable[Utterance]:
    """The recording's segments, each channel by itself."""
    try:
        info = probe(one.audio)
        length_s, channels = info.duration_s, info.channels
    except AudioError:  # named later, with the other recordings that cannot be read
        length_s, channels = float("inf"), 1
    by_channel: dict[int | None, list[TimedSegment]] = {}
    for tier in one.tiers:
        channel = tier.channel if channels > 1 else None
        by_channel.setdefault(channel, []).extend(_timed(tier, one))
        for text in tier.untimed:
            untimed = TimedSegment(start_s=0, end_s=0, text=text, speaker=None, tier=tier.name, reason=NO_TIME)
            report.segments.append((one.file, untimed))
    for tier in _other_speakers(one):
        by_channel[None] += [replace(said, reason=NOT_CHOSEN) for said in _timed(tier, one) if said.text]
    for channel, annotated in by_channel.items():
        for segment in make_segments(annotated, length_s, options.rules):
            if segment.reason != NOT_CHOSEN:
                report.segments.append((one.file, segment))
            if segment.reason is None:
                yield _utterance(home, one, segment, channel)


def _other_speakers(one: _Linked) -> list[AnnotationTier]:
    """Tiers of an eaf of the same type as those that were chosen, of other participants."""
    kinds, people = {tier.kind for tier in one.tiers} - {""}, {tier.participant for tier in one.tiers}
    return [tier for tier in one.all_tiers if tier.kind in kinds and tier.participant not in people]


def _timed(tier: AnnotationTier, one: _Linked) -> Iterable[TimedSegment]:
    several = len(one.tiers) > 1 and tier.recording is None
    of_tier = tier.participant or (tier.name if several else None) or one.folder_speaker
    for annotation in tier.annotations:
        yield TimedSegment(
            start_s=annotation.start_s,
            end_s=annotation.end_s,
            text=annotation.text,
            speaker=annotation.speaker or of_tier,
            tier=tier.name,
        )


def _utterance(home: Path, one: _Linked, segment: TimedSegment, channel: int | None) -> Utterance:
    stem = one.audio.relative_to(home).with_suffix("").as_posix()
    start_s, end_s = round(segment.start_s, 3), round(segment.end_s, 3)
    return Utterance(
        id="_".join(f"{stem}@{start_s:.3f}-{end_s:.3f}".split()),
        audio=str(one.audio),
        start_s=start_s,
        duration_s=round(end_s - start_s, 3),
        text=segment.text,
        speaker=segment.speaker,
        channel=channel,
        extra={"annotation_file": one.file},
    )
