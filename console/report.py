"""The demo's report: one HTML file that needs no network and runs nothing but its own plots."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import ArrayLike
from plotly.offline import get_plotlyjs

from console import charts
from events.messages import Alert, Decision

MAX_TEXT_SHOWN = 280
"""Characters of an example's text that the report shows."""

_PLOT = """
for (const place of document.querySelectorAll("[data-figure]")) {
  const figure = JSON.parse(document.getElementById(place.dataset.figure).textContent);
  Plotly.newPlot(place, figure.data, figure.layout, {responsive: true, displaylogo: false,
    modeBarButtonsToRemove: ["lasso2d", "select2d", "autoScale2d"]});
}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoSummary:
    """What a run of the demo came to; counts are of final decisions."""

    started_at: datetime
    finished_at: datetime
    """When the run began and ended, wall clock."""
    decisions: Mapping[tuple[str, str], int]
    """Counts by (action, category); the category of what was allowed is ""."""
    items_per_second: float
    latency_p50_ms: float
    latency_p99_ms: float
    latency_edges_ms: ArrayLike
    """n + 1 bounds of the latency histogram, milliseconds, ascending."""
    latency_counts: ArrayLike
    """n counts."""
    minutes: Sequence[datetime]
    """The minutes of the generated day (event time), ascending."""
    volume: Mapping[str, ArrayLike]
    """Action to decisions in each of `minutes`."""
    alerts: Sequence[Alert] = ()
    """As they were sent, in order: an open, its updates and its end share an alert_id."""
    score_edges: ArrayLike = ()
    """k + 1 bounds of the score histograms, 0 to 1."""
    score_counts: Mapping[str, ArrayLike] = field(default_factory=dict)
    """Category to k counts of fused scores."""
    thresholds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Category to its (review, block) thresholds, drawn into the score histograms."""
    examples: Sequence[tuple[Decision, str]] = ()
    """A few decisions worth reading, each with the content's text."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """Anything else for the foot of the page: machine, versions, where the files are."""

    @property
    def total(self) -> int:
        """All decisions."""
        return sum(self.decisions.values())

    def of_action(self, action: str) -> int:
        """Decisions with this action."""
        return sum(count for (what, _), count in self.decisions.items() if what == action)


def render_report(summary: DemoSummary) -> str:
    """`report.html`, about 5 MB with the plot library inside; every text in it is escaped."""
    library = get_plotlyjs()
    return (
        environment()
        .get_template("report.html")
        .render(
            summary=summary,
            alerts=_latest(summary.alerts),
            alert_label=charts.alert_label,
            alert_numbers=charts.alert_numbers,
            measure=charts.measure,
            figures={name: _json(figure) for name, figure in _figures(summary).items()},
            examples=[(decision, shown(text)) for decision, text in summary.examples],
            # Only these two scripts may run: even an escaping mistake could not run content.
            script_hashes=" ".join(_csp_hash(script) for script in (library, _PLOT)),
            library=Markup(library),  # noqa: S704 - Plotly's own file, not content
            plot=Markup(_PLOT),  # noqa: S704 - ours
        )
    )


def shown(text: str) -> str:
    """As much of the text of an example as a page shows."""
    return text if len(text) <= MAX_TEXT_SHOWN else text[:MAX_TEXT_SHOWN] + "…"


def _figures(summary: DemoSummary) -> dict[str, go.Figure]:
    marks = {"P50": summary.latency_p50_ms, "P99": summary.latency_p99_ms}
    scores = summary.score_edges, summary.score_counts, summary.thresholds
    return {
        "volume": charts.volume_figure(
            summary.minutes, summary.volume, charts.alert_spans(summary.alerts)
        ),
        "categories": charts.category_figure(summary.decisions),
        "latency": charts.histogram_figure(
            summary.latency_edges_ms, summary.latency_counts, marks, "ms"
        ),
        "scores": charts.score_figure(*scores),
        "scores-narrow": charts.score_figure(*scores, columns=2),
    }


def _latest(alerts: Sequence[Alert]) -> list[Alert]:
    """The last word on each alert, in the order they opened."""
    last: dict[str, Alert] = {}
    for alert in alerts:
        last[alert.alert_id] = alert
    return list(last.values())


def _json(figure: go.Figure) -> Markup:
    # Only `<` can end a script element or change its parsing, and JSON can write it as \u003c.
    return Markup(str(figure.to_json()).replace("<", "\\u003c"))  # noqa: S704 - escaped here


def _csp_hash(script: str) -> str:
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def environment() -> Environment:
    """Of the templates of the pages that are files: everything in them is escaped."""
    return Environment(
        loader=PackageLoader("console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
