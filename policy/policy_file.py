"""A policy file as text: read, held to its JSON Schema, and what is wrong named by line and key."""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Hashable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import jsonschema
import yaml

MAX_BYTES: Final = 1024 * 1024
MAX_NODES: Final = 100_000
"""Values of a file, aliases written out: a few lines of aliases can stand for billions."""

SCHEMA_FILE: Final = Path(__file__).parent / "policy.schema.json"

Key = tuple[Hashable, ...]
"""Where a value stands: keys and list indexes from the top."""


class PolicyText:
    """The text of a policy file with its values and the lines they stand on.

    Args:
        text: YAML.
        name: the file's name in findings.

    Raises:
        ValueError: it is no YAML, or too large; one line that says so.
    """

    def __init__(self, text: str, name: str) -> None:
        self._name = name
        self._lines: dict[Key, int] = {}
        self._repeated: list[Key] = []
        if len(text.encode("utf-8", "replace")) > MAX_BYTES:
            raise ValueError(f"{name}:1: larger than {MAX_BYTES} bytes")
        try:
            # libyaml's safe loader: the same result as the pure Python one, ten times faster.
            root = yaml.compose(text, Loader=yaml.CSafeLoader)
            if root is not None:
                self._walk(root, ())
            self.value: Any = yaml.load(text, Loader=yaml.CSafeLoader)
        except yaml.YAMLError as error:
            raise ValueError(not_yaml(name, error)) from None
        except (RecursionError, TypeError) as error:
            raise ValueError(f"{name}:1: not usable as YAML: {error}") from None

    def finding(self, key: Sequence[Hashable], message: str) -> str:
        """`message` about the value at `key` as one line: `policy.yaml:14: a.b: message`."""
        at = tuple(key)
        while at and at not in self._lines:
            at = at[:-1]
        line = self._lines.get(at, 1)
        path = ".".join(str(part)[:64] for part in key)
        return " ".join(f"{self._name}:{line}: {f'{path}: ' if path else ''}{message}".split())

    def schema_findings(self) -> list[str]:
        """What breaks the JSON Schema, in the order of lines; empty when nothing does."""
        found = [(key, "is given twice") for key in self._repeated]
        for error in _validator().iter_errors(self.value):
            found += _explain(error)
        # The misspelt key before the one that is missing for it.
        found.sort(key=lambda each: (self._lines.get(each[0], 0), -len(each[0])))
        return [self.finding(key, message) for key, message in found]

    def _walk(self, node: yaml.Node, key: Key) -> None:
        if len(self._lines) > MAX_NODES:
            raise TypeError(f"more than {MAX_NODES} values")
        self._lines.setdefault(key, node.start_mark.line + 1)
        if isinstance(node, yaml.SequenceNode):
            for index, child in enumerate(node.value):
                self._walk(child, (*key, index))
        elif isinstance(node, yaml.MappingNode):
            for name, child in node.value:
                below = (*key, name.value)
                if below in self._lines:
                    self._repeated.append(below)
                self._lines[below] = name.start_mark.line + 1
                self._walk(child, below)


@cache
def _validator() -> Any:
    # YAML has `.nan`, which is in no range and outside none.
    standard: Any = jsonschema.Draft202012Validator
    numbers = standard.TYPE_CHECKER.redefine(
        "number", lambda checker, value: checker.is_type(value, "integer") or _is_finite(value)
    )
    # JSON Schema takes 4.0 for an integer, what is decided by does not.
    numbers = numbers.redefine("integer", lambda _, value: type(value) is int)
    strict: Any = jsonschema.validators.extend(standard, type_checker=numbers)  # type: ignore[no-untyped-call]
    return strict(json.loads(SCHEMA_FILE.read_text("utf-8")))


def _is_finite(value: object) -> bool:
    return isinstance(value, float) and math.isfinite(value)


def not_yaml(name: str, error: Exception) -> str:
    """What is wrong with the file `name`, by its line; `error` is what the loader raised."""
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or " ".join(str(error).split())
    return f"{name}:{mark.line + 1 if mark else 1}: not YAML: {problem}"


def _explain(error: Any) -> Iterator[tuple[Key, str]]:
    """Place and message of a `jsonschema.ValidationError`; an unknown key is its own place."""
    key, value, wanted = tuple(error.absolute_path), error.instance, error.validator_value
    if "propertyNames" in error.absolute_schema_path:
        yield from _explain_name(key, value, wanted)
        return
    match error.validator:
        case "additionalProperties":
            known = list(error.schema["properties"])
            for name in value:
                if name not in known:
                    yield (*key, name), f"unknown key, {_alike(name, known)}"
        case "enum":
            yield key, f"{_shown(value)} is not one of {', '.join(map(_word, wanted))}"
        case "required":
            missing = [name for name in wanted if name not in value]
            yield key, f"{', '.join(missing)} missing"
        case "type":
            yield key, f"expected {_TYPES[wanted]}, not {_shown(value)}"
        case "minimum" | "maximum":
            side = "below" if error.validator == "minimum" else "above"
            yield key, f"{_shown(value)} is {side} {wanted}"
        case _:
            yield key, error.message[:200]


def _explain_name(key: Key, name: Any, wanted: Any) -> Iterator[tuple[Key, str]]:
    if not isinstance(name, str):
        yield key, f"{_shown(name)} is no text: put it in quotes"
    elif isinstance(wanted, list):
        yield (*key, name), f"unknown key, {_alike(name, wanted)}"
    else:
        yield (*key, name), "too long a name"


_TYPES: Final = {
    "object": "keys and values",
    "array": "a list",
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
}


def _alike(name: object, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(str(name), known, 1)
    return f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}"


def _word(value: object) -> str:
    """`value` as YAML writes it."""
    return value if isinstance(value, str) else json.dumps(value)


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return "keys and values"
    if isinstance(value, list):
        return "a list"
    return "nothing" if value is None else repr(value)[:64]
