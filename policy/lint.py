"""What is wrong with a rulebook, found before it runs: in a process of its own, bounded.

A pattern can make the compiler take minutes or gigabytes, so nothing of a pushed file is compiled
in the command or the worker before a child process has done it within its limits.
"""

from __future__ import annotations

import pkgutil
import resource
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Final, Protocol

import msgspec
from msgspec import Struct

from policy.compiled import CompiledRules
from policy.errors import PolicyError
from policy.rulebook import parse_rulebook

EVERYDAY: Final = Path(__file__).parent / "everyday.txt"
MAX_EVERYDAY_RATE: Final = 0.005
"""Share of everyday sentences that a rule may match."""
TIMEOUT_S: Final = 120.0
MEMORY_BYTES: Final = 4 * 1024**3


class Reading(Protocol):
    """A text as the job reads it."""

    @property
    def text(self) -> str:
        """What rules on the normalized form are matched on."""
        ...


Normalize = Callable[[Sequence[str]], Sequence[Reading]]
"""Texts to what the job reads of each; a function of a module, for the child imports it by name."""


class _Question(Struct, frozen=True):
    """What the child is asked."""

    texts: dict[str, str]
    only: frozenset[str]
    rate: float
    normalize: str


class Finding(Struct, frozen=True):
    """One thing that is wrong, in one line; `rule` is "" when it is not about one rule."""

    rule: str
    message: str


def lint(
    texts: Mapping[str, str],
    normalize: Normalize,
    *,
    only: Iterable[str] | None = None,
    rate: float = MAX_EVERYDAY_RATE,
    timeout_s: float = TIMEOUT_S,
) -> list[Finding]:
    """Everything wrong with the rulebook of `texts` (as `policy.rulebook.parse_rulebook` takes it).

    Its format, whether it compiles within `timeout_s` and `MEMORY_BYTES`, every rule's own
    examples, and rules that match more than `rate` of everyday sentences; all but the format for
    the files named by `only`, without it for all. Examples and sentences are read as the job reads
    them: `normalize`d, but for rules on the original.
    """
    asked = _Question(
        dict(texts),
        frozenset(texts if only is None else only),
        rate,
        f"{normalize.__module__}:{normalize.__qualname__}",
    )
    try:
        child = subprocess.run(
            [sys.executable, "-m", "policy.lint"],
            input=msgspec.json.encode(asked),
            capture_output=True,
            timeout=timeout_s,
            check=False,
            preexec_fn=_limit_memory,
            cwd=Path(__file__).parent.parent,
        )
    except subprocess.TimeoutExpired:
        return [Finding("", f"does not compile within {timeout_s:g} s: fewer or simpler rules")]
    if child.returncode != 0:
        return [Finding("", "compiling ran out of memory or failed: fewer or simpler rules")]
    return msgspec.json.decode(child.stdout, type=list[Finding])


def examine(
    texts: Mapping[str, str],
    normalize: Normalize,
    *,
    only: Iterable[str] | None = None,
    rate: float = MAX_EVERYDAY_RATE,
) -> list[Finding]:
    """What `lint` finds, in this process and without its bounds."""
    try:
        rules = parse_rulebook(texts).rules
        if only is not None:
            rules = rules.part({PurePosixPath(name).name for name in only})
        compiled = CompiledRules(rules)
    except PolicyError as error:
        return [Finding("", str(error))]
    return [
        *check_examples(compiled, normalize),
        *_check_everyday(compiled, normalize, rate),
    ]


def check_examples(compiled: CompiledRules, normalize: Normalize) -> Iterator[Finding]:
    """A finding for each example that its rule does not treat as it says."""
    for rule in compiled.rules.rules:
        examples = [(text, True) for text in rule.examples.match]
        examples += [(text, False) for text in rule.examples.no_match]
        for text, wanted in examples:
            read = _read(text, rule.on, normalize)
            found = any(match.rule.id == rule.id for match in compiled.match(read, rule.on))
            if found != wanted:
                shown = f"{text[:80]!r}{_unlike(text, read)}"
                told = f"does not match its example {shown}"
                yield Finding(rule.id, told if wanted else f"matches {shown}, which it must not")


def everyday_sentences() -> list[str]:
    """Sentences of ordinary talk, some with words that violations have too."""
    lines = EVERYDAY.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def _check_everyday(
    compiled: CompiledRules, normalize: Normalize, rate: float
) -> Iterator[Finding]:
    sentences = everyday_sentences()
    hits: dict[str, list[str]] = {}
    for sentence in sentences:
        for form in compiled.forms():
            for match in compiled.match(_read(sentence, form, normalize), form):
                hits.setdefault(match.rule.id, []).append(sentence)
    for rule, matched in hits.items():
        share = len(matched) / len(sentences)
        if share > rate:
            yield Finding(
                rule,
                f"matches {share:.1%} of everyday sentences (at most {rate:.1%}), "
                f"among them {matched[0]!r}",
            )


def _read(text: str, form: str, normalize: Normalize) -> str:
    """What a rule on `form` is matched on."""
    return normalize([text])[0].text if form == "normalized" else text


def _unlike(text: str, read: str) -> str:
    """What to know where a rule is matched on something else than what was written."""
    if read == text:
        return ""
    return f" (read as {read[:80]!r}; `on: original` reads it as posted)"


def _limit_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


if __name__ == "__main__":
    _asked = msgspec.json.decode(sys.stdin.buffer.read(), type=_Question)
    _normalize: Normalize = pkgutil.resolve_name(_asked.normalize)
    _found = examine(_asked.texts, _normalize, only=_asked.only, rate=_asked.rate)
    sys.stdout.buffer.write(msgspec.json.encode(_found))
