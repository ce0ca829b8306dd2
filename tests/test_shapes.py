"""What the dry run says of a model that does not fit together."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
        "linear(): argument 'input' (position 1) must be Tensor, not tuple. "
        "Take it apart in a forward: y, _ = layer(x). The input is what '0' returns."
    )
    apart = {"layers": {"rnn": "GRU(4, 3)", "out": "Linear(3, 2)"}, "forward": "y, _ = rnn(x)\nreturn out(y)"}
    modelzoo.build({"inputs": {"x": [5, 2, 4]}, **apart})


def test_indices_are_integers():
    assert refusal({"inputs": {"x": [2, 5]}, "layers": ["Embedding(10, 4)"]}).endswith(
        "Write x: {shape: [2, 5], dtype: int64}. The input is the model's 'x'."
    )
    modelzoo.build({"inputs": {"x": {"shape": [2, 5], "dtype": "int64"}}, "layers": ["Embedding(10, 4)"]})


def test_both_ends_of_a_reference_inside_a_text_are_named(tmp_path):
    file = tmp_path / "model.yaml"
    file.write_text("args: {w: -5}\ninputs: {x: [2, 8]}\nlayers:\n  n: Linear(${model.args.w}, 3)\n")
    assert refusal(file) == (
        f"{file}:4:3  model.layers.n.in_features  <- {file}:1:8  model.args.w\n"
        "  in_features of Linear must be a positive integer, not -5"
    )


@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=6), st.integers(1, 9), st.booleans()
)
def test_all_layers_that_do_not_fit_are_told_and_each_cause_once(sizes, first, large):
    causes, wanted = set(), []
    for index, (before, (takes, _)) in enumerate(zip([first, *(size for _, size in sizes)], sizes, strict=False)):
        if takes != before and (takes, before) not in causes:
            causes.add((takes, before))
            wanted.append(
                (f"model.layers.{index}", f"takes [*, {takes}] but gets [2, {before}]; write in_features={before}.")
            )
    layers = [f"Linear({takes}, {gives})" for takes, gives in sizes]
    if large:
        layers.append(f"Linear({sizes[-1][1]}, {10**9})")
    model = {"inputs": {"x": [2, first]}, "layers": layers}
    if not wanted:
        modelzoo.plan(model)
        return
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.plan(model)
    found = [(each.path, each.what.partition(": it ")[2]) for each in caught.value.problems]
    assert found == wanted


def test_what_a_wrong_size_may_have_spoilt_is_not_told():
    block = {"args": ["d"], "layers": {"a": "Linear(d, 2 * d)", "b": "Linear(2 * d, d)"}, "forward": "x + b(a(x))"}
    model = {"inputs": {"x": [2, 8]}, "blocks": {"Block": block}, "layers": ["Block(10)", "Block(10)"]}
    assert refusal(model) == (
        "model.blocks.Block.layers.a\n"
        "  '0.a' is Linear(in_features=10, out_features=20): it takes [*, 10] but gets [2, 8]; write in_features=8. "
        "The input is the model's 'x'."
    )
    model = {"inputs": {"x": [2, 8]}, "layers": {"a": "Linear(4, 4)"}, "forward": "a(x), a(x[:, :3])"}
    assert refusal(model).count("it takes") == 1


def test_layers_are_told_up_to_one_that_cannot_be_mended():
    model = {
        "inputs": {"x": [2, 3, 8, 8]},
        "layers": ["Conv2d(1, 4, 3)", "Conv2d(3, 4, 30)", "Flatten", "Linear(7, 2)"],
    }
    assert [line for line in refusal(model).splitlines() if not line.startswith(" ")] == [
        "model.layers.0",
        "model.layers.1",
    ]
    attention = {"a": "MultiheadAttention(6, 2, kdim=3)", "b": "Linear(5, 5)"}
    text = "b(a(x, x, x)[0])"
    model = {"inputs": {"x": [2, 3, 8]}, "layers": attention, "forward": text}
    assert "'b'" not in refusal(model)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("Sequential(Linear(4, 4), Linaer(4, 4))", "there is no function or layer 'Linaer'. Did you mean 'Linear'?"),
        ("Sequential(Linear(4, 4), relu)", "'relu' is a function. Did you mean 'ReLU'?"),
        ("Sequential(Linear(4, 4), Relu)", "there is no value 'Relu'. Did you mean 'ReLU'?"),
        ("Linear(dmi, 4)", "there is no value 'dmi'. Did you mean 'dim'?"),
        ("Linear(width, 4)", "there is no value 'width'. Known: dim."),
    ],
)
def test_among_the_arguments_of_a_layer_layers_are_meant(text, what):
    assert refusal({"args": {"dim": 4}, "layers": [text]}) == f"model.layers.0\n  {what}"


def test_a_flatten_that_is_missing_is_named():
    layers = ["Conv2d(3, 8, 3, padding=1)", "Linear(2048, 10)"]
    assert (
        "it takes [*, 2048] but gets [2, 8, 16, 16], which Flatten makes [2, 2048]. The input is what '0' returns."
        in (refusal({"inputs": {"x": [2, 3, 16, 16]}, "layers": layers}))
    )
    modelzoo.build({"inputs": {"x": [2, 3, 16, 16]}, "layers": [layers[0], "Flatten", layers[1]]})
