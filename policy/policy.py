"""A policy: thresholds, bands, severities, fail modes, holds, quotas, and what communities change.

The keys of the file are explained in docs/policy.md and by `policy.schema.json`.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
import yaml
from msgspec import Meta, Struct

from events.messages import Action
from policy.errors import PolicyError
from policy.personal_data import Kind, Treatment
from policy.policy_file import Key, PolicyText
from policy.taxonomy import CATEGORIES

BUILT_IN = Path(__file__).parent
"""The directory of the policy that ships with Breakwater."""

Probability = Annotated[float, Meta(ge=0.0, le=1.0)]
FailMode = Literal["allow", "review", "block", "open", "closed"]
_BLIND_ACTIONS: Final[dict[FailMode, Action]] = {
    "allow": "allow",
    "review": "review",
    "block": "block",
    "open": "allow",
    "closed": "review",
}


class CategoryPolicy(Struct, frozen=True, forbid_unknown_fields=True):
    """How one category is treated."""

    severity: Annotated[int, Meta(ge=1, le=5)]
    review: Probability
    block: Probability
    fail: FailMode = "allow"
    hold: bool = False
    quota: Annotated[int, Meta(ge=0)] = 2**31

    @property
    def blind_action(self) -> Action:
        """What becomes of content when a stage that could see this category is down."""
        return _BLIND_ACTIONS[self.fail]


class CategoryOverride(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a community changes of a category."""

    severity: Annotated[int, Meta(ge=1, le=5)] | None = None
    review: Probability | None = None
    block: Probability | None = None
    fail: FailMode | None = None
    hold: bool | None = None


class CommunityPolicy(Struct, frozen=True, forbid_unknown_fields=True):
    """What a community changes of what it inherits; `allows` names rules that do not apply."""

    inherits: str = ""
    allows: frozenset[str] = frozenset()
    categories: dict[str, CategoryOverride] = {}


OcrMode = Literal["off", "on", "suspicion"]


class PolicyFile(Struct, frozen=True, forbid_unknown_fields=True):
    """A policy file's values."""

    categories: dict[str, CategoryPolicy]
    name: str = ""
    share: Probability | None = None
    uncertainty_band: tuple[Probability, Probability] = (0.45, 0.55)
    sample_rate: Probability = 0.0
    uncovered_language: Literal["rules", "review"] = "rules"
    ocr: OcrMode | bool = "suspicion"
    personal_data: dict[Kind, Treatment] = {}
    max_block_share: Probability = 0.5
    communities: dict[str, CommunityPolicy] = {}


class Policy(Struct, frozen=True, dict=True):
    """A checked policy; `version` is a digest of the file: equal files have equal versions."""

    file: PolicyFile
    version: str

    @property
    def ocr(self) -> OcrMode:
        """Which images are read."""
        # What YAML makes of a bare `on` and `off` is a truth value.
        if isinstance(self.file.ocr, bool):
            return "on" if self.file.ocr else "off"
        return self.file.ocr

    @cached_property
    def _communities(self) -> dict[str, dict[str, CategoryPolicy]]:
        return {name: _treatment(self.file, name) for name in self.file.communities}

    @cached_property
    def _allowed(self) -> dict[str, frozenset[str]]:
        communities = self.file.communities
        return {
            name: frozenset[str]().union(
                *(communities[each].allows for each in _ancestry(communities, name))
            )
            for name in communities
        }

    def categories(self, community: str) -> dict[str, CategoryPolicy]:
        """The treatment of each category in `community`."""
        return self._communities.get(community, self.file.categories)

    @cached_property
    def _floors(self) -> dict[str, float]:
        return {name: self._floor(treated) for name, treated in self._communities.items()}

    @cached_property
    def _common_floor(self) -> float:
        return self._floor(self.file.categories)

    def _floor(self, treatments: Mapping[str, CategoryPolicy]) -> float:
        bounds = [min(each.review, each.block) for each in treatments.values()]
        return min([self.file.uncertainty_band[0], *bounds])

    def floor(self, community: str) -> float:
        """What no category of `community` acts on: a score below it."""
        return self._floors.get(community, self._common_floor)

    def allowed_rules(self, community: str) -> frozenset[str]:
        """Ids of the rules that do not apply in `community`."""
        return self._allowed.get(community, frozenset())


def _ancestry(communities: Mapping[str, CommunityPolicy], name: str) -> Iterator[str]:
    """`name`, the community it inherits from, and so on; a circle is gone round once."""
    seen: set[str] = set()
    while name in communities and name not in seen:
        seen.add(name)
        yield name
        name = communities[name].inherits


def _treatment(file: PolicyFile, community: str) -> dict[str, CategoryPolicy]:
    result = dict(file.categories)
    for name in reversed(list(_ancestry(file.communities, community))):
        for category, override in file.communities[name].categories.items():
            changes = msgspec.to_builtins(override)
            result[category] = msgspec.structs.replace(result[category], **changes)
    return result


def check_policy(text: str, name: str) -> list[str]:
    """Everything that is wrong with the policy file `text`, each in one line with line and key."""
    try:
        parsed = PolicyText(text, name)
    except ValueError as error:
        return [str(error)]
    return parsed.schema_findings() or [
        parsed.finding(key, message) for key, message in _contradictions(_convert(parsed.value))
    ]


def unknown_rules(text: str, name: str, known: Collection[str]) -> list[str]:
    """What the policy file `text` allows that is no id in `known`, each in one line as above.

    It may be no fault: a rule that expired and was taken away, or one that is yet to be pushed.

    Raises:
        PolicyError: as `parse_policy`.
    """
    communities = parse_policy(text, name).file.communities
    parsed = PolicyText(text, name)
    findings = []
    for community, each in communities.items():
        for rule in sorted(each.allows - set(known)):
            close = difflib.get_close_matches(rule, known, 1)
            hint = (
                f", did you mean {close[0]!r}?" if close else "; `breakwater rules list` has them"
            )
            findings.append(
                parsed.finding(("communities", community, "allows"), f"no rule is {rule!r}{hint}")
            )
    return findings


def parse_policy(text: str, name: str) -> Policy:
    """The policy in `text`; `name` is the file's name in errors.

    Raises:
        PolicyError: it is no YAML or breaks the format; one line that names line and key.
    """
    findings = check_policy(text, name)
    if findings:
        more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
        raise PolicyError(findings[0] + more)
    # It is checked by now: what is read again is read alike.
    file = _convert(yaml.load(text, Loader=yaml.CSafeLoader))
    return Policy(file, blake2b(text.encode(), digest_size=6).hexdigest())


def load_policy(directory: Path = BUILT_IN) -> Policy:
    """The policy of `directory`/policy.yaml.

    Raises:
        PolicyError: it cannot be read or breaks the format.
    """
    return parse_policy(read_live_policy(directory), str(directory / "policy.yaml"))


def read_live_policy(directory: Path) -> str:
    """The text of `directory`/policy.yaml.

    Raises:
        PolicyError: it cannot be read; the text says which setting names the directory.
    """
    try:
        return read_policy_file(directory / "policy.yaml")
    except PolicyError as error:
        raise PolicyError(f"{error}; BREAKWATER_POLICY names its directory") from None


def read_policy_file(path: Path) -> str:
    """The text of a policy file.

    Raises:
        PolicyError: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise PolicyError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise PolicyError(f"{path}: cannot be read ({error})") from None


def _convert(value: dict[str, Any]) -> PolicyFile:
    """The values of a file that keeps to the schema."""
    communities = {
        name: {
            "inherits": community.get("inherits", ""),
            "allows": community.get("allows", []),
            "categories": {key: each for key, each in community.items() if key in CATEGORIES},
        }
        for name, community in value.get("communities", {}).items()
    }
    return msgspec.convert(value | {"communities": communities}, PolicyFile)


def _contradictions(file: PolicyFile) -> Iterator[tuple[Key, str]]:
    """What the schema cannot say."""
    if file.uncertainty_band[0] > file.uncertainty_band[1]:
        yield ("uncertainty_band",), "the lower end is above the upper one"
    for category, treatment in file.categories.items():
        yield from _unfit(("categories", category), category, treatment)
    for name, community in file.communities.items():
        here: Key = ("communities", name)
        if community.inherits and community.inherits not in file.communities:
            yield (*here, "inherits"), f"there is no community {community.inherits!r}"
        ancestors = list(_ancestry(file.communities, name))
        if file.communities[ancestors[-1]].inherits in ancestors:
            yield (*here, "inherits"), "inherits from itself"
        inherited = _treatment(file, name)
        for category in community.categories:
            yield from _unfit((*here, category), category, inherited[category])


def _unfit(key: Key, category: str, treatment: CategoryPolicy) -> Iterator[tuple[Key, str]]:
    if treatment.review > treatment.block:
        yield key, f"review ({treatment.review:g}) is above block ({treatment.block:g})"
    if category == "csam" and treatment.blind_action == "allow":
        yield (*key, "fail"), "csam always fails closed: review or block"
