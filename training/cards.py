"""Model cards: what a model is, what it was made of, how good it is."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from training.datasets import SourceFile
from training.metrics import Figures


def version_of(out: Path, artefacts: tuple[str, ...]) -> str:
    """Twelve hexadecimal digits that change with any byte of the artefacts in `out`."""
    whole = hashlib.sha256()
    for name in artefacts:
        whole.update((out / name).read_bytes())
    return whole.hexdigest()[:12]


def write_draft(out: Path, artefacts: tuple[str, ...], categories: tuple[str, ...]) -> None:
    """The least card a runtime loads: for measuring a model before it is published."""
    version = version_of(out, artefacts)
    draft = {"name": "draft", "version": version, "categories": list(categories)}
    (out / "card.json").write_text(json.dumps(draft) + "\n")


def is_published(out: Path) -> bool:
    """Whether `out` has a whole card: a draft lies there while a model is not calibrated yet."""
    try:
        return "artefacts" in json.loads((out / "card.json").read_text("utf-8"))
    except (OSError, ValueError):
        return False


def machine() -> str:
    """The processor, its cores and the Python that runs, in one line."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        model = names[0] if names else model
    return f"{model}, {os.cpu_count()} cores, Python {platform.python_version()}"


def write_card(
    out: Path,
    *,
    name: str,
    artefacts: tuple[str, ...],
    categories: tuple[str, ...],
    command: str,
    about: str,
    files: tuple[SourceFile, ...],
    figures: dict[str, Figures],
    facts: dict[str, Any],
) -> None:
    """Writes card.json and card.md into `out`, beside the artefacts.

    `about` is Markdown for people; `figures` are of the test split; `facts` are further numbers.
    """
    card = {
        "name": name,
        "version": version_of(out, artefacts),
        "artefacts": {
            artefact: hashlib.sha256((out / artefact).read_bytes()).hexdigest()
            for artefact in artefacts
        },
        "bytes": sum((out / artefact).stat().st_size for artefact in artefacts),
        "categories": list(categories),
        "created": datetime.now(UTC).date().isoformat(),
        "command": command,
        "machine": machine(),
        "figures": {category: asdict(one) for category, one in figures.items()},
        "facts": facts,
        "sources": [asdict(file) for file in files],
    }
    (out / "card.md").write_text(_markdown(card, about, figures, files))
    # Last and at once: what has a card is taken to be whole by a training that goes on.
    (out / "card.new").write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n")
    (out / "card.new").replace(out / "card.json")


def _markdown(
    card: dict[str, Any], about: str, figures: dict[str, Figures], files: tuple[SourceFile, ...]
) -> str:
    facts = "\n".join(
        f"- {name.replace('_', ' ')}: {value}" for name, value in card["facts"].items()
    )
    artefacts = "\n".join(
        f"- `{name}`, SHA-256 `{sha256}`" for name, sha256 in card["artefacts"].items()
    )
    sources = "\n".join(
        f"| {file.path} | {file.licence} | {file.rows:,} | `{file.sha256}` |" for file in files
    )
    return f"""# {card["name"]} {card["version"]}

{about.strip()}

Made on {card["created"]} by `{card["command"]}` on {card["machine"]}.
{card["bytes"] / 1e6:.1f} MB in all:

{artefacts}

## Figures on the test split

Rows that no training, calibration or threshold saw, grouped so that near duplicates, matched pairs
and conversations never straddle splits. Precision, recall, F1 and false discovery rate (FDR) are
those at 0.5; ECE is the expected calibration error over 15 bins. Only rows that label a category
count for it.

{figures_table(figures)}

{facts}

## Sources

| file | set and licence | rows | SHA-256 |
|---|---|---|---|
{sources}
"""


def figures_table(figures: dict[str, Figures]) -> str:
    """Markdown: every figure by category."""
    lines = [
        "| category | rows | positives | precision | recall | F1 | FDR | PR-AUC | ROC-AUC | ECE |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for category, one in figures.items():
        row = asdict(one)
        cells = " | ".join(f"{value:.3f}" for value in row.values() if isinstance(value, float))
        lines.append(f"| {category} | {one.rows} | {one.positives} | {cells} |")
    return "\n".join(lines)
