"""Pages: one HTML file each, that opens from disk, makes no network request, and shows any text as text.

In: records of scoring, of a training run or of an inspection as plain values and arrays. Out: HTML. ``document`` is the
base of all pages; ``report``, ``run`` and ``gate_viewer`` draw the kinds, without models or torch. ``report_input``,
``inspection_input`` and ``clips`` make the values from recordings and models.
"""

from asr.pages.assemble import assemble
from asr.pages.data import Clip, Link, PageData, Picture, Posteriors, ReportSystem, Table
from asr.pages.document import Document, render_document
from asr.pages.report import render_report

__all__ = [
    "Clip",
    "Document",
    "Link",
    "PageData",
    "Picture",
    "Posteriors",
    "ReportSystem",
    "Table",
    "assemble",
    "render_document",
    "render_report",
]
