"""`_unpack_`: the layers of a sequence stand in the list around it, as with Python's star."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import modelzoo


def names(layers: list[Any], **more: Any) -> list[str]:
    """The layers that a list becomes, as `name Type`."""
    model = modelzoo.build({"layers": layers, **more})
    return [f"{name} {type(each).__name__}" for name, each in model.named_modules() if name]


def problems(layers: Any, **more: Any) -> str:
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.build({"layers": layers, **more})
    return str(caught.value)


def test_the_layers_of_a_block_take_its_place_and_the_numbers_go_on() -> None:
    middle = {"_unpack_": True, "layers": ["Linear(4, 4)", "Tanh"]}
    assert names(["ReLU", middle, "Linear(4, 2)"]) == ["0 ReLU", "1 Linear", "2 Tanh", "3 Linear"]
    assert names(["ReLU", {**middle, "_unpack_": False}]) == ["0 ReLU", "1 Sequential", "1.0 Linear", "1.1 Tanh"]


def test_it_is_the_star_of_python() -> None:
    stage = {"args": ["dim"], "layers": ["Linear(dim, 2 * dim)", "ReLU"]}
    items = [{"_target_": "Stage(3)", "_unpack_": True}, {"_target_": "Stage(6)", "_unpack_": True}, "Linear(12, 1)"]
    model = modelzoo.build({"blocks": {"Stage": stage}, "layers": items})

    def written(dim: int) -> list[nn.Module]:
        return [nn.Linear(dim, 2 * dim), nn.ReLU()]

    twin = nn.Sequential(*written(3), *written(6), nn.Linear(12, 1))
    assert str(model) == str(twin)
    twin.load_state_dict(model.state_dict(), strict=True)
    x = torch.randn(5, 3)
    assert torch.equal(model(x), twin(x))


def test_every_copy_of_a_repetition_is_unpacked() -> None:
    copies = {"_repeat_": 2, "_unpack_": True, "layers": ["Linear(4 + i, 5 + i)", "ReLU"]}
    assert names([copies, "Tanh"]) == ["0 Linear", "1 ReLU", "2 Linear", "3 ReLU", "4 Tanh"]
    assert names([{**copies, "_repeat_": 0}, "Tanh"]) == ["0 Tanh"]


def test_a_copy_that_is_no_sequence_stands_in_the_list_itself() -> None:
    double = {"layers": {"inner": "Linear(4, 4)"}, "forward": "2 * inner(x)"}
    found = names([{"_target_": "Double", "_repeat_": 2, "_unpack_": True}, "ReLU"], blocks={"Double": double})
    assert found == ["0 Double", "0.inner Linear", "1 Double", "1.inner Linear", "2 ReLU"]


def test_what_is_unpacked_may_unpack() -> None:
    stage = {
        "args": ["dim", "depth"],
        "layers": [{"_repeat_": "depth", "_unpack_": True, "layers": ["Linear(dim, dim)", "ReLU"]}, "Tanh"],
    }
    items = [{"_target_": "Stage(4, i + 1)", "_repeat_": 2, "_unpack_": True}]
    found = [each.split()[1] for each in names(items, blocks={"Stage": stage})]
    assert found == ["Linear", "ReLU", "Tanh", "Linear", "ReLU", "Linear", "ReLU", "Tanh"]


def test_a_false_condition_leaves_nothing_to_unpack() -> None:
    item = {"_if_": "wide", "_unpack_": True, "_repeat_": 2, "layers": ["ReLU", "Tanh"]}
    assert names([item, "GELU"], args={"wide": False}) == ["0 GELU"]
    assert names([item, "GELU"], args={"wide": True}) == ["0 ReLU", "1 Tanh", "2 ReLU", "3 Tanh", "4 GELU"]


def test_unpacking_a_reference_shares_the_layers_in_it() -> None:
    layers = {"a": ["Linear(4, 4)", "ReLU"], "b": ["Tanh", {"_ref_": "a", "_unpack_": True}]}
    model: Any = modelzoo.build({"layers": layers})
    assert model.b[1] is model.a[0]
    assert model.b[2] is model.a[1]


def test_one_layer_cannot_be_unpacked() -> None:
    message = problems(["ReLU", {"_target_": "Linear(4, 4)", "_unpack_": True}])
    assert "model.layers.1._unpack_" in message
    assert "_unpack_ needs layers that are called one after the other, and Linear is one layer. Remove" in message


@pytest.mark.parametrize(
    "more",
    [{"_init_": {"*.weight": 0}}, {"tie": {"0.weight": "1.weight"}}],
    ids=["_init_", "tie"],
)
def test_names_that_would_be_gone_are_refused(more: dict[str, Any]) -> None:
    message = problems([{"_unpack_": True, "layers": ["Linear(4, 4)", "Linear(4, 4)"], **more}])
    assert "a block with _init_ or tie cannot be unpacked: the names in it would be gone." in message
    assert "Move _init_ and tie to the block around it." in message


@pytest.mark.parametrize(
    ("layers", "place"),
    [
        ({"a": {"_unpack_": True, "layers": ["ReLU"]}}, "model.layers.a._unpack_"),
        ([{"_unpack_": "yes", "layers": ["ReLU"]}], "model.layers.0._unpack_"),
        ([{"_target_": "Sequential", "_args_": [{"_unpack_": True, "layers": ["ReLU"]}]}], "_args_.0._unpack_"),
    ],
    ids=["a mapping", "a text", "an argument"],
)
def test_elsewhere_than_in_a_list_it_is_refused(layers: Any, place: str) -> None:
    message = problems(layers)
    assert place in message
    assert "_unpack_ is true or false, and belongs to an item of a list of layers." in message


def test_a_reference_into_a_list_that_unpacks_is_refused_since_indices_move() -> None:
    message = problems([{"_unpack_": True, "layers": ["ReLU", "Tanh"]}, {"_ref_": 0}])
    assert "'0' is an index into a list that has _unpack_, where indices move." in message
