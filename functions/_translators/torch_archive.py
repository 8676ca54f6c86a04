"""Reads a .pt2 archive (https://docs.pytorch.org/docs/stable/export.html) without running anything that it holds.

``torch.export.load`` of PyTorch 2.13 unpickles weights, constants and sample inputs that ask for it, loads compiled
libraries, evaluates shape expressions, resolves any dotted name below ``torch``, and writes names into Python code that
it executes. So the archive is vetted here, with PyTorch's own reader: what ``torch.export.save`` writes for a plain
model passes, everything else is refused by name. Then the graph is built from the vetted document.
"""

import ast
import io
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from functions._domain.errors import RejectedContent
from functions._translators.child import refuse_more_nodes, refusing

_AGAIN = "save it with torch.export.save(torch.export.export(model.cpu().eval(), (example,)), 'model.pt2')"
_RECORDS = re.compile(
    r"models/model\.json|data/(weights|constants)/(model_(weights|constants)_config\.json|(weight|tensor)_\d+)"
    r"|data/sample_inputs/model\.pt|archive_format|archive_version|byteorder|version|extra/.*|\.data/.*|\.format_version"
    r"|\.storage_alignment"
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DOTTED = re.compile(r"|(?!__)[A-Za-z0-9_-]+(\.(?!__)[A-Za-z0-9_-]+)*")
"""Names of parameters: what is no identifier is a key, such as torchvision's ``block1-0``, and written as a text."""
_OPERATOR = re.compile(
    r"torch\.ops\.(aten|prims|quantized_decomposed)\.((?!__)[A-Za-z0-9_]+|__(and|or|xor)__)\.(?!__)[A-Za-z0-9_]+"
    r"|torch\.ops\.higher_order\.(cond|while_loop|scan|map_impl|associative_scan|wrap_with_set_grad_enabled)"
    r"|torch\.sym_(int|float|max|min|not|ite|sum|sqrt)|math\.(ceil|floor|trunc|sqrt|pow)"
    r"|_operator\.(getitem|add|sub|mul|truediv|floordiv|mod|pow|neg|pos|abs|eq|ne|lt|le|gt|ge|and_|or_|not_|xor)"
)
_FILE_OPERATORS = re.compile(r"torch\.ops\.aten\.(from_file|save|_?load\w*)\.")
_SHAPE_FUNCTIONS = re.compile(
    "Symbol|Integer|Rational|Float|Add|Mul|Pow|Mod|Max|Min|Abs|Eq|Ne|Lt|Le|Gt|Ge|Equality|Unequality|StrictLessThan|"
    "StrictGreaterThan|LessThan|GreaterThan|And|Or|Not|FloorDiv|ModularIndexing|Where|PythonMod|CleanDiv|CeilToInt|"
    "FloorToInt|CeilDiv|LShift|RShift|PowByNatural|FloatPow|FloatTrueDiv|IntTrueDiv|TruncToFloat|TruncToInt|RoundToInt|"
    "RoundDecimal|ToFloat|Identity"
)
_SHAPE_NAMES = re.compile(r"[su]\d+|zu?f\d+|oo|int_oo")
_SHAPE_NODES = (ast.Expression, ast.Call, ast.Name, ast.Load, ast.Constant, ast.keyword, ast.BinOp, ast.UnaryOp)
_SHAPE_SIGNS = (ast.operator, ast.unaryop, ast.Compare, ast.cmpop)
_CONTAINERS = re.compile(
    r"builtins\.(tuple|list|dict)|collections\.OrderedDict|torch\.fx\.immutable_collections\.immutable_(list|dict)"
)
_DOTTED_KEYS = frozenset(("parameter_name", "buffer_name", "tensor_constant_name", "fqn"))
_TEXT_KEYS = frozenset(("as_string", "as_strings", "torch_version"))
_EXPRESSION_BOUND = 4000


def load(path: Path) -> Any:
    """The ``torch.export.ExportedProgram`` of an archive.

    Raises:
        RejectedContent: the archive holds anything but a plain graph and tensors, or is broken; says what to do.
    """
    with refusing("this .pt2 archive cannot be read", _AGAIN):
        from torch._export.serde import schema, serialize
        from torch.export.pt2_archive import _package

        reader = _package.PT2ArchiveReader(str(path))
        document = vetted(json.loads(reader.read_bytes("models/model.json")))
        _vet_records(reader)
        program = serialize._bytes_to_dataclass(schema.ExportedProgram, json.dumps(document).encode())
        weights = _package._load_state_dict(reader, "model")
        constants = _package._load_constants(reader, "model")
        return serialize.ExportedProgramDeserializer().deserialize(program, weights, constants, _examples(reader))


def _vet_records(reader: Any) -> None:
    """Nothing in the archive but what we know; no payload that is a pickle."""
    names: list[str] = reader.get_file_names()
    if unknown := [name for name in names if not _RECORDS.fullmatch(name)]:
        raise RejectedContent(f"its entry {unknown[0][:100]!r} is none of a plain exported model's: {_AGAIN}")
    if len({name.casefold() for name in names}) != len(names):
        raise RejectedContent(f"two of its entries have the same name: {_AGAIN}")
    for kind in ("weights", "constants"):
        for name, payload in json.loads(reader.read_bytes(f"data/{kind}/model_{kind}_config.json"))["config"].items():
            if payload["use_pickle"] or not re.fullmatch(r"(weight|tensor)_\d+", payload["path_name"]):
                raise RejectedContent(f"{name[:100]!r} is stored as a pickle, which runs code when loaded: {_AGAIN}")
            _vet(payload["tensor_meta"], "tensor_meta")
            _vet(name, "fqn")


def _examples(reader: Any) -> Any:
    """The inputs that the model was exported with; tensors only, so none where loading them would need a pickle."""
    import torch

    data = reader.read_bytes("data/sample_inputs/model.pt")
    try:
        return torch.load(io.BytesIO(data), weights_only=True) if data else None
    except Exception:  # noqa: BLE001  examples help measuring; a model without them is as good
        return None


def vetted(document: dict[str, Any]) -> dict[str, Any]:
    """The document of a graph without what is not needed, after every text in it was found harmless.

    Raises:
        RejectedContent: names the first text that is not.
    """
    # Guards are Python code, metadata names Python objects and paths of the machine that saved it: neither is needed.
    root = document["graph_module"]
    kept = {
        **document,
        "guards_code": [],
        "graph_module": {**_without_metadata(root), "treespec_namedtuple_fields": {}},
    }
    kept["graph_module"]["module_call_graph"] = [entry for entry in root["module_call_graph"] if entry["fqn"] == ""]
    refuse_more_nodes(_count(kept))
    _vet(kept, "")
    return kept


def _count(value: Any) -> int:
    """The operations in a document, also those of branches."""
    if isinstance(value, dict):
        own = sum(len(part) for key, part in value.items() if key == "nodes" and isinstance(part, list))
        return own + sum(map(_count, value.values()))
    return sum(map(_count, value)) if isinstance(value, list) else 0


def _without_metadata(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: {} if key == "metadata" else _without_metadata(part) for key, part in value.items()}
    return [_without_metadata(part) for part in value] if isinstance(value, list) else value


def _vet(value: Any, key: str) -> None:
    if isinstance(value, dict):
        for name, part in value.items():
            (_vet_shape if key == "range_constraints" else _vet_name)(name)
            _vet_device(name, part)
            _vet(part, name)
    elif isinstance(value, list):
        for part in value:
            _vet(part, key)
    elif isinstance(value, str) and key not in _TEXT_KEYS:
        _RULES.get(key, _vet_name)(value)


def _refusal(what: str, text: str) -> RejectedContent:
    return RejectedContent(f"its graph has the {what} {text[:100]!r}, which no plain exported model has: {_AGAIN}")


def _vet_device(key: str, value: Any) -> None:
    if key in ("device", "as_device") and value and value["type"] not in ("cpu", "meta"):
        raise RejectedContent(
            f"it was exported on the device {value['type'][:20]!r}: move it to the CPU, then {_AGAIN}"
        )
    if key == "custom_obj_values" and value:
        raise RejectedContent(f"it holds custom objects, which are no tensors: {_AGAIN}")


def _vet_name(text: str) -> None:
    if not _NAME.fullmatch(text) and text not in ("", "-Infinity"):
        raise _refusal("name", text)


def _vet_dotted(text: str) -> None:
    if not _DOTTED.fullmatch(text):
        raise _refusal("name", text)


def _vet_operator(text: str) -> None:
    if not _OPERATOR.fullmatch(text) or _FILE_OPERATORS.match(text):
        shown = text.removeprefix("torch.ops.")[:100]
        raise RejectedContent(f"its operator {shown!r} is not one of PyTorch's own computations: express it by those")


def _vet_shape(text: str) -> None:
    """A size such as ``Mul(Integer(8), Symbol('s21', positive=True))``: PyTorch evaluates it as Python."""
    if len(text) > _EXPRESSION_BOUND:
        raise _refusal("size", text)
    tree = ast.parse(text, mode="eval")
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name):
                fine = (_SHAPE_FUNCTIONS if id(node) in called else _SHAPE_NAMES).fullmatch(name) is not None
            case ast.Constant(value=value):
                fine = _is_plain(value)
            case ast.Call(func=function):
                fine = isinstance(function, ast.Name)
            case _:
                fine = isinstance(node, _SHAPE_NODES + _SHAPE_SIGNS)
        if not fine:
            raise _refusal("size", text)


def _is_plain(value: object) -> bool:
    return isinstance(value, int | float) or (isinstance(value, str) and _NAME.fullmatch(value) is not None)


def _vet_tree(text: str) -> None:
    """How inputs or outputs are nested: tuples, lists and dicts only, since other types are looked up by name."""
    waiting = [json.loads(text)[1]]
    while waiting:
        spec = waiting.pop()
        if spec["type"] is None:
            continue
        if not _CONTAINERS.fullmatch(str(spec["type"])):
            shown = str(spec["type"])[:100]
            raise RejectedContent(
                f"it takes or returns a {shown!r}: use tensors, tuples, lists and dicts, then {_AGAIN}"
            )
        _vet(json.loads(spec["context"]), "context")
        waiting.extend(spec["children_spec"])


_RULES: Mapping[str, Callable[[str], None]] = {
    "target": _vet_operator,
    "as_operator": _vet_operator,
    "expr_str": _vet_shape,
    "in_spec": _vet_tree,
    "out_spec": _vet_tree,
    **dict.fromkeys(_DOTTED_KEYS, _vet_dotted),
}
