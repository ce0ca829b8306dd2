"""What the dry run says of a model that does not fit together."""

import pytest

import modelzoo


def refusal(model):
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.build(model)
    return str(caught.value)


def test_a_wrong_call_of_a_block_is_shown_where_the_call_stands():
    inner = {"layers": {"l": "Linear(4, 3)"}, "forward": "l(x)"}
    text = "y = x + 1\nreturn a(y, y)"
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.build({"inputs": {"x": [2, 4]}, "layers": {"a": inner}, "forward": text})
    problem = caught.value.problems[0]
    assert (problem.path, problem.line) == ("model.forward", 2)
    assert problem.what.startswith("return a(y, y) fails: A.forward() takes 2 positional arguments")


@pytest.mark.parametrize("large", [False, True], ids=["on the CPU", "on meta"])
def test_integers_do_not_enter_a_layer_that_multiplies(large):
    size = 2**13 if large else 4
    model = {"inputs": {"x": {"shape": [2, size], "dtype": "int64"}}, "layers": [f"Linear({size}, {size})"]}
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.plan(model)
    assert caught.value.problems[0].path == "model.layers.0"
    assert "int64" in str(caught.value) if large else "same dtype" in str(caught.value)


def test_what_a_layer_returns_is_shown_where_the_next_cannot_take_it():
    assert refusal({"inputs": {"x": [5, 2, 4]}, "layers": ["GRU(4, 3)", "Linear(3, 2)"]}) == (
        "model.layers.1\n  '1' is Linear(in_features=3, out_features=2) and cannot take tuple ((5, 2, 3), (1, 2, 3)): "
        "linear(): argument 'input' (position 1) must be Tensor, not tuple. The input is what '0' returns."
    )


def test_both_ends_of_a_reference_inside_a_text_are_named(tmp_path):
    file = tmp_path / "model.yaml"
    file.write_text("args: {w: -5}\ninputs: {x: [2, 8]}\nlayers:\n  n: Linear(${model.args.w}, 3)\n")
    assert refusal(file) == (
        f"{file}:4:3  model.layers.n.in_features  <- {file}:1:8  model.args.w\n"
        "  in_features of Linear must be a positive integer, not -5"
    )
