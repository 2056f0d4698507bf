"""Manifests that cannot be read, and corpora that cannot be prepared."""

import gzip
import json
from collections.abc import Mapping
from typing import Any

from tests.faults.case import Case, Content, shard, wav

TONE = wav()
READ = "evaluate model m.jsonl --out out"
GOOD: dict[str, Any] = {"id": "u1", "audio": "good.wav", "duration_s": 0.25, "text": "a"}
FOLDER = "prepare RECIPES/folder corpus out"


def row(**changes: Any) -> dict[str, Any]:
    """A line of a manifest; what is None is left out."""
    return {key: value for key, value in {**GOOD, "id": "u2", **changes}.items() if value is not None}


LINES: list[tuple[str, object, str]] = [
    ("broken JSON", b"{broken", "is not JSON (Expecting property name"),
    ("bytes that are not UTF-8", b"\xff\xfe", "is not UTF-8 (byte 0xff at column 1)"),
    ("a list", [1, 2], "is not a JSON object"),
    ("100,000 brackets", b"[" * 100_000, "is not JSON that can be read"),
    ("no id", row(id=None), "id is missing"),
    ("a number as id", row(id=7), "id is 7, not text"),
    ("an empty id", row(id=""), "id is empty"),
    ("no audio", row(audio=None), "audio is missing"),
    ("NeMo's key for audio", row(audio=None, audio_filepath="good.wav"), "it has audio_filepath, as NeMo writes it"),
    ("audio that is not there", row(audio="b.wav"), "b.wav: no such file"),
    ("a folder as audio", row(audio="."), "is a folder"),
    ("a shard that is not there", row(audio="a.tar#512+9:00000000"), "a.tar#512+9:00000000: no such shard"),
    ("a place behind the end of its shard", row(audio="good.tar#512+99999:00000000"), "the shard has 10,240 bytes"),
    ("no text", row(text=None), "text is missing"),
    ("null as text", {**GOOD, "text": None}, "text is null, not text"),
    ("null as start", {**GOOD, "start_s": None}, "start_s is null"),
    ("a number as text", row(text=5), "text is 5, not text"),
    ("half a Unicode character", row(text="\ud800"), "text holds half a Unicode character"),
    ("no duration", row(duration_s=None), "duration_s is missing"),
    ("a duration of 0", row(duration_s=0), "duration_s is 0, not a number of seconds above 0"),
    ("a negative duration", row(duration_s=-1.5), "duration_s is -1.5"),
    ("a duration in quotes", row(duration_s="1.5"), "duration_s is '1.5'"),
    ("a truth as duration", row(duration_s=True), "duration_s is true"),
    ("a duration that is not a number", row(duration_s=float("nan")), "duration_s is nan"),
    ("an infinite duration", row(duration_s=float("inf")), "duration_s is inf"),
    ("a duration of more than thirty years", row(start_s=1.0, duration_s=1e307), "duration_s is 1e+307"),
    ("a duration of 400 digits", row(duration_s=10**400), "duration_s is inf"),
    ("a negative start", row(start_s=-0.5), "start_s is -0.5"),
    ("a text as start", row(start_s="0"), "start_s is '0'"),
    ("a number as speaker", row(speaker=3), "speaker is 3, not text"),
    ("a fraction as channel", row(channel=1.0), "channel is 1.0, not a whole number"),
    ("a negative channel", row(channel=-1), "channel is -1"),
    ("a truth as channel", row(channel=True), "channel is true"),
    ("a list in a field of one's own", row(words=["a", "b"]), "words is a list; extra fields hold"),
    ("a field of one's own that is not a number", row(age=float("nan")), "age is nan; extra fields hold"),
]  # fmt: skip


def after_a_good_line(line: object) -> bytes:
    """A manifest of two lines."""
    return json.dumps(GOOD).encode() + b"\n" + (line if isinstance(line, bytes) else json.dumps(line).encode())


def corpus(**files: Content) -> Mapping[str, Content]:
    """Files of a corpus; ``__`` in a name stands for the dot."""
    return {f"corpus/{name.replace('__', '.')}": content for name, content in files.items()}


def table(*rows: str, header: str = "audio,text,start,end") -> Mapping[str, Content]:
    """A corpus of one recording and a table."""
    return corpus(a__wav=TONE, t__csv="\n".join([header, *rows]) + "\n")


def kaldi(scp: str = "r1 a.wav\n", text: str = "r1 YES\n", **more: Content) -> Mapping[str, Content]:
    """A Kaldi data folder."""
    return corpus(a__wav=TONE, wav__scp=scp, text=text, **more)


ENDLESS = "9" * 400  # more than a float holds
CORPORA: list[tuple[str, Mapping[str, Content], str | tuple[str, ...]]] = [
    ("an empty folder", corpus(a__md="x"), "has no recordings"),
    ("a transcript without a recording", corpus(a__wav=TONE, a__txt="a", b__txt="b"), "b.txt: no recording"),
    ("a recording without a transcript", corpus(a__wav=TONE, a__txt="a", b__wav=TONE), "b.wav: no b.txt next to it"),
    ("an empty transcript", corpus(a__wav=TONE, a__txt=" \n"), "a.txt: the transcript is empty"),
    ("a transcript in Latin-1", corpus(a__wav=TONE, a__txt=b"caf\xe9"), "a.txt: not UTF-8 (byte 3)"),
    ("two recordings of one name", corpus(a__wav=TONE, a__flac=TONE, a__txt="a"), "a.flac has the same stem"),
    ("a recording of the corpus that is none", corpus(a__wav=b"RIFF" + bytes(99), a__txt="a"), "a.wav"),
    ("two tables", corpus(a__csv="audio,text\n", b__csv="audio,text\n"), "holds 2 tables (a.csv, b.csv)"),
    ("a table without a column of audio", table("a.wav,x", header="name,words"), "no column for audio in the header"),
    ("a table without rows", table(), "contains no utterances"),
    ("a quote in the header that is not closed", table("a.wav,x", header='"audio,text'), "is not a row of a table"),
    ("a table that is not UTF-8", corpus(t__csv=b"audio,text\na.wav,caf\xe9\n"), "is not UTF-8"),
    ("a row without a text", table("a.wav,,0,0.1"), "t.csv:2: a.wav: the transcript is empty"),
    ("a row of no recording", table("gone.wav,x,0,0.1"), "t.csv:2: gone.wav does not exist"),
    ("a row that ends before it begins", table("a.wav,x,0.2,0.1"), "t.csv:2: a.wav: end 0.1 is not after start 0.2"),
    ("a row whose start is not a number", table("a.wav,x,nan,"), "t.csv:2: a.wav: start nan"),
    ("a row whose start is a word", table("a.wav,x,soon,"), "start, end, duration must be seconds"),
    ("a row of too many cells", table("a.wav,one, two,0,1"), "t.csv:2: more fields than the header"),
    ("a row that comes twice", table("a.wav,x,,", "a.wav,x,,"), "id a is used twice"),
    ("a row that ends after the recording", table("a.wav,x,0,9"), "9"),
    ("an open quote", table('a.wav,"x,,', "a.wav,x,,"), "quote"),
    ("a cell of 250,000 characters", table("a.wav," + "word " * 50_000 + ",,"), "not a row of a table"),
    ("a Kaldi command", kaldi("r1 a.wav\nr2 sph2pipe -f wav x.sph |\n"), "r2 is a command"),
    ("a Kaldi recording that is gone", kaldi("r1 gone.wav\n"), "gone.wav does not exist"),
    ("a Kaldi text that comes twice", kaldi(text="r1 YES\nr1 NO\n"), "text:2: r1 is listed twice"),
    ("a Kaldi text of no recording", kaldi(text="r1 YES\nr2 NO\n"), "r2 has a transcript but no recording"),
    ("a Kaldi segment of no recording", kaldi(text="s1 YES\n", segments="s1 r9 0 0.1\n"), "r9 is not in wav.scp"),
    ("a Kaldi segment that ends too early", kaldi(text="s1 YES\n", segments="s1 r1 3 2\n"), "s1: start 3 and end 2"),
    ("a Kaldi segment without times", kaldi(text="s1 YES\n", segments="s1 r1 a b\n"), "is not RECORDING START END"),
    ("labels with a time beyond all", corpus(a__wav=TONE, a__txt=f"{ENDLESS}\t1.0\tx\n"), "from inf to 1.0 s"),
    ("a manifest of NeMo with a time beyond all",
     corpus(a__wav=TONE, m__jsonl=f'{{"audio_filepath": "a.wav", "text": "x", "duration": {ENDLESS}}}\n'),
     "m.jsonl:1: "),
    ("a manifest of NeMo that is damaged", corpus(m__jsonl='{"audio_filepath": "a.wav"\n'), "m.jsonl:1: is not JSON"),
]  # fmt: skip

SAMPLE = (("u1.wav", TONE), ("u1.txt", b"a"))
SHARDS: list[tuple[str, bytes, str]] = [
    ("nothing", shard(), "contains no utterances"),
    ("no bytes", b"", "a.tar: is damaged (empty file"),
    ("other bytes", b"no tar" * 999, "a.tar: is damaged ("),
    ("gzip", gzip.compress(shard(*SAMPLE)), "a.tar: is damaged ("),
    ("an end in a recording", shard(*SAMPLE)[:4000], "a.tar: is damaged (it ends in u1.wav)"),
    ("a flipped bit in a header", b"\1" + shard(*SAMPLE)[1:], "a.tar: is damaged (bad checksum"),
    ("a flipped bit in a later header", shard(*SAMPLE).replace(b"u1.txt", b"v1.txt"), "at byte 8,704 there is neither"),
    ("an end in a later header", shard(*SAMPLE)[:9000], "at byte 8,704 there is neither a file nor the archive's end"),
    ("an end behind a recording", shard(*SAMPLE)[:8704], "at byte 8,704 there is neither a file nor the archive's end"),
    ("two archives in one", shard(*SAMPLE) * 2, "at byte 9,728 there is neither a file nor the archive's end"),
    ("a recording without a text", shard(SAMPLE[0]), "a.tar: u1 has no text"),
    ("a text in Latin-1", shard(SAMPLE[0], ("u1.txt", b"caf\xe9")), "a.tar: u1.txt: is not UTF-8"),
    ("broken JSON", shard(SAMPLE[0], ("u1.json", b"{broken")), "a.tar: u1.json: is not JSON"),
    ("a recording of no bytes", shard(("u1.wav", b""), SAMPLE[1]), "u1.wav has 0 bytes"),
    ("a recording that is none", shard(("u1.wav", b"RIFF" + bytes(99)), SAMPLE[1]), "a.tar#512+103:"),
    ("two recordings of one id", shard(*SAMPLE, ("u2.wav", TONE), ("u2.json", b'{"text": "a", "id": "a-u1"}')),
     "id a-u1 is used twice"),
]  # fmt: skip

EAF = "<ANNOTATION_DOCUMENT><HEADER TIME_UNITS='{}'/><TIME_ORDER>{}</TIME_ORDER></ANNOTATION_DOCUMENT>"
GRID = 'File type = "ooTextFile"\nObject class = "TextGrid"\n\n'
ANNOTATIONS: list[tuple[str, str, bytes | str, str]] = [
    ("an eaf that is empty", "eaf", "", "is not XML"),
    ("an eaf that is a page", "eaf", "<html/>", "is not an ELAN file"),
    ("an eaf in frames", "eaf", EAF.format("PAL-frames", ""), "PAL-frames"),
    ("an eaf with a word as time", "eaf",
     EAF.format("milliseconds", "<TIME_SLOT TIME_SLOT_ID='s' TIME_VALUE='soon'/>"), "damaged eaf"),
    ("a binary TextGrid", "TextGrid", b"ooBinaryFile\x08TextGrid\0", "binary TextGrid; save it in Praat as a text fil"),
    ("a TextGrid that is a text", "TextGrid", "hello", "is not a TextGrid"),
    ("a TextGrid that is not UTF-8", "TextGrid", GRID.encode() + b"\xff", "is not UTF-8"),
    ("a TextGrid with a word as time", "TextGrid", GRID + "xmin = 0\nxmax = soon\n", "damaged TextGrid"),
    ("a srt without cues", "srt", "hello", "holds no cue"),
    ("a vtt without its first line", "vtt", "1\n00:00:01,000 --> 00:00:02,500\none\n", "first line is WEBVTT"),
    ("an stm that ends before it begins", "stm", "a 1 ann 2 1 x\n", "line 1 ends at 1 s, before it begins"),
    ("a CHAT transcript without its begin", "cha", "*CHI:\tyes\n", "no @Begin"),
    ("a CHAT transcript with a time beyond all", "cha",
     f"@Begin\n*CHI:\tyes \x150_{ENDLESS}\x15\n", "from 0.0 to inf s"),
    ("an eaf with a time beyond all", "eaf",
     EAF.format("milliseconds", f"<TIME_SLOT TIME_SLOT_ID='s' TIME_VALUE='{ENDLESS}'/>"), "damaged eaf"),
]  # fmt: skip

CASES = [
    *(
        Case(
            f"a manifest with {what}",
            "data",
            READ,
            ("m.jsonl:2: ", says),
            {"m.jsonl": after_a_good_line(line), "good.tar": shard(("u1.wav", TONE))},
        )
        for what, line, says in LINES
    ),
    *(Case(f"a shard with {what}", "data", FOLDER, says, corpus(a__tar=content)) for what, content, says in SHARDS),
    Case(
        "a manifest with an id that comes twice",
        "data",
        READ,
        "m.jsonl:2: id 'u1' is already used in line 1",
        {"m.jsonl": after_a_good_line(GOOD)},
    ),
    Case("an empty manifest", "data", READ, "m.jsonl: holds no utterances", {"m.jsonl": b""}),
    Case("a manifest of blank lines", "data", READ, "m.jsonl: holds no utterances", {"m.jsonl": b"\n\n"}),
    Case("a manifest of a byte-order mark", "data", READ, "m.jsonl: holds no utterances", {"m.jsonl": b"\xef\xbb\xbf"}),
    Case("no such manifest", "data", READ, "m.jsonl: no such manifest"),
    Case("a folder as manifest", "data", "evaluate model . --out out", "is a folder, not a manifest"),
    Case("a recording as manifest", "data", "evaluate model good.wav --out out", "good.wav:1: is not UTF-8"),
    Case("a thousand faulty lines", "data", READ, ("1,000 errors", "and 950 more"), {"m.jsonl": b"{}\n" * 250}),
    *(Case(given, "data", FOLDER, says, files) for given, files, says in CORPORA),
    *(
        Case(
            given,
            "data",
            f"{FOLDER} annotation={form.lower()}",
            (f"a.{form}", says),
            corpus(a__wav=TONE, **{f"a__{form}": text}),
        )
        for given, form, text, says in ANNOTATIONS
    ),
    Case("no such corpus", "data", FOLDER, "corpus does not exist"),
    Case("an option that a recipe has not", "config", f"{FOLDER} colour=blue", "has no option colour", corpus(a="")),
    Case("an option of a recipe that is given twice", "usage", f"{FOLDER} dev=0 dev=1", "given twice", corpus(a="")),
    Case(
        "shares of more than all",
        "config",
        f"{FOLDER} dev=0.6 test=0.6",
        "whose sum is below 1",
        corpus(a__wav=TONE, a__txt="a"),
    ),
    Case("a choice that is none", "config", f"{FOLDER} faulty=maybe", "faulty=maybe is not valid", corpus(a="")),
    Case("a folder that is no recipe", "config", "prepare corpus corpus out", "is not a recipe", corpus(a="")),
    Case(
        "a preparation into a file",
        "system",
        "prepare RECIPES/folder corpus good.wav dev=0 test=0",
        "good.wav",
        corpus(a__wav=TONE, a__txt="a"),
    ),
]
