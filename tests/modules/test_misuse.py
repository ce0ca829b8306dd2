"""What is written where a layer gets what it cannot take."""

from __future__ import annotations

import pytest

import modelzoo


def hint(layers, shape, forward=None, dtype="float32"):
    """What is told behind the fact that something does not fit."""
    model = {"inputs": {"x": {"shape": shape, "dtype": dtype}}, "layers": layers}
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.build(model if forward is None else {**model, "forward": forward})
    [problem] = caught.value.problems
    return problem.hint


@pytest.mark.parametrize(
    ("layer", "shape", "told"),
    [
        ("BatchNorm1d(16)", [2, 16, 6, 6], "Write BatchNorm2d."),
        ("BatchNorm3d(16)", [2, 16, 6, 6], "Write BatchNorm2d."),
        ("Conv2d(3, 8, 3)", [2, 3, 9, 9, 9], "Write Conv3d."),
        ("BatchNorm2d(16)", [2, 8], ""),
        ("BatchNorm2d(3)", [3, 6, 6], "Write x: [1, 3, 6, 6]."),
        ("Conv2d(1, 8, 3)", [28, 28], "Write x: [1, 1, 28, 28]."),
        ("Conv2d(3, 8, 3)", [28, 28], ""),
        ("Conv2d(1, 8, 3)", [64, 28, 28], "Or write x: [64, 1, 28, 28], if it leaves out the only channel."),
        ("Conv2d(3, 8, 3)", [64, 28, 28], ""),
        ("Linear(100, 10)", [2, 16, 6, 6], "Or write Flatten before it, and write in_features=576."),
        ("Linear(100, 10)", [2, 7, 6], ""),
    ],
)
def test_a_layer_of_other_dimensions_is_offered_what_fits(layer, shape, told):
    assert hint([layer], shape) == f"{told} The input is the model's 'x'.".lstrip()


def test_what_a_text_gives_is_mended_in_the_text():
    layers = {"norm": "BatchNorm2d(3)", "out": "Linear(108, 2)"}
    assert hint(layers, [3, 6, 6], "norm(relu(x))").startswith("Give it x.unsqueeze(0). ")
    assert hint(layers, [2, 3, 6, 6], "out(norm(x))").startswith("Give it x.flatten(1). ")


def test_a_batch_that_is_missing_from_the_start_is_told_of_the_input():
    told = hint(["Conv2d(3, 16, 3)", "BatchNorm2d(16)"], [3, 32, 32])
    assert told == "Give the model's input one more dimension in front: the batch. The input is what '0' returns."


def test_whole_numbers_for_a_layer_of_floats_are_written_as_floats():
    assert hint(["Linear(20, 10)"], [2, 20], dtype="int64") == "Write x: [2, 20]. The input is the model's 'x'."


def test_a_comma_that_makes_a_tuple_is_named():
    told = hint({"a": "Linear(4, 4)"}, [2, 4], "y = a(x),\nreturn a(y)")
    assert told.startswith("A comma at the end of a line makes a tuple: remove it. ")


def test_a_list_of_layers_in_a_sequence_is_one():
    assert hint(["ModuleList([Linear(4, 4)])"], [2, 4]).startswith("Write Sequential in the place of ModuleList. ")


def test_inputs_that_are_missing_are_named():
    assert hint(["CrossEntropyLoss"], [2, 4]).startswith("Give it its target in a forward. ")
    told = hint({"attend": "MultiheadAttention(4, 2)"}, [2, 4], "y, _ = attend(x)\nreturn y")
    assert told.startswith("Give it its key and value. ")


def test_a_call_without_inputs_gets_nothing():
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.build({"inputs": {"x": [2, 4]}, "layers": {"a": "Linear(4, 4)"}, "forward": "a()"})
    assert str(caught.value) == (
        "model.forward\n  'a' is Linear(in_features=4, out_features=4) and cannot take nothing: Linear.forward() missing "
        "1 required positional argument: 'input'. Give it its input. It is model.layers.a."
    )


def test_a_layer_that_gets_a_tensor_without_dimensions_is_told_what_it_takes():
    told = hint(["Conv1d(3, 1, 1)"], [])
    assert told == "The input is the model's 'x'."
