"""The policy file: thresholds, bands, severities, fail modes, quotas, communities."""

from __future__ import annotations

from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import yaml
from msgspec import Meta, Struct

from policy.errors import PolicyError
from policy.taxonomy import CATEGORIES

BUILT_IN = Path(__file__).parent
"""The directory of the policy that ships with Breakwater."""

Probability = Annotated[float, Meta(ge=0.0, le=1.0)]


class CategoryPolicy(Struct, frozen=True, forbid_unknown_fields=True):
    """How one category is treated; the keys are explained at the top of `policy.yaml`."""

    severity: Annotated[int, Meta(ge=1, le=5)]
    review: Probability
    block: Probability
    fail: Literal["open", "closed"] = "open"
    quota: Annotated[int, Meta(ge=0)] = 2**31


class CategoryOverride(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a community changes of a category."""

    severity: Annotated[int, Meta(ge=1, le=5)] | None = None
    review: Probability | None = None
    block: Probability | None = None


class PolicyFile(Struct, frozen=True, forbid_unknown_fields=True):
    """`policy.yaml` as it is written."""

    categories: dict[str, CategoryPolicy]
    uncertainty_band: tuple[Probability, Probability] = (0.45, 0.55)
    sample_rate: Probability = 0.0
    communities: dict[str, dict[str, CategoryOverride]] = {}


class Policy(Struct, frozen=True, dict=True):
    """A checked policy; `version` is a digest of the file: equal files have equal versions."""

    file: PolicyFile
    version: str

    @cached_property
    def _communities(self) -> dict[str, dict[str, CategoryPolicy]]:
        return {
            name: self.file.categories
            | {
                category: msgspec.structs.replace(
                    self.file.categories[category], **msgspec.to_builtins(override)
                )
                for category, override in overrides.items()
            }
            for name, overrides in self.file.communities.items()
        }

    def categories(self, community: str) -> dict[str, CategoryPolicy]:
        """The treatment of each category in `community`."""
        return self._communities.get(community, self.file.categories)


def parse_policy(text: str, name: str) -> Policy:
    """The policy in `text`; `name` is the file's name in errors.

    Raises:
        PolicyError: it is no YAML or breaks the format; the text names the file and the key.
    """
    try:
        # libyaml's safe loader: the same result as the pure Python one, ten times faster.
        raw = yaml.load(text, Loader=yaml.CSafeLoader)
        file = msgspec.convert(raw, PolicyFile)
    except yaml.YAMLError as error:
        raise PolicyError(f"{name}: not YAML: {' '.join(str(error).split())}") from None
    except msgspec.ValidationError as error:
        raise PolicyError(f"{name}: {error}") from None
    _check_categories(file, name)
    return Policy(file, blake2b(text.encode(), digest_size=6).hexdigest())


def load_policy(directory: Path = BUILT_IN) -> Policy:
    """The policy of `directory`/policy.yaml.

    Raises:
        PolicyError: it cannot be read or breaks the format.
    """
    path = directory / "policy.yaml"
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyError(
            f"{path}: cannot be read ({error}); BREAKWATER_POLICY names its directory"
        ) from None
    return parse_policy(text, str(path))


def _check_categories(file: PolicyFile, name: str) -> None:
    missing = [category for category in CATEGORIES if category not in file.categories]
    named = {"categories": list(file.categories)}
    named |= {f"communities.{c}": list(overrides) for c, overrides in file.communities.items()}
    if missing:
        raise PolicyError(f"{name}: categories: {', '.join(missing)} missing")
    for where, categories in named.items():
        unknown = sorted(set(categories) - set(CATEGORIES))
        if unknown:
            known = ", ".join(CATEGORIES)
            raise PolicyError(
                f"{name}: {where}: unknown category {unknown[0]!r}, known are {known}"
            )
    if file.uncertainty_band[0] > file.uncertainty_band[1]:
        raise PolicyError(f"{name}: uncertainty_band: the lower end is above the upper one")
    for category, treatment in file.categories.items():
        if treatment.review > treatment.block:
            raise PolicyError(f"{name}: categories.{category}: review is above block")
    if file.categories["csam"].fail != "closed":
        raise PolicyError(f"{name}: categories.csam.fail: csam always fails closed")
