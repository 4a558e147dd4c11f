"""The categories of violation and which of them the text model knows."""

from __future__ import annotations

from typing import Final

from events.categories import CATEGORIES

__all__ = ["CATEGORIES", "TEXT_CATEGORIES", "VILE"]

TEXT_CATEGORIES: Final = ("hate", "harassment", "threat", "sexual", "spam")
"""What the text models score, in the order of their columns; the others have no labelled text."""
VILE: Final = frozenset(CATEGORIES) - {"spam"}
"""Categories whose texts are blurred until somebody asks to read them."""
