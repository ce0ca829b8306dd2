"""What the dry run says of a model that does not fit together."""

import re
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import modelzoo
from modelzoo.plans import draft


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
        "model.blocks.Block.forward\n"
        "  '0.a' is Linear(in_features=10, out_features=20): it takes [*, 10] but gets [2, 8]; write in_features=8. "
        "It is model.blocks.Block.layers.a. The input is the model's 'x'."
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
        "it takes [*, 2048] but gets [2, 8, 16, 16], which Flatten makes [2, 2048]. Write Flatten before it. "
        "The input is what '0' returns." in (refusal({"inputs": {"x": [2, 3, 16, 16]}, "layers": layers}))
    )
    modelzoo.build({"inputs": {"x": [2, 3, 16, 16]}, "layers": [layers[0], "Flatten", layers[1]]})


# -- no error is thrown away ------------------------------------------------------------------------------------------

REFUSED = {
    "channels of a transposed convolution": ([2, 3, 8, 8], ["Conv2d(3, 64, 3)", "ConvTranspose2d(128, 64, 2)"], 1, "write in_channels=64"),
    "a softmax over no dimension": ([2, 4], ["Linear(4, 4)", "Softmax(7)"], 1, "expected to be in range of [-2, 1], but got 7"),
    "upsampling of two dimensions": ([2, 4], ["Linear(4, 4)", "Upsample(scale_factor=2)"], 1, "Only 3D, 4D and 5D input Tensors supported"),
    "a mode for other dimensions": ([2, 3, 8, 8], ["Upsample(scale_factor=2, mode='trilinear')"], 0, "Got 4D input, but trilinear mode needs 5D input"),
    "a padding of two dimensions": ([8, 8], ["ReflectionPad2d(1)"], 0, "Padding size 4 is not supported for 2D input tensor."),
    "a dict of layers as a step": ([2, 4], ["Linear(4, 4)", {"_target_": "ModuleDict", "modules": {"a": "ReLU"}}], 1, 'is missing the required "forward" function'),
    "a list of layers as a step": ([2, 4], ["Linear(4, 4)", {"_target_": "ModuleList", "modules": ["ReLU"]}], 1, 'is missing the required "forward" function'),
    "integers": ({"shape": [2, 4], "dtype": "int64"}, ["Softmax(1)"], 0, "[2, 4] int64"),
}  # fmt: skip


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize(("shape", "layers", "place", "what"), REFUSED.values(), ids=REFUSED)
def test_what_no_data_would_let_pass_is_refused_at_the_layer(shape, layers, place, what, device):
    with pytest.raises(modelzoo.ConfigError) as caught:
        draft.draft({"inputs": {"x": shape}, "layers": layers}, device=device)
    (problem,) = caught.value.problems
    assert problem.path == f"model.layers.{place}"
    assert what in str(problem)


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize(
    "call",
    [
        "softmax(y, 7)",
        "y.softmax(2)",
        "y[:, 4]",
        "y.sort(2)",
        "interpolate(y, scale_factor=2, mode='linear')",
        "pad(y, (1, 1), 'os.system')",
        "conv_transpose2d(y[None, None], y[None, None].expand(2, 1, 4, 4))",
        "y @ eye(4, dtype='float64')",
        "gelu(y.to('int64'))",
        "relu(y > 0)",
        "1 / (y.ndim - 2)",
        "y * [1, 2][y.ndim]",
        "y * {'a': 1}['b']",
        "y * 10.0 ** (200 * y.ndim)",
        "linear(y)",
    ],
)
def test_what_no_data_would_let_pass_is_refused_at_the_line_of_the_text(call, device):
    text = f"y = x * 2\nreturn {call}"
    with pytest.raises(modelzoo.ConfigError) as caught:
        draft.draft({"inputs": {"x": [4, 4]}, "forward": text}, device=device)
    (problem,) = caught.value.problems
    assert (problem.path, problem.line) == ("model.forward", 2)
    assert problem.what.startswith(f"return {call} fails: ")


RUNNING = {
    "a division by what the data are": "x / float(x.abs().sum())",
    "a logarithm of what the data are": "x * log(float(x.abs().sum()))",
    "a size of what the data are": "avg_pool1d(x[:, : 2 + int(x.abs().sum() > 0)], 3)",
    "a size of what a buffer is": "x.view(int(n), -1)[1]",
    "draws of what the data are": "x + multinomial(x.abs(), 1)",
    "a loop until the data are large": "y = x\nwhile float(y.abs().sum()) < 9:\n  y = y * 2\nreturn y",
    "the largest of those that are not zero": "masked_select(x, x != 0).max()",
}


@pytest.mark.parametrize("forward", RUNNING.values(), ids=RUNNING)
def test_what_only_zeros_refuse_is_built_and_runs(forward):
    model = {"inputs": {"x": [2, 4]}, "buffers": {"n": {"shape": [], "fill": 4}}, "forward": forward}
    told = f"a number is taken from data in `{forward}`, and others were not tried"
    assert modelzoo.plan(model).notes == ((told,) if "int(x" in forward else ())
    modelzoo.build(model)(torch.randn(2, 4))


def test_what_fails_on_values_is_told_and_not_what_failed_on_zeros():
    text = "y = x / float(x.abs().sum())\nreturn y @ y"
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.build({"inputs": {"x": [2, 4]}, "forward": text})
    (problem,) = caught.value.problems
    assert (problem.line, problem.what.partition(" fails")[0]) == (2, "return y @ y")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_dtype_that_the_cpu_cannot_compute_with_is_checked_on_meta(dtype):
    layers = ["LPPool3d(2, 2)", "Conv3d(3, 4, 2)"]
    plan = modelzoo.plan({"inputs": {"x": [1, 3, 8, 8, 8]}, "layers": layers}, dtype=dtype)
    assert plan.modules[-1].output == (1, 4, 3, 3, 3)
    with pytest.raises(modelzoo.ConfigError, match="write in_channels=3"):
        modelzoo.plan({"inputs": {"x": [1, 3, 8, 8, 8]}, "layers": [layers[0], "Conv3d(5, 4, 2)"]}, dtype=dtype)


@pytest.mark.parametrize(
    "call",
    ["float(y.sum())", "y[y > 0]", "nonzero(y)", "where(y > 0)", "y[: int(y.sum())]", "one_hot(y.to('int64'))", "bincount(y[0].to('int64'))"],
)  # fmt: skip
def test_what_depends_on_data_ends_the_check_on_meta_with_a_note(call):
    plan = draft.draft({"inputs": {"x": [4, 4]}, "forward": f"y = x + 1\nz = {call}\nreturn y"}, device="meta").plan
    assert plan.notes == (f"sizes after this depend on data and were not checked: z = {call}",)


@pytest.mark.parametrize(
    "call",
    [
        "arange(x.sum(), x.sum() + 4)",
        "full([2], x.mean())",
        "x.add(x, alpha=x.amax())",
        "softmax(x, argmin(x))",
        "x.sum(argmin(x))",
        "cummax(x, argmin(x))",
        "zeros([argmin(x) + 1, 3])",
        "x[argmin(x)]",
    ],
)
def test_a_dimension_or_a_size_that_data_decides_is_told_for_others_may_not_fit(call):
    plan = modelzoo.plan({"inputs": {"x": [2, 3]}, "forward": f"return {call}"})
    assert plan.notes == (f"a number is taken from data in `return {call}`, and others were not tried",)


def test_a_tensor_that_few_machines_have_room_for_is_told_and_a_view_of_that_size_is_not():
    model = {"inputs": {"x": [2, 3]}, "forward": "y = zeros([2**42, 2])\nreturn x + y.sum()"}
    assert modelzoo.plan(model).notes == ("a forward pass makes a tensor of 35.2 TB in `y = zeros([2**42, 2])`",)
    model["forward"] = "y = zeros([1]).expand(2**42)\nreturn x + y[:3].sum()"
    assert modelzoo.plan(model).notes == ()
    with pytest.raises(
        modelzoo.ConfigError, match=r"makes a tensor of 17.6 TB in `\(x @ x.T\).sum\(\)`, and 1.0 GB are allowed"
    ):
        modelzoo.build({"inputs": {"x": [2**21, 1]}, "forward": "(x @ x.T).sum()"}, memory="1GB")


@pytest.mark.parametrize("call", ["x * argmin(x)", "x[:, 0] + x.sum()", "where(argmin(x) > 0, x, 0)", "cat([x, x], 1)"])
def test_a_number_that_stays_a_tensor_decides_no_size(call):
    assert modelzoo.plan({"inputs": {"x": [2, 3]}, "forward": f"return {call}"}).notes == ()


WAYS = {
    "a turn of a loop that is not about data": "for i in range(2):\n  if i == 1:\n    x = cat([x, x])\nreturn x",
    "a loop that is not about data": "i = 0\nwhile i < 3:\n  x = cat([x, x])\n  i += 1\nreturn x",
    "a condition on data in it": "i = 0\nwhile i < 3:\n  x = cat([x, x])\n  if x.sum() > 0:\n    x = x * 2\n  i += 1\nreturn x",
}


@pytest.mark.parametrize("text", WAYS.values(), ids=WAYS)
def test_only_ways_that_data_decide_must_agree_in_their_shapes(text):
    model = modelzoo.build({"inputs": {"x": [2, 3]}, "forward": text})
    assert model(torch.ones(2, 3)).shape[0] in (4, 16)


@pytest.mark.parametrize("condition", ["x.sum() > 0", "x.shape[0] > 2"])
def test_a_block_with_a_condition_is_called_with_two_shapes(condition):
    block = {"forward": f"if {condition}:\n  x = x * 2\nreturn x"}
    called = {"blocks": {"B": block}, "layers": {"b": "B"}, "forward": "b(x).sum() + b(cat([x, x])).sum()"}
    assert modelzoo.build({"inputs": {"x": [2, 3]}, **called})(torch.ones(2, 3)) in (30, 36)


@pytest.mark.parametrize(
    "text",
    [
        "while x.sum() < 3:\n  x = cat([x, x])\nreturn x",
        "i = 0\nwhile i < 3 and not x.sum() > 3:\n  x = cat([x, x])\n  i += 1\nreturn x",
        "for i in range(2):\n  if x.sum() > 0:\n    x = cat([x, x])\nreturn x",
    ],
)
def test_ways_that_data_decide_are_told_once_where_they_differ(text):
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.build({"inputs": {"x": [2, 3]}, "forward": text})
    (problem,) = caught.value.problems
    assert re.fullmatch(r"'x' has shape \[\d+, 3\] on one way through here and \[\d+, 3\] on another.", problem.what)


@pytest.mark.parametrize("text", ["while x > 1:\n  x = x / 2\nreturn x", "x if x > 0 else -x"])
def test_a_condition_on_many_elements_is_refused_as_torch_refuses_it(text):
    with pytest.raises(modelzoo.ConfigError, match="Boolean value of Tensor with more than one value is ambiguous"):
        modelzoo.plan({"inputs": {"x": [2, 4]}, "forward": text})


CALLS = [  # text, line, column, what the call gets, what is said after
    ("a = fc(x)\nb = out(a)\nreturn fc(b)", 3, 8, 4, "Another call needs in_features=8."),
    ("a = fc(x)\na = fc(a[:, :4])\nreturn a", 2, 5, 4, "Another call needs in_features=8."),
    ("for i in range(2):\n    x = fc(x)[:, :7]\nreturn x", 2, 9, 7, "Another call needs in_features=8."),
    ("return [out(x[:, :3]), out(x)]", 1, 9, 3, "Another call needs in_features=8."),
    ("return out(x[:, :3]) + out(x[:, :5])", 1, 8, 3, "Another call needs in_features=5."),
    ("y = relu(x)\nreturn relu(out(y[:, :6]))  # half", 2, 13, 6, "write in_features=6."),
]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="older ones do not know the column of a call")
@pytest.mark.parametrize(("text", "line", "column", "gets", "said"), CALLS)
def test_a_wrong_call_is_told_at_the_call_and_a_size_that_another_needs_is_not_offered(text, line, column, gets, said):
    model = {"inputs": {"x": [2, 8]}, "layers": {"fc": "Linear(8, 8)", "out": "Linear(8, 4)"}, "forward": text}
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.plan(model)
    (problem,) = caught.value.problems
    assert (problem.path, problem.line, problem.column) == ("model.forward", line, column)
    assert f"it takes [*, 8] but gets [2, {gets}]" in problem.what
    assert said in str(problem)
    assert ("write in_features" in str(problem)) == ("write" in said)


def test_a_reference_in_a_sequence_is_told_where_it_stands():
    layers = {"fc": "Linear(8, 8)", "head": "Linear(8, 4)", "more": {"_ref_": "fc"}, "last": {"_ref_": "fc"}}
    assert refusal({"inputs": {"x": [2, 8]}, "layers": layers}) == (
        "model.layers.more\n  'fc' is Linear(in_features=8, out_features=8): it takes [*, 8] but gets [2, 4]. Another "
        "call needs in_features=8. It is model.layers.fc. The input is what 'head' returns."
    )
    layers["more"] = "Linear(4, 8)"
    modelzoo.plan({"inputs": {"x": [2, 8]}, "layers": layers})


def test_copies_that_cannot_follow_each_other_say_so():
    model = {"inputs": {"x": [2, 3]}, "layers": [{"_target_": "Linear(3, 4)", "_repeat_": 3}]}
    assert refusal(model) == (
        "model.layers.0\n  '0.1' is Linear(in_features=3, out_features=4): it takes [*, 3] but gets [2, 4]. Copies follow "
        "each other: each must take what the one before it returns. The input is what '0.0' returns."
    )


def test_two_layers_that_miss_the_same_tensor_are_both_told():
    layers = {"a": "Linear(8, 4)", "b": "Linear(8, 4)", "c": "Linear(8, 4)"}
    model = {"inputs": {"x": [2, 8]}, "layers": layers, "forward": "u = a(x)\nv = b(u)\nw = c(u)\nreturn v + w"}
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.plan(model)
    assert [(each.line, each.what[:3]) for each in caught.value.problems] == [(2, "'b'"), (3, "'c'")]


def test_a_message_quotes_a_statement_without_the_remark_behind_it():
    model = {"inputs": {"x": [2, 4]}, "forward": "y = x * 2  # all\nreturn {'#': y.view(3, 3)}  # three rows"}
    told = "return {'#': y.view(3, 3)} fails: shape '[3, 3]' is invalid for input of size 8"
    assert refusal(model) == f"model.forward\n  {told}"


@pytest.mark.parametrize(
    ("line", "told", "instead"),
    [
        (
            "y = one(y)",
            "'one' is absent here: it is null, or its _if_ is false. Write one(x) if one else x.",
            "y = one(y) if one else y",
        ),
        (
            "for step in steps: y = step(y)",
            "'steps' is absent here: it is null, or its _if_ is false. Ask for it first: if steps:",
            "if steps:\n    for step in steps: y = step(y)",
        ),
        (
            "y = y * mask",
            "'mask' is null here. Ask for it first: if mask is not None:",
            "if mask is not None: y = y * mask",
        ),
        (
            "y = mask.sum()",
            "'mask' is null here. Ask for it first: if mask is not None:",
            "if mask is not None: y = mask.sum()",
        ),
    ],
)
def test_what_is_absent_is_named_with_the_way_to_ask_for_it(line, told, instead):
    layers = {"steps": {"_target_": "ReLU", "_repeat_": 2, "_if_": False}, "one": {"_target_": "ReLU", "_if_": False}}
    model = {"inputs": {"x": [2, 8], "mask": None}, "layers": layers}
    assert refusal({**model, "forward": f"y = x * 2\n{line}\nreturn y"}) == f"model.forward\n  {told}"
    modelzoo.build({**model, "forward": f"y = x * 2\n{instead}\nreturn y"})


@pytest.mark.parametrize(
    ("shape", "layer", "moved"),
    [
        ([2, 16, 8], "Conv1d(8, 4, 3)", "x.transpose(1, 2)"),
        ([2, 5, 6, 8], "BatchNorm2d(8)", "x.movedim(-1, 1)"),
        ([2, 5, 6, 7, 8], "ConvTranspose3d(8, 4, 3)", "x.movedim(-1, 1)"),
    ],
)
def test_channels_that_come_last_are_offered_to_be_moved(shape, layer, moved):
    model = {"inputs": {"x": shape}, "layers": {"layer": layer}}
    said = refusal({**model, "forward": "layer(x)"})
    assert (
        f"write {'num_features' if 'Norm' in layer else 'in_channels'}={shape[1]}. Or give it {moved}, if the" in said
    )
    modelzoo.build({**model, "forward": f"layer({moved})"})
    modelzoo.build({**model, "layers": {"layer": layer.replace("(8", f"({shape[1]}")}, "forward": "layer(x)"})


LEFT = {
    "break in a loop over layers": "for f in a:\n  x = f(x)\n  if x.sum() > 1:\n    x = h(x)\n    break\nreturn x",
    "continue in a loop over layers": "for f in a:\n  if x.sum() > 1:\n    x = h(x)\n    continue\n  x = f(x)\nreturn x",
    "break in an endless while": "while True:\n  x = a[0](x)\n  if x.sum() > 1:\n    x = h(x)\n    break\nreturn x",
    "break on the other side": (
        "while True:\n  if x.sum() > 1:\n    x = a[0](x)\n  else:\n    x = h(x)\n    break\nreturn x"
    ),
    "break in a while on data": (
        "while x.sum() > 1:\n  x = a[0](x)\n  if x.sum() > 1:\n    x = h(x)\n    break\nreturn x"
    ),
    "return from an endless while": "while True:\n  x = a[0](x)\n  if x.sum() > 1:\n    return h(x)\nreturn x",
    "return from a loop in it": "while True:\n  for f in a:\n    x = f(x)\n    if x.sum() > 1:\n      return h(x)\nreturn x",
    "continue and break": (
        "while True:\n  x = a[0](x)\n  if x.sum() > 1:\n    continue\n  x = h(x)\n  if x.sum() > 2:\n    break\nreturn x"
    ),
}


@pytest.mark.parametrize("text", LEFT.values(), ids=LEFT)
def test_both_ways_of_what_ends_a_loop_are_checked_and_the_loop_ends(text):
    """`h` is met on one way alone, once behind it: there its wrong size is seen, and a right one is found."""
    model = {"inputs": {"x": [2, 4]}, "forward": text}
    wrong = {"a": ["Linear(4, 4)", "Linear(4, 4)"], "h": "Linear(5, 4)"}
    assert refusal({**model, "layers": wrong}).startswith("model.forward\n  'h' is Linear(in_features=5")
    right = modelzoo.build({**model, "layers": {**wrong, "h": "Linear(out_features=4)"}})
    assert right.h.in_features == 4


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("for f in a:\n  x = f(x)\n  if x.sum() > 1:\n    break\nreturn x", 1),
        ("for f in a:\n  if x.sum() > 1:\n    continue\n  x = f(x)\nreturn x", 1),
        ("y = x\nfor f in a:\n  y = f(y)\n  if y.sum() > 1 and True:\n    y = x\n    break\nreturn y", 2),
    ],
)
def test_a_loop_that_ends_early_leaves_what_it_leaves_otherwise(text, line):
    layers = {"a": ["Linear(4, 4)", "Linear(4, 2)"]}
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.plan({"inputs": {"x": [2, 4]}, "layers": layers, "forward": text})
    (problem,) = caught.value.problems
    assert problem.line == line
    assert "on one way through here and" in problem.what
    modelzoo.plan({"inputs": {"x": [2, 4]}, "layers": {"a": ["Linear(4, 4)", "Linear(4, 4)"]}, "forward": text})
