"""The page of an error report: its HTML before the script runs.

In: ``PageData``. Out: one HTML file. Summary, plots and tables are HTML and SVG made here, readable without a script;
``report_*.js`` lists the utterances from the data inside the page.
"""

from collections.abc import Sequence

from asr.pages.data import Figure, PageData, ReportSystem
from asr.pages.document import (
    Document,
    axis_top,
    bar_svg,
    bounds,
    element,
    fact_list,
    figure_of,
    fill,
    header,
    note_list,
    percent,
    render_chart,
    render_document,
    section,
    table_of,
    template,
    text,
)
from asr.pages.payload import clip_payload, payload
from asr.scoring.breakdown.groups import FEW_UTTERANCES, FEW_WORDS
from asr.scoring.intervals import limits_of
from asr.scoring.measures import COUNT_COLUMNS, count_columns, measures_in

_SCRIPTS = ("report_clip.js", "report_detail.js", "report_list.js", "report_main.js")


def render_report(page: PageData) -> str:
    """The whole page as HTML."""
    sections = [_header(page), _summary(page), _charts(page), _tables(page), _utterances(page)]
    body = element("div", *[one for one in sections if one], id="main", class_="page")
    return render_document(
        Document(
            title=page.title,
            body=body,
            styles=("report.css",),
            scripts=_SCRIPTS,
            data=payload(page),
            late=clip_payload(page),
            linked_audio=bool(page.links),
        )
    )


def _header(page: PageData) -> str:
    report = page.systems[0].results.report
    audio_s = report.audio_s
    parts = [
        f"{len(report.utterances):,} utterances",
        f"{report.words.reference_length:,} words",
        *(
            [f"{audio_s / 3600:.2f} h of audio" if audio_s >= 360 else f"{audio_s / 60:.1f} min of audio"]
            if audio_s
            else []
        ),
        f"normaliser {report.normalizer}",
    ]
    return header(page.title, " · ".join(parts))


def _summary(page: PageData) -> str:
    verdict = element("p", text(page.verdict), class_="verdict") if page.verdict else ""
    return section(
        "summary",
        "Summary",
        verdict,
        element("div", _cards(page), _figures(page), class_="summary" if len(page.systems) == 1 else None),
        element(
            "p",
            text(
                f"Error rates are (S+D+I)/N over the whole set: substitutions, deletions, insertions over reference "
                f"length. {_names(page)}. "
                f"Raw text is composed (NFC) with single spaces, nothing else. {page.interval}. {limits_of('They')}"
            ),
            class_="dim",
        ),
        note_list(page.notes),
    )


def _cards(page: PageData) -> str:
    heads = [next(one for one in page.figures if one.system == system.name) for system in page.systems]
    top = axis_top([head.bar for head in heads])
    cards = [
        _card(page, system, head, place, top)
        for place, (system, head) in enumerate(zip(page.systems, heads, strict=True))
    ]
    return element("div", *cards, class_="cards")


def _card(page: PageData, system: ReportSystem, head: Figure, place: int, top: float) -> str:
    several = len(page.systems) > 1
    letter = element("span", text(system.letter), class_=f"badge s{place}") if several else ""
    return element(
        "article",
        element("h3", letter, element("bdi", text(system.name))),
        element(
            "p",
            element("strong", text(percent(head.bar.rate)), class_="big"),
            text(f" {head.measure.label}"),
            class_="headline",
        ),
        element("p", text(bounds(head.bar) and f"95 % interval {bounds(head.bar)}"), class_="dim"),
        bar_svg(head.bar, top, place),
        fact_list(system.facts),
        class_="card",
    )


def _figures(page: PageData) -> str:
    several = len(page.systems) > 1
    shown = ["rate", "95 % interval", *COUNT_COLUMNS]
    names = [*(["system"] if several else []), "measure", "text", *shown]
    measures = [measure.key for measure in measures_in("report")]
    rows = []
    for figure in sorted(page.figures, key=lambda one: measures.index(one.measure.key)):  # a measure of all systems
        cells = [text(percent(figure.bar.rate)), text(bounds(figure.bar))]
        cells += [text(f"{value:,}") for value in count_columns(figure.counts).values()]
        rows.append(
            element(
                "tr",
                *(
                    [element("td", element("bdi", text(figure.system)), class_="system", title=figure.system)]
                    if several
                    else []
                ),
                element("th", text(figure.measure.label), scope="row"),
                element("td", text(figure.text)),
                *(
                    element("td", cell, class_="number", data_name=name)
                    for name, cell in zip(shown, cells, strict=True)
                ),
            )
        )
    return element("div", table_of(names, rows, "figures"), class_="wide")


def _names(page: PageData) -> str:
    names = {figure.measure.label: figure.measure.name for figure in page.figures}
    return "; ".join(f"{label}: {name}" for label, name in names.items())


def _charts(page: PageData) -> str:
    if not page.charts:
        return ""
    overall = [system.results.report.words.rate for system in page.systems]
    names = [system.name for system in page.systems]
    note = (
        "Bars are WER, whiskers 95 % intervals; the dashed line is the rate of the whole set. Pale: fewer than "
        f"{FEW_UTTERANCES} utterances or {FEW_WORDS} reference words, too few for the rate to mean much."
    )
    charts = [render_chart(chart, names, overall) for chart in page.charts]
    heights = [len(chart.rows) * len(names) + _FRAME_ROWS for chart in page.charts]
    explained = element("p", text(note), class_="dim")
    return section("charts", "Errors by group", explained, _columns(charts, heights))


_FRAME_ROWS = 5  # a chart's title, header, axis and margins are as high as so many of its rows


def _columns(figures: Sequence[str], heights: Sequence[int]) -> str:
    """Two columns of about equal height; each keeps the order of ``figures``."""
    columns: list[list[int]] = [[], []]
    for place in sorted(range(len(figures)), key=lambda one: -heights[one]):
        min(columns, key=lambda column: sum(heights[one] for one in column)).append(place)
    columns.sort(key=lambda column: min(column, default=len(figures)))  # the first figure comes first
    drawn = ["".join(figures[one] for one in sorted(column)) for column in columns]
    return element("div", *(element("div", column) for column in drawn if column), class_="charts")


def _tables(page: PageData) -> str:
    if not page.tables:
        return ""
    heights = [len(table.rows) + _FRAME_ROWS for table in page.tables]
    return section("words", "Errors by word", _columns(list(map(figure_of, page.tables)), heights))


def _utterances(page: PageData) -> str:
    several = len(page.systems) > 1
    speakers: Sequence[str] = sorted(page.systems[0].results.report.by_speaker)
    options = "".join(element("option", text(one), value=one) for one in speakers)
    return fill(
        template("report.html"),
        speakers=options,
        speakers_hidden="" if len(speakers) > 1 else " hidden",
        systems_hidden="" if several else " hidden",
        no_script=text("The list of utterances needs JavaScript; the figures above do not."),
    )
