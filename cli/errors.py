"""What a person typed cannot be done."""

from __future__ import annotations


class UsageError(ValueError):
    """A command was given something it cannot use: one line that says what and what to do."""
