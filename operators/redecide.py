"""The verdict of `operators.decide` over columns: what another policy says of logged scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from operators.decide import DANGER, LANGUAGE, RANK, SPOKEN, blind_categories
from policy.policy import CategoryPolicy, Policy
from policy.taxonomy import CATEGORIES, TEXT_CATEGORIES

_TEXT: Final = np.array([CATEGORIES.index(name) + 1 for name in TEXT_CATEGORIES], np.uint8)
_SPOKEN: Final = [CATEGORIES.index(name) + 1 for name in SPOKEN]
_DANGER: Final = CATEGORIES.index(DANGER) + 1
_DECIMALS: Final = 6
"""What is stored as 32-bit floats was rounded to fewer: 0.9 is to be 0.9 again, a threshold."""


class Scored(Protocol):
    """n contents as they were scored. Numbers of categories: 0 is none, i + 1 is CATEGORIES[i]."""

    @property
    def scores(self) -> NDArray[np.float32]:
        """(n, 8): the probability of each of CATEGORIES."""
        ...

    @property
    def community(self) -> NDArray[np.int64]:
        """(n,): number of the community."""
        ...

    @property
    def degraded(self) -> NDArray[np.int64]:
        """(n,): number of the combination of stages that were missing."""
        ...

    @property
    def asked_review(self) -> NDArray[np.uint8]:
        """(n,): category of a rule that wants a human, whatever the scores are; 0 is none."""
        ...


@dataclass(frozen=True)
class Verdicts:
    """What a policy says of n contents."""

    action: NDArray[np.int8]
    """(n,): indexes of events.messages.ACTIONS."""
    category: NDArray[np.uint8]
    """(n,): the category that led to it; 0 when allowed."""


def redecide(
    policy: Policy,
    scored: Scored,
    communities: Sequence[str],
    degraded: Sequence[Sequence[str]],
) -> Verdicts:
    """What `policy` says of each content, as `operators.decide.verdict` does one by one.

    `communities` and `degraded` are what the numbers in `scored` stand for.
    """
    scores = np.asarray(scored.scores, np.float64).round(_DECIMALS)
    blind = np.array(
        [[name in blind_categories(missing) for name in CATEGORIES] for missing in degraded]
    )
    blind_rows = blind.reshape(-1, len(CATEGORIES))[scored.degraded]
    action = np.zeros(len(scores), np.int8)
    category = np.zeros(len(scores), np.uint8)
    for rows, treatments in _by_treatment(policy, scored.community, communities):
        action[rows], category[rows] = _verdicts(
            scores[rows], blind_rows[rows], treatments, policy.file.uncertainty_band
        )
    asked = (action == 0) & (scored.asked_review > 0)
    blocked = (action == RANK["block"]) & np.isin(category, _SPOKEN)
    asked |= blocked & (scored.asked_review == _DANGER)
    category[asked] = scored.asked_review[asked]
    if policy.file.uncovered_language == "review":
        foreign = np.array([LANGUAGE in missing for missing in degraded], bool)[scored.degraded]
        foreign &= (action == 0) & ~asked
        category[foreign] = _TEXT[scores[foreign][:, _TEXT - 1].argmax(axis=1)]
        asked |= foreign
    action[asked] = RANK["review"]
    return Verdicts(action, category)


def _by_treatment(
    policy: Policy, community: NDArray[np.int64], names: Sequence[str]
) -> list[tuple[NDArray[np.intp], Mapping[str, CategoryPolicy]]]:
    """Rows that are treated alike, and how."""
    special = [number for number, name in enumerate(names) if name in policy.file.communities]
    groups = [
        (np.flatnonzero(community == number), policy.categories(names[number]))
        for number in special
    ]
    rest = np.flatnonzero(~np.isin(community, special))
    return [*groups, (rest, policy.file.categories)]


def _verdicts(
    scores: NDArray[np.floating[Any]],
    blind: NDArray[np.bool_],
    treatments: Mapping[str, CategoryPolicy],
    band: tuple[float, float],
) -> tuple[NDArray[np.int8], NDArray[np.uint8]]:
    columns = [treatments[name] for name in CATEGORIES]
    review, block = (
        np.array([getattr(each, name) for each in columns]) for name in ("review", "block")
    )
    fails = np.array([RANK[each.blind_action] for each in columns], np.int8)
    severity = np.array([each.severity for each in columns], np.int8)
    reviewed = (scores >= review) | ((scores >= band[0]) & (scores <= band[1]))
    actions = np.where(scores >= block, RANK["block"], reviewed.astype(np.int8))
    actions = np.maximum(actions, np.where(blind, fails, 0))
    # The order of `verdict`: action, severity, score, and the first of what is equal in all.
    rank = actions * 8 + severity
    best = np.where(rank == rank.max(axis=1, keepdims=True), scores, -1.0).argmax(axis=1)
    action = np.take_along_axis(actions, best[:, None], axis=1)[:, 0]
    return action.astype(np.int8), np.where(action > 0, best + 1, 0).astype(np.uint8)
