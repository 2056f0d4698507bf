"""Time-aligned text in lines: srt and vtt, Audacity's labels, stm, and CHAT transcripts with times.

In: a file's content. Out: ``AnnotationFile``. Every function raises DataError for what is not in its format, with a
message that completes "FILE: ". CHAT's codes: https://talkbank.org/0info/manuals/CHAT.html; what was said stays, what
annotates it goes.
"""

import html
import re
from collections.abc import Sequence
from itertools import takewhile

from asr.data.annotation.records import Annotation, AnnotationFile, AnnotationTier
from asr.data.annotation.textgrid import decode_text
from asr.data.records import stm_fields
from asr.errors import DataError

_TIME = r"(?:(\d+):)?(\d+):(\d+(?:[.,]\d+)?)"
_TIMES = re.compile(rf"\s*{_TIME}\s*-[-\s]*>\s*{_TIME}(?:\s|$)")  # some write -> or - ->
_VOICE = re.compile(r"<v(?:\.[^\s<>]*)?\s([^<>]+)>")
_TAGS = "font|b|i|u|s|v|c|lang|ruby|rt"  # other words between < and > are marks
_MARKUP = re.compile(rf"<\s*(?:/\s*)?(?:{_TAGS})(?:[\s.][^<>]*)?>|<\d+:[\d:.]+>|{{\\[^{{}}]*}}", re.IGNORECASE)
_LABEL = re.compile(r"(-?\d+(?:[.,]\d+)?)\t(-?\d+(?:[.,]\d+)?)(?:\t(.*))?")
_FREQUENCIES = "\\\t"  # Audacity's second line of a label that selects frequencies


def read_srt(data: bytes) -> AnnotationFile:
    """SubRip; marks such as ``<unk>`` stay."""
    return AnnotationFile(tiers=[AnnotationTier(name="srt", annotations=_cues(decode_text(data), "srt"))])


def read_vtt(data: bytes) -> AnnotationFile:
    """WebVTT; the voice of a cue (``<v Ann>``) is its speaker."""
    text = decode_text(data)
    if not text.startswith("WEBVTT"):
        raise DataError("is not WebVTT (its first line is WEBVTT)")
    return AnnotationFile(tiers=[AnnotationTier(name="vtt", annotations=_cues(text, "vtt"))])


def _cues(text: str, kind: str) -> list[Annotation]:
    """The text of a cue ends at a blank line in vtt; in srt it may hold some, and ends at the next cue's number."""
    lines = text.split("\n")
    times = {place: found for place, line in enumerate(lines) if (found := _TIMES.match(line))}
    annotations = []
    for (place, found), after in zip(times.items(), [*times, None][1:], strict=True):
        said = lines[place + 1 : after]
        if kind == "vtt":
            said = list(takewhile(bool, said))
        elif after is not None and said and said[-1].strip().isdecimal():
            said.pop()
        annotations.append(_cue(found, "\n".join(said), kind))
    if not annotations and text.strip() not in ("", "WEBVTT"):
        raise DataError(f"holds no cue with times, as {kind} has")
    return annotations


def _cue(times: re.Match[str], said: str, kind: str) -> Annotation:
    text, speaker = _MARKUP.sub("", said), None
    if kind == "vtt":
        voice = _VOICE.search(said)
        text, speaker = html.unescape(text), html.unescape(voice[1]).strip() if voice else None
    return Annotation(_seconds(*times.groups()[:3]), _seconds(*times.groups()[3:]), _line(text), speaker)


def _seconds(hours: str | None, minutes: str, seconds: str) -> float:
    return 3600 * float(hours or 0) + 60 * float(minutes) + float(seconds.replace(",", "."))


def looks_like_labels(data: bytes) -> bool:
    """Whether a .txt file is one of Audacity's labels: start, end and text with tabs between, in every line."""
    try:
        lines = [line for line in decode_text(data).split("\n") if line.strip()]
    except DataError:
        return False
    return bool(lines) and all(_LABEL.fullmatch(line) or line.startswith(_FREQUENCIES) for line in lines)


def read_labels(data: bytes) -> AnnotationFile:
    """Audacity's labels: ``start<tab>end<tab>text`` in seconds."""
    annotations = []
    for number, line in enumerate(decode_text(data).split("\n"), start=1):
        if not line.strip() or line.startswith(_FREQUENCIES):
            continue
        found = _LABEL.fullmatch(line)
        if found is None:
            raise DataError(f"line {number} is not START<tab>END<tab>TEXT, as Audacity's labels are")
        start_s, end_s = (float(time.replace(",", ".")) for time in found.groups()[:2])
        annotations.append(Annotation(start_s, end_s, _line(found[3] or "")))
    return AnnotationFile(tiers=[AnnotationTier(name="labels", annotations=annotations)])


_CHANNELS = {"1": 0, "a": 0, "2": 1, "b": 1}


def read_stm(data: bytes) -> AnnotationFile:
    """NIST's stm: ``recording channel speaker start end [<labels>] text``; a tier for each recording and channel.

    A segment that is not scored (IGNORE_TIME_SEGMENT_IN_SCORING) has no text.
    """
    tiers: dict[tuple[str, str], list[Annotation]] = {}
    for number, line in enumerate(decode_text(data).split("\n"), start=1):
        if not line.strip() or line.lstrip().startswith(";;"):
            continue
        try:
            segment = stm_fields(line)
        except ValueError as error:
            raise DataError(f"line {number} {error}") from None
        text = "" if segment.ignored else _line(segment.text)
        one = Annotation(segment.start_s, segment.end_s, text, segment.speaker)
        tiers.setdefault((segment.recording, segment.channel), []).append(one)
    return AnnotationFile(
        tiers=[
            AnnotationTier(
                name=f"{recording} {channel}",
                annotations=annotations,
                recording=recording,
                channel=_CHANNELS.get(channel.lower()),
            )
            for (recording, channel), annotations in tiers.items()
        ]
    )


_BULLET = re.compile('\x15(?:%snd:"[^"]*"_)?(\\d+)_(\\d+)[^\x15]*\x15')
_MAIN = re.compile(r"\*([^:\s]+):\s*(.*)", re.DOTALL)
# [//], [= note], [: what was meant], but not [x 3]; the < and > of a group without a code
_NOTES = re.compile(r"\[(?!x \d\d?\])[^\[\]]*\]|<([^<>]*)>(?!\s*\[)")
_REPEATED = re.compile(r"(?:<([^<>]*)>|(?<![^\s<>\[\]])([^\s<>\[\]]+))\s*\[x (\d\d?)\]")  # said so many times
_DEPTH, _LONGEST_LINE = 9, 10_000  # codes within codes; what is longer is no utterance
_CODES: Sequence[tuple[re.Pattern[str], str]] = [
    (re.compile(pattern), by)
    for pattern, by in (
        (r"\[[^\[\]]*\]", " "),  # [x 3] without a word
        (r"&[={}]\S+|&\*\S+", " "),  # &=laughs, &{l=laughs, &}l=laughs; another's word, &*MOT:mhm
        (r"\(\.+\)|\(\d[\d:.]*\)", " "),  # (.), (..), (1.5): pauses
        (r"(?<!\S)\+\S*", " "),  # +..., +/., +", +<
        (r"(?<!\S)&[-+~]?", ""),  # &-um, &+fr: said
        (r"(?<!\S)0\S*", " "),  # 0word: not said
        (r"\([^()\s]*\)", ""),  # (be)cause: not said
        (r"@\S*", ""),  # word@s:spa
        (r"(?<=\w)[+_](?=\w)", " "),  # ice+cream, New_York
        (r"(?<=\w)[:^](?=\w|\s|$)", ""),  # no:, lengthened
        (r"-?↫-?", " "),  # ↫r-r↫red, like↫ike↫: said
        (r"[<>‹›〔〕‡„“”↑↓⇗⇘→⌈⌉⌊⌋∆∇°≈≋∙]", " "),
        (r"(?<!\s)\s+(?=[.?!,;](?:\s|$))", ""),  # a space before the full stop
    )
]


def read_cha(data: bytes) -> AnnotationFile:
    """CHAT: the main lines of every speaker with their bullets; codes are removed, ``xxx``, ``yyy``, ``www`` stay.

    A speaker is known by name where @Participants gives one (``CHI Adam Target_Child``), else by code.
    """
    lines = re.sub(r"\n[\t ]+", " ", decode_text(data)).split("\n")
    if not any(line.startswith(("@Begin", "@UTF8")) for line in lines):
        raise DataError("is not a CHAT transcript (it has no @Begin)")
    headers = {name: value.strip() for name, _, value in (line.partition(":") for line in lines if line[:1] == "@")}
    people = [person.split() for person in headers.get("@Participants", "").split(",")]
    names = {person[0]: person[1] for person in people if len(person) > 2}
    annotations, untimed = [], []
    for line in lines:
        if (found := _MAIN.fullmatch(line)) is None:
            continue
        times, text = _BULLET.findall(found[2]), _said(_BULLET.sub(" ", found[2]))
        if times:
            start_s, end_s = min(float(one) for one, _ in times) / 1000, max(float(one) for _, one in times) / 1000
            annotations.append(Annotation(start_s, end_s, text, names.get(found[1], found[1])))
        elif text:
            untimed.append(text)
    media = headers.get("@Media", "").split(",")[0].strip()
    tier = AnnotationTier(name="cha", annotations=annotations, untimed=untimed)
    return AnnotationFile(tiers=[tier], media=[media] if media else [])


def _said(text: str) -> str:
    for _ in range(_DEPTH):
        before, text = text, _REPEATED.sub(_repeated, _NOTES.sub(r" \1 ", text))
        if text == before or len(text) > _LONGEST_LINE:
            break
    for code, by in _CODES:
        text = code.sub(by, text)
    return _line(text)


def _repeated(found: re.Match[str]) -> str:
    return " ".join([found[1] or found[2] or ""] * int(found[3]))


def _line(text: str) -> str:
    return " ".join(text.split())
