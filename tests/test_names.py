"""A name is checked where it is read, whatever hides the layer that it belongs to."""

from __future__ import annotations

import keyword
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import modelzoo
from modelzoo.errors import ConfigError

PLAIN: dict[str, Any] = {"inputs": {"x": [2, 4]}}


def layers(node: Any) -> dict[str, Any]:
    return {**PLAIN, "layers": {"a": "Linear(4, 4)", "b": node}, "forward": "a(x)"}


HIDDEN = {"_if_": False, "_target_": "Identity"}
POSITIONS: dict[str, Any] = {
    "a layer": lambda name: {**PLAIN, "layers": {name: "ReLU"}},
    "a layer that is absent": lambda name: {
        **PLAIN,
        "layers": {name: {"_if_": False, "_target_": "ReLU"}, "a": "ReLU"},
    },
    "a layer in a definition that nobody uses": lambda name: {
        **PLAIN,
        "blocks": {"B": {"layers": {name: "ReLU"}}},
        "layers": ["ReLU"],
    },
    "an arg": lambda name: {**PLAIN, "args": {name: 1}, "layers": ["ReLU"]},
    "an arg of a definition": lambda name: {
        **PLAIN,
        "blocks": {"B": {"args": [name], "layers": ["ReLU"]}},
        "layers": [],
    },
    "an input": lambda name: {"inputs": {name: [2, 4]}, "layers": ["ReLU"]},
    "a block": lambda name: {**PLAIN, "blocks": {name: ["ReLU"]}, "layers": ["ReLU"]},
    "a parameter": lambda name: {**PLAIN, "parameters": {name: {"shape": [1], "fill": 0}}, "forward": "x"},
    "a buffer": lambda name: {**PLAIN, "buffers": {name: {"shape": [1], "fill": 0}}, "forward": "x"},
    "a keyword": lambda name: layers({"_target_": "Identity", name: 1}),
    "a keyword behind a false _if_": lambda name: layers({**HIDDEN, name: 1}),
    "a keyword of no copy": lambda name: layers({"_repeat_": 0, "_target_": "Identity", name: 1}),
    "a keyword of a layer that is an arg": lambda name: {
        **PLAIN,
        "args": {"act": {"_target_": "Identity", name: 1}},
        "layers": ["ReLU"],
    },
    "a keyword of a recipe": lambda name: {
        **PLAIN,
        "args": {"act": "ReLU"},
        "layers": [{"_if_": False, "_target_": "act", name: 1}, "ReLU"],
    },
    "a copy": lambda name: layers({"_repeat_": 1, "_name_": name, "_target_": "ReLU"}),
    "no copy": lambda name: layers({"_repeat_": 0, "_name_": name, "_target_": "ReLU"}),
    "a copy behind a false _if_": lambda name: layers(
        {"_if_": False, "_repeat_": 1, "_name_": name, "_target_": "ReLU"}
    ),
    "a key of a Sequential": lambda name: layers({"_target_": "Sequential", "_args_": [{name: "ReLU"}]}),
    "a key of a ModuleDict": lambda name: layers({"_target_": "ModuleDict", "modules": {name: "ReLU"}}),
    "a key behind a false _if_": lambda name: layers(
        {"_if_": False, "_target_": "ModuleDict", "modules": {name: "ReLU"}}
    ),
}
UNDERSCORED = re.compile(r"_(target|args|ref|repeat|name|if|init|unpack|convert|recursive|partial)_|\?\?\?")
ILLEGAL = ["²", "٣", "①", "a b", "a.b", "class", "x'", "", "a" * 65, "ﬁ", "a\n", "d\x1b]0;owned\x07"]


def refused(model: Any) -> list[str]:
    """The places of what is wrong with a model; none if it builds."""
    try:
        modelzoo.plan(model)
    except ConfigError as error:
        return [each.path for each in error.problems]
    return []


@pytest.mark.parametrize("name", ILLEGAL)
@pytest.mark.parametrize("position", POSITIONS)
def test_what_is_no_name_is_refused_wherever_it_stands(position: str, name: str) -> None:
    if position == "an arg of a definition":
        name = name.replace("\n", "\n1")  # a signature is read as Python reads it, blanks at its end included
    found = refused(POSITIONS[position](name))
    assert found, f"{name!r} was accepted as {position}"


@pytest.mark.parametrize(
    "position", ["a layer", "a layer that is absent", "a parameter", "a buffer", "a copy", "no copy"]
)
@pytest.mark.parametrize("name", ["forward", "training", "__class__", "train", "_modules"])
def test_what_modules_call_their_own_is_refused(position: str, name: str) -> None:
    assert refused(POSITIONS[position](name))


@pytest.mark.parametrize("position", POSITIONS)
@settings(max_examples=25, deadline=None)
@given(name=st.text(max_size=6) | st.from_regex(r"[A-Za-z_][\w.-]{0,3}", fullmatch=True))
def test_any_text_is_a_legal_name_or_refused_at_a_place(position: str, name: str) -> None:
    if UNDERSCORED.search(name) or name.startswith("=") or "{" in name or name in ("layers", "forward"):
        return
    found = refused(POSITIONS[position](name))
    index = name.isascii() and name.isdecimal()
    legal = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) and not keyword.iskeyword(name)
    if not legal and not index:
        assert found
    if found:
        assert all(found)
    elif position in ("a layer", "a copy", "a parameter"):
        assert not hasattr(nn.Module(), name)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            {**PLAIN, "layers": {"²": "ReLU"}},
            "model.layers.²\n  '²' cannot be the name of a layer. "
            "Names have letters, digits and '_', start with a letter and are at most 64 long.",
        ),
        (
            layers({"_target_": "ReLU", "_repeat_": 3, "_name_": "b{i +}"}),
            "model.layers.b._name_\n  cannot read this text: invalid syntax: i +",
        ),
        (
            layers({"_target_": "ReLU", "_repeat_": 0, "_name_": "b-{i}"}),
            "model.layers.b._name_\n  'b-0' cannot be the name of a layer. "
            "Names have letters, digits and '_', start with a letter and are at most 64 long.",
        ),
        (
            {**PLAIN, "forward": "softmax(x, dim=1, dim=1)"},
            "model.forward\n  softmax gets 'dim' twice. Remove one.",
        ),
        (
            {**PLAIN, "layers": ["Linear(4, 4, bias=True, bias=False)"]},
            "model.layers.0\n  Linear gets 'bias' twice. Remove one.",
        ),
        (
            {**PLAIN, "parameters": {"w": {"shape": [1], "fill": "normal(std=1, std=2)"}}, "forward": "x"},
            "model.parameters.w.fill\n  normal gets 'std' twice. Remove one.",
        ),
        (
            {**PLAIN, "args": {"n": "=max(1, 2, key=1, key=2)"}, "layers": ["ReLU"]},
            "model.args.n\n  max gets 'key' twice. Remove one.",
        ),
        (
            {"inputs": {"x": {"shape": [2, 4], "dtype": {"a": "b"}}}, "layers": ["ReLU"]},
            "model.inputs.x.dtype\n  there is no dtype {'a': 'b'}. Known: float16, bfloat16, float32, "
            "float64, complex64, complex128, int8, int16, int32, int64, uint8, bool.",
        ),
    ],
)
def test_a_wrong_name_is_told_with_its_place(model: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        modelzoo.plan(model)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"layer": 3}, "init.r.layer\n  layer is the name of a layer or a list of names, not 3. Write Linear."),
        ({"layer": {"a": 1}}, "init.r.layer\n  layer is the name of a layer or a list of names, not {'a': 1}. Write Linear."),
        ({"layer": ["Linear", 3]}, "init.r.layer\n  layer is the name of a layer or a list of names, not ['Linear', 3]. Write Linear."),
        ({"layer": "Lin\x1bear"}, "init.r.layer\n  'Lin\\x1bear' cannot be the name of a layer. Write Linear."),
        ({"param": ["weight"]}, "init.r.param\n  param must be a text, not ['weight']"),
        ({"param": "a.b"}, "init.r.param\n  'a.b' cannot be the name of a tensor. Names have letters, digits and '_', start with a letter and are at most 64 long."),
        ({"name": {"a": 1}}, "init.r.name\n  name must be a text, not {'a': 1}"),
        ({"name": True}, "init.r.name\n  name must be a text, not True"),
    ],
)  # fmt: skip
def test_a_rule_says_what_it_selects_in_names(rule: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        modelzoo.plan({**PLAIN, "layers": ["Linear(4, 4)"]}, {"r": {**rule, "fill": 0}})
    assert str(caught.value) == message


def test_a_file_may_have_any_name(tmp_path: Any) -> None:
    for name in ("²", "٣", "①", "9" * 30):
        path = tmp_path / name
        path.write_text("layers: [Linaer]")
        with pytest.raises(ConfigError, match="there is no layer 'Linaer'"):
            modelzoo.plan(str(path))


def test_a_layer_named_like_a_word_of_python_makes_a_class_that_python_reads() -> None:
    model = modelzoo.build({**PLAIN, "layers": {"none": {"forward": "x + 1"}, "true": {"forward": "x"}}})
    assert [type(each).__name__ for each in model.children()] == ["None_", "True_"]
