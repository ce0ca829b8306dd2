"""Every kind of mistake, and the whole text that answers it (messages; UPDATE_GOLDEN=1 writes it anew)."""

import os
import re
from pathlib import Path

import pytest

import modelzoo
from modelzoo import errors

GOLDEN = Path(__file__).parent / "messages"

MISTAKES = {
    "unknown_layer": "layers:\n  hidden: Linaer(4, 8)\n",
    "unknown_argument": "layers:\n  hidden: {_target_: Linear, in_features: 4, out_feature: 8}\n",
    "unknown_argument_in_a_text": "layers:\n  hidden: Linear(4, out_feature=8)\n",
    "unknown_fill": "layers: [ReLU]\nforward: relu(x) * s\nparameters:\n  s: {shape: [4], fill: onez}\n",
    "unknown_function": "layers: {a: ReLU}\nforward: |\n  x = a(x)\n  return rleu(x)\n",
    "unknown_method": "forward: x.reshapee(2, 4)\n",
    "in_place_method": "forward: x.zero_()\n",
    "unknown_reference": "layers:\n  hidden: Linear(4, 4)\n  again: {_ref_: hiden}\n",
    "unknown_tie_target": "layers:\n  a: Linear(4, 4)\n  b: Linear(4, 4)\ntie: {b.weight: a.wieght}\n",
    "unknown_key_of_a_block": "layer: [ReLU]\nlayers: [ReLU]\n",
    "missing_argument": "layers:\n  hidden: Conv2d(4)\n",
    "negative_size": "layers:\n  hidden: Linear(4, -8)\n",
    "zero_size": "layers:\n  hidden: Linear(4, 0)\n",
    "boolean_size": "layers:\n  hidden: Linear(4, true)\n".replace("true", "True"),
    "text_size": "layers:\n  hidden: {_target_: Linear, in_features: 4, out_features: eight}\n",
    "float_size": "layers:\n  hidden: Linear(4, 8.0)\n",
    "size_from_an_arg": "args: {dim: -3}\nlayers:\n  hidden: Linear(4, dim)\n",
    "too_many_arguments": "layers:\n  hidden: ReLU(True, 2)\n",
    "reference_to_itself": "layers:\n  a: {_ref_: a}\n",
    "reference_cycle": "layers:\n  a: {layers: {inner: {_ref_: b}}}\n  b: {layers: {inner: {_ref_: a}}}\n",
    "reference_with_other_keys": "layers:\n  a: Linear(4, 4)\n  b: {_ref_: a, bias: false}\n",
    "name_twice": "args: {dim: 4}\nlayers:\n  dim: Linear(4, 4)\n",
    "reserved_name": "layers:\n  train: Linear(4, 4)\n",
    "python_word": "layers:\n  class: Linear(4, 4)\n",
    "shapes_do_not_fit": "inputs: {x: [2, 4]}\nlayers:\n  a: Linear(4, 3)\n  act: ReLU\n  b: Linear(5, 2)\n",
    "several_shapes_do_not_fit": (
        "inputs: {x: [2, 3, 8, 8]}\nlayers:\n  conv: Conv2d(1, 4, 3)\n  more: {_repeat_: 3, _target_: 'Conv2d(5, 4, 1)'}\n"
        "  norm: BatchNorm2d(6)\n  flat: Flatten\n  out: Linear(100, 10)\n  last: Linear(10, 2)\n"
    ),
    "shapes_do_not_fit_in_a_forward": (
        "inputs: {x: [2, 4]}\nlayers: {a: 'Linear(4, 3)'}\nparameters:\n  w: {shape: [5, 5], fill: zeros}\n"
        "forward: |\n  x = a(x)\n  return x @ w\n"
    ),
    "syntax_error": "layers: {a: ReLU}\nforward: |\n  x = a(x)\n  return (x\n",
    "used_before_it_is_set": "layers: {a: ReLU}\nforward: |\n  x = a(x) + h\n  return x\n",
    "no_return": "layers: {a: ReLU}\nforward: |\n  x = a(x)\n",
    "assigns_what_the_block_owns": "layers: {a: ReLU}\nforward: |\n  a = x\n  return a\n",
    "text_cut_in_a_list": "layers: [Linear(4, 8), ReLU]\n",
    "text_cut_in_a_mapping": "layers: {a: Linear(4, 8), b: ReLU}\n",
    "call_cut_in_a_target": "layers:\n  - {_target_: Conv2d(3, 8, 3, padding=1)}\n",
    "calls_cut_in_one_list": "layers: [Conv2d(3, 8, 3, padding=1), ReLU, MaxPool2d(2, stride=2)]\n",
    "calls_cut_in_one_mapping": "layers: {a: Linear(4, 8, bias=False), b: Dropout(p=0.5, inplace=False)}\n",
    "calls_cut_in_a_call": "layers:\n  - {_target_: Sequential(Linear(4, 8), ReLU, Linear(8, 2)), _repeat_: 1}\n",
    "tuple_cut_in_a_mapping": "layers:\n  - {_target_: Conv2d, in_channels: 3, out_channels: 4, kernel_size: (2, 2)}\n",
    "tuple_of_args_cut": (
        "args: {k: 2}\nlayers:\n  - {_target_: Conv2d, in_channels: 3, out_channels: 4, kernel_size: (k, k)}\n"
    ),
    "tuple_cut_in_a_shape": "forward: x * s\nparameters: {s: {shape: (4, 8), fill: uniform(0, 1)}}\n",
    "tuple_cut_in_inputs": "inputs: {x: (2, 8)}\nlayers: [ReLU]\n",
    "call_cut_in_a_rule": (
        "model: {layers: ['Linear(4, 8)']}\ninit:\n  a: {param: weight, fill: trunc_normal(std=0.02, a=-0.04, b=0.04)}\n"
    ),
    "cut_call_that_does_not_work": "layers: {a: Linear(4, 8, 1, 2)}\n",
    "call_cut_to_equal_numbers": "layers: {a: Conv2d(8, 8, 8, 3), b: ReLU}\n",
    "tab_before_a_key": "layers:\n  a: ReLU\n\tb: ReLU\n",
    "formula_without_equals": "args: {dim: 4}\nlayers:\n  a: {_target_: Linear, in_features: 4, out_features: 4 * dim}\n",
    "formula_without_equals_in_args": "args: {dim: 4, half: dim // 2}\nlayers:\n  a: Linear(dim, half)\n",
    "formula_without_equals_for_a_block": (
        "args: {n: 2}\nblocks: {Wide: {args: [k], layers: ['Linear(4, 4 * k)']}}\n"
        "layers:\n  a: {_target_: Wide, k: 2 * n}\n"
    ),
    "formulas_without_equals_in_a_list": (
        "args: {k: 3}\nlayers:\n  a: {_target_: Conv2d, in_channels: 3, out_channels: 4, kernel_size: [k, k]}\n"
    ),
    "formula_without_equals_for_a_fill": (
        "args: {n: 4}\nforward: x * s\nparameters:\n  s: {shape: [n], fill: {_target_: normal, std: 1 / n}}\n"
    ),
    "formula_without_equals_for_a_repeat": ("args: {n: 2, m: n + 1}\nlayers:\n  - {_target_: ReLU, _repeat_: m}\n"),
    "layer_that_hides_a_function": "layers: {dropout: Dropout}\nforward: |\n  return dropout(x, 0.2)\n",
    "pasted_line": "layers: {fc: 'Linear(4, 4)'}\nforward: |\n  x = F.relu(self.fc(x))\n  return x\n",
    "pasted_comprehension": "layers: {fc: 'Linear(4, 4)'}\nforward: |\n  return stack([fc(x) for k in range(3)])\n",
    "unknown_name_in_many_places": (
        "args: {dimension: 8}\nlayers:\n" + "  - Linear(dim, dim)\n" * 7 + "  - Linear(8, 8, bais=False)\n"
    ),
    "misspelt_layers": "inputs: {x: [2, 8]}\nlayres:\n  a: ReLU\n",
    "misspelt_layers_beside_a_forward": "layres: {a: ReLU}\nforward: a(x)\n",
    "dtype_of_a_layer": "layers:\n  - Linear(8, 8, dtype=float64)\n",
    "misspelt_argument_of_a_function": "forward: |\n  return softmax(x, dmi=1)\n",
    "fill_that_is_an_arg": "args: {ones: 7}\nforward: x * s\nparameters: {s: {shape: [3], fill: ones}}\n",
    "computing_reference": "args: {a: 8, b: \"${eval:'2 * 4'}\"}\nlayers: ['Linear(a, b)']\n",
    "reference_that_computes_with_another": "args: {a: 8, b: '${args.a * 2}'}\nlayers: ['Linear(a, b)']\n",
    "tensor_without_a_fill": "forward: x * scale\nparameters:\n  scale: {shape: [4]}\n",
    "bad_formula": "args: {dim: 4}\nlayers:\n  hidden: Linear(dim // 0, 8)\n",
    "unknown_name_in_a_formula": "args: {dim: 4}\nlayers:\n  hidden: Linear(dmi, 8)\n",
    "tie_of_other_shapes": "layers:\n  a: Linear(4, 4)\n  b: Linear(4, 8)\ntie: {b.weight: a.weight}\n",
    "sequence_with_two_inputs": "inputs: [x, y]\nlayers: [ReLU]\n",
    "negative_repeat": "layers:\n  - {_repeat_: -1, _target_: ReLU}\n",
    "two_copies_of_one_name": 'layers:\n  - {_repeat_: 2, _name_: "same", _target_: ReLU}\n',
    "several_at_once": "layers:\n  a: Linaer(4, 8)\n  b: Linear(4)\n  c: Conv2d(3, 4, 0)\nforward: a(b(c(x))) + d\n",
    "rule_without_effect": (
        "model:\n  layers: [Linear(4, 8)]\ninit:\n  first: {name: 1.weight, fill: 0}\n".replace("[L", '["L').replace(
            ")]", ')"]'
        )
    ),
    "fill_that_cannot_apply": (
        'model:\n  layers: ["Linear(4, 8)"]\ninit:\n  all: {layer: Linear, fill: xavier_uniform}\n'
    ),
    "unknown_fill_in_a_rule": 'model:\n  layers: ["Linear(4, 8)"]\ninit:\n  all: {layer: Linear, fill: xavier_unifrm}\n',
    "reversed_bounds": 'model: {layers: ["Linear(4, 8)"]}\ninit:\n  all: {param: weight, fill: "uniform(1, -1)"}\n',
    "infinite_constant": 'model: {layers: ["Linear(4, 8)"]}\ninit:\n  all: {param: weight, fill: .inf}\n',
    "values_that_are_not_finite": (
        'model: {layers: ["Linear(4, 8)"]}\ninit:\n  all: {param: weight, fill: "log(zeros())"}\n'
    ),
    "overflow_of_a_dtype": ("forward: x * scale\nparameters:\n  scale: {shape: [4], fill: 1e6, dtype: float16}\n"),
    "unknown_mode_of_a_fill": (
        'model: {layers: ["Linear(4, 8)"]}\ninit:\n  all: {param: weight, fill: "kaiming_normal(mode=\'fan_outt\')"}\n'
    ),
    "unknown_argument_of_a_fill": (
        'model: {layers: ["Linear(4, 8)"]}\ninit:\n  all: {param: weight, fill: normal(sdt=1)}\n'
    ),
    "fill_for_other_dimensions": ('model: {layers: ["Linear(4, 8)"]}\ninit:\n  all: {param: weight, fill: dirac}\n'),
    "rule_that_is_overwritten": (
        'model: {layers: ["Linear(4, 8)"]}\ninit:\n  a: {name: 0.weight, fill: 1}\n  b: {param: weight, fill: 2}\n'
    ),
    "constructor_that_refuses": "layers:\n  a: MultiheadAttention(10, 3)\n",
    "size_from_another_key": "args: {dim: -3}\nlayers:\n  a: {_target_: Linear, in_features: 4, out_features: '${model.args.dim}'}\n",
    "model_without_anything": "layers:\n  a: Linear(4, 4)\n_if_: false\n",
    "loop_that_does_not_end": "inputs: {x: [2]}\nforward: |\n  while True:\n    x = x + 1\n  return x\n",
    "branch_that_changes_a_shape": (
        "inputs: {x: [2, 3]}\nforward: |\n  if x.sum() > 0:\n    y = x\n  else:\n    y = cat([x, x])\n  return y\n"
    ),
    "size_that_no_input_decides": "layers:\n  a: Linear(out_features=4)\n",
    "recursion_without_an_end": "layers:\n  a: Again(3)\nblocks:\n  Again: {args: [n], layers: {b: Again(n)}}\n",
    "required_arg": "args:\n  dim: ???\nlayers:\n  a: Linear(dim, dim)\n",
    "string_in_a_forward": "forward: x + 'a'\n",
    "duplicate_key": "layers:\n  a: ReLU\n  a: GELU\n",
    "tag": "layers:\n  a: !!python/object:os.system {}\n",
    "negative_std": 'model:\n  layers: ["Linear(4, 8)"]\ninit:\n  all: {param: weight, fill: normal(std=-1)}\n',
    "rules_that_disagree": (
        "model:\n  layers:\n    a: Linear(4, 4)\n    b: Embedding(4, 4)\n  forward: a(x)\n  tie: {a.weight: b.weight}\n"
        "init:\n  linears: {layer: Linear, param: weight, fill: 1}\n  tables: {layer: Embedding, fill: 2}\n"
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_answered_with_its_place_and_what_to_type(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("model.yaml").write_text(MISTAKES[name])
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.build("model.yaml")
    golden = GOLDEN / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(str(caught.value) + "\n")
    assert str(caught.value) + "\n" == golden.read_text()


def test_every_golden_file_belongs_to_a_mistake():
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(MISTAKES)


MENDED: dict[str, list[tuple[str, str]]] = {
    "unknown_layer": [("Linaer", "Linear")],
    "unknown_argument": [("out_feature:", "out_features:")],
    "unknown_argument_in_a_text": [("out_feature=", "out_features=")],
    "unknown_fill": [("onez", "ones")],
    "unknown_function": [("rleu", "relu")],
    "unknown_method": [("reshapee", "reshape")],
    "in_place_method": [("x.zero_()", "zeros_like(x)")],
    "unknown_reference": [("hiden", "hidden")],
    "unknown_tie_target": [("a.wieght", "a.weight")],
    "unknown_key_of_a_block": [("layer:", "layers:"), ("\nlayers: [ReLU]", "")],
    "missing_argument": [("Conv2d(4)", "Conv2d(4, out_channels=8, kernel_size=3)")],
    "reference_with_other_keys": [(", bias: false", "")],
    "name_twice": [("  dim:", "  linear:")],
    "reserved_name": [("train:", "train_:")],
    "python_word": [("class:", "class_:")],
    "shapes_do_not_fit": [("Linear(5, 2)", "Linear(in_features=3, out_features=2)")],
    "several_shapes_do_not_fit": [
        ("Conv2d(1, 4, 3)", "Conv2d(in_channels=3, out_channels=4, kernel_size=3)"),
        ("Conv2d(5, 4, 1)", "Conv2d(in_channels=4, out_channels=4, kernel_size=1)"),
        ("BatchNorm2d(6)", "BatchNorm2d(num_features=4)"),
        ("Linear(100, 10)", "Linear(in_features=144, out_features=10)"),
    ],
    "no_return": [("x = a(x)", "x = a(x)\n  return x")],
    "assigns_what_the_block_owns": [("a = x", "y = a(x)"), ("return a", "return y")],
    "text_cut_in_a_list": [("[Linear(4, 8), ReLU]", '["Linear(4, 8)", ReLU]')],
    "text_cut_in_a_mapping": [("a: Linear(4, 8)", 'a: "Linear(4, 8)"')],
    "call_cut_in_a_target": [("_target_: Conv2d(3, 8, 3, padding=1)", '_target_: "Conv2d(3, 8, 3, padding=1)"')],
    "calls_cut_in_one_list": [
        (
            "[Conv2d(3, 8, 3, padding=1), ReLU, MaxPool2d(2, stride=2)]",
            '["Conv2d(3, 8, 3, padding=1)", ReLU, "MaxPool2d(2, stride=2)"]',
        )
    ],
    "calls_cut_in_one_mapping": [
        ("a: Linear(4, 8, bias=False)", 'a: "Linear(4, 8, bias=False)"'),
        ("b: Dropout(p=0.5, inplace=False)", 'b: "Dropout(p=0.5, inplace=False)"'),
    ],
    "calls_cut_in_a_call": [
        (
            "_target_: Sequential(Linear(4, 8), ReLU, Linear(8, 2))",
            '_target_: "Sequential(Linear(4, 8), ReLU, Linear(8, 2))"',
        )
    ],
    "cut_call_that_does_not_work": [("{a: Linear(4, 8, 1, 2)}", '{a: "Linear(4, 8, True)"}')],
    "tuple_cut_in_a_mapping": [("kernel_size: (2, 2)", "kernel_size: [2, 2]")],
    "tuple_of_args_cut": [("kernel_size: (k, k)", 'kernel_size: "=(k, k)"')],
    "tuple_cut_in_a_shape": [("shape: (4, 8), fill: uniform(0, 1)", 'shape: [4, 8], fill: "uniform(0, 1)"')],
    "tuple_cut_in_inputs": [("x: (2, 8)", "x: [2, 8]")],
    "call_cut_in_a_rule": [
        ("fill: trunc_normal(std=0.02, a=-0.04, b=0.04)", 'fill: "trunc_normal(std=0.02, a=-0.04, b=0.04)"')
    ],
    "call_cut_to_equal_numbers": [
        ("layers: {a: Conv2d(8, 8, 8, 3), b: ReLU}", 'layers: {a: "Conv2d(8, 8, 8, 3)", b: ReLU}')
    ],
    "tab_before_a_key": [("\t", "  ")],
    "formula_without_equals": [("out_features: 4 * dim", "out_features: =4 * dim")],
    "formula_without_equals_in_args": [("half: dim // 2", "half: =dim // 2")],
    "formula_without_equals_for_a_block": [("k: 2 * n", "k: =2 * n")],
    "formulas_without_equals_in_a_list": [("kernel_size: [k, k]", "kernel_size: [=k, =k]")],
    "formula_without_equals_for_a_fill": [("std: 1 / n", "std: =1 / n")],
    "formula_without_equals_for_a_repeat": [("m: n + 1", "m: =n + 1")],
    "layer_that_hides_a_function": [("return dropout(x, 0.2)", "return torch.dropout(x, 0.2)")],
    "pasted_line": [("x = F.relu(self.fc(x))", "x = relu(fc(x))")],
    "pasted_comprehension": [
        (
            "  return stack([fc(x) for k in range(3)])",
            "  items = []\n  for k in range(3):\n      items += [fc(x)]\n  return stack(items)",
        )
    ],
    "unknown_name_in_many_places": [("Linear(dim, dim)", "Linear(dimension, dimension)"), ("bais=", "bias=")],
    "misspelt_layers": [("layres", "layers")],
    "misspelt_layers_beside_a_forward": [("layres", "layers")],
    "misspelt_argument_of_a_function": [("dmi=", "dim=")],
    "fill_that_is_an_arg": [("fill: ones", "fill: ones()")],
    "computing_reference": [("\"${eval:'2 * 4'}\"", "=2 * 4")],
    "reference_that_computes_with_another": [("'${args.a * 2}'", "=a * 2")],
    "tensor_without_a_fill": [("{shape: [4]}", "{shape: [4], fill: zeros}")],
    "unknown_name_in_a_formula": [("dmi", "dim")],
    "tie_of_other_shapes": [("b: Linear(4, 8)", "b: Linear(4, 4)")],
    "sequence_with_two_inputs": [("layers: [ReLU]", "layers: [ReLU]\nforward: x + y")],
    "negative_repeat": [("_repeat_: -1", "_repeat_: 4")],
    "two_copies_of_one_name": [('_name_: "same"', '_name_: "block{i}"')],
    "several_at_once": [
        ("Linaer(4, 8)", "Linear(4, 8)"),
        ("Linear(4)", "Linear(4, out_features=4)"),
        ("Conv2d(3, 4, 0)", "Conv2d(3, 4, 1)"),
        ("+ d", "+ x"),
    ],
    "rule_without_effect": [("1.weight", "0.weight")],
    "fill_that_cannot_apply": [("fill: xavier_uniform", 'fill: "uniform(-0.1, 0.1)"')],
    "unknown_fill_in_a_rule": [("xavier_unifrm", "xavier_uniform"), ("layer: Linear,", "param: weight,")],
    "unknown_mode_of_a_fill": [("fan_outt", "fan_out")],
    "unknown_argument_of_a_fill": [("sdt=", "std=")],
    "rule_that_is_overwritten": [("  a: {name: 0.weight, fill: 1}\n", "")],
    "model_without_anything": [("_if_: false", "_if_: true")],
    "branch_that_changes_a_shape": [("y = cat([x, x])", "y = -x")],
    "size_that_no_input_decides": [("layers:", "inputs: {x: [2, 8]}\nlayers:")],
    "rules_that_disagree": [
        ("layer: Embedding, fill: 2}\n", "layer: Embedding, fill: 2}\n  one: {name: a.weight, fill: 1}\n")
    ],
    "duplicate_key": [("  a: GELU", "  b: GELU")],
    "tag": [("!!python/object:os.system {}", "ReLU")],
    "used_before_it_is_set": [("a(x) + h", "a(x) + x")],
    "size_from_an_arg": [("dim: -3", "dim: 3")],
}
"""What each answer says to write, at the place where it says so."""


@pytest.mark.parametrize("name", MENDED)
def test_what_an_answer_says_to_write_works(name, tmp_path):
    text = MISTAKES[name]
    for wrong, right in MENDED[name]:
        assert wrong in text
        text = text.replace(wrong, right)
    (tmp_path / "model.yaml").write_text(text)
    modelzoo.build(tmp_path / "model.yaml")


def test_every_answer_that_says_what_to_write_is_tried():
    saying = {
        path.stem for path in GOLDEN.glob("*.txt") if re.search("Write|write|Did you mean|Put the", path.read_text())
    }
    assert saying - {*MENDED} == set()


def test_only_names_that_do_not_exist_are_told_once_for_all_their_places() -> None:
    places = [errors.Path(("a",)), errors.Path(("b",))]
    unknown = [errors.Problem(path=str(key), key=key, what="no such name.", code=errors.Code.UNKNOWN) for key in places]
    others = [errors.Problem(path=str(key), key=key, what="there is no time.") for key in places]
    told = errors.told_once([*unknown, *others])
    assert [(each.path, each.hint) for each in told] == [("a", "The same at b."), ("a", ""), ("b", "")]


def test_a_notebook_shows_what_is_wrong_as_a_table_and_no_way_through_our_code() -> None:
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.build({"layers": {"<b>": "ReLU", "a": "Linaer(4, 8)"}})
    error = caught.value
    assert error._render_traceback_() == ["ConfigError", *str(error).splitlines()]
    shown = error._repr_html_()
    assert "<b>" not in shown
    assert "model.layers.&lt;b&gt;" in shown
    cells = [
        ">model.layers.a</td>",
        ">there is no layer &#x27;Linaer&#x27;.</td>",
        ">Did you mean &#x27;Linear&#x27;?</td>",
    ]
    assert [shown.count(each) for each in cells] == [1, 1, 1]
