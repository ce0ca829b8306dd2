"""All mistakes are told together, also beside a text of `forward` that cannot be read."""

from __future__ import annotations

from typing import Any

import pytest

import modelzoo
from modelzoo.errors import ConfigError

MODEL: dict[str, Any] = {
    "inputs": {"x": [2, 8]},
    "layers": {"a": "Linear(8, 4)", "b": "Linear(4, 4)"},
    "forward": "return b(a(x)) + q",
}


def paths(model: Any, init: Any = None) -> set[str]:
    with pytest.raises(ConfigError) as caught:
        modelzoo.plan(model, init)
    return {each.path for each in caught.value.problems}


def test_a_tie_a_rule_and_a_fill_that_are_wrong_are_told_beside_a_name_that_is_not_there() -> None:
    rules = {"none": {"name": "d.weight", "fill": 0}, "some": {"param": "weight", "fill": "kaiming_nromal"}}
    told = paths({**MODEL, "tie": {"b.weight": "c.weight"}}, rules)
    assert told == {"model.tie.b.weight", "model.forward", "init.none", "init.some.fill"}


def test_a_tie_and_a_rule_that_are_wrong_are_told_together_where_all_texts_are_right() -> None:
    model = {**MODEL, "forward": "b(a(x))", "tie": {"b.weight": "c.weight"}}
    assert paths(model, {"none": {"name": "d.weight", "fill": 0}}) == {"model.tie.b.weight", "init.none"}


@pytest.mark.parametrize("forward", ["return b(a(x)) * s", "return b(a(x)) * s + q"])
def test_a_parameter_that_nothing_fills_is_told_beside_a_wrong_text(forward: str) -> None:
    told = paths({**MODEL, "parameters": {"s": {"shape": [4]}}, "forward": forward})
    assert told == {"model.parameters.s"} | ({"model.forward"} if "q" in forward else set())


def test_what_a_wrong_rule_or_tie_would_have_filled_is_not_said_to_be_without_a_fill() -> None:
    model = {**MODEL, "parameters": {"s": {"shape": [4]}}}
    assert paths(model, {"s": {"name": "s", "fill": "zeors"}}) == {"model.forward", "init.s.fill"}
    assert paths({**model, "tie": {"s": "b.bais"}}) == {"model.forward", "model.tie.s"}


def test_nothing_is_looked_for_beside_a_layer_that_cannot_be_read() -> None:
    model = {**MODEL, "layers": {"a": "Linear(8, 4)", "c": "Linaer(4, 4)"}, "tie": {"c.weight": "b.weight"}}
    assert paths(model, {"none": {"name": "c.bias", "fill": 0}}) == {"model.layers.c", "model.forward"}


@pytest.mark.parametrize("kind", ["parameters", "buffers", "layers", "args", "inputs", "blocks"])
def test_what_is_called_forward_is_no_text(kind: str) -> None:
    assert paths({**MODEL, kind: {"forward": {"shape": [4]} if kind in ("parameters", "buffers") else "ReLU"}})


def test_the_texts_of_definitions_are_looked_past_too() -> None:
    block = {"inputs": ["x"], "layers": {"f": "Linear(8, 8)"}, "forward": "f(y)", "tie": {"f.weight": "g.weight"}}
    model = {"inputs": {"x": [2, 8]}, "blocks": {"Part": block}, "layers": ["Part", "Part"]}
    assert paths(model) == {"model.blocks.Part.forward", "model.blocks.Part.tie.f.weight"}
