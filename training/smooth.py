"""SmoothQuant: activations with few loud channels made even before they are quantized.

Xiao et al. (2023), SmoothQuant: a linear layer gives the same when its input channels are divided
by s and its weights multiplied by s; with s between the ranges of both, eight bits suffice for
either. The division is a step of its own where the input feeds the residual branch as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import torch
from torch import Tensor, nn

from training.classifier import Classifier

_ALPHA: Final = 0.8
"""How much loudness moves into the weights: of 0.5 to 0.9, 0.8 kept validation logits best."""
_LEAST: Final = 1e-5
_NAMES: Final = (
    "attention.self.query",
    "attention.output.dense",
    "intermediate.dense",
    "output.dense",
)


class Smoothed(nn.Module):  # type: ignore[misc, unused-ignore]  # Any where torch is missing
    """A linear layer whose input channels are evened out first."""

    def __init__(self, linear: nn.Linear, scale: Tensor) -> None:
        super().__init__()
        self.shrink: Tensor
        self.register_buffer("shrink", 1 / scale)
        linear.weight.data *= scale
        self.linear = linear

    def forward(self, inputs: Tensor) -> Tensor:
        """What the layer gave before, (…, out)."""
        outputs: Tensor = self.linear(inputs * self.shrink)
        return outputs


def smooth(model: Classifier, batches: Sequence[tuple[Tensor, Tensor]]) -> None:
    """Evens out every linear layer of `model.encoder.encoder`, in place.

    `batches` of token ids and masks show how loud each channel is.
    """
    loudest = _listened(model, batches)
    encoder: Any = model.encoder.encoder
    for number, layer in enumerate(encoder.layer):
        own = {name: loudest[f"layer.{number}.{name}"] for name in _NAMES}
        attention = layer.attention.self
        # The same scale for all three: onnxruntime then divides their common input once.
        readers = [attention.query, attention.key, attention.value]
        scale = _scale(own["attention.self.query"], readers)
        attention.query, attention.key, attention.value = (Smoothed(r, scale) for r in readers)
        # The output layer reads weighted means of values: the values themselves can be divided.
        scale = _scale(own["attention.output.dense"], [layer.attention.output.dense])
        layer.attention.output.dense.weight.data *= scale
        attention.value.linear.weight.data /= scale[:, None]
        attention.value.linear.bias.data /= scale
        for block, name in (
            (layer.intermediate, "intermediate.dense"),
            (layer.output, "output.dense"),
        ):
            block.dense = Smoothed(block.dense, _scale(own[name], [block.dense]))


def _scale(loudest: Tensor, readers: Sequence[nn.Linear]) -> Tensor:
    """What to divide each input channel by, (in,)."""
    heavy = torch.stack([reader.weight.data.abs().amax(dim=0) for reader in readers]).amax(dim=0)
    return loudest.clamp(min=_LEAST) ** _ALPHA / heavy.clamp(min=_LEAST) ** (1 - _ALPHA)


def _listened(model: Classifier, batches: Sequence[tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    """The loudest input of every channel, (in,), of each linear layer by name."""
    loudest: dict[str, Tensor] = {}
    encoder: Any = model.encoder.encoder
    hooks = [
        layer.register_forward_pre_hook(_listen(name, loudest))
        for name, layer in encoder.named_modules()
        if isinstance(layer, nn.Linear)
    ]
    with torch.no_grad():
        for ids, mask in batches:
            model(ids, mask)
    for hook in hooks:
        hook.remove()
    return loudest


def _listen(name: str, loudest: dict[str, Tensor]) -> Callable[[nn.Module, Any], None]:
    def hook(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        peak = inputs[0].detach().abs().flatten(0, -2).amax(dim=0)
        loudest[name] = torch.maximum(loudest[name], peak) if name in loudest else peak

    return hook
