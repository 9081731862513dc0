"""The architecture: llama's, small. What llama.cpp calls `llama`, so that it needs no code there.

RMSNorm before attention and feed-forward, rotary positions in neighbouring pairs (llama.cpp's
"norm" order, so weights need no permutation), SwiGLU, one matrix for reading and writing tokens.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Shape:
    """All sizes of a model."""

    vocabulary: int
    width: int = 256
    layers: int = 6
    heads: int = 8
    inner: int = 704
    context: int = 512
    theta: float = 10_000.0
    epsilon: float = 1e-5


class Block(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width, inner = shape.width, shape.inner
        self.heads = shape.heads
        self.attention_norm = nn.RMSNorm(width, shape.epsilon)
        self.feed_norm = nn.RMSNorm(width, shape.epsilon)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.gate_up = nn.Linear(width, 2 * inner, bias=False)
        self.down = nn.Linear(inner, width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        batch, length, width = x.shape
        qkv = self.qkv(self.attention_norm(x)).view(batch, length, 3, self.heads, -1)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        q, k = turned(q, cos, sin), turned(k, cos, sin)
        mixed = attended(q, k, v)
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, length, width))
        gate, up = self.gate_up(self.feed_norm(x)).chunk(2, dim=-1)
        return x + self.down(functional.silu(gate) * up)


def attended(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Causal attention. On a CPU it is written out: for texts of some sixty tokens the fused kernel
    takes half of the time of a step for its way back."""
    if q.is_cuda:
        return functional.scaled_dot_product_attention(q, k, v, is_causal=True)
    length = q.shape[-2]
    later = torch.ones(length, length, dtype=torch.bool, device=q.device).triu(1)
    scores = (q @ k.transpose(-2, -1)) * q.shape[-1] ** -0.5
    return scores.masked_fill(later, float("-inf")).softmax(-1).to(v.dtype) @ v


def turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions: each pair of neighbours turned by an angle that grows with the place."""
    pairs = x.unflatten(-1, (-1, 2))
    one, other = pairs[..., 0], pairs[..., 1]
    both = torch.stack((one * cos - other * sin, one * sin + other * cos), dim=-1)
    return both.flatten(-2).to(x.dtype)


class House(nn.Module):
    """Tokens (batch by length) to scores of the next token (batch by length by vocabulary)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.vocabulary, shape.width)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = nn.RMSNorm(shape.width, shape.epsilon)
        half = shape.width // shape.heads // 2
        rates = shape.theta ** (-torch.arange(half, dtype=torch.float32) / half)
        angles = torch.outer(torch.arange(shape.context, dtype=torch.float32), rates)
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                scale = 0.02 if name.startswith("embedding") else weight.shape[1] ** -0.5
                if name.endswith(("out.weight", "down.weight")):
                    scale /= (2 * shape.layers) ** 0.5
                nn.init.normal_(weight, std=scale)

    def forward(self, tokens: Tensor) -> Tensor:
        length = tokens.shape[1]
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x, self.cos[:length], self.sin[:length])
        return self.norm(x)

    def scores(self, hidden: Tensor) -> Tensor:
        return functional.linear(hidden, self.embedding.weight)

    def parameters_count(self) -> int:
        return sum(weight.numel() for weight in self.parameters())
