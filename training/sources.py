"""How each labelled set reads: one function a set, all to the same columns.

A reader takes the path of a file of the set and returns a frame with `text`, a column of each of
TEXT_CATEGORIES and `toxic` (1, 0 or NaN: not labelled), and `link` (rows of equal link belong
together; "" links nothing).
"""

from __future__ import annotations

import hashlib
import html
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from policy.taxonomy import TEXT_CATEGORIES
from training.grouping import canonical

Column = NDArray[np.float32]

_OFFENSIVE_KEPT: Final = 0.25
"""Of Davidson's class 1, most of the set and known for dialect bias, this share is kept."""

_TAG: Final = re.compile(r"<(?:br|/?a|/?b|/?i)\b[^<>]{0,300}>")
_ADDRESSED: Final = re.compile(r"\b(?:you|your|youre|you're|u|ur|ya)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Source:
    """A labelled set: its files below the data directory, how they read, and under what licence."""

    name: str
    files: tuple[str, ...]
    read: Callable[[Path], pd.DataFrame]
    licence: str
    presumable: frozenset[str] = frozenset()
    """Categories it does not label but of which it nearly never is, suspect words aside."""


def draw(key: str) -> float:
    """A number in [0, 1) that depends on `key` alone."""
    digest = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def _labelled(
    texts: pd.Series[str], link: Sequence[str] | None = None, **columns: Column
) -> pd.DataFrame:
    """Rows of one set in the common columns; labels that are not given are unknown."""
    cleaned = [_TAG.sub(" ", html.unescape(str(text))).strip(" \"'\n\t\ufeff") for text in texts]
    frame = pd.DataFrame({"text": cleaned, "link": list(link or [""] * len(cleaned))})
    for name in (*TEXT_CATEGORIES, "toxic"):
        frame[name] = columns.get(name, np.full(len(cleaned), np.nan, dtype=np.float32))
    return frame


def _label(positive: pd.Series[bool], negative: pd.Series[bool]) -> Column:
    """1 where `positive`, else 0 where `negative`, else unknown."""
    label = np.where(negative.to_numpy(dtype=bool), np.float32(0), np.float32(np.nan))
    label[positive.to_numpy(dtype=bool)] = 1
    return label


def _jigsaw(path: Path) -> pd.DataFrame:
    # Copies in original spelling come first: of two copies the first is kept.
    rows = pd.read_csv(path).sort_values("src", key=lambda s: s == "jigsaw_furkan", kind="stable")
    rows = rows.reset_index(drop=True)
    harassment = rows[["toxic", "severe_toxic", "insult"]].sum(axis=1) > 0
    clean = ~harassment & (rows["obscene"] == 0)
    return _labelled(
        rows["comment_text"],
        hate=rows["identity_hate"].to_numpy(dtype=np.float32),
        harassment=_label(harassment, ~harassment),
        threat=rows["threat"].to_numpy(dtype=np.float32),
        sexual=np.where(clean, np.float32(0), np.float32(np.nan)),
        toxic=rows["toxic"].to_numpy(dtype=np.float32),
    )


def _davidson(path: Path) -> pd.DataFrame:
    rows = pd.read_csv(path)
    kept = pd.Series([draw(tweet) < _OFFENSIVE_KEPT for tweet in rows["tweet"]])
    rows = rows[(rows["class"] != 1) | kept].reset_index(drop=True)
    hateful, offensive, neither = (rows["class"] == number for number in (0, 1, 2))
    unanimous = rows["hate_speech"] == 0
    addressed = pd.Series([bool(_ADDRESSED.search(tweet)) for tweet in rows["tweet"]])
    return _labelled(
        rows["tweet"],
        hate=_label(hateful, neither | (offensive & unanimous)),
        # Offensive words are harassment where they are said to someone; else nobody labelled it.
        harassment=_label(offensive & addressed, neither),
    )


def _edos(path: Path) -> pd.DataFrame:
    rows = pd.read_csv(path)
    sexist = rows["label_sexist"] == "sexist"
    texts = rows["text"].str.replace("[USER]", "@user", regex=False)
    return _labelled(
        texts.str.replace("[URL]", "", regex=False),
        hate=_label(sexist, ~sexist),
        threat=_label(rows["label_category"].str.startswith("1."), sexist),
    )


def _hatemoji(path: Path) -> pd.DataFrame:
    rows = pd.read_csv(path)
    hateful = rows["label_gold"] == 1
    pairs = np.sort(rows[["entry_id", "matched_id"]].to_numpy(), axis=1)
    return _labelled(
        rows["text"],
        link=[f"{first}-{second}" for first, second in pairs],
        hate=_label(hateful, ~hateful),
        threat=_label(rows["type"] == "threateninglanguage", hateful),
    )


def _stormfront(path: Path) -> pd.DataFrame:
    rows = pd.read_csv(path)
    rows = rows[rows["label"].isin(["hate", "noHate"])].reset_index(drop=True)
    return _labelled(
        rows["text"],
        link=[number.partition("_")[0] for number in rows["id"]],
        hate=_label(rows["label"] == "hate", rows["label"] == "noHate"),
    )


def _convabuse(path: Path) -> pd.DataFrame:
    rows = pd.read_csv(path)
    levels = {level: _votes(rows, rf"_is_abuse\.{level}$") for level in (1, 0, -1, -2, -3)}
    votes = {level: found.sum(axis=1) for level, found in levels.items()}
    total = pd.DataFrame(votes)
    mean = (total * total.columns.to_numpy(dtype=np.int64)).sum(axis=1) / total.sum(axis=1)
    return _labelled(
        rows["user"],
        link=[str(number) for number in rows["conv_id"]],
        hate=_majority(rows, "homophobic|racist|sexist|transphobic"),
        harassment=_label(mean < -0.5, mean == 1),
        sexual=_majority(rows, "sex_harassment"),
    )


def _votes(rows: pd.DataFrame, pattern: str) -> pd.DataFrame:
    found: pd.DataFrame = rows.filter(regex=pattern).apply(pd.to_numeric, errors="coerce")
    return found


def _majority(rows: pd.DataFrame, kinds: str) -> Column:
    """1 where half of the annotators or more saw one of `kinds`, 0 where none did, else unknown."""
    shares = [_votes(rows, rf"^Annotator\d_{kind}$").mean(axis=1) for kind in kinds.split("|")]
    share = pd.concat(shares, axis=1).max(axis=1)
    return _label(share >= 0.5, share == 0)


def _sms(path: Path) -> pd.DataFrame:
    # Quote characters are part of the messages (csv.QUOTE_NONE is 3).
    rows = pd.read_csv(path, sep="\t", quoting=3)
    return _labelled(rows["text"], spam=_label(rows["label"] == "spam", rows["label"] == "ham"))


def _youtube(path: Path) -> pd.DataFrame:
    rows = pd.read_csv(path)
    return _labelled(rows["CONTENT"], spam=rows["label"].to_numpy(dtype=np.float32))


def _discord(path: Path) -> pd.DataFrame:
    rows = pd.read_csv(path, keep_default_na=False)
    rows = rows[rows["rating"].astype(str) == "0"].reset_index(drop=True)
    benign = np.zeros(len(rows), dtype=np.float32)
    return _labelled(rows["content"], None, **dict.fromkeys(TEXT_CATEGORIES, benign))


def own_labels(path: Path) -> pd.DataFrame:
    """Contents that people have labelled, from the query `labelled_dataset` as JSON.

    Their one category is a label; that an allowed content is of none is a label of all. What is not
    agreed on by more than half is left out, of the answers on one content without a golden one and
    of the contents with one text: the last word of a careless reviewer would be the truth.
    """
    columns = ["text", "truth", "label_source", "votes", "agreeing"]
    rows = pd.DataFrame(json.loads(path.read_text("utf-8")), columns=columns)
    disputed = (rows["agreeing"] * 2 <= rows["votes"]) & (rows["label_source"] != "golden")
    rows = rows[~disputed]
    keys = rows["text"].map(canonical)
    copies = rows.groupby(keys)["truth"].transform("size")
    alike = rows.groupby([keys, rows["truth"]])["truth"].transform("size")
    rows = rows[alike * 2 > copies].reset_index(drop=True)
    return _labelled(
        rows["text"],
        None,
        **{name: _label(rows["truth"] == name, rows["truth"] == "") for name in TEXT_CATEGORIES},
    )


SOURCES: Final = (
    Source(
        "jigsaw",
        ("jigsaw/jigsaw_multilabel.csv",),
        _jigsaw,
        "Jigsaw toxic comments; labels CC0, text CC-BY-SA-3.0",
        frozenset({"sexual", "spam"}),
    ),
    Source(
        "davidson",
        ("davidson/labeled_data.csv",),
        _davidson,
        "Davidson et al. 2017; MIT",
        frozenset({"threat", "sexual", "spam"}),
    ),
    Source(
        "edos",
        ("edos/edos_labelled_aggregated.csv",),
        _edos,
        "EDOS, SemEval 2023 task 10; CC0",
        frozenset({"threat", "sexual", "spam"}),
    ),
    Source(
        "hatemoji",
        tuple(f"hatemoji_build/{part}.csv" for part in ("train", "validation", "test")),
        _hatemoji,
        "HatemojiBuild, Kirk et al. 2022; CC-BY-4.0",
        frozenset({"threat", "sexual", "spam"}),
    ),
    Source(
        "stormfront",
        ("stormfront/all_sentences.csv",),
        _stormfront,
        "de Gibert et al. 2018; CC-BY-SA-3.0",
        frozenset({"threat", "sexual", "spam"}),
    ),
    Source(
        "convabuse",
        tuple(f"convabuse/ConvAbuseEMNLP{part}.csv" for part in ("train", "valid")),
        _convabuse,
        "ConvAbuse, Cercas Curry et al. 2021; CC-BY-4.0",
        frozenset({"threat", "spam"}),
    ),
    Source(
        "sms_spam",
        ("sms_spam/SMSSpamCollection.tsv",),
        _sms,
        "UCI SMS Spam Collection; CC-BY-4.0",
        frozenset({"hate", "harassment", "threat", "sexual"}),
    ),
    Source(
        "youtube_spam",
        tuple(
            f"youtube_spam/Youtube0{number}-{singer}.csv"
            for number, singer in enumerate(("Psy", "KatyPerry", "LMFAO", "Eminem"), start=1)
        ),
        _youtube,
        "UCI YouTube Spam Collection; CC-BY-4.0",
        frozenset({"hate", "harassment", "threat", "sexual"}),
    ),
    Source(
        "discord",
        ("discord_chat/non_toxic.csv",),
        _discord,
        "uwindsorcss/ai-automod; MIT",
    ),
)
"""The sets that the models are trained on, in the order of the corpus."""
