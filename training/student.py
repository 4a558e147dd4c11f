"""The student between the fast model and the transformer: its first layer, narrowed, taught by it.

`python -m training.student --data DIR`; resumes from its checkpoint. It starts from the first layer
of the transformer as it is shipped, with the inner units that weigh most. It learns from the labels
and from what the transformer says of the same texts (Hinton et al., Distilling the Knowledge in a
Neural Network, 2015).
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from training.classifier import Classifier
from training.dequantize import weights
from training.examples import Examples
from training.export import export
from training.transformer import WEIGHTS, cut, fit, pad, prepare

_INNER: Final = 384
"""Units of the feed-forward part of a layer; the transformer has 1536."""
_RATE: Final = 3e-4
_TAUGHT: Final = 0.6
"""Weight of the transformer's probability beside a label."""
_UNLABELLED: Final = 0.5
"""Weight of the transformer's probability where there is no label."""


def train(
    data: Path,
    out: Path,
    *,
    work: Path,
    teacher: Path,
    epochs: int = 5,
    threads: int = 1,
    seed: int = 7,
) -> None:
    """Teaches a student what the transformer in `teacher` knows and exports it to `out`.

    A checkpoint every two minutes: a run that was broken off goes on where its last one was, and
    weights that lie in `work` are exported as they are. `work/start.pt` gives weights to start
    from, if it is there.
    """
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    work.mkdir(parents=True, exist_ok=True)
    if not (work / WEIGHTS).exists():
        model = Classifier()
        model.load_state_dict(weights(teacher), strict=False)
        examples, ids = prepare(data, work, seed=seed)
        lengths = np.array([len(row) for row in ids])
        taught = _teach(model, examples, ids, cut(lengths, seed))
        narrow(model)
        if (work / "start.pt").exists():
            model.load_state_dict(torch.load(work / "start.pt"))
        batches = [rows for epoch in range(epochs) for rows in cut(lengths, seed + epoch)]
        checkpoint = work / "checkpoint.pt"
        fit(model, taught, ids, batches, checkpoint=checkpoint, limit=float("inf"), rate=_RATE)
        torch.save(model.state_dict(), work / WEIGHTS)
    student = Classifier()
    narrow(student)
    student.load_state_dict(torch.load(work / WEIGHTS))
    export(data, out, work=work, model=student, name="text-student")


def narrow(model: Classifier, inner: int = _INNER) -> None:
    """Leaves the first layer of `model`, with `inner` units, in place.

    The units with the largest weights in and out stay (magnitude pruning, Han et al. 2015).
    """
    encoder: Any = model.encoder
    encoder.config.num_hidden_layers = 1
    encoder.encoder.layer = encoder.encoder.layer[:1]
    encoder.embeddings.requires_grad_(requires_grad=False)
    (layer,) = encoder.encoder.layer
    up, down = layer.intermediate.dense, layer.output.dense
    weight = up.weight.norm(dim=1) * down.weight.norm(dim=0)
    kept = weight.argsort(descending=True)[:inner]
    up.weight, up.bias = (nn.Parameter(p.detach()[kept]) for p in (up.weight, up.bias))
    down.weight = nn.Parameter(down.weight.detach()[:, kept])
    up.out_features = down.in_features = inner


def _teach(
    teacher: Classifier,
    examples: Examples,
    ids: list[NDArray[np.int64]],
    batches: list[NDArray[np.int64]],
) -> Examples:
    """`examples` with the teacher's probabilities mixed into their targets."""
    said = np.zeros_like(examples.targets)
    teacher.eval()
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        for rows in batches:
            tokens, mask = map(torch.from_numpy, pad([ids[row] for row in rows]))
            said[rows] = torch.sigmoid(teacher(tokens, mask).float()).numpy()
    labelled = examples.weights > 0
    mixed = (1 - _TAUGHT) * examples.targets + _TAUGHT * said
    return replace(
        examples,
        targets=np.where(labelled, mixed, said).astype(np.float32),
        weights=np.where(labelled, examples.weights, _UNLABELLED).astype(np.float32),
    )


def main() -> None:
    """Command line of the training."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("models/text/student"))
    parser.add_argument("--work", type=Path, default=Path(".work/student"))
    parser.add_argument("--teacher", type=Path, default=Path("models/text/minilm"))
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=7)
    train(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
