"""`breakwater models train`: what was broken off is not whole, and fusion fits the text models."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from next_model import all_is_spam
from typer.testing import CliRunner

import training
from cli.main import app
from models.registry import Registry
from policy.taxonomy import TEXT_CATEGORIES
from training.cards import is_published, write_card, write_draft


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the trainings were asked for, which nobody does here."""
    calls: list[dict[str, Any]] = []
    instead = SimpleNamespace(train=lambda *_, **named: calls.append(named))
    for name in ("text_fast", "fusion"):
        # Not imported: the tools of training are not installed where tests run.
        monkeypatch.setitem(sys.modules, f"training.{name}", instead)
        monkeypatch.setattr(training, name, instead, raising=False)
    return calls


def train(name: str, out: Path) -> None:
    command = ["models", "train", name, "--data", str(out.parent), "--out", str(out)]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.exception


def publish(out: Path) -> None:
    write_card(
        out, name="text-fast", artefacts=("model.onnx",), categories=TEXT_CATEGORIES, command="",
        about="", files=(), figures={}, facts={},
    )  # fmt: skip


def test_a_model_that_was_not_finished_is_trained_again(
    tmp_path: Path, asked: list[dict[str, Any]]
) -> None:
    fast = tmp_path / "text" / "fast"
    fast.mkdir(parents=True)
    (fast / "model.onnx").write_bytes(b"not calibrated yet")
    write_draft(fast, ("model.onnx",), TEXT_CATEGORIES)
    assert not is_published(fast)
    train("text-fast", tmp_path / "text")
    assert len(asked) == 1
    publish(fast)
    assert is_published(fast)
    train("text-fast", tmp_path / "text")
    assert len(asked) == 1, "it is whole"


def test_fusion_is_fitted_to_the_text_models_in_use(
    tmp_path: Path, asked: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    Registry(tmp_path / "models").promote("text", all_is_spam(tmp_path / "next"))
    monkeypatch.setenv("BREAKWATER_MODELS", str(tmp_path / "models"))
    train("fusion", tmp_path / "fusion")
    (call,) = asked
    assert call["model"].version.endswith("+next")
