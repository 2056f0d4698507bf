"""Perplexity by hand and as independent tools have it: KenLM's module, IRSTLM's compile-lm, on ARPA files of ours."""

import math
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from asr.lm.build import BuildOptions, build_lm
from asr.lm.files import read_lm, write_lm
from asr.lm.query import Perplexity, measure
from tests.lm.plain_query import model_of
from tests.lm.test_build import zipfian_sentences
from tests.lm.test_query import ARPA

TEXTS = [*zipfian_sentences(60, seed=11), ["w0", "never", "w3"], ["seen"]]


@pytest.fixture(scope="module", params=[(0,), (0, 0, 1)], ids=["whole", "pruned"])
def arpa(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("lm") / "lm.arpa"
    write_lm(path, build_lm(zipfian_sentences(500, seed=4), BuildOptions(order=4, cutoffs=request.param)).trie)
    return path


def test_perplexity_worked_out_by_hand() -> None:
    # "a b" scores 10^-1.0 (test_query.py: -0.2 -0.1 -0.4 = -0.7), "z b" 10^-(1.3 + 0.5 + 0.4): 6 tokens, one unknown
    found = measure(model_of(ARPA), [["a", "b"], ["z", "b"]])

    assert (found.sentences, found.tokens, found.unknown) == (2, 6, 1)
    assert found.including_unknown == pytest.approx(10 ** ((0.7 + 2.2) / 6), rel=1e-6)
    assert found.excluding_unknown == pytest.approx(10 ** ((0.7 + 0.9) / 5), rel=1e-6)
    assert found.unknown_rate == 1 / 4


def test_nothing_has_no_perplexity() -> None:
    found = measure(model_of(ARPA), [])

    assert found.tokens == 0
    assert math.isnan(found.including_unknown)
    assert math.isnan(found.unknown_rate)
    assert Perplexity(1, 1, 0, -1e9, 0.0).including_unknown == math.inf


def test_perplexity_equals_kenlms(arpa: Path) -> None:
    kenlm = pytest.importorskip("kenlm", reason="pip install kenlm==0.3.0 (needs a C++ compiler)")
    scores = [score for text in TEXTS for score in kenlm.Model(str(arpa)).full_scores(" ".join(text))]
    known = [log10 for log10, _, is_unknown in scores if not is_unknown]

    found = measure(read_lm(arpa), TEXTS)

    assert (found.tokens, found.unknown) == (len(scores), len(scores) - len(known))
    assert found.unknown == 2
    expected = 10 ** (-sum(log10 for log10, _, _ in scores) / len(scores))
    assert found.including_unknown == pytest.approx(expected, rel=1e-5)
    assert found.excluding_unknown == pytest.approx(10 ** (-sum(known) / len(known)), rel=1e-5)


def test_perplexity_equals_irstlms(arpa: Path, tmp_path: Path) -> None:
    irstlm = shutil.which("irstlm")
    if irstlm is None:
        pytest.skip("Debian: apt install irstlm")
    known = TEXTS[:-2]  # its own notion of unknown words is another
    (tmp_path / "text").write_text("".join(f"<s> {' '.join(text)} </s>\n" for text in known), encoding="utf-8")

    shown = subprocess.run(
        [irstlm, "compile-lm", str(arpa), f"--eval={tmp_path / 'text'}"], capture_output=True, text=True, check=True
    )

    figures = re.search(r"Nw=(\d+) PP=([\d.]+)", shown.stdout + shown.stderr)
    assert figures is not None, shown
    found = measure(read_lm(arpa), known)
    assert int(figures[1]) == found.tokens
    assert found.including_unknown == pytest.approx(float(figures[2]), abs=0.0051)  # it prints two decimals
