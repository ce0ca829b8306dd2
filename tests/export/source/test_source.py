"""The source of a model is plain PyTorch that computes bit for bit what the built model computes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.modules import module as hooks

import modelzoo
from modelzoo import register
from modelzoo.cli.source import command
from modelzoo.config.config import Config, nowhere
from modelzoo.errors import ConfigError, Problems
from modelzoo.export import exports
from modelzoo.export.source.model import source, written
from modelzoo.modules.inputs import takes_names
from modelzoo.plans import draft as drafts
from modelzoo.plans.draft import example_inputs, fill
from modelzoo.run import save
from tests.helpers.check_sources import equal, facts
from tests.helpers.composing import CONF, compose
from tests.helpers.twinning import Config as Written
from tests.helpers.twinning import Generator

GOLDEN = Path(__file__).parents[2] / "golden"
TESTS = Path(__file__).parents[2]
IMAGE = "model.inputs.x=[1,3,64,64]"
SMALL = {
    "alexnet": ["model.args.hidden=16"],
    "bert": ["model.args.layers=2", "model.args.dim=24", "model.args.heads=2", "model.args.vocab=50"],
    "densenet121": [IMAGE, "model.args.growth=4", "model.args.depths=[2,3,2,2]", "model.args.dim1=8"],
    "gpt2": ["model.args.layers=2", "model.args.dim=24", "model.args.heads=2", "model.args.vocab=50"],
    "lstm_lm": ["model.args.vocab=50", "model.args.dim=16"],
    "mobilenet_v2": [IMAGE],
    "resnet18": [IMAGE, "model.args.stem=8", "model.args.dims=[8,8,16,16]"],
    "resnet50": [IMAGE, "model.args.stem=8", "model.args.dims=[16,16,32,32]"],
    "seq2seq": ["model.args.vocab=50", "model.args.dim=16", "model.args.layers=2", "model.args.width=24"],
    "unet": ["model.args.width=4", "model.inputs.x=[1,1,32,32]"],
    "vgg16": [IMAGE, "model.args.dims=[3,4,8,8,8,8]", "model.args.hidden=16"],
    "vit_b_16": ["model.args.image=32", "model.args.dim=24", "model.args.depth=2", "model.args.hidden=32"],
}
"""Sizes at which a model is quick; the others are small as they are."""


@pytest.fixture(autouse=True)
def one_thread():
    """Sums are the same bits only with as many threads as the other process has."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def imported(text: str) -> Any:
    scope: dict[str, Any] = {"__name__": "model"}
    exec(compile(text, "model.py", "exec"), scope)
    return scope["Model"]


def assert_same(model: Any, init: Any = None, **options: Any) -> str:
    """The model of the source equals the built one in all that `facts` knows; returns the source."""
    text = source(model, init, **options)
    draft = drafts.draft(model, init, **options)
    built = fill(draft, "cpu")
    inputs, by_name = example_inputs(draft, "cpu"), takes_names(built)
    twin = imported(text)()
    twin.load_state_dict(built.state_dict())
    wanted, found = (facts(each, inputs, by_name=by_name) for each in (built, twin))
    for name in wanted:
        assert equal(wanted[name], found[name]), f"{name}\n{wanted[name]}\n{found[name]}\n{text}"
    return text


def body(text: str) -> str:
    """A source without its head."""
    return text[text.index("class ") :]


def case(folder: Path, overrides: list[str]) -> str:
    """What `check_sources` reads; returns the source."""
    model, init = compose(*overrides)
    draft = drafts.draft(model, init)
    folder.mkdir()
    text = written(draft, model)
    (folder / "model.py").write_text(text)
    built = fill(draft, "cpu")
    save.write_parameters(folder, draft.plan, built)
    inputs, by_name = example_inputs(draft, "cpu"), takes_names(built)
    expected = {**facts(built, inputs, by_name=by_name), "inputs": inputs, "by name": by_name}
    torch.save(expected, folder / "expected.pt")
    return text


def test_every_model_of_conf_runs_without_modelzoo_as_it_runs_with_it(tmp_path):
    names = sorted(path.stem for path in (CONF / "model").glob("*.yaml"))
    for name in names:
        case(tmp_path / name, [f"model={name}", *SMALL.get(name, ())])
    text = case(tmp_path / "another function", ["model=mlp"])
    (tmp_path / "another function" / "model.py").write_text(text.replace("F.relu", "F.gelu"))
    case(tmp_path / "modelzoo", ["model=mlp"])
    (tmp_path / "modelzoo" / "model.py").write_text("import modelzoo")
    command = [sys.executable, str(TESTS / "helpers" / "check_sources.py"), *map(str, tmp_path.iterdir())]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert "differs in {'output'" in found.pop("another function")
    assert "modelzoo is refused" in found.pop("modelzoo")
    assert found == dict.fromkeys(names, "")


@pytest.mark.parametrize("seed", range(60))
def test_random_models_are_what_their_source_is(seed):
    assert_same(Written(seed).block(Generator(seed).model()))


@pytest.mark.parametrize(
    "overrides",
    [
        ["model=nested", "init=xavier"],
        ["model=shared", "init=threshold"],
        ["model=fixed_hidden"],
        ["model=rgnet"],
        ["model=gpt2", "init=gpt2", *SMALL["gpt2"]],
        ["model=resnet18", "init=resnet", *SMALL["resnet18"]],
        ["model=seq2seq", "init=seq2seq", *SMALL["seq2seq"]],
    ],
    ids=lambda overrides: overrides[0].removeprefix("model="),
)
def test_sources_read_like_written_by_hand(overrides):
    text = source(*compose(*overrides))
    path = GOLDEN / f"source_{overrides[0].removeprefix('model=')}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text()
    ruff = shutil.which("ruff", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if ruff:
        command = [ruff, "format", "--isolated", "-"]
        assert subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout == text


# --- blocks --------------------------------------------------------------------------------------------------------


def test_a_block_is_one_class_whatever_its_sizes():
    cell = {"args": ["dim", "out", "bias=True"], "layers": ["Linear(dim, out, bias=bias)", "ReLU"]}
    text = assert_same(
        {"inputs": {"x": [2, 3]}, "blocks": {"Cell": cell}, "layers": ["Cell(3, 4)", "Cell(4, 2, bias=False)"]}
    )
    assert body(text) == (
        "class Cell(nn.Sequential):\n"
        "    def __init__(self, dim, out, bias=True):\n"
        "        super().__init__(nn.Linear(dim, out, bias=bias), nn.ReLU())\n\n\n"
        "class Model(nn.Sequential):\n"
        "    def __init__(self):\n"
        "        super().__init__(Cell(3, 4), Cell(4, 2, bias=False))\n"
    )


def test_a_size_that_was_found_is_a_number_where_all_agree_and_an_argument_where_not():
    layers = ["Linear(out_features=4)", {"_repeat_": 3, "_target_": "Linear(out_features=i + 5)"}]
    one = assert_same({"inputs": {"x": [2, 3]}, "layers": layers})
    assert "nn.Linear(3, 4)" in one
    assert "nn.Linear((4, 5, 6)[i], i + 5)" in one
    cell = {"args": ["out"], "layers": ["Linear(out_features=out)", {"_repeat_": 2, "_target_": "LayerNorm"}]}
    two = assert_same({"inputs": {"x": [2, 3]}, "blocks": {"Cell": cell}, "layers": ["Cell(4)", "Cell(5)"]})
    assert "def __init__(self, out, in_features):" in two
    assert "Cell(4, 3), Cell(5, 4)" in two
    assert "nn.LayerNorm(out)" in two


def test_a_layer_as_an_argument_is_something_to_call():
    norm = {"args": ["norm", "act=ReLU"], "layers": ["Linear(4, 4)", "norm(4)", "act()", "=act"]}
    layers = ["Cell(LayerNorm)", "Cell(BatchNorm1d(eps=0.1), act=LeakyReLU(0.2))", "Cell(norm, Sequential(ReLU, Tanh))"]
    model = {"args": {"norm": "RMSNorm"}, "inputs": {"x": [2, 4]}, "blocks": {"Cell": norm}, "layers": layers}
    text = assert_same(model)
    assert "def __init__(self, norm, act=nn.ReLU):" in text
    assert "Cell(nn.LayerNorm)" in text
    assert "Cell(partial(nn.BatchNorm1d, eps=0.1), act=partial(nn.LeakyReLU, 0.2))" in text
    assert "Cell(norm, act=lambda: nn.Sequential(nn.ReLU(), nn.Tanh()))" in text


def test_layers_as_arguments_are_given_the_sizes_that_their_places_tell():
    cell = {"args": ["norm"], "layers": ["Linear(3, 4)", "norm()", "Linear(4, 5)", "=norm", "Linear(5, 3)"]}
    text = assert_same(
        {"inputs": {"x": [2, 3]}, "blocks": {"Cell": cell}, "layers": ["Cell(LayerNorm)", "Cell(BatchNorm1d)"]}
    )
    assert "norm(4), nn.Linear(4, 5), norm(5)" in text


@pytest.mark.parametrize(
    ("model", "line"),
    [
        (
            {"args": {"stem": ["Linear(out_features=4)", "ReLU"]}, "layers": ["=stem", "stem()"]},
            "def __init__(self, stem=lambda: nn.Sequential(nn.Linear(4, 4), nn.ReLU())):",
        ),
        (
            {"args": {"act": None, "on": True}, "layers": [{"_target_": "act", "_if_": "=on"}, "Linear(4, 4)"]},
            "super().__init__(*([act()] if on and act is not None else []), nn.Linear(4, 4))",
        ),
        (
            {"args": {"act": None}, "layers": [{"_target_": "act", "_repeat_": 3}, "Linear(4, 4)"]},
            "if act is not None:",
        ),
        (
            {
                "args": {"stage": "Stage(d=5, e=4)"},
                "blocks": {"Stage": {"args": {"d": 3, "e": "=d * 2"}, "layers": ["Linear(4, d)", "Linear(d, e)"]}},
                "layers": ["=stage"],
            },
            "def __init__(self, d=3, e=None):",
        ),
    ],
)
def test_what_an_arg_describes_is_written_as_it_was_made(model, line):
    assert line in assert_same({"inputs": {"x": [2, 4]}, **model})


def test_conditions_and_recursion_are_pythons_own():
    tower = {
        "args": ["n", "bias=True"],
        "layers": ["Linear(n, n, bias=bias)", {"_if_": "n > 2", "layers": ["Linear(n, n - 1)", "Tower(n - 1)"]}],
    }
    model = {"args": {"wide": False}, "inputs": {"x": [2, 4]}, "blocks": {"Tower": tower}}
    text = assert_same({**model, "layers": ["Tower(4)", {"_if_": "wide", "_target_": "Linear(2, 8)"}]})
    assert "if n > 2" in text
    assert "*([nn.Linear(2, 8)] if wide else [])" in text


def test_a_list_that_a_formula_computes_is_a_tuple_whatever_it_was_made_of():
    model = {
        "args": {
            "n": 3,
            "widths": "=[4 * 2 ** k for k in range(n)]",
            "ends": "=widths + [4]",
            "steps": "=[k * (b - a) for k, (a, b) in enumerate(zip(widths, widths[1:]), 1)]",
            "same": "=ends == [4, 8, 16, 4]",
        },
        "inputs": {"x": [2, 4]},
        "layers": [
            {"_repeat_": "len(ends) - 1", "_target_": "Linear(ends[i], ends[i + 1])"},
            {"_target_": "Linear(4, sum([len for len in reversed(steps) if len > 4]))", "_if_": "same"},
            "Unflatten(1, [1, max([w for w in widths])] + [1])",
        ],
    }
    text = assert_same(model)
    assert "widths = tuple(4 * 2**k for k in range(n))" in text
    assert "ends = widths + (4,)" in text
    steps = "steps = tuple( k * (b - a) for k, (a, b) in enumerate(zip(widths, widths[1:]), 1) )"
    assert steps in " ".join(text.split())
    assert "sum(len_ for len_ in reversed(steps) if len_ > 4)" in text
    four = imported(text)(n=4)
    assert [each.out_features for each in four[0]] == [8, 16, 32, 4]


def test_the_names_of_a_comprehension_hide_nothing_and_are_hidden_by_nothing():
    sized = {"args": ["n"], "layers": ["Linear(4, sum([k + nn for nn in range(n) for k in [n]]))"]}
    model = {
        "args": {"k": 3},
        "inputs": {"x": [2, 4]},
        "blocks": {"Sized": sized},
        "layers": ["Linear(4, k + 1)", "Sized(k)", "Linear(12, k + sum([j * k for j in range(k)]))"],
    }
    text = assert_same(model)
    assert "sum(k + nn_ for nn_ in range(n) for k in (n,))" in text


@pytest.mark.parametrize("kind", ["pre", "post", "none"])
def test_an_arg_is_compared_with_texts_as_python_compares_them(kind):
    layers = [
        {"_target_": "LayerNorm(4)", "_if_": "kind == 'pre'"},
        "Linear(4, 8 if kind in ['post', 'both'] else 4)",
    ]
    body = {"layers": {"a": layers}, "forward": "a(x) if kind != 'none' else x * 2"}
    text = assert_same({"args": {"kind": kind}, "inputs": {"x": [2, 4]}, **body})
    assert 'if kind == "pre"' in text
    assert '8 if kind in ("post", "both") else 4' in text
    assert 'kind != "none"' in text


@pytest.mark.parametrize(
    "text",
    [
        "for k, (f, g) in enumerate(zip(a[1:], b), 2):\n  x = g(f(x)) * k\nreturn x",
        "for f in reversed(a):\n  x = f(x)\n  if x.sum() > 1:\n    break\nreturn x",
        "for zip, len in zip(range(3), a):\n  if zip == 1:\n    continue\n  x = len(x) + zip\nreturn x",
        "while True:\n  x = x / 2\n  if x.abs().sum() < 1:\n    break\nreturn a[-1](x)",
        "for f in a[::-1]:\n  for i in range(4):\n    if i > 2:\n      break\n    x = f(x) + max(i, 1)\nreturn x",
    ],
)
def test_what_a_loop_goes_over_and_how_it_ends_are_pythons_own(text):
    layers = {"a": ["Linear(4, 4)", "Linear(4, 4)", "Linear(4, 4)"], "b": ["LayerNorm(4)", "ReLU"]}
    assert_same({"inputs": {"x": [2, 4]}, "layers": layers, "forward": text})


def test_layers_are_shared_across_blocks_repeats_and_names_and_tensors_are_tied():
    inner = {"layers": {"again": {"_ref_": "a"}, "b": "Linear(4, 4)"}, "forward": "b(again(x)) + x"}
    model = {
        "inputs": {"x": [2, 4]},
        "layers": {
            "first": {"_ref_": "a"},
            "blocks": {"_repeat_": 2, "_name_": "b{i}", **inner},
            "a": "Linear(4, 4)",
            "tail": {"layers": ["Linear(4, 4)", "ReLU", {"_ref_": 0}, {"_ref_": "blocks.b1.b"}, "LSTM(4, 4)"]},
            "lstm": "LSTM(4, 4)",
        },
        "tie": {"tail.0.weight": "a.weight", "lstm.weight_ih_l0": "tail.4.weight_ih_l0"},
        "forward": "x, _ = tail(blocks(first(x)))\ny, _ = lstm(x)\nreturn y",
    }
    assert_same(model)


@pytest.mark.parametrize("outer", [{"a.q.weight": "b.weight"}, {"a.p.weight": "b.weight"}])
def test_ties_of_blocks_inside_each_other_make_one_tensor(outer):
    inner = {"layers": {"p": "Linear(4, 4)", "q": "Linear(4, 4)"}, "tie": {"p.weight": "q.weight"}}
    assert_same({"inputs": {"x": [2, 4]}, "layers": {"a": inner, "b": "Linear(4, 4)"}, "tie": outer})


def test_unpacked_layers_stand_in_the_list_around_them():
    pair = {"args": ["dim"], "layers": ["Linear(dim, dim)", "ReLU"]}
    layers = [
        {"_target_": "Pair(4)", "_unpack_": True},
        {"_repeat_": 2, "_unpack_": True, "_target_": "Pair(4)"},
        {"_repeat_": 2, "_unpack_": True, "layers": ["Linear(4, 4 )", "Tanh"]},
        {"_repeat_": 2, "_unpack_": True, "_target_": "Linear(4, 4)"},
        {"_if_": "flag", "_unpack_": True, "layers": ["Linear(4, 4)", "Tanh"]},
    ]
    text = assert_same({"args": {"flag": True}, "inputs": {"x": [2, 4]}, "blocks": {"Pair": pair}, "layers": layers})
    assert "*Pair(4)," in text
    assert "*(layer for _ in range(2) for layer in Pair(4))" in text


def test_a_single_layer_is_a_class_too():
    text = source({"_target_": "Linear", "in_features": 3, "out_features": 2})
    assert body(text) == ("class Model(nn.Linear):\n    def __init__(self):\n        super().__init__(3, 2)\n")
    assert list(imported(text)().state_dict()) == ["weight", "bias"]


def test_functions_are_called_whose_names_hold_values_or_layers():
    model = {
        "args": {"sum": 2, "int": 3, "dropout": 0.5},
        "inputs": {"x": [2, 4], "mean": [2, 4]},
        "layers": {"fc": "Linear(4, int(4.0) * int)", "relu": "ReLU"},
        "forward": "max = torch.relu(fc(relu(x)))\nreturn max(max) * sum + mean(mean) + dropout(x, dropout, False).sum()",
    }
    assert_same(model)


def test_names_of_python_torch_and_modules_are_kept_apart():
    model = {
        "args": {"half": 4, "F": 2, "max": 3, "torch": 1},
        "inputs": {"x": [2, 4]},
        "layers": {"self": "Linear(half, max * F)", "nn": "Linear(6, torch)"},
        "forward": "math = self(x)\nreturn relu(nn(math)) * half + F + sqrt(max) + max",
    }
    assert_same(model)


# --- forward -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "forward",
    [
        "x * sqrt(x.shape[-1]) + max(x.shape[0], 3)",
        "max(x, x * 2) + min(2, 3) + abs(x) + abs(-2) + sum([x, x]) + sum(x)",
        "h, w = x.shape\nreturn x * w + round(w / 3) + round(x) + arange(w)",
        "n = 0\nwhile x.sum() > 1 and n < 3:\n  x = x / 2\n  n += 1\nreturn x, n",
        "for i in range(depth):\n  x = a(x) + i\nreturn {'left': x, 'right': -x}",
        "y = x\ny += 1\nreturn x, y",
        "return a(x) if not b and training else a(x).to('float64').exp()",
        "if b:\n  x = b(x)\nelif x.mean() > 0:\n  x = -x\nelse:\n  x = x + 1\nreturn x",
        "q, k = x.chunk(2, -1)\nreturn cat((q, k, zeros(2, 1)), 1) @ eye(5)[:, :2], sum(x.chunk(2, -1))",
        "y = zeros(2, 3, dtype='float64') + x.mean()\nreturn y.sort()[0], float('inf'), masked_fill(x, x > 0, 2)",
        "return linear(x, a.weight, a.bias) + a.weight.shape[0] + len(s) + s[1](x) + sum(s[0].bias)",
        "for each in s:\n  x = each(x)\nreturn x ** 2 - 2 ** -1 * x[0, 1:x.shape[1] - 1].sum()",
        "return ceil(depth / 2) + ceil(x) + exp(x) + exp(1) + prod(x) + prod(x.shape)",
    ],
)
def test_a_forward_computes_the_same(forward):
    layers = {
        "a": "Linear(4, 4)",
        "b": {"_if_": "depth > 5", "_target_": "ReLU"},
        "s": ["Linear(4, 4)", "Linear(4, 4)"],
    }
    assert_same({"args": {"depth": 2}, "inputs": {"x": [2, 4]}, "layers": layers, "forward": forward})


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64"])
@pytest.mark.parametrize(
    ("forward", "line"),
    [
        ("x + zeros(4), arange(4), full((2,), 1)", "torch.zeros(4, dtype=x.dtype, device=x.device)"),
        ("x + arange(0, 1, step) + arange(4)", "torch.arange(0, 1, self.step, dtype=x.dtype, device=x.device)"),
        ("full((4,), n), full((4,), n / 2)", "torch.full((4,), self.n / 2, dtype=x.dtype, device=x.device)"),
        ("b, n1 = x.shape\nreturn arange(n1), x * tensor([1.0, b, 2, 3])", "torch.arange(n1, device=x.device)"),
        ("k = 0\nk += 1\nreturn x + arange(k)", "torch.arange(k, device=x.device)"),
        ("for i in range(2):\n  x = x + full((4,), i)\nreturn x", "torch.full((4,), i, device=x.device)"),
        ("v = x.sum().item()\nreturn x + full((4,), v)", "dtype=x.dtype if isinstance(v, float) else None"),
        ("full((4,), x.sum()) + x", "dtype=x.dtype if x.sum().is_floating_point() else None"),
        ("x = x.double()\nreturn x + zeros(4), ones(2)", "dtype = x.dtype"),
        ("inner(x > 0)", "torch.ones(4, dtype=next(self.parameters()).dtype, device=x.device)"),
        ("second([x > 0, x])", "zeros(4, dtype=xs[1].dtype, device=xs[0].device)"),
        ("either(x), either(x > 0)", "dtype = x.dtype if x.is_floating_point() else torch.get_default_dtype()"),
    ],
)
def test_what_a_forward_makes_has_the_dtype_of_the_model_in_the_source_too(forward, line, dtype):
    layers = {
        "inner": {"layers": {"a": "Linear(4, 4)"}, "forward": "a(ones(4)) * x"},
        "second": {"inputs": ["xs"], "forward": "xs[1] + zeros(4)"},
        "either": {"forward": "zeros(4) * x"},
    }
    used = {name: layer for name, layer in layers.items() if name in forward}
    args = {"n": 2, "step": 0.25}
    text = assert_same({"args": args, "inputs": {"x": [2, 4]}, "layers": used, "forward": forward}, dtype=dtype)
    assert line in " ".join(text.split())


def test_the_dtype_of_what_was_never_called_is_asked_for_in_the_source():
    text = source({"layers": {"a": "Linear(2, 2)"}, "forward": "a(x) + zeros(2)"})
    assert "dtype = x.dtype if x.is_floating_point() else next(self.parameters()).dtype" in " ".join(text.split())
    model = imported(text)()
    assert model(torch.zeros(2)).dtype == torch.float32


# --- tensors -------------------------------------------------------------------------------------------------------


def test_own_tensors_keep_their_shapes_dtypes_values_and_flags():
    model = {
        "args": {"n": 3, "size": [2, 4], "bound": 0.5},
        "inputs": {"x": [2, 4]},
        "parameters": {
            "a": {"shape": ["n"], "fill": "uniform(-bound, bound)"},
            "b": {"shape": ["size"], "fill": "xavier_uniform", "trainable": False},
            "c": {"shape": [], "fill": 2},
            "d": {"shape": [2], "fill": 1, "dtype": "int64"},
        },
        "buffers": {
            "mask": {"shape": ["n", "n"], "fill": "tril(ones(n, n))", "persistent": False},
            "flags": {"shape": ["n"], "fill": "arange(n) > 0", "dtype": "bool", "persistent": False},
            "wide": {"shape": ["n", "n"], "fill": "arange(n) * 2", "persistent": False},
            "share": {"shape": [4], "fill": "n / 4", "persistent": False},
            "steps": {"shape": [], "fill": "w = ones(2)\nw[0] = n\nreturn w.sum()"},
            "counts": {"shape": [2], "fill": "uniform(0, 9)", "dtype": "int64"},
            "noise": {"shape": [2, 2], "fill": "normal(std=0.1)", "persistent": False},
            "seen": {"shape": ["n"], "fill": "uniform(0, 1) + n", "persistent": False},
        },
        "forward": "return x.sum() + a.sum() + b.sum() + c + d.sum() + mask.sum() + wide.sum() + noise.sum() + seen",
    }
    text = assert_same(model, seed=3)
    assert 'self.register_buffer("mask", torch.tril(torch.ones(n, n)), persistent=False)' in text
    assert "self.c = nn.Parameter(torch.full((), 2.0))" in text


def test_a_large_random_buffer_in_no_state_dict_cannot_be_written():
    tensor = {"shape": [50, 50], "fill": "normal", "persistent": False}
    model = {"inputs": {"x": [2, 50]}, "layers": {}, "buffers": {"noise": tensor}, "forward": "x @ noise"}
    with pytest.raises(ConfigError) as caught:
        source(model)
    assert str(caught.value) == (
        "model.buffers.noise\n"
        "  'noise' is random, 2,500 numbers long, and in no state dict: a source cannot give it its values. "
        "Remove persistent: false."
    )


@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
def test_a_dtype_is_the_models(dtype):
    assert_same(compose("model=nested")[0], dtype=dtype)


# --- init ----------------------------------------------------------------------------------------------------------


class Spread(nn.Module):
    """A layer that a user registers."""

    def __init__(self, dim: int, width: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((dim,), width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.weight


def weights(model: Any, init: Any) -> tuple[str, nn.Module]:
    torch.manual_seed(0)
    text = assert_same(model, init)
    return text, imported(text)()


def test_a_rule_with_lists_is_one_loop_or_a_line_for_each_name():
    model = {"inputs": {"x": [2, 3]}, "layers": ["Linear(3, 4)", "LayerNorm(4)", "Linear(4, 4)"]}
    init = {
        "linears": {"layer": "Linear", "param": ["weight", "bias"], "fill": "constant(1 / fan_in)"},
        "norms": {"layer": "LayerNorm", "param": ["bias", "weight"], "fill": 3},
        "all": {"param": ["weight", "bias"], "fill": "value + 1"},
        "ends": {"name": ["0.bias", "2.w*"], "fill": "value + fan_in"},
    }
    text, twin = weights(model, init)
    assert 'if name.split(".")[-1] in ("weight", "bias"):' in text
    assert "nn.init.constant_(module.bias, 1 / module.weight[0].numel())" in text
    assert "fnmatchcase" not in text
    built = modelzoo.build(model, init).state_dict()
    assert {name: float(each.mean()) for name, each in twin.state_dict().items()} == {
        name: float(each.mean()) for name, each in built.items()
    }


@pytest.mark.parametrize(
    "rule",
    [
        {"param": "bias", "fill": "constant(fan_out)"},
        {"param": ["weight", "bias"], "fill": "w = zeros()\nreturn w + fan_in"},
        {"param": ["bias_hh_l0", "bias_ih_l0"], "fill": "constant(1 / fan_in)"},
        {"name": "*", "fill": "constant(1 / fan_in)"},
        {"name": "2.bias*", "fill": "zeros() + fan_in"},
        {"layer": "Linear", "name": "*", "fill": "value * 0 + fan_in"},
    ],
)
def test_the_fans_of_a_bias_are_those_of_the_weight_in_the_source_too(rule):
    model = {"inputs": {"x": [2, 3]}, "layers": ["Linear(3, 5)", "Linear(5, 7)", "LSTM(7, 4)"]}
    twin, built = weights(model, {"r": rule})[1].state_dict(), modelzoo.build(model, {"r": rule}).state_dict()
    ruled = [each.name for each in modelzoo.plan(model, {"r": rule}).tensors if each.rule == "init.r"]
    assert ruled
    assert all(torch.equal(twin[name], built[name]) for name in ruled)


def test_the_bias_of_a_block_has_the_fans_of_its_weight_in_the_source_too():
    tensors = {
        "bias": {"shape": ["n"], "fill": "constant(fan_in)"},
        "bias_2": {"shape": ["n"], "fill": "w = zeros()\nreturn w + fan_out"},
        "weight": {"shape": ["n", 3], "fill": "constant(fan_out)"},
        "weight_2": {"shape": [7, "n"], "fill": "ones"},
    }
    model = {
        "args": {"n": 5},
        "inputs": {"x": [2, 3]},
        "parameters": tensors,
        "forward": "linear(x, weight, bias + bias_2)",
    }
    twin, built = imported(source(model))().state_dict(), modelzoo.build(model).state_dict()
    assert all(torch.equal(each, built[name]) for name, each in twin.items())


def test_rules_are_loops_in_their_order_and_exceptions_come_last():
    model = {
        "args": {"depth": 3},
        "inputs": {"x": [2, 64]},
        "layers": {
            "h": {"_repeat_": "depth", "layers": {"a": "Linear(64, 64)", "b": {"_target_": "Linear(64, 64)"}}},
            "out": {"_target_": "Linear(64, 64)", "_init_": {"weight": "orthogonal", "bias": 3}},
        },
    }
    init = {
        "all": {"layer": "Linear", "param": "weight", "fill": "normal(std=0.02)"},
        "some": {"name": "*.b.weight", "fill": "normal(std=0.5 / sqrt(2 * depth))"},
        "biases": {"param": "bias", "fill": 0},
        "one": {"name": "h.1.a.bias", "fill": "value + 1"},
        "cut": {"name": "h.0.a.weight", "fill": "w = uniform(-10, 10)\nreturn w * (abs(w) >= 5)"},
    }
    text, twin = weights(model, init)
    assert "def init_weights(self, depth):" in text
    assert twin.h[2].a.weight.std().item() == pytest.approx(0.02, rel=0.1)
    assert twin.h[1].b.weight.std().item() == pytest.approx(0.5 / 6**0.5, rel=0.1)
    assert (twin.h[1].a.bias == 1).all()
    assert (twin.h[0].a.bias == 0).all()
    assert (twin.out.bias == 3).all()
    assert torch.allclose(twin.out.weight @ twin.out.weight.T, torch.eye(64), atol=1e-5)
    cut = twin.h[0].a.weight
    assert 5 <= cut[cut != 0].abs().min() <= cut.abs().max() <= 10


def test_a_tied_tensor_starts_as_the_fill_that_decides_says():
    scale = {"shape": [4], "fill": 5}
    model = {"inputs": {"x": [2, 4]}, "layers": {"norm": "LayerNorm(4)"}, "parameters": {"scale": scale}}
    _, twin = weights({**model, "forward": "norm(x) * scale", "tie": {"scale": "norm.bias"}}, None)
    assert (twin.norm.bias == 5).all()


def test_every_init_of_conf_has_the_distribution_it_says():
    for name in sorted(path.stem for path in (CONF / "init").glob("*.yaml")):
        try:
            model, init = compose("model=regression", "model.args.dim=60", "model.args.width=80", f"init={name}")
            built = modelzoo.build(model, init)
        except ConfigError:
            continue  # for another model
        torch.manual_seed(0)
        twin = imported(source(model, init))()
        for (_, one), (_, other) in zip(built.named_parameters(), twin.named_parameters(), strict=True):
            if one.numel() > 1_000:
                spread = one.std().item()
                assert other.std().item() == pytest.approx(spread, rel=0.1, abs=1e-6), name
                assert other.mean().item() == pytest.approx(one.mean().item(), abs=0.1 * spread + 1e-6), name


def test_registered_layers_are_imported_from_where_they_are_defined():
    register.layer(Spread, name="SourceSpread")
    text = source({"inputs": {"x": [2, 4]}, "layers": ["SourceSpread(4)", "SourceSpread(4, width=2.0)"]})
    assert f"from {Spread.__module__} import Spread" in text
    assert "super().__init__(Spread(4), Spread(4, width=2.0))" in text


# --- where it is asked for -----------------------------------------------------------------------------------------


def test_the_tool_prints_the_source_of_a_file_and_of_overrides(capsys):
    assert command([str(CONF / "model" / "shared.yaml")]) == 0
    from_file = capsys.readouterr().out
    assert command(["model=shared", "init=default"]) == 0
    assert capsys.readouterr().out == from_file == source(*compose("model=shared"))


def test_a_job_writes_what_export_names(tmp_path):
    model, init = compose("model=shared")
    draft = drafts.draft(model, init)
    given = Config(model=model, init=init, locate=nowhere)
    paths = exports.write(exports.names(["source"], Problems()), draft, fill(draft, "cpu"), given, tmp_path)
    assert paths == [tmp_path / "model.py"]
    assert paths[0].read_text() == source(model, init)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (["sorce"], "export\n  there is no export 'sorce'. Did you mean 'source'?"),
        (3, "export\n  export must be a list of names, not 3. Type export=[source]."),
    ],
)
def test_an_unknown_export_is_explained(value, message):
    problems = Problems()
    assert exports.names(value, problems) == ()
    with pytest.raises(ConfigError) as caught:
        problems.check()
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("args", "layers", "line"),
    [
        ({"ReLU": "GELU"}, ["ReLU"], "    def __init__(self, ReLU=nn.GELU):"),
        ({"ReLU": []}, ["ReLU"], "    def __init__(self, ReLU=lambda: nn.Sequential()):"),
        (
            {"body": ["Linear(4, 4)", "ReLU"]},
            ["body", "body"],
            "    def __init__(self, body=lambda: nn.Sequential(nn.Linear(4, 4), nn.ReLU())):",
        ),
        ({"acts": ["ReLU", "GELU"]}, ["=acts[1]"], "    def __init__(self, acts=(nn.ReLU, nn.GELU)):"),
        ({}, ["Sequential({'c': ReLU})"], '        super().__init__(nn.Sequential(OrderedDict({"c": nn.ReLU()})))'),
    ],
)
def test_an_arg_that_is_a_layer_is_made_where_it_is_used_whatever_it_is_called_or_holds(args, layers, line):
    assert line in assert_same({"args": args, "inputs": {"x": [2, 4]}, "layers": layers}).splitlines()


@pytest.mark.parametrize(
    ("layer", "signature", "line"),
    [
        ("act if wide else CrossMapLRN2d", "self, act=nn.GELU", "self.a = act()"),
        ("act if wide else Linear(out_features=3)", "self, act=nn.GELU", "self.a = act()"),
        ("act if wide else Tanh", "self, act=nn.GELU, wide=True", "self.a = act() if wide else nn.Tanh()"),
        ("act if wide else 'GLU(0)'", "self, act=nn.GELU, wide=True", "self.a = act() if wide else nn.GLU(dim=0)"),
    ],
)
def test_of_two_layers_the_one_that_no_arg_can_choose_is_left_out(layer, signature, line):
    model = {"inputs": {"x": [2, 4]}, "args": {"act": "GELU", "wide": True}, "layers": {"a": layer}}
    text = assert_same(model)
    assert f"def __init__({signature}):" in text
    assert line in text


def test_a_sequence_that_is_called_by_the_name_of_its_input_is_called_by_position():
    gates = {"Gate": {"inputs": ["value"], "layers": ["Linear(8, 8)", "Sigmoid"]}}
    inner = {"inputs": ["image"], "layers": ["ReLU"]}
    model = {
        "inputs": {"x": [2, 8]},
        "blocks": gates,
        "layers": {"gate": "Gate", "more": inner, "fc": "Linear(8, 8)"},
        "forward": "x = x * gate(value=x) + fc(input=x)\nreturn more(image=x)",
    }
    text = assert_same(model)
    assert "x = x * self.gate(x) + self.fc(input=x)" in text
    assert "self.more(x)" in text


def test_a_reference_to_nothing_that_nothing_uses_is_told():
    model = {"args": {"Lin": {"_ref_": "x"}}, "layers": {}}
    modelzoo.plan(model)
    with pytest.raises(modelzoo.ConfigError) as caught:
        source(model)
    assert str(caught.value) == (
        "model.args.Lin\n  there is no layer 'x' here that a source could name. Write the layer, or remove the reference."
    )


def test_a_rule_that_later_ones_overwrite_on_vectors_leaves_them_out():
    model = {"inputs": {"x": [2, 3, 5, 5]}, "layers": ["Conv2d(3, 4, 3)", "BatchNorm2d(4)"]}
    init = {
        "convs": {"param": "weight", "fill": "kaiming_normal(mode='fan_out')"},
        "scales": {"layer": "BatchNorm2d", "param": "weight", "fill": 2},
    }
    text, twin = weights(model, init)
    assert 'if name.split(".")[-1] == "weight" and parameter.ndim > 1:' in text
    assert (twin[1].weight == 2).all()
    assert (modelzoo.build(model, init)[1].weight == 2).all()


def test_writing_a_source_leaves_no_hook_behind() -> None:
    source({"inputs": {"x": [2, 3]}, "blocks": {"B": {"forward": "x + zeros(3)"}}, "layers": ["B"]})
    assert not any(
        value for name, value in vars(hooks).items() if name.startswith("_global") and isinstance(value, dict)
    )


@pytest.mark.parametrize(
    ("value", "condition"),
    [
        (0.0, "Dropout > 0"),
        ("no", "Dropout == 'yes'"),
        ([1, 2], "len(Dropout) > 4"),
        ({"p": 0.5}, "Dropout is None"),
        (False, "Dropout"),
    ],
)
def test_an_arg_that_is_no_layer_and_that_a_condition_keeps_from_being_made_stays_the_value_that_it_is(
    value: Any, condition: str
) -> None:
    layers = {"d": {"_target_": "Dropout", "_if_": condition}, "act": "ReLU"}
    text = assert_same({"args": {"Dropout": value}, "inputs": {"x": [2]}, "layers": layers})
    assert f"Dropout={tuple(value) if isinstance(value, list) else value!r}".replace("'", '"') in text


def test_a_size_that_the_example_input_decides_is_marked_by_a_comment() -> None:
    layers = {"flat": "Flatten", "fc": "Linear(out_features=120)", "more": "Linear(120, 8)"}
    text = assert_same({"inputs": {"x": [2, 6, 5, 5]}, "layers": layers})
    assert body(text).splitlines()[3:] == [
        "        self.flat = nn.Flatten()",
        "        self.fc = nn.Linear(150, 120)  # inferred: in_features=150",
        "        self.more = nn.Linear(120, 8)",
    ]


def test_a_comment_that_is_too_long_for_its_line_stands_above_it() -> None:
    text = assert_same({"inputs": {"x": [2, 3]}, "layers": [{"_target_": "Linear(out_features=8)", "_repeat_": 2}]})
    assert body(text).splitlines()[2:] == [
        "        # inferred: in_features=(3, 8)[i]",
        "        super().__init__(nn.Sequential(*(nn.Linear((3, 8)[i], 8) for i in range(2))))",
    ]


def test_a_fill_that_rules_overwrite_wherever_it_stands_is_not_written_since_nobody_tried_it() -> None:
    model = {
        "inputs": {"x": [2, 3, 8]},
        "parameters": {
            "shift": {"shape": [1, 3, 8], "fill": "ones([1, 2])"},
            "kept": {"shape": [8], "fill": "arange(8.0)"},
        },
        "forward": "x + shift * kept",
    }
    text = assert_same(model, {"shifts": {"param": "shift", "fill": "normal(std=0.02)"}})
    assert "self.shift = nn.Parameter(torch.empty(1, 3, 8))" in text
    assert "arange" in text


@pytest.mark.parametrize(
    ("trainable", "given", "written"),
    [
        ("=tuned", True, ", requires_grad=tuned"),
        ("=tuned", 1, ", requires_grad=bool(tuned)"),
        ("=-tuned", False, ", requires_grad=bool(-tuned)"),
        ("=not tuned", True, ", requires_grad=not tuned"),
        ("=tuned > 1", 2, ", requires_grad=tuned > 1"),
        (True, 1, ""),
    ],
)
def test_whether_a_tensor_is_trained_is_written_as_torch_wants_it(trainable, given, written):
    scale = {"shape": 4, "fill": "ones", "trainable": trainable}
    model = {"args": {"tuned": given}, "inputs": {"x": [2, 4]}, "parameters": {"scale": scale}, "forward": "x * scale"}
    model["layers"] = {"unused": {"_target_": "Identity", "_if_": "=tuned > 5"}}
    text = source(model)
    assert f"self.scale = nn.Parameter(torch.ones(4){written})" in text
    made: dict[str, Any] = {}
    exec(text, made)
    assert made["Model"]().scale.requires_grad is modelzoo.build(model).scale.requires_grad


@pytest.mark.parametrize(
    "forward",
    [
        "y = cummax(x, dim=1)\nreturn max(y, y)",
        "y = topk(x, 1)\nreturn max(y, y)",
        "y = x.sort()\nreturn min(y, y)",
        "y = x.max(1)\nreturn max(y, y)",
        "y = median(x, dim=1)\nreturn max(y, y)",
        "y = max_pool1d(x, 2, return_indices=True)\nreturn max(y, y)",
        "y, places = sort(x)\nreturn max(y, x)",
        "return max(x, 2 * x).max(x)",
    ],
)
def test_of_what_a_function_returns_together_python_takes_the_largest(forward):
    model = {"inputs": {"x": [2, 4]}, "forward": forward}
    made: dict[str, Any] = {}
    exec(source(model), made)
    x = torch.linspace(-1, 1, 8).reshape(2, 4)
    one, other = made["Model"]()(x), modelzoo.build(model)(x)
    assert all(map(torch.equal, one, other))
