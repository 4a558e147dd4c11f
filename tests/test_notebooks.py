"""The notebooks of docs/notebooks run from top to bottom, and find what is in the store."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from clickhouse_server import clickhouse_server
from store_samples import history, store_history

from connectors.clickhouse import ClickHouseWriter

NOTEBOOKS = Path(__file__).parent.parent / "docs" / "notebooks"


@pytest.fixture(scope="module")
def dsn(tmp_path_factory):
    with clickhouse_server(tmp_path_factory.mktemp("notebooks") / "store") as dsn:
        writer = ClickHouseWriter(dsn)
        writer.apply_schema()
        store_history(writer, history())
        writer.close()
        yield dsn


@pytest.fixture
def run(dsn, monkeypatch, tmp_path):
    """Runs the code cells of a notebook in order, without a kernel; gives their names."""
    monkeypatch.setenv("BREAKWATER_CLICKHOUSE_DSN", dsn)
    monkeypatch.chdir(tmp_path)

    def run_cells(name):
        notebook = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text("utf-8"))
        names = {}
        for cell in notebook["cells"]:
            if cell["cell_type"] == "code":
                exec(compile("".join(cell["source"]), cell["id"], "exec"), names)
        return names

    return run_cells


def test_cohort_audit(run, tmp_path):
    names = run("cohort_audit")
    assert len(pd.read_csv(tmp_path / "cohort_audit.csv")) == len(names["cohort"]) > 10
    assert names["commonest"].sum() == len(names["cohort"])
    assert (tmp_path / "cohort_audit.html").stat().st_size > 1000


def test_false_positives(run, tmp_path):
    names = run("false_positives")
    assert names["steps"].false_positives.sum() == len(names["examples"]) > 0
    assert "words" in names["top_terms"].index
    assert (tmp_path / "false_positives.html").exists()


def test_spike(run):
    names = run("spike")
    assert names["spike"].community == "news"
    assert names["spike"].changed_before == ["policy p2"]
    assert names["clusters"].cluster.iloc[0].startswith("link deal-")
    assert "usually 0" in names["finding"]
    hour, clusters = names["spike"].hour, names["clusters"]
    assert clusters.first_posted.min() >= hour
    assert clusters.last_posted.max() < hour + pd.Timedelta(hours=1)


def test_a_spike_is_looked_for_where_nothing_was_moderated(run, tmp_path, monkeypatch):
    with clickhouse_server(tmp_path / "empty") as dsn:
        writer = ClickHouseWriter(dsn)
        writer.apply_schema()
        writer.close()
        monkeypatch.setenv("BREAKWATER_CLICKHOUSE_DSN", dsn)
        assert run("spike")["finding"] == "nothing was moderated: there is no spike"


def test_notebooks_are_kept_without_outputs():
    for path in NOTEBOOKS.glob("*.ipynb"):
        cells = json.loads(path.read_text("utf-8"))["cells"]
        assert not any(cell.get("outputs") for cell in cells), path.name
