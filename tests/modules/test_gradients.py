"""What stands in the way of a gradient is named: the layer that changes what it needs, or whose own cannot be computed."""

import pytest
import torch
from torch import nn

import modelzoo
from modelzoo.modules import gradients
from modelzoo.plans import draft as drafts
from modelzoo.plans.draft import example_inputs, fill
from modelzoo.run import forward as run_forward

CHANGES = "it changes in place what the gradient needs as it was."


def backward(model, training=False):
    """Differentiates a model as a run with `backward=true` does; gives its tensors."""
    draft = drafts.draft(model)
    built = fill(draft, "cpu").train(training)
    inputs = example_inputs(draft, "cpu")
    output = run_forward.forward(draft, built, inputs, gradients=True)
    gradients.backward(draft.skeleton, output, lambda: run_forward.forward(draft, built, inputs, gradients=True))
    return dict(built.named_parameters())


def refusal(model, **more):
    with pytest.raises(modelzoo.ConfigError) as caught:
        backward({"inputs": {"x": [2, 8]}, **model}, **more)
    return str(caught.value)


@pytest.mark.parametrize(
    ("layers", "training", "problems"),
    [
        (["Linear(8, 8)", "Sigmoid", "ReLU(inplace=True)"], False, {2: "ReLU(inplace=True)"}),
        (["Linear(8, 8)", "Tanh", {"_target_": "Hardtanh", "inplace": True}], False, {2: "Hardtanh(inplace=True)"}),
        (
            ["Linear(8, 8)", "Sigmoid", "Dropout(0.5, inplace=True)", "Tanh", "ELU(inplace=True)"],
            True,
            {2: "Dropout(p=0.5, inplace=True)", 4: "ELU(inplace=True)"},
        ),
    ],
)
def test_a_layer_that_changes_what_the_gradient_needs_is_named(layers, training, problems):
    assert refusal({"layers": layers}, training=training) == "\n".join(
        f"model.layers.{index}\n  '{index}' is {layer}: {CHANGES} Write inplace=False."
        for index, layer in problems.items()
    )


def test_it_is_named_where_a_text_calls_it(tmp_path):
    file = tmp_path / "model.yaml"
    file.write_text(
        "inputs: {x: [2, 8]}\n"
        "layers:\n"
        "  fc: Linear(8, 8)\n"
        "  act: ReLU(inplace=True)\n"
        "forward: |\n"
        "  y = exp(fc(x))\n"
        "  return act(y)\n"
    )
    given = modelzoo.load(file)
    assert refusal(given["model"]) == f"model.layers.act\n  'act' is ReLU(inplace=True): {CHANGES} Write inplace=False."


@pytest.mark.parametrize(
    "layers",
    [
        ["Linear(8, 8)", "ReLU(inplace=True)", "Linear(8, 2)"],
        ["Linear(8, 8)", "BatchNorm1d(8)", "ReLU6(inplace=True)", "Dropout(0.5, inplace=True)"],
    ],
)
def test_a_change_that_the_gradient_does_not_need_is_no_mistake(layers):
    assert all(each.grad is not None for each in backward({"inputs": {"x": [2, 8]}, "layers": layers}, True).values())


def test_a_layer_that_changes_a_parameter_in_place_is_told_to_stop():
    model = {"parameters": {"w": {"shape": [8], "fill": 1}}, "layers": {"a": "ReLU(inplace=True)"}, "forward": "a(w)"}
    told = refusal(model)
    assert told.startswith("model.forward\n  'a' is ReLU(inplace=True) and cannot take [8]: ")
    assert "Write inplace=False." in told


class Doubling(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, gradient):
        raise KeyError("scale")


def register():
    class Careless(nn.Module):
        def __init__(self):
            super().__init__()
            self.sigmoid, self.relu = nn.Sigmoid(), nn.ReLU(inplace=True)

        def forward(self, x):
            return self.relu(self.sigmoid(x))

    class Doubled(nn.Module):
        def forward(self, x):
            return Doubling.apply(x)

    modelzoo.register.layer(Careless)
    modelzoo.register.layer(Doubled)
    modelzoo.register.function(lambda x: x.mul_(2), name="doubled")


def test_a_registered_layer_is_named_and_not_what_it_is_made_of():
    register()
    assert refusal({"layers": ["Linear(8, 8)", "Careless"]}) == f"model.layers.1\n  '1' is Careless(): {CHANGES}"
    assert refusal({"layers": ["Linear(8, 8)", "Doubled", "ReLU"]}) == (
        "model.layers.1\n"
        "  '1' is Doubled(): its gradient cannot be computed: there is no 'scale' here. Type backward=false."
    )


def test_a_registered_function_is_found_in_the_block_that_calls_it():
    register()
    inner = {"layers": {"a": "Linear(8, 8)"}, "forward": "doubled(sigmoid(a(x)))"}
    assert refusal({"layers": {"inner": inner}}) == f"model.layers.inner\n  'inner': {CHANGES}"
    assert refusal(inner) == f"model\n  the model: {CHANGES}"


def test_where_nothing_has_a_gradient_there_is_nothing_to_differentiate():
    assert refusal({"layers": ["ReLU"]}) == (
        "backward\n  no output depends on a parameter, so there is nothing to differentiate. Type backward=false."
    )


IN_PLACE = [
    (["Linear(8, 8)", "Sigmoid", "ReLU(inplace=True)"], {2: "ReLU(inplace=True)"}),
    (["Linear(8, 8)", "Sigmoid", "Dropout(0.5, inplace=True)"], {2: "Dropout(p=0.5, inplace=True)"}),
    (["Linear(8, 8)", "ReLU(inplace=True)", "Dropout(0.5)"], {}),
    (["Sigmoid", "ReLU(inplace=True)", "Linear(8, 8)"], {}),
    (["Linear(8, 8)", "Exp2", "ELU(inplace=True)"], {2: "ELU(inplace=True)"}),
    (["Linear(8, 8)", "Sigmoid", "ReLU(inplace=True)", "Linear(out_features=8)"], {2: "ReLU(inplace=True)"}),
]


@pytest.mark.parametrize(("layers", "named"), IN_PLACE)
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_a_plan_notes_what_no_gradient_passes(layers, named, device):
    model = {
        "inputs": {"x": [2, 8]},
        "blocks": {"Exp2": {"forward": "exp(x)"}},
        "layers": [each.replace("Exp2", "Exp2()") for each in layers],
    }
    drawn = torch.get_rng_state()
    notes = drafts.draft(model, device=device).plan.notes
    assert notes == tuple(
        f"a backward pass fails: '{index}' is {layer}: {CHANGES} Write inplace=False" for index, layer in named.items()
    )
    assert torch.equal(torch.get_rng_state(), drawn)
    built = modelzoo.build(model).train()
    try:
        built(torch.ones(2, 8)).sum().backward()
    except RuntimeError as error:
        assert named
        assert "modified by an inplace operation" in str(error)
    else:
        assert not named


def test_a_plan_notes_a_parameter_that_a_layer_changes():
    model = {
        "inputs": {"x": [2, 8]},
        "parameters": {"s": {"shape": [8], "fill": 1}},
        "layers": {"act": "ReLU(inplace=True)"},
        "forward": "x + act(s)",
    }
    (note,) = modelzoo.plan(model).notes
    assert note.startswith(
        "a backward pass fails: 'act' is ReLU(inplace=True): its gradient cannot be computed: a leaf"
    )
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
        modelzoo.build(model)(torch.ones(2, 8))
