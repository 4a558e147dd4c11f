"""Rules and hash lists together: what is pushed, rolled back and named by one version."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path, PurePosixPath

from msgspec import Struct

from policy.errors import PolicyError
from policy.hashlist import HashList, parse_hashes, read_hash_file, read_hash_files
from policy.policy import BUILT_IN
from policy.rules import RuleSet, parse_rules, read_rule_file, read_rule_files


class Rulebook(Struct, frozen=True):
    """A checked rule set and hash list; `version` is a digest of both."""

    rules: RuleSet
    hashes: HashList
    version: str


def parse_rulebook(texts: Mapping[str, str], previous: Rulebook | None = None) -> Rulebook:
    """The rulebook of file texts by name: `rules/NAME.yaml` and `hashes/NAME.csv`.

    What is unchanged since `previous` is taken over from it.

    Raises:
        PolicyError: a file breaks its format, or its name is of neither kind.
    """
    rules, hashes = {}, {}
    for name, text in texts.items():
        path = PurePosixPath(name)
        if path.parent.name == "rules" and path.suffix == ".yaml":
            rules[path.name] = text
        elif path.parent.name == "hashes" and path.suffix == ".csv":
            hashes[path.name] = text
        else:
            raise PolicyError(f"{name}: expected rules/NAME.yaml or hashes/NAME.csv")
    ruleset = parse_rules(rules, previous.rules if previous else None)
    hashlist = parse_hashes(hashes, previous.hashes if previous else None)
    version = blake2b(f"{ruleset.version}{hashlist.version}".encode(), digest_size=6).hexdigest()
    return Rulebook(ruleset, hashlist, version)


def read_rulebook(directory: Path = BUILT_IN) -> dict[str, str]:
    """The texts of `directory`/rules/*.yaml and hashes/*.csv by name.

    Raises:
        PolicyError: a file or one of the two directories cannot be read.
    """
    rules, hashes = read_rule_files(directory), read_hash_files(directory)
    return {f"rules/{name}": text for name, text in rules.items()} | {
        f"hashes/{name}": text for name, text in hashes.items()
    }


def read_rulebook_file(path: Path) -> tuple[str, str]:
    """Name and text of one rule file (.yaml) or hash list (.csv).

    Raises:
        PolicyError: it cannot be read, or is neither.
    """
    if path.suffix == ".yaml":
        return f"rules/{path.name}", read_rule_file(path)
    if path.suffix == ".csv":
        return f"hashes/{path.name}", read_hash_file(path)
    raise PolicyError(f"{path}: rules are .yaml files, hash lists are .csv files")
