"""What the compatibility table sweeps: architectures by framework, each with the code that makes one.

Weights are random with a fixed seed, or trained for a moment where an estimator is nothing without. Code is text, run
by ``benchmarks.compatibility.making`` in a process that imports one framework.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Architecture:
    """One row: its name, the library it comes from, which framework translates it, an expression that makes it.

    ``data`` is the table of ``sklearn.datasets`` that an estimator is trained with.
    """

    name: str
    library: str
    framework: str
    code: str
    data: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells it from all others."""
        return self.library, self.name, self.data


def _rows(library: str, framework: str, codes: Mapping[str, str], data: str = "") -> tuple[Architecture, ...]:
    return tuple(Architecture(name, library, framework, code, data) for name, code in codes.items())


def _vision(name: str, size: int = 224) -> str:
    return f"image(torchvision.models.{name}(weights=None), {size})"


def _timm(name: str, size: int = 224) -> str:
    return f"image(timm.create_model({name!r}, pretrained=False), {size})"


_TOKENS = "vocab_size=1000"
_NARROW = "hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128"


def _language(model: str, config: str, settings: str) -> str:
    return f"tokens(transformers.{model}(transformers.{config}({settings})))"


TORCHVISION = {
    name: _vision(name)
    for name in (
        "resnet18", "resnet50", "mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0", "densenet121", "squeezenet1_1",
        "shufflenet_v2_x1_0", "mnasnet0_5", "regnet_y_400mf", "convnext_tiny", "vit_b_16", "swin_t", "vgg11",
    )
}  # fmt: skip

TIMM = {
    name: _timm(name)
    for name in (
        "resnet10t", "mobilevit_xxs", "vit_tiny_patch16_224", "deit_tiny_patch16_224", "ghostnet_100", "levit_128s",
        "poolformer_s12", "edgenext_xx_small",
    )
}  # fmt: skip

TRANSFORMERS = {
    "bert": _language("BertForSequenceClassification", "BertConfig", f"{_TOKENS}, {_NARROW}"),
    "distilbert": _language(
        "DistilBertForSequenceClassification", "DistilBertConfig", f"{_TOKENS}, dim=64, n_layers=2, n_heads=4, hidden_dim=128"
    ),
    "roberta": _language("RobertaForSequenceClassification", "RobertaConfig", f"{_TOKENS}, {_NARROW}"),
    "electra": _language("ElectraForSequenceClassification", "ElectraConfig", f"{_TOKENS}, {_NARROW}"),
    "albert": _language("AlbertForSequenceClassification", "AlbertConfig", f"{_TOKENS}, embedding_size=32, {_NARROW}"),
    "gpt2": _language("GPT2LMHeadModel", "GPT2Config", f"{_TOKENS}, n_embd=64, n_layer=2, n_head=4"),
    "opt": _language(
        "OPTForCausalLM", "OPTConfig",
        f"{_TOKENS}, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, ffn_dim=128, word_embed_proj_dim=64",
    ),
    "llama": _language("LlamaForCausalLM", "LlamaConfig", f"{_TOKENS}, {_NARROW}"),
}  # fmt: skip

KERAS = {
    name: f"applied(keras.applications.{name}, {size})"
    for name, size in {
        "MobileNet": 128, "MobileNetV2": 128, "EfficientNetB0": 128, "NASNetMobile": 224, "DenseNet121": 128,
        "ResNet50": 128, "ResNet50V2": 128, "Xception": 128,
    }.items()
} | {
    name: f"applied(keras.applications.{name}, 128, include_preprocessing=False)"
    for name in ("MobileNetV3Small", "EfficientNetV2B0", "ConvNeXtTiny")
}  # fmt: skip
"""Those that would scale pixels themselves are given what comes after: drawn inputs are no pixels."""

TENSORFLOW = {
    "dense": "module(16, keras.layers.Dense(32, 'relu'), keras.layers.Dense(4))",
    "convolutional": "module((16, 16, 3), keras.layers.Conv2D(8, 3), keras.layers.ReLU(), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(5))",
    "lstm": "module((12, 8), keras.layers.LSTM(16), keras.layers.Dense(3))",
}  # fmt: skip

CLASSIFIERS = {
    "LogisticRegression": "fitted(linear_model.LogisticRegression(max_iter=500), data)",
    "DecisionTreeClassifier": "fitted(tree.DecisionTreeClassifier(random_state=0), data)",
    "RandomForestClassifier": "fitted(ensemble.RandomForestClassifier(30, random_state=0), data)",
    "ExtraTreesClassifier": "fitted(ensemble.ExtraTreesClassifier(30, random_state=0), data)",
    "GradientBoostingClassifier": "fitted(ensemble.GradientBoostingClassifier(n_estimators=20, random_state=0), data)",
    "HistGradientBoostingClassifier": "fitted(ensemble.HistGradientBoostingClassifier(max_iter=20, random_state=0), data)",
    "AdaBoostClassifier": "fitted(ensemble.AdaBoostClassifier(n_estimators=20, random_state=0), data)",
    "SVC": "fitted(svm.SVC(probability=True, random_state=0), data)",
    "LinearSVC": "fitted(svm.LinearSVC(random_state=0), data)",
    "MLPClassifier": "fitted(neural_network.MLPClassifier((32,), max_iter=60, random_state=0), data)",
    "KNeighborsClassifier": "fitted(neighbors.KNeighborsClassifier(), data)",
    "GaussianNB": "fitted(naive_bayes.GaussianNB(), data)",
    "StandardScaler, PCA, SVC": "fitted(pipeline.make_pipeline(preprocessing.StandardScaler(), decomposition.PCA(4), svm.SVC(probability=True, random_state=0)), data)",
}  # fmt: skip

REGRESSORS = {
    "Ridge": "fitted(linear_model.Ridge(), data)",
    "RandomForestRegressor": "fitted(ensemble.RandomForestRegressor(30, random_state=0), data)",
    "MLPRegressor": "fitted(neural_network.MLPRegressor(hidden_layer_sizes=(32,), max_iter=60, random_state=0), data)",
}  # fmt: skip

XGBOOST = {
    "binary": "boosted({'objective': 'binary:logistic'}, 2)",
    "multi-class": "boosted({'objective': 'multi:softprob', 'num_class': 10}, 10)",
    "regression": "boosted({'objective': 'reg:squarederror'}, 0)",
    "dart": "boosted({'objective': 'binary:logistic', 'booster': 'dart'}, 2)",
}

LIGHTGBM = {
    "binary": "boosted({'objective': 'binary'}, 2)",
    "multi-class": "boosted({'objective': 'multiclass', 'num_class': 10}, 10)",
    "regression": "boosted({'objective': 'regression'}, 0)",
    "random forest": "boosted({'objective': 'binary', 'boosting': 'rf', 'bagging_freq': 1, 'bagging_fraction': 0.7}, 2)",
}

FLAX = {
    "perceptron": "written(flax_models.Perceptron, 'b, 16')",
    "residual net": "written(flax_models.ResidualNet, 'b, 32, 32, 3')",
    "separable net": "written(flax_models.SeparableNet, 'b, 32, 32, 3')",
    "vision transformer": "written(flax_models.VisionTransformer, 'b, 32, 32, 3')",
    "language model": "written(flax_models.LanguageModel, 'b, 24', 'int32')",
    "mixer": "written(flax_models.Mixer, 'b, 16, 24')",
    "recurrent net": "written(flax_models.Recurrent, 'b, 12, 8')",
}

ARCHITECTURES: tuple[Architecture, ...] = (
    *_rows("torchvision", "torch", TORCHVISION),
    *_rows("timm", "torch", TIMM),
    *_rows("transformers", "torch", TRANSFORMERS),
    *_rows("keras.applications", "keras", KERAS),
    *_rows("tensorflow", "tensorflow", TENSORFLOW),
    *_rows("scikit-learn", "sklearn", CLASSIFIERS, "digits"),
    *_rows("scikit-learn", "sklearn", REGRESSORS, "diabetes"),
    *_rows("xgboost", "xgboost", XGBOOST),
    *_rows("lightgbm", "lightgbm", LIGHTGBM),
    *_rows("flax", "jax", FLAX),
)

LABELS: tuple[Architecture, ...] = tuple(
    row for data in ("iris", "wine", "breast_cancer") for row in _rows("scikit-learn", "sklearn", CLASSIFIERS, data)
)
"""The same classifiers on the other tables that scikit-learn brings along: their labels are compared, row by row."""
