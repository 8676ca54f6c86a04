"""Looks at a Keras 3 file (https://keras.io/api/models/model_saving_apis) before Keras does.

A ``.keras`` file is a zip with ``config.json``, which names classes and functions that Keras looks up and calls, and
``model.weights.h5``. Both have carried attacks past ``safe_mode`` (CVE-2025-1550, CVE-2025-8747, CVE-2025-9906,
CVE-2025-12058, CVE-2026-1669): functions of any module called with any arguments, layers that read the file whose name
is their vocabulary, weights that lie in another file. So a copy is made that holds only what was found harmless here:
classes of Keras that compute, activations by name, and weights that are numbers in their own file. That is loaded.
"""

import importlib
import json
import re
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from functions._domain.errors import RejectedContent
from functions._translators.child import refusing

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
_CONFIG_BOUND, _OBJECTS_BOUND, _DEPTH_BOUND = 16 * 2**20, 100_000, 200
_EXPANSION_BOUND = 20
_AGAIN = "save it again with model.save('model.keras')"
_WAY_OUT = (
    "use layers and keras.ops only, or export the graph, which needs no Python, with model.export('folder') and import "
    "that folder"
)
_MODULE = re.compile(
    r"keras|keras\.(layers|initializers|regularizers|constraints|activations|dtype_policies|quantizers|ops)"
    r"|keras\.src\.(applications|layers|models|ops|initializers|regularizers|constraints|dtype_policies|quantizers)(\.[a-z0-9_]+)*"
)
_PLAIN = frozenset(("__keras_tensor__", "__tensor__", "__numpy__", "__bytes__", "__ellipsis__", "__slice__"))
_CODE = frozenset(("Lambda", "__lambda__", "TorchModuleWrapper", "JaxLayer", "FlaxLayer", "TFSMLayer", "__typespec__"))
_READERS = frozenset(("TextVectorization", "StringLookup", "IntegerLookup", "IndexLookup"))
_DROPPED = ("compile_config", "build_config_cache")


def vetted(path: Path, copy: Path) -> None:
    """Write what may be loaded of a Keras file to a folder, which Keras loads like the file.

    ``keras`` must have been imported on the backend that loads the copy.

    Raises:
        RejectedContent: it is broken or holds more than a model of Keras' own layers; names it, and says what to do.
    """
    with refusing("this Keras file cannot be read", _AGAIN), zipfile.ZipFile(path) as archive:
        _vet_entries(archive)
        config = json.loads(archive.read(CONFIG))
        _vet_config(config)
        (copy / CONFIG).write_text(json.dumps(config))
        (copy / METADATA).write_bytes(archive.read(METADATA))
        with archive.open(WEIGHTS) as source, (copy / WEIGHTS).open("wb") as target:
            shutil.copyfileobj(source, target, 2**20)
        _vet_weights(copy / WEIGHTS)


def _vet_entries(archive: zipfile.ZipFile) -> None:
    entries = {entry.filename: entry for entry in archive.infolist() if not entry.is_dir()}
    if missing := {CONFIG, METADATA, WEIGHTS} - set(entries):
        raise RejectedContent(f"it has no {sorted(missing)[0]}: {_AGAIN}, as one file with its weights")
    if unknown := set(entries) - {CONFIG, METADATA, WEIGHTS}:
        raise RejectedContent(f"its entry {sorted(unknown)[0][:100]!r} is none of a plain model's: {_WAY_OUT}")
    for name in (CONFIG, METADATA):
        if entries[name].file_size > _CONFIG_BOUND:
            raise RejectedContent(f"its {name} has more than {_CONFIG_BOUND} bytes: {_AGAIN}, with fewer layers")


def _vet_config(config: Any) -> None:
    """Every object that it names, at any depth; what the model was compiled with is dropped, since nothing trains."""
    waiting = [(config, 0)]
    count = 0
    while waiting:
        value, depth = waiting.pop()
        count += 1
        if count > _CONFIG_BOUND or depth > _DEPTH_BOUND:
            raise RejectedContent(f"its {CONFIG} is nested deeper than {_DEPTH_BOUND} levels: {_AGAIN}")
        if isinstance(value, dict):
            for name in _DROPPED:
                value.pop(name, None)
            if "class_name" in value:
                _vet_object(value)
            waiting.extend((part, depth + 1) for part in value.values())
        elif isinstance(value, list):
            waiting.extend((part, depth + 1) for part in value)


def _vet_object(described: Mapping[str, Any]) -> None:
    name, module, registered = (described.get(key) for key in ("class_name", "module", "registered_name"))
    if name in _PLAIN:
        return
    shown = f"{module}.{name}" if module else str(name)
    if name in _CODE:
        layer = described["config"].get("name") if isinstance(described.get("config"), dict) else None
        raise RejectedContent(f"its {str(name)[:50]} {str(layer or '')[:50]!r} is code, which is not run: {_WAY_OUT}")
    if name in _READERS:
        raise RejectedContent(
            f"its layer {str(name)[:50]} reads a vocabulary: leave what makes numbers of text out of the model"
        )
    if name == "function":
        _vet_function(described)
    elif registered not in (None, name) or not isinstance(module, str) or not isinstance(name, str):
        raise RejectedContent(f"its {shown[:100]!r} is not of Keras itself, so its code is not here: {_WAY_OUT}")
    elif not _MODULE.fullmatch(module):
        raise RejectedContent(f"its {shown[:100]!r} is none of Keras' own layers: {_WAY_OUT}")
    elif not _computes(module, name):
        raise RejectedContent(f"its {shown[:100]!r} is no layer or operation of this version of Keras: {_WAY_OUT}")


def _vet_function(described: Mapping[str, Any]) -> None:
    """Only activations are named as functions."""
    import keras

    name, module = described.get("config"), described.get("module")
    known = isinstance(name, str) and re.fullmatch(r"[a-z_0-9]+", name) and hasattr(keras.activations, name)
    if (
        module not in ("builtins", "keras.activations")
        or not known
        or described.get("registered_name") not in (None, name)
    ):
        raise RejectedContent(f"its function {str(name)[:80]!r} of {str(module)[:80]!r} is no activation: {_WAY_OUT}")


def _computes(module: str, name: str) -> bool:
    """Whether a name of Keras is a class whose objects compute or describe, and do nothing when they are made."""
    import keras

    try:
        found = vars(importlib.import_module(module)).get(name)
    except ModuleNotFoundError:
        return False
    kinds = (
        keras.Operation,
        keras.initializers.Initializer,
        keras.regularizers.Regularizer,
        keras.constraints.Constraint,
        keras.dtype_policies.DTypePolicy,
        keras.dtype_policies.DTypePolicyMap,
        keras.quantizers.Quantizer,
    )
    if not isinstance(found, type) or not issubclass(found, kinds):
        return False
    return _CODE.isdisjoint(names := {each.__name__ for each in found.__mro__}) and _READERS.isdisjoint(names)


def _vet_weights(path: Path) -> None:
    """Weights are arrays of numbers in this file, and no more of them than the file can hold."""
    import h5py

    size, total = path.stat().st_size, 0
    with h5py.File(path, "r") as file:
        for name, dataset in _datasets(file):
            # Virtual data sets open other files, and object types are references or text.
            if dataset.external or dataset.is_virtual or dataset.dtype.kind not in "fiub":
                raise RejectedContent(f"its weight {name[:100]!r} is no plain array of numbers: {_AGAIN}")
            total += dataset.nbytes
    if total > _EXPANSION_BOUND * size:
        raise RejectedContent(f"its weights would unpack to {total} bytes from {size}: {_AGAIN}")


def _datasets(file: Any) -> Iterator[tuple[str, Any]]:
    import h5py

    waiting, seen = [("", file)], 0
    while waiting:
        place, group = waiting.pop()
        for name in group:
            seen += 1
            path = f"{place}/{name}"
            if seen > _OBJECTS_BOUND or path.count("/") > _DEPTH_BOUND:
                raise RejectedContent(f"its weights have more than {_OBJECTS_BOUND} entries: {_AGAIN}")
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise RejectedContent(f"its weight {path[:100]!r} is a link to somewhere else: {_AGAIN}")
            item = group[name]
            if isinstance(item, h5py.Group):
                waiting.append((path, item))
            elif isinstance(item, h5py.Dataset):
                yield path, item
            else:
                raise RejectedContent(f"its weight {path[:100]!r} is no array: {_AGAIN}")
