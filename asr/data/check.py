"""What is wrong with the data, beyond what `read_manifest` refuses: every recording opened, every text looked at.

In: utterances of one manifest, or of several splits, and what `listen_all` heard of them. Out: `Finding`s, errors
first: an error will stop or spoil a training (unreadable audio, a span outside its file, the same sound in two
splits), a warning is for a person to judge, a note is told and not blamed.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from asr.audio import AudioInfo, probe
from asr.audio.load import END_TOLERANCE_S
from asr.data.check_splits import check_splits
from asr.data.check_texts import text_findings
from asr.data.doctor.listen import Sounds, listen_all
from asr.data.doctor.rate import frames_findings, rate_findings
from asr.data.doctor.sound import sound_findings
from asr.data.doctor.texts import repeated_findings, style_findings
from asr.data.findings import Finding, utterance_finding, worst_first
from asr.data.utterance import Utterance
from asr.errors import AudioError

__all__ = ["Finding", "Recordings", "Sounds", "check_manifest", "check_splits", "listen_all", "probe_all"]

Recordings = Mapping[str, AudioInfo | AudioError]

_SHORT_S = 0.1
_LONG_S = 60.0
# A lone utterance that leaves more than this of its recording unused was probably meant to be all of it.
_UNUSED_S = 0.5


def check_manifest(
    utterances: Sequence[Utterance], recordings: Recordings | None = None, sounds: Sounds | None = None
) -> list[Finding]:
    """Look at every recording and every text of one manifest.

    Args:
        utterances: as `read_manifest` gives them.
        recordings: what `probe_all` found for them; None opens them here.
        sounds: what `listen_all` heard of those that were listened to; None: nothing is said about sound.

    Returns:
        Errors first, then warnings, then notes; within each, kind by kind in the manifest's order.
    """
    found = probe_all(utterance.audio for utterance in utterances) if recordings is None else recordings
    findings = [
        *_audio_findings(utterances, found),
        *_length_findings(utterances),
        *frames_findings(utterances),
        *rate_findings(utterances),
        *_twice_findings(utterances),
        *text_findings(utterances),
        *style_findings(utterances),
        *repeated_findings(utterances),
        *sound_findings(utterances, _not_said_before(found, utterances, sounds or {})),
    ]
    return worst_first(findings)


def _not_said_before(recordings: Recordings, utterances: Sequence[Utterance], sounds: Sounds) -> Sounds:
    """Without the utterances of recordings that could not even be opened."""
    known = {one.id for one in utterances if isinstance(recordings[one.audio], AudioError)}
    return {identifier: sound for identifier, sound in sounds.items() if identifier not in known}


def probe_all(paths: Iterable[str], *, threads: int = 4, on_file: Callable[[], None] = lambda: None) -> Recordings:
    """The facts of each distinct recording, or the error that says why there are none.

    Args:
        paths: recordings; repeated ones are opened once.
        threads: recordings opened at a time, since opening waits for the disk.
        on_file: called after each one.
    """

    def facts(path: str) -> AudioInfo | AudioError:
        try:
            return probe(path)
        except AudioError as error:
            return error

    distinct = list(dict.fromkeys(paths))
    found: dict[str, AudioInfo | AudioError] = {}
    with ThreadPoolExecutor(threads) as pool:
        for path, result in zip(distinct, pool.map(facts, distinct), strict=True):
            found[path] = result
            on_file()
    return found


def _audio_findings(utterances: Sequence[Utterance], recordings: Recordings) -> Iterator[Finding]:
    """Recordings that cannot be read (each said once), and spans and channels that their files do not have."""
    uses: dict[str, list[str]] = defaultdict(list)
    for utterance in utterances:
        uses[utterance.audio].append(utterance.id)
    said: set[str] = set()
    for utterance in utterances:
        info = recordings[utterance.audio]
        if isinstance(info, AudioError):
            if utterance.audio not in said:
                said.add(utterance.audio)
                yield Finding(
                    severity="error",
                    kind="unreadable audio",
                    where=utterance.id,
                    message=str(info),
                    ids=tuple(uses[utterance.audio]),
                )
            continue
        stop_s = utterance.start_s + utterance.duration_s
        if utterance.start_s >= info.duration_s or stop_s > info.duration_s + END_TOLERANCE_S:
            span = f"{utterance.start_s:.3f} to {stop_s:.3f} s"
            message = f"{span} of {utterance.audio}, which lasts {info.duration_s:.3f} s"
            yield utterance_finding("error", "span outside the recording", utterance.id, message)
        elif len(uses[utterance.audio]) == 1 and utterance.start_s == 0 and info.duration_s - stop_s > _UNUSED_S:
            message = f"the first {stop_s:.2f} s of {info.duration_s:.2f} s in {utterance.audio}, used nowhere else"
            yield utterance_finding("warning", "rest of the recording unused", utterance.id, message)
        if utterance.channel is not None and utterance.channel >= info.channels:
            message = f"channel {utterance.channel} of {utterance.audio}, which has {info.channels}, counted from 0"
            yield utterance_finding("error", "no such channel", utterance.id, message)


def _length_findings(utterances: Sequence[Utterance]) -> Iterator[Finding]:
    for utterance in utterances:
        if utterance.duration_s < _SHORT_S:
            yield utterance_finding("warning", "very short", utterance.id, f"{utterance.duration_s:.3f} s")
        elif utterance.duration_s > _LONG_S:
            message = f"{utterance.duration_s:.1f} s; pieces of up to 30 s train faster and with less memory"
            yield utterance_finding("warning", "very long", utterance.id, message)


def _twice_findings(utterances: Sequence[Utterance]) -> Iterator[Finding]:
    """The same stretch of the same recording in two lines."""
    groups: dict[tuple[str, int, int, int | None], list[Utterance]] = defaultdict(list)
    for utterance in utterances:
        start_ms, duration_ms = round(1000 * utterance.start_s), round(1000 * utterance.duration_s)
        groups[utterance.audio, start_ms, duration_ms, utterance.channel].append(utterance)
    for first, *others in groups.values():
        for other in others:
            if other.text == first.text:
                yield utterance_finding("warning", "same sound twice", other.id, f"the same stretch as {first.id}")
            else:
                message = f"the same stretch as {first.id}, which has another text"
                yield Finding(
                    severity="warning",
                    kind="same sound with two texts",
                    where=other.id,
                    message=message,
                    ids=(first.id, other.id),
                )
