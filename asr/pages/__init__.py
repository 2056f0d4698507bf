"""Pages: one HTML file each, that opens from disk, asks nothing of the network, and shows other people's text as text.

In: records of scoring and plain arrays. Out: HTML. Knows neither models nor torch; ``document`` is the base that every
kind of page shares (``parts`` holds what they have in common), ``report``, ``run`` and ``gate_viewer`` are the kinds.
"""

from asr.pages.assemble import System, assemble
from asr.pages.data import Clip, Link, PageData, Picture, Posteriors, Table
from asr.pages.document import Document, render_document
from asr.pages.report import render_report

__all__ = [
    "Clip",
    "Document",
    "Link",
    "PageData",
    "Picture",
    "Posteriors",
    "System",
    "Table",
    "assemble",
    "render_document",
    "render_report",
]
