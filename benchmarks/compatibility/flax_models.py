"""Small models in Flax (https://flax.readthedocs.io) of the architectures that are in use, with random weights.

Flax has layers and no models of its own; these are put together of them, one class for each row of the table.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx


class Perceptron(nnx.Module):
    """Dense layers with normalisation and dropout."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.first, self.second = nnx.Linear(16, 64, rngs=rngs), nnx.Linear(64, 64, rngs=rngs)
        self.norm, self.dropout = nnx.BatchNorm(64, rngs=rngs), nnx.Dropout(0.5, rngs=rngs)
        self.last = nnx.Linear(64, 10, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        x = nnx.relu(self.norm(self.first(x)))
        return nnx.log_softmax(self.last(self.dropout(nnx.silu(self.second(x)))))


class _Residual(nnx.Module):
    def __init__(self, inner: int, outer: int, stride: int, rngs: nnx.Rngs) -> None:
        self.first = nnx.Conv(inner, outer, (3, 3), strides=stride, use_bias=False, rngs=rngs)
        self.second = nnx.Conv(outer, outer, (3, 3), use_bias=False, rngs=rngs)
        self.norms = nnx.List([nnx.BatchNorm(outer, rngs=rngs) for _ in range(2)])
        self.short = nnx.Conv(inner, outer, (1, 1), strides=stride, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        inner = nnx.relu(self.norms[0](self.first(x)))
        return nnx.relu(self.norms[1](self.second(inner)) + self.short(x))


class ResidualNet(nnx.Module):
    """Convolutions with short cuts, as https://arxiv.org/abs/1512.03385 has them."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.stem = nnx.Conv(3, 16, (7, 7), strides=2, rngs=rngs)
        sides = ((16, 16, 1), (16, 32, 2), (32, 64, 2))
        self.blocks = nnx.List([_Residual(*side, rngs=rngs) for side in sides])
        self.last = nnx.Linear(64, 10, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        x = nnx.max_pool(self.stem(x), (3, 3), (2, 2), "SAME")
        for block in self.blocks:
            x = block(x)
        return self.last(x.mean((1, 2)))


class SeparableNet(nnx.Module):
    """Depth-wise convolutions, as https://arxiv.org/abs/1704.04861 has them."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.deep = nnx.Conv(8, 8, (3, 3), feature_group_count=8, rngs=rngs)
        self.stem, self.wide = nnx.Conv(3, 8, (3, 3), rngs=rngs), nnx.Conv(8, 32, (1, 1), rngs=rngs)
        self.norm, self.last = nnx.GroupNorm(32, num_groups=4, rngs=rngs), nnx.Linear(32, 10, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        x = nnx.avg_pool(nnx.hard_swish(self.deep(self.stem(x))), (2, 2), (2, 2))
        return self.last(nnx.relu6(self.norm(self.wide(x))).mean((1, 2)))


class _Attending(nnx.Module):
    def __init__(self, width: int, rngs: nnx.Rngs) -> None:
        self.attention = nnx.MultiHeadAttention(4, width, decode=False, rngs=rngs)
        self.norms = nnx.List([nnx.LayerNorm(width, rngs=rngs) for _ in range(2)])
        self.wide, self.narrow = nnx.Linear(width, 2 * width, rngs=rngs), nnx.Linear(2 * width, width, rngs=rngs)

    def __call__(self, x: Any, mask: Any = None) -> Any:
        x = x + self.attention(self.norms[0](x), mask=mask)
        return x + self.narrow(nnx.gelu(self.wide(self.norms[1](x))))


class VisionTransformer(nnx.Module):
    """Patches of an image that attend to each other, as https://arxiv.org/abs/2010.11929 has them."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.patches = nnx.Conv(3, 48, (8, 8), strides=8, padding="VALID", rngs=rngs)
        self.places = nnx.Param(jax.random.normal(rngs.params(), (1, 16, 48)) * 0.02)
        self.blocks = nnx.List([_Attending(48, rngs) for _ in range(2)])
        self.norm, self.last = nnx.LayerNorm(48, rngs=rngs), nnx.Linear(48, 10, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        x = self.patches(x).reshape(x.shape[0], 16, 48) + self.places[...]
        for block in self.blocks:
            x = block(x)
        return self.last(self.norm(x).mean(1))


class LanguageModel(nnx.Module):
    """A decoder of tokens that sees what was before each, with one table for both ends."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.table, self.places = nnx.Embed(1000, 64, rngs=rngs), nnx.Embed(128, 64, rngs=rngs)
        self.blocks = nnx.List([_Attending(64, rngs) for _ in range(2)])
        self.norm = nnx.RMSNorm(64, rngs=rngs)

    def __call__(self, tokens: Any) -> Any:
        x = self.table(tokens) + self.places(jnp.arange(tokens.shape[1]))
        for block in self.blocks:
            x = block(x, nnx.make_causal_mask(tokens))
        return self.table.attend(self.norm(x))


class Mixer(nnx.Module):
    """Dense layers over places and over channels in turn, as https://arxiv.org/abs/2105.01601 has them."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.along, self.across = nnx.Linear(16, 16, rngs=rngs), nnx.Linear(24, 24, rngs=rngs)
        self.norms = nnx.List([nnx.LayerNorm(24, rngs=rngs) for _ in range(2)])
        self.last = nnx.Linear(24, 10, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        x = x + nnx.gelu(self.along(self.norms[0](x).swapaxes(1, 2))).swapaxes(1, 2)
        x = x + nnx.gelu(self.across(self.norms[1](x)))
        return self.last(x.mean(1))


class Recurrent(nnx.Module):
    """LSTM cells, the steps of a sequence after one another."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.cell, self.last = nnx.OptimizedLSTMCell(8, 16, rngs=rngs), nnx.Linear(16, 3, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        nothing = jnp.zeros((x.shape[0], 16))
        _, steps = jax.lax.scan(self.cell, (nothing, nothing), x.swapaxes(0, 1))
        return self.last(steps[-1])
