"""Inspection: the gates and states of each unit of a trained encoder on one recording.

In: a recogniser and a waveform. Out: ``Inspection``: gates and states per frame, checked against what the model itself
computed, with each unit's half-life, saturation and the signals that it follows. No training, pages or files.
"""

from asr.inspection.capture import MOST_DEVIATION, AttentionMap, HeadFacts, head_facts
from asr.inspection.inspect import LONGEST_S, Inspection, inspect_waveform
from asr.inspection.traces import GATES, Trace, UnitFacts, half_life_s, unit_facts
from asr.inspection.tracking import Tracking, track

__all__ = [
    "GATES",
    "LONGEST_S",
    "MOST_DEVIATION",
    "AttentionMap",
    "HeadFacts",
    "Inspection",
    "Trace",
    "Tracking",
    "UnitFacts",
    "half_life_s",
    "head_facts",
    "inspect_waveform",
    "track",
    "unit_facts",
]
