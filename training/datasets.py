"""The labelled sets of `--data DIR`, mapped on the categories of the text models.

What a set does not label is unknown (NaN), not negative. `presumed` marks the unknown labels that
are nearly always negative (a talk page comment without a link is no spam): they may serve training
as weak negatives, but no figure is measured on them.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from policy.taxonomy import TEXT_CATEGORIES
from training.errors import DatasetError
from training.grouping import canonical, near_duplicates
from training.sources import SOURCES, draw, own_labels

OWN: Final = "own/labels.json"
"""What people have labelled on this platform, where it was exported (`breakwater models retrain`):
the answer of the query `labelled_dataset` as JSON. It changes, so no checksum stands for it.
"""
_OWN_SOURCE: Final = "own"
SPLITS: Final = ("train", "validation", "test")
_SHARES: Final = (0.8, 0.9)
"""Cumulated shares at which a group's hash falls in train, then in validation."""

_SUSPECT: Final = {
    "hate": re.compile(r"\b(?:nigg|fag|jew|muslim|black|gay|women|immigrant|race)", re.IGNORECASE),
    "harassment": re.compile(
        r"\b(?:fuck|bitch|stupid|idiot|ugly|hate|shut up|loser|dumb|ass\b|shit|suck|trash)",
        re.IGNORECASE,
    ),
    "threat": re.compile(
        r"\b(?:kill|die\b|dead|rap(?:e|ing)|shoot|shot|murder|hang|beat|burn|stab|slap|punch|cut"
        r"|hurt|destroy|exterminat|gas\b|gun|bomb|knife|find you|throat|execut|lynch|smash|choke"
        r"|hit|kick|attack|fight|wipe|eliminat|bullet|blood|slit|strangl|deport|death)"
        r"|[\U0001f52a\U0001f52b]",
        re.IGNORECASE,
    ),
    "sexual": re.compile(
        r"\b(?:sex|fuck|dick|cock|pussy|cunt|tits?\b|boob|breast|naked|nude|porn|cum\b|horny"
        r"|blow ?job|suck|penis|vagina|anal\b|orgasm|masturbat|bed with|kiss|hoe|slut|whore|ass\b"
        r"|rape|lick|hot|lover|bra\b|panties|virgin|bang|wet|dirty|love you|escort|hook ?up)",
        re.IGNORECASE,
    ),
    "spam": re.compile(
        r"https?:|www\.|\.com|subscri|check (?:out|my)|free\b|click|win\b|prize|£|\$|\bcall\b"
        r"|channel|\d{5}|offer|earn|money|text \w+ to|visit|my (?:video|page|blog)|follow",
        re.IGNORECASE,
    ),
}
"""An unlabelled text in which none of a category's words stand is presumed not to be of it."""


@dataclass(frozen=True)
class SourceFile:
    """A file that the corpus was read from, for the model cards."""

    source: str
    path: str
    """Relative to the data directory."""
    sha256: str
    licence: str
    rows: int


@dataclass(frozen=True)
class Corpus:
    """Labelled texts, n rows in a fixed order; arrays are aligned with `texts`."""

    texts: list[str]
    targets: NDArray[np.float32]
    """(n, 5) in the order of TEXT_CATEGORIES: 1 is of the category, 0 is not, NaN is unknown."""
    presumed: NDArray[np.bool_]
    """(n, 5): unknown, but nearly always negative."""
    toxic: NDArray[np.float32]
    """(n,): Jigsaw's own `toxic` label, NaN elsewhere."""
    sources: NDArray[np.str_]
    groups: NDArray[np.int64]
    """(n,): a group (near duplicates, matched pairs, one conversation) shares its split."""
    splits: NDArray[np.str_]
    files: tuple[SourceFile, ...]

    def where(self, split: str, *sources: str) -> NDArray[np.int64]:
        """Row numbers of `split`, of `sources` only when any are named."""
        chosen = self.splits == split
        if sources:
            chosen &= np.isin(self.sources, sources)
        return np.flatnonzero(chosen)


def load(data: Path) -> Corpus:
    """The whole corpus of the data directory, split 80/10/10; the same rows and splits every time.

    `OWN` is a part of it where it is there.

    Raises DatasetError when a file is missing or its SHA-256 is not the one in SHA256SUMS.
    """
    sums = _checksums(data)
    files: list[SourceFile] = []
    frames: list[pd.DataFrame] = []
    for source in SOURCES:
        for name in source.files:
            digest = _verified(data, name, sums)
            frame = source.read(data / name)
            files.append(SourceFile(source.name, name, digest, source.licence, len(frame)))
            frame["source"] = source.name
            frame["link"] = [f"{source.name}:{link}" if link else "" for link in frame["link"]]
            frames.append(frame)
    if (data / OWN).exists():
        digest = hashlib.sha256((data / OWN).read_bytes()).hexdigest()
        frames.append(own_labels(data / OWN).assign(source=_OWN_SOURCE))
        files.append(SourceFile(_OWN_SOURCE, OWN, digest, "your own", len(frames[-1])))
    return _corpus(pd.concat(frames, ignore_index=True), tuple(files))


def load_identity_templates(data: Path) -> tuple[list[str], NDArray[np.bool_]]:
    """Texts of the identity templates and whether each is bad: for audits, never for training."""
    name = "identity_templates/bias_madlibs_77k.csv"
    _verified(data, name, _checksums(data))
    frame = pd.read_csv(data / name)
    return list(frame["Text"]), (frame["Label"] == "BAD").to_numpy(dtype=bool)


def _checksums(data: Path) -> dict[str, str]:
    try:
        lines = (data / "SHA256SUMS").read_text().splitlines()
    except OSError as error:
        raise DatasetError(f"{data} is not a data directory: {error}") from error
    return {name: digest for digest, name in (line.split(maxsplit=1) for line in lines)}


def _verified(data: Path, name: str, sums: dict[str, str]) -> str:
    try:
        digest = hashlib.sha256((data / name).read_bytes()).hexdigest()
    except OSError as error:
        raise DatasetError(f"set {name} cannot be read: {error}") from error
    if sums.get(name) != digest:
        raise DatasetError(f"set {name} is not the one of SHA256SUMS: its SHA-256 is {digest}")
    return digest


def _corpus(frame: pd.DataFrame, files: tuple[SourceFile, ...]) -> Corpus:
    frame["key"] = [canonical(text) for text in frame["text"]]
    frame = frame[frame["key"] != ""].drop_duplicates(["source", "key"]).reset_index(drop=True)
    texts, sources = list(frame["text"]), list(frame["source"])
    groups = near_duplicates(list(frame["key"]), texts, list(frame["link"]))
    targets = frame[list(TEXT_CATEGORIES)].to_numpy(dtype=np.float32)
    return Corpus(
        texts=texts,
        targets=targets,
        presumed=_presumed(texts, sources, targets),
        toxic=frame["toxic"].to_numpy(dtype=np.float32),
        sources=np.array(sources),
        groups=groups,
        splits=_splits(groups, list(frame["key"]), sources),
        files=files,
    )


def _splits(groups: NDArray[np.int64], keys: list[str], sources: list[str]) -> NDArray[np.str_]:
    """A group's split depends on its smallest key alone: other sets may come and go.

    A key of the platform's own counts where there is no other: what people label must not move rows
    that a model in use was tested on into training, nor the other way about.
    """
    smallest: dict[int, tuple[bool, str]] = {}
    for group, key, source in zip(groups.tolist(), keys, sources, strict=True):
        ranked = source == _OWN_SOURCE, key
        smallest[group] = min(smallest.get(group, ranked), ranked)
    drawn = {
        group: SPLITS[np.searchsorted(_SHARES, draw(key))] for group, (_, key) in smallest.items()
    }
    return np.array([drawn[group] for group in groups.tolist()])


def _presumed(
    texts: list[str], sources: list[str], targets: NDArray[np.float32]
) -> NDArray[np.bool_]:
    presumable = {source.name: source.presumable for source in SOURCES}
    presumed = np.zeros(targets.shape, dtype=np.bool_)
    for column, category in enumerate(TEXT_CATEGORIES):
        unknown = np.isnan(targets[:, column])
        suspect = _SUSPECT[category]
        for row in np.flatnonzero(unknown).tolist():
            if category in presumable.get(sources[row], frozenset()):
                presumed[row, column] = suspect.search(texts[row]) is None
    return presumed
