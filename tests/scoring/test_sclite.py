"""NIST's sclite as an oracle: its counts utterance by utterance, for whatever both tools can read."""

import random
import re
import shutil
import subprocess
import tracemalloc
import unicodedata
from pathlib import Path

import pytest

from asr.cli import main
from asr.scoring.counts import ErrorCounts, count_word_errors
from asr.scoring.sclite import count_words_as_sclite

Pairs = list[tuple[str, str]]
_SCORES = re.compile(r"^id: \((?P<id>\S+)\)$.*?^Scores: \(#C #S #D #I\) (\d+) (\d+) (\d+) (\d+)$", re.M | re.S)


def run_sclite(*arguments: str) -> dict[str, ErrorCounts]:
    """sclite's counts by utterance id; Debian has it behind the command ``sctk``."""
    command = ["sclite"] if shutil.which("sclite") else ["sctk", "sclite"]
    if shutil.which(command[0]) is None:
        pytest.skip("sclite is not installed (Debian: apt-get install sctk)")
    options = ["-e", "utf-8", "-o", "pralign", "stdout"]
    done = subprocess.run([*command, *arguments, *options], capture_output=True, check=True)
    found = _SCORES.findall(done.stdout.decode("utf-8", "replace"))
    return {key: ErrorCounts(*map(int, numbers)) for key, *numbers in found}


def sclite_counts(folder: Path, pairs: Pairs) -> list[ErrorCounts]:
    for name, side in (("ref.trn", 0), ("hyp.trn", 1)):
        lines = [f"{pair[side]} (s-{index:06d})\n" for index, pair in enumerate(pairs)]
        (folder / name).write_text("".join(lines), encoding="utf-8")
    names = str(folder / "ref.trn"), str(folder / "hyp.trn")
    counts = run_sclite("-i", "rm", "-r", names[0], "trn", "-h", names[1], "trn", "-s")
    assert len(counts) == len(pairs)
    return [counts[f"s-{index:06d}"] for index in range(len(pairs))]


def random_pairs(count: int) -> Pairs:
    """Half of them unrelated words of few kinds (many equal alignments), half sentences with errors put in."""
    rng = random.Random(20260401)
    words = [f"w{index}" for index in range(300)]
    pairs: Pairs = []
    for index in range(count):
        few = words[: rng.choice((2, 3, 5, 9))]
        said = [rng.choice(few if index % 2 else words) for _ in range(rng.randrange(25))]
        heard = [rng.choice(few) for _ in range(rng.randrange(25))]
        if index % 2 == 0:
            heard = [rng.choice(words) if rng.random() < 0.15 else word for word in said if rng.random() > 0.1]
            heard = [piece for word in heard for piece in ([word] if rng.random() > 0.1 else [word, rng.choice(few)])]
        pairs.append((" ".join(said), " ".join(heard)))
    return pairs


HARD: Pairs = [
    ("", ""),
    ("", "a b c"),
    ("a b c", ""),
    ("a b x y z", "p q r a b"),  # 5 errors at the fewest, 6 by sclite's costs
    ("caf\u00e9 na\u00efve", "caf\u00e9 na\u00efve"),
    ("caf\u00e9", unicodedata.normalize("NFD", "caf\u00e9")),
    ("well-known fact", "well known fact"),
    ("e-mail", "email"),
    ("black board", "blackboard"),
    ("blackboard is here", "black board is here"),
    ("Hello WORLD", "hello world"),
    ("STRASSE stra\u00dfe", "stra\u00dfe strasse"),
    ("the the the the", "the the"),
    ("the the", "the the the the the"),
    ("no no yes no", "no yes no no"),
    ("\u4f60\u597d \u4e16\u754c", "\u4f60\u597d \u4e16 \u754c"),
    ("\u0645\u0631\u062d\u0628\u0627 \u043f\u0440\u0438\u0432\u0435\u0442", "\u043f\u0440\u0438\u0432\u0435\u0442"),
    ("it's o'clock rock'n'roll", "its o'clock rock and roll"),
    ("a " * 400 + "b", "b " + "a " * 400),
    (" ".join(f"w{i % 97}" for i in range(1500)), " ".join(f"w{(i * 7) % 97}" for i in range(1400))),
]


def test_counts_of_hard_pairs_are_those_of_sclite(tmp_path: Path) -> None:
    expected = sclite_counts(tmp_path, HARD)
    assert count_words_as_sclite(*map(list, zip(*HARD, strict=True))) == expected


@pytest.mark.parametrize("count", [1_000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_counts_of_random_pairs_are_those_of_sclite(tmp_path: Path, count: int) -> None:
    pairs = random_pairs(count)
    expected = sclite_counts(tmp_path, pairs)
    found = count_words_as_sclite(*map(list, zip(*pairs, strict=True)))
    assert [index for index in range(len(pairs)) if found[index] != expected[index]] == []


def test_fewest_errors_are_never_more_than_those_of_sclite_and_seldom_fewer(tmp_path: Path) -> None:
    pairs = random_pairs(2_000)
    expected = sclite_counts(tmp_path, pairs)
    extra = [theirs.errors - count_word_errors(*pair).errors for pair, theirs in zip(pairs, expected, strict=True)]
    sentences, unrelated = extra[0::2], extra[1::2]
    assert min(extra) >= 0
    assert sum(map(bool, sentences)) / len(sentences) < 0.01  # sentences with errors in them: nearly always the same
    assert sum(map(bool, unrelated)) > 0  # but not by law


def test_sclites_alignment_by_hand() -> None:
    # costs 4 and 3: five substitutions are 20, three deletions and three insertions 18
    assert count_word_errors("a b x y z", "p q r a b") == ErrorCounts(substitutions=5)
    assert count_words_as_sclite(["a b x y z"], ["p q r a b"]) == [ErrorCounts(hits=2, deletions=3, insertions=3)]
    assert count_words_as_sclite([""], ["a"]) == [ErrorCounts(insertions=1)]
    assert count_words_as_sclite(["a b"], [""]) == [ErrorCounts(deletions=2)]


STM = """;; a comment
rec1 1 ann 0.00 2.00 <o,f0,female> hello world (%hesitation) { yes / yeah / i do }
rec1 1 inter_segment_gap 2.00 2.50 <o,,>
rec1 1 bob 2.50 4.00 <o,f1,male> this is it
rec1 1 bob 4.00 6.00 <o,f1,male> IGNORE_TIME_SEGMENT_IN_SCORING
rec1 1 ann 7.00 8.00 the { big / { very large / @ } } end
rec2 A eve 0 3 <o,f0,female>
"""
CTM = """;; a comment
rec1 1 0.1 0.3 hello 0.9
rec1 1 0.5 0.3 word 0.9
rec1 1 1.0 0.3 yeah
rec1 1 2.1 0.2 noise
rec1 1 2.4 0.3 this
rec1 1 3.0 0.3 is
rec1 1 3.9 0.5 it
rec1 1 4.5 0.5 junk
rec1 1 6.5 0.2 the
rec1 1 7.2 0.2 large
rec1 1 7.9 0.5 end
rec1 1 9.8 0.5 tail
rec2 A 1 0.5 what
"""


def test_stm_and_ctm_give_the_figures_of_sclite_with_optional_words_deletable(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stm, ctm = tmp_path / "ref.stm", tmp_path / "hyp.ctm"
    stm.write_text(STM, encoding="utf-8")
    ctm.write_text(CTM, encoding="utf-8")
    theirs = ErrorCounts.total(run_sclite("-r", str(stm), "stm", "-h", str(ctm), "ctm", "-s", "-D").values())
    assert figures(capsys, stm, ctm) == theirs


def figures(capsys: pytest.CaptureFixture[str], *command: Path | str) -> ErrorCounts:
    """What `asr score` counts by sclite's costs; without the hits, which the line does not have."""
    options = ["--normalizer", "none", "--alignment", "sclite", "--print", "line"]
    assert main(["score", *map(str, command), *options]) == 0
    line = dict(pair.split("=") for pair in capsys.readouterr().out.split())
    s, d, i, n = (int(line[key]) for key in "sdin")
    return ErrorCounts(n - s - d, s, d, i)


def test_a_word_that_was_left_out_stays_in_n(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ref, hyp = tmp_path / "ref.trn", tmp_path / "hyp.trn"
    ref.write_text("a (uh) b c d (s-1)\n(uh) a (s-2)\na b (s-3)\n", encoding="utf-8")
    hyp.write_text("a b c e (s-1)\na x (s-2)\na (uh) b (s-3)\n", encoding="utf-8")
    theirs = run_sclite("-i", "spu_id", "-r", str(ref), "trn", "-h", str(hyp), "trn", "-s", "-D")
    assert theirs["s-1"] == ErrorCounts(hits=4, substitutions=1)  # 1 in 5
    assert figures(capsys, ref, hyp) == ErrorCounts.total(theirs.values())
    assert figures(capsys, ref, hyp, "--optional-words", "ordinary") == ErrorCounts(
        hits=6, substitutions=1, deletions=2, insertions=2
    )


ALTERNATIVES = """r1 1 0.0 0.4 so
r1 1 * * <ALT_BEGIN>
r1 1 0.5 0.2 don't
r1 1 * * <ALT>
r1 1 0.5 0.1 do
r1 1 0.6 0.1 not
r1 1 * * <ALT_END>
r1 1 1.0 0.4 go
r1 1 * * <ALT_BEGIN>
r1 1 2.8 0.6 home
r1 1 * * <ALT>
r1 1 * * <ALT_END>
"""


@pytest.mark.parametrize("reference", ["r1 1 s 0.0 2.0 so do not go\nr1 1 s 2.0 4.0 now\n", ALTERNATIVES])
def test_alternatives_of_a_ctm_are_taken_as_sclite_takes_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], reference: str
) -> None:
    kind = "ctm" if reference == ALTERNATIVES else "stm"
    ref, hyp = tmp_path / f"ref.{kind}", tmp_path / "hyp.ctm"
    ref.write_text(reference.replace("so", "see", 1), encoding="utf-8")
    hyp.write_text(ALTERNATIVES, encoding="utf-8")
    theirs = run_sclite("-r", str(ref), kind, "-h", str(hyp), "ctm", "-s")
    assert figures(capsys, ref, hyp) == ErrorCounts.total(theirs.values())


@pytest.mark.parametrize(
    ("ours", "theirs"), [("references", ["ref"]), ("hypotheses", ["hyp"]), ("both", ["ref", "hyp"])]
)
def test_either_side_is_reduced_as_sclite_reduces_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], ours: str, theirs: list[str]
) -> None:
    stm, ctm = tmp_path / "ref.stm", tmp_path / "hyp.ctm"
    lines = "r1 1 s 0.0 2.0 a b\nr1 1 s 3.0 5.0 c d\nr1 1 s 6.0 8.0 e f\nr1 1 s 9.0 10.0 g\n"
    stm.write_text(lines, encoding="utf-8")
    words = [(2.2, "x"), (3.1, "c"), (4.0, "d"), (6.1, "e"), (6.8, "q")]
    if ours != "references":
        words = [*words, (10.3, "y"), (12.0, "z")]
    ctm.write_text("".join(f"r1 1 {start} 0.5 {word}\n" for start, word in words), encoding="utf-8")
    found = run_sclite("-r", str(stm), "stm", "-h", str(ctm), "ctm", "-s", "-m", *theirs)
    assert figures(capsys, stm, ctm, "--reduce", ours) == ErrorCounts.total(found.values())


def test_ten_thousand_words_each_take_little_memory() -> None:
    rng = random.Random(4)
    texts = [" ".join(rng.choice("abcdefgh") for _ in range(1_400)) for _ in range(2)]
    pairs = [list(one) for one in zip(texts, strict=True)]
    tracemalloc.start()
    (found,) = count_words_as_sclite(*pairs)
    kept = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert kept < 5e6, "with the square of the length it was 9 bytes a pair of words, here 18 MB"
    rows = list(range(0, 3 * 1_401, 3))  # the costs again, by the textbook
    for place, said in enumerate(texts[0].split(), start=1):
        before, rows[0] = rows[0], 3 * place
        for column, heard in enumerate(texts[1].split(), start=1):
            before, rows[column] = (
                rows[column],
                min(before + 4 * (said != heard), rows[column] + 3, rows[column - 1] + 3),
            )
    assert 4 * found.substitutions + 3 * (found.deletions + found.insertions) == rows[-1]


@pytest.mark.parametrize("export_format", ["trn", "ctm"])
def test_what_is_exported_makes_the_same_figures_in_sclite(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], export_format: str
) -> None:
    (tmp_path / "ref.stm").write_text(STM.upper().replace("<O", "<o"), encoding="utf-8")
    (tmp_path / "hyp.ctm").write_text(CTM, encoding="utf-8")
    out = tmp_path / "export"
    options = ["--alignment", "sclite", "--print", "line", "--export", str(out), "--export-format", export_format]
    (tmp_path / "ref.stm").write_text(STM.replace("hello world", "Hello, World!"), encoding="utf-8")
    assert main(["score", str(tmp_path / "ref.stm"), str(tmp_path / "hyp.ctm"), *options]) == 0
    line = dict(pair.split("=") for pair in capsys.readouterr().out.split())
    files = (
        ("-i", "rm", "-r", str(out / "ref.trn"), "trn", "-h", str(out / "hyp.trn"), "trn")
        if export_format == "trn"
        else ("-r", str(out / "ref.stm"), "stm", "-h", str(out / "hyp.ctm"), "ctm")
    )
    theirs = ErrorCounts.total(run_sclite(*files, "-s").values())
    assert {name: int(line[name]) for name in "sdin"} == {
        "s": theirs.substitutions,
        "d": theirs.deletions,
        "i": theirs.insertions,
        "n": theirs.reference_length + 1,  # the hesitation that was left out is not exported
    }
