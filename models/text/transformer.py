"""The transformers of the text stages, in INT8: MiniLM-L6, fine-tuned, and a student of it.

See minilm/card.md and student/card.md.
"""

from __future__ import annotations

import json
import os
import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from tokenizers import Tokenizer

from models.text.model import MAX_CONTRIBUTIONS, Contribution

BUILT_IN: Final = Path(__file__).parent / "minilm"
ARTEFACTS: Final = ("model.onnx", "tokenizer.json", "runtime.json")
MAX_CHUNKS: Final = 8
"""Pieces of one text that are read: of longer texts spread evenly, first and last among them."""
_BATCH_TOKENS: Final = 512
"""Of a run: what it computes stays in a core's own cache, and weights are read seldom enough."""
_RUN_TOKENS: Final = 16
"""A run by itself costs about as much as this many tokens: less padding is cheaper than a run."""
_OVERLAP: Final = 12
"""Tokens that neighbouring pieces share, so that no phrase is cut in two."""
_MAX_OCCLUSIONS: Final = 48
_PICTURE: Final = re.compile("[\u2190-\u2bff\u3030\u303d\U0001f000-\U0001faff]")
_WORD: Final = re.compile(r"\S+")


class ModelError(Exception):
    """The artefact is missing or not what its card says; the text names the file."""


class TransformerModel:
    """Probabilities by a fine-tuned transformer; of long texts the highest of their pieces."""

    def __init__(self, directory: Path = BUILT_IN) -> None:
        """Loads `directory`: the artefacts and card.json. Raises ModelError."""
        try:
            card = json.loads((directory / "card.json").read_text("utf-8"))
            settings = json.loads((directory / "runtime.json").read_text("utf-8"))
            tokenizer: Tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
            options = ort.SessionOptions()
            options.intra_op_num_threads = options.inter_op_num_threads = 1
            self._session = ort.InferenceSession(
                str(directory / "model.onnx"),
                options,
                providers=["CPUExecutionProvider"],
                # The fused kernel takes five times as long as an addition and a normalization.
                disabled_optimizers=["SkipLayerNormFusion"],
            )
        except Exception as error:  # each library raises types of its own here
            raise ModelError(f"no text model in {directory}: {error}") from error
        # The tokenizer's own threads would compete with the workers of the flow.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        tokenizer.no_padding()
        tokenizer.no_truncation()
        # Its normalizer takes as long as all the rest, and a text that has been through it holds no
        # name of a special token any more.
        self._normalizer, tokenizer.normalizer = tokenizer.normalizer, None
        self._tokenizer = tokenizer
        self._ends = tokenizer.encode("").ids
        self._room: int = settings["max_tokens"] - 2
        self._slope = np.array(settings["slope"], dtype=np.float32)
        self._intercept = np.array(settings["intercept"], dtype=np.float32)
        self.name: str = card["name"]
        self.version: str = card["version"]
        self.categories: tuple[str, ...] = tuple(card["categories"])

    def predict(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Calibrated probabilities, (n, C), of normalized texts; columns as in `categories`."""
        return _sigmoid(self.logits(texts))

    def logits(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Calibrated log odds, (n, C), of normalized texts."""
        pieces: list[NDArray[np.int64]] = []
        owners: list[int] = []
        encoded = self._tokenizer.encode_batch_fast(
            [self._normal(text) for text in texts], add_special_tokens=False
        )
        for owner, encoding in enumerate(encoded):
            for piece in self._pieces(encoding.ids):
                pieces.append(piece)
                owners.append(owner)
        best = np.full((len(texts), len(self.categories)), -np.inf, dtype=np.float32)
        np.maximum.at(best, owners, self._run(pieces) * self._slope + self._intercept)
        return best

    def attribute(
        self, texts: Sequence[str], categories: Sequence[str]
    ) -> list[list[Contribution]]:
        """What of each normalized text speaks for its category, the strongest first.

        Shares of the whole, and there may be none. By occlusion (Zeiler and Fergus 2014): how far
        the log odds fall when a word is left out. Expensive: each word takes a run.
        """
        return [self._occlude(*pair) for pair in zip(texts, categories, strict=True)]

    def _occlude(self, text: str, category: str) -> list[Contribution]:
        words = [found.span() for found in _WORD.finditer(text)]
        column = self.categories.index(category)
        size = -(-len(words) // _MAX_OCCLUSIONS) or 1
        spans = [
            (words[i][0], words[min(i + size, len(words)) - 1][1])
            for i in range(0, len(words), size)
        ]
        odds = self.logits([text, *(text[:start] + text[end:] for start, end in spans)])[:, column]
        falls = np.maximum(odds[0] - odds[1:], 0.0)
        total = float(falls.sum())
        if total <= 0:
            return []
        order = np.argsort(-falls, kind="stable")[:MAX_CONTRIBUTIONS].tolist()
        return [(*spans[i], float(falls[i]) / total) for i in order if falls[i] > 0]

    def _normal(self, text: str) -> str:
        """`text` as the tokenizer's normalizer gives it: of plain ASCII it lowers the case."""
        if text.isascii() and text.isprintable():
            return text.lower()
        normal: str = self._normalizer.normalize_str(readable(_encodable(text)))
        return normal

    def _pieces(self, ids: list[int]) -> list[NDArray[np.int64]]:
        first, last = self._ends
        starts = list(range(0, max(1, len(ids) - _OVERLAP), self._room - _OVERLAP))
        if len(starts) > MAX_CHUNKS:
            starts = [starts[i] for i in np.linspace(0, len(starts) - 1, MAX_CHUNKS).astype(int)]
        return [
            np.array([first, *ids[start : start + self._room], last], dtype=np.int64)
            for start in starts
        ]

    def _run(self, pieces: list[NDArray[np.int64]]) -> NDArray[np.float32]:
        """Raw logits, (pieces, C), run in batches of alike lengths."""
        logits = np.zeros((len(pieces), len(self.categories)), dtype=np.float32)
        lengths = np.array([len(piece) for piece in pieces], dtype=np.int64)
        order = np.argsort(lengths, kind="stable")
        start = 0
        while start < len(order):
            end = start + 1
            while (
                end < len(order)
                and (end - start) * (lengths[order[end]] - lengths[order[end - 1]]) <= _RUN_TOKENS
                and (end + 1 - start) * lengths[order[end]] <= _BATCH_TOKENS
            ):
                end += 1
            rows = order[start:end]
            tokens = np.zeros((len(rows), int(lengths[rows[-1]])), dtype=np.int64)
            for i, row in enumerate(rows.tolist()):
                tokens[i, : lengths[row]] = pieces[row]
            mask = (np.arange(tokens.shape[1]) < lengths[rows, None]).astype(np.int64)
            (logits[rows],) = self._session.run(None, {"input_ids": tokens, "attention_mask": mask})
            start = end
        return logits


def readable(text: str) -> str:
    """`text` with emoji spelled out, which the model's vocabulary lacks: 🔪 to ` hocho `."""
    return text if text.isascii() else _PICTURE.sub(_named, text)


def _named(found: re.Match[str]) -> str:
    return f" {_name(found.group())} "


@lru_cache(maxsize=8192)
def _name(char: str) -> str:
    return unicodedata.name(char, "").lower()


def _encodable(text: str) -> str:
    """`text` without lone surrogates, which the tokenizer refuses."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):  # exp of a large number is inf, and 1 / inf the right answer
        return (1 / (1 + np.exp(-logits))).astype(np.float32)
