"""Small log-log plots as SVG text: no browser and no image library needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10
from typing import Final

_WIDTH: Final = 300
_HEIGHT: Final = 220
_LEFT: Final = 52
_BOTTOM: Final = 36
_TOP: Final = 26
_RIGHT: Final = 12
_TEXT: Final = 'font-family="sans-serif" font-size="11" fill="#1f2a37"'


@dataclass(frozen=True)
class Curve:
    """One plot: points (x, y), both over 0."""

    title: str
    x: str
    y: str
    points: Sequence[tuple[float, float]]


def plot(curves: Sequence[Curve], title: str) -> str:
    """The curves side by side, two in a row, with powers of ten on both axes."""
    rows = ceil(len(curves) / 2)
    drawn = [
        f'<g transform="translate({number % 2 * _WIDTH},{number // 2 * _HEIGHT})">'
        f"{''.join(_draw(curve))}</g>"
        for number, curve in enumerate(curves)
    ]
    size = f'width="{2 * _WIDTH}" height="{rows * _HEIGHT}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">'
        f"<title>{escape(title)}</title>"
        f'<rect width="100%" height="100%" fill="white"/>{"".join(drawn)}</svg>\n'
    )


def _draw(curve: Curve) -> Iterator[str]:
    low_x, high_x = _decades([x for x, _ in curve.points])
    low_y, high_y = _decades([y for _, y in curve.points])

    def at_x(x: float) -> float:
        return _LEFT + (log10(x) - low_x) / (high_x - low_x) * (_WIDTH - _LEFT - _RIGHT)

    def at_y(y: float) -> float:
        return (
            _HEIGHT - _BOTTOM - (log10(y) - low_y) / (high_y - low_y) * (_HEIGHT - _BOTTOM - _TOP)
        )

    yield f'<text x="{_LEFT}" y="16" {_TEXT} font-weight="bold">{escape(curve.title)}</text>'
    for power in range(low_x, high_x + 1):
        x = at_x(10.0**power)
        yield _line(x, at_y(10.0**low_y), x, at_y(10.0**high_y))
        yield _label(x, _HEIGHT - _BOTTOM + 14, _power(power), "middle")
    for power in range(low_y, high_y + 1):
        y = at_y(10.0**power)
        yield _line(at_x(10.0**low_x), y, at_x(10.0**high_x), y)
        yield _label(_LEFT - 5, y + 4, _power(power), "end")
    yield _label((_LEFT + _WIDTH) / 2, _HEIGHT - 6, escape(curve.x), "middle")
    yield _label(_WIDTH - _RIGHT, 16, escape(curve.y), "end")
    path = " ".join(f"{at_x(x):.1f},{at_y(y):.1f}" for x, y in curve.points)
    yield f'<polyline points="{path}" fill="none" stroke="#4a7ba6" stroke-width="2"/>'
    for x, y in curve.points:
        yield f'<circle cx="{at_x(x):.1f}" cy="{at_y(y):.1f}" r="3" fill="#4a7ba6"/>'


def _decades(values: Sequence[float]) -> tuple[int, int]:
    low, high = floor(log10(min(values))), ceil(log10(max(values)))
    return low, max(high, low + 1)


def _power(power: int) -> str:
    return {-2: "0.01", -1: "0.1", 0: "1", 1: "10", 2: "100", 3: "1k", 4: "10k", 5: "100k"}.get(
        power, f"10^{power}"
    )


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#e6eaef"/>'


def _label(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {_TEXT} text-anchor="{anchor}">{text}</text>'
