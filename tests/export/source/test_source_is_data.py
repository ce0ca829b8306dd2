"""Exported Python holds nothing that its model does not need, whatever a config says."""

from __future__ import annotations

import ast
import inspect
import os
import random
from pathlib import Path
from typing import Any

import pytest
import torch

import modelzoo
from modelzoo.errors import ConfigError
from modelzoo.export.source import gate
from modelzoo.export.source.model import source
from tests.export.source.test_source import SMALL, assert_same, body, imported
from tests.helpers.check_sources import equal
from tests.helpers.composing import CONF, compose
from tests.helpers.twinning import Config, Generator
from tests.safety.test_hostile import BENIGN, HOSTILE

CALLS = (".format", ".join", "ast.parse", "ast.unparse", "builtins.compile", "eval", "exec")
TEMPLATES = [f"{room}{each}" for room in ("", "trees.") for each in ("quoted", "statements", "dotted")]
ROOMS = Path(inspect.getfile(gate)).parent
PYTHON = {"abs", "bool", "float", "hasattr", "int", "isinstance", "len", "max", "min", "next", "range", "round", "str"}
PYTHON |= {"enumerate", "reversed", "tuple", "zip"}
IMPORTS = {
    "import math",
    "import torch",
    "from torch import nn",
    "from torch.nn import functional as F",
    "from collections import OrderedDict",
    "from fnmatch import fnmatchcase",
    "from functools import partial",
}


def foreign(text: str) -> list[str]:
    """What a source holds beside imports of torch, its own names, and a few functions of Python."""
    tree = ast.parse(text)
    nodes = [*ast.walk(tree)]
    bound = {*PYTHON, "sum", "super", "math", "torch", "nn", "F", "OrderedDict", "fnmatchcase", "partial"}
    bound |= {each.id for each in nodes if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)}
    bound |= {each.arg for each in nodes if isinstance(each, ast.arg)}
    bound |= {each.name for each in nodes if isinstance(each, (ast.ClassDef, ast.FunctionDef))}
    found = [ast.unparse(each) for each in nodes if isinstance(each, (ast.Import, ast.ImportFrom))]
    found = [each for each in found if each not in IMPORTS]
    found += [each.id for each in nodes if isinstance(each, ast.Name) and each.id not in bound]
    found += [
        each.attr
        for each in nodes
        if isinstance(each, ast.Attribute) and each.attr.startswith("_") and each.attr not in ("__init__", "_modules")
    ]
    called = [ast.unparse(each.value) for each in nodes if isinstance(each, ast.Attribute) and each.attr == "__init__"]
    outside = [each for each in tree.body if not isinstance(each, (ast.ClassDef, ast.FunctionDef))]
    found += [ast.unparse(each) for each in outside[1:] if not isinstance(each, (ast.Import, ast.ImportFrom))]
    return found + [each for each in called if each != "super()"]


def test_the_list_of_what_is_foreign_can_find_something() -> None:
    text = 'import torch\nimport os\nprint(1)\nclass A(object):\n    def f(self):\n        self.__class__.__init__(open("x"))'
    assert set(foreign(f'"""."""\n{text}')) == {
        *("import os", "print", "object", "open", "__class__", "print(1)", "self.__class__"),
    }


# --- how it is written ---------------------------------------------------------------------------------------------


def pieces_of_text(path: Path) -> list[str]:
    """Expressions that put texts together, or make trees of texts, apart from messages."""
    tree = ast.parse(path.read_text())
    messages = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("fail", "AssertionError", "ForeignError")
        for inner in ast.walk(node)
    }
    inside = {id(each.format_spec) for each in ast.walk(tree) if isinstance(each, ast.FormattedValue)}
    found = []
    for node in ast.walk(tree):
        if id(node) in messages:
            continue
        texts = [each for each in ast.walk(node) if isinstance(each, ast.Constant) and isinstance(each.value, str)]
        glued = isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Mod)) and bool(texts)
        called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
        template = called in TEMPLATES and path.stem != "trees"
        fixed = isinstance(node, ast.Call) and all(
            isinstance(each, ast.Constant) or (isinstance(each, ast.IfExp) and isinstance(each.body, ast.Constant))
            for each in node.args[:1]
        )
        formatted = isinstance(node, ast.JoinedStr) and id(node) not in inside
        if formatted or glued or called.endswith(CALLS) or (template and not fixed):
            found.append(ast.unparse(node))
    return found


def test_the_exporter_puts_no_text_together_but_names_and_the_layout_of_a_finished_tree() -> None:
    rooms = {path.stem: pieces_of_text(path) for path in ROOMS.glob("*.py")}
    del rooms["naming"]  # names, each checked where it gets into a tree
    del rooms["layout"]  # text of a finished tree, which is read back and compared
    assert {name: found for name, found in rooms.items() if found} == {
        "trees": ["ast.parse(template, mode=mode)"],  # templates are constants of these rooms
        "fills": ["f'{name}_'"] * 2,  # of a fill of the catalog, then checked as a name
        "init_weights": ["f'{each}_'"],  # of a fill of the catalog, compared
        "expressions": ["'.'.join(rest)"],  # the rest of a reference, each part checked as a name
        "needs": ["ast.unparse(tree)"],  # what stands in a formula again, as the spec holds it
        "recipes": ["ast.unparse(tree)"],  # the same, for messages
        "gate": ["ast.unparse(node.value)"],  # compared
    }


def test_the_gate_refuses_what_no_model_needs() -> None:
    for text in (
        "import os",
        "from torch import load",
        "from torch.utils import cpp_extension",
        "import torch.utils",
        "x = __import__('os')",
        "x = torch.__dict__",
        "torch = open",
        "def f():\n    exec('1')",
        "class A(nn.Module):\n    def f(self):\n        self._apply(1)",
        "class A(nn.Module):\n    def f(self):\n        return getattr(self, 'x')",
        "class A(nn.Module):\n    def f(self):\n        A.__init__(self)",
        "with torch.no_grad():\n    pass",
        "x = [y for y in (1, 2)]",
        "x = lambda: (yield)",
        "del torch",
        "f(**{'a': 1})",
    ):
        with pytest.raises(gate.ForeignError):
            gate.check(ast.parse(f"import torch\nfrom torch import nn\n{text}"))


def test_the_gate_lets_a_source_pass_and_what_a_user_registered() -> None:
    gate.check(ast.parse(source(*compose("model=gpt2", "init=gpt2", *SMALL["gpt2"]))))
    gate.check(ast.parse("from mine import Layer\nx = Layer()"), [("mine", "Layer")])
    with pytest.raises(gate.ForeignError, match="import Layer from mine"):
        gate.check(ast.parse("from mine import Layer"), [("mine", "Other")])


# --- over many models ----------------------------------------------------------------------------------------------


def ends(path: Path) -> bool:
    """Whether a file does not work for ever by design: those end in a process with limits."""
    return b"processor time" not in path.read_bytes() and not path.stem.startswith("bomb")


@pytest.mark.parametrize("path", [*filter(ends, [*HOSTILE, *BENIGN])], ids=lambda path: path.stem)
def test_the_source_of_a_strangers_file_is_refused_or_holds_nothing_foreign(path: Path) -> None:
    try:
        text = source(str(path))
    except ConfigError:
        return
    assert foreign(text) == []


@pytest.mark.parametrize("name", sorted(path.stem for path in (CONF / "model").glob("*.yaml")))
def test_the_sources_of_conf_hold_nothing_foreign(name: str) -> None:
    assert foreign(source(*compose(f"model={name}", *SMALL.get(name, ())))) == []


MODELS = int(os.environ.get("RANDOM_MODELS", "250"))  # 2000 by hand, which takes minutes


@pytest.mark.parametrize("chunk", range(MODELS // 50))
def test_the_sources_of_random_models_hold_nothing_foreign(chunk: int) -> None:
    for seed in range(chunk * 50, (chunk + 1) * 50):
        assert foreign(source(Config(seed).block(Generator(seed).model()))) == [], seed


# --- what gets in as data ------------------------------------------------------------------------------------------

CODE = "x'\"\"\" + __import__('os').system('echo') + \"\\\"\\n#{}\\"
PLAIN = {"inputs": {"x": [2, 4]}, "layers": {"a": "Linear(4, 4)", "b": "Linear(4, 4)"}}


@pytest.mark.parametrize(
    ("model", "init"),
    [
        (PLAIN, {"r": {"name": f"*{CODE}", "fill": 0}, "s": {"name": "*", "fill": 1}}),
        (PLAIN, {"r": {"name": f"{CODE}*", "fill": 0}, "s": {"name": "*", "fill": 1}}),
        (PLAIN, {"r": {"name": f"*{CODE}*", "fill": 0}, "s": {"name": "*", "fill": 1}}),
        (PLAIN, {"r": {"param": CODE, "fill": 0}}),
        (PLAIN, {"r": {"layer": CODE, "param": "weight", "fill": 0}}),
        (PLAIN, {CODE: {"param": "weight", "fill": "w = normal(); w[0] = 0; return w"}}),
        ({**PLAIN, "layers": {"a": {"_target_": "Identity", CODE: 1}}}, None),
        ({**PLAIN, "layers": {"a": {"_target_": "Identity", "_if_": False, CODE: 1}}}, None),
        ({**PLAIN, "layers": {"a": {"_repeat_": 0, "_name_": CODE, "_target_": "ReLU"}}}, None),
        ({**PLAIN, "layers": {"a": {"_repeat_": 2, "_name_": f"{CODE}{{i}}", "_target_": "ReLU"}}}, None),
        ({**PLAIN, "layers": {"a": {"_target_": "ModuleDict", "modules": {CODE: "ReLU"}}}, "forward": "x"}, None),
        ({**PLAIN, "layers": {CODE: "ReLU"}}, None),
        ({**PLAIN, "args": {CODE: 1}}, None),
        ({**PLAIN, "args": {"act": {"_target_": "Identity", CODE: 1}}, "layers": ["=act"]}, None),
        ({**PLAIN, "args": {"act": CODE}, "layers": ["Linear(4, 4)"]}, None),
        ({**PLAIN, "blocks": {CODE: ["ReLU"]}}, None),
        ({**PLAIN, "blocks": {"None": {"forward": "x"}}, "layers": ["None()"]}, None),
        ({**PLAIN, "inputs": {CODE: [2, 4]}}, None),
        ({"inputs": {"x": [2, 4]}, "forward": f"return {{{CODE!r}: x}}"}, None),
        ({"inputs": {"x": [2, 4]}, "parameters": {CODE: {"shape": [1], "fill": 0}}, "forward": "x"}, None),
    ],
)
def test_a_text_of_a_config_is_never_code(model: Any, init: Any) -> None:
    try:
        text = source(model, init)
    except ConfigError:
        return
    assert foreign(text) == []
    imported(text)()


# --- it computes what the model computes ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "forward",
    [
        "nn = x + 1\nnn_ = x * 2\nreturn nn + nn_",
        "F = relu(x)\nF_ = F + 1\nF_2 = F_ * F\nreturn relu(F_2)",
        "len = x.shape[0]\nlen_ = len + 1\nreturn x * len_ + len",
        "Model = x + 1\nModel2 = Model * 2\nreturn Model2",
        "self = x + 1\nreturn self * train + train_(self)",
    ],
)
def test_locals_of_any_name_stay_apart(forward: str) -> None:
    assert_same(
        {
            "args": {"train": 2, "Cell": 3},
            "inputs": {"x": [2, 4]},
            "blocks": {"Cell": {"forward": "x * 2"}},
            "layers": {"train_": "Linear(4, 4)", "c": {"_target_": "Linear", "_args_": [4, 4]}},
            "forward": forward,
        }
    )


def test_args_are_not_hidden_by_the_loops_of_init_weights() -> None:
    model = {
        "args": {"name": 0.5, "parameter": 0.25, "module": 0.125, "self": 1, "init_weights": 2.0},
        "inputs": {"x": [2, 4]},
        "layers": {"a": "Linear(4, 4)", "b": "Linear(4, 4)"},
    }
    init = {
        "r": {"param": "weight", "fill": "constant(name + parameter + module)"},
        "s": {"layer": "Linear", "param": "bias", "fill": "constant(name * init_weights)"},
        "my_rule": {"name": "b.weight", "fill": "w = normal() * name; w[0] = module; return w"},
    }
    twin = imported(assert_same(model, init))()
    assert (twin.a.weight == 0.875).all()
    assert (twin.b.bias == 1).all()
    assert (twin.b.weight[0] == 0.125).all()


def test_a_layer_may_be_called_as_the_method_that_fills() -> None:
    layers = {"init_weights": "Linear(4, 4)", "fill_r": "Linear(4, 4)"}
    twin = imported(assert_same({"inputs": {"x": [2, 4]}, "layers": layers}, {"r": {"param": "bias", "fill": 3}}))()
    assert (twin.init_weights.bias == 3).all()


def test_a_repeat_of_none_needs_no_size() -> None:
    layers = ["Linear(4, 4)", {"_repeat_": 0, "_target_": "Linear(out_features=3)"}, "ReLU"]
    assert_same({"inputs": {"x": [2, 4]}, "layers": layers})
    named = {"a": "Linear(4, 4)", "b": {"_repeat_": 0, "_name_": "c{i}", "_target_": "Linear(out_features=3)"}}
    assert_same({"inputs": {"x": [2, 4]}, "layers": named})


def test_shapes_are_flat_and_tensors_have_their_own_memory() -> None:
    parameters = {
        "a": {"shape": [4, [4]], "fill": "ones"},
        "b": {"shape": [4, 3], "fill": "log(arange(1, 4)).expand(4, 3)"},
        "c": {"shape": [4, 3], "fill": "arange(12).reshape(3, 4).T"},
    }
    twin = imported(assert_same({"inputs": {"x": [2, 4]}, "parameters": parameters, "forward": "x @ a @ (b + c)"}))()
    assert all(each.is_contiguous() for each in twin.parameters())
    twin(torch.ones(2, 4)).sum().backward()
    torch.optim.SGD(twin.parameters(), lr=0.1).step()


@pytest.mark.parametrize("fill", ["trunc_normal(std=0)", "trunc_normal(mean=3, std=0)", "trunc_normal(std=spread)"])
def test_a_truncated_normal_without_spread_is_its_mean(fill: str) -> None:
    model = {"args": {"spread": 0.0}, "inputs": {"x": [2, 4]}, "layers": ["Linear(4, 4)"]}
    init = {"r": {"param": "weight", "fill": fill}}
    twin = imported(assert_same(model, init))()
    assert torch.equal(twin[0].weight, modelzoo.build(model, init)[0].weight)


def test_a_class_is_named_after_its_place() -> None:
    pair = [
        {"layers": {"a": "Linear(8, 8)"}, "forward": "a(x)"},
        {"layers": {"b": "Linear(8, 8)"}, "forward": "b(x) + x"},
    ]
    text = assert_same(
        {"inputs": {"x": [2, 8]}, "layers": {"encoder": pair, "none": {"forward": "x"}, "head": pair[0]}}
    )
    names = [each.name for each in ast.parse(text).body if isinstance(each, ast.ClassDef)]
    assert names == ["Encoder0", "Encoder1", "None_", "Head", "Model"]
    listed = assert_same({"inputs": {"x": [2, 8]}, "layers": pair})
    assert "super().__init__(Layer0(), Layer1())" in listed


# --- what the constructor takes ------------------------------------------------------------------------------------


def assert_args_have_their_effect(model: dict[str, Any], text: str) -> None:
    """Two other values of each arg that the class offers give what a config with these values gives."""
    cls = imported(text)
    offered = [*inspect.signature(cls).parameters]
    for name in offered:
        default = model["args"][name]
        for value in others(default):
            changed = {**model, "args": {**model["args"], name: value}}
            try:
                built = modelzoo.build(changed)
            except ConfigError:
                continue
            twin = cls(**{name: getattr(torch.nn, value) if isinstance(value, str) else value})
            twin.load_state_dict(built.state_dict())
            shapes = [(key, each.shape) for key, each in built.state_dict().items()]
            assert shapes == [(key, each.shape) for key, each in twin.state_dict().items()], (name, value, text)
            plan = modelzoo.plan(changed)
            given = [
                torch.randn(each.shape) if each.dtype == "float32" else torch.zeros(each.shape, dtype=torch.int64)
                for each in plan.inputs
            ]
            assert_equal_outputs(built, twin, given)


def assert_equal_outputs(built: Any, twin: Any, given: list[Any]) -> None:
    outputs = []
    for each in (built.eval(), twin.eval()):
        torch.manual_seed(0)
        output = each(*given)
        outputs.append(list(output.values()) if isinstance(output, dict) else output)
    one, other = ([each] if isinstance(each, torch.Tensor) else list(each) for each in outputs)
    assert equal(one, other)


def others(default: Any) -> list[Any]:
    if isinstance(default, bool):
        return [not default]
    if isinstance(default, int):
        return [default + 1, default + 3]
    return ["Tanh", "GELU"] if default in ("ReLU", "Tanh", "GELU", "Sigmoid", "SiLU", "Identity") else []


@pytest.mark.parametrize("chunk", range(8))
def test_args_of_random_models_have_the_effect_that_they_have_in_the_config(chunk: int) -> None:
    for seed in range(1000 + chunk * 5, 1005 + chunk * 5):
        model = Config(seed).block(Generator(seed).model())
        assert_args_have_their_effect(model, source(model))


def test_a_size_that_follows_an_arg_is_written_as_that_arg() -> None:
    layers = {"a": "Linear(out_features=width)", "b": "Linear(out_features=2)"}
    model = {"args": {"dim": 20, "width": 8}, "inputs": {"x": [2, "dim"]}, "layers": layers}
    text = source(model)
    assert "self.a = nn.Linear(dim, width)" in text
    assert "self.b = nn.Linear(width, 2)" in text
    assert_args_have_their_effect(model, text)


@pytest.mark.parametrize(
    ("layers", "line"),
    [
        (["Conv2d(1, width, 3, padding=1)", "Flatten", "Linear(out_features=2)"], "nn.Linear(16 * width, 2)"),
        (["Linear(4, width)", "Flatten", "Linear(out_features=2)"], None),
        (["Unflatten(1, (1, 1))", "Flatten", {"_repeat_": 2, "_target_": "Linear(out_features=width)"}], None),
    ],
)
def test_a_size_that_follows_an_arg_in_another_way_is_a_multiple_or_the_arg_is_offered_no_longer(
    layers: list[Any], line: str | None
) -> None:
    model = {"args": {"width": 3, "unused": 1}, "inputs": {"x": [2, 1, 4, 4]}, "layers": layers}
    text = source(model)
    assert line is None or line in text
    assert_args_have_their_effect(model, text)


def test_an_arg_that_decides_a_size_in_a_way_that_is_not_seen_is_offered_no_longer() -> None:
    layers = ["Conv2d(1, 2, size)", "Flatten", "Linear(out_features=size)"]
    model = {"args": {"size": 2, "other": 5}, "inputs": {"x": [2, 1, 6, 6]}, "layers": [*layers, "Linear(size, other)"]}
    text = assert_same(model)
    assert "def __init__(self, other=5):" in body(text)
    assert "        size = 2\n" in text
    assert_args_have_their_effect(model, text)


def test_of_many_args_those_that_were_not_tried_are_not_offered_where_a_size_was_left_out() -> None:
    args = {f"a{number}": number + 1 for number in range(40)}
    layers = ["Linear(out_features=a0)", "Linear(a0, a39)"]
    model = {"args": args, "inputs": {"x": [2, 4]}, "layers": layers}
    text = assert_same(model)
    assert [*inspect.signature(imported(text)).parameters] == [*args][:32]
    assert "        a39 = 40\n" in text
    plain = source({**model, "layers": ["Linear(4, a0)", "Linear(a0, a39)"]})
    assert [*inspect.signature(imported(plain)).parameters] == [*args]


def test_random_names_stay_names() -> None:
    words = [
        "nn",
        "F",
        "math",
        "self",
        "len",
        "max",
        "Model",
        "Cell",
        "partial",
        "range",
        "layer",
        "copy",
    ]
    draw = random.Random(0)
    for _ in range(40):
        a, b, c, d, e = draw.sample(words, 5)
        cell = {
            "args": [b, f"{c}=2"],
            "layers": [f"Linear({b}, {b})", {"_repeat_": c, "_target_": f"Linear({b}, {b})"}],
        }
        model = {
            "args": {a: 4, c: 1},
            "inputs": {"x": [2, a]},
            "blocks": {"Cell": cell},
            "layers": {d: f"Cell({a})", "more": {"_repeat_": 2, "_unpack_": False, "layers": [f"Linear({a}, {a})"]}},
            "forward": f"{e} = {d}(x)\nreturn more({e}) * {c} + max({a}, 2)",
        }
        if "max" not in (a, c, d, e) and "Cell" not in (a, c):  # an arg hides a function and a definition
            assert_same(model)
