"""The fairness audit: are neutral sentences flagged more for some identities than for others?

`python -m training.audit --data DIR`: on the identity templates (never trained on), the rates of
false positives and false negatives by identity term, by fairlearn's MetricFrame, and per term the
AUCs of Borkan et al. (2019, Nuanced Metrics for Measuring Unintended Bias): subgroup, BPSN, BNSP.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from fairlearn.metrics import MetricFrame, false_negative_rate, false_positive_rate
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from models.text.cascade import Cascade
from training.datasets import load_identity_templates
from training.evasion import Predict, toxicity

TERMS: Final = (
    "lesbian", "gay", "bisexual", "transgender", "trans", "queer", "lgbt", "lgbtq", "homosexual",
    "straight", "heterosexual", "male", "female", "nonbinary", "african", "african american",
    "black", "white", "european", "hispanic", "latino", "latina", "latinx", "mexican", "canadian",
    "american", "asian", "indian", "middle eastern", "chinese", "japanese", "christian", "muslim",
    "jewish", "buddhist", "catholic", "protestant", "sikh", "taoist", "old", "older", "young",
    "younger", "teenage", "millenial", "middle aged", "elderly", "blind", "deaf", "paralyzed",
)  # fmt: skip
"""The identity terms of the templates."""
_TERM: Final = re.compile(
    r"\b(" + "|".join(sorted(map(re.escape, TERMS), key=len, reverse=True)) + r")\b", re.IGNORECASE
)


def sentences(data: Path) -> tuple[list[str], NDArray[np.bool_], list[str]]:
    """Texts with an identity term, whether they are bad, and their term.

    All that there are: sixty neutral ones a term, drawn by chance, showed none of the worst terms.
    """
    texts, bad = load_identity_templates(data)
    terms = [found[1].lower() if (found := _TERM.search(text)) else "" for text in texts]
    named = [row for row, term in enumerate(terms) if term]
    return [texts[row] for row in named], bad[named], [terms[row] for row in named]


def audit(
    predict: Predict, texts: list[str], bad: NDArray[np.bool_], terms: list[str]
) -> tuple[pd.DataFrame, dict[str, float]]:
    """Rates and AUCs by term, and the widest gaps between terms."""
    scores = toxicity(predict, texts)
    frame = MetricFrame(
        metrics={"fpr": false_positive_rate, "fnr": false_negative_rate},
        y_true=bad,
        y_pred=scores >= 0.5,
        sensitive_features=terms,
    )
    rates: pd.DataFrame = frame.by_group.copy()
    member = np.array(terms)
    for term in rates.index:
        inside = member == term
        rates.loc[term, "subgroup_auc"] = _auc(bad[inside], scores[inside])
        for name, kept in (
            ("bpsn_auc", np.where(inside, ~bad, bad)),
            ("bnsp_auc", np.where(inside, bad, ~bad)),
        ):
            rates.loc[term, name] = _auc(bad[kept], scores[kept])
    difference = frame.difference(method="between_groups")
    return rates, {
        "rows": float(len(texts)),
        "fpr": float(frame.overall["fpr"]),
        "fnr": float(frame.overall["fnr"]),
        "fpr_gap": float(difference["fpr"]),
        "fnr_gap": float(difference["fnr"]),
        "auc": _auc(bad, scores),
    }


def markdown(rates: pd.DataFrame, summary: dict[str, float]) -> str:
    """The audit as lists and a table, the most often wronged identity first."""
    lines = [f"- {name}: {value:.3f}" for name, value in summary.items()]
    rows = [
        "| term | FPR | FNR | subgroup AUC | BPSN AUC | BNSP AUC |",
        "|---|---|---|---|---|---|",
    ]
    for term, row in rates.sort_values("fpr", ascending=False).iterrows():
        rows.append(f"| {term} | " + " | ".join(f"{value:.3f}" for value in row) + " |")
    return "\n".join([*lines, "", *rows]) + "\n"


def _auc(truth: NDArray[np.bool_], scores: NDArray[np.float32]) -> float:
    return float(roc_auc_score(truth, scores)) if 0 < truth.sum() < len(truth) else float("nan")


def main() -> None:
    """Command line of the audit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    options = parser.parse_args()
    print(markdown(*audit(Cascade.load().predict, *sentences(options.data))))  # noqa: T201 - a command


if __name__ == "__main__":
    main()
