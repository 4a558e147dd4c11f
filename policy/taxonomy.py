"""The categories of violation and which of them the text model knows."""

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

TEXT_CATEGORIES: Final = ("hate", "harassment", "threat", "sexual", "spam")
"""What the text models score, in the order of their columns; the others have no labelled text."""
