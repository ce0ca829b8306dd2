"""Names that mean two things: what is called is a layer or a function, what is read is a value."""

from __future__ import annotations

import pytest
import torch

import modelzoo

X = torch.arange(8.0).reshape(2, 4) - 3


def answer(model):
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.build(model)
    return str(caught.value)


@pytest.mark.parametrize(
    "model",
    [
        {"args": {"sum": 2}, "forward": "sum(x, 1) * sum"},
        {"inputs": {"x": [2, 4], "sum": None}, "forward": "sum(x, 1) * 2 if sum is None else x"},
        {"forward": "sum = x * 2\nreturn sum(sum, 1)"},
        {"parameters": {"sum": {"shape": [1], "fill": 2}}, "forward": "sum(x, 1) * sum"},
        {"layers": {"sum": "Identity"}, "forward": "torch.sum(sum(x), 1) * 2"},
    ],
)
def test_what_is_called_is_the_function_whatever_value_has_its_name(model):
    built = modelzoo.build({"inputs": {"x": [2, 4]}, **model})
    assert torch.equal(built(X), X.sum(1) * 2)


def test_in_a_formula_too():
    model = modelzoo.build({"args": {"max": 4, "int": 2}, "layers": ["Linear(max(max, 3), int(4.0) * int)"]})
    assert (model[0].in_features, model[0].out_features) == (4, 8)


def test_a_layer_hides_the_function_of_its_name_and_the_answer_says_how_to_call_it():
    model = {"inputs": {"x": [2, 4]}, "layers": {"dropout": "Dropout"}, "forward": "dropout(x, 0.2)"}
    assert answer(model) == (
        "model.forward\n  'dropout' is the layer Dropout here, not the function, and takes (input). For the function write "
        "torch.dropout(x, 0.2)."
    )
    model = {"inputs": {"x": [2, 4]}, "layers": {"relu": "ReLU"}, "forward": "relu(x, True)"}
    assert answer(model) == "model.forward\n  'relu' is the layer ReLU here, not the function, and takes (input)"
    model = {"inputs": {"x": [2, 4]}, "layers": {"gelu": "GELU"}, "forward": "gelu(x, approximate='tanh')"}
    assert answer(model) == (
        "model.forward\n  'gelu' is the layer GELU here, not the function, and takes (input). For the function, rename the layer."
    )


def test_a_fill_that_is_an_arg_too_is_refused():
    model = {"args": {"ones": 7}, "parameters": {"s": {"shape": [3], "fill": "ones"}}, "forward": "x * s"}
    assert answer(model) == (
        "model.parameters.s.fill\n"
        "  'ones' is a fill, and an arg. Write ones() for the fill. For the arg, take another name."
    )
    model["parameters"]["s"]["fill"] = "ones()"
    assert torch.equal(modelzoo.build(model).s, torch.ones(3))


def test_torch_can_name_nothing_of_a_block():
    assert answer({"layers": {"torch": "ReLU"}, "forward": "torch(x)"}) == (
        "model.layers.torch\n  'torch' cannot be the name of a layer. Take another name."
    )


def test_a_layer_is_shared_by_a_reference_as_an_argument():
    model = modelzoo.build(
        {
            "inputs": {"x": [2, 4]},
            "blocks": {"Twice": {"args": ["inner"], "layers": {"i": "=inner"}, "forward": "x + i(x)"}},
            "layers": {"fc": "Linear(4, 4)", "twice": {"_target_": "Twice", "inner": {"_ref_": "fc"}}},
        }
    )
    assert model.twice.i is model.fc


def test_a_text_that_was_read_in_another_file_means_what_this_one_defines() -> None:
    assert type(modelzoo.build({"layers": ["Linear(4, 2)"]})[0]) is torch.nn.Linear
    own = {"Linear": {"args": ["a", "b"], "layers": ["torch.nn.Linear(a, b, bias=False)"]}}
    hidden = modelzoo.build({"blocks": own, "layers": ["Linear(4, 2)"]})
    assert [*hidden.state_dict()] == ["0.0.weight"]
    assert [*modelzoo.build({"layers": {"again": "Linear(4, 2)"}}).state_dict()] == ["again.weight", "again.bias"]


def test_a_text_that_was_read_in_another_file_stands_where_it_stands_here() -> None:
    modelzoo.plan({"layers": ["Linear(4, 2)"]})
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.plan({"inputs": {"x": [1, 3]}, "layers": {"first": "ReLU", "second": "Linear(4, 2)"}})
    assert [each.path for each in caught.value.problems] == ["model.layers.second"]
