"""Where the errors are: by group, by word, by character, by confidence, and what the n-best would have given.

In: ``Results``: scored utterances and what else is known of them. Out: plain records, a JSON form and report sections.
"""

from asr.scoring.breakdown.groups import Grouping, GroupRow, all_groupings
from asr.scoring.breakdown.sections import breakdown_sections
from asr.scoring.breakdown.tokens import Confusion, Places, TokenBreakdown, TokenErrors, TrainingBin
from asr.scoring.breakdown.whole import Breakdown, ConfidenceReport, Oracle, break_down, breakdown_json

__all__ = [
    "Breakdown",
    "ConfidenceReport",
    "Confusion",
    "GroupRow",
    "Grouping",
    "Oracle",
    "Places",
    "TokenBreakdown",
    "TokenErrors",
    "TrainingBin",
    "all_groupings",
    "break_down",
    "breakdown_json",
    "breakdown_sections",
]
