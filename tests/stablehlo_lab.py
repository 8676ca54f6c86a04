"""Small JAX functions, each for some of StableHLO's operations, exported and translated. Run as a script.

    python -m tests.stablehlo_lab FOLDER

It prints what became of each, and which operations were in it, as JSON.
"""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy
from jax import lax

from functions._domain.errors import RejectedContent
from functions._domain.formats import ModelFile, detect
from functions._translators import jax as translator
from functions._translators.child import Options

FLOAT, INT, BOOL = "float32", "int32", "bool"
CASES: dict[str, tuple[Callable[..., Any], tuple[tuple[str, str], ...]]] = {}


def case(name: str, function: Callable[..., Any], *shapes: str | tuple[str, str]) -> None:
    """A function and the shapes of its arguments: sizes that are letters are free."""
    described = tuple((shape, FLOAT) if isinstance(shape, str) else shape for shape in shapes or ("b, 4",))
    CASES[name] = (function, described)


def weights(*shape: int) -> Any:
    return numpy.random.default_rng(7).standard_normal(shape).astype("float32")


# ---- each number by itself ----
case(
    "functions",
    lambda x: [
        f(x)
        for f in (
            jnp.abs,
            jnp.ceil,
            jnp.cos,
            jnp.exp,
            jnp.floor,
            lax.logistic,
            jnp.negative,
            jnp.round,
            jnp.sign,
            jnp.sin,
            jnp.tan,
            jnp.tanh,
            jnp.cbrt,
            lax.optimization_barrier,
        )
    ],
)
case("positive", lambda x: [f(jnp.abs(x) + 0.1) for f in (jnp.log, jnp.sqrt, lax.rsqrt)])
case("near zero", lambda x: [f(x * 1e-6) for f in (jnp.log1p, jnp.expm1)] + [jnp.expm1(x * 3), jnp.log1p(jnp.abs(x))])
case("halves", lambda x: lax.round(x * 2, lax.RoundingMethod.AWAY_FROM_ZERO))
case(
    "pairs",
    lambda x, y: (
        x + y,
        x - y,
        x * y,
        x / y,
        jnp.maximum(x, y),
        jnp.minimum(x, y),
        lax.rem(x, y),
        jnp.atan2(y, x),
        jnp.abs(x) ** y,
    ),
    "b, 4",
    "b, 4",
)
case("atan2 on the axes", lambda x: jnp.atan2(jnp.round(x), jnp.round(x[:, ::-1])))
case(
    "whole numbers",
    lambda x, y: (x + y, x * y, lax.div(x, y * 2 + 1), lax.rem(x, 3), jnp.maximum(x, y), -x, lax.sign(x - 1)),
    ("b, 4", INT),
    ("b, 4", INT),
)
case("bits", lambda x, y: (x & y, x | y, x ^ y, ~x), ("b, 4", INT), ("b, 4", INT))
case("truth", lambda x, y: (x & y, x | y, x ^ y, ~x), ("b, 4", BOOL), ("b, 4", BOOL))
case(
    "comparisons",
    lambda x, y: (x == y, x != y, x < y, x <= y, x > y, x >= y, jnp.isfinite(x / jnp.round(y))),
    "b, 4",
    "b, 4",
)
case(
    "choices",
    lambda x, y: (
        jnp.where(x > y, x, y),
        lax.select(jnp.sum(x) > 0, x, y),
        jnp.clip(x, -0.5, 0.5),
        lax.clamp(jnp.minimum(x, y), x, y),
    ),
    "b, 4",
    "b, 4",
)
case("conversions", lambda x: [(x * 3).astype(dtype) for dtype in ("int32", "float16", "float64", "bool")])
case("error function", lambda x: (jax.scipy.special.erf(x), jax.nn.gelu(x, approximate=False)))
case("by their definition", lambda x: (jnp.arcsinh(x), jnp.sinh(x), jnp.arccos(jnp.tanh(x)), jax.scipy.special.erfc(x)))
case(
    "activations",
    lambda x: [
        f(x)
        for f in (
            jax.nn.relu,
            jax.nn.silu,
            jax.nn.gelu,
            jax.nn.softplus,
            jax.nn.elu,
            jax.nn.leaky_relu,
            jax.nn.softmax,
            jax.nn.log_softmax,
            jax.nn.sigmoid,
            jax.nn.hard_swish,
            jax.nn.mish,
        )
    ],
)

# ---- places and shapes ----
case(
    "broadcast",
    lambda x: (
        x[:, None] + x[None],
        jnp.broadcast_to(x, (3, *x.shape)),
        jnp.zeros_like(x) + 1,
        lax.broadcast_in_dim(jnp.ones((3, 2)), (2, 5, 3), (2, 0)),
    ),
)
case("fixed broadcast", lambda x: (x[:, None] + x[None], jnp.broadcast_to(x, (3, *x.shape))), "3, 4")
case("reshape", lambda x: (x.reshape(-1), x.reshape(x.shape[0], 2, 2), x.reshape(2, -1), x.T, x.transpose(1, 0)))
case(
    "join and part",
    lambda x: (
        jnp.concatenate([x, 2 * x]),
        jnp.concatenate([x, x], 1),
        jnp.stack([x, x], 1),
        *jnp.split(x, 2, 1),
        x[:, 1:3],
        x[:, ::2],
        x[::-1],
        jnp.flip(x, (0, 1)),
        x[-1],
    ),
)
case("fixed parts", lambda x: (x[1:, ::2], x[::-1], x[2], lax.slice(x, (0, 1), (4, 3), (2, 1))), "4, 5")
case(
    "moving part",
    lambda x, i: (lax.dynamic_slice(x, (i, i), (2, 3)), lax.dynamic_index_in_dim(x, i)),
    "5, 6",
    ("", INT),
)
case("moving part of free size", lambda x, i: lax.dynamic_slice(x, (0, i), (x.shape[0], 3)), "b, 6", ("", INT))
case("update", lambda x, i: (lax.dynamic_update_slice(x, x[:2, :3] * 9, (i, i)), x.at[1].set(0.5)), "5, 6", ("", INT))
case(
    "write",
    lambda x, i: (x.at[i].set(0.5), x.at[:, i].add(1.0), x.at[i, i + 1].max(0.1), x.at[i + 3].mul(x[:3])),
    "5, 6",
    ("3", INT),
)
case("write at known places", lambda x: (x.at[1].set(0.5), x.at[:, 1:3].set(2.0), x.at[jnp.array([0, 2]), 1].add(1.0)))
case("write into rows", lambda x, y: x.at[jnp.array([0, 0, 2])].add(y), "4, 5", "3, 5")
case("free update", lambda x, i: lax.dynamic_update_slice(x, x[:, :2], (0, i)), "b, 6", ("", INT))
case(
    "pad",
    lambda x: (
        jnp.pad(x, ((0, 0), (1, 2))),
        jnp.pad(x, ((1, 0), (0, 0)), constant_values=3),
        lax.pad(x, 2.0, ((0, 0, 0), (1, -1, 2))),
        jnp.pad(x, 1, mode="edge"),
    ),
)
case("pad by free sizes", lambda x: jnp.pad(x, ((0, x.shape[0]), (0, 0))))
case(
    "count",
    lambda x: (
        jnp.arange(x.shape[0]),
        jnp.arange(5) + x[:, :1],
        lax.broadcasted_iota(INT, x.shape, 1),
        jnp.tril(jnp.ones((4, 4))) + x[:1],
        jnp.eye(x.shape[0]),
    ),
)
case("free sizes as numbers", lambda x: x / x.shape[0] + (2 * x.shape[0] + 1) // 2)

# ---- looking up ----
case("table", lambda i: jnp.take(weights(11, 3), i, axis=0), ("b, s", INT))
case("table beyond its end", lambda i: jnp.asarray(weights(3, 4)).at[i - 1].get(mode="clip"), ("b", INT))
case("columns", lambda x: (x[:, jnp.array([0, 2])], jnp.take(x, jnp.array([[1, 0], [3, 3]]), axis=1)))
case("middle", lambda x, i: jnp.take(x, i, axis=1), "b, 5, 3", ("2, 2", INT))
case("several indices", lambda x, i: (x[i, i + 1], x[:, i, i]), "4, 5, 6", ("3", INT))
case(
    "along an axis",
    lambda x: (jnp.take_along_axis(x, jnp.argsort(x, 1), 1), jnp.take_along_axis(x, jnp.argsort(x, 0), 0)),
    "5, 4",
)
case("of each row", jax.vmap(lambda row: row[jnp.argmax(row)] * row))
case("rows of each", lambda x, i: jax.vmap(lambda rows, place: rows[place])(x, i), "b, 5, 3", ("b, 2", INT))
case("one row", lambda x, i: x[i], "5, 4", ("", INT))
case("one-hot", lambda i: jax.nn.one_hot(i, 5), ("b", INT))

# ---- sums of products ----
case("dense", lambda x: x @ weights(4, 3) + weights(3))
case("matrix and vector", lambda x: (x @ weights(4), weights(3, 4) @ x[0], jnp.dot(x[0], x[0]), x @ x.T))
case(
    "heads",
    lambda x: (
        jnp.einsum("bsi,ihd->bshd", x, weights(6, 2, 3)),
        jnp.einsum("bshd,hdo->bso", x.reshape(*x.shape[:2], 2, 3), weights(2, 3, 5)),
    ),
    "b, s, 6",
)
case("attention", lambda q, k, v: jax.nn.dot_product_attention(q, k, v, is_causal=True), *["b, s, 2, 4"] * 3)
case(
    "batches",
    lambda x, y: (jnp.matmul(x, y), jnp.einsum("bij,bkj->bik", x, x), jnp.einsum("bij,bjk->kb", x, y)),
    "b, 3, 4",
    "b, 4, 5",
)
case(
    "mixed",
    lambda x: lax.dot_general(
        x.astype("float16"), weights(4, 3).astype("float16"), (((1,), (0,)), ((), ())), preferred_element_type="float32"
    ),
)
case("whole products", lambda x: x @ jnp.arange(12).reshape(4, 3).astype(INT), ("b, 4", INT))


def convolved(**settings: Any) -> Callable[[Any, Any], Any]:
    numbers = settings.pop("numbers", ("NHWC", "HWIO", "NHWC"))
    strides, padding = settings.pop("strides", (1, 1)), settings.pop("padding", "SAME")
    return lambda x, w: lax.conv_general_dilated(x, w, strides, padding, dimension_numbers=numbers, **settings)


case("convolution", convolved(), "b, 8, 8, 3", "3, 3, 3, 4")
case("strided", convolved(strides=(2, 1), padding="VALID"), "b, 8, 8, 3", "3, 2, 3, 4")
case("channels first", convolved(numbers=("NCHW", "OIHW", "NCHW")), "b, 3, 8, 8", "4, 3, 3, 3")
case("dilated", convolved(rhs_dilation=(2, 2), padding=((3, 1), (0, 2))), "b, 8, 8, 3", "3, 3, 3, 4")
case("cut off", convolved(padding=((-1, 1), (2, -2))), "b, 8, 8, 3", "3, 3, 3, 4")
case("depthwise", convolved(feature_group_count=3), "b, 8, 8, 3", "3, 3, 1, 6")
case("spread", lambda x: lax.conv_transpose(x, weights(3, 3, 3, 4), (2, 2), "SAME"), "b, 5, 5, 3")
case(
    "turned",
    lambda x: lax.conv_transpose(x, weights(3, 3, 3, 4), (2, 2), "VALID", transpose_kernel=False),
    "b, 5, 5, 3",
)
case("line", convolved(numbers=("NWC", "WIO", "NWC"), strides=(1,)), "b, 9, 3", "3, 3, 4")
case("volume", convolved(numbers=("NDHWC", "DHWIO", "NDHWC"), strides=(1, 1, 1)), "b, 5, 5, 5, 2", "2, 2, 2, 2, 3")
case("images of any size", lambda x: convolved(padding=((1, 1), (1, 1)))(x, weights(3, 3, 3, 4)), "b, h, w, 3")
case("images of any size, halved", lambda x: convolved(strides=(2, 2))(x, weights(3, 3, 3, 4)), "b, h, w, 3")

# ---- fewer numbers ----
case(
    "reductions",
    lambda x: (
        x.sum(1),
        x.sum(),
        x.mean(0),
        x.max(1),
        x.min((0, 1)),
        x.prod(1),
        x.var(1),
        x.std(),
        (x > 0).any(1),
        (x > 0).all(),
        jax.nn.logsumexp(x, 1),
    ),
)
case("whole reductions", lambda x: (x.sum(1), x.max(1), x.min(0)), ("b, 4", INT))
case("with a beginning", lambda x: lax.reduce(x, 2.0, lax.add, (1,)))
case("places", lambda x: (x.argmax(1), x.argmin(0), x.argmax(), jnp.argmax(jnp.round(x), 1)))
case(
    "largest of windows",
    lambda x: (
        lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "SAME"),
        lax.reduce_window(x, jnp.inf, lax.min, (1, 3, 3, 1), (1, 1, 1, 1), "VALID"),
    ),
    "b, 7, 7, 3",
)
case(
    "sums of windows",
    lambda x: (
        lax.reduce_window(x, 0.0, lax.add, (1, 2, 2, 1), (1, 2, 2, 1), "SAME"),
        lax.reduce_window(x, 0.0, lax.add, (1, 1, 3, 1), (1, 1, 1, 1), "SAME"),
    ),
    "b, 7, 7, 3",
)
case("windows of a line", lambda x: lax.reduce_window(x, -jnp.inf, lax.max, (1, 3), (1, 2), "VALID"), "b, 9")
case("running sums", lambda x: (jnp.cumsum(x, 1), lax.cumsum(x, 1, reverse=True), lax.cummax(x, 1)))
case(
    "order",
    lambda x: (
        jnp.sort(x, 1),
        jnp.argsort(x, 1),
        jnp.sort(x, 0),
        jnp.sort(x, 1, descending=True),
        lax.sort((x, x * 2), num_keys=1),
        lax.top_k(x, 2),
        jnp.median(x, 1),
    ),
)

# ---- control ----
case(
    "scan",
    lambda x: lax.scan(lambda c, row: (jnp.tanh(c + row), c * 2), jnp.zeros((x.shape[0], 4)), x.transpose(1, 0, 2)),
    "b, 5, 4",
)
case("loop", lambda x: lax.fori_loop(0, 3, lambda i, c: c * 0.5 + i + x, x))
case("open loop", lambda x: lax.while_loop(lambda c: jnp.abs(c).max() > 0.1, lambda c: c * 0.5, x))
case("loop over rows", lambda x: lax.map(lambda row: row / (1 + jnp.abs(row).sum()), x), "5, 4")
case("idle random numbers", lambda x: (jax.random.split(jax.random.key(0)), x * 2)[1])
case("loop with weights", lambda x: lax.fori_loop(0, 3, lambda i, c: jnp.tanh(c @ weights(4, 4)), x))
case("branch", lambda x: lax.cond(x.sum() > 0, lambda v: v * 2, lambda v: v - 1, x))
case(
    "branches",
    lambda x, i: lax.switch(i, [lambda v: v, lambda v: v * 2, lambda v: v.sum() + v * 0], x),
    "b, 4",
    ("", INT),
)
case("nested", lambda x: {"a": [x, (x * 2,)], "b": x + 1})
case("never used", lambda x, y: x * 2, "b, 4", "b, 3")
case("constant alone", lambda x: (x, jnp.arange(3.0)))


# ---- what is refused ----
def elsewhere(x: Any) -> Any:
    """A call of code that is not in the program."""
    return jax.ffi.ffi_call("house", jax.ShapeDtypeStruct(x.shape, x.dtype))(x)


REFUSED: dict[str, tuple[Callable[..., Any], tuple[tuple[str, str], ...]]] = {
    "random": (lambda x: x + jax.random.normal(jax.random.key(0), (4,)), (("b, 4", FLOAT),)),
    "code elsewhere": (lambda x: elsewhere(x) + x, (("3, 4", FLOAT),)),
    "effects": (lambda x: (jax.ffi.ffi_call("house", (), has_side_effect=True)(x), x)[1], (("3, 4", FLOAT),)),
    "inverse": (jnp.linalg.inv, (("4, 4", FLOAT),)),
    "spectrum": (lambda x: jnp.abs(jnp.fft.fft(x)), (("3, 4", FLOAT),)),
    "complex": (lambda x: x * 2, (("3, 4", "complex64"),)),
    "short floats": (lambda x: x.astype("bfloat16").sum(), (("3, 4", FLOAT),)),
    "parts of rows": (lambda x, i: x.at[i, :2].set(1.0), (("5, 4", FLOAT), ("3", INT))),
    "two keys": (lambda x: lax.sort((x, x + 1), num_keys=2), (("3, 4", FLOAT),)),
    "own reduction": (lambda x: lax.reduce(x, 1.0, lambda a, b: a * b + 1, (1,)), (("3, 4", FLOAT),)),
}  # fmt: skip


def exported(function: Callable[..., Any], shapes: tuple[tuple[str, str], ...]) -> bytes:
    """What ``jax.export`` writes of a function."""
    scope = jax.export.SymbolicScope()
    arguments = [
        jax.ShapeDtypeStruct(jax.export.symbolic_shape(shape, scope=scope) if shape else (), dtype)
        for shape, dtype in shapes
    ]
    unsafe = [jax.export.DisabledSafetyCheck.custom_call("house")]
    return bytes(jax.export.export(jax.jit(function), disabled_checks=unsafe)(*arguments).serialize())


def translated(folder: Path, name: str, cases: dict[str, Any]) -> dict[str, Any]:
    """The report of one case, or why it was refused."""
    source, target = folder / name, folder / f"{name} in ONNX"
    source.mkdir()
    target.mkdir()
    try:
        (source / "model").write_bytes(exported(*cases[name]))
        return dict(translator.JAX.translate(source, target, Options(seed=3)))
    except RejectedContent as error:
        return {"refused": str(error)}
    except Exception as error:  # noqa: BLE001  it is what the test looks at
        return {"failed": repr(error)[:2000]}


def operations(path: Path) -> Iterator[str]:
    program = translator._program(jax.export.deserialize(bytearray(path.read_bytes())))
    yield from {operation.name for block in program.values() for operation in block.everything()}


def main(folder: Path) -> None:
    """Translate all of them and print what became of them."""
    jax.config.update("jax_enable_x64", False)
    reports = {}
    for name, cases in [*((name, CASES) for name in CASES), *((name, REFUSED) for name in REFUSED)]:
        jax.config.update("jax_enable_x64", name == "conversions")
        reports[name] = translated(folder, name, cases)
        path = folder / name / "model"
        if name in CASES and path.exists():
            reports[name]["operations"] = sorted(operations(path))
            assert detect([ModelFile("x", path.stat().st_size, lambda path=path: path.open("rb"))]).framework == "jax"
    sys.stdout.write(json.dumps(reports) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
