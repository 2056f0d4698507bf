"""The English recipe: made-up corpora in their own layouts; no speaker and no sentence of a test set is in train."""

import hashlib
from pathlib import Path

import pytest

from asr.data.manifest import Utterance, read_manifest
from asr.data.prepare import run_prepare
from asr.errors import DataError
from tests.data.test_recipes_large import parts, write_tone

ENGLISH = Path(__file__).parents[2] / "recipes" / "english"
CLIENTS = sorted((f"client{n}" for n in range(10)), key=lambda name: hashlib.sha256(name.encode()).hexdigest())


def write_libri(root: Path, part: str, speaker: str, *texts: str) -> None:
    folder = root / part / speaker / "77"
    lines = [f"{speaker}-77-{number:04d} {text}\n" for number, text in enumerate(texts)]
    for line in lines:
        write_tone(folder / f"{line.split()[0]}.flac")
    (folder / f"{speaker}-77.trans.txt").write_text("".join(lines))


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    root = tmp_path / "corpora"
    libri = root / "LibriSpeech"
    write_libri(libri, "train-clean-5", "19", "THE MAN'S HAT", "A DEV SENTENCE")
    write_libri(libri, "dev-clean", "251", "A DEV SENTENCE")
    write_libri(libri, "dev-clean", "84", "A TEST SENTENCE")
    clips = root / "common-voice-extra" / "en" / "clips"
    rows = [f"{CLIENTS[0]}\tdev1.wav\tOnly there."]
    rows += [f"{client}\t{client}.wav\tWell‑known “client”, isn’t it?" for client in CLIENTS[1:]]
    rows += ["\tnobody.wav\tA test sentence!", f"{CLIENTS[-1]}\taccent.wav\tA café.", f"{CLIENTS[0]}\tdev.wav\tYes."]
    for row in rows:
        write_tone(clips / row.split("\t")[1])
    table = "client_id\tpath\tsentence\tage\n" + "".join(f"{row}\tteens\n" for row in rows)
    (clips.parent / "validated.tsv").write_text(table, encoding="utf-8")
    write_tone(root / "vctk-p239" / "wav48" / "p239" / "p239_001.wav")
    (root / "vctk-p239" / "txt" / "p239").mkdir(parents=True)
    (root / "vctk-p239" / "txt" / "p239" / "p239_001.txt").write_text("Please call Stella.\n")
    for name in ("LJ001-0001", "LJ001-0002"):
        write_tone(root / "ljspeech-part" / "wavs" / f"{name}.wav")
    (root / "ljspeech-part" / "metadata.csv").write_text("LJ001-0001|In 1450|In fourteen fifty\nLJ001-0002|yes|yes\n")
    return root


def prepared(corpus: Path, out: Path, **options: object) -> tuple[str, dict[str, list[Utterance]]]:
    return run_prepare(ENGLISH, corpus, out, {"complete": False, **options}), parts(out)


def test_all_corpora_present_train_as_letters_with_their_source(corpus: Path, tmp_path: Path) -> None:
    summary, found = prepared(corpus, tmp_path / "out")
    texts = {(u.extra["source"], u.text) for u in found["train"]}
    assert texts == {
        ("librispeech", "the man's hat"),
        ("common-voice", "well known client isn't it"),
        ("vctk", "please call stella"),
        ("ljspeech", "in fourteen fifty"),
    }
    assert "common-voice: 1 texts hold more than letters and are left out: accent" in summary
    assert "Absent, so not in train: librispeech-100-part, common-voice-v1, speechocean762, an4" in summary
    assert {u.extra.get("age") for u in found["train"] if u.extra["source"] == "common-voice"} == {"teens"}


def test_no_speaker_of_a_dev_or_test_set_is_in_train(corpus: Path, tmp_path: Path) -> None:
    _, found = prepared(corpus, tmp_path / "out")
    speakers = {name: {u.speaker for u in us} for name, us in found.items()}
    assert speakers["dev"] == {"librispeech-251"} and speakers["test"] == {"librispeech-84"}
    assert speakers["dev-common-voice"] == {f"common-voice-{CLIENTS[0]}"}  # a tenth: that of the smallest hash
    assert not speakers["train"] & (speakers["dev"] | speakers["test"] | speakers["dev-common-voice"])


def test_no_sentence_of_a_dev_or_test_set_is_in_train(corpus: Path, tmp_path: Path) -> None:
    summary, found = prepared(corpus, tmp_path / "out")
    held_out = {u.text for name, us in found.items() if name != "train" for u in us}
    assert held_out >= {"a dev sentence", "a test sentence", "yes"}
    assert not held_out & {u.text for u in found["train"]}
    for source in ("librispeech: 1", "common-voice: 1", "ljspeech: 1"):
        assert f"{source} training utterances have a sentence of" in summary


def test_a_speaker_of_two_parts_of_librispeech_is_one_person(corpus: Path, tmp_path: Path) -> None:
    write_libri(corpus / "librispeech-100-part", "train-clean-100", "84", "SOMETHING ELSE")
    with pytest.raises(DataError, match=r"1 speaker\(s\) are in train and in test: librispeech-84"):
        prepared(corpus, tmp_path / "out")


def test_a_source_can_be_left_out_and_an_unknown_one_is_refused(corpus: Path, tmp_path: Path) -> None:
    _, found = prepared(corpus, tmp_path / "out", without="vctk, ljspeech")
    assert {u.extra["source"] for u in found["train"]} == {"librispeech", "common-voice"}
    assert "dev-common-voice" in found
    with pytest.raises(DataError, match=r"without=ljs: not one of librispeech, common-voice, vctk, ljspeech"):
        prepared(corpus, tmp_path / "out", without="ljs")


def test_without_librispeech_there_is_no_dev_and_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has no LibriSpeech \(train-clean-5, dev-clean\)"):
        prepared(tmp_path, tmp_path / "out")


def test_real_corpora_give_18_hours_and_disjoint_sets(corpora: Path, tmp_path: Path) -> None:
    run_prepare(ENGLISH, corpora, tmp_path, {})
    found = parts(tmp_path)
    assert sum(u.duration_s for u in found["train"]) / 3600 == pytest.approx(18.0, abs=0.3)
    assert [len(found[name]) for name in ("dev", "test", "test-speechocean762", "test-an4")] == [266, 1047, 2500, 117]
    held_out = [u for name in found if name != "train" for u in read_manifest(tmp_path / f"{name}.jsonl")]
    assert not {u.text for u in held_out} & {u.text for u in found["train"]}
    assert not {u.speaker for u in held_out} & {u.speaker for u in found["train"] if u.speaker}
