"""The policies in force together: the live one, one on trial, and one in shadow."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Final

from msgspec import Struct

from policy.errors import PolicyError
from policy.policy import BUILT_IN, Policy, parse_policy, read_live_policy, read_policy_file

ROLES: Final = ("policy", "trial", "shadow")
"""`policy.yaml` decides; `trial.yaml` does so for a share of authors; `shadow.yaml` only logs."""


class Policies(Struct, frozen=True, dict=True):
    """Who is treated by which policy; at most one on trial and one in shadow."""

    live: Policy
    trial: Policy | None = None
    shadow: Policy | None = None

    @property
    def version(self) -> str:
        """The version of each, `-` for none: `94f935a5de2c/-/-`."""
        return "/".join(
            each.version if each else "-" for each in (self.live, self.trial, self.shadow)
        )

    def for_author(self, author_id: str) -> Policy:
        """The policy that decides on `author_id`: always the same while the files are."""
        trial = self.trial
        if trial is not None and bucket(author_id, trial.file.name) < (trial.file.share or 0.0):
            return trial
        return self.live


def bucket(author_id: str, trial: str) -> float:
    """An author's bucket of a trial, in [0, 1): a larger share keeps those of a smaller one."""
    named = f"{trial}\0{author_id}".encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(named, digest_size=6).digest(), "big") / 2**48


def parse_policies(texts: Mapping[str, str]) -> Policies:
    """The policies of file texts by name: `policy.yaml`, and `trial.yaml` and `shadow.yaml` if any.

    Raises:
        PolicyError: a file breaks the format; one line that names line and key.
    """
    live = parse_policy(texts["policy.yaml"], "policy.yaml")
    trial, shadow = (
        parse_policy(texts[name], name) if name in texts else None
        for name in ("trial.yaml", "shadow.yaml")
    )
    if trial is not None and trial.file.share is None:
        raise PolicyError("trial.yaml:1: share missing: what share of authors it applies to")
    for name, policy in (("policy.yaml", live), ("shadow.yaml", shadow)):
        if policy is not None and policy.file.share is not None:
            raise PolicyError(
                f"{name}:1: share: belongs into trial.yaml, this one is for everybody"
            )
    return Policies(live, trial, shadow)


def read_policies(directory: Path = BUILT_IN) -> dict[str, str]:
    """The texts of the policy files of `directory` by name.

    Raises:
        PolicyError: one cannot be read, or there is no policy.yaml.
    """
    texts = {"policy.yaml": read_live_policy(directory)}
    for role in ROLES[1:]:
        path = directory / f"{role}.yaml"
        if path.exists():
            texts[path.name] = read_policy_file(path)
    return texts
