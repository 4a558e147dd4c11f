"""Sentences from `templates.yaml`: what the labelled sets have too little of.

Hate in many forms against many groups, and what looks like it and is none: negation, counter-speech
with quotes, reclaimed and homonymous words, profanity, neutral identity terms.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any, Final

import yaml

_SLOT: Final = re.compile(r"\{(\w+)\}")
_PEOPLE: Final = r" (?:people|persons?|m[ae]n|wom[ae]n|guys?|kids?|folks?|couples?|community)\b"
_SHARES: Final = {
    "hateful": 14000,
    "slurred": 4500,
    "threatening": 2600,
    "misogyny": 400,
    "neutral": 9000,
    "named": 9500,
    "scorned": 6500,
    "scorned_person": 5000,
    "decoy": 6000,
    "rude": 1500,
    "polite": 1200,
    "negated": 6000,
    "counter": 6000,
    "reclaimed": 700,
    "profane": 1500,
    "homonym": 500,
    "others": 2000,
    "personal": 1100,
    "about_person": 900,
    "personal_threat": 1400,
    "no_threat": 500,
    "sexual": 800,
    "not_sexual": 300,
    "spam": 700,
    "not_spam": 350,
}
"""Sentences of each kind in one `generate`."""
_WRAPPED: Final = frozenset(
    ("hateful", "slurred", "threatening", "misogyny", "neutral", "negated", "counter", "profane")
)
"""Kinds whose sentences may get an opener and a closer."""
_SLURRED: Final = frozenset(("slurred", "threatening"))
"""Kinds whose sentences use a slur for the group that they are about."""
_QUOTED: Final = ("hateful", "hateful", "hateful", "slurred", "threatening")
"""Kinds that counter-speech quotes."""


class Templates:
    """The sentences of `templates.yaml`, filled by chance."""

    def __init__(self, random: Random) -> None:
        table = yaml.safe_load(Path(__file__).with_name("templates.yaml").read_text("utf-8"))
        self._random = random
        self._groups: list[dict[str, Any]] = table["groups"]
        self._slurred = [group for group in self._groups if group["slurs"]]
        self._slots: dict[str, list[str]] = table["slots"] | table["more_slots"]
        self._kinds: dict[str, dict[str, Any]] = table["sentences"]
        self._mention = _mention(self._groups)

    def generate(self) -> Iterator[tuple[str, dict[str, int]]]:
        """Texts and their labels by category, kind after kind; a category left out is unknown."""
        for kind, number in _SHARES.items():
            for _ in range(number):
                yield self.sentence(kind), self._kinds[kind]["labels"]

    def sentence(self, kind: str) -> str:
        """One sentence of `kind` about a group drawn by chance."""
        entry = self._kinds[kind]
        text = self._fill(self._random.choice(entry["texts"]), self._group(kind))
        if kind in _WRAPPED and self._random.random() < 0.4:
            text = (
                self._draw("opener")
                + text
                + self._draw("closer" if entry["labels"]["hate"] else "benign_closer")
            )
        return self._written(text)

    def swapped(self, text: str) -> str | None:
        """`text` about another group, drawn by chance; None if it names none.

        Counterfactual data augmentation (Lu et al. 2020, Gender Bias in Neural Natural Language
        Processing): what is said weighs, not of whom it is said.
        """
        other = self._random.choice(self._groups)
        swapped = self._mention.sub(
            lambda found: str(other["groups" if found["groups"] else "kind"]), text
        )
        return swapped if swapped != text else None

    def _group(self, kind: str) -> dict[str, Any]:
        """By chance, of those that the sentences of `kind` can be about."""
        return self._random.choice(self._slurred if kind in _SLURRED else self._groups)

    def _fill(self, template: str, group: dict[str, Any]) -> str:
        slur = self._random.choice(group["slurs"] or self._random.choice(self._slurred)["slurs"])
        other = self._random.choice(self._groups)
        noun = self._draw("noun_bare")
        reclaimed = self._draw("reclaimed")
        own = {
            "groups": group["groups"],
            "group": group["group"],
            "kind": group["kind"],
            "a_group": _with_article(group["group"]),
            "a_kind": _with_article(group["kind"]),
            "other": other["kind"],
            "others": other["groups"],
            "a_fine": _with_article(self._draw("fine_bare")),
            "noun": noun,
            "nouns": _plural(noun),
            "a_noun": _with_article(noun),
            "a_vile": _with_article(self._draw("vile_bare")),
            "slurs": slur,
            "slur": _singular(slur),
            "a_slur": _with_article(_singular(slur)),
            "a_reclaimed": _with_article(reclaimed),
            "reclaimeds": _plural(reclaimed),
        }

        def slot(found: re.Match[str]) -> str:
            if found[1] == "hateful":
                kind = self._random.choice(_QUOTED)
                return self._fill(self._random.choice(self._kinds[kind]["texts"]), group)
            return str(own[found[1]]) if found[1] in own else self._draw(found[1])

        return _SLOT.sub(slot, template)

    def _draw(self, slot: str) -> str:
        return self._random.choice(self._slots[slot])

    def _written(self, text: str) -> str:
        """With or without a capital, a full stop, and capitals of names."""
        drawn = self._random.random()
        if drawn < 0.35:
            return text.lower()
        text = text[:1].upper() + text[1:]
        return text + self._random.choice([".", ".", "!", ""]) if text[-1:].isalnum() else text


def _mention(groups: list[dict[str, Any]]) -> re.Pattern[str]:
    """Matches a group's plural, or its adjective before people: `black` alone may be a colour."""

    def any_of(name: str) -> str:
        words = sorted({group[name].lower() for group in groups}, key=len, reverse=True)
        return "|".join(map(re.escape, words))

    return re.compile(
        rf"\b(?:(?P<groups>{any_of('groups')})|(?P<kind>{any_of('kind')})(?={_PEOPLE}))\b",
        re.IGNORECASE,
    )


def _with_article(noun: str) -> str:
    return ("an " if noun[0].lower() in "aeiou" and not noun.startswith("uni") else "a ") + noun


def _singular(noun: str) -> str:
    for ending, single in (("chinamen", "chinaman"), ("spazzes", "spaz"), ("bunnies", "bunny")):
        if noun.endswith(ending):
            return noun.removesuffix(ending) + single
    if noun.endswith("ies"):
        return noun[:-3] + "y"
    if noun.endswith(("ches", "shes")):
        return noun[:-2]
    return noun.removesuffix("s")


def _plural(noun: str) -> str:
    if noun.endswith("y"):
        return noun[:-1] + "ies"
    return noun + ("es" if noun.endswith(("ch", "s")) else "s")
