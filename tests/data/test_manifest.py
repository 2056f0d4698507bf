"""Manifests: what is written reads back equal, and every error is reported at once with its line."""

import json
import pickle
from collections.abc import Callable, Sequence
from functools import partial
from io import BufferedReader
from operator import attrgetter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asr import cores
from asr.data import lines as lines_module
from asr.data import manifest as manifest_module
from asr.data.kept import Columns
from asr.data.lines import LineReader
from asr.data.manifest import Manifest, Utterance, read_manifest, with_unique_ids, write_manifest
from asr.data.passes import cached_pass, durations_of, lazy_map, select, with_texts
from asr.errors import DataError
from asr.text.normalize import get_normalizer
from tests.faults.manifests import LINES

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
name = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
seconds = st.floats(min_value=0, max_value=1e9)
scalar = (
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False) | text
)
own = {"id", "audio", "duration_s", "text", "start_s", "speaker", "channel"}


def utterances(audio: list[str]) -> st.SearchStrategy[list[Utterance]]:
    one = st.builds(
        Utterance,
        id=name,
        audio=st.sampled_from(audio),
        duration_s=st.floats(min_value=1e-9, max_value=1e9),
        text=text,
        start_s=seconds,
        speaker=st.none() | name,
        channel=st.none() | st.integers(0, 64),
        extra=st.dictionaries(text.filter(lambda key: key not in own), scalar, max_size=3),
    )
    return st.lists(one, min_size=1, max_size=5, unique_by=lambda utterance: utterance.id)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_what_is_written_reads_back_equal(tmp_path: Path, data: st.DataObject) -> None:
    folder = tmp_path / "manifest folder"
    audio = [folder / "a.wav", folder / "deep" / "ü \u2028.wav", tmp_path / "elsewhere.wav"]
    for path in audio:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    written = data.draw(utterances([str(path) for path in audio]))

    write_manifest(folder / "train.jsonl", written)

    assert read_manifest(folder / "train.jsonl") == written
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest_module, "LARGE_BYTES", 0)
        patch.setattr(manifest_module, "keep_columns", lambda *_: None)
        large = read_manifest(folder / "train.jsonl")
    assert isinstance(large, Manifest) and list(large) == written and large == written


def manifest(tmp_path: Path, *lines: object) -> Path:
    """A manifest of good and bad lines beside an `a.wav`; objects become JSON, bytes stay what they are."""
    (tmp_path / "a.wav").touch()
    path = tmp_path / "m.jsonl"
    path.write_bytes(b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines))
    return path


def line(**changes: object) -> dict[str, object]:
    fields = {"id": "u1", "audio": "a.wav", "duration_s": 1.5, "text": "hello", **changes}
    return {key: value for key, value in fields.items() if value != "ABSENT"}


def test_audio_beneath_the_manifest_is_written_relative_and_moves_with_its_folder(tmp_path: Path) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    before.mkdir()
    (before / "a.wav").touch()
    (tmp_path / "outside.wav").touch()
    inside = Utterance(id="u1", audio=str(before / "a.wav"), duration_s=1.0, text="")
    outside = Utterance(id="u2", audio=str(tmp_path / "outside.wav"), duration_s=1.0, text="")
    write_manifest(before / "m.jsonl", [inside, outside])
    written = [json.loads(row)["audio"] for row in (before / "m.jsonl").read_text().splitlines()]

    before.rename(after)

    assert written == ["a.wav", str(tmp_path / "outside.wav")]
    assert read_manifest(after / "m.jsonl")[0].audio == str(after / "a.wav")


def test_fields_that_are_not_set_are_not_written(tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    write_manifest(tmp_path / "m.jsonl", [Utterance(id="u", audio=str(tmp_path / "a.wav"), duration_s=1.0, text="é")])

    assert (tmp_path / "m.jsonl").read_text(
        "utf-8"
    ) == '{"id": "u", "audio": "a.wav", "duration_s": 1.0, "text": "é"}\n'


def test_utterances_read_from_a_manifest_go_to_worker_processes(tmp_path: Path) -> None:
    read = read_manifest(manifest(tmp_path, line(), line(id="u2", room="kitchen")))

    assert pickle.loads(pickle.dumps(read)) == read


def test_a_byte_order_mark_crlf_and_blank_lines_are_no_error(tmp_path: Path) -> None:
    good = json.dumps(line()).encode()
    path = manifest(tmp_path, b"\xef\xbb\xbf" + good + b"\r", b"", b"  ", json.dumps(line(id="u2")).encode(), b"")

    assert [utterance.id for utterance in read_manifest(path)] == ["u1", "u2"]


def test_all_errors_are_reported_at_once(tmp_path: Path) -> None:
    faulty = [error for _, error, _ in LINES]
    lines = [
        {**one, "id": f"u{n}"} if isinstance(one, dict) and one.get("id") in ("u1", "u2") else one
        for n, one in enumerate(faulty)
    ]
    (tmp_path / "good.wav").touch()
    path = manifest(tmp_path, *lines, line(id="last"), line(id="last"))

    with pytest.raises(DataError) as caught:
        read_manifest(path)

    message = str(caught.value)
    assert all(f"{path}:{number}: " in message for number in range(1, len(lines) + 1))
    assert f"{path}:{len(lines) + 2}: id 'last' is already used in line {len(lines) + 1}" in message


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every manifest is read as a large one is."""
    monkeypatch.setattr(manifest_module, "LARGE_BYTES", 0)


def test_a_large_file_has_the_same_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = b"\xef\xbb\xbf"
    lines = [
        mark + json.dumps(line()).encode(),
        b"",
        line(id="v"),
        line(id="v", audio="b"),
        *(fault for _, fault, _ in LINES),
    ]
    messages = []
    monkeypatch.setattr(cores, "usable_cores", lambda: 2)
    for bytes_, part in ((1_000_000, 1), (0, 1), (0, 150)):  # parts of a line, and of several
        monkeypatch.setattr(manifest_module, "LARGE_BYTES", bytes_)
        monkeypatch.setattr(lines_module, "_PART_BYTES", part)
        with pytest.raises(DataError) as caught:
            read_manifest(manifest(tmp_path, *lines))
        messages.append(str(caught.value))
    assert len(set(messages)) == 1 and messages[0].count("\n") > len(LINES)
    assert messages[0].index("id 'v' is already used") < messages[0].index("no such file")


@pytest.mark.usefixtures("large")
def test_a_large_file_is_checked_again_only_where_it_or_a_folder_of_recordings_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, checked = manifest(tmp_path, line(), line(id="u2", audio="wav/b.wav")), list[str]()
    (tmp_path / "wav").mkdir()
    (tmp_path / "wav" / "b.wav").touch()
    columns = LineReader.columns

    def counted(reader: LineReader, stream: BufferedReader) -> Columns:
        checked.append("once more")
        return columns(reader, stream)

    monkeypatch.setattr(LineReader, "columns", counted)
    third = b"\n" + json.dumps(line(id="u3")).encode()
    changes: list[Callable[[], object]] = [
        lambda: None,
        lambda: path.write_bytes(path.read_bytes() + third),
        lambda: (tmp_path / "wav" / "c.wav").touch(),
        lambda: (tmp_path / ".index" / "m.jsonl.lines").write_bytes(b"damaged"),
    ]
    for times, change in enumerate(changes, start=1):
        change()
        first, again = read_manifest(path), read_manifest(path)
        assert len(checked) == times and first == again and len(first) == 2 + (times > 1)
    (tmp_path / "wav" / "b.wav").unlink()
    with pytest.raises(DataError, match=r"m\.jsonl:2: audio .*b\.wav: no such file"):
        read_manifest(path)


@pytest.mark.usefixtures("large")
def test_a_large_file_is_the_one_that_was_opened_or_an_error(tmp_path: Path) -> None:
    path = manifest(tmp_path, line(), line(id="u2", room="kitchen"))
    read = read_manifest(path)
    assert pickle.loads(pickle.dumps(read)) == read == list(read)
    other = tmp_path / "other"
    other.write_bytes(b"{}")
    other.replace(path)  # as an atomic writer does
    assert [one.id for one in read] == ["u1", "u2"]
    read = pickle.loads(pickle.dumps(read))  # opens the file again
    with pytest.raises(DataError, match=r"m\.jsonl: has changed while it was read"):
        read[1]


def test_what_is_asked_of_all_utterances_is_the_same_of_a_list_and_of_a_large_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = manifest(tmp_path, *(line(id=f"u{n}", text=f"Text {n}!", duration_s=n + 0.1) for n in range(5)))
    known, passes, results = read_manifest(path), list[str](), []

    def total_of(letters: Sequence[int]) -> int:
        passes.append("over all")
        return sum(letters)

    monkeypatch.setattr(manifest_module, "LARGE_BYTES", 0)
    monkeypatch.setattr(lines_module, "_PART_BYTES", 200)
    monkeypatch.setattr(cores, "usable_cores", lambda: 2)
    monkeypatch.setattr(cores, "BLOCK", 2)
    for utterances in (known, read_manifest(path), read_manifest(path)):
        some = select(with_texts(utterances, get_normalizer("basic")), np.array([0, 3, 4]))
        letters = lazy_map(len, lazy_map(attrgetter("text"), some))
        total = cached_pass(letters, "letters", {"of": 1}, partial(total_of, letters))
        results.append((list(some), list(letters), list(letters[1:]), durations_of(some).tolist(), total))
    assert results[0] == results[1] == results[2] and results[0][1] == [6, 6, 6]
    assert len(passes) == 2, "of the list, and once of the file: its sum is kept"
    found = [cached_pass(read_manifest(path), "letters", depends, lambda: 7) for depends in ({"of": 1}, {"of": 2})]
    assert found == [7, 7], "other utterances, or other settings"
    assert isinstance(durations_of(known), np.ndarray)


def test_errors_beyond_fifty_are_counted(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read_manifest(manifest(tmp_path, *[line(id=f"u{number}", audio="b.wav") for number in range(1_000)]))

    assert "1,000 errors" in str(caught.value) and "... and 950 more" in str(caught.value)
    assert str(caught.value).count("\n") == 51


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"duration_s": 0.0}, "duration_s is 0.0"),
        ({"duration_s": float("nan")}, "duration_s is nan"),
        ({"id": ""}, "id is empty"),
        ({"text": "\udc80"}, "half a Unicode character"),
        ({"extra": {"audio": "x"}}, "an extra field is called audio"),
        ({"extra": {"room": {}}}, "room is an object"),
    ],
)
def test_what_could_not_be_read_is_not_written(tmp_path: Path, changes: dict[str, object], words: str) -> None:
    fields: dict[str, object] = {"id": "u1", "audio": "/a.wav", "duration_s": 1.0, "text": "", **changes}

    with pytest.raises(DataError, match=words):
        write_manifest(tmp_path / "m.jsonl", [Utterance(**fields)])  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_an_id_is_not_written_twice_and_the_old_manifest_stays(tmp_path: Path) -> None:
    utterance = Utterance(id="u1", audio="/a.wav", duration_s=1.0, text="")
    write_manifest(tmp_path / "m.jsonl", [utterance])
    before = (tmp_path / "m.jsonl").read_bytes()

    with pytest.raises(DataError, match="'u1' is used twice"):
        write_manifest(tmp_path / "m.jsonl", [utterance, utterance])

    assert (tmp_path / "m.jsonl").read_bytes() == before


@pytest.mark.timeout(120)
def test_a_hundred_thousand_lines_are_read_in_seconds(tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    lines = [
        f'{{"id": "u{n}", "audio": "a.wav", "duration_s": 1, "start_s": {n}, "text": "one two"}}'
        for n in range(100_000)
    ]
    (tmp_path / "m.jsonl").write_text("\n".join(lines))

    assert len(read_manifest(tmp_path / "m.jsonl")) == 100_000


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from(["a", "a-2", "a-2-2", "a-3", "b"]), max_size=12))
def test_ids_become_unique_and_the_first_of_each_stays(ids: list[str]) -> None:
    given = [Utterance(id=one, audio="x.wav", duration_s=1.0, text=str(place)) for place, one in enumerate(ids)]
    made = with_unique_ids(given)
    assert len({one.id for one in made}) == len(made) and [one.text for one in made] == [one.text for one in given]
    for place, (before, after) in enumerate(zip(ids, made, strict=True)):
        assert after.id.startswith(before) and (after.id == before) == (before not in ids[:place])
    assert with_unique_ids(made) == made


def test_the_number_behind_an_id_is_of_no_other_utterance() -> None:
    made = with_unique_ids(Utterance(id=one, audio="x.wav", duration_s=1.0, text="") for one in ("a", "a", "a-2", "a"))
    assert [one.id for one in made] == ["a", "a-3", "a-2", "a-4"]
