"""Rules compiled together: one pass over a text finds every rule, however many there are.

Hyperscan (Wang et al., NSDI 2019) says in one linear pass which rules match; RE2 then says where,
for those few. RE2 has the last word, so that a rule means the same here and in `rules test`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Final, NamedTuple

import hyperscan

from policy.errors import PolicyError
from policy.pattern import compile_re2, required_pieces
from policy.rules import Rule, RuleFile, RuleSet

FORMS: Final = ("normalized", "original")
MAX_SPANS: Final = 3
"""Spans shown of one rule in one text."""
MAX_RULES_A_TEXT: Final = 64
"""Rules reported of one text, those of the highest scores."""
MAX_CANDIDATES: Final = 1_000
"""Rules that RE2 is asked about for one text before it is given up."""
MAX_KEYWORD_HITS: Final = 10_000
"""Keyword occurrences looked at in one text before the scan is given up."""

_TEXT: Final = hyperscan.HS_FLAG_CASELESS | hyperscan.HS_FLAG_UTF8
_KEYWORD: Final = _TEXT | hyperscan.HS_FLAG_SOM_LEFTMOST
_PATTERN: Final = _TEXT | hyperscan.HS_FLAG_SINGLEMATCH


class Match(NamedTuple):
    """A rule and where it matched: [start, end) in code points of the text that was scanned."""

    rule: Rule
    spans: tuple[tuple[int, int], ...]


class _Program:
    """Rules as Hyperscan expressions.

    Gaps such as `.{0,80}` are what makes a database explode, so of a pattern with gaps only a
    piece that must be there is compiled; RE2 reads the few texts that have it. (Hyperscan's own
    "all of these pieces" costs every scan a fixed time for each rule.)
    """

    def __init__(self) -> None:
        self.keyword_of: dict[int, int] = {}
        """Rule index by expression id, for keywords; `pattern_of` for patterns."""
        self.pattern_of: dict[int, int] = {}
        self._expressions: list[bytes] = []
        self._flags: list[int] = []

    def add(self, index: int, rule: Rule) -> None:
        """Add the rule that the matches of its expressions will be booked on as `index`."""
        for keyword in dict.fromkeys(rule.keywords or ()):
            self.keyword_of[self._add(_escape(keyword), _KEYWORD)] = index
        if rule.pattern is not None:
            for piece in required_pieces(rule.pattern):
                self.pattern_of[self._add(piece, _PATTERN)] = index

    def compile(self) -> hyperscan.Database:
        database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
        database.compile(
            expressions=self._expressions,
            ids=list(range(len(self._expressions))),
            flags=self._flags,
        )
        return database

    def _add(self, expression: str, flags: int) -> int:
        self._expressions.append(expression.encode())
        self._flags.append(flags)
        return len(self._expressions) - 1


class Database:
    """Rule files compiled into one Hyperscan database for one form of the text.

    Threads may share it: each scans with its own scratch space.

    Raises:
        PolicyError: Hyperscan does not take a pattern, or not all of them together.
    """

    def __init__(self, files: tuple[RuleFile, ...], form: str) -> None:
        self.rules: list[Rule] = []
        self.digests: list[str] = []
        """The digest of the file that each rule is from."""
        program = _Program()
        for file in files:
            for rule in file.rules:
                if rule.on == form:
                    program.add(len(self.rules), rule)
                    self.rules.append(rule)
                    self.digests.append(file.digest)
        self._keyword_of, self._pattern_of = program.keyword_of, program.pattern_of
        try:
            self._database = program.compile()
        except hyperscan.error as error:
            raise PolicyError(f"{_culprit(files)} does not compile: {error}") from None
        self._regexps: dict[int, Any] = {}
        self._local = threading.local()

    def scan(self, data: bytes) -> dict[int, list[tuple[int, int]]]:
        """Rules that may match the UTF-8 text `data`, by index, with spans in bytes of keywords.

        Raises:
            OverflowError: too many keyword occurrences; what was not looked at is unknown.
        """
        found: dict[int, list[tuple[int, int]]] = {}
        seen = 0

        def note(expression: int, start: int, end: int, _flags: int, _context: object) -> bool:
            nonlocal seen
            index = self._keyword_of.get(expression)
            if index is None:
                found.setdefault(self._pattern_of[expression], [])
                return False
            seen += 1
            spans = found.get(index, [])
            if len(spans) < MAX_SPANS and _stands_alone(data, start, end):
                found[index] = [*spans, (start, end)]
            return seen >= MAX_KEYWORD_HITS

        try:
            self._database.scan(data, match_event_handler=note, scratch=self._scratch())
        except hyperscan.ScanTerminated:
            raise OverflowError(f"more than {MAX_KEYWORD_HITS} keyword occurrences") from None
        return found

    def locate(self, index: int, data: bytes) -> list[tuple[int, int]]:
        """Where the pattern of rule `index` matches `data`, in bytes; empty when it does not."""
        regexp = self._regexps.get(index)
        if regexp is None:
            regexp = self._regexps[index] = compile_re2(self.rules[index].pattern or "")
        return [match.span() for match in islice(regexp.finditer(data), MAX_SPANS)]

    def _scratch(self) -> hyperscan.Scratch:
        scratch = getattr(self._local, "scratch", None)
        if scratch is None:
            scratch = self._local.scratch = hyperscan.Scratch(self._database)
        return scratch


class CompiledRules:
    """A rule set ready to scan.

    Files that `previous` has compiled are taken over and only the others are compiled, each in a
    layer of its own above the one that the first set made, so that an emergency rule beside a large
    set takes milliseconds.

    Raises:
        PolicyError: a file does not compile.
    """

    def __init__(self, rules: RuleSet, previous: CompiledRules | None = None) -> None:
        self.rules = rules
        self._live = {file.digest for file in rules.files}
        base, *above = previous.layers if previous is not None else [_Layer(rules.files)]
        kept = [base, *(layer for layer in above if layer.digests & self._live)]
        compiled = {digest for layer in kept for digest in layer.digests}
        added = [_Layer([file]) for file in rules.files if file.digest not in compiled]
        self.layers: list[_Layer] = [*kept, *added]
        self._databases = {
            form: [layer.databases[form] for layer in self.layers if form in layer.databases]
            for form in FORMS
        }

    def forms(self) -> tuple[str, ...]:
        """The forms of the text that any rule reads."""
        return tuple(form for form in FORMS if self._databases[form])

    def match(self, text: str, form: str = "normalized") -> list[Match]:
        """The rules of `form` that match `text`, highest scores first; expired ones too.

        Raises:
            OverflowError: more keyword occurrences or matches than any honest text has.
        """
        # A lone surrogate has no UTF-8; as one `?` it keeps every other position.
        data = text.encode("utf-8", "replace")
        matches: list[Match] = []
        for database in self._databases[form]:
            found = database.scan(data)
            if found:
                matches += self._confirmed(database, found, data)
        if not matches:
            return matches
        if len(matches) > 1:
            matches.sort(key=lambda match: -match.rule.score)
        return [
            Match(rule, tuple(_code_points(data, spans)))
            for rule, spans in matches[:MAX_RULES_A_TEXT]
        ]

    def _confirmed(
        self, database: Database, found: dict[int, list[tuple[int, int]]], data: bytes
    ) -> Iterator[Match]:
        if len(found) > MAX_CANDIDATES:
            raise OverflowError(f"more than {MAX_CANDIDATES} rules may match")
        for index, spans in found.items():
            if database.digests[index] in self._live:
                located = spans or database.locate(index, data)
                if located:
                    yield Match(database.rules[index], tuple(located))


class _Layer:
    """Rule files compiled together, one database for each form of the text that they read."""

    def __init__(self, files: Iterable[RuleFile]) -> None:
        files = tuple(files)
        self.digests = {file.digest for file in files}
        self.databases = {
            form: Database(files, form)
            for form in FORMS
            if any(rule.on == form for file in files for rule in file.rules)
        }


def _escape(literal: str) -> str:
    """`literal` as a pattern: ASCII punctuation escaped, everything else as it is."""
    return "".join(f"\\x{ord(c):02x}" if c.isascii() and not c.isalnum() else c for c in literal)


def _culprit(files: Iterable[RuleFile]) -> str:
    """The first rule that does not compile by itself either."""
    for file in files:
        for rule in file.rules:
            program = _Program()
            program.add(0, rule)
            try:
                program.compile()
            except hyperscan.error:
                return f"{file.name}: rule {rule.id!r}"
    return "the rules together are too large: their database"


def _stands_alone(data: bytes, start: int, end: int) -> bool:
    """Whether [start, end) is no piece of a longer word.

    Scripts without case, which mostly put no spaces between words, have no such border.
    """
    return not (_is_in_word(data, start) or _is_in_word(data, end))


def _is_in_word(data: bytes, at: int) -> bool:
    """Whether the characters on both sides of `at` are of one word."""
    if at in (0, len(data)):
        return False
    left, right = data[at - 1], data[at]
    if left < 128 and right < 128:
        return left in _ASCII_WORD and right in _ASCII_WORD
    return _in_word(_char_before(data, at)) and _in_word(_char_after(data, at))


def _in_word(char: str) -> bool:
    return char.isdigit() or char == "_" or char.lower() != char.upper()


_ASCII_WORD: Final = frozenset(code for code in range(128) if _in_word(chr(code)))


def _char_before(data: bytes, at: int) -> str:
    return data[max(0, at - 4) : at].decode("utf-8", "ignore")[-1:]


def _char_after(data: bytes, at: int) -> str:
    return data[at : at + 4].decode("utf-8", "ignore")[:1]


def _code_points(data: bytes, spans: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """`spans` of bytes as spans of code points."""
    for start, end in spans:
        before = len(data[:start].decode())
        yield before, before + len(data[start:end].decode())
