"""What a plan says of training: of texts that ask for it, and of layers that take less in it."""

import copy
import re
import sys

import pytest
import torch
from torch import nn

import modelzoo
from modelzoo import bounds, register
from modelzoo.__main__ import main
from modelzoo.export.graph import shapes
from modelzoo.plans import draft

AUX = "y = fc(x)\nif training:\n    y = aux(y)\nreturn y"


def refusal(model, make=modelzoo.plan, **options):
    with pytest.raises(modelzoo.ConfigError) as caught:
        make(model, **options)
    return str(caught.value)


def auxiliary(aux, large=False):
    size = 2**13 if large else 8
    return {"inputs": {"x": [4, size]}, "layers": {"fc": f"Linear({size}, {size})", "aux": aux}, "forward": AUX}


@pytest.mark.parametrize("make", [modelzoo.plan, modelzoo.build])
@pytest.mark.parametrize("large", [False, True], ids=["on the CPU", "on meta"])
def test_a_wrong_size_in_training_stands_where_training_calls_it(make, large):
    size = 2**13 if large else 8
    assert refusal(auxiliary("Linear(9, 2)", large), make) == (
        f"model.forward\n  In training: 'aux' is Linear(in_features=9, out_features=2): it takes [*, 9] but gets "
        f"[4, {size}]; write in_features={size}. It is model.layers.aux. The input is what 'fc' returns."
    )
    make(auxiliary(f"Linear({size}, 2)", large))


@pytest.mark.skipif(sys.version_info < (3, 11), reason="older ones do not know the column of a call")
def test_the_line_of_the_call_is_told(tmp_path):
    file = tmp_path / "model.yaml"
    file.write_text(
        "inputs: {x: [4, 8]}\n"
        "layers:\n"
        "  fc: Linear(8, 4)\n"
        "  aux:\n"
        "    - ReLU\n"
        "    - Conv1d(3, 2, 1)\n"
        "forward: |\n"
        "  y = fc(x)\n"
        "  if training:\n"
        "      y = aux(y)\n"
        "  return y\n"
    )
    told = (
        f"{file}:10:11  model.forward\n  In training: 'aux.1' is Conv1d(in_channels=3, out_channels=2, kernel_size=1): it "
        "takes [3, L] or [N, 3, L] but gets [4, 4]; write in_channels=4. "
        f"It is model.layers.aux.1 ({file}:6:7). The input is what 'aux.0' returns ({file}:5:7)."
    )
    assert refusal(file) == told


def test_a_text_that_fails_in_training_says_so():
    model = {"inputs": {"x": [4, 4]}, "forward": "y = x.view(2, 8)\nreturn y.view(4, 5) if training else y"}
    assert refusal(model) == (
        "model.forward\n"
        "  In training: return y.view(4, 5) if training else y fails: shape '[4, 5]' is invalid for input of size 16"
    )
    modelzoo.plan({**model, "forward": "y = x.view(2, 8)\nreturn y.view(4, 4) if training else y"})


def test_a_mistake_of_both_modes_is_told_once_and_one_of_training_beside_it():
    layers = {"fc": "Linear(8, 4)", "out": "Linear(5, 2)", "aux": "Linear(9, 2)"}
    text = "y = fc(x)\nif training:\n    z = aux(y)\nreturn out(y)"
    assert refusal({"inputs": {"x": [4, 8]}, "layers": layers, "forward": text}) == (
        "model.forward\n  'out' is Linear(in_features=5, out_features=2): it takes [*, 5] but gets [4, 4]; write "
        "in_features=4. It is model.layers.out. The input is what 'fc' returns.\n"
        "model.forward\n  In training: 'aux' is Linear(in_features=9, out_features=2): it takes [*, 9] but gets [4, 4]; "
        "write in_features=4. It is model.layers.aux. The input is what 'fc' returns."
    )


def test_what_evaluation_alone_calls_is_told_as_ever():
    text = "y = fc(x)\nif not training:\n    y = out(y)\nreturn y"
    model = {"inputs": {"x": [4, 8]}, "layers": {"fc": "Linear(8, 4)", "out": "Linear(5, 2)"}, "forward": text}
    assert refusal(model).startswith("model.forward\n  'out' is Linear(in_features=5")


def test_every_way_through_a_condition_on_data_is_looked_at_in_training():
    text = "y = x\nif training and x.mean() > 0:\n    y = x\nelse:\n    y = x.view(2, 8)\nreturn y"
    model = {"inputs": {"x": [4, 4]}, "forward": text}
    assert refusal(model) == (
        "model.forward\n  In training: 'y' has shape [4, 4] on one way through here and [2, 8] on another. Make both equal."
    )
    modelzoo.plan({**model, "forward": text.replace("2, 8", "4, 4")})


def test_the_modes_may_return_different_shapes_and_a_loop_in_one_of_them():
    text = "y = x\nif training:\n    y = x.view(2, 8)\n    while y.sum() > 1:\n        y = y / 2\nreturn y"
    plan = modelzoo.plan({"inputs": {"x": [4, 4]}, "forward": text})
    assert (plan.modules[0].output, plan.notes) == ((4, 4), ())


def test_a_plan_says_how_many_conditions_it_looked_at():
    text = "\n".join([*(f"if x.sum() > {bound}:\n    x = x + 1" for bound in range(70)), "return x"])
    model = {"inputs": {"x": [4, 4]}, "forward": text}
    assert modelzoo.plan(model).notes == ("of 70 conditions on data only 64 were checked both ways",)
    assert modelzoo.plan({**model, "forward": text[text.index("if x.sum() > 6:") :]}).notes == ()


def test_a_model_that_one_pass_may_run_is_not_refused_since_all_passes_together_would_be_too_many(monkeypatch):
    block = {"layers": {"fc": "Linear(4, 4)"}, "forward": "if x.sum() > 0:\n  x = fc(x)\nreturn x"}
    model = {"layers": [{**block, "_repeat_": 8}], "inputs": {"x": [2, 4]}}
    assert modelzoo.plan(model).notes == ()
    monkeypatch.setattr(bounds, "OPERATIONS", 4_000)
    assert modelzoo.plan(model).notes == ("of 8 conditions on data only 2 were checked both ways",)
    assert modelzoo.build(model)(torch.ones(2, 4)).shape == (2, 4)
    monkeypatch.setattr(bounds, "OPERATIONS", 200)
    assert "all forwards together take more than 200 operations" in refusal(model)


def test_training_decides_a_size_that_was_left_out():
    model = auxiliary("Linear(out_features=2)")
    assert [tuple(each.shape) for each in modelzoo.build(model).aux.parameters()] == [(2, 8), (2,)]


def test_the_plan_of_training_shows_its_outputs_and_operations():
    model = auxiliary("Linear(8, 2)")
    evaluated, trained = (draft.draft(model, device="meta", training=each).plan for each in (False, True))
    assert [each.output for each in evaluated.modules] == [(4, 8), (4, 8), None]
    assert [each.output for each in trained.modules] == [(4, 2), (4, 8), (4, 2)]
    assert (evaluated.flops, trained.flops) == (2 * 4 * 8 * 8, 2 * 4 * 8 * (8 + 2))


NORMS = {
    "BatchNorm1d(4)": ([1, 4], "1 value per channel"),
    "BatchNorm2d(4)": ([1, 4, 1, 1], "1 value per channel"),
    "BatchNorm3d(4, affine=False)": ([1, 4, 1, 1, 1], "1 value per channel"),
    "InstanceNorm1d(4, track_running_stats=True)": ([2, 4, 1], "1 spatial element"),
    "InstanceNorm2d(4, track_running_stats=True)": ([2, 4, 1, 1], "1 spatial element"),
}


@pytest.mark.parametrize("norm", NORMS)
def test_an_example_that_is_too_small_for_training_is_a_note_and_a_mistake_where_training_is_asked_for(norm):
    shape, what = NORMS[norm]
    model = {"inputs": {"x": shape}, "layers": {"squash": norm}}
    call = modelzoo.plan(model).modules[1].call
    told = (
        f"'squash' is {call} and cannot take {shape}: Expected more than {what} when training, got input size "
        f"torch.Size({shape})"
    )
    assert modelzoo.plan(model).notes == (f"this example cannot be used in training: {told}",)
    assert refusal(model, draft.draft, training=True) == f"model.layers.squash\n  In training: {told}."
    with pytest.raises(ValueError, match=f"Expected more than {what}"):
        modelzoo.build(model)(torch.zeros(shape))
    larger = {"inputs": {"x": [2, 4, *(2 for _ in shape[2:])]}, "layers": {"squash": norm}}
    assert draft.draft(larger, training=True).plan.notes == ()


@pytest.mark.parametrize("norm", ["BatchNorm1d", "BatchNorm1d(momentum=null)", "BatchNorm1d()"])
def test_a_norm_whose_size_was_left_out_is_tried_too(norm):
    model = {"inputs": {"x": [1, 4]}, "layers": [norm.replace("null", "None")]}
    assert len(modelzoo.plan(model).notes) == 1


def test_equal_layers_are_told_once():
    layer = {"_target_": "BatchNorm1d(4)", "_repeat_": 3}
    plan = modelzoo.plan({"inputs": {"x": [1, 4]}, "layers": {"norms": layer, "other": "BatchNorm1d(4, eps=0.1)"}})
    assert [note.partition(" is ")[0].rpartition(" ")[2] for note in plan.notes] == ["'norms.0'", "'other'"]


@pytest.mark.parametrize("condition", ["training", "training and x.sum() > 0", "not x.sum() > 0"])
def test_a_norm_that_one_way_alone_calls_is_told(condition):
    text = f"y = x\nif {condition}:\n    y = norm(y)\nreturn y"
    model = {"inputs": {"x": [1, 4]}, "layers": {"norm": "BatchNorm1d(4)"}, "forward": text}
    assert [each.partition(":")[0] for each in modelzoo.plan(model).notes] == [
        "this example cannot be used in training"
    ]


DROPOUTS = ["Dropout", "Dropout2d", "AlphaDropout", "FeatureAlphaDropout", "Dropout(inplace=True)"]


@pytest.mark.parametrize("layer", DROPOUTS)
@pytest.mark.parametrize("dtype", ["int64", "bool"])
@pytest.mark.parametrize("make", [modelzoo.plan, modelzoo.build])
def test_a_dropout_of_what_does_not_float_is_refused_since_it_cannot_be_trained(layer, dtype, make):
    model = {"inputs": {"x": {"shape": [2, 3, 4, 4], "dtype": dtype}}, "layers": {"drop": layer}}
    told = refusal(model, make)
    assert told.startswith("model.layers.drop\n  In training: 'drop' is ")
    kind = "Bool" if dtype == "bool" and layer[:7] == "Dropout" else "Long"
    assert told.endswith(
        f" and cannot take [2, 3, 4, 4] {dtype}: result type Float can't be cast to the desired output type {kind}. "
        "The input is the model's 'x'."
    )
    make({"inputs": {"x": [2, 3, 4, 4]}, "layers": {"drop": layer}})
    make({**model, "layers": {"drop": "Dropout(0.0)"}})


def test_a_dropout_that_training_alone_calls_is_refused():
    text = "y = x * 2\nif training:\n    y = drop(y)\nreturn y"
    model = {"inputs": {"x": {"shape": [2, 4], "dtype": "int64"}}, "layers": {"drop": "Dropout"}, "forward": text}
    assert refusal(model) == (
        "model.layers.drop\n  In training: 'drop' is Dropout() and cannot take [2, 4] int64: result type Float can't be "
        "cast to the desired output type Long. The input is the model's."
    )


def test_a_dropout_of_too_few_dimensions_is_refused():
    assert refusal({"inputs": {"x": [3]}, "layers": ["FeatureAlphaDropout"]}) == (
        "model.layers.0\n  In training: '0' is FeatureAlphaDropout() and cannot take [3]: Feature dropout requires at "
        "least 2 dimensions in the input. The input is the model's 'x'."
    )


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_every_dtype_that_floats_is_dropped(dtype):
    layers = ["Dropout", "BatchNorm1d(4)", "AlphaDropout"]
    assert modelzoo.plan({"inputs": {"x": [2, 4]}, "layers": layers}, dtype=dtype).notes == ()


def test_a_plan_draws_nothing_and_moves_no_statistics():
    layers = {"norm": "BatchNorm1d(4)", "drop": "Dropout", "aux": ["BatchNorm1d(4)", "Linear(4, 4)"]}
    text = "y = drop(norm(x))\nif training:\n    y = aux(dropout(y, 0.5, training)) + randn_like(y)\nreturn y"
    model = {"inputs": {"x": {"shape": [3, 4], "fill": "ones"}}, "layers": layers, "forward": text}
    before = torch.get_rng_state()
    built = modelzoo.build(model)
    shapes.traced(draft.draft(model))
    assert torch.get_rng_state().equal(before)
    assert all(module.training for module in built.modules())
    fresh = nn.BatchNorm1d(4).state_dict()
    for norm in (built.norm, built.aux[0]):
        assert all(
            value.equal(fresh[name]) for name, value in norm.state_dict().items() if name not in ("weight", "bias")
        )


def test_what_an_attention_drops_is_no_reason_to_plan_twice():
    seen = register_seeing()
    for share, modes in (("dropout_p=0.5 if training else 0.0", [False]), ("is_causal=training", [False, False])):
        text = f"y = look(x)\nreturn scaled_dot_product_attention(y, y, y, {share})"
        seen.clear()
        draft.draft({"inputs": {"x": [1, 2, 4]}, "layers": {"look": "Seeing"}, "forward": text})
        assert seen == modes


def test_a_users_layer_is_planned_in_evaluation_whatever_a_text_asks():
    seen = register_seeing()
    text = "return look(x) * 2 if training else look(x)"
    modelzoo.build({"inputs": {"x": [2, 4]}, "layers": {"look": "Seeing"}, "forward": text})
    assert set(seen) == {False}


def register_seeing():
    """A layer of a user's own, and the modes in which it is called."""
    seen = []

    class Seeing(nn.Module):
        def forward(self, x):
            seen.append(self.training)
            return x

    register.layer(Seeing)
    return seen


def test_a_copy_of_a_planned_model_has_no_trace_of_the_trial():
    built = modelzoo.build({"inputs": {"input": [1, 4]}, "layers": ["BatchNorm1d(4)", "Dropout"]})
    assert all("forward" not in vars(module) for module in copy.deepcopy(built).modules())


def test_check_and_run_look_at_training_where_it_is_asked_for(tmp_path, capfd, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "model.yaml"
    file.write_text("inputs: {x: [1, 8]}\nlayers:\n  fc: Linear(8, 4)\n  squash: BatchNorm1d(4)\n")
    told = (
        "'squash' is BatchNorm1d(num_features=4) and cannot take [1, 4]: Expected more than 1 value per channel when "
        "training, got input size torch.Size([1, 4])"
    )
    assert main(["check", "model.yaml"]) == 0
    shown = capfd.readouterr()
    assert shown.out.splitlines()[1:] == [
        f"note: this example cannot be used in training: {told}",
        "  (model.yaml)",
    ]
    for command in (["check", "model.yaml", "training=true"], ["run", "model.yaml", "training=true"]):
        assert main(command) == 1
        shown = capfd.readouterr()
        assert shown.err.replace("\nmodel.yaml\n", "") == (
            f"model.yaml:4:3  model.layers.squash\n  In training: {told}. "
            "The input is what 'fc' returns (model.yaml:3:3).\n"
        )
        assert "squash" not in shown.out
    assert main(["check", "model.yaml", "training=3"]) == 1
    assert capfd.readouterr().err == (
        "\nmodel.yaml\ncommand line  training=3\n  training must be true or false, not 3. Type training=true.\n"
    )


@pytest.mark.parametrize(
    ("shape", "layer", "mode", "refusal"),
    [
        ([2, 3], "RReLU", "In training: ", "\"rrelu_with_noise_out_cpu\" not implemented for 'Half'"),
        ([1, 1, 4, 4, 4], "AvgPool3d(2)", "", "\"avg_pool3d_out_frame\" not implemented for 'Half'"),
    ],
)
def test_what_the_cpu_has_no_kernel_for_is_noted(shape, layer, mode, refusal):
    model = {"inputs": {"x": {"shape": shape, "dtype": "float16"}}, "layers": [layer]}
    (note,) = modelzoo.plan(model).notes
    assert note.startswith(f"the CPU cannot do this, other devices may: {mode}'0' is {layer[:5]}")
    assert note.endswith(refusal)
    with pytest.raises(RuntimeError, match=re.escape(refusal)):
        modelzoo.build(model).train(bool(mode))(torch.zeros(shape, dtype=torch.float16))


@pytest.mark.parametrize("text", ["return l(x) // 2", "y = l(x)\ny //= x\nreturn y", "return 2 // l(x)"])
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_a_division_without_a_gradient_is_noted(text, device):
    model = {"inputs": {"x": [2, 3]}, "layers": {"l": "Linear(3, 3)"}, "forward": text}
    (line,) = (line for line in text.splitlines() if "//" in line)
    reason = "torch knows no gradient of it. That of floor(a / b) is zero"
    told = [f"a backward pass through // in `{line}` fails: {reason}"]
    assert list(draft.draft(model, device=device).plan.notes) == told
    with pytest.raises(RuntimeError, match="derivative for aten::floor_divide is not implemented"):
        modelzoo.build(model)(torch.ones(2, 3)).sum().backward()
    other = re.sub(r"(\S+) // (\S+)$", r"floor(\1 / \2)", text).replace("y //= x", "y = floor(y / x)")
    assert modelzoo.plan({**model, "forward": other}).notes == ()
    modelzoo.build({**model, "forward": other})(torch.ones(2, 3)).sum().backward()


def test_a_division_of_integers_needs_no_gradient():
    model = {"inputs": {"x": {"shape": [2, 3], "dtype": "int64"}}, "layers": {"l": "Linear(3, 3)"}}
    assert modelzoo.plan({**model, "forward": "return l((x // 2).float())"}).notes == ()


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_counting_operations_lets_nothing_pass_that_the_cpu_refuses(device):
    model = {"inputs": {"x": {"shape": [1, 1, 1], "dtype": "int64"}}, "layers": ["Upsample(scale_factor=1)"]}
    told = "\"compute_indices_weights_nearest\" not implemented for 'Long'"
    for count in (False, True):
        assert told in refusal(model, draft.draft, device=device, count=count)
    with pytest.raises(NotImplementedError, match=re.escape(told)):
        nn.Upsample(scale_factor=1)(torch.zeros(1, 1, 1, dtype=torch.int64))


@pytest.mark.parametrize(
    ("sized", "unsized"),
    [
        (lambda: nn.BatchNorm1d(4), "BatchNorm1d()"),
        (lambda: nn.InstanceNorm1d(4, affine=True), "InstanceNorm1d(affine=True)"),
        (lambda: nn.GroupNorm(2, 4), "GroupNorm(2)"),
    ],
    ids=["batch", "instance", "group"],
)
def test_a_layer_whose_size_the_pass_finds_is_called_with_its_own_tensors(sized, unsized):
    written = unsized.replace("()", "(4)").replace("(affine", "(4, affine").replace("(2)", "(2, 4)")
    ours = modelzoo.build({"layers": [written, unsized], "inputs": {"x": [3, 4, 5]}})
    by_hand = nn.Sequential(sized(), sized())
    for index, model in enumerate([*ours, *by_hand]):
        model.weight.data.fill_(2 + index % 2)
    x = torch.randn(6, 4, 5)
    assert torch.equal(ours(x), by_hand(x))
    ours(x).square().sum().backward()
    assert ours[1].weight.grad is not None


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("layer", ["BatchNorm1d()", "BatchNorm1d(4)"])
def test_an_example_that_is_too_small_for_training_is_one_whether_or_not_it_decides_the_size(layer, device):
    made = draft.draft({"inputs": {"x": [1, 4]}, "layers": [layer, layer]}, device=device)
    assert {each.partition(": ")[0] for each in made.plan.notes} == {"this example cannot be used in training"}
    assert [(each.num_features, each.training) for each in made.skeleton.root] == [(4, True)] * 2


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_a_layer_of_an_unknown_size_works_in_evaluation_while_sizes_are_found(device):
    layers = ["BatchNorm1d(momentum=None)", "BatchNorm1d(momentum=None)", "Linear(out_features=2)"]
    model = modelzoo.build({"inputs": {"x": [2, 4, 9]}, "layers": layers}, device=device)
    norm = nn.BatchNorm1d(4, momentum=None)
    assert str(model) == str(nn.Sequential(norm, norm, nn.Linear(9, 2)))
    with pytest.raises(modelzoo.ConfigError, match=r"takes .*5. but gets"):
        modelzoo.build({"inputs": {"x": [2, 4, 9]}, "layers": [layers[0], "Linear(5, 3)"]}, device=device)


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("written", ["BatchNorm1d(4, momentum=None)", "BatchNorm1d(momentum=None)"])
def test_a_norm_that_averages_all_batches_is_tried_as_any_other(written, device):
    def made(batch):
        inputs = {"x": {"shape": [batch, 4], "dtype": "bfloat16"}}
        return draft.draft({"inputs": inputs, "layers": [written]}, dtype="bfloat16", device=device)

    (norm,) = made(3).skeleton.root
    assert (norm.momentum, made(3).plan.notes) == (None, ())
    (note,) = made(1).plan.notes
    assert "Expected more than 1 value per channel" in note
