"""Hashed word and character n-grams of a whole batch, in vectorised numpy.

The hashing trick (Weinberger et al., Feature Hashing for Large Scale Multitask Learning, 2009) over
one buffer of code points: no loop runs over words or characters. A word's hash is a polynomial in
the mixed codes of its characters; n-grams of characters run over a word and a space at either end.
A word that a text repeats counts once, and so do its n-grams, a pair that the text repeats and an
n-gram that a long word repeats: a feature's norm grows with the root of its count, so that ten
question marks in a row would be ten times as far from any text that a model was fitted to.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

_BITS: Final = 20
BUCKETS: Final = 2**_BITS
"""Size of the hashed space. Bucket 0 stands for no feature: its weights are 0."""

KINDS: Final = ("word", "word pair", "3 characters", "4 characters", "5 characters")
"""The kinds of feature, in the order of `Features.bounds`."""
WORD_KINDS: Final = 2
"""Of KINDS the first two are of words, the others of characters: a model norms each by itself."""

MAX_CHARACTERS: Final = 1024
"""Longer texts are cut before they come here; what lies beyond is not read."""

_GRAMS: Final = (3, 4, 5)
_LONG_WORD: Final = 12
"""Characters from which a word's n-grams are looked at for repeats: in shorter ones few fit."""

_DROP, _SEPARATOR, _SYMBOL, _LETTER = range(4)
_DROPPED: Final = frozenset("'\u2019\u00ad") | {chr(code) for code in range(0xFE00, 0xFE10)}
_SYMBOLS: Final = frozenset("!?$%€£@#*+")
_BASIC: Final = 0x10000
_LAST: Final = np.uint32(_BASIC - 1)
"""Code points beyond the basic plane (emoji, mostly) are classed like this one: as symbols."""

_PRIME: Final = np.uint64(0x9E3779B97F4A7C15)
_PAIR: Final = np.uint64(0xC2B2AE3D27D4EB4F)
_FOLD: Final = np.uint64(29)
_SHIFT: Final = np.uint64(64 - _BITS)
_WITHIN: Final = np.uint64(20)
_OWNER: Final = np.uint64(44)
_POSITIONS: Final = np.cumprod(np.full(MAX_CHARACTERS + 2, 0x100000001B3, dtype=np.uint64))
_GRAM_POSITIONS: Final = np.cumprod(np.full(max(_GRAMS), 0xD6E8FEB86659FD93, dtype=np.uint64))


@dataclass(frozen=True)
class Features:
    """The features of n texts: by kind, within a kind by text, within a text by position."""

    buckets: NDArray[np.int32]
    """(1 + m,): a 0, then the hashed features, each below BUCKETS."""
    bounds: NDArray[np.int64]
    """(5 * n + 1,): kind k of text t has buckets[1:][bounds[s]:bounds[s + 1]], s = k * n + t."""


def featurise(texts: Sequence[str]) -> Features:
    """Hashed features of `texts`; a text's own do not depend on the rest of its batch."""
    buffer = _buffer(texts)
    return _assemble(buffer, _kinds(buffer, _words(buffer)))


@dataclass(frozen=True)
class Located:
    """The features of n texts, and the words that they begin in."""

    features: Features
    words: NDArray[np.int64]
    """(m,), aligned with features.buckets[1:]: number of the word that the feature begins in."""
    spans: NDArray[np.int64]
    """(w, 2): [start, end) of each word, in code points of its own text."""
    owners: NDArray[np.int64]
    """(w,), ascending: the text that each word is of. A text without words has no features."""


def locate(texts: Sequence[str]) -> Located:
    """Features of `texts`, each no longer than MAX_CHARACTERS, and where they stand."""
    buffer = _buffer(texts)
    words = _words(buffer)
    kinds = _kinds(buffer, words)
    positions = np.concatenate([positions for _, positions in kinds])
    # An n-gram that begins with the space before a word belongs to that word.
    positions += buffer.classes.take(positions) == _SEPARATOR
    inner = buffer.classes >= _SYMBOL
    last = inner.copy()
    last[:-1] &= ~inner[1:] | (words.numbers[1:] != words.numbers[:-1])
    owners = buffer.bounds.searchsorted(words.starts, side="right") - 1
    spans = np.empty((len(owners), 2), dtype=np.int64)
    spans[:, 0], spans[:, 1] = buffer.origins[words.starts], buffer.origins[last] + 1
    spans -= _bounds([len(text) + 2 for text in texts])[owners, None]
    return Located(_assemble(buffer, kinds), words.numbers.take(positions), spans, owners)


def _tables() -> tuple[NDArray[np.uint8], NDArray[np.uint32]]:
    """Class of every code point of the basic plane, and what to add for its lower case."""
    classes = np.full(_BASIC, _SEPARATOR, dtype=np.uint8)
    folding = np.zeros(_BASIC, dtype=np.uint32)
    for code in range(_BASIC):
        character = chr(code)
        category = unicodedata.category(character)
        if character in _DROPPED or category == "Cf":
            classes[code] = _DROP
        elif character in _SYMBOLS or category in {"So", "Cs"}:
            classes[code] = _SYMBOL
        elif category[0] in "LNM":
            classes[code] = _LETTER
        lower = " " if classes[code] == _SEPARATOR else character.lower()
        if len(lower) == 1:
            folding[code] = (ord(lower) - code) % 2**32
    classes[_LAST], folding[_LAST] = _SYMBOL, 0
    return classes, folding


_CLASSES, _FOLDING = _tables()


@dataclass(frozen=True)
class _Buffer:
    """Folded code points of all texts, one space around and between the words of each."""

    codes: NDArray[np.uint64]
    """Mixed: every bit depends on every bit of the code point."""
    classes: NDArray[np.uint8]
    origins: NDArray[np.int64]
    """Where each stood in the first text; those of the next count on, two code points between."""
    bounds: NDArray[np.int64]
    """(n + 1,): text t is codes[bounds[t]:bounds[t + 1]]."""


@dataclass(frozen=True)
class _Words:
    """The words of a buffer: runs of letters, and every symbol by itself."""

    starts: NDArray[np.int64]
    """(w,): position of each word's first character."""
    numbers: NDArray[np.int64]
    """At every position of the buffer, the number of the word that it is in or that was last."""
    hashes: NDArray[np.uint64]
    """(w,)"""
    owners: NDArray[np.uint64]
    """(w,): number of the text that each word is of."""
    fresh: NDArray[np.bool_]
    """(w,): the word has not stood in its text before."""


def _bounds(lengths: ArrayLike) -> NDArray[np.int64]:
    """Where each of n pieces begins that stand one behind the other, and their end, (n + 1,)."""
    sizes = np.asarray(lengths)
    bounds = np.zeros(len(sizes) + 1, dtype=np.int64)
    sizes.cumsum(out=bounds[1:])
    return bounds


def _buffer(texts: Sequence[str]) -> _Buffer:
    shortened = [text if len(text) <= MAX_CHARACTERS else text[:MAX_CHARACTERS] for text in texts]
    joined = "\n" + "\n\n".join(shortened) + "\n"
    codes = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    bounds = _bounds([len(text) + 2 for text in shortened])

    basic = np.minimum(codes, _LAST)
    classes = _CLASSES.take(basic)
    (origins,) = (classes != _DROP).nonzero()
    bounds = origins.searchsorted(bounds)
    spaces = classes.take(origins) == _SEPARATOR
    kept = np.ones(len(origins), dtype=np.bool_)
    np.logical_not(spaces[1:] & spaces[:-1], out=kept[1:])
    kept[bounds[:-1]] = True
    origins = origins[kept]
    left = _bounds(kept)

    mixed = ((codes + _FOLDING.take(basic)).take(origins) + np.uint64(1)) * _PRIME
    mixed ^= mixed >> _FOLD
    return _Buffer(mixed, classes.take(origins), origins - 1, left[bounds])


def _words(buffer: _Buffer) -> _Words:
    letters = buffer.classes == _LETTER
    begins = buffer.classes == _SYMBOL
    begins[1:] |= letters[1:] & ~letters[:-1]
    (starts,) = begins.nonzero()
    numbers = begins.cumsum() - 1
    if not len(starts):
        none = np.zeros(0, dtype=np.uint64)
        return _Words(starts, numbers, none, none, none.astype(np.bool_))
    first = starts[0]
    offsets = np.arange(first, len(letters)) - starts.take(numbers[first:])
    terms = buffer.codes[first:] * _POSITIONS.take(offsets)
    terms[buffer.classes[first:] == _SEPARATOR] = 0
    hashes = np.add.reduceat(terms, starts - first)
    bounds = starts.searchsorted(buffer.bounds)
    owners = np.arange(len(bounds) - 1, dtype=np.uint64).repeat(bounds[1:] - bounds[:-1])
    return _Words(starts, numbers, hashes, owners, _fresh(hashes, owners))


def _fresh(hashes: NDArray[np.uint64], owners: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Which are the first of their hash that their owner has, (n,)."""
    keys = (owners << _OWNER) | (hashes * _PRIME >> _WITHIN)
    order = keys.argsort(kind="stable")
    ordered = keys[order]
    fresh = np.ones(len(keys), dtype=np.bool_)
    fresh[order[1:]] = ordered[1:] != ordered[:-1]
    return fresh


_Kind = tuple[NDArray[np.uint64], NDArray[np.int64]]
"""Hashes and positions in the buffer of one kind of feature; positions ascend."""


def _kinds(buffer: _Buffer, words: _Words) -> list[_Kind]:
    return [*_word_features(buffer, words), *_character_features(buffer, words)]


def _assemble(buffer: _Buffer, kinds: list[_Kind]) -> Features:
    ends = [positions.searchsorted(buffer.bounds) for _, positions in kinds]
    bounds = _bounds(np.concatenate([end[1:] - end[:-1] for end in ends]))
    buckets = np.zeros(bounds[-1] + 1, dtype=np.int32)
    # The upper bits of a last mixing: the lower bits of a polynomial hash are weak.
    buckets[1:] = (np.concatenate([hashes for hashes, _ in kinds]) * _PRIME) >> _SHIFT
    return Features(buckets, bounds)


def _word_features(buffer: _Buffer, words: _Words) -> list[_Kind]:
    if not len(words.starts):
        return [(words.hashes, words.starts)] * 2
    # The last word of a text has no pair; that of a text without words is one before it.
    paired = np.ones(len(words.starts), dtype=np.bool_)
    paired[words.starts.searchsorted(buffer.bounds[1:]) - 1] = False
    (firsts,) = paired.nonzero()
    pairs = words.hashes[firsts] * _PAIR + (words.hashes[firsts + 1] ^ _PRIME)
    owners = words.owners[firsts]
    # Only where both words have been before can the pair have been: in few texts.
    repeating = np.zeros(len(buffer.bounds), dtype=np.bool_)
    repeating[owners[~(words.fresh[firsts] | words.fresh[firsts + 1])]] = True
    (asked,) = repeating[owners].nonzero()
    fresh = np.ones(len(pairs), dtype=np.bool_)
    fresh[asked] = _fresh(pairs[asked], owners[asked])
    return [
        (words.hashes[words.fresh], words.starts[words.fresh]),
        (pairs[fresh], words.starts[firsts[fresh]]),
    ]


def _character_features(buffer: _Buffer, words: _Words) -> list[_Kind]:
    """N-grams whose inner characters all stand in words, the first of them in a fresh one."""
    inner = buffer.classes >= _SYMBOL
    alive = inner.copy()
    alive[inner] = words.fresh.take(words.numbers[inner])
    alive = alive[1:]
    long = np.bincount(words.numbers[inner], minlength=len(words.starts)) >= _LONG_WORD
    hashes = buffer.codes * _GRAM_POSITIONS[0]
    kinds: list[_Kind] = []
    for size in range(2, max(_GRAMS) + 1):
        hashes = hashes[:-1] + buffer.codes[size - 1 :] * _GRAM_POSITIONS[size - 1]
        if size > _GRAMS[0]:
            alive = alive[:-1] & inner[size - 2 :]
        if size in _GRAMS:
            (positions,) = alive[: len(hashes)].nonzero()
            if long.any():
                positions = _once(hashes, positions, words.numbers.take(positions + 1), long)
            kinds.append((hashes.take(positions), positions))
    return kinds


def _once(
    hashes: NDArray[np.uint64],
    positions: NDArray[np.int64],
    numbers: NDArray[np.int64],
    long: NDArray[np.bool_],
) -> NDArray[np.int64]:
    """`positions` of n-grams but for those that a `long` word, of `numbers`, has had before."""
    kept = np.ones(len(positions), dtype=np.bool_)
    (within,) = long.take(numbers).nonzero()
    owners = numbers[within].astype(np.uint64)
    kept[within] = _fresh(hashes.take(positions[within]), owners)
    return positions[kept]
