"""The guardrails in the whole job: twice a quota of automatic blocks is sent."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from policy.policy import BUILT_IN

ROOT = Path(__file__).parent.parent
QUOTA = 10
MANY = 1_100
"""More decisions than an hour must have for its share of blocks to say anything."""


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run over posts that rules block: 2 * QUOTA by each that has one, and MANY by another.

    The settings name brokers, too, as on a machine where the job runs on Kafka.
    """
    home = tmp_path_factory.mktemp("guardrails")
    policy = home / "policy"
    (policy / "rules").mkdir(parents=True)
    (policy / "hashes").symlink_to(BUILT_IN / "hashes")
    text = (BUILT_IN / "policy.yaml").read_text()
    (policy / "policy.yaml").write_text(text.replace("quota: 2000000", f"quota: {QUOTA}"))
    (policy / "rules" / "r.yaml").write_text(
        "rules:\n"
        "  - {id: zebra, category: spam, score: 0.97, pattern: zebra}\n"
        f"  - {{id: llama, category: sexual, score: 0.97, pattern: llama, quota: {QUOTA}}}\n"
        "  - {id: hippo, category: threat, score: 0.97, pattern: hippo}\n"
    )
    posts = [
        {"content_id": f"{animal}-{n}", "created_at": f"2026-11-20T00:00:{n % 60:02}Z",
         "author_id": f"a{n}", "text": f"we saw a {animal} at the zoo today"}
        for animal, count in (("zebra", 2 * QUOTA), ("llama", 2 * QUOTA), ("hippo", MANY))
        for n in range(count)
    ]  # fmt: skip
    (home / "posts.jsonl").write_text("\n".join(map(json.dumps, posts)))
    settings = {k: v for k, v in os.environ.items() if not k.startswith("BREAKWATER_")}
    settings |= {"BREAKWATER_POLICY": str(policy), "BREAKWATER_KAFKA_BROKERS": "127.0.0.1:1"}
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", "run", "--input", home / "posts.jsonl",
         "--output", home / "out"],
        cwd=ROOT, env=settings, capture_output=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    return home / "out"


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.open()]


@pytest.mark.parametrize(
    ("animal", "category", "name"),
    [("zebra", "spam", "category:spam"), ("llama", "sexual", "rule:llama")],
)
def test_of_twice_the_quota_half_is_blocked_half_reviewed_and_an_alert_opens(
    output: Path, animal: str, category: str, name: str
) -> None:
    made = [one for one in lines(output / "decisions.jsonl") if animal in one["content_id"]]
    actions = [one["action"] for one in made]
    assert actions == ["block"] * QUOTA + ["review"] * QUOTA
    assert {one["category"] for one in made} == {category}
    reviewed = {one["decision"]["content_id"] for one in lines(output / "review.jsonl")}
    assert reviewed >= {one["content_id"] for one in made[QUOTA:]}
    alert, end = [
        one for one in lines(output / "alerts.jsonl") if one["key"]["signature"] == f"quota:{name}"
    ]
    assert (alert["kind"], alert["state"], alert["expected"]) == ("health", "open", QUOTA)
    assert alert["examples"][0] == f"{animal}-{QUOTA}"
    assert end == alert | {"state": "resolved"}, "with the file it is over"


def test_a_file_may_be_all_violations(output: Path) -> None:
    made = [one for one in lines(output / "decisions.jsonl") if "hippo" in one["content_id"]]
    assert [one["action"] for one in made] == ["block"] * MANY
