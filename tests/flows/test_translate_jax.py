"""What ``jax.export`` wrote of functions, as real children translate it, and once through the whole platform."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.labs import in_lab
from tests.platforms import Site
from tests.translations import Translations, translating, with_another_operator, with_another_weight

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("jax")]

MAKE_MODELS = """\
import sys
from pathlib import Path
import jax, jax.numpy as jnp, numpy
from flax import nnx
folder, rngs = Path(sys.argv[1]), nnx.Rngs(7)

class Image(nnx.Module):
    def __init__(self):
        self.first, self.norm = nnx.Conv(1, 8, (3, 3), strides=2, rngs=rngs), nnx.BatchNorm(8, rngs=rngs)
        self.second = nnx.Conv(8, 8, (3, 3), feature_group_count=8, rngs=rngs)
        self.dropout, self.last = nnx.Dropout(0.5, rngs=rngs), nnx.Linear(8, 10, rngs=rngs)
    def __call__(self, x):
        x = nnx.avg_pool(nnx.relu(self.norm(self.first(x))), (2, 2), (2, 2))
        x = nnx.max_pool(nnx.gelu(self.second(x)), (2, 2), (2, 2), "SAME")
        return nnx.softmax(self.last(self.dropout(x.mean((1, 2)))))

class Block(nnx.Module):
    def __init__(self):
        self.table, self.norm = nnx.Embed(50, 16, rngs=rngs), nnx.LayerNorm(16, rngs=rngs)
        self.attention = nnx.MultiHeadAttention(2, 16, decode=False, rngs=rngs)
        self.wide, self.narrow = nnx.Linear(16, 32, rngs=rngs), nnx.Linear(32, 16, rngs=rngs)
    def __call__(self, tokens):
        x = self.table(tokens)
        x = x + self.attention(self.norm(x), mask=nnx.make_causal_mask(tokens))
        return self.table.attend(x + self.narrow(nnx.gelu(self.wide(x), approximate=False)))

class Steps(nnx.Module):
    def __init__(self):
        self.cell = nnx.GRUCell(4, 6, rngs=rngs)
    def __call__(self, x):
        start = jnp.zeros((x.shape[0], 6))
        return jax.lax.scan(lambda carry, row: self.cell(carry, row), start, x.transpose(1, 0, 2))[0]

def save(name, model, *shapes, platforms=("cpu",), **named):
    if isinstance(model, nnx.Module):
        model.eval()
    scope = jax.export.SymbolicScope()
    made = lambda shape, dtype: jax.ShapeDtypeStruct(jax.export.symbolic_shape(shape, scope=scope), dtype)
    arguments = [made(*shape) for shape in shapes]
    keywords = {key: made(*shape) for key, shape in named.items()}
    exported = jax.export.export(jax.jit(lambda *a, **k: model(*a, **k)), platforms=platforms)(*arguments, **keywords)
    (folder / name).mkdir()
    (folder / name / "model.bin").write_bytes(exported.serialize())

mlp = nnx.Sequential(nnx.Linear(4, 8, rngs=rngs), nnx.relu, nnx.Linear(8, 3, rngs=rngs))
save("mlp", mlp, ("b, 4", "float32"))
rows = numpy.random.default_rng(3).standard_normal((30, 4)).astype("float32")
numpy.savez(folder / "mlp" / "samples.npz", inputs=rows, labels=numpy.asarray(mlp(rows)).argmax(1))
save("image", Image(), ("b, 28, 28, 1", "float32"))
save("block", Block(), ("b, s", "int32"))
save("steps", Steps(), ("b, 5, 4", "float32"))
pair = {"left": ("b, 3", "float32"), "right": ("b, 3", "float32")}
save("named", lambda left, right: {"sum": left + right, "more": (left * 2, right > 0)}, **pair)
save("fixed", mlp, ("2, 4", "float32"))
by_platform = lambda x: jax.lax.platform_dependent(x, cpu=lambda x: x + 1, cuda=lambda x: x - 1)
save("platforms", by_platform, ("b, 4", "float32"), platforms=("cuda", "cpu"))
save("inverse", jnp.linalg.inv, ("4, 4", "float32"))
save("elsewhere", mlp, ("b, 4", "float32"), platforms=("tpu",))
"""
GOOD = ("mlp", "image", "block", "steps", "named", "fixed", "platforms")


@pytest.fixture(scope="module")
def translations(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Translations]:
    """Functions exported by JAX in a process of its own, and their translations."""
    models = tmp_path_factory.mktemp("jax-models")
    in_lab(MAKE_MODELS, models)
    with translating("jax", models, tmp_path_factory.mktemp("targets"), GOOD) as found:
        yield found


@pytest.mark.parametrize("name", GOOD)
def test_a_function_computes_the_same_in_onnx(translations: Translations, name: str) -> None:
    found = translations.report(name)
    assert found["verdict"] in ("equal", "within-tolerance")
    assert (found["framework"], found["format"], found["opset"], found["skipped"]) == ("jax", "stablehlo", 18, [])
    assert set(found["versions"]) >= {"jax", "jaxlib", "onnxruntime"}


def test_symbolic_sizes_stay_free_and_keep_their_names(translations: Translations) -> None:
    found = translations.report("block")
    assert found["inputs"] == [{"name": "input_0", "dtype": "int32", "shape": ["b", "s"]}]
    assert found["outputs"] == [{"name": "output_0", "dtype": "float", "shape": ["b", "s", 50]}]
    assert found["cases"] == 7
    assert translations.report("fixed")["inputs"][0]["shape"] == [2, 4]


def test_keyword_arguments_and_dictionaries_give_names(translations: Translations) -> None:
    found = translations.report("named")
    assert [each["name"] for each in found["inputs"]] == ["left", "right"]
    assert [(each["name"], each["dtype"]) for each in found["outputs"]] == [
        ("more", "float"), ("more_1", "bool"), ("sum", "float"),
    ]  # fmt: skip


def test_samples_give_the_accuracy_before_and_after(translations: Translations) -> None:
    assert translations.report("mlp")["metric"] == {"name": "accuracy", "rows": 30, "source": 1, "onnx": 1}


def test_a_loop_becomes_one_of_onnx(translations: Translations) -> None:
    assert "Loop" in {node.op_type for node in translations.onnx("steps").graph.node}


def test_a_changed_weight_or_operator_is_found(translations: Translations, tmp_path: Path) -> None:
    assert translations.measured("block", with_another_weight, tmp_path / "weight")["verdict"] == "not-equal"
    changed = with_another_operator("Max", "Min")
    assert translations.measured("mlp", changed, tmp_path / "operator")["verdict"] == "not-equal"


def test_an_operation_that_is_not_translated_is_named(translations: Translations, tmp_path: Path) -> None:
    assert "custom_call lapack_" in translations.refused(translations.models / "inverse", tmp_path)


def test_a_function_for_another_platform_is_refused_with_the_way_out(
    translations: Translations, tmp_path: Path
) -> None:
    refusal = translations.refused(translations.models / "elsewhere", tmp_path)
    assert "it was exported for tpu" in refusal
    assert "platforms=('cpu',)" in refusal


def test_a_file_that_is_cut_off_or_damaged_is_refused(translations: Translations, tmp_path: Path) -> None:
    source = translations.copy("fixed", tmp_path / "source")
    path = source / "model.bin"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert "cannot be read" in translations.refused(source, tmp_path / "one")
    middle = whole.index(b"ML\xefR") + 40
    path.write_bytes(whole[:middle] + bytes(64) + whole[middle + 64 :])
    assert translations.refused(source, tmp_path / "two")


def test_an_exported_function_goes_through_the_platform(translations: Translations, site: Site, tmp_path: Path) -> None:
    asset = site.ok("model", "import", str(translations.models / "mlp"), "--name", "exported", "--wait")
    shown = json.loads(site.ok("show", asset, "--json"))
    assert shown["framework"] == "jax"
    site.ok("verify", shown["translation"], "--level", "equivalence")
    site.ok("pull", shown["translation"], str(tmp_path / "pulled"))
    assert (tmp_path / "pulled" / "model.onnx").is_file()
