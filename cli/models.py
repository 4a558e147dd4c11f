"""`breakwater models`: what scores, making it anew, and putting it in use."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markdown import Markdown
from rich.table import Table

from cli.errors import UsageError
from flows.settings import load_settings
from training.budgets import BUDGETS

if TYPE_CHECKING:
    from models.registry import Registry
    from models.text.cascade import Cascade

app = typer.Typer(help="The models.", no_args_is_help=True)

PARTS = {
    "text-fast": ("text", "fast"),
    "text-student": ("text", "student"),
    "text-transformer": ("text", "minilm"),
    "text": ("text", "."),
    "fusion": ("fusion", "."),
    "image": ("image", "."),
}
"""Each model: what it is promoted with, and where in there its card is."""

Data = Annotated[Path, typer.Option(help="Directory of the labelled sets.", exists=True)]
Candidate = Annotated[
    Path | None, typer.Option(help="A model that `train` made; by default the one in use.")
]


@app.command("list", epilog="Example: breakwater models list")
def list_models() -> None:
    """Each model with its version, since when it is in use, and where its card is."""
    registry = _registry()
    table = Table("model", "version", "in use since", box=None, header_style="dim")
    table.add_column("card", overflow="fold")
    for name, (unit, part) in PARTS.items():
        directory = registry.current(unit) / part
        history = registry.history(unit)
        since = history[-1].promoted_at if history else "built in"
        table.add_row(name, _version(directory), since, _shown(directory / "card.md"))
    Console().print(table)


@app.command(epilog="Example: breakwater models train text --data ../data --out out/text")
def train(
    name: Annotated[str, typer.Argument(help="text, text-fast or fusion.")],
    data: Data,
    out: Annotated[
        Path | None, typer.Option(help="Where the model and its card go; by default out/models/.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed makes the same model.")] = 0,
    student_budget: Annotated[
        float, typer.Option(min=0, max=1, help="Share of texts that the student may see.")
    ] = BUDGETS[0],
    budget: Annotated[
        float, typer.Option(min=0, max=1, help="Share of texts that the transformer may see.")
    ] = BUDGETS[1],
    epochs: Annotated[int, typer.Option(min=1, help="Of the transformer.")] = 3,
    minutes: Annotated[float, typer.Option(help="The transformer's training ends then.")] = 120,
) -> None:
    """Train a model on labelled data; its card says how good it is on splits it never saw.

    `text` makes all text models and the gates between them; what lies in --out already is kept,
    and a training that was broken off goes on. `text-fast` makes the fast one alone.
    """
    unit = PARTS[name][0] if name in PARTS else name
    target = out or Path("out") / "models" / unit
    with _training_tools():
        if name in {"text", "text-fast"}:
            from training import text_fast
            from training.cards import is_published

            if not is_published(target / "fast"):
                text_fast.train(data, target / "fast", seed=seed)
        elif name == "fusion":
            from training import fusion

            fusion.train(data, target, seed=seed, model=_text_models_in_use())
        else:
            raise UsageError(f"{name}: text, text-fast and fusion can be trained")
        if name == "text":
            from training import cascade, text_card

            _train_transformers(data, target, epochs=epochs, minutes=minutes)
            cascade.train(data, target, budgets=(student_budget, budget))
            text_card.write_card(data, target)


def _text_models_in_use() -> Cascade:
    from models.text.cascade import Cascade

    return Cascade.load(_registry().current("text"))


def _train_transformers(data: Path, target: Path, *, epochs: int, minutes: float) -> None:
    """The transformer, then its student; each is kept where it lies there already."""
    from training import student, transformer
    from training.cards import is_published

    work = target / "work"
    if not is_published(target / "minilm"):
        transformer.train(data, target / "minilm", work=work, epochs=epochs, minutes=minutes)
    if not is_published(target / "student"):
        student.train(data, target / "student", work=work / "student", teacher=target / "minilm")


@app.command(epilog="Example: breakwater models retrain fusion --data ../data --out out/candidates")
def retrain(
    name: Annotated[str, typer.Argument(help="text or fusion.")],
    data: Data,
    out: Annotated[Path, typer.Option(help="Candidates go there, by alert.")] = Path(
        "out/candidates"
    ),
) -> None:
    """Wait for drift on the alerts' topic; at each, train a candidate with people's labels so far.

    The labels go to own/labels.json of --data, which every training reads. Nothing is promoted.
    """
    if name not in {"text", "fusion"}:
        raise UsageError(f"{name}: text and fusion can be trained and promoted")
    with _training_tools():
        from cli.retrain import retrain_command

        retrain_command(name, data, out)


@app.command(epilog="Example: breakwater models evaluate text --data ../data --candidate out/text")
def evaluate(
    name: Annotated[str, typer.Argument(help="text.")], data: Data, candidate: Candidate = None
) -> None:
    """Figures on the test split, functional tests and spelling tricks; a candidate beside them."""
    if name != "text":
        raise UsageError(f"{name}: text is evaluated; the cards of the others have their figures")
    with _training_tools():
        from training.evaluate import evaluate as measure
        from training.evaluate import report

        _tell(candidate, lambda model: report(model, data, measure(model, data)))


@app.command(epilog="Example: breakwater models audit text --data ../data")
def audit(
    name: Annotated[str, typer.Argument(help="text.")], data: Data, candidate: Candidate = None
) -> None:
    """Are neutral sentences flagged more for some identities than for others? (fairlearn)."""
    if name != "text":
        raise UsageError(f"{name}: only text speaks of identities")
    with _training_tools():
        from training import audit as fairness

        found = fairness.sentences(data)
        _tell(candidate, lambda model: fairness.markdown(*fairness.audit(model.predict, *found)))


@app.command(epilog="Example: breakwater models promote text out/text")
def promote(
    name: Annotated[str, typer.Argument(help="text, fusion or image.")],
    candidate: Annotated[Path, typer.Argument(help="What `breakwater models train` made.")],
    even_if_worse: Annotated[
        bool, typer.Option("--even-if-worse", help="Also with a lower mean PR-AUC in its card.")
    ] = False,
) -> None:
    """Put a model in use that works and is no worse: workers that start from now on score with it.

    Worse is a mean PR-AUC, of the test split by the cards, that lies 0.02 under that in use.
    """
    promotion = _registry().promote(name, candidate, even_if_worse=even_if_worse)
    print(f"{name} {promotion.version} is in use by workers that start from now on")


@app.command(epilog="Example: breakwater models rollback text")
def rollback(name: Annotated[str, typer.Argument(help="text, fusion or image.")]) -> None:
    """Take back the last promotion: the model before it is in use again."""
    directory = _registry().rollback(name)
    print(f"{name}: {directory} is in use by workers that start from now on")


def _tell(candidate: Path | None, figures: Callable[[Cascade], str]) -> None:
    """Print the `figures` of the text models in use, and of a candidate below them."""
    from models.text.cascade import Cascade

    asked = {"in use": _registry().current("text"), "candidate": candidate}
    for title, directory in asked.items():
        if directory is not None:
            Console().print(Markdown(f"# {title}\n\n{figures(Cascade.load(directory))}"))


def _registry() -> Registry:
    # Imported here: `--help` need not wait for what the models run on.
    from models.registry import Registry

    return Registry(load_settings().models)


@contextmanager
def _training_tools() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        raise UsageError(f"{error.name} is missing: `make train-venv` installs it") from None


def _shown(path: Path) -> str:
    """As short as it can be from here."""
    here = Path.cwd()
    return str(path.resolve().relative_to(here) if path.resolve().is_relative_to(here) else path)


def _version(directory: Path) -> str:
    """Of its card; of all text models together, what `models list` shows line by line."""
    try:
        card: dict[str, object] = json.loads((directory / "card.json").read_text("utf-8"))
    except (OSError, ValueError):
        return ""
    return str(card.get("version", ""))
