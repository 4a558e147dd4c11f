"""The card of the text cascade, with its plots.

`python -m training.text_card --data DIR [--directory models/text]`
"""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from models.text.cascade import BUILT_IN, Cascade
from training import audit, plots
from training.cards import machine
from training.cascade import REAL_MIX
from training.evaluate import evaluate, report

_ABOUT: Final = Path(__file__).with_name("cascade_card.md")


def write_card(data: Path, directory: Path = BUILT_IN) -> None:
    """Writes card.md, fairness.md, reliability.png and fairness.png into `directory`."""
    cascade = Cascade.load(directory)
    found = evaluate(cascade, data)
    plots.reliability(found.scored.targets, found.cascade, directory / "reliability.png")
    rates, summary = audit.audit(cascade.predict, *audit.sentences(data))
    plots.rates_by_identity(rates, directory / "fairness.png")
    (directory / "fairness.md").write_text(audit.markdown(rates, summary))
    wronged = rates["fpr"][rates["fpr"] > 0].sort_values(ascending=False)
    about = _ABOUT.read_text("utf-8").format(
        budgets=json.loads((directory / "cascade.json").read_text("utf-8"))["budgets"],
        mix=", ".join(f"{share:.0%} {name}" for name, share in REAL_MIX.items()),
        machine=machine(),
        date=datetime.now(UTC).date(),
        worst=", ".join(f"{term} {rate:.3f}" for term, rate in wronged[:6].items()) or "none",
        **summary,
    )
    (directory / "card.md").write_text(f"{about}\n{report(cascade, data, found)}\n")


def main() -> None:
    """Command line of the card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--directory", type=Path, default=BUILT_IN)
    options = parser.parse_args()
    write_card(options.data, options.directory)


if __name__ == "__main__":
    main()
