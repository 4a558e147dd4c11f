"""The categories of violation that signals, decisions and queries name."""

from __future__ import annotations

from typing import Final

CATEGORIES: Final = (
    "hate",
    "harassment",
    "threat",
    "sexual",
    "self_harm",
    "spam",
    "violent_extremism",
    "csam",
)
"""Every category a signal may name, in the order of every score vector that holds them all."""
