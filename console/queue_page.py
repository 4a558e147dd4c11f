"""The page on which moderators work: one item at a time, and why it is here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from dash import dcc, html

from console.data import Key, WaitingItem, key_of
from console.desk import Answered
from console.marked_text import Piece, pieces
from events.messages import Signal
from events.reason import failed_closed
from policy.policies import Policies
from policy.policy import CategoryPolicy
from policy.taxonomy import CATEGORIES, VILE

WHY = {
    "uncertain": "the model is unsure",
    "policy": "the policy asks for a person",
    "appeal": "its author appealed",
    "sample": "a sample of what was allowed",
}


def layout() -> html.Div:
    """The page with nothing in it yet; `item_card` and `history` fill it."""
    return html.Div(
        className="desk",
        children=[
            dcc.Store(id="current"),
            dcc.Interval(id="refresh", interval=5000),
            html.Section(id="item", className="card"),
            html.Aside(
                children=[
                    html.Section(
                        className="card answer",
                        children=[
                            html.H2("It is", id="it-is"),
                            html.Div(_categories(), role="radiogroup", **_aria(labelledby="it-is")),
                            html.Div(
                                className="buttons",
                                children=[
                                    _button("block", "Block", "b"),
                                    _button("allow", "Allow", "a"),
                                    _button("skip", "Skip", "s"),
                                    _button("undo", "Undo", "u"),
                                ],
                            ),
                            html.P(id="problem", className="problem", role="alert"),
                        ],
                    ),
                    html.Section(
                        className="card",
                        children=[
                            html.H2("Just answered"),
                            html.Ul(id="history", className="history"),
                        ],
                    ),
                ]
            ),
        ],
    )


def _categories() -> dcc.RadioItems:
    return dcc.RadioItems(
        id="category",
        className="categories",
        options=[
            {"label": html.Span([_key(str(number)), category]), "value": category}
            for number, category in enumerate(CATEGORIES, 1)
        ],
    )


def _button(name: str, label: str, key: str, **attributes: Any) -> html.Button:
    return html.Button(
        [label, _key(key)],
        id=name,
        className=f"button {name}",
        n_clicks=0,
        **_aria(keyshortcuts=key) | attributes,
    )


def _aria(**values: str) -> dict[str, Any]:
    return {f"aria-{name}": value for name, value in values.items()}


def _key(key: str) -> html.Kbd:
    """A key to see; who listens is told by the button."""
    return html.Kbd(key, **_aria(hidden="true"))


def item_card(item: WaitingItem | None, policies: Policies) -> list[Any]:
    """What is known of `item`; every text in it is shown as text."""
    if item is None:
        return [
            html.H2("Nothing waits for you"),
            html.P(
                "New items appear here as they come. What you skipped waits for others; Undo brings"
                " the last of it back.",
                className="muted",
            ),
        ]
    decision = item.decision
    categories = policies.for_author(decision.author_id).categories(decision.community)
    return [
        html.Div(
            className="line",
            children=[
                *_why(item),
                html.Span(f"priority {item.priority:.2f}", className="muted push"),
            ],
        ),
        _text(item),
        *_appeal(item),
        _facts(item),
        html.H3("Scores"),
        html.P(
            "Above the first mark on a bar a person reviews it, above the second it is blocked.",
            className="muted hint",
        ),
        html.Div(
            [
                _score(category, score, categories.get(category))
                for category, score in sorted(decision.scores.items(), key=lambda each: -each[1])
            ]
        ),
        html.H3("Signals"),
        _signals(decision.signals),
    ]


def likely_category(item: WaitingItem) -> str | None:
    """What is chosen before the moderator chooses; None where nothing speaks for a category."""
    return None if failed_closed(item.decision) else item.decision.category or None


def _why(item: WaitingItem) -> list[html.Span]:
    """What it may be and why it is here."""
    decision = item.decision
    badge, why = decision.category or "sample", WHY[item.reason]
    if failed_closed(decision):
        badge, why = "unchecked", f"could not be checked ({', '.join(decision.degraded)} missing)"
    return [html.Span(badge, className="badge category"), html.Span(why)]


def _text(item: WaitingItem) -> html.Div:
    category = item.decision.category
    if not item.text:
        return html.Div("no text", className="text muted", id="text")
    covered = category in VILE or not category
    text = html.Div(
        _shown(item.text, item.decision.signals),
        className="text",
        id="text",
        dir="auto",
        **(_aria(hidden="true") if covered else {}),
    )
    uncover = _button("uncover", "Show or cover the text", "v", **_aria(pressed="false"))
    # A new key makes a new element: what was uncovered once does not uncover the next item.
    return html.Div(
        [text, uncover] if covered else [text],
        key=item.decision.decision_id,
        className="covered" if covered else "",
    )


def _appeal(item: WaitingItem) -> list[Any]:
    """What its author says against the decision; nothing when nobody has appealed."""
    if item.appeal is None:
        return []
    said = html.Div(_shown(item.appeal.statement or "nothing"), className="text", dir="auto")
    return [html.H3("Its author says"), said]


def _facts(item: WaitingItem) -> html.Dl:
    decision = item.decision
    known = {
        "author": decision.author_id,
        "community": decision.community,
        "kind": decision.kind,
        "decided": decision.action if item.appeal else "",
        "appealed": _time(item.appeal.appealed_at) if item.appeal else "",
        "posted": _time(decision.created_at),
        "content": f"{decision.content_id} · revision {decision.revision}",
        "images": f"{item.images} (not shown)" if item.images else "",
        "decided without": ", ".join(decision.degraded),
    }
    return html.Dl(
        [
            part
            for name, value in known.items()
            if value
            for part in (html.Dt(name), html.Dd(_shown(value)))
        ],
        className="facts",
    )


def _time(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"


def history(answers: Sequence[Answered]) -> list[html.Li]:
    """The last answers, newest first."""
    return [
        html.Li(
            [
                html.Span(answer.label.action, className=f"badge {answer.label.action}"),
                html.Span(answer.label.category, className="muted"),
                html.Code(_shown(answer.label.content_id)),
            ]
        )
        for answer in answers[:8]
    ]


def current_key(item: WaitingItem | None) -> list[Any] | None:
    """The key of `item` as the browser keeps it."""
    return None if item is None else list(key_of(item))


def parse_key(kept: object) -> Key | None:
    """The key that the browser kept; None for anything else that was sent."""
    match kept:
        case [str(content_id), int(revision)]:
            return content_id, revision
        case _:
            return None


def _shown(text: str, signals: Sequence[Signal] = ()) -> list[Any]:
    """What a user wrote, with names for what cannot be seen or turns the reading direction."""
    return [_mark(piece) for piece in pieces(text, signals)]


def _mark(piece: Piece) -> Any:
    if piece.invisible:
        return html.Span(piece.text, className="invisible", title="a character that cannot be seen")
    if piece.rules:
        return html.Mark(piece.text, title=", ".join(piece.rules))
    return html.Span(piece.text)


def _score(category: str, score: float, treatment: CategoryPolicy | None) -> html.Div:
    marks = (
        [
            html.I(
                className=f"threshold {action}",
                title=f"{action} from {threshold:.2f}",
                style={"left": f"{threshold:.1%}"},
            )
            for action, threshold in (("review", treatment.review), ("block", treatment.block))
        ]
        if treatment
        else []
    )
    return html.Div(
        className="score",
        children=[
            html.Span(category),
            html.Div(
                [html.B(style={"width": f"{min(1.0, max(0.0, score)):.1%}"}), *marks],
                className="bar",
            ),
            html.Span(f"{score:.2f}", className="number"),
        ],
    )


def _signals(signals: Sequence[Signal]) -> Any:
    if not signals:
        return html.P("None.", className="muted")
    table = html.Table(
        [
            html.Thead(html.Tr([html.Th(name) for name in ("stage", "rule", "says", "score")])),
            html.Tbody(
                [
                    html.Tr(
                        [
                            html.Td(signal.stage),
                            html.Td(html.Code(signal.rule)),
                            html.Td(signal.category),
                            html.Td(f"{signal.score:.2f}", className="number"),
                        ]
                    )
                    for signal in sorted(signals, key=lambda signal: -signal.score)[:50]
                ]
            ),
        ]
    )
    return html.Div(table, className="table")
