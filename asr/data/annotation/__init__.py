"""Long recordings with time-aligned annotation beside them: eaf, TextGrid, srt, vtt, Audacity's labels, stm, CHAT.

In: a folder's recordings and annotation files, and ``AnnotationOptions``. Out: utterances that are segments of the
recordings, and an ``AnnotationReport`` of what was left out and why. A format is a reader in ``READERS``.
"""

from asr.data.annotation.link import Recordings
from asr.data.annotation.read import READERS, AnnotationOptions, Kind, kind_of, read_annotations
from asr.data.annotation.report import TABLE, AnnotationReport
from asr.data.annotation.segments import LEAVE_OUT, REMOVE, SegmentRules

__all__ = [
    "LEAVE_OUT",
    "READERS",
    "REMOVE",
    "TABLE",
    "AnnotationOptions",
    "AnnotationReport",
    "Kind",
    "Recordings",
    "SegmentRules",
    "kind_of",
    "read_annotations",
]
