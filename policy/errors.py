"""The error of everything an operator of Breakwater writes: policy, rules and hash lists."""

from __future__ import annotations


class PolicyError(ValueError):
    """A policy, rule or hash file cannot be used: one line that names the place and the remedy."""
