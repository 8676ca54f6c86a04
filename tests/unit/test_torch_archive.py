"""Nothing in a .pt2 archive that PyTorch would evaluate, import or execute passes the vetting."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from functions._domain.errors import RejectedContent
from functions._translators.torch_archive import vetted

LEAF = {"type": None, "context": None, "children_spec": []}


def tree(kind: str, *children: object, context: str = "null") -> dict[str, object]:
    return {"type": kind, "context": context, "children_spec": list(children)}


def document() -> dict[str, Any]:
    """What ``torch.export.save`` writes for one operator, as PyTorch 2.13 writes it."""
    size = {"as_expr": {"expr_str": "Symbol('s77', positive=True, integer=True)", "hint": {"as_int": 2}}}
    tensor = {
        "dtype": 7, "sizes": [size, {"as_int": 4}], "requires_grad": False, "layout": 7,
        "storage_offset": {"as_int": 0}, "device": {"type": "cpu", "index": None},
        "strides": [{"as_int": 4}, {"as_int": 1}],
    }  # fmt: skip
    node = {
        "target": "torch.ops.aten.relu.default",
        "inputs": [{"name": "self", "arg": {"as_tensor": {"name": "x"}}, "kind": 1}],
        "outputs": [{"as_tensor": {"name": "relu"}}],
        "metadata": {"stack_trace": 'File "/home/somebody/train.py"', "torch_fn": "relu_1;builtin.relu"},
        "is_hop_single_tensor_return": None,
        "name": "relu",
    }
    called = tree("builtins.tuple", tree("builtins.tuple", LEAF), tree("builtins.dict", context="[]"))
    return {
        "graph_module": {
            "graph": {
                "inputs": [{"as_tensor": {"name": "x"}}], "outputs": [{"as_tensor": {"name": "relu"}}], "nodes": [node],
                "tensor_values": {"x": tensor, "relu": tensor}, "sym_int_values": {}, "sym_bool_values": {},
                "is_single_tensor_return": False, "custom_obj_values": {}, "sym_float_values": {},
            },
            "signature": {
                "input_specs": [{"user_input": {"arg": {"as_tensor": {"name": "x"}}}}],
                "output_specs": [{"user_output": {"arg": {"as_tensor": {"name": "relu"}}}}],
            },
            "module_call_graph": [
                {"fqn": "", "signature": {"inputs": [], "outputs": [], "in_spec": json.dumps([1, called]),
                 "out_spec": json.dumps([1, LEAF]), "forward_arg_names": ["x"]}},
                {"fqn": "layers.0", "signature": None},
            ],
            "metadata": {}, "treespec_namedtuple_fields": {},
        },
        "opset_version": {"aten": 10}, "range_constraints": {"s77": {"min_val": 0, "max_val": None}},
        "schema_version": {"major": 8, "minor": 20}, "verifiers": ["TRAINING"], "torch_version": "2.13.0+cpu",
        "guards_code": [],
    }  # fmt: skip


def node_of(changed: dict[str, Any]) -> dict[str, Any]:
    node: dict[str, Any] = changed["graph_module"]["graph"]["nodes"][0]
    return node


def size_of(changed: dict[str, Any]) -> dict[str, Any]:
    size: dict[str, Any] = changed["graph_module"]["graph"]["tensor_values"]["x"]["sizes"][0]["as_expr"]
    return size


def calling(changed: dict[str, Any]) -> dict[str, Any]:
    signature: dict[str, Any] = changed["graph_module"]["module_call_graph"][0]["signature"]
    return signature


def test_a_plain_model_passes_without_names_of_the_machine_that_saved_it() -> None:
    kept = vetted(document())
    assert "/home/somebody" not in json.dumps(kept)
    assert node_of(kept)["target"] == "torch.ops.aten.relu.default"
    assert [entry["fqn"] for entry in kept["graph_module"]["module_call_graph"]] == [""]


@pytest.mark.parametrize(
    "target",
    [
        "torch.ops.aten.add.Tensor",
        "torch.ops.aten.__and__.Tensor",
        "torch.ops.higher_order.cond",
        "_operator.getitem",
        "math.ceil",
        "torch.sym_max",
    ],
)
def test_computations_of_pytorch_pass(target: str) -> None:
    changed = document()
    node_of(changed)["target"] = target
    vetted(changed)


@pytest.mark.parametrize(
    "target",
    [
        "torch.os.system", "torch.ops.aten.from_file.default", "torch.load", "torch.ops.mylib.op.default", "math.inf",
        "torch.ops.aten.__class__.x", "torch.ops.aten.__and__.__class__", "_operator.methodcaller", "#extension:op",
        "os.system", "torch.ops.load_library",
        "torch.ops.higher_order.triton_kernel_wrapper_functional", "torch.hub.load", "torch.ops.aten.add.Tensor\n",
    ],
)  # fmt: skip
def test_any_other_function_is_refused_by_name(target: str) -> None:
    for place in ("target", "as_operator"):
        changed = document()
        if place == "target":
            node_of(changed)["target"] = target
        else:
            node_of(changed)["inputs"][0]["arg"] = {"as_operator": target}
        with pytest.raises(RejectedContent, match="not one of PyTorch's own computations"):
            vetted(changed)


@pytest.mark.parametrize(
    "size", ["s0 + 1", "Mul(Integer(8), Symbol('s21', positive=True, integer=True))", "Max(1, FloorDiv(s0, 2))", "2*s3"]
)
def test_sizes_that_are_arithmetic_pass(size: str) -> None:
    changed = document()
    size_of(changed)["expr_str"] = size
    changed["range_constraints"][size] = {"min_val": 0, "max_val": 5}
    vetted(changed)


@pytest.mark.parametrize(
    "size",
    [
        "__import__('os').system('true')", "Symbol.__class__", "exec('x')", "(lambda: 1)()", "Symbol(exec('x'))",
        "[s0 for s0 in (1,)]", "Symbol('s0').func", "Symbol('a b')", "getattr(s0, 'x')", "s0[0]", "Symbol", "s0; s1",
        "f'{s0}'", "Integer(" * 60 + "1" + ")" * 60 + ".x", "1" * 5000, "*s0", "Lambda(s0, s0)", "eval",
        "s0 if s1 else s2",
    ],
)  # fmt: skip
def test_sizes_that_are_anything_else_are_refused(size: str) -> None:
    changed = document()
    size_of(changed)["expr_str"] = size
    with pytest.raises((RejectedContent, SyntaxError)):
        vetted(changed)


NAME = "x = __import__('os').system('true') #"


def rename_node(changed: dict[str, Any]) -> None:
    node_of(changed)["name"] = NAME


def rename_value(changed: dict[str, Any]) -> None:
    node_of(changed)["outputs"][0]["as_tensor"]["name"] = NAME


def rename_key(changed: dict[str, Any]) -> None:
    graph = changed["graph_module"]["graph"]
    graph["tensor_values"][NAME] = graph["tensor_values"].pop("x")


def rename_argument(changed: dict[str, Any]) -> None:
    calling(changed)["forward_arg_names"] = [NAME]


def rename_keyword(changed: dict[str, Any]) -> None:
    named = tree("builtins.dict", LEAF, context=json.dumps([NAME]))
    calling(changed)["in_spec"] = json.dumps([1, tree("builtins.tuple", tree("builtins.tuple"), named)])


def rename_weight(changed: dict[str, Any]) -> None:
    arg = {"arg": {"name": "x"}, "parameter_name": "forward.__globals__.x"}
    changed["graph_module"]["signature"]["input_specs"] = [{"parameter": arg}]


def rename_graph(changed: dict[str, Any]) -> None:
    inner = copy.deepcopy(changed["graph_module"]["graph"])
    inner["nodes"][0]["name"] = NAME
    node_of(changed)["inputs"][0]["arg"] = {"as_graph": {"name": "true_graph_0", "graph": inner}}


def use_class(changed: dict[str, Any]) -> None:
    calling(changed)["out_spec"] = json.dumps([1, tree("mylib.Answer", LEAF)])


def use_enum(changed: dict[str, Any]) -> None:
    context = json.dumps([{"__enum__": True, "fqn": "os:system", "name": "x"}])
    calling(changed)["out_spec"] = json.dumps([1, tree("builtins.dict", LEAF, context=context)])


def use_object(changed: dict[str, Any]) -> None:
    changed["graph_module"]["graph"]["custom_obj_values"] = {"o": {"name": "o", "class_fqn": "x"}}


@pytest.mark.parametrize(
    "change",
    [
        rename_node, rename_value, rename_key, rename_argument, rename_keyword, rename_weight, rename_graph, use_class,
        use_enum, use_object,
    ],
)  # fmt: skip
def test_a_name_that_is_code_or_a_class_is_refused(change: Callable[[dict[str, Any]], None]) -> None:
    changed = document()
    change(changed)
    with pytest.raises(RejectedContent):
        vetted(changed)


def test_a_parameter_may_be_named_by_a_key_that_is_no_identifier() -> None:
    for name, passes in (("trunk.block1-0.weight", True), ("a'b", False), ('a"b', False), ("a b", False), ("a-", True)):
        changed = document()
        arg = {"name": "x"}
        changed["graph_module"]["signature"]["input_specs"] = [{"parameter": {"arg": arg, "parameter_name": name}}]
        if passes:
            vetted(changed)
        else:
            with pytest.raises(RejectedContent, match="which no plain exported model has"):
                vetted(changed)


def test_guards_are_python_code_and_left_out() -> None:
    assert vetted({**document(), "guards_code": ["__import__('os')"]})["guards_code"] == []


def test_a_model_on_a_gpu_is_refused_with_the_way_out() -> None:
    changed = document()
    changed["graph_module"]["graph"]["tensor_values"]["x"]["device"] = {"type": "cuda", "index": 0}
    with pytest.raises(RejectedContent, match=r"'cuda': move it to the CPU"):
        vetted(changed)


def test_a_graph_of_a_hundred_thousand_operations_is_refused() -> None:
    changed = document()
    changed["graph_module"]["graph"]["nodes"] *= 50_000
    vetted(changed)
    changed["graph_module"]["graph"]["nodes"] *= 2
    with pytest.raises(RejectedContent, match="more than 50000 operations"):
        vetted(changed)
