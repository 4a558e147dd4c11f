"""The registry of models: promoted after a check, taken back in order, never half of one."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from models.fusion.fusion import FusionModel
from models.registry import BUILT_IN, Registry, RegistryError, verify
from models.text.cascade import PARTS, Cascade
from models.text.transformer import ModelError


@pytest.fixture
def candidate(tmp_path: Path) -> Path:
    """Another fusion model: the built-in one under another version."""
    directory = tmp_path / "candidate"
    shutil.copytree(BUILT_IN["fusion"], directory)
    _edit(directory, version="0123456789ab")
    return directory


def _edit(directory: Path, **changes: object) -> None:
    card = json.loads((directory / "card.json").read_text())
    (directory / "card.json").write_text(json.dumps(card | changes))


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_built_in_model_is_in_use_until_another_is_promoted(name: str, tmp_path: Path) -> None:
    assert Registry().current(name) == Registry(tmp_path).current(name) == BUILT_IN[name]
    assert Registry(tmp_path).history(name) == []


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_built_in_models_are_what_their_cards_say(name: str, tmp_path: Path) -> None:
    Registry(tmp_path / "models").promote(name, BUILT_IN[name])
    assert Registry(tmp_path / "models").history(name)[0].version


def test_a_promoted_model_scores(candidate: Path, tmp_path: Path) -> None:
    registry = Registry(tmp_path / "models")
    promotion = registry.promote("fusion", candidate)
    assert promotion.version == "0123456789ab"
    assert FusionModel(registry.current("fusion")).version == "0123456789ab"
    assert Registry(tmp_path / "models").history("fusion") == [promotion], "others see it too"


@pytest.mark.parametrize("broken", ["", "{", "7", '["x"]', '[{"version": "x"}]', "\xff"])
def test_a_broken_list_of_promotions_says_what_to_do(broken: str, tmp_path: Path) -> None:
    (tmp_path / "fusion").mkdir()
    (tmp_path / "fusion" / "history.json").write_text(broken, "latin-1")
    with pytest.raises(RegistryError, match=r"history\.json is no list of promotions .*built-in"):
        Registry(tmp_path).current("fusion")


def test_a_file_is_no_directory_of_models(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RegistryError, match="BREAKWATER_MODELS names a directory"):
        Registry(tmp_path / "file").current("text")


def test_rollback_goes_back_one_by_one_to_the_built_in(candidate: Path, tmp_path: Path) -> None:
    registry = Registry(tmp_path / "models")
    registry.promote("fusion", candidate)
    _edit(candidate, version="ba9876543210")
    registry.promote("fusion", candidate)
    assert registry.rollback("fusion").name == "0123456789ab"
    assert registry.rollback("fusion") == BUILT_IN["fusion"]
    with pytest.raises(RegistryError, match="nothing to take back"):
        registry.rollback("fusion")


def test_what_was_taken_back_can_be_promoted_again(candidate: Path, tmp_path: Path) -> None:
    registry = Registry(tmp_path / "models")
    registry.promote("fusion", candidate)
    registry.rollback("fusion")
    assert registry.promote("fusion", candidate).version == "0123456789ab"


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ("no card", "No such file"),
        ("card is no JSON", "no card of a model"),
        ("artefact missing", "No such file"),
        ("artefact changed", "differs from what card.json says"),
        ("version climbs out", "cannot name a directory"),
    ],
)
def test_a_broken_candidate_is_refused_and_nothing_changes(
    candidate: Path, tmp_path: Path, broken: str, reason: str
) -> None:
    match broken:
        case "no card":
            (candidate / "card.json").unlink()
        case "card is no JSON":
            (candidate / "card.json").write_text("{")
        case "artefact missing":
            (candidate / "spam.txt").unlink()
        case "artefact changed":
            with (candidate / "spam.txt").open("a") as file:
                file.write("\n")
        case "version climbs out":
            _edit(candidate, version="../../etc")
    registry = Registry(tmp_path / "models")
    with pytest.raises(RegistryError, match=reason):
        registry.promote("fusion", candidate)
    assert registry.current("fusion") == BUILT_IN["fusion"]


def test_a_gate_of_other_text_models_are_refused(tmp_path: Path) -> None:
    candidate = tmp_path / "text"
    shutil.copytree(BUILT_IN["text"], candidate, ignore=shutil.ignore_patterns("*.py"))
    table = json.loads((candidate / "cascade.json").read_text())
    (candidate / "cascade.json").write_text(json.dumps(table | {"models": ["1", "2"]}))
    with pytest.raises(RegistryError, match="was fitted to the models"):
        verify(candidate, parts=PARTS)
    with pytest.raises(ModelError, match="fitted to other models"):
        Cascade.load(candidate)


def test_names_and_directories_are_asked_for(candidate: Path, tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="no model is called speech: text, fusion, image"):
        Registry(tmp_path).current("speech")
    with pytest.raises(RegistryError, match="set BREAKWATER_MODELS"):
        Registry().promote("fusion", candidate)
    Registry(tmp_path / "models").promote("fusion", candidate)
    with pytest.raises(RegistryError, match="in use already"):
        Registry(tmp_path / "models").promote("fusion", candidate)


def test_a_promoted_model_that_is_gone_is_named(candidate: Path, tmp_path: Path) -> None:
    registry = Registry(tmp_path / "models")
    registry.promote("fusion", candidate)
    (registry.current("fusion") / "spam.txt").unlink()
    with pytest.raises(RegistryError, match=r"spam\.txt: No such file"):
        registry.current("fusion")


def test_rollback_passes_over_what_is_broken(candidate: Path, tmp_path: Path) -> None:
    registry = Registry(tmp_path / "models")
    registry.promote("fusion", candidate)
    (registry.current("fusion") / "spam.txt").write_text("changed")
    _edit(candidate, version="ba9876543210")
    registry.promote("fusion", candidate)
    assert registry.rollback("fusion") == BUILT_IN["fusion"]
    assert registry.history("fusion") == []


def test_a_broken_copy_is_made_anew_when_it_is_promoted_again(
    candidate: Path, tmp_path: Path
) -> None:
    registry = Registry(tmp_path / "models")
    registry.promote("fusion", candidate)
    (registry.current("fusion") / "spam.txt").write_text("changed")
    registry.rollback("fusion")
    registry.promote("fusion", candidate)
    assert FusionModel(registry.current("fusion")).version == "0123456789ab"


def test_another_model_of_a_version_that_is_kept_is_refused(
    candidate: Path, tmp_path: Path
) -> None:
    registry = Registry(tmp_path / "models")
    registry.promote("fusion", candidate)
    registry.rollback("fusion")
    _edit(candidate, created="2030-01-01")
    with pytest.raises(RegistryError, match="another model of the same version"):
        registry.promote("fusion", candidate)


def test_what_does_not_work_is_refused(candidate: Path, tmp_path: Path) -> None:
    registry = Registry(tmp_path / "models")
    with pytest.raises(RegistryError, match="it does not work"):
        registry.promote("image", candidate)
    (candidate / "spam.txt").write_text("no booster")
    card = json.loads((candidate / "card.json").read_text())
    digest = hashlib.sha256(b"no booster").hexdigest()
    _edit(candidate, artefacts=card["artefacts"] | {"spam.txt": digest})
    with pytest.raises(RegistryError, match="it does not work"):
        registry.promote("fusion", candidate)
    assert registry.current("fusion") == BUILT_IN["fusion"]


def test_a_worse_model_is_refused_unless_it_is_asked_for(candidate: Path, tmp_path: Path) -> None:
    figures = json.loads((candidate / "card.json").read_text())["figures"]
    figures["hate"]["pr_auc"] -= 0.1
    _edit(candidate, figures=figures)
    registry = Registry(tmp_path / "models")
    with pytest.raises(RegistryError, match=r"mean PR-AUC is 0\.\d+, .* --even-if-worse"):
        registry.promote("fusion", candidate)
    registry.promote("fusion", candidate, even_if_worse=True)
    assert registry.current("fusion").name == "0123456789ab"


def _promote(models: Path, candidate: Path) -> None:
    Registry(models).promote("fusion", candidate)


def test_of_promotions_at_once_none_is_lost(candidate: Path, tmp_path: Path) -> None:
    candidates = [tmp_path / f"candidate-{number}" for number in range(6)]
    for number, each in enumerate(candidates):
        shutil.copytree(candidate, each)
        _edit(each, version=f"v{number}")
    with ProcessPoolExecutor(6) as processes:
        list(processes.map(_promote, [tmp_path / "models"] * 6, candidates))
    promoted = [each.version for each in Registry(tmp_path / "models").history("fusion")]
    assert sorted(promoted) == [f"v{number}" for number in range(6)]


def breakwater(models: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("BREAKWATER_")}
    return subprocess.run(
        [sys.executable, "-m", "cli.main", "models", *arguments],
        capture_output=True, text=True, timeout=120, check=False,
        env=kept | {"BREAKWATER_MODELS": str(models), "COLUMNS": "200"},
    )  # fmt: skip


def test_promoting_and_taking_back_as_typed(candidate: Path, tmp_path: Path) -> None:
    models = tmp_path / "models"
    promoted = breakwater(models, "promote", "fusion", str(candidate))
    assert promoted.stdout.startswith("fusion 0123456789ab is in use"), promoted.stderr
    assert "0123456789ab" in breakwater(models, "list").stdout
    assert breakwater(models, "rollback", "fusion").returncode == 0
    listed = breakwater(models, "list").stdout
    assert "0123456789ab" not in listed
    assert listed.count("built in") == 6


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("promote", "fusion", "nowhere"), "nowhere/card.json: No such file"),
        (("promote", "speech", "nowhere"), "no model is called speech"),
        (("rollback", "text"), "nothing to take back"),
        (("evaluate", "image", "--data", "."), "image: text is evaluated"),
        (("train", "image", "--data", "."), "image: text, text-fast and fusion"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(
    arguments: tuple[str, ...], reason: str, tmp_path: Path
) -> None:
    found = breakwater(tmp_path, *arguments)
    assert found.returncode == 2
    assert reason in found.stderr
