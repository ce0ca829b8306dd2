"""Layers given as args: each use builds them anew, and takes further arguments only where there are any to take."""

from __future__ import annotations

from typing import Any

import pytest

import modelzoo

BLOCK = {"args": {"h": 3}, "layers": ["Linear(h, h)"]}


@pytest.mark.parametrize("given", [[], ["ReLU"], BLOCK, {"_repeat_": 2, "_target_": "ReLU"}])
@pytest.mark.parametrize("use", ["part(3, 1)", "part(h=5)"])
def test_a_block_in_place_takes_no_arguments_where_it_is_used(given: Any, use: str) -> None:
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.build({"args": {"part": given}, "layers": [use]})
    assert str(caught.value) == (
        "model.layers.0\n  'part' is a block here, which takes no arguments. Write part(), or give a definition's name."
    )
    modelzoo.build({"args": {"part": given}, "layers": ["part()"]})


def test_a_definition_and_a_layer_take_the_arguments_that_they_have_left() -> None:
    made = modelzoo.build({"args": {"part": "Part"}, "blocks": {"Part": BLOCK}, "layers": ["part(h=5)"]})
    assert made[0][0].in_features == 5
    made = modelzoo.build({"args": {"part": "Linear(in_features=3)"}, "layers": ["part(5)"]})
    assert (made[0].in_features, made[0].out_features) == (3, 5)
