"""Makes one architecture's model with random weights, and writes it in its framework's own format.

    python -m benchmarks.compatibility.making LIBRARY NAME FOLDER

A process of its own for each, since one process does not import two frameworks.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.compatibility.architectures import ARCHITECTURES

Names = dict[str, Any]


def main() -> int:
    """Make the model that the command line names."""
    library, name, folder = sys.argv[1:]
    wanted = next(one for one in ARCHITECTURES if (one.library, one.name) == (library, name))
    names = _MAKERS[library](Path(folder))
    eval(wanted.code, names)  # our own table's code
    return 0


def _torch(folder: Path) -> Names:
    import torch

    torch.manual_seed(0)

    def save(model: Any, example: Any, shapes: Any) -> None:
        program = torch.export.export(model.eval(), (example,), dynamic_shapes=(shapes,))
        torch.export.save(program, folder / "model.pt2")

    def image(model: Any, size: int) -> None:
        save(model, torch.randn(2, 3, size, size), {0: torch.export.Dim("batch", min=1, max=64)})

    def tokens(model: Any) -> None:
        wrapped = _Logits(model)
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

    def applied(make: Callable[..., Any], size: int) -> None:
        make(weights=None, input_shape=(size, size, 3), classes=10).save(folder / "model.keras")

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
        naive_bayes,
        neighbors,
        neural_network,
        pipeline,
        preprocessing,
        svm,
        tree,
    )

    data, target = sklearn.datasets.load_digits(return_X_y=True)

    def fitted(estimator: Any) -> None:
        estimator.fit(data[:1200].astype("float32"), target[:1200])
        skops.io.dump(estimator, folder / "model.skops")
        numpy.savez(folder / "samples.npz", inputs=data[1200:].astype("float32")[:256], labels=target[1200:][:256])

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


_MAKERS: dict[str, Callable[[Path], Names]] = {
    "torchvision": _torchvision,
    "timm": _timm,
    "transformers": _transformers,
    "keras.applications": _keras,
    "tensorflow": _tensorflow,
    "scikit-learn": _sklearn,
    "xgboost": _xgboost,
    "lightgbm": _lightgbm,
}

if __name__ == "__main__":
    sys.exit(main())
