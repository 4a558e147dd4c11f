"""The true label of a content from the labels of several people, who are not equally reliable.

Each answer counts by how often its reviewer has been right where the truth is known: labels with
source `golden` state the truth. Answers are taken as independent given the truth, with errors
spread evenly over the other categories; the posterior of each category is then a product (the
weighted majority of Nitzan and Paroush, 1982; Dawid and Skene, 1979, with one accuracy a reviewer).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import exp, log

import bytewax.operators as op
from bytewax.dataflow import Stream, operator
from bytewax.operators import StatefulLogic

from events.identity import label_id
from events.messages import Label, LabelSource
from policy.taxonomy import CATEGORIES

ANSWERS = ("", *CATEGORIES)
"""What a content can be; "": nothing that is not allowed."""
GOLDEN: LabelSource = "golden"
CONSENSUS = "consensus"
"""The reviewer_id of labels made here."""
KEEP = timedelta(days=30)
"""The labels of a content are forgotten this long after the last one."""

# What is thought of a reviewer who has never been checked, as (right, wrong) answers.
PRIOR: dict[str, tuple[float, float]] = {
    "review": (8.0, 2.0),
    "appeal": (17.0, 3.0),
    "user_report": (2.0, 3.0),
}

Check = tuple[str, str, bool]
"""(reviewer_id, source, right): an answer where the truth is known."""


def answer_of(label: Label) -> str | None:
    """Which of `ANSWERS` a label gives: it goes by the action, and a block says for which category.

    None for one that gives none: a block without a category of ours, or a `review`.
    """
    if label.action == "allow":
        return ""
    return label.category if label.action == "block" and label.category in CATEGORIES else None


@dataclass(frozen=True, slots=True)
class Votes:
    """The labels of one content, newest last, and what this change says of reviewers."""

    labels: tuple[Label, ...]
    checks: tuple[tuple[Check, int], ...] = ()
    """Checks that came (+1) or went (-1) with it."""

    @property
    def truth(self) -> str | None:
        """What the newest golden label states; None without any that does."""
        golden = [answer_of(label) for label in self.labels if label.source == GOLDEN]
        return next((answer for answer in reversed(golden) if answer is not None), None)


@dataclass(slots=True)
class ContentLabels:
    """The labels of one content by label_id: a later answer under one id replaces the earlier."""

    labels: dict[str, Label] = field(default_factory=dict)

    def add(self, label: Label) -> Votes | None:
        """The votes after `label`; None when it says nothing new (a repeat, or out of date)."""
        known = self.labels.get(label.label_id)
        if known is not None and known.labeled_at >= label.labeled_at:
            return None
        before = self._checks()
        self.labels.pop(label.label_id, None)
        self.labels[label.label_id] = label
        changed = self._checks()
        changed.subtract(before)
        checks = tuple((check, count) for check, count in changed.items() if count)
        return Votes(self._by_time(), checks)

    def _by_time(self) -> tuple[Label, ...]:
        return tuple(sorted(self.labels.values(), key=lambda label: label.labeled_at))

    def _checks(self) -> Counter[Check]:
        votes = Votes(self._by_time())
        if votes.truth is None:
            return Counter()
        return Counter(
            (label.reviewer_id, label.source, answer == votes.truth)
            for label in votes.labels
            if label.source != GOLDEN and (answer := answer_of(label)) is not None
        )


class Reviewers:
    """How often each reviewer was right, and what a content is by their answers."""

    def __init__(self) -> None:
        self.records: Counter[Check] = Counter()
        """How often each check came out."""

    def learn(self, checks: Iterable[tuple[Check, int]]) -> None:
        """Take checks in (+1) or back (-1)."""
        for check, count in checks:
            self.records[check] += count

    def accuracy(self, reviewer_id: str, source: LabelSource) -> float:
        """Probability that an answer of this reviewer is right, inside (0, 1)."""
        right, wrong = PRIOR.get(source, PRIOR["review"])
        right += self.records[reviewer_id, source, True]
        wrong += self.records[reviewer_id, source, False]
        return right / (right + wrong)

    def posterior(self, votes: Votes) -> dict[str, float]:
        """Probability of each of `ANSWERS`; certain where the truth is known."""
        if votes.truth is not None:
            return {answer: float(answer == votes.truth) for answer in ANSWERS}
        weights = dict.fromkeys(ANSWERS, 0.0)
        # The newest answer of each reviewer, whatever asked for it: nobody votes twice.
        for label in {label.reviewer_id: label for label in votes.labels}.values():
            right = self.accuracy(label.reviewer_id, label.source)
            # Only the differences count: what is common to all answers is left out.
            if (answer := answer_of(label)) is not None:
                weights[answer] += log(right * (len(ANSWERS) - 1) / (1 - right))
        highest = max(weights.values())
        odds = {answer: exp(weight - highest) for answer, weight in weights.items()}
        total = sum(odds.values())
        return {answer: each / total for answer, each in odds.items()}


def settled(votes: Votes, posterior: dict[str, float], confidence: float) -> Label | None:
    """The true label as a message, when one answer is at least as probable as `confidence`."""
    answer = max(posterior, key=posterior.__getitem__)
    if posterior[answer] < confidence:
        return None
    last = votes.labels[-1]
    return Label(
        label_id=label_id(last.content_id, last.revision, CONSENSUS, "review"),
        content_id=last.content_id,
        revision=last.revision,
        reviewer_id=CONSENSUS,
        action="block" if answer else "allow",
        category=answer,
        source="review",
        labeled_at=max(label.labeled_at for label in votes.labels),
    )


class _ContentLogic(StatefulLogic[Label, Votes, ContentLabels]):
    def __init__(self, state: ContentLabels | None) -> None:
        self._state = state or ContentLabels()
        self._forget_at = datetime.now(UTC) + KEEP

    def on_item(self, value: Label) -> tuple[list[Votes], bool]:
        self._forget_at = datetime.now(UTC) + KEEP
        votes = self._state.add(value)
        return ([votes] if votes else []), StatefulLogic.RETAIN

    def on_notify(self) -> tuple[list[Votes], bool]:
        return [], StatefulLogic.DISCARD

    def notify_at(self) -> datetime:
        return self._forget_at

    def snapshot(self) -> ContentLabels:
        return ContentLabels(dict(self._state.labels))


class _ReviewersLogic(StatefulLogic[Votes, Label, Counter[Check]]):
    def __init__(self, state: Counter[Check] | None, confidence: float) -> None:
        self._reviewers = Reviewers()
        self._reviewers.learn((state or Counter[Check]()).items())
        self._confidence = confidence

    def on_item(self, value: Votes) -> tuple[list[Label], bool]:
        self._reviewers.learn(value.checks)
        label = settled(value, self._reviewers.posterior(value), self._confidence)
        return ([label] if label else []), StatefulLogic.RETAIN

    def snapshot(self) -> Counter[Check]:
        return Counter(self._reviewers.records)


@operator
def consensus(step_id: str, up: Stream[Label], confidence: float = 0.9) -> Stream[Label]:
    """Bytewax shell: labels to true labels, each time a content's answer is settled or changes.

    Labels come at the speed of people, so one worker keeps the records of all reviewers.
    """
    by_content = op.key_on("content", up, lambda label: f"{label.content_id}\x00{label.revision}")
    votes = op.stateful("gather", by_content, _ContentLogic)
    together = op.map("together", votes, lambda keyed: ("reviewers", keyed[1]))
    labels = op.stateful("weigh", together, lambda state: _ReviewersLogic(state, confidence))
    return op.map("label", labels, lambda keyed: keyed[1])
