"""Template sentences: whole, labelled, about every group, and none from the functional suite."""

from random import Random

import pytest

from training.augment import Templates
from training.functional import read_suite

KINDS = ("hateful", "slurred", "threatening", "negated", "counter", "neutral", "scorned_person")


@pytest.fixture(scope="module")
def generated() -> list[tuple[str, dict[str, int]]]:
    return list(Templates(Random(1)).generate())


def test_every_slot_is_filled_and_every_sentence_labelled(
    generated: list[tuple[str, dict[str, int]]],
) -> None:
    assert [text for text, _ in generated if "{" in text or "}" in text] == []
    assert all(labels for _, labels in generated)


def test_no_sentence_is_a_case_of_the_functional_suite(
    generated: list[tuple[str, dict[str, int]]],
) -> None:
    def plain(text: str) -> str:
        return "".join(filter(str.isalnum, text.lower()))

    assert not {plain(text) for text, _ in generated} & {plain(case.text) for case in read_suite()}


@pytest.mark.parametrize("group", ["Muslims", "LGBTQ people", "middle-aged people", "men"])
def test_a_group_is_praised_as_well_as_hated(
    group: str, generated: list[tuple[str, dict[str, int]]]
) -> None:
    about = [labels.get("hate") for text, labels in generated if group.lower() in text.lower()]
    assert {0, 1} <= set(about)


def test_the_same_seed_gives_the_same_sentences() -> None:
    first, again = ([Templates(Random(7)).sentence(kind) for kind in KINDS] for _ in range(2))
    assert first == again


@pytest.mark.parametrize(
    ("text", "names_a_group"),
    [
        ("women should be paid less", True),
        ("the gay couple upstairs", True),  # an adjective before people
        ("a black car", False),  # before a thing
        ("old houses and short films", False),
        ("womenfolk", False),  # within a word
        ("nobody in particular", False),
        ("", False),
    ],
)
def test_a_text_is_told_of_another_group(text: str, names_a_group: bool) -> None:
    templates = Templates(Random(2))
    swapped = {templates.swapped(text) for _ in range(20)} - {None}
    assert bool(swapped) == names_a_group
    assert text not in swapped
