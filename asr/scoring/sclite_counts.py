"""Error counts by sclite's alignment, for figures that must equal sclite's to the last error.

In: two texts, already normalised. Out: ``ErrorCounts``. sclite aligns by cost (4 for a substitution, 3 for a deletion
or insertion), not by the fewest errors: "a b x y z" against "p q r a b" is 6 errors there (a and b match), where jiwer
and this project's own count find 5 (five substitutions). Of equal costs it takes, from the end backwards, a match or
substitution before an insertion before a deletion; so do we, which makes the split into kinds equal too (measured over
random pairs in tests/scoring/test_sclite.py).
"""

from collections.abc import Sequence

from asr.scoring.counts import ErrorCounts

_SUBSTITUTION, _GAP = 4, 3
_DIAGONAL, _INSERTION, _DELETION = 0, 1, 2


def count_word_errors_as_sclite(reference: str, hypothesis: str) -> ErrorCounts:
    """Count over words, what white space separates, as ``sclite -s`` does."""
    return count_errors_as_sclite(reference.split(), hypothesis.split())


def count_errors_as_sclite(reference: Sequence[str], hypothesis: Sequence[str]) -> ErrorCounts:
    """Count the errors of one utterance, given as tokens. Time and memory are proportional to both lengths."""
    import numpy as np

    ids: dict[str, int] = {}
    said = [ids.setdefault(token, len(ids)) for token in reference]
    heard = np.array([ids.setdefault(token, len(ids)) for token in hypothesis], dtype=np.int64)
    ramp = _GAP * np.arange(len(heard) + 1)
    row = ramp
    steps = np.full((len(said) + 1, len(heard) + 1), _INSERTION, dtype=np.uint8)
    for index, token in enumerate(said, start=1):
        diagonal = row[:-1] + np.where(heard == token, 0, _SUBSTITUTION)
        before = np.concatenate(([_GAP * index], np.minimum(diagonal, row[1:] + _GAP)))
        row = np.minimum.accumulate(before - ramp) + ramp  # inserting any number of words
        inserted = row[1:] == row[:-1] + _GAP
        steps[index, 0] = _DELETION
        steps[index, 1:] = np.where(row[1:] == diagonal, _DIAGONAL, np.where(inserted, _INSERTION, _DELETION))
    return _trace(steps.tolist(), said, heard.tolist())


def _trace(steps: Sequence[Sequence[int]], said: Sequence[int], heard: Sequence[int]) -> ErrorCounts:
    hits = substitutions = deletions = insertions = 0
    i, j = len(said), len(heard)
    while i or j:
        step = steps[i][j]
        if step == _DIAGONAL:
            i, j = i - 1, j - 1
            hits += said[i] == heard[j]
            substitutions += said[i] != heard[j]
        elif step == _INSERTION:
            j, insertions = j - 1, insertions + 1
        else:
            i, deletions = i - 1, deletions + 1
    return ErrorCounts(hits, substitutions, deletions, insertions)
