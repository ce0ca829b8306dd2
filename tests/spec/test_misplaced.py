"""What stands where no layer can stand is answered once, with what was meant."""

from __future__ import annotations

import textwrap

import pytest

import modelzoo

NEITHER = "this is neither a layer nor a block: it has no _target_, layers or forward."

CASES = {
    "a key of the block is indented too far": (
        "layers:\n  inputs: {x: [2, 20]}\n  a: Linear(20, 10)",
        f"model.yaml:2:3  model.layers.inputs\n  {NEITHER} 'inputs' stands beside layers, not in it: indent it as far as "
        "'layers'.",
        "inputs: {x: [2, 20]}\nlayers:\n  a: Linear(20, 10)",
    ),
    "a forward is indented too far": (
        "layers:\n  a: Linear(20, 10)\n  forward: a(x)",
        "model.yaml:3:3  model.layers.forward\n"
        "  this is no layer. 'forward' stands beside layers, not in it: indent it as far as 'layers'.",
        "layers:\n  a: Linear(20, 10)\nforward: a(x)",
    ),
    "layers are indented too little": (
        "layers:\na: Linear(20, 10)\nb: ReLU",
        "model.yaml:2:1  model.a\n  layers is empty. Indent below it what it has: 'a', 'b'.",
        "layers:\n  a: Linear(20, 10)\n  b: ReLU",
    ),
    "a layer is a mapping of its name": (
        "layers:\n  - Linear: {in_features: 20, out_features: 10}",
        f"model.yaml:2:5  model.layers.0\n  {NEITHER} Write {{_target_: Linear, in_features: 20, out_features: 10}}.",
        "layers:\n  - {_target_: Linear, in_features: 20, out_features: 10}",
    ),
    "a type is written as elsewhere": (
        "layers:\n  - type: Linear\n    in_features: 20\n    out_features: 10",
        f"model.yaml:2:5  model.layers.0\n  {NEITHER} Write _target_: Linear.",
        "layers:\n  - _target_: Linear\n    in_features: 20\n    out_features: 10",
    ),
    "items of a list have names": (
        "layers:\n  - a: Linear(20, 10)",
        f"model.yaml:2:5  model.layers.0\n  {NEITHER} A list numbers its layers: write a: Linear(20, 10) without '-'.",
        "layers:\n  a: Linear(20, 10)",
    ),
    "a single layer is no list": (
        "layers: Linear(20, 10)",
        "model.yaml:1:1  model.layers\n  layers must be a mapping or a list, not 'Linear(20, 10)'. Write "
        '["Linear(20, 10)"].',
        'layers: ["Linear(20, 10)"]',
    ),
    "a layer is assigned": (
        "layers:\n  a = Linear(20, 10, bias=False)",
        "model.yaml:1:1  model.layers\n  layers must be a mapping or a list, not 'a = Linear(20, 10, bias=False)'. Write "
        "a: Linear(20, 10, bias=False).",
        "layers:\n  a: Linear(20, 10, bias=False)",
    ),
    "a space is missing behind a colon": (
        "layers:\n  a:Linear(20, 10)",
        "model.yaml:1:1  model.layers\n  layers must be a mapping or a list, not 'a:Linear(20, 10)'. Write a space behind "
        "each ':'.",
        "layers:\n  a: Linear(20, 10)",
    ),
    "a space is missing behind a dash": (
        "layers:\n  -Linear(20, 10)\n  -ReLU",
        "model.yaml:1:1  model.layers\n  layers must be a mapping or a list, not '-Linear(20, 10) -ReLU'. Write a space "
        "behind each '-'.",
        "layers:\n  - Linear(20, 10)\n  - ReLU",
    ),
    "a line of Python keeps its comma": (
        "layers:\n  - nn.Linear(20, 10),",
        "model.yaml:2:5  model.layers.0\n  'nn.Linear(20, 10),' is not a layer. Remove the comma at its end.",
        "layers:\n  - nn.Linear(20, 10)",
    ),
    "an input has no name": (
        "inputs: [2, 20]\nlayers: [ReLU]",
        "model.yaml:1:1  model.inputs\n  an input has a name, and [2, 20] has none. Write {x: [2, 20]}.",
        "inputs: {x: [2, 20]}\nlayers: [ReLU]",
    ),
    "a key of a node has lost its underscores": (
        "layers:\n  - {_target_: 'Linear(20, 20)', repeat: 3}",
        "model.yaml:2:34  model.layers.0.repeat\n  Linear has no argument 'repeat'. Did you mean '_repeat_'?",
        "layers:\n  - {_target_: 'Linear(20, 20)', _repeat_: 3}",
    ),
}


@pytest.mark.parametrize("slip", CASES)
def test_what_is_misplaced_is_told_once_with_what_to_write(slip, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    wrong, message, right = CASES[slip]
    (tmp_path / "model.yaml").write_text(wrong)
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.build("model.yaml")
    assert str(caught.value) == message
    (tmp_path / "model.yaml").write_text(right)
    modelzoo.build("model.yaml")


@pytest.mark.parametrize("name", ["args", "inputs", "blocks", "tie"])
def test_layers_may_be_called_like_the_keys_of_a_block(name):
    model = {"layers": {name: {"_target_": "Linear", "in_features": 4, "out_features": 4}}, "forward": f"{name}(x)"}
    assert [each for each, _ in modelzoo.build(model).named_children()] == [name]


@pytest.mark.parametrize(
    ("text", "place", "what"),
    [
        (
            'layers:\n  a: "Linear(20, 10)\nforward: a(x)',
            "2:6",
            "A quote begins here and does not end. Write one more at its end.",
        ),
        ("layers:\n  a: ReLU\n   b: ReLU", "3:5", "Keys of one mapping begin in the same column."),
        ("layers:\n  - ReLU\n  act: ReLU", "3:3", "A list has '-' before each item, and no keys beside them."),
        (
            "layers:\n  a: ReLU\n  - ReLU",
            "3:3",
            "A mapping has keys, each with ': ' behind it, and no items beside them.",
        ),
        ("layers:\n  a: ReLU\nforward: |\ny = a(x)\nreturn y", "5:1", "the lines of a text are indented."),
    ],
)
def test_the_rule_of_yaml_that_is_broken_is_said(text, place, what, tmp_path):
    file = tmp_path / "model.yaml"
    file.write_text(textwrap.dedent(text))
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.build(file)
    [problem] = caught.value.problems
    assert problem.where.endswith(f"model.yaml:{place}")
    assert f"{problem.what} {problem.hint}".rstrip().endswith(what)
