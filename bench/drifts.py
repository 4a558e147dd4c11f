"""Twelve planted drifts and a quiet fortnight: what is found, when, whether the cause is right."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeAlias

from operators.drift import MAIN_LANGUAGES
from operators.drift_monitor import DriftMonitor, DriftSample, DriftSettings

START: Final = 1_772_409_600
AN_HOUR: Final = 150
"""Samples an hour: a platform of 1,200 posts an hour, one in eight sampled."""
PLANTED: Final = 84
"""The hour at which the drift begins."""
SETTINGS: Final = DriftSettings(block=50)
Draft: TypeAlias = dict[str, Any]
Change: TypeAlias = Callable[[random.Random, Draft, float], None]
"""Changes a sample; the number is the hours since the drift began."""


def _score(factor: float) -> Change:
    def change(_: random.Random, draft: Draft, __: float) -> None:
        draft["score:spam"] = min(1.0, draft["score:spam"] * factor)

    return change


def _slowly(_: random.Random, draft: Draft, since: float) -> None:
    draft["score:hate"] = min(1.0, draft["score:hate"] * (1 + min(1.0, since / 12)))


def _longer(_: random.Random, draft: Draft, __: float) -> None:
    draft["text length"] *= 1.5


def _other_script(rng: random.Random, draft: Draft, _: float) -> None:
    if rng.random() < 0.2:
        draft["share beyond ASCII"] = 0.9


def _to_people(rng: random.Random, draft: Draft, _: float) -> None:
    draft["sent to people"] = float(rng.random() < 0.12)


def _obfuscated(rng: random.Random, draft: Draft, _: float) -> None:
    if rng.random() < 0.6:
        draft["share of letters"] *= 0.4


def _one_community(_: random.Random, draft: Draft, __: float) -> None:
    if draft["community"] == "c0":
        draft["score:hate"] = min(1.0, draft["score:hate"] * 3)


def _more_spanish(rng: random.Random, draft: Draft, _: float) -> None:
    if draft["language"] == "en" and rng.random() < 0.2:
        draft["language"] = "es"


def _new_language(rng: random.Random, draft: Draft, _: float) -> None:
    if rng.random() < 0.05:
        draft["language"] = "ko"


def _viral_text(rng: random.Random, draft: Draft, _: float) -> None:
    if rng.random() < 0.15:
        draft |= {"score:spam": 0.95, "cluster": "text:viral"}


def _few_authors(rng: random.Random, draft: Draft, _: float) -> None:
    if rng.random() < 0.15:
        draft |= {"score:spam": 0.95, "author_id": f"bot{rng.randrange(5)}"}


LANGUAGES: Final = {"en": 0.78, "es": 0.08, "de": 0.05, "pt": 0.04, "fr": 0.02, "vi": 0.02,
                    "nl": 0.01, "tr": 0.003, "ja": 0.001}  # fmt: skip
"""Shares of the languages; by night there are half as many of the second."""
DRIFTS: Final[dict[str, tuple[Change, str]]] = {
    "spam scores double": (_score(2.0), "warning"),
    "spam scores halve": (_score(0.5), "warning"),
    "hate scores double over twelve hours": (_slowly, "warning"),
    "texts grow longer by half": (_longer, "warning"),
    "a fifth in another script": (_other_script, "warning"),
    "three times as many sent to people": (_to_people, "warning"),
    "texts full of other signs": (_obfuscated, "warning"),
    "hate scores treble in one community": (_one_community, "warning"),
    "Spanish trebles to nearly a quarter": (_more_spanish, "warning"),
    "a twentieth in a new language": (_new_language, "warning"),
    "one text goes round": (_viral_text, "info"),
    "five authors flood": (_few_authors, "info"),
}
"""What happens, and the severity that tells drift (`warning`) from a viral attack (`info`)."""


def samples(seed: int, hours: int, change: Change | None) -> Iterator[DriftSample]:
    """A stream with a daily rhythm in all its numbers."""
    rng, tongues = random.Random(seed), random.Random(seed + 10_000)
    for hour in range(hours):
        shares = LANGUAGES | ({"es": LANGUAGES["es"] / 2} if hour % 24 < 8 else {})
        spoken = tongues.choices(list(shares), list(shares.values()), k=AN_HOUR)
        rhythm = 1 + 0.4 * math.sin(hour / 24 * 2 * math.pi)
        for n in range(AN_HOUR):
            draft: Draft = {
                "community": f"c{int(40 * rng.random() ** 3)}",
                "author_id": f"a{rng.randrange(3_000)}",
                "cluster": f"text:{rng.randrange(2_000)}",
                "language": spoken[n],
                "score:spam": rng.betavariate(1, 9) * rhythm,
                "score:hate": rng.betavariate(1, 15),
                "text length": rng.gauss(4, 1),
                "share of letters": rng.betavariate(30, 6),
                "share beyond ASCII": rng.betavariate(1, 20),
                "sent to people": float(rng.random() < 0.04 * rhythm),
            }
            if change is not None and hour >= PLANTED:
                change(rng, draft, hour - PLANTED)
            language = draft.pop("language")
            draft["other languages"] = float(language != "en")
            draft |= {f"language {code}": float(code == language) for code in MAIN_LANGUAGES}
            names = [draft.pop(name) for name in ("community", "author_id", "cluster")]
            yield DriftSample(
                START + 3_600 * (hour + n / AN_HOUR), names[0], names[1], f"p{hour}-{n}", names[2],
                draft,
            )  # fmt: skip


def drifts() -> None:
    """Each drift in a stream of its own, and a stream without; seeds that nothing was tuned on."""
    print("## Drift: twelve planted, and a quiet fortnight\n")
    print("| drift | found | hours until | told from a viral attack |\n|---|---|---|---|")
    for number, (name, (change, severity)) in enumerate(DRIFTS.items()):
        alerts = DriftMonitor(SETTINGS).observe(list(samples(1_000 + number, 120, change)))
        planted = START + 3_600 * PLANTED
        after = [a for a in alerts if a.state == "open" and a.window_end.timestamp() >= planted]
        if not after:
            print(f"| {name} | missed | | |")
            continue
        delay = (after[0].window_end.timestamp() - planted) / 3_600
        right = "yes" if after[0].severity == severity else "no"
        print(f"| {name} | {after[0].key.category} | {delay:.1f} | {right} |", flush=True)
    quiet = DriftMonitor(SETTINGS).observe(list(samples(1_099, 14 * 24, None)))
    false = sum(alert.state == "open" for alert in quiet)
    print(f"\nFalse alarms in 14 quiet days, all groups and numbers: {false}\n", flush=True)
