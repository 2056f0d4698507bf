"""Model directories, language models and checkpoints that cannot be used."""

import gzip
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from tests.faults.case import CONFIG, WEIGHTS, Case, Content, config, edit, weights

USE = "transcribe model good.wav"
ARPA = r"""\data\
ngram 1=5
ngram 2=4
ngram 3=2

\1-grams:
-1.0	<unk>
-99	<s>	-0.3
-0.7	</s>
-0.6	a	-0.2
-0.4	b	-0.5

\2-grams:
-0.2	<s> a	-0.1
-0.3	a b	-0.15
-0.35	b b	-0.07
-0.1	b </s>

\3-grams:
-0.05	<s> a b
-0.12	a b </s>

\end\
"""


def tensors(change: Callable[[dict[str, np.ndarray]], object]) -> Mapping[str, Content]:
    """The weights with other tensors."""

    def rewrite(path: Path) -> None:
        arrays = safetensors.numpy.load_file(path)
        change(arrays)
        safetensors.numpy.save_file(arrays, path)

    return weights(rewrite)


def of(group: str, **changes: Any) -> Mapping[str, Content]:
    """config.json with other values in one of its groups."""
    return config(lambda values: values[group].update(changes))


def without(key: str) -> Mapping[str, Content]:
    """config.json without a key."""
    return config(lambda values: values.pop(key))


def tokens(**description: Any) -> Mapping[str, Content]:
    """config.json with another tokenizer."""
    return config(lambda values: values.update(tokenizer=description))


def header(text: bytes) -> Mapping[str, Content]:
    """Weights that are a header of safetensors alone."""
    return weights(lambda path: path.write_bytes(len(text).to_bytes(8, "little") + text))


def extra(name: str, values: object) -> Mapping[str, Content]:
    """Another JSON file of the model directory, which names its weights."""

    def write(path: Path) -> None:
        digest = json.loads((path.parent / "config.json").read_text(encoding="utf-8"))["sha256"]["model.safetensors"]
        path.write_text(json.dumps({**values, "weights_sha256": digest} if isinstance(values, dict) else values))

    return {f"model/{name}": write}


def nan(arrays: dict[str, np.ndarray]) -> None:
    """One weight that is not a number."""
    arrays["model.head.bias"][1] = np.nan


DAMAGED, UNFIT = "model-damaged", "model"
CONFIGS: list[tuple[str, str, Mapping[str, Content], str]] = [
    ("an empty config.json", DAMAGED, {CONFIG: ""}, "cannot be read"),
    ("a config.json that is cut", DAMAGED, {CONFIG: '{"format": 1'}, "cannot be read"),
    ("a config.json that is not UTF-8", DAMAGED, {CONFIG: b"\xff"}, "cannot be read"),
    ("a config.json of brackets", DAMAGED, {CONFIG: "[" * 100_000}, "cannot be read"),
    ("a config.json with 5,000 digits", DAMAGED, {CONFIG: '{"format": ' + "9" * 5000 + "}"}, "cannot be read"),
    ("a config.json that is a list", UNFIT, {CONFIG: "[]"}, "format None is unknown"),
    ("a config.json that is null", UNFIT, {CONFIG: "null"}, "format None is unknown"),
    ("a later format", UNFIT, config(lambda values: values.update(format=2)), "format 2 is unknown"),
    ("no format", UNFIT, without("format"), "format None is unknown"),
    ("an unknown encoder", UNFIT, of("model", name="transformer9"), "model.name='transformer9' is unknown"),
    ("a list as model", UNFIT, config(lambda values: values.update(model=[])), "'model' must be a group of keys"),
    ("a hidden size of 10^9", UNFIT, of("model", hidden_size=10**9), "cannot be understood"),
    ("a hidden size of 20,000", UNFIT, of("model", hidden_size=20_000), "fit"),
    ("a hidden size of 10^30", UNFIT, of("model", hidden_size=10**30), "cannot be understood"),
    ("10^9 layers", UNFIT, of("model", num_layers=10**9), "model.num_layers=1000000000 must be 1 to 64"),
    ("a layer too many", UNFIT, of("model", num_layers=3), "does not fit"),
    ("an infinite window", UNFIT, of("features", window_s=10**400), "features.window_s must be a finite number"),
    ("other features", UNFIT, of("features", n_mels=13), "does not fit"),
    ("no features", UNFIT, without("features"), "no key 'features'"),
    ("no tokenizer", UNFIT, without("tokenizer"), "no key 'tokenizer'"),
    ("no model", UNFIT, without("model"), "no key 'model'"),
    ("no checksum", DAMAGED, without("sha256"), "SHA-256"),
    ("a word as checksum", DAMAGED, config(lambda values: values.update(sha256="x")), "SHA-256"),
    ("a letter too many", UNFIT, config(lambda values: values["tokenizer"]["characters"].append("z")), "head.weight"),
    ("an unknown tokenizer", UNFIT, of("tokenizer", name="runes"), "'runes' is unknown"),
    ("a list as tokenizer", UNFIT, config(lambda values: values.update(tokenizer=[])), "tokenizer: "),
    ("no letters", UNFIT, tokens(name="characters", characters=None), "tokenizer: "),
    ("numbers as letters", UNFIT, tokens(name="characters", characters=[1]), "tokenizer: "),
    ("a letter that comes twice", UNFIT, tokens(name="characters", characters=["a", "a"]), "tokenizer: "),
    ("letters of two characters", UNFIT, tokens(name="characters", characters=["ab"]), "tokenizer: "),
    ("words with a space", UNFIT, tokens(name="words", words=["a b"]), "tokenizer: "),
    ("an empty word", UNFIT, tokens(name="words", words=[""]), "tokenizer: "),
    ("units without their kind", UNFIT, tokens(name="units", units=["ab"]), "tokenizer: "),
    ("pieces that are none", UNFIT, tokens(name="sentencepiece", model_base64="AAAA"), "tokenizer: "),
    ("absent weights", "model-missing", {WEIGHTS: lambda path: path.unlink()}, "absent; the model directory is incomp"),
    ("a flipped bit", DAMAGED, {WEIGHTS: edit(lambda old: old[:-1] + bytes([old[-1] ^ 1]))}, "its SHA-256 is not"),
    ("weights that are cut", DAMAGED, {WEIGHTS: edit(lambda old: old[:-9])}, "its SHA-256 is not"),
    ("a weight that is not a number", DAMAGED, tensors(nan), "model.head.bias holds NaN"),
    ("a tensor too few", UNFIT, tensors(lambda arrays: arrays.pop("model.head.bias")), "head.bias"),
    ("a tensor too many", UNFIT, tensors(lambda a: a.update({"model.x": np.zeros(1)})), "x"),
    ("weights without the normalisation", UNFIT, tensors(lambda arrays: arrays.pop("features.mean")), "features.mean"),
    ("weights of no bytes", UNFIT, weights(lambda path: path.write_bytes(b"")), "does not fit config.json"),
    ("weights that are a text", UNFIT, weights(lambda path: path.write_bytes(b"text" * 99)), "does not fit"),
    ("weights with a header that is no JSON", UNFIT, header(b"{" * 64), "does not fit"),
    ("weights with a tensor beyond the end", UNFIT,
     header(b'{"model.head.bias":{"dtype":"F32","shape":[9999999999],"data_offsets":[0,39999999996]}}'), "does not fi"),
]  # fmt: skip

EXTRAS: list[tuple[str, str, Mapping[str, Content], str]] = [
    ("a decoding.json that is cut", DAMAGED, {"model/decoding.json": "{"}, "decoding.json: cannot be read"),
    ("a decoding.json of brackets", DAMAGED, {"model/decoding.json": "[" * 100_000}, "cannot be read"),
    ("a decoding.json of no weights", DAMAGED, {"model/decoding.json": "{}"}, "does not name the weights"),
    ("a decoding.json of other weights", UNFIT, {"model/decoding.json": '{"weights_sha256": "x"}'}, "other weights"),
    ("a decoding.json without settings", UNFIT, extra("decoding.json", {}), "cannot be understood"),
    ("a decoding.json of greedy decoding", UNFIT,
     extra("decoding.json", {"settings": {"name": "greedy"}, "sha256": {"lm.bin": "x"}}), "is for greedy decoding"),
    ("a decoding.json without its language model", UNFIT,
     extra("decoding.json", {"settings": {"name": "beam"}, "sha256": {"lm.bin": "x"}}), "absent, or not the one"),
    ("a calibration.json that is a list", DAMAGED, extra("calibration.json", []), "does not name the weights"),
    ("a calibration.json without numbers", DAMAGED, extra("calibration.json", {}), "calibration.json: damaged"),
    ("an ONNX file that is none", UNFIT, {"model/model.onnx": b"x"}, "model.onnx: onnxruntime cannot read it"),
]  # fmt: skip


def arpa(before: str, after: str) -> Mapping[str, Content]:
    """The ARPA file with one line changed."""
    assert before in ARPA
    return {"a.arpa": ARPA.replace(before, after)}


MODELS: list[tuple[str, str, Mapping[str, Content], str]] = [
    ("a log-probability that is a word", DAMAGED, arpa("-0.6\ta", "x0.6\ta"), "a.arpa:10: 'x0.6' should be a log-prob"),
    ("a backoff that is not a number", DAMAGED, arpa("-0.6\ta\t-0.2", "-0.6\ta\tnan"), "a.arpa:10: 'nan' cannot be a"),
    ("a probability above 1", DAMAGED, arpa("-0.6\ta", "0.6\ta"), "a.arpa:10: "),
    ("an n-gram without words", DAMAGED, arpa("-0.6\ta\t-0.2", "-0.6"), "a.arpa:10: "),
    ("an n-gram of an unknown word", DAMAGED, arpa("-0.3\ta b", "-0.3\ta z"), "a.arpa:15: the word 'z' is not among"),
    ("an n-gram of too many words", DAMAGED, arpa("-0.3\ta b", "-0.3\ta b c\t0"), "a.arpa:15: "),
    ("a word that comes twice", DAMAGED, arpa("-0.6\ta", "-0.6\tb"), "a.arpa:11: the word 'b' is among the unigrams a"),
    ("an n-gram that comes twice", DAMAGED, arpa("-0.3\ta b", "-0.3\t<s> a"), "a.arpa:15: "),
    ("an n-gram too few", DAMAGED, arpa("ngram 2=4", "ngram 2=5"), "a.arpa:19: "),
    ("an n-gram too many", DAMAGED, arpa("ngram 2=4", "ngram 2=3"), "expected the section \\3-grams:"),
    ("no unigrams", DAMAGED, arpa("ngram 1=5", "ngram 2=5"), "a.arpa:2: "),
    ("10^15 n-grams", DAMAGED, arpa("ngram 1=5", "ngram 1=999999999999999"), "promises 999,999,999,999,999 n-grams"),
    ("10^30 n-grams", DAMAGED, arpa("ngram 1=5", f"ngram 1={10**30}"), "more than memory holds"),
    ("10^5000 n-grams", DAMAGED, arpa("ngram 1=5", f"ngram 1={'9' * 5_000}"), "a.arpa:2: expected a count"),
    ("no end", DAMAGED, arpa("\\end\\\n", ""), "expected \\end\\ after 2"),
    ("no data", DAMAGED, arpa("\\data\\", "\\dota\\"), "not an ARPA file"),
    ("no end of a sentence", DAMAGED, {"a.arpa": ARPA.replace("</s>", "stop")}, "no </s>"),
    ("a word that is not UTF-8", DAMAGED,
     {"a.arpa": ARPA.encode().replace(b"\ta", b"\t\xe9").replace(b" a", b" \xe9")}, "UTF-8"),
    ("a text as language model", DAMAGED, {"a.arpa": "once upon a time\n"}, "not an ARPA file"),
    ("half of a compressed model", DAMAGED, {"a.arpa": gzip.compress(ARPA.encode())[:90]}, "compression is damaged"),
    ("the mark of a binary and nothing else", DAMAGED, {"a.arpa": b"asrngram\1" + bytes(99)}, "is damaged"),
    ("an empty language model", DAMAGED, {"a.arpa": b""}, "not an ARPA file"),
    ("no such language model", "model-missing", {}, "a.arpa: no such language model"),
    ("a folder as language model", "model-missing", {"a.arpa/x": ""}, "a.arpa: is a folder"),
]  # fmt: skip

RUN = {"run/config.yaml": "", "run/checkpoints/last.ckpt": ""}
CASES = [
    *(Case(given, id_, USE, ("model/", says), files) for given, id_, files, says in CONFIGS),
    *(
        Case(given, id_, USE + (" --backend onnx" if "ONNX" in given else ""), says, files)
        for given, id_, files, says in EXTRAS
    ),
    *(
        Case(f"{given}, with onnxruntime", id_, f"{USE} --backend onnx", says, files)
        for given, id_, files, says in CONFIGS
        if "weight" in given or "size" in given or "tensor" in given
    ),
    *(Case(f"a language model with {given}", id_, "lm info a.arpa", says, files) for given, id_, files, says in MODELS),
    Case("a folder that is no model", "model-missing", "export in", "it has no config.json", {"in/a": ""}),
    Case(
        "a run in place of its model",
        "model-missing",
        "export run",
        "did you mean run/model?",
        {"run/model/config.json": "{}"},
    ),
    Case("no such model", "model-missing", "inspect absent good.wav", "no such folder"),
    Case("no such model to serve", "model-missing", "serve absent", "no such folder"),
    Case("a word that is no model to export", "model-missing", "export absent", "no such folder"),
    Case(
        "a layer that is not there",
        "model",
        "inspect model good.wav --layer 7",
        "no layer 7; its bilstm has layers 1 to 2",
    ),
    Case(
        "a language model of other letters",
        "config",
        f"{USE} --lm a.arpa",
        "none of its 2 words",
        {"a.arpa": ARPA.replace("\ta", "\tx").replace(" a", " x").replace("\tb", "\ty").replace(" b", " y")},
    ),
    Case("a language model that is no file", "usage", f"{USE} --lm a.arpa", "--lm a.arpa: no such file"),
    Case("a lexicon without words", "config", f"{USE} --lexicon l.txt", "holds no words", {"l.txt": "\n"}),
    Case(
        "a lexicon of other letters",
        "config",
        f"{USE} --lexicon l.txt",
        "spell none of its 2 words",
        {"l.txt": "xx\nyy\n"},
    ),
    Case("a hotword of other letters", "config", f"{USE} --hotword xyz", "cannot be spelled"),
    Case("a mixture of one model", "usage", "lm mix a --weights 1 --out x.bin", "two or more"),
    Case("a mixture with a weight too few", "usage", "lm mix a b --weights 1 --out x.bin", "one per model"),
    Case("a mixture with a negative weight", "usage", "lm mix a b --weights 1 -1 --out x.bin", "above 0"),
    Case(
        "a language model of order 0",
        "config",
        "lm build t.txt --order 0 --out x.bin",
        "order must be 1 to 10",
        {"t.txt": "a"},
    ),
    Case(
        "a language model pruned of single words",
        "config",
        "lm build t.txt --prune 1 --out x.bin",
        "must begin with 0",
        {"t.txt": "a"},
    ),
    Case("a language model of no text", "data", "lm build t.txt --out x.bin", "no such text"),
    Case("a language model of an empty text", "data", "lm build t.txt --out x.bin", "words", {"t.txt": "\n"}),
    Case(
        "a language model of a text in Latin-1",
        "data",
        "lm build t.txt --out x.bin",
        "t.txt:2: is not UTF-8 (byte 0xe9)",
        {"t.txt": b"a\ncaf\xe9\n"},
    ),
    Case(
        "a language model of a damaged archive",
        "data",
        "lm build t.txt.gz --out x.bin",
        "t.txt.gz: its compression is damaged",
        {"t.txt.gz": gzip.compress(b"a b c\n" * 99)[:30]},
    ),
    Case("an unknown verb of language models", "usage", "lm bild", "did you mean `asr lm build`"),
]
