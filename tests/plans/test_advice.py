"""Advice is tried before it is given: what is told to be typed was planned, and what would not help is not told."""

from __future__ import annotations

from typing import Any

import pytest

import modelzoo
from modelzoo.errors import ConfigError, Path, Problem, Repair
from modelzoo.plans import advice


def refused(model: Any) -> list[tuple[str, str]]:
    with pytest.raises(ConfigError) as caught:
        modelzoo.plan(model)
    return [(str(each.key), each.hint) for each in caught.value.problems]


CONV = {"_target_": "Conv2d", "in_channels": 3, "out_channels": 4}


@pytest.mark.parametrize(
    ("layer", "hint", "repaired"),
    [
        (
            {"_target_": "Conv2d(3", 8: None, 3: None, "padding=1)": None},
            'Put the text in quotes: _target_: "Conv2d(3, 8, 3, padding=1)".',
            {"_target_": "Conv2d(3, 8, 3, padding=1)"},
        ),
        ({**CONV, "kernel_size": "(2", "2)": None}, "Write kernel_size: [2, 2].", {**CONV, "kernel_size": [2, 2]}),
        (
            {**CONV, "kernel_size": "(k", "k)": None},
            'Put the text in quotes: kernel_size: "=(k, k)".',
            {**CONV, "kernel_size": "=(k, k)"},
        ),
        (
            {**CONV, "kernel_size": "max(k", "2)": None},
            'Put the text in quotes: kernel_size: "=max(k, 2)".',  # without = it is a text still
            {**CONV, "kernel_size": "=max(k, 2)"},
        ),
    ],
)
def test_what_is_told_of_a_cut_text_can_be_planned(layer, hint, repaired):
    model = {"args": {"k": 3}, "layers": {"a": layer}}
    ((_, told),) = refused(model)
    assert told == hint
    modelzoo.plan({"args": {"k": 3}, "layers": {"a": repaired}})


@pytest.mark.parametrize(
    ("args", "layer", "told"),
    [
        ({"n": 4}, {"_target_": "Linear", "in_features": "n", "out_features": 4}, "in_features: =n"),
        ({"n": 4}, {"_target_": "Linear", "_args_": [4, "2 * n"]}, "=2 * n"),
        ({"n": 4}, {"_target_": "LayerNorm", "normalized_shape": "max(n, 2)"}, 'normalized_shape: "=max(n, 2)"'),
        ({"p": 0.5}, {"_target_": "Dropout", "p": "p / 2"}, "p: =p / 2"),
        ({"n": 4, "wide": "n > 3"}, "Linear(4, 4, bias=wide)", "wide: =n > 3"),
        ({"n": 4, "on": "n > 3"}, {"_target_": "ReLU", "_if_": "on"}, "on: =n > 3"),
    ],
)
def test_a_text_that_is_a_formula_without_its_equals_sign_is_recognised(args, layer, told):
    ((_, hint),) = refused({"args": args, "layers": {"a": layer}})
    assert hint == f"A formula begins with '=': {told}"


@pytest.mark.parametrize("text", ["eight", "n // 0", "n + m", "-n"])
def test_a_formula_that_would_not_do_is_not_advised(text):
    ((_, hint),) = refused(
        {"args": {"n": 4}, "layers": {"a": {"_target_": "Linear", "in_features": 4, "out_features": text}}}
    )
    assert hint == ""


def test_of_several_repairs_the_first_that_helps_is_told():
    def attempt(model: Any, init: Any) -> None:
        if model["a"] < 3:
            raise ConfigError([Problem(what="too small", key=Path(("model", "a")))])

    problem = Problem(
        what="too small",
        key=Path(("model", "a")),
        repairs=tuple(Repair(key=Path(("model", "a")), value=value, hint=f"a: {value}") for value in (2, 3, 4)),
    )
    assert [each.hint for each in advice.advised([problem], {"a": 1}, None, attempt)] == ["a: 3"]


def test_a_repair_that_leads_to_the_next_mistake_is_not_told():
    def attempt(model: Any, init: Any) -> None:
        raise ConfigError([Problem(what="too large", key=Path(("model", "a", "b")))])

    repair = Repair(key=Path(("model", "a")), value=9, hint="a: 9")
    problem = Problem(what="too small", key=Path(("model", "a")), hint="Write a number.", repairs=(repair,))
    assert [each.hint for each in advice.advised([problem], {"a": 1}, None, attempt)] == ["Write a number."]


def test_what_is_wrong_elsewhere_does_not_speak_against_a_repair():
    problems = refused(
        {
            "layers": {
                "a": {"_target_": "Linear(4", "8)": None},
                "b": {"_target_": "Linear", "in_features": 4, "out_features": "2 * 2"},
                "c": "Linaer(4, 4)",
            }
        }
    )
    assert problems == [
        ("model.layers.a.8)", 'Put the text in quotes: _target_: "Linear(4, 8)".'),
        ("model.layers.c", "Did you mean 'Linear'?"),
        ("model.layers.b.out_features", "A formula begins with '=': out_features: =2 * 2"),
    ]
