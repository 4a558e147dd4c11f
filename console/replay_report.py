"""What another policy changes, as a page: one HTML file that needs no network and runs nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from console.report import environment, shown
from policy.taxonomy import VILE


@dataclass(frozen=True)
class Shift:
    """How the verdicts of a category, or of a community's contents, differ."""

    name: str
    contents: int
    """All of the community; of a category those that it decides before or after."""
    blocked_before: int
    blocked_after: int
    newly_blocked: int
    no_longer_blocked: int
    reviewed_before: int
    reviewed_after: int
    changed: int


@dataclass(frozen=True)
class ChangeExample:
    """One change of verdict, such as `allow` to `block spam`, with some texts."""

    before: str
    after: str
    contents: int
    texts: Sequence[tuple[str, str]]
    """(content_id, text); text is "" where it is not kept any more."""

    @property
    def is_vile(self) -> bool:
        """Whether its texts are of a category that nobody should meet unasked."""
        return any(verdict.partition(" ")[2] in VILE for verdict in (self.before, self.after))


@dataclass(frozen=True, kw_only=True)
class ReplaySummary:
    """What a replay came to."""

    policy: str
    since: str
    until: str
    decisions: int
    changed: int
    total: Shift
    categories: Sequence[Shift]
    communities: Sequence[Shift]
    """Those with changes, the most first."""
    examples: Sequence[ChangeExample]
    scores: str = "stored scores"
    """What the policy decided by."""
    notes: Sequence[str] = ()


def render_replay(summary: ReplaySummary) -> str:
    """The page; every text in it is escaped and cut, and no script may run."""
    template = environment().get_template("replay.html")
    return template.render(summary=summary, shown=shown)
