"""A user's own layers: their constructors run as in Python, but for the random numbers, which are the tensor's own."""

import torch
from torch import nn

import modelzoo


def register_noise():
    class Noise(nn.Module):
        def __init__(self, size, scale=1.0):
            super().__init__()
            self.weight = nn.Parameter(torch.randn(size) * scale)
            self.inner = nn.Linear(size, size)
            self.register_buffer("steps", torch.arange(size).float() / size)

        def forward(self, x):
            return self.inner(x * self.weight + self.steps)

    modelzoo.register.layer(Noise)
    return Noise


def model(**more):
    return {"inputs": {"x": [2, 4]}, "layers": {"before": "Linear(4, 4)", "noise": "Noise(4)", **more}}


def test_a_registered_layer_keeps_what_its_constructor_computed():
    register_noise()
    built = modelzoo.build(model())
    assert torch.equal(built.noise.steps, torch.tensor([0.0, 0.25, 0.5, 0.75]))
    assert built.noise.weight.std() > 0.1
    assert built.noise.inner.weight.abs().max() <= 0.5


def test_a_registered_layer_draws_what_its_name_and_the_seed_decide():
    register_noise()
    first, longer, other = (
        modelzoo.build(model(), seed=3),
        modelzoo.build(model(more="Noise(4)"), seed=3),
        modelzoo.build(model(), seed=4),
    )
    assert torch.equal(first.noise.weight, longer.noise.weight)
    assert not torch.equal(longer.noise.weight, longer.more.weight)
    assert not torch.equal(first.noise.weight, other.noise.weight)


def test_constructing_a_registered_layer_neither_reads_nor_moves_the_global_generator():
    register_noise()
    before = torch.get_rng_state()
    first = modelzoo.build(model()).noise.weight
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(77)
    assert torch.equal(modelzoo.build(model()).noise.weight, first)


def test_only_what_a_rule_claims_is_filled_anew():
    register_noise()
    plain = modelzoo.build(model())
    ruled = modelzoo.build(model(), {"own": {"name": "noise.weight", "fill": 7}})
    assert torch.equal(ruled.noise.weight, torch.full((4,), 7.0))
    assert torch.equal(ruled.noise.inner.weight, plain.noise.inner.weight)
    assert torch.equal(ruled.noise.steps, plain.noise.steps)


def test_a_rule_may_build_on_what_the_constructor_left():
    register_noise()
    plain = modelzoo.build(model())
    doubled = modelzoo.build(model(), {"own": {"name": "noise.weight", "fill": "value * 2"}})
    assert torch.equal(doubled.noise.weight, plain.noise.weight * 2)


def test_the_plan_says_who_filled_a_registered_layer():
    register_noise()
    found = {each.name: (each.rule, each.fill, each.stream) for each in modelzoo.plan(model()).tensors}
    assert found["noise.steps"] == ("constructor", "as constructed", "")
    assert found["noise.inner.weight"] == ("constructor", "as constructed", "")
    assert found["before.weight"][0] == "torch"


def test_a_registered_layer_in_a_large_model_is_the_one_of_a_small_model():
    register_noise()
    small = modelzoo.build(model())
    large = modelzoo.build(model(wide={"layers": ["Linear(4, 8000000)", "Linear(8000000, 4)"]}))
    assert torch.equal(small.noise.weight, large.noise.weight)
    assert torch.equal(small.noise.steps, large.noise.steps)
    assert isinstance(large.noise.weight, nn.Parameter)


def test_a_registered_layer_takes_the_dtype_of_the_build():
    register_noise()
    built = modelzoo.build(model(), dtype="float64")
    assert built.noise.weight.dtype is torch.float64
    assert torch.equal(built.noise.weight, modelzoo.build(model()).noise.weight.double())


def test_layers_handed_to_a_registered_layer_are_filled_as_planned():
    class Twice(nn.Module):
        def __init__(self, layer):
            super().__init__()
            self.layer = layer
            self.scale = nn.Parameter(torch.ones(1))

        def forward(self, x):
            return self.layer(self.layer(x)) * self.scale

    modelzoo.register.layer(Twice)
    plan = modelzoo.plan({"inputs": {"x": [2, 4]}, "layers": {"t": "Twice(Linear(4, 4))"}})
    assert {each.name: each.rule for each in plan.tensors} == {
        "t.scale": "constructor",
        "t.layer.weight": "torch",
        "t.layer.bias": "torch",
    }


def test_tensors_that_a_registered_layer_ties_stay_tied():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)
            self.b.weight = self.a.weight

        def forward(self, x):
            return self.b(self.a(x))

    modelzoo.register.layer(Tied)
    for dtype in ("float32", "float64"):
        built = modelzoo.build({"inputs": {"x": [2, 4]}, "layers": {"t": "Tied"}}, dtype=dtype)
        assert built.t.a.weight is built.t.b.weight
