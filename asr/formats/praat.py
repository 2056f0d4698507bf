"""TextGrid, the format of Praat, through praatio: one interval tier "words", the pauses as empty intervals.

In: a hypothesis. Out: the text of a long-form TextGrid file.
"""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from asr.formats.spans import duration_ms, word_spans

if TYPE_CHECKING:
    from asr.recognition.hypothesis import Hypothesis

TIER = "words"


def render_textgrid(hypothesis: "Hypothesis") -> str:
    """The words and the pauses between them, from 0 to the recording's end."""
    from praatio import textgrid

    spans = word_spans(hypothesis, "textgrid")
    end_s = max(1, duration_ms(hypothesis, spans)) / 1000
    intervals = [(span.start_ms / 1000, span.end_ms / 1000, span.text) for span in spans]
    grid = textgrid.Textgrid(0, end_s)
    grid.addTier(textgrid.IntervalTier(TIER, intervals, 0, end_s))
    with tempfile.TemporaryDirectory() as folder:  # praatio writes files only
        path = Path(folder) / "transcript.TextGrid"
        grid.save(str(path), format="long_textgrid", includeBlankSpaces=True)
        return path.read_text(encoding="utf-8")
