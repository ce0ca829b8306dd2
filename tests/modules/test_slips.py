"""What is written where a line of a text fails."""

from __future__ import annotations

import pytest

import modelzoo


def hint(forward, **shapes):
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.build({"inputs": shapes, "layers": {"gru": "GRU(4, 4)"}, "forward": forward})
    [problem] = caught.value.problems
    return problem.hint


@pytest.mark.parametrize(
    ("x", "y", "told"),
    [
        ([2, 8], [2, 6], "Add shortcut: Linear(6, 8) to the layers. Write return x * shortcut(y)."),
        ([2, 5, 8], [2, 5, 6], "Add shortcut: Linear(6, 8) to the layers. Write return x * shortcut(y)."),
        ([2, 8, 4, 4], [2, 6, 4, 4], "Add shortcut: Conv2d(6, 8, 1) to the layers. Write return x * shortcut(y)."),
        (
            [2, 8, 3, 3],
            [2, 6, 7, 7],
            "Add shortcut: Conv2d(6, 8, 1, stride=3) to the layers. Write return x * shortcut(y).",
        ),
        (
            [2, 8, 5, 5],
            [2, 6, 9, 9],
            "Add shortcut: Conv2d(6, 8, 1, stride=2) to the layers. Write return x * shortcut(y).",
        ),
        ([2, 8, 4, 4], [2, 6, 9, 9], ""),
        ([2, 8, 4, 4], [2, 6, 8, 4], ""),
        ([2, 8, 4, 4], [2, 8, 6, 6], ""),
        ([2, 8], [3, 8], ""),
        ([2, 8], [6], ""),
    ],
)
def test_a_layer_that_makes_one_shape_of_the_other_is_offered(x, y, told):
    assert hint("z = 1\nreturn x * y", x=x, y=y) == f"Here x is {x} and y is {y}. {told}".rstrip()


def test_the_larger_image_gets_the_shortcut_on_either_side():
    told = " Add shortcut: Conv2d(6, 8, 1, stride=2) to the layers. Write relu(shortcut(x) + y)."
    assert hint("relu(x + y)", x=[2, 6, 8, 8], y=[2, 8, 4, 4]).endswith(told)


@pytest.mark.parametrize(("size", "stride"), [(3, 3), (4, 2), (7, 1)])
def test_what_a_shortcut_makes_fits(size, stride):
    inputs = {"x": [2, 8, size, size], "y": [2, 6, 7, 7]}
    layer = f"Conv2d(6, 8, 1{f', stride={stride}' if stride > 1 else ''})"
    assert f"Add shortcut: {layer} to the layers." in hint("x + y", **inputs)
    modelzoo.build({"inputs": inputs, "layers": {"shortcut": layer}, "forward": "x + shortcut(y)"})


def test_a_view_that_takes_other_sizes_is_told_what_there_is():
    told = "Here x is [2, 3, 4]: x.flatten(1) makes [2, 12] of it."
    assert hint("x.view(-1, 7)", x=[2, 3, 4]) == told
    assert hint("x.reshape(2, 7)", x=[2, 3, 4]) == told
    assert hint("x.view(-1, 7)", x=[2, 12]) == ""


def test_tensors_to_join_are_written_as_a_list():
    assert hint("cat(x, y, dim=1)", x=[2, 3], y=[2, 3]) == "Write cat([x, y], dim=1)."
    assert hint("torch.stack(x, y)", x=[2, 3], y=[2, 3]) == "Write torch.stack([x, y])."
    assert hint("cat([x, y], 1)", x=[2, 3], y=[4, 3]) == "Here x is [2, 3] and y is [4, 3]."


def test_what_returns_a_tuple_is_taken_apart_where_it_is_called():
    told = "'y' is a tuple of 2: write y, _ = gru(x)."
    assert hint("y = gru(x)\nreturn y[:, -1]", x=[2, 3, 4]) == told
    assert hint("y = gru(x)\nz = relu(x)\nreturn y.mean()", x=[2, 3, 4]) == told
    assert hint("return gru(x)[:, -1]", x=[2, 3, 4]) == ""
