"""Texts, results and pages: what `asr score`, `compare`, `report`, `align` and the options of all verbs refuse."""

import json
from collections.abc import Mapping
from typing import Any

from tests.faults.case import Case, Content


def pair(references: bytes | str, hypotheses: bytes | str = "u_1 a b\n") -> Mapping[str, Content]:
    """Files of references and hypotheses."""
    return {"r": references, "h": hypotheses}


COUNTS = {"hits": 1, "substitutions": 0, "deletions": 0, "insertions": 0}
RESULT: dict[str, Any] = {
    "id": "u1", "reference": "a", "hypothesis": "a", "reference_normalized": "a", "hypothesis_normalized": "a",
    "normalizer": "basic v1", "word_errors": COUNTS,
    "character_errors": COUNTS, "raw_word_errors": COUNTS, "raw_character_errors": COUNTS,
}  # fmt: skip


def result(*lines: object) -> Mapping[str, Content]:
    """A folder of results."""
    return {"a/results.jsonl": "\n".join(one if isinstance(one, str) else json.dumps(one) for one in lines)}


TEXTS: list[tuple[str, str, str, Mapping[str, Content], str]] = [
    ("no such references", "data", "r h", {"h": "u_1 a\n"}, "r: cannot be read: No such file"),
    ("empty references", "data", "r h", pair(" \n"), "r: is empty"),
    ("references that are not UTF-8", "data", "r h", pair("u_1 x\nu_2 y\n", b"u_1 x\nu_2 ca\xe9\n"), "h:2: is not UTF"),
    ("references in UTF-16", "data", "r h", pair("u_1 x\n".encode("utf-16")), "is UTF-16; save it as UTF-8"),
    ("references with zero bytes", "data", "r h", pair("u1 a\nu2 b\n".encode("utf-16-le")), "r:1: holds a zero byte"),
    ("a recording as references", "data", "good.wav h", pair(""), "good.wav"),
    ("a JSON document without texts", "data", "r h", pair('{\n"texts": []\n}'), "is one JSON document that holds no l"),
    ("100,000 brackets as references", "data", "r h --format jsonl", pair("[" * 100_000, "{}"), "JSON"),
    ("a JSON line that is cut", "data", "r h --format jsonl", pair('{"id": "a"\n', "{}"), "r:1: is not JSON"),
    ("a JSON line without a text", "data", "r h --format jsonl", pair('{"id": "b"}\n', "{}"), "r:1: has no reference"),
    ("a JSON line without an id", "data", "r h --format jsonl",
     pair('{"id": "a", "text": "x"}\n{"text": "x"}\n', "{}"), "r:2: has no id"),
    ("a number as text of a JSON line", "data", "r h --format jsonl", pair('{"id": "c", "text": 5}\n', "{}"), "not 5"),
    ("a negative duration of a JSON line", "data", "r h --format jsonl",
     pair('{"id": "c", "text": "x", "duration": -1}\n', "{}"), "'duration' must be a number of seconds, not -1"),
    ("half of a surrogate pair", "data", "r h --format jsonl",
     pair('{"id": "e", "text": "\\ud800"}\n', "{}"), "surrogate"),
    ("an id that comes twice", "data", "r h --format kaldi", pair("u x\nu y\n"), "r:2: the id 'u' was already used in"),
    ("a trn line without an id", "data", "r h --format trn", pair("x (a)\ny\n", "x (a)\n"), "r:2: does not end with a"),
    ("an stm that ends too early", "data", "r h --format stm", pair("r 1 s 2 1 x\n"), "r:1: ends at 1 s, before it be"),
    ("an stm with a word as start", "data", "r h --format stm", pair("r 1 s a 1 x\n"), "r:1: the start must be a numb"),
    ("an stm with an open brace", "data", "r h --format stm", pair("r 1 s 1 2 { a / b\n"), "r:1: has a '{' that is ne"),
    ("an stm of two columns", "data", "r h --format stm", pair("r 1\n"), "r:1: has 2 of the 5 columns"),
    ("a ctm of four columns", "data", "r h --format ctm", pair("r 1 0.5 y\n"), "r:1: has 4 of the 5 columns"),
    ("a ctm with a negative duration", "data", "r h --format ctm", pair("r 1 0.5 -1 y\n"), "r:1: the duration must be"),
    ("a ctm with a stray alternative", "data", "r h --format ctm", pair("r 1 * * <ALT>\n"), "r:1: has <ALT> in a wron"),
    ("a ctm with open alternatives", "data", "r h --format ctm", pair("r 1 * * <ALT_BEGIN>\n"), "no <ALT_END> follows"),
    ("a csv of too many cells", "data", "r h --format csv", pair("id,text\na,x,y\n"), "r:2: has 3 cells, and the head"),
    ("a csv with an empty id", "data", "r h --format csv", pair("id,text\n,x\n"), "r:2: has an empty id"),
    ("a csv with an open quote", "data", "r h --format csv", pair('id,text\nb,"x\n'), "r:2: is not CSV"),
    ("a csv whose header has an open quote", "data", "r h --format csv", pair('id,"text\na,x\n'), "r:1: is not CSV"),
    ("a csv without an id", "data", "r h --format csv", pair("name,words\na,x\n"), "has no column for the id"),
    ("a seglst that is no list", "data", "r h --format seglst", pair("{}"), "r"),
    ("a folder without transcripts", "data", "in h", {"in/a.md": "", "h": "u a\n"}, "is a folder with 0 .json and 0 ."),
    ("lines of different number", "scoring", "r h --format plain", pair("a\nb\n", "a\n"), "r has 2 lines and h has 1"),
    ("ids of one side only", "scoring", "r h --format kaldi", pair("u_1 a\n", "u_2 a\n"), "do not hold the same ids"),
    ("an unknown format", "usage", "r h --format ctms", pair("a"), "ctms"),
    ("what may be stm or Kaldi", "usage", "r r", {"r": "r1 1 s1 0 5 hello world\n"}, "r may be stm, kaldi or plain"),
    ("what may be ctm or Kaldi", "usage", "r r", {"r": "r1 1 0 1 hello\nr1 1 1 1 world\n"}, "may be ctm, kaldi or pla"),
    ("what may be csv or Kaldi", "usage", "r r", {"r": "u1,the cat\nu2,it sat\n"}, "r may be csv, kaldi or plain"),
    ("what may be tsv or Kaldi", "usage", "r r", {"r": "u1\ta\tthe cat\nu2\tb\tit sat\n"}, "r may be tsv, kaldi or pl"),
    ("names that may be ids or words", "usage", "r h", pair("ann yes\nbob no\n", "ann yes\nbob oh\n"), "--format kald"),
    ("no such replacements", "data", "r h --glm g", pair("u_1 a b\n"), "g: cannot be read"),
    ("replacements of no arrow", "data", "r h --glm g", {**pair("u_1 a b\n"), "g": "one two three\n"}, "g:1: is not a"),
    ("replacements of nothing", "data", "r h --glm g", {**pair("u_1 a b\n"), "g": ";; nothing\n"}, "contains no rules"),
    ("a respelling of nothing", "data", "r h --replacements g", {**pair("u_1 a b\n"), "g": "\n"}, "g: contains no rep"),
    ("keywords of nothing", "data", "r h --keywords k", {**pair("u_1 a b\n"), "k": "...\n"}, "nothing is left of this"),
    ("an export into what is read", "usage", "ref.trn ref.trn --export .", {"ref.trn": "x (a)\n"}, "overwrite"),
    ("a normaliser that is none", "usage", "r h --normalizer klingon", pair("u_1 a b\n"), "klingon"),
    ("a negative number of worst", "usage", "r h --worst=-1", pair("u_1 a b\n"), "--worst"),
    ("a report into a file", "usage", "r r --out good.wav", {"r": "u_1 a\n"}, "is a file; give a folder"),
]  # fmt: skip

RESULTS: list[tuple[str, Mapping[str, Content], str]] = [
    ("no results", {}, "cannot be read"),
    ("empty results", result(""), "results.jsonl: is empty"),
    ("results that are cut", result(RESULT, "{"), "results.jsonl:2: is not JSON"),
    ("results that are numbers", result(RESULT, 5), "results.jsonl:2: is not a JSON object"),
    ("results without texts", result(RESULT, {"id": "x"}), "results.jsonl:2: lacks reference, hypothesis"),
    ("results that come twice", result(RESULT, RESULT), "results.jsonl:2: the id 'u1' comes twice"),
    ("results of negative counts", result(RESULT | {"word_errors": {"hits": -1}}), "'word_errors' must hold whole num"),
    ("results without a hypothesis", result(RESULT | {"hypothesis": None}), "'hypothesis' must be text"),
    ("results of two normalisers", result(RESULT, RESULT | {"id": "u2", "normalizer": "none v1"}), "mixes normalisers"),
    ("results of brackets", result("[" * 100_000), "results.jsonl:1: is not JSON"),
]  # fmt: skip

OPTIONS: list[tuple[str, str]] = [
    ("--format srt,txt", "several formats need files"),
    ("--skip-existing", "--output-dir DIR or --beside"),
    ("--format srt --no-words", "srt needs word times"),
    ("--decoder greedy --lm-weight 0.5", "does not use --lm-weight"),
    ("--lexicon absent.txt", "absent.txt: no such file"),
    ("--lm-weight=-1", "0 or more"),
    ("--lm none --lm-weight 1", "--lm-weight needs a language model"),
    ("--format doc", "argument --format"),
    ("--format ,", "argument --format"),
    ("--channel left", "argument --channel"),
    ("--n-best 0", "argument --n-best"),
    ("--workers x", "argument --workers"),
    ("--batch-s 0", "argument --batch-s"),
    ("--batch-s nan", "argument --batch-s"),
    ("--hotword :3", "argument --hotword"),
    ("--hotword a:b", "argument --hotword"),
    ("--lm-weight inf", "argument --lm-weight"),
    ("--beside --output-dir x", "argument --output-dir"),
    ("--output-dir good.wav", "choose another folder"),
    ("--rate 8000", "--rate is for live sound"),
    ("--keep-tiers", "--keep-tiers is for files with tiers"),
    ("--frobnicate", "--frobnicate"),
    ("--device gpu9", "device 'gpu9' is unknown"),
    ("--device mps", "only cpu and cuda are supported"),
]  # fmt: skip

CASES = [
    *(Case(given, id_, f"score {words}", says, files) for given, id_, words, files, says in TEXTS),
    *(
        Case(f"{given} to {verb}", "data", f"{verb} a{more}", says, files)
        for given, files, says in RESULTS
        for verb, more in (("report", ""), ("compare", " a/b"))[: 1 if given != "results that are cut" else 2]
    ),
    *(
        Case(
            f"transcribe {words}",
            "config" if "device" in words else "usage",
            f"transcribe model good.wav {words}",
            says,
        )
        for words, says in OPTIONS
    ),
    Case("an unknown verb", "usage", "trian", "did you mean `asr train`?"),
    Case("an unknown option in place of a verb", "usage", "--foo", "unknown option '--foo'"),
    Case(
        "a word that is neither model nor recording",
        "usage",
        "transcribe absent a.wav",
        "no such model directory or recording",
    ),
    Case("a model without recordings", "usage", "transcribe model", "no recordings are given"),
    Case("two models", "usage", "transcribe model model good.wav", "model and model are models; give one"),
    Case("a comparison of one system", "usage", "compare a", "needs the results of two systems"),
    Case("a report of no results", "data", "report in", "holds neither results.jsonl", {"in/a": ""}),
    Case(
        "a report of results and a run",
        "usage",
        "report run a",
        "not both at once",
        {**result(RESULT), "run/metrics.jsonl": ""},
    ),
    Case(
        "a run that has recorded nothing", "data", "report run", "has recorded nothing yet", {"run/metrics.jsonl": ""}
    ),
    Case(
        "two outputs in one file",
        "usage",
        "report a --html x --json x",
        "two outputs have the same file",
        result(RESULT),
    ),
    Case("a page in place of its input", "usage", "report a --html a/results.jsonl", "is an input", result(RESULT)),
    Case("no text to align", "data", "align model good.wav t.txt", "t.txt: cannot be read"),
    Case(
        "a text to align in Latin-1",
        "data",
        "align model good.wav t.txt",
        "is not UTF-8 text (byte 3)",
        {"t.txt": b"caf\xe9"},
    ),
    Case(
        "a text to align of zero bytes", "data", "align model good.wav t.txt", "it holds zero bytes", {"t.txt": b"a\0b"}
    ),
    Case(
        "a text to align of other letters", "text", "align model good.wav t.txt", "cannot be aligned", {"t.txt": "xyz"}
    ),
    Case("a text to align that is empty", "text", "align model good.wav t.txt", "cannot be aligned", {"t.txt": "\n"}),
    Case("an alignment without its text", "usage", "align model good.wav", "a recording and its text go after it"),
    Case("an inspection of 31 seconds", "usage", "inspect model good.wav --duration 31", "at most 30 s"),
    Case("an inspection from before the start", "usage", "inspect model good.wav --start=-1", "must not be negative"),
    Case("an inspection over its recording", "usage", "inspect model good.wav --html good.wav", "cannot be written"),
    Case(
        "an inspection over the model",
        "usage",
        "inspect model good.wav --npz model/config.json",
        "is a file of the model",
    ),
    Case(
        "a check into what is checked",
        "usage",
        "check m.jsonl --fix m.jsonl",
        "one of the manifests to check",
        {"m.jsonl": "{}"},
    ),
    Case("a server of two models of one name", "usage", "serve a=model a=model", "two models are called 'a'"),
    Case("a report of one folder twice", "usage", "report a a", "the same name", result(RESULT)),
    Case("two names for one result", "usage", "report a --name x --name y", "is given 2 times for 1", result(RESULT)),
    Case("a page in place of a folder", "usage", "report a --html a", "is a folder", result(RESULT)),
    Case("a page with sound of no manifest", "usage", "report a --html x --audio embed", "manifest", result(RESULT)),
    Case(
        "results against a run", "usage", "report a --against run", "--against compares training runs", result(RESULT)
    ),
    Case("a comparison with itself", "usage", "compare a a", "", result(RESULT)),
    Case("a comparison of equal names", "usage", "compare x=a x=b", "", result(RESULT)),
    Case("an inspection with one file twice", "usage", "inspect model good.wav --html x --npz x", "the same file"),
    Case("an inspection into a folder", "usage", "inspect model good.wav --html .", "is a folder"),
    Case("an inspection below a file", "usage", "inspect model good.wav --html good.wav/x", "a folder is needed there"),
    Case(
        "an alignment by no model",
        "usage",
        "align in good.wav t.txt",
        "not a model directory",
        {"in/a": "", "t.txt": "a"},
    ),
    Case("an alignment of one word", "usage", "align good.wav", "required: TEXT"),
    Case("an alignment with a recording as text", "data", "align model good.wav good.wav", "save it as UTF-8 text"),
    Case(
        "an alignment in two formats",
        "usage",
        "align model good.wav t.txt --format srt,vtt",
        "--output-dir",
        {"t.txt": "a"},
    ),
    Case(
        "an impossible confidence",
        "config",
        "align model good.wav t.txt --segments x --min-confidence 2",
        "min_confidence",
        {"t.txt": "a"},
    ),
    Case("a calibration without a manifest", "usage", "calibrate model", "required: DEV_MANIFEST"),
    Case("a calibration by no normaliser", "usage", "calibrate model m.jsonl --normalizer what", "--normalizer"),
    Case("a calibration with an unknown option", "usage", "calibrate model m.jsonl --outt x", "--outt"),
    Case("a folder for a report that is not named", "usage", "score r h --out", "--out", pair("u_1 a b\n")),
    Case("an unknown experiment", "usage", "probe gradient", "did you mean"),
]
