"""Images through the whole job, a file to files and the store, run as a user runs it."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import clickhouse_connect
import msgspec
import pytest
from clickhouse_server import clickhouse_server
from image_files import encoded

from cli.hash import hash_files
from events.encode import encode
from events.identity import decision_id
from events.messages import Content, Decision, Image, ReviewItem
from policy.policy import BUILT_IN
from training.pictures import caption, picture

ROOT = Path(__file__).parent.parent
AT = datetime.now(UTC) - timedelta(minutes=10)
LISTED = picture(12)
PORTRAIT = picture(6)

HATEFUL = "immigrants are vermin"
MEMES = {
    "hateful-1": HATEFUL,
    "hateful-2": "women are inferior to men",
    "threat": "i will find you and kill you",
    "benign-1": "good morning neighbours",
    "benign-2": "immigrants are good for us",
}


def meme(text: str) -> bytes:
    return encoded(caption(PORTRAIT.resize((480, 400)), text, height=70), "PNG")


FRAMES = [encoded(PORTRAIT, "JPEG"), encoded(LISTED, "JPEG"), encoded(PORTRAIT, "JPEG")]


def post(content_id: str, *images: bytes, text: str = "look at this", **fields) -> Content:
    made = [Image(str(number), data=data) for number, data in enumerate(images)]
    defaults = {"created_at": AT, "author_id": f"author of {content_id}", "text": text}
    return Content(content_id, images=made, **defaults | fields)


def posts() -> list[Content]:
    return [
        post("text", text="a fine day"),
        *(post(name, meme(text), text="") for name, text in MEMES.items()),
        post("listed", encoded(LISTED.resize((700, 500)), "JPEG", quality=60)),
        post("broken", b"no picture at all"),
        post("both", encoded(PORTRAIT, "JPEG"), text="i will find you and kill you"),
        # A repeat: one effect.
        post("listed", encoded(LISTED.resize((700, 500)), "JPEG", quality=60)),
        post("listed", encoded(PORTRAIT, "JPEG"), revision=1),
        *(
            post(f"frame-{number}", data, kind="video_frame", parent_id="video", author_id="film")
            for number, data in enumerate(FRAMES)
        ),
    ]


@pytest.fixture(scope="module")
def policy(tmp_path_factory) -> Path:
    """The built-in policy with a hash list that knows one picture."""
    directory = tmp_path_factory.mktemp("policy")
    file = directory / "listed.png"
    LISTED.save(file)
    (directory / "hashes").mkdir()
    [row] = hash_files([file])
    line = f"pdq,{row['pdq']},violent_extremism,exchange\n"
    (directory / "hashes/a.csv").write_text(f"algorithm,hash,category,source\n{line}")
    (directory / "policy.yaml").write_text((BUILT_IN / "policy.yaml").read_text())
    (directory / "rules").symlink_to(BUILT_IN / "rules")
    return directory


@pytest.fixture(scope="module")
def output(tmp_path_factory, policy) -> Path:
    """What the job writes, of two runs over the same file."""
    directory = tmp_path_factory.mktemp("run")
    source, output = directory / "posts.jsonl", directory / "out"
    source.write_bytes(b"\n".join(map(encode, posts())) + b"\n")
    kept = {k: v for k, v in os.environ.items() if not k.startswith("BREAKWATER_")}
    for _ in range(2):
        subprocess.run(
            [sys.executable, "-m", "cli.main", "run", "--input", source, "--output", output,
             "--overwrite"],
            cwd=ROOT, timeout=300, check=True, capture_output=True,
            env=kept | {"BREAKWATER_OCR": "on", "BREAKWATER_POLICY": str(policy)},
        )  # fmt: skip
    return output


@pytest.fixture(scope="module")
def answers(output) -> dict[tuple[str, int], list[Decision]]:
    """The decisions on each identity, in the order of the file."""
    found: dict[tuple[str, int], list[Decision]] = {}
    for line in (output / "decisions.jsonl").read_bytes().splitlines():
        made = msgspec.json.decode(line, type=Decision)
        found.setdefault((made.content_id, made.revision), []).append(made)
    return found


def test_content_with_images_has_a_quick_and_then_a_final_answer(answers) -> None:
    for identity in {(content.content_id, content.revision) for content in posts()}:
        expected = [True] if identity[0] == "text" else [False, True]
        made = answers[identity]
        assert [decision.final for decision in made] == expected, identity
        assert [decision.decision_id for decision in made] == [
            decision_id(*identity, final=final) for final in expected
        ]
        assert made[0].decided_at <= made[-1].decided_at


def test_a_video_has_the_verdict_of_its_worst_frame(answers) -> None:
    frames = [answers[f"frame-{number}", 0][-1] for number in range(len(FRAMES))]
    assert [frame.action for frame in frames] == ["allow", "block", "allow"]
    verdict = answers["video", 0][-1]
    assert (verdict.action, verdict.category) == ("block", "violent_extremism")
    assert (verdict.final, verdict.frames) == (True, len(FRAMES))
    assert {span.field for signal in verdict.signals for span in signal.evidence} == {
        "frames.frame-1.images.0"
    }


def test_the_quick_answer_blocks_by_text_and_else_holds_as_the_policy_says(answers) -> None:
    quick = [made[0] for made in answers.values() if not made[0].final and not made[0].frames]
    assert [one.content_id for one in quick if one.action == "block"] == ["both"]
    held = [one for one in quick if one.action != "block"]
    assert {(one.action, one.category) for one in held} == {("review", "csam")}
    assert all(not one.degraded for one in quick)


def test_memes_are_told_apart_by_what_is_written_in_them(answers) -> None:
    final = {name: answers[name, 0][-1] for name in MEMES}
    assert {name: (one.action, one.category) for name, one in final.items()} == {
        "hateful-1": ("block", "hate"),
        "hateful-2": ("block", "hate"),
        "threat": ("block", "threat"),
        "benign-1": ("allow", ""),
        "benign-2": ("allow", ""),
    }
    assert {span.field for signal in final["hateful-1"].signals for span in signal.evidence} == {
        "images.0"
    }


@pytest.mark.parametrize(
    ("identity", "action", "category", "degraded"),
    [
        (("listed", 0), "block", "violent_extremism", ()),
        (("listed", 1), "allow", "", ()),
        (("broken", 0), "review", "csam", ("image_hash", "image_score")),
        (("both", 0), "block", "threat", ()),
    ],
    ids=["a listed picture", "its edit shows another", "no picture: csam fails closed", "by text"],
)
def test_final_answers(answers, identity, action, category, degraded) -> None:
    made = answers[identity][-1]
    assert (made.action, made.category, made.degraded) == (action, category, degraded)


def test_the_final_answer_names_the_model_that_saw_the_image(answers) -> None:
    quick, final = answers["benign-1", 0]
    assert "open_nsfw" not in quick.model_versions
    assert final.model_versions["open_nsfw"]
    assert "open_nsfw" not in answers["text", 0][0].model_versions


def test_moderators_get_final_answers_only(output) -> None:
    lines = (output / "review.jsonl").read_bytes().splitlines()
    reviewed = [msgspec.json.decode(line, type=ReviewItem).decision for line in lines]
    assert all(decision.final for decision in reviewed)
    assert "broken" in {decision.content_id for decision in reviewed}


def test_the_store_has_one_row_an_identity_and_it_is_the_final_one(output) -> None:
    def rows(sql: str) -> list[tuple]:
        return [tuple(row) for row in client.query(sql).result_rows]

    contents = {(content.content_id, content.revision) for content in posts()}
    with clickhouse_server(output / "clickhouse") as dsn:
        client = clickhouse_connect.get_client(dsn=dsn, database="moderation")
        logged = rows("SELECT content_id, revision, final, action FROM moderation_logs FINAL")
        kept = rows("SELECT content_id, revision, action FROM content FINAL")
        images = rows("SELECT content_id FROM model_outputs FINAL WHERE model = 'open_nsfw'")
        client.close()
    video = ("video", 0, True, "block")
    assert video in logged
    logged.remove(video)
    assert {row[:2] for row in logged} == {row[:2] for row in kept} == contents
    assert len(logged) == len(kept) == len(contents)
    assert all(final for _, _, final, _ in logged)
    assert {(row[0], row[1], row[3]) for row in logged} == set(kept)
    # All but the text and what is no image.
    assert len(images) == len(contents) - 2


# The job up to its outputs; the stages of images hang until the end of the world.
FAILING = """
import sys, threading
from dataclasses import replace
from pathlib import Path
import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, TestingSource, run_main
from image_items import item
from flows.moderation import judge
from flows.settings import load_settings
from flows.stages import load_stages

begun = threading.Event()

def hang(items):
    begun.set()
    threading.Event().wait()

def posts():
    yield item(b"picture")
    while not begun.is_set():
        yield item()
    raise RuntimeError("the job has failed")

stages = load_stages(load_settings(output=Path(sys.argv[1])))
flow = Dataflow("test")
up = op.input("in", flow, TestingSource(posts()))
judged = judge("judge", up, replace(stages, seeing=(("hang", hang),)))
op.output("out", judged.judgements, TestingSink([]))
run_main(flow)
"""


def test_a_job_that_has_failed_does_not_look_at_the_images_that_wait(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", FAILING, str(tmp_path)], cwd=ROOT, timeout=120, check=False,
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, "the job has failed" in done.stderr) == (1, True)
