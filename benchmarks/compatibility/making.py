"""Makes one architecture's model with random weights, and writes it in its framework's own format.

    python -m benchmarks.compatibility.making LIBRARY NAME DATA FOLDER

A process of its own for each, since one process does not import two frameworks.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.compatibility.architectures import ARCHITECTURES, LABELS

Names = dict[str, Any]


def main() -> int:
    """Make the model that the command line names."""
    *key, folder = sys.argv[1:]
    wanted = next(one for one in (*ARCHITECTURES, *LABELS) if one.key == tuple(key))
    names = MAKERS[wanted.library](Path(folder))
    eval(wanted.code, {**names, "data": wanted.data})  # our own table's code
    return 0


_ASLEEP = 1e-2
"""What answers vary by, as a share of their size, below which they say next to nothing of what went in."""


def _wake(model: Any, inputs: Any) -> None:
    """Has a model that was never trained say something of its inputs, where it does not.

    What begins as zeros or ones, such as the last layer of a vision transformer, makes answers that are all the same;
    and without the statistics of its own inputs, normalisation may let them vanish layer by layer.
    """
    import torch

    norms = [module for module in model.modules() if isinstance(module, torch.nn.modules.batchnorm._BatchNorm)]
    with torch.no_grad():
        answers = model.eval()(inputs)
        if answers.std(0).mean() > _ASLEEP * answers.abs().mean():
            return
        for parameter in model.parameters():
            if parameter.numel() > 1 and not parameter.std():
                parameter.add_(torch.randn_like(parameter) * 0.05)
        for norm in norms:
            norm.momentum = 1.0
        model.train()(inputs)


def _torch(folder: Path) -> Names:
    import torch

    torch.manual_seed(0)

    def save(model: Any, example: Any, shapes: Any) -> None:
        program = torch.export.export(model.eval(), (example,), dynamic_shapes=(shapes,))
        torch.export.save(program, folder / "model.pt2")

    def image(model: Any, size: int) -> None:
        _wake(model, torch.randn(4, 3, size, size))
        save(model, torch.randn(2, 3, size, size), {0: torch.export.Dim("batch", min=1, max=64)})

    def tokens(model: Any) -> None:
        wrapped = _Logits(model)
        _wake(wrapped, torch.randint(0, 1000, (4, 16)))
        save(wrapped, torch.randint(0, 1000, (2, 16)), {0: torch.export.Dim("batch", min=1, max=64)})

    class _Logits(torch.nn.Module):
        def __init__(self, model: Any) -> None:
            super().__init__()
            model.config.use_cache = False
            self.model = model

        def forward(self, ids: Any) -> Any:
            return self.model(input_ids=ids).logits

    return {"image": image, "tokens": tokens}


def _torchvision(folder: Path) -> Names:
    import torchvision

    return {**_torch(folder), "torchvision": torchvision}


def _timm(folder: Path) -> Names:
    import timm

    return {**_torch(folder), "timm": timm}


def _transformers(folder: Path) -> Names:
    import transformers

    return {**_torch(folder), "transformers": transformers}


def _keras(folder: Path) -> Names:
    import keras

    keras.utils.set_random_seed(0)

    def applied(make: Callable[..., Any], size: int, **settings: Any) -> None:
        shape = (size, size, 3)
        model = make(weights=None, input_shape=shape, classes=10, classifier_activation=None, **settings)
        inputs = keras.random.normal((4, *shape))
        answers = keras.ops.convert_to_numpy(model(inputs))
        if answers.std(0).mean() <= _ASLEEP * abs(answers).mean():  # as _wake says
            for layer in model._flatten_layers():
                if isinstance(layer, keras.layers.BatchNormalization):
                    layer.momentum = 0.0
            model(inputs, training=True)
        model.save(folder / "model.keras")

    return {"keras": keras, "applied": applied}


def _tensorflow(folder: Path) -> Names:
    import keras

    keras.utils.set_random_seed(0)

    def module(shape: Any, *layers: Any) -> None:
        inputs = keras.Input(shape if isinstance(shape, tuple) else (shape,))
        keras.Sequential([inputs, *layers]).export(folder / "model", format="tf_saved_model", verbose=False)

    return {"keras": keras, "module": module}


def _sklearn(folder: Path) -> Names:
    import numpy
    import sklearn.datasets
    import skops.io
    from sklearn import (
        decomposition,
        ensemble,
        linear_model,
        model_selection,
        naive_bayes,
        neighbors,
        neural_network,
        pipeline,
        preprocessing,
        svm,
        tree,
    )

    def fitted(estimator: Any, data: str) -> None:
        rows, target = getattr(sklearn.datasets, f"load_{data}")(return_X_y=True)
        classes = target if data != "diabetes" else None
        split = model_selection.train_test_split(rows, target, random_state=0, stratify=classes)
        train, test, answers, wanted = split
        skops.io.dump(estimator.fit(train, answers), folder / "model.skops")
        numpy.savez(folder / "samples.npz", inputs=test.astype("float32"), labels=wanted)

    modules = [decomposition, ensemble, linear_model, naive_bayes, neighbors]
    modules += [neural_network, pipeline, preprocessing, svm, tree]
    return {module.__name__.rpartition(".")[2]: module for module in modules} | {"fitted": fitted}


def _digits(classes: int) -> tuple[Any, Any]:
    """Rows and labels for so many classes; for none, a number to predict."""
    import numpy

    generator = numpy.random.default_rng(0)
    rows = generator.normal(size=(800, 12)).astype("float32")
    score = rows @ generator.normal(size=12)
    if not classes:
        return rows, score
    return rows, numpy.digitize(score, numpy.quantile(score, numpy.linspace(0, 1, classes + 1)[1:-1]))


def _xgboost(folder: Path) -> Names:
    import xgboost

    def boosted(settings: dict[str, object], classes: int) -> None:
        rows, labels = _digits(classes)
        booster = xgboost.train({**settings, "seed": 0, "max_depth": 4}, xgboost.DMatrix(rows, labels), 20)
        booster.save_model(folder / "model.json")

    return {"boosted": boosted}


def _lightgbm(folder: Path) -> Names:
    import lightgbm

    def boosted(settings: dict[str, object], classes: int) -> None:
        rows, labels = _digits(classes)
        booster = lightgbm.train({**settings, "seed": 0, "verbose": -1}, lightgbm.Dataset(rows, labels), 20)
        booster.save_model(folder / "model.txt")

    return {"boosted": boosted}


def _flax(folder: Path) -> Names:
    import os

    os.environ["JAX_PLATFORMS"] = "cpu"
    import jax
    from flax import nnx

    from benchmarks.compatibility import flax_models

    def written(make: Callable[..., Any], shape: str, dtype: str = "float32") -> None:
        model = make(nnx.Rngs(0))
        model.eval()
        example = jax.ShapeDtypeStruct(jax.export.symbolic_shape(shape), dtype)
        exported = jax.export.export(jax.jit(lambda x: model(x)), platforms=("cpu",))(example)
        (folder / "model.jax").write_bytes(exported.serialize())

    return {"flax_models": flax_models, "written": written}


MAKERS: dict[str, Callable[[Path], Names]] = {
    "torchvision": _torchvision,
    "timm": _timm,
    "transformers": _transformers,
    "keras.applications": _keras,
    "tensorflow": _tensorflow,
    "scikit-learn": _sklearn,
    "xgboost": _xgboost,
    "lightgbm": _lightgbm,
    "flax": _flax,
}

if __name__ == "__main__":
    sys.exit(main())
