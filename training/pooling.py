"""A text's states to one: the last layer of a transformer, asked once a text and not once a token.

Attention pooling (Lee et al. 2019, Set Transformer) whose query is the mean of the states. One
query lets the matrices of keys and values move to its side: the query is brought into the space of
the states, and the states are weighed before they become values. No token passes through a matrix,
so the layer costs hardly more than the mean that it replaces.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


class AttentionPooling(nn.Module):
    """The parts of a BERT layer, read by the mean of its inputs."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.attention = layer.attention
        self.intermediate = layer.intermediate
        self.output = layer.output

    def forward(self, states: Tensor, mean: Tensor, hidden: Tensor) -> Tensor:
        """(n, width) of states (n, tokens, width), their mean and what padding is hidden by."""
        own = self.attention.self
        heads = (own.num_attention_heads, own.attention_head_size)
        keys = own.key.weight.view(*heads, -1) * own.scaling
        values = own.value.weight.view(*heads, -1).transpose(1, 2)
        # A key's bias adds the same to all scores of a head, and the weights of a head add up to 1.
        query = own.query(mean).view(-1, *heads).transpose(0, 1) @ keys
        scores = query.transpose(0, 1) @ states.transpose(1, 2) + hidden.squeeze(1)
        weighed = nn.functional.softmax(scores, dim=-1) @ states
        found = (weighed.transpose(0, 1) @ values).transpose(0, 1).flatten(1) + own.value.bias
        attended = self.attention.output(found, mean)
        pooled: Tensor = self.output(self.intermediate(attended), attended)
        return pooled
