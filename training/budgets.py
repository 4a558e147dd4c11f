"""What the more expensive text models may read, told without the libraries of training."""

from __future__ import annotations

from typing import Final

BUDGETS: Final = (0.05, 0.011)
"""Shares of the real mix that the student and the transformer may see."""
