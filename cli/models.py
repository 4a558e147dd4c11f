"""`breakwater models`: what scores, and making it anew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from cli.errors import UsageError

app = typer.Typer(help="The models.", no_args_is_help=True)

MODELS = Path(__file__).parent.parent / "models"
DIRECTORIES = {
    "text-fast": MODELS / "text" / "fast",
    "text": MODELS / "text" / "minilm",
    "fusion": MODELS / "fusion" / "lightgbm",
    "image": MODELS / "image" / "nsfw",
}
"""Where each model's artefact and card are."""


@app.command("list", epilog="Example: breakwater models list")
def list_models() -> None:
    """Each model with its version and where its card is."""
    table = Table("model", "version", "card", box=None, header_style="dim")
    for name, directory in DIRECTORIES.items():
        version = _card(name).get("version", "?") if directory.is_dir() else "not there"
        table.add_row(name, str(version), str(directory / "card.md"))
    Console().print(table)


@app.command(epilog="Example: breakwater models train text-fast --data ../data --out out/text-fast")
def train(
    name: Annotated[str, typer.Argument(help="text-fast, text or fusion.")],
    data: Annotated[Path, typer.Option(help="Directory of the labelled sets.")],
    out: Annotated[Path | None, typer.Option(help="Where to; by default in its place.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed makes the same model.")] = 0,
) -> None:
    """Train a model on labelled data; its card says how good it is on splits it never saw."""
    if not data.is_dir():
        raise UsageError(f"--data {data}: no such directory")
    target = out or _directory(name)
    try:
        if name == "text-fast":
            from training import text_fast

            text_fast.train(data, target, seed=seed)
        elif name == "fusion":
            from training import fusion

            fusion.train(data, target, seed=seed)
        elif name == "text":
            from training import transformer

            transformer.train(data, target, work=Path("out/training"))
        else:
            raise UsageError(f"{name}: text-fast, text and fusion can be trained")
    except ModuleNotFoundError as error:
        raise UsageError(f"{error.name} is missing: `make train-venv` installs it") from None


def _directory(name: str) -> Path:
    if name not in DIRECTORIES:
        raise UsageError(f"no model is called {name}: {', '.join(DIRECTORIES)}")
    return DIRECTORIES[name]


def _card(name: str) -> dict[str, object]:
    try:
        card: dict[str, object] = json.loads((_directory(name) / "card.json").read_text())
    except (OSError, ValueError):
        return {}
    return card
