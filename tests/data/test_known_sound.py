"""What of an utterance's sound is known: any of it for what is held out, most of it for what is a double."""

from pathlib import Path

import pytest

from asr.data.known_sound import KnownSound
from asr.data.manifest import Utterance


@pytest.mark.parametrize(
    ("start_s", "stop_s", "overlapping", "share"),
    [
        (0.0, 10.01, set(), 0.01 / 10.01),  # it touches: the times are rounded
        (0.0, 10.1, {"dev"}, 0.1 / 10.1),  # another speaker, or the margin of a cut
        (8.0, 14.0, {"dev", "train"}, 0.5),
        (10.0, 14.0, {"dev", "train"}, 0.75),
        (11.0, 12.0, {"dev"}, 1.0),
        (40.0, 41.0, set(), None),
    ],
)
def test_held_out_is_what_shares_any_sound_and_a_double_what_shares_most(
    tmp_path: Path, start_s: float, stop_s: float, overlapping: set[str], share: float | None
) -> None:
    (tmp_path / "a.wav").write_bytes(b"sound")
    (tmp_path / "copy.wav").write_bytes(b"sound")

    def span(start_s: float, stop_s: float, name: str = "a") -> Utterance:
        audio = str(tmp_path / f"{name}.wav")
        return Utterance(id="u", audio=audio, start_s=start_s, duration_s=stop_s - start_s, text="")

    # of dev 10 to 13 s in two spans that share a second; of train 13.5 to 20 s
    known = KnownSound({"dev": [span(10.0, 12.0), span(11.0, 13.0)], "train": [span(13.5, 20.0)]})
    one = span(start_s, stop_s, "copy")
    shares = known.shares(one)
    assert known.overlapping(one) == overlapping
    assert shares.get("dev") == (share if share is None else pytest.approx(share))
    assert known.repeating(one) == ({"dev"} if share is not None and share > 0.5 else set())
