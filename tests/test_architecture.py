"""The arrows of DESIGN.md: who may import whom, and what never leaves its room."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

MAY_IMPORT = {
    "events": set(),
    "policy": {"events"},
    "models": {"events", "policy"},
    "operators": {"events", "models", "policy"},
    "connectors": {"events", "clickhouse"},
    "clickhouse": set(),
    "flows": {"events", "operators", "models", "policy", "connectors"},
    "training": {"events", "models", "policy", "operators"},
    "console": {"events", "policy", "connectors"},
    "cli": {
        "events", "flows", "operators", "models", "policy", "connectors", "training", "console",
        "clickhouse",
    },
}  # fmt: skip

# Libraries that belong to some rooms alone.
ONLY_IN = {
    "bytewax": {"operators", "flows", "connectors"},
    "confluent_kafka": {"connectors"},
    "clickhouse_connect": {"connectors"},
    "redis": {"connectors"},
    "torch": {"training"},
    "transformers": {"training"},
    "dash": {"console"},
}


def modules_imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.split(".")[0])
    return found


def files(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_only_what_its_arrows_allow(room: str) -> None:
    allowed = MAY_IMPORT[room] | {room}
    for path in files(room):
        wrong = (modules_imported(path) & MAY_IMPORT.keys()) - allowed
        assert not wrong, f"{path.relative_to(ROOT)} imports {wrong}"


@pytest.mark.parametrize("library", ONLY_IN)
def test_a_library_stays_in_its_rooms(library: str) -> None:
    for room in MAY_IMPORT.keys() - ONLY_IN[library]:
        for path in files(room):
            assert library not in modules_imported(path), f"{path.relative_to(ROOT)}: {library}"


def test_the_walk_sees_something() -> None:
    assert all(files(room) for room in MAY_IMPORT.keys() - {"clickhouse"})


def test_only_training_speaks_of_the_shared_data() -> None:
    for room in [*MAY_IMPORT, "bench", "tests"]:
        if room == "training":
            continue
        for path in files(room):
            if path != Path(__file__):
                text = path.read_text()
                assert "/shared" not in text, f"{path.relative_to(ROOT)} reads the shared folder"
