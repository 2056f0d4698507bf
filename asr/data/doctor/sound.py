"""What is wrong with how utterances sound.

In: utterances and what `listen_all` heard. Out: findings: damaged sound, silence, clipping, an offset, upsampled
telephone audio, mixtures of rates, channels and bandwidths, and the same sound under two names.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from asr.data.doctor.listen import Heard, Sounds
from asr.data.findings import Finding, utterance_finding
from asr.data.utterance import Utterance
from asr.errors import AudioError

_SILENT_PEAK = 0.001  # -60 dB of full scale
_MOSTLY_SILENT = 0.15  # of an utterance's time is sound; LibriSpeech's least is about 0.4
_MOSTLY_SILENT_S = 2.0
_CLIPPED_RUNS = 5
_CLIPPED_SHARE = 0.0005
_OFFSET = 0.01
_OFFSET_OF_LEVEL = 0.25
_NARROW = 0.6  # of half the sampling rate; telephone at 16 kHz is 0.45, MP3 of low rate 0.75
_MIX_SHARE = 0.05
_MIX_UTTERANCES = 5
_MIX_HZ = 1_000.0
STEP_HZ = 500.0


def heard_only(sounds: Sounds) -> dict[str, Heard]:
    """Those that could be heard."""
    return {identifier: sound for identifier, sound in sounds.items() if isinstance(sound, Heard)}


def sound_findings(utterances: Sequence[Utterance], sounds: Sounds) -> Iterator[Finding]:
    """Findings about the utterances that were listened to, then about the manifest as a whole."""
    for utterance in utterances:
        sound = sounds.get(utterance.id)
        if isinstance(sound, AudioError):
            yield utterance_finding("error", "sound that cannot be decoded", utterance.id, str(sound))
        elif sound is not None:
            yield from _faults(utterance.id, sound)
    heard = heard_only(sounds)
    yield from _mixtures(heard)
    yield from _same_sound(utterances, heard)


def bandwidths(heard: Mapping[str, Heard]) -> Counter[float]:
    """How many utterances hold sound up to each frequency, in steps of 500 Hz."""
    return Counter(STEP_HZ * round(sound.bandwidth_hz / STEP_HZ) for sound in heard.values())


def _faults(identifier: str, sound: Heard) -> Iterator[Finding]:
    if sound.peak < _SILENT_PEAK:
        message = f"the largest sample is {sound.peak:.6f} of full scale"
        yield utterance_finding("warning", "silent", identifier, message)
        return
    if sound.active_s < _MOSTLY_SILENT * sound.seconds and sound.seconds > _MOSTLY_SILENT_S:
        message = f"{sound.active_s:.1f} of {sound.seconds:.1f} s are sound"
        yield utterance_finding("warning", "mostly silence", identifier, message)
    if sound.flat_tops >= _CLIPPED_RUNS and sound.clipped > _CLIPPED_SHARE * sound.seconds * sound.sample_rate:
        share = sound.clipped / (sound.seconds * sound.sample_rate)
        message = f"{sound.flat_tops:,} flat tops at {sound.peak:.2f} of full scale, {share:.2%} of all samples"
        yield utterance_finding("warning", "clipped", identifier, message)
    if abs(sound.offset) > max(_OFFSET, _OFFSET_OF_LEVEL * sound.level):
        message = f"samples lie about {sound.offset:+.3f}, not 0; their level is {sound.level:.3f}"
        yield utterance_finding("warning", "offset (DC)", identifier, message)
    if sound.bandwidth_hz < _NARROW * sound.sample_rate / 2:
        message = f"nothing above {sound.bandwidth_hz:,.0f} Hz in {sound.sample_rate:,} Hz: upsampled telephone audio?"
        yield utterance_finding("warning", "narrow band", identifier, message)


def _mixtures(heard: Mapping[str, Heard]) -> Iterator[Finding]:
    ways = (
        ("mixed sample rates", Counter(f"{sound.sample_rate:,} Hz" for sound in heard.values())),
        ("mixed channels", Counter(f"{sound.channels} channels" for sound in heard.values())),
    )
    for kind, counts in ways:
        if len(counts) > 1:
            yield Finding(severity="warning", kind=kind, where="", message=counted(counts))
    encodings = Counter(f"{sound.format} {sound.subtype}" for sound in heard.values())
    if len(encodings) > 1:
        yield Finding(severity="note", kind="mixed encodings", where="", message=counted(encodings))
    large = {hz for hz, count in bandwidths(heard).items() if count >= max(_MIX_UTTERANCES, _MIX_SHARE * len(heard))}
    if large and max(large) - min(large) >= _MIX_HZ:
        shown = counted(Counter({f"up to {hz:,.0f} Hz": count for hz, count in sorted(bandwidths(heard).items())}))
        message = f"{shown}; a model may learn the channel in place of the speech"
        yield Finding(severity="warning", kind="mixed bandwidths", where="", message=message)


def _same_sound(utterances: Sequence[Utterance], heard: Mapping[str, Heard]) -> Iterator[Finding]:
    """The same samples under two names of file; the same stretch of one file is found without listening."""
    groups: dict[str, list[Utterance]] = defaultdict(list)
    for utterance in utterances:
        if (sound := heard.get(utterance.id)) is not None and sound.peak >= _SILENT_PEAK:
            groups[sound.fingerprint].append(utterance)
    for first, *others in groups.values():
        elsewhere = [other for other in others if other.audio != first.audio]
        if not elsewhere:
            continue
        if len({utterance.text for utterance in (first, *elsewhere)}) == 1:
            for other in elsewhere:
                message = f"{other.audio} sounds to the sample like {first.audio} ({first.id})"
                yield utterance_finding("warning", "same sound twice", other.id, message)
        else:
            ids = (first.id, *(other.id for other in elsewhere))
            message = f"sounds to the sample like {', '.join(ids[1:4])}; their texts differ, so one is wrong"
            yield Finding(
                severity="warning", kind="same sound with two texts", where=first.id, message=message, ids=ids
            )


def counted(counts: Counter[str]) -> str:
    """`a (3), b (1)`."""
    return ", ".join(f"{value} ({count:,})" for value, count in counts.most_common())
