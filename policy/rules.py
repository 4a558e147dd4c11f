"""Rule files: patterns and keywords that operators write, checked before anything runs on them."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
import yaml
from msgspec import Meta, Struct
from yaml.constructor import ConstructorError

from events.messages import Instant, Score
from policy.errors import PolicyError
from policy.files import digest_of, list_files, read_file, version_of
from policy.pattern import check_pattern
from policy.policy import BUILT_IN
from policy.policy_file import not_yaml
from policy.taxonomy import CATEGORIES, TEXT_CATEGORIES

MAX_FILE_BYTES: Final = 16 * 1024 * 1024
MAX_RULES: Final = 20_000
MAX_KEYWORDS: Final = 200_000
"""Keywords of all rules of a set together."""

RuleId = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Keyword = Annotated[str, Meta(min_length=2, max_length=100)]
Line = Annotated[str, Meta(max_length=500)]


class Examples(Struct, frozen=True, forbid_unknown_fields=True):
    """Texts that the rule must match and texts that it must not: `rules test` holds it to them."""

    match: tuple[str, ...] = ()
    no_match: tuple[str, ...] = ()


class Rule(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """One rule: a pattern (RE2 syntax) or whole-word keywords, both blind to case.

    `score` is the share of its matches that break the policy. `on` says which form of the text is
    read. `action: review` sends a match to a human whatever the scores are. In `mode: shadow`
    a match counts in the shadow decision alone, which is logged and not acted on. `quota` is how
    many automatic blocks a day the rule may take part in. It ends with `expires`.
    What a rule in the `role` of a hint matches may also be quoted or denied: the transformer reads
    such a text, and fusion weighs what both say. Without them a hint counts like any other rule.
    """

    id: RuleId
    category: str
    score: Score
    pattern: Annotated[str, Meta(min_length=1)] | None = None
    keywords: Annotated[tuple[Keyword, ...], Meta(min_length=1)] | None = None
    on: Literal["normalized", "original"] = "normalized"
    action: Literal["review"] | None = None
    role: Literal["verdict", "hint"] = "verdict"
    mode: Literal["live", "shadow"] = "live"
    quota: Annotated[int, Meta(ge=0)] | None = None
    description: Line = ""
    examples: Examples = Examples()
    expires: Instant | None = None
    author: Line = ""
    reason: Line = ""

    def expired(self, at: float) -> bool:
        """Whether the rule has expired at `at` (Unix seconds)."""
        return self.expires is not None and at >= self.expires.timestamp()


class RuleFile(Struct, frozen=True):
    """The checked rules of one file. `digest` names its content: equal texts, equal digests."""

    name: str
    digest: str
    rules: tuple[Rule, ...]


class RuleSet(Struct, frozen=True, dict=True):
    """Checked rule files with unique rule ids. `version` is a digest of all their texts."""

    files: tuple[RuleFile, ...]
    version: str

    @cached_property
    def rules(self) -> tuple[Rule, ...]:
        """Every rule, in the order of files and lines."""
        return tuple(rule for file in self.files for rule in file.rules)

    @cached_property
    def by_id(self) -> dict[str, Rule]:
        """Every rule by its id."""
        return {rule.id: rule for rule in self.rules}

    @cached_property
    def review_rules(self) -> frozenset[str]:
        """Ids of the rules whose matches always reach a human."""
        return frozenset(rule.id for rule in self.rules if rule.action == "review")

    @cached_property
    def hints(self) -> frozenset[str]:
        """Ids of the rules that the models are to weigh."""
        return frozenset(rule.id for rule in self.rules if rule.role == "hint")

    @cached_property
    def in_shadow(self) -> bool:
        """Whether a rule is in shadow."""
        return any(rule.mode == "shadow" for rule in self.rules)

    def part(self, names: Collection[str]) -> RuleSet:
        """The files of these names alone."""
        return RuleSet(tuple(file for file in self.files if file.name in names), self.version)


class _Loader(yaml.CSafeLoader):
    """YAML without YAML 1.1's booleans: the key `on` and the keywords `no` and `off` are words.

    A key that is given twice is refused: of two rules that lack a `-` between them one would be
    gone without a word.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """The mapping of `node`, each of whose keys stands there once."""
        seen: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                problem = f"{key.value[:64]} is given twice"
                raise ConstructorError(problem=problem, problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if not tag.endswith(":bool")]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


def load_rules(directory: Path = BUILT_IN) -> RuleSet:
    """The rules of `directory`/rules/*.yaml.

    Raises:
        PolicyError: a file cannot be read or a rule breaks the format; file, rule and key named.
    """
    return parse_rules(read_rule_files(directory))


def read_rule_files(directory: Path) -> dict[str, str]:
    """The texts of `directory`/rules/*.yaml by file name.

    Raises:
        PolicyError: there is no such directory, or a file in it cannot be read.
    """
    return {path.name: read_rule_file(path) for path in list_files(directory / "rules", "*.yaml")}


def read_rule_file(path: Path) -> str:
    """The text of one rule file.

    Raises:
        PolicyError: it cannot be read, is too large or is no UTF-8.
    """
    return read_file(path, MAX_FILE_BYTES)


def parse_rules(texts: Mapping[str, str], previous: RuleSet | None = None) -> RuleSet:
    """The rule set of rule files, given as text by file name.

    Files that are unchanged since `previous` are taken over from it.

    Raises:
        PolicyError: as `load_rules`.
    """
    known = {(file.name, file.digest): file for file in previous.files} if previous else {}
    files = tuple(
        known.get((name, digest_of(text))) or _parse_file(name, text)
        for name, text in sorted(texts.items())
    )
    seen: dict[str, str] = {}
    for file in files:
        for rule in file.rules:
            if rule.id in seen:
                raise PolicyError(
                    f"{file.name}: rule {rule.id!r}: {seen[rule.id]} has a rule with the same id"
                )
            seen[rule.id] = file.name
    keywords = sum(len(rule.keywords or ()) for file in files for rule in file.rules)
    if len(seen) > MAX_RULES or keywords > MAX_KEYWORDS:
        raise PolicyError(
            f"{len(seen)} rules with {keywords} keywords, "
            f"at most {MAX_RULES} and {MAX_KEYWORDS} are taken"
        )
    return RuleSet(files, version_of((file.name, file.digest) for file in files))


def _parse_file(name: str, text: str) -> RuleFile:
    try:
        # A subclass of libyaml's safe loader: only plain data is made.
        raw = yaml.load(text, Loader=_Loader)  # noqa: S506
    except (yaml.YAMLError, RecursionError) as error:
        raise PolicyError(not_yaml(name, error)) from None
    if not isinstance(raw, dict) or set(raw) != {"rules"} or not isinstance(raw["rules"], list):
        raise PolicyError(f"{name}: one key `rules` with a list of rules is expected")
    rules = tuple(_parse_rule(name, number, rule) for number, rule in enumerate(raw["rules"], 1))
    return RuleFile(name, digest_of(text), rules)


def _parse_rule(name: str, number: int, raw: Any) -> Rule:
    named = raw.get("id") if isinstance(raw, dict) else None
    # Aliases of YAML can make anything but a string too large to print.
    where = f"{name}: rule {(named if isinstance(named, str) else str(number))[:64]!r}"
    try:
        rule = msgspec.convert(raw, Rule)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$")
        key = path.strip(".`")
        raise PolicyError(f"{where}: {f'{key}: ' if key else ''}{message}") from None
    if rule.category not in CATEGORIES:
        known = ", ".join(CATEGORIES)
        raise PolicyError(f"{where}: category: {rule.category!r} is not one of {known}")
    if rule.role == "hint" and rule.category not in TEXT_CATEGORIES:
        raise PolicyError(f"{where}: role: the text models do not know {rule.category}")
    if (rule.pattern is None) == (rule.keywords is None):
        raise PolicyError(f"{where}: `pattern` or `keywords` is needed, and not both")
    if rule.pattern is not None:
        try:
            check_pattern(rule.pattern)
        except ValueError as error:
            raise PolicyError(f"{where}: pattern: {error}") from None
    return rule
