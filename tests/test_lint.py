"""What is refused before it runs, and in what words."""

import re
from functools import partial
from pathlib import Path

import pytest

from operators.normalize import normalize
from policy import lint as linting
from policy.lint import MAX_EVERYDAY_RATE, Finding, everyday_sentences
from policy.rulebook import read_rulebook

lint = partial(linting.lint, normalize=normalize)
examine = partial(linting.examine, normalize=normalize)


def book(rule: str) -> dict[str, str]:
    return {"rules/t.yaml": f"rules: [{{id: a, category: spam, score: 0.9, {rule}}}]"}


def test_the_built_in_rulebook_is_clean_and_matches_no_everyday_sentence() -> None:
    assert lint(read_rulebook(), rate=0.0) == []


@pytest.mark.parametrize(
    ("what", "texts", "reason"),
    [
        ("catastrophic", book("pattern: '(x+x+)+y'"), "catastrophic"),
        ("invalid", book("pattern: '(free'"), "does not compile"),
        ("matches everything", book("pattern: '[a-z]'"), "of everyday sentences"),
        ("a common word", book("keywords: [the]"), "of everyday sentences"),
        ("matches nothing", book("pattern: 'x*'"), "matches the empty string"),
        ("a typo", book("patern: free"), "unknown field `patern`"),
        ("a lost example", book("pattern: zebra, examples: {match: [lion]}"),
         "does not match its example 'lion'"),
        ("a forbidden match", book("pattern: zebra, examples: {no_match: [zebras]}"),
         "matches 'zebras', which it must not"),
        ("an example read otherwise", book("keywords: [c0caine], examples: {match: [c0caine]}"),
         "does not match its example 'c0caine' (read as 'cocaine'; `on: original` reads it as"),
        ("a match once read", book("pattern: cocaine, examples: {no_match: [c0caine]}"),
         "matches 'c0caine' (read as 'cocaine'; `on: original` reads it as posted), which it must"),
        ("a broken list", {"hashes/a.csv": "md5\n"}, "the first line must be"),
        ("neither rules nor hashes", {"rules/a.txt": ""}, "expected rules/NAME.yaml"),
    ],
)  # fmt: skip
def test_a_mistake_is_found(what: str, texts: dict[str, str], reason: str) -> None:
    findings = examine(texts)
    assert len(findings) == 1, what
    assert reason in findings[0].message


@pytest.mark.parametrize("text", ["sub4sub", "sh!t", "c0caine"])
def test_a_rule_on_the_original_is_held_to_its_examples_as_posted(text: str) -> None:
    as_posted = book(f"on: original, keywords: ['{text}'], examples: {{match: ['{text}']}}")
    assert lint(as_posted) == []


def test_the_child_finds_the_same_as_this_process() -> None:
    texts = book("pattern: '[a-z]'")
    assert lint(texts) == examine(texts)


def test_the_example_of_the_docs_is_clean() -> None:
    page = (Path(__file__).parent.parent / "docs" / "rules.md").read_text()
    [example] = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert examine({"rules/example.yaml": example}) == []


def test_only_the_files_that_are_asked_about_are_compiled_and_held_to_everyday_talk() -> None:
    bad = book("pattern: '[a-z]'")
    texts = bad | {"rules/u.yaml": "rules: [{id: b, category: spam, score: 1, pattern: zebra}]"}
    assert lint(texts, only=["rules/u.yaml"]) == []
    assert [finding.rule for finding in lint(texts, only=bad)] == ["a"]
    twice = texts | {"rules/u.yaml": bad["rules/t.yaml"]}
    [finding] = lint(twice, only=["rules/u.yaml"])
    assert "has a rule with the same id" in finding.message


def test_a_rule_may_match_a_few_everyday_sentences() -> None:
    once = everyday_sentences()[0].split()[0].lower()
    assert examine(book(f"pattern: '^{once} morning everyone'"), rate=0.01) == []
    assert examine(book(f"pattern: '^{once} morning everyone'"), rate=0.0) != []
    assert MAX_EVERYDAY_RATE * len(everyday_sentences()) >= 1


def test_rules_that_compile_for_too_long_are_given_up() -> None:
    assert lint(book("pattern: zebra"), timeout_s=0.01) == [
        Finding("", "does not compile within 0.01 s: fewer or simpler rules")
    ]


def test_rules_that_need_too_much_memory_are_given_up(monkeypatch) -> None:
    monkeypatch.setattr(linting, "MEMORY_BYTES", 20 * 1024**2)
    [finding] = lint(book("pattern: zebra"))
    assert "ran out of memory" in finding.message


def test_everyday_sentences_are_distinct() -> None:
    sentences = everyday_sentences()
    assert len(sentences) == len(set(sentences)) > 500
