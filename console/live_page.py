"""The page that shows how the stream does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
from dash import dcc, html

from console import charts
from console.data import Overview
from events.messages import Alert

WINDOWS = {"1": "hour", "24": "day", "168": "week"}
GRAPH: Any = {"displaylogo": False, "modeBarButtonsToRemove": ["lasso2d", "select2d"]}


def layout() -> html.Div:
    """The page with nothing in it yet; `parts` fills it."""
    return html.Div(
        [
            dcc.Interval(id="tick", interval=10_000),
            html.Div(
                className="line",
                children=[
                    html.H2("The last"),
                    dcc.RadioItems(
                        id="window",
                        className="windows",
                        value="24",
                        inline=True,
                        options=[
                            {"label": name, "value": hours} for hours, name in WINDOWS.items()
                        ],
                    ),
                    html.Span(id="period", className="muted push"),
                ],
            ),
            html.Div(id="live"),
        ]
    )


def parts(overview: Overview, waiting: int) -> list[Any]:
    """Tiles, plots and tables of `overview`."""
    totals = {
        action: sum(count for (what, _), count in overview.decisions.items() if what == action)
        for action in charts.ACTIONS
    }
    spans = charts.alert_spans(overview.alerts)
    return [
        html.Div(
            className="tiles",
            children=[
                _tile("allowed", totals["allow"], "allow"),
                _tile("sent to review", totals["review"], "review"),
                _tile("blocked", totals["block"], "block"),
                _tile("alerts", len({alert.alert_id for alert in overview.alerts}), "surge"),
                _tile("waiting for a person", waiting, ""),
            ],
        ),
        _plot(
            "Volume and surges",
            "Decisions by the time of the post; shaded while an alert was open.",
            charts.volume_figure(overview.times, overview.volume, spans),
        ),
        html.Div(
            className="pair",
            children=[
                _plot(
                    "What was found",
                    "Contents sent to review or blocked, by the category that decided.",
                    charts.category_figure(overview.decisions),
                ),
                _plot(
                    "Latency",
                    "From received to decided, median and 99th percentile of each step.",
                    charts.latency_figure(
                        overview.times, overview.latency_p50_ms, overview.latency_p99_ms
                    ),
                ),
            ],
        ),
        html.Div(className="pair", children=[_rules(overview), _alerts(overview.alerts)]),
    ]


def _tile(name: str, count: int, kind: str) -> html.Div:
    return html.Div([html.B(f"{count:,}"), html.Span(name)], className=f"tile {kind}")


def _plot(title: str, caption: str, figure: go.Figure) -> html.Section:
    return html.Section(
        [
            html.H2(title),
            html.P(caption, className="muted"),
            dcc.Graph(figure=figure, config=GRAPH),
        ],
        className="card",
    )


def _rules(overview: Overview) -> html.Section:
    rows = [
        [html.Code(rule.rule), rule.stage, rule.category, f"{rule.reviewed:,}", f"{rule.blocked:,}"]
        for rule in overview.rules
    ]
    return _table(
        "Top rules",
        "What decided most often: rules, hash entries and models.",
        ("rule", "stage", "category", "reviewed", "blocked"),
        rows,
    )


def _alerts(alerts: Sequence[Alert]) -> html.Section:
    last = {alert.alert_id: alert for alert in alerts}
    rows = [
        [
            charts.alert_label(alert),
            html.Span(alert.state, className="badge"),
            html.Span(alert.severity, className=f"badge {alert.severity}"),
            f"{alert.window_end:%m-%d %H:%M}",
            f"{alert.observed:,.0f}",
            f"{alert.expected:,.1f}",
        ]
        for alert in reversed(last.values())
    ]
    return _table(
        "Alerts",
        "The last word on each, newest first.",
        ("what", "state", "severity", "until", "observed", "expected"),
        rows[:20],
    )


def _table(title: str, caption: str, names: Sequence[str], rows: list[list[Any]]) -> html.Section:
    def cells(row: list[Any]) -> list[html.Td]:
        numbers = {"reviewed", "blocked", "observed", "expected"}
        return [
            html.Td(value, className="number" if name in numbers else "")
            for name, value in zip(names, row, strict=True)
        ]

    body: Any = (
        html.Table(
            [
                html.Thead(html.Tr([html.Th(name) for name in names])),
                html.Tbody([html.Tr(cells(row)) for row in rows]),
            ]
        )
        if rows
        else html.P("None.")
    )
    return html.Section(
        [html.H2(title), html.P(caption, className="muted"), body], className="card"
    )
