"""The plots of the report and of the dashboard, as Plotly figures.

Plotly renders a small HTML in its labels, so every string that comes from content (a link domain, a
community) is escaped before it becomes one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from html import escape
from typing import Any, Final

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike, NDArray
from plotly.subplots import make_subplots

from events.messages import ACTIONS, Alert

ACTION_COLOURS: Final = {"allow": "#a9bccd", "review": "#e9a23b", "block": "#b4283c"}
INK: Final = "#1f2a37"
GRID: Final = "#e6eaef"
SURGE: Final = "#5b4b9a"
HISTOGRAM: Final = "#4a7ba6"
_STEP: Final = timedelta(minutes=1)
"""The width of a step that is alone."""
MAX_LABEL: Final = 48
"""Characters of a label that a plot shows."""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time to shade, with what it was; `label` is shown as it is, escaped."""

    start: datetime
    end: datetime
    label: str


def alert_label(alert: Alert) -> str:
    """What an alert is about in a few words: category, signature and community."""
    parts = (alert.key.category, alert.key.signature, alert.key.community)
    return " · ".join(part for part in parts if part) or alert.kind


def alert_numbers(alert: Alert) -> tuple[str, str]:
    """What was observed and expected: posts, or of a drift means, which are mostly below 1."""
    if alert.kind == "drift":
        return f"{alert.observed:,.3f}", f"{alert.expected:,.3f}"
    return f"{alert.observed:,.0f}", f"{alert.expected:,.1f}"


def alert_spans(alerts: Sequence[Alert]) -> list[Span]:
    """One span an alert, from its first window's start to its last window's end."""
    spans: dict[str, Span] = {}
    for alert in alerts:
        seen = spans.get(alert.alert_id)
        start = min(seen.start, alert.window_start) if seen else alert.window_start
        end = max(seen.end, alert.window_end) if seen else alert.window_end
        spans[alert.alert_id] = Span(start, end, alert_label(alert))
    return sorted(spans.values(), key=lambda span: span.start)


def volume_figure(
    times: Sequence[datetime], volume: Mapping[str, ArrayLike], spans: Sequence[Span] = ()
) -> go.Figure:
    """Decisions per time step: all of them above, what was not allowed below, surges shaded.

    `volume` maps each action to counts, one for each of `times`.
    """
    figure = make_subplots(
        rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.09, row_heights=[0.42, 0.58]
    )
    # A step is drawn up to the next one: the last needs an end too.
    ends = [times[-1] + (times[-1] - times[-2] if len(times) > 1 else _STEP)] if times else []
    for row, actions in ((1, ACTIONS), (2, ACTIONS[1:])):
        for action in actions:
            counts = np.asarray(volume.get(action, np.zeros(len(times)))).tolist()
            figure.add_scatter(
                x=[*times, *ends],
                y=[*counts, *counts[-1:]],
                name=action,
                legendgroup=action,
                showlegend=row == 1,
                stackgroup=f"row{row}",
                mode="lines",
                line={"width": 0, "shape": "hv"},
                fillcolor=ACTION_COLOURS[action],
                hovertemplate="%{y}",
                row=row,
                col=1,
            )
    for number, span in enumerate(spans):
        # A label stands on the side of its surge where there is more room.
        _shade(figure, span, number, before=span.start - times[0] > times[-1] - span.end)
    if times:
        # Else the axis would make room for the labels of surges.
        figure.update_xaxes(range=[times[0], *ends])
    figure.update_yaxes(title_text="all", row=1, col=1)
    figure.update_yaxes(title_text="not allowed", row=2, col=1)
    figure.update_layout(hovermode="x unified", height=460)
    return _styled(figure)


def _shade(figure: go.Figure, span: Span, number: int, before: bool) -> None:
    figure.add_vrect(
        x0=span.start,
        x1=span.end,
        fillcolor=SURGE,
        opacity=0.16,
        line_width=0,
        layer="below",
        row="all",
        col=1,
    )
    # Labels of neighbours step down, so that surges close in time stay readable.
    figure.add_annotation(
        x=span.start if before else span.end,
        y=1 - 0.13 * (number % 5),
        yref="y2 domain",
        text=_shortened(span.label),
        showarrow=False,
        xanchor="right" if before else "left",
        yanchor="top",
        xshift=-5 if before else 5,
        font={"size": 12, "color": SURGE},
    )


def category_figure(decisions: Mapping[tuple[str, str], int]) -> go.Figure:
    """Reviewed and blocked contents by category, from counts by (action, category)."""
    totals: dict[str, int] = {}
    for (action, category), count in decisions.items():
        if action != "allow" and count:
            totals[category] = totals.get(category, 0) + count
    order = sorted(totals, key=totals.__getitem__)
    figure = go.Figure()
    for action in ACTIONS[1:]:
        counts = [decisions.get((action, category), 0) for category in order]
        figure.add_bar(
            y=[_shortened(category or "(none)") for category in order],
            x=counts,
            name=action,
            orientation="h",
            marker_color=ACTION_COLOURS[action],
            hovertemplate="%{x} " + action,
        )
    figure.update_layout(barmode="stack", height=90 + 32 * max(len(order), 3))
    figure.update_yaxes(showgrid=False)
    return _styled(figure)


def histogram_figure(
    edges: ArrayLike, counts: ArrayLike, marks: Mapping[str, float], unit: str
) -> go.Figure:
    """A histogram (n + 1 edges, n counts) with named vertical marks; empty ends are cut off.

    The axis is logarithmic when the edges span more than two decades.
    """
    bounds, heights = _trimmed(np.asarray(edges, float), np.asarray(counts, float))
    logarithmic = bool(bounds[1] > 0 and bounds[-1] / bounds[1] > 100)
    if logarithmic:
        bounds[0] = max(bounds[0], bounds[1] / 2)  # a logarithm has no place for 0
    figure = go.Figure()
    figure.add_bar(
        x=((bounds[:-1] + bounds[1:]) / 2).tolist(),
        width=np.diff(bounds).tolist(),
        y=heights.tolist(),
        customdata=np.column_stack([bounds[:-1], bounds[1:]]).tolist(),
        hovertemplate="%{customdata[0]:.4~g} to %{customdata[1]:.4~g} " + unit + ": %{y}",
        marker={"color": HISTOGRAM, "line": {"color": "white", "width": 0.5}},
        name="",
        showlegend=False,
    )
    for number, (name, value) in enumerate(marks.items()):
        figure.add_vline(x=value, line={"color": INK, "width": 1.2, "dash": "dot"})
        figure.add_annotation(
            # Of everything on a logarithmic axis, annotations alone are placed by the exponent.
            x=math.log10(value) if logarithmic and value > 0 else value,
            y=1 - 0.12 * number,
            yref="y domain",
            text=f"{escape(name)} {measure(value)} {unit}",
            showarrow=False,
            xanchor="left",
            xshift=5,
            bgcolor="rgba(255, 255, 255, 0.8)",
            font={"color": INK},
        )
    figure.update_xaxes(title_text=unit, type="log" if logarithmic else "linear", dtick=None)
    figure.update_layout(height=300, bargap=0)
    return _styled(figure)


def measure(value: float) -> str:
    """A measured value with as many digits as a reader needs: 4.2, 29.8, 255, 2,403."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.1f}"


def _trimmed(
    bounds: NDArray[np.float64], heights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The histogram from its first to its last bar; whole when it has none."""
    filled = np.flatnonzero(heights)
    if not len(filled):
        return bounds.copy(), heights
    first, last = filled[0], filled[-1]
    return bounds[first : last + 2].copy(), heights[first : last + 1]


def latency_figure(
    times: Sequence[datetime], p50_ms: Sequence[float], p99_ms: Sequence[float]
) -> go.Figure:
    """Median and 99th percentile of the latency in each step, milliseconds; NaN leaves a gap."""
    figure = go.Figure()
    for name, values, colour in (("P50", p50_ms, HISTOGRAM), ("P99", p99_ms, INK)):
        figure.add_scatter(
            x=list(times),
            # JSON has no NaN: None leaves the same gap.
            y=[None if math.isnan(value) else value for value in values],
            name=name,
            # A step between two gaps has no line: its marker is all there is of it.
            mode="lines+markers",
            line={"width": 1.5, "color": colour},
            marker={"size": 4},
            hovertemplate="%{y:.1f} ms",
        )
    figure.update_yaxes(title_text="ms", rangemode="tozero")
    figure.update_layout(hovermode="x unified", height=300)
    return _styled(figure)


def score_figure(
    edges: ArrayLike,
    counts: Mapping[str, ArrayLike],
    thresholds: Mapping[str, tuple[float, float]],
    columns: int = 4,
) -> go.Figure:
    """Histograms of the fused scores, one a category, with (review, block) thresholds marked.

    `columns` is how many stand side by side at most.
    """
    bounds = np.asarray(edges, float)
    middles = ((bounds[:-1] + bounds[1:]) / 2).tolist()
    columns = min(columns, max(1, len(counts)))
    rows = max(1, -(-len(counts) // columns))
    figure = make_subplots(
        rows=rows,
        cols=columns,
        subplot_titles=[_shortened(category) for category in counts],
        horizontal_spacing=0.18 / columns,
        vertical_spacing=0.3 / rows,
        shared_yaxes="all",
    )
    for index, (category, heights) in enumerate(counts.items()):
        cell = {"row": index // columns + 1, "col": index % columns + 1}
        figure.add_bar(
            x=middles,
            width=np.diff(bounds).tolist(),
            y=np.asarray(heights).tolist(),
            marker={"color": HISTOGRAM, "line": {"color": "white", "width": 0.3}},
            hovertemplate="around %{x:.2f}: %{y}",
            name="",
            showlegend=False,
            **cell,
        )
        for action, value in zip(ACTIONS[1:], thresholds.get(category, ()), strict=False):
            figure.add_vline(x=value, line={"color": ACTION_COLOURS[action], "width": 1.6}, **cell)
    figure.update_xaxes(range=[0, 1], dtick=0.5)
    figure.update_yaxes(type="log", dtick=1, tickformat="~s")
    figure.update_annotations(font_size=13)
    figure.update_layout(height=70 + 165 * rows, bargap=0)
    return _styled(figure)


def _shortened(label: str) -> str:
    """A label of content, bounded and escaped for Plotly."""
    return escape(label if len(label) <= MAX_LABEL else label[: MAX_LABEL - 1] + "…")


def _styled(figure: go.Figure) -> go.Figure:
    axis: dict[str, Any] = {
        "gridcolor": GRID,
        "linecolor": GRID,
        "zeroline": False,
        "title_font_size": 13,
        "tickfont_size": 12,
    }
    figure.update_xaxes(**axis)
    figure.update_yaxes(**axis)
    figure.update_layout(
        font={"family": "system-ui, sans-serif", "size": 13, "color": INK},
        paper_bgcolor="white",
        plot_bgcolor="white",
        margin={"l": 60, "r": 18, "t": 34, "b": 40},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 1, "xanchor": "right"},
        legend_traceorder="normal",
        hoverlabel={"bgcolor": "white"},
        dragmode="zoom",
    )
    return figure
