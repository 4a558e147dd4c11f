"""The docs name every command, setting, metric and query, and none that there is not."""

import json
import re
from pathlib import Path

import msgspec
import pytest
import typer.main

from cli.main import app
from events.messages import Alert, Decision
from flows.metrics import METRICS
from flows.settings import Settings

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
DOCS = README + "".join(path.read_text() for path in sorted((ROOT / "docs").rglob("*.md")))


def commands(command, path: str = "breakwater"):
    """Commands by the words that are typed for them."""
    if hasattr(command, "commands"):
        return {
            name: found
            for sub, child in command.commands.items()
            for name, found in commands(child, f"{path} {sub}").items()
        }
    return {path: command}


COMMANDS = commands(typer.main.get_command(app))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_in_the_readme(name: str) -> None:
    assert name in README


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_with_an_example(name: str) -> None:
    command = COMMANDS[name]
    assert command.help
    assert "Example: " in (command.epilog or ""), f"{name} --help has no example"


def test_the_readme_names_no_command_that_there_is_not() -> None:
    known = {word for name in COMMANDS for word in [name.split()[1]]}
    named = set(re.findall(r"`breakwater ([a-z-]+)", README))
    assert named <= known


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_in_the_readme(name: str) -> None:
    assert f"`BREAKWATER_{name.upper()}`" in README


@pytest.mark.parametrize(("number", "message"), [(0, Decision), (1, Alert)])
def test_the_samples_of_the_readme_have_every_field(number: int, message: type) -> None:
    sample = re.findall(r"```json\n(.*?)```", README, re.DOTALL)[number]
    assert isinstance(msgspec.json.decode(sample, type=message), message)
    assert list(json.loads(sample)) == [each.name for each in msgspec.structs.fields(message)]


def test_the_decision_of_the_readme_is_by_the_models_that_are_shipped() -> None:
    versions = json.loads(re.findall(r"```json\n(.*?)```", README, re.DOTALL)[0])["model_versions"]
    parts = ("text/fast", "text/student", "text/minilm", "fusion/lightgbm")
    cards = [json.loads((ROOT / "models" / part / "card.json").read_text()) for part in parts]
    assert versions == {card["name"]: card["version"] for card in cards}


def test_the_docs_name_no_setting_that_there_is_not() -> None:
    named = set(re.findall(r"BREAKWATER_([A-Z_]+)", DOCS))
    assert named <= {name.upper() for name in Settings.model_fields}


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.describe()[0].name)
def test_every_metric_is_in_the_docs(metric) -> None:
    family = metric.describe()[0]
    name = f"{family.name}_total" if family.type == "counter" else family.name
    assert f"`{name}`" in DOCS


@pytest.mark.parametrize("query", sorted((ROOT / "clickhouse/queries").glob("*.sql")), ids=str)
def test_every_query_is_in_the_docs(query: Path) -> None:
    assert f"`{query.stem}`" in DOCS
