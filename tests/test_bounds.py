"""The bounds of what a config may hold: one table, said in `SECURITY.md`, and nothing beyond them is taken."""

from __future__ import annotations

import difflib
import json
import pathlib
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch

import modelzoo
from modelzoo import ConfigError, bounds, errors

SECURITY = pathlib.Path(__file__).parent.parent / "SECURITY.md"


def number(text: str) -> int:
    """A number as the table writes it: 10,000 or 2**20."""
    base, _, exponent = text.replace(",", "").partition("**")
    return int(base) ** int(exponent or 1)


def test_the_page_on_security_says_every_bound():
    said = dict(re.findall(r"^\| `([A-Z]+)` \| ([0-9,*]+) \| .+ \|$", SECURITY.read_text(), re.MULTILINE))
    held = {name: value for name, value in vars(bounds).items() if name.isupper()}
    assert {name: number(text) for name, text in said.items()} == held


# Integers


FAR = "0x" + "f" * 5_000
TOO_LARGE = (
    "An integer of 20,000 bits is too large: integers are below 9,223,372,036,854,775,808. Write a float, as in 1e30."
)
DIGITS = "this text has an integer of thousands of digits"


def refused(config: str, tmp_path: pathlib.Path) -> list[str]:
    """What is wrong with a model file: each problem's place in it, and its sentence."""
    file = tmp_path / "model.yaml"
    file.write_text(config)
    with pytest.raises(ConfigError) as caught:
        modelzoo.build(file)
    return [f"{each.where.removeprefix(f'{file}:')} {each.what} {each.hint}".strip() for each in caught.value.problems]


@pytest.mark.parametrize(
    "config",
    [
        "layers: [{_target_: ReLU, _repeat_: N}]",
        "layers: [{_target_: Linear, in_features: 4, out_features: N}]",
        "layers: [{_target_: N}]",
        "layers: [{_ref_: N}]",
        "layers: [{_args_: [4, N], _target_: Linear}]",
        "args: {n: N}\ninputs: {x: [2, 4]}\nforward: x + n",
        "inputs: {x: [2, N]}\nlayers: [ReLU]",
        "inputs: {x: [2, 4]}\nbuffers: {b: {shape: [2], fill: N}}\nforward: x",
        "inputs: {x: [2, 4]}\nlayers: {? N : ReLU}",
        "layers: [ReLU]\nblocks: {B: {args: {n: N}, layers: [ReLU]}}",
    ],
)
def test_an_integer_of_thousands_of_digits_is_refused_where_it_is_written(config, tmp_path):
    before = config[: config.index("N")]
    place = f"{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"
    assert refused(config.replace("N", FAR), tmp_path) == [f"{place} {TOO_LARGE}"]


@pytest.mark.parametrize(
    "config",
    [
        "layers: ['Linear(4, N)']",
        "layers: [{_target_: Linear, in_features: 4, out_features: '=N'}]",
        "layers: [{_target_: ReLU, _repeat_: 'N'}]",
        "layers: [{_target_: ReLU, _if_: 'N > 1'}]",
        "inputs: {x: [2, 4]}\nforward: x + N",
        "inputs: {x: [2, 4]}\nbuffers: {b: {shape: [2], fill: 'constant(N)'}}\nforward: x + b",
        "inputs: {x: [2, 4]}\nbuffers: {b: {shape: [2], fill: 'N'}}\nforward: x + b",
        "inputs: {x: [2, 'N']}\nlayers: [ReLU]",
        "layers: ['B(N)']\nblocks: {B: {args: [n], layers: [ReLU]}}",
        "layers: ['B()']\nblocks: {B: {args: ['n=N'], layers: [ReLU]}}",
    ],
)
def test_it_is_refused_in_a_text_too(config, tmp_path):
    problems = refused(config.replace("N", FAR), tmp_path)
    assert {each.partition(" ")[2] for each in problems} == {DIGITS}


def test_a_reference_with_an_index_of_thousands_of_digits_leads_nowhere(tmp_path):
    index = "9" * 5_000
    (problem,) = refused(f"args: {{sizes: [4]}}\nlayers: ['Linear(${{model.args.sizes.{index}}}, 4)']", tmp_path)
    assert (
        problem == f"2:10 '${{model.args.sizes.{index}}}' refers to 'model.args.sizes.{index}', which does not exist."
    )


def test_a_mapping_of_python_has_the_same_bound():
    with pytest.raises(ConfigError) as caught:
        modelzoo.plan({"layers": [{"_target_": "Linear", "in_features": 4, "out_features": 2**63}]})
    what = "9223372036854775808 is too large: integers are below 9,223,372,036,854,775,808. Write a float, as in 1e30."
    assert str(caught.value) == f"model.layers.0.out_features\n  {what}"


def test_the_largest_integer_is_taken():
    model = {"args": {"n": 2**63 - 1}, "inputs": {"x": [2, 4]}, "forward": "x * 0 + n"}
    assert modelzoo.build(model)(torch.ones(2)).tolist() == [float(2**63)] * 2


@pytest.mark.parametrize(
    ("fill", "dtype", "what"),
    [
        (10**30, "float32", "10" + "0" * 29 + " is too large: integers are below 9,223,372,036,854,775,808."),
        ("99999999999999999999", "float64", "constant needs an integer below 9,223,372,036,854,775,808 as value"),
        (
            "normal(std=99999999999999999999)",
            "float32",
            "normal needs an integer below 9,223,372,036,854,775,808 as std",
        ),
        (1e39, "float32", "constant needs value within float32, from -3.40282e+38 to 3.40282e+38, not 1e+39"),
        (300, "uint8", "constant needs value within uint8, from 0 to 255, not 300"),
        (65_520, "float16", "constant needs value within float16, from -65504 to 65504, not 65520"),
    ],
)
def test_a_fill_beyond_its_dtype_is_refused_in_the_plan(fill, dtype, what):
    model = {
        "inputs": {"x": [2, 4]},
        "buffers": {"b": {"shape": [4], "fill": fill, "dtype": dtype}},
        "forward": "x + b",
    }
    with pytest.raises(ConfigError, match=re.escape(what)):
        modelzoo.plan(model)


# Values that grow


GROWING = {
    "n = n ** 64": "the power is too large",
    "n = n * n": "the product is too large",
    "n = n * 4611686018427387904": "the product is too large",
    "n = n + n": "the sum is too large",
    "n += n": "the sum is too large",
    "n = n - (0 - n)": "the difference is too large",
    "n = prod([n, n])": "the product is too large",
    "n = sum([n, n, n])": "the sum is too large",
    "l = l + l": "a value has more than 10,000 items",
    "l = l * 2": "a value has more than 10,000 items",
    "l = [l, l]": "a value has more than 10,000 items",
    "l = (l, l)": "a value has more than 10,000 items",
    "l = [{'a': l, 'b': l}]": "a value has more than 10,000 items",
    "l = [l]": "a value is nested more than 100 deep",
    "l = sum([l, l], [])": "a value has more than 10,000 items",
    "n = round(n, -1000000000)": "a number is not rounded to -1000000000 digits",
}


@pytest.mark.parametrize(("line", "what"), GROWING.items())
def test_no_value_of_a_forward_grows_without_a_bound(line, what):
    forward = f"n = 9\nl = [1]\nfor i in range(9000):\n  {line}\nreturn x"
    for model in (
        {"inputs": {"x": [2, 4]}, "forward": forward},
        {"inputs": {"x": [2, 4]}, "layers": {"inner": {"forward": forward}}, "forward": "inner(x)"},
    ):
        with pytest.raises(ConfigError) as caught:
            modelzoo.build(model)
        assert str(caught.value).endswith(f"{line} fails: {what}")


@pytest.mark.parametrize(("line", "what"), GROWING.items())
def test_no_value_of_a_fill_grows_without_a_bound(line, what):
    fill = f"n = 9\nl = [1]\nfor i in range(9000):\n  {line}\nreturn ones()"
    with pytest.raises(ConfigError) as caught:
        modelzoo.build({"layers": ["Linear(4, 4)"]}, {"r": {"param": "weight", "fill": fill}})
    assert what in str(caught.value)


def test_a_number_may_not_grow_from_block_to_block():
    square = {"inputs": ["n"], "forward": "n * n"}
    with pytest.raises(ConfigError, match=re.escape("n * n fails: the product is too large")):
        modelzoo.plan(
            {
                "inputs": {"x": [2]},
                "layers": {"square": square},
                "forward": "n = 3\nfor i in range(60):\n  n = square(n)\nreturn x",
            }
        )


def test_what_does_not_grow_beyond_the_bounds_is_as_in_python():
    text = """
    n, l, seed = 1, [], 7
    for i in range(600):
      l = l + [x * i]
      seed = (seed * 6364136223846793005 + 1442695040888963407) % 4611686018427387904
      n = n * 2 % 1000003
    return cat(l), n, seed, [1] * 3, round(1234, -2), sum([0.1] * 10)
    """
    got = modelzoo.build({"inputs": {"x": [2, 4]}, "forward": text})(torch.ones(2, 4))
    n, seed = 1, 7
    for _ in range(600):
        seed = (seed * 6364136223846793005 + 1442695040888963407) % 4611686018427387904
        n = n * 2 % 1000003
    assert got[0].shape == (1200, 4)
    assert got[1:] == (n, seed, [1, 1, 1], 1200, sum([0.1] * 10))


@pytest.mark.parametrize(
    ("first", "next_"),
    [
        ("[1]", "'=[{0}, {0}]'"),
        ("[1]", "['={0}', '={0}']"),
        ("[1]", "{{a: '={0}', b: '={0}'}}"),
        ("[1]", "'={0} + {0}'"),
        ("abc", "'={0} + {0}'"),
    ],
)
def test_a_value_counts_each_time_it_is_met(first, next_, tmp_path):
    args = [f"a0: {first}", *(f"a{i}: {next_.format(f'a{i - 1}')}" for i in range(1, 40))]
    config = f"inputs: {{x: [2, 4]}}\nargs: {{{', '.join(args)}}}\nlayers: ['Linear(a39, 4)']"
    assert "more than 10,000 items" in refused(config, tmp_path)[0]


def test_nested_loops_end_together(monkeypatch):
    monkeypatch.setattr(bounds, "OPERATIONS", 1_000)
    forward = "for i in range(90):\n  for j in range(90):\n    x = x + 1\nreturn x"
    with pytest.raises(ConfigError) as caught:
        modelzoo.plan({"inputs": {"x": [2]}, "forward": forward})
    what = "for j in range(90): fails: all forwards together take more than 1,000 operations"
    assert str(caught.value) == f"model.forward\n  {what}"


def test_calls_of_layers_that_call_others_twice_end_together(monkeypatch):
    monkeypatch.setattr(bounds, "OPERATIONS", 1_000)
    blocks = {f"B{i}": {"layers": {"c": f"B{i - 1}()"}, "forward": "c(c(x))"} for i in range(1, 40)}
    blocks["B0"] = {"layers": ["ReLU"]}
    model = {"inputs": {"x": [2]}, "layers": ["B39()"], "blocks": blocks}
    for opened in (modelzoo.plan, modelzoo.build):
        with pytest.raises(ConfigError, match="all forwards together take more than 1,000 operations"):
            opened(model)


def test_loops_of_fills_end_together(monkeypatch):
    monkeypatch.setattr(bounds, "OPERATIONS", 1_000)
    fill = "w = ones()\nfor i in range(40):\n  w = w + 1\nreturn w"
    model = {"layers": {"_target_": "Linear(4, 4)", "_repeat_": 20}}
    with pytest.raises(ConfigError, match="all fills together take more than 1,000 operations"):
        modelzoo.build({"layers": [model["layers"]]}, {"r": {"param": "weight", "fill": fill}})


def test_formulas_end_together(monkeypatch):
    monkeypatch.setattr(bounds, "OPERATIONS", 1_000)
    model = {"args": {"n": [1] * 100}, "layers": [{"_target_": "Dropout", "p": "=len(n) / 200", "_repeat_": 5}]}
    with pytest.raises(ConfigError, match="all formulas together take more than 1,000 operations"):
        modelzoo.plan(model)


def test_a_loop_over_large_tensors_is_looked_at_without_their_memory(monkeypatch):
    monkeypatch.setattr("modelzoo.modules.recording.MAX_ACTIVATIONS", 2**20)
    forward = "y = x\nfor i in range(30):\n  y = cat([y, y])\nreturn y.shape[0]"
    assert modelzoo.build({"inputs": {"x": [2, 2]}, "forward": forward}) is not None


# Names that are alike


def test_few_names_are_compared_in_full(monkeypatch):
    seen = []
    compare = difflib.get_close_matches
    monkeypatch.setattr(
        difflib, "get_close_matches", lambda *given, **more: seen.append(given) or compare(*given, **more)
    )
    known = [f"layer_{i}" for i in range(5_000)]
    assert errors.nearest("layr_77", known) == "Did you mean 'layer_77'?"
    assert [len(possible) for _, possible in seen] == [20]
    assert errors.nearest("x" * 10**6, known) == ""


# What a block sees


def test_a_block_sees_a_bounded_number_of_args(tmp_path):
    args = ", ".join(f"a{i}: 1" for i in range(600))
    other = args.replace("a", "b")
    config = f"args: {{{args}}}\nlayers:\n- args: {{{other}}}\n  layers: [ReLU]"
    what = "a block sees at most 1,000 args, those around it included, not 1,200."
    assert refused(config, tmp_path) == [f"3:3 {what}"]


def test_layers_inside_a_layer_count_as_layers(tmp_path):
    config = "layers: [{_target_: LSTM, input_size: 4, hidden_size: 4, num_layers: 1000, _repeat_: 20}]"
    assert refused(config, tmp_path) == ["1:10 the model has more than 100,000 nodes"]


def test_names_of_shared_layers_are_counted_under_all_of_them(tmp_path):
    blocks = [f"  a{i}: [{{_ref_: a{i - 1}}}, {{_ref_: a{i - 1}}}]" for i in range(1, 40)]
    config = "\n".join(["layers:", "  a0: ReLU", *blocks])
    what = "the layers of the model have more than 100,000 names: references inside what is referred to."
    assert refused(config, tmp_path) == [f"1:1 {what}"]


def test_rules_and_inits_look_at_a_bounded_number_of_names(monkeypatch):
    monkeypatch.setattr(bounds, "OPERATIONS", 1_000)
    layers = [{"_target_": "Linear(2, 2)", "_repeat_": 100}]
    rules = {f"r{i}": {"param": "weight", "fill": i} for i in range(10)}
    what = "init\n  all rules and _init_ together take more than 1,000 operations. Write fewer of them."
    with pytest.raises(ConfigError) as caught:
        modelzoo.plan({"layers": layers}, rules)
    assert str(caught.value) == what
    with pytest.raises(ConfigError) as caught:
        modelzoo.plan({"layers": layers, "_init_": {f"{'*' * i}weight": 0 for i in range(1, 10)}})
    assert str(caught.value) == what
    named = {f"0.{i}.weight": 0 for i in range(100)}  # without a glob each is one look
    assert modelzoo.plan({"layers": layers, "_init_": named}).parameters == 600


# What is wide


def _wide() -> Iterator[tuple[str, str]]:
    """Files of some hundred kilobytes, in each of which one thing is there thousands of times."""
    comma = ", ".join
    tiny = "'Linear(2, 2)'"
    yield "a text cut in two", f'layers: ["(", {comma(["aaaa"] * 60_000)}]'
    yield "items of a list", f"layers: [{comma(['[ReLU]'] * 5_000)}]"
    yield "items of a mapping", f"layers: {{{comma(f'l{i}: {{layers: {{a: ReLU}}}}' for i in range(5_000))}}}"
    yield "forwards", f"inputs: {{x: [2]}}\nlayers: [{comma(['{layers: {a: ReLU}, forward: a(x)}'] * 5_000)}]"
    yield "tensors", f"buffers: {{{comma(f'b{i}: {{shape: [2], fill: 0}}' for i in range(4_000))}}}\nforward: x"
    yield "formulas", f"args: {{n: 4}}\nlayers: [{comma(['Dropout(1 / n)'] * 5_000)}]"
    yield "references", f"layers: {{a: ReLU, {comma(f'r{i}: {{_ref_: a}}' for i in range(5_000))}}}"
    wrong = comma(f"r{i}: {{_ref_: zzzz{i}}}" for i in range(95))
    yield "wrong references", f"layers: {{{comma(f'l{i:06}_xx: ReLU' for i in range(5_000))}, {wrong}}}"
    layers = comma(f"l{i}: {tiny}" for i in range(1_800))
    yield (
        "a chain of ties",
        (f"layers: {{{layers}}}\ntie: {{{comma(f'l{i}.weight: l{i + 1}.weight' for i in range(1_799))}}}"),
    )
    yield "wrong ties", f"layers: {{{layers}}}\ntie: {{{comma(f'l{i}.wait: l0.weight' for i in range(1_799))}}}"
    yield "fills of nodes", f"layers: [{comma([f'{{_target_: {tiny}, _init_: {{weight: 0}}}}'] * 3_000)}]"
    yield "fills by name", f"layers: {{{layers}}}\n_init_: {{{comma(f'l{i}.weight: 0' for i in range(1_800))}}}"
    rules = comma(f"r{i}: {{name: zz{i}, fill: 0}}" for i in range(1_800))
    yield "rules", f"model: {{layers: {{{layers}}}}}\ninit: {{{rules}}}"
    yield (
        "uses of definitions",
        (
            f"blocks: {{{comma(f'B{i}: [ReLU]' for i in range(500))}}}\nlayers: [{comma(f'B{i % 500}' for i in range(5_000))}]"
        ),
    )


READ = """
import json, resource, sys
import modelzoo
from modelzoo.errors import ConfigError
modelzoo.plan({"inputs": {"x": [2, 2]}, "layers": ["Linear(2, 2)"]})
for name, file in json.load(sys.stdin):
    print(name, flush=True)
    used = resource.getrusage(resource.RUSAGE_SELF)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + 8, resource.RLIM_INFINITY))
    try:
        modelzoo.plan(file)
    except ConfigError as error:
        str(error)
print("all")
"""


def test_what_is_wide_is_read_in_linear_time(tmp_path):
    """A limit of processor time ends the child long before work that grows with the square of a width."""
    files = []
    for index, (name, text) in enumerate(_wide()):
        file = tmp_path / f"{index}.yaml"
        file.write_text(text)
        files.append((name, str(file)))
    child = subprocess.run(
        [sys.executable, "-c", READ], input=json.dumps(files), capture_output=True, text=True, check=False
    )
    assert child.stdout.splitlines()[-1] == "all", child.stderr
