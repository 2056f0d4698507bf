"""Where the errors are: by group, by word, by character, by confidence, and what the n-best would have given.

In: ``Results``: scored utterances and what else is known of them. Out: plain records, a JSON form and report sections.
"""

from asr.scoring.breakdown.groups import Grouping, GroupRow, all_groupings

__all__ = ["GroupRow", "Grouping", "all_groupings"]
