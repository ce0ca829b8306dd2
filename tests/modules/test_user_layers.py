"""A user's own layers: their constructors run as in Python, but for the random numbers, which are the tensor's own."""

import copy

import pytest
import torch
from torch import nn

import modelzoo
from modelzoo.catalog.layers import REGISTERED


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


WIDE = {"wide": {"layers": ["Linear(4, 8000000)", "Linear(8000000, 4)"]}}  # so large that it is checked without memory


class Adapter(nn.Module):
    """Trains beside a layer that is frozen."""

    def __init__(self, layer, rank=2):
        super().__init__()
        self.layer = layer.requires_grad_(False)
        like = {"dtype": layer.weight.dtype, "device": layer.weight.device}
        self.down = nn.Parameter(torch.randn(rank, layer.in_features, **like))
        self.up = nn.Parameter(torch.zeros_like(layer.weight[:, :rank]))
        self.size = nn.Parameter(layer.weight.detach().norm(dim=1) + 1)

    def forward(self, x):
        return self.layer(x) + x @ self.down.t() @ self.up.t() * self.size


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("inputs", [{}, {"inputs": {"x": [2, 4]}}])
def test_what_is_computed_from_a_layer_it_is_given_is_the_same_in_small_and_large_models(inputs, dtype):
    modelzoo.register.layer(Adapter)
    layers = {"adapter": "Adapter(Linear(4, 4))", "plain": "Linear(4, 4)"}
    small = modelzoo.build({**inputs, "layers": layers}, dtype=dtype)
    large = modelzoo.build({**inputs, "layers": {**layers, **WIDE}}, dtype=dtype)
    for name, value in small.state_dict().items():
        assert torch.equal(value, large.state_dict()[name]), name
    assert small.adapter.size.tolist() == [1.0] * 4
    assert small.adapter.down.std() > 0.1
    assert small.adapter.layer.weight.any()
    for model in (small, large):
        assert [name for name, each in model.named_parameters() if not each.requires_grad] == [
            "adapter.layer.weight",
            "adapter.layer.bias",
        ]


def test_what_it_does_to_a_layer_it_is_given_is_done_to_no_other():
    class Doing(nn.Module):
        def __init__(self, layer):
            super().__init__()
            self.layer = layer
            layer.register_forward_hook(lambda module, inputs, output: output * 0)
            layer.extra = nn.Parameter(torch.ones(2), requires_grad=False)
            layer.bias.requires_grad_(False)
            layer.weight = nn.Parameter(torch.full((4, 16), 3.0))

        def forward(self, x):
            return self.layer(x)

    modelzoo.register.layer(Doing)
    alone = modelzoo.build({"layers": {"after": "Linear(4, 4)"}})
    model = modelzoo.build({"layers": {"before": "Linear(4, 4)", "it": "Doing(Linear(4, 4))", "after": "Linear(4, 4)"}})
    x = torch.randn(2, 4)
    assert torch.equal(model.after(x), alone.after(x))
    assert model.before(x).all()
    assert (
        list(dict(model.after.named_parameters())) == list(dict(model.before.named_parameters())) == ["weight", "bias"]
    )
    assert all(each.requires_grad for name, each in model.named_parameters() if not name.startswith("it."))
    assert model.it.layer.extra.tolist() == [1.0, 1.0]
    assert torch.equal(model.it.layer.weight, torch.full((4, 16), 3.0))
    assert not model.it.layer.bias.requires_grad


def test_it_may_normalise_the_weight_of_a_layer_of_its_own():
    class Normalised(nn.Module):
        def __init__(self):
            super().__init__()
            self.new = nn.utils.parametrizations.weight_norm(nn.Linear(4, 4))
            self.spectral = nn.utils.spectral_norm(nn.Linear(4, 4))

        def forward(self, x):
            return self.spectral(self.new(x))

    modelzoo.register.layer(Normalised)
    model = modelzoo.build({"inputs": {"x": [2, 4]}, "layers": {"n": "Normalised"}})
    norms = model.n.new.parametrizations.weight.original0
    assert torch.allclose(norms, model.n.new.weight.norm(dim=1, keepdim=True))
    assert norms.all()
    assert torch.equal(
        model.n.spectral.weight_orig, modelzoo.build({"layers": {"n": "Normalised"}}).n.spectral.weight_orig
    )


@pytest.mark.parametrize("normalise", [nn.utils.parametrizations.weight_norm, nn.utils.spectral_norm])
def test_it_may_not_take_a_tensor_away_before_that_is_filled(normalise):
    class Taking(nn.Module):
        def __init__(self, layer):
            super().__init__()
            self.layer = normalise(layer)

        def forward(self, x):
            return self.layer(x)

    modelzoo.register.layer(Taking)
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.plan({"inputs": {"x": [2, 4]}, "layers": {"t": "Taking(Linear(4, 4))"}})
    assert str(caught.value) == (
        "model.layers.t\n"
        "  Taking(layer=Linear(in_features=4, out_features=4)) cannot be constructed: 'weight' of the Linear it is given "
        "is gone before it is filled. Construct the Linear inside Taking."
    )


@pytest.mark.parametrize("more", [{}, WIDE])
def test_it_may_tie_its_tensors_to_those_of_layers_it_is_given(more):
    class Tying(nn.Module):
        def __init__(self, one, two):
            super().__init__()
            self.own = nn.Linear(4, 4)
            self.own.weight = one.weight
            two.weight = one.weight
            self.one, self.two = one, two

        def forward(self, x):
            return self.own(self.two(self.one(x)))

    modelzoo.register.layer(Tying)
    layers = {"t": "Tying(Linear(4, 4), Linear(4, 4))"}
    model = modelzoo.build({"inputs": {"x": [2, 4]}, "layers": {**layers, **more}}, dtype="float64").t
    assert model.own.weight is model.one.weight is model.two.weight
    assert model.one.weight.std() > 0.1
    assert model.own.bias.any()


def test_it_may_be_given_a_registered_layer():
    class Scaled(nn.Module):
        def __init__(self, layer):
            super().__init__()
            self.layer = layer
            self.scale = nn.Parameter(layer.weight.detach() * 2)

        def forward(self, x):
            return self.layer(x) * self.scale

    register_noise()
    modelzoo.register.layer(Scaled)
    for more in ({}, WIDE):
        model = modelzoo.build({"inputs": {"x": [2, 4]}, "layers": {"s": "Scaled(Noise(4))", **more}}).s
        assert model.layer.weight.std() > 0.1
        assert torch.equal(model.scale, model.layer.weight * 2)


def wrapping(constructor=None, forward=None):
    """Registers `Wrapping(layer)`, which keeps a layer, does something to it, and calls it."""

    class Wrapping(nn.Module):
        def __init__(self, layer):
            super().__init__()
            self.layer = layer
            if constructor is not None:
                constructor(self, layer)

        def forward(self, x):
            return self.layer(x) if forward is None else forward(self, x)

    modelzoo.register.layer(Wrapping)


def both(text):
    """The same layer in a small and in a large model."""
    layers = {"w": text, "plain": "Linear(4, 4)"}
    return [modelzoo.build({"inputs": {"x": [2, 4]}, "layers": {**layers, **more}}) for more in ({}, WIDE)]


def test_a_layer_that_it_throws_away_leaves_nothing_behind():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(4, 4)
            nn.init.constant_(self.head.weight, 9.0)

        def forward(self, x):
            return self.head(x)

    modelzoo.register.layer(Net)
    wrapping(lambda self, net: setattr(net, "head", nn.Identity()))
    model = modelzoo.build({"layers": ["Wrapping(Net)", "Linear(4, 4)"] * 20})
    assert all(each.abs().max() <= 0.5 for each in model.parameters())
    assert len(list(model.parameters())) == 40


def test_it_may_hold_on_to_tensors_of_a_layer_in_models_of_any_size():
    def hold(self, layer):
        self.tensors = [layer.weight]
        self.register_buffer("start", layer.weight.detach())
        layer.weight.decayed = False
        layer.weight.register_hook(lambda gradient: gradient * 0)

    wrapping(hold)
    for model in both("Wrapping(Linear(4, 4))"):
        weight = model.w.layer.weight
        assert model.w.tensors[0] is weight
        assert torch.equal(model.w.start, weight)
        assert weight.any()
        assert weight.decayed is False
        model(torch.ones(2, 4)).sum().backward()
        assert not weight.grad.any()
        assert model.w.layer.bias.grad.any()


def test_it_may_change_the_dtype_and_the_shape_of_a_layer_in_models_of_any_size():
    wrapping(lambda self, layer: layer.double(), lambda self, x: self.layer(x.double()).float())
    assert [each.w.layer.weight.dtype for each in both("Wrapping(Linear(4, 4))")] == [torch.float64] * 2

    class Narrow(nn.Module):
        def __init__(self, layer):
            super().__init__()
            layer.weight.data, layer.bias.data = torch.zeros(3, 4), torch.zeros(3)
            self.layer, self.wide = layer, nn.Linear(3, 4)

        def forward(self, x):
            return self.wide(self.layer(x))

    modelzoo.register.layer(Narrow)
    assert [tuple(each.w.layer.weight.shape) for each in both("Narrow(Linear(4, 4))")] == [(3, 4)] * 2


def test_a_copy_of_a_layer_it_is_given_is_filled_as_that_is():
    wrapping(lambda self, layer: setattr(self, "copies", nn.ModuleList(copy.deepcopy(layer) for _ in range(2))))
    for model in both("Wrapping(Linear(4, 4))"):
        weights = [model.w.layer.weight, *(each.weight for each in model.w.copies)]
        assert all(0.1 < each.std() < 0.5 for each in weights)
        assert len({each.sum().item() for each in weights}) == 1
    for model in both("Wrapping(BatchNorm1d(4))"):
        assert all(each.running_var.all() and each.weight.all() for each in (model.w.layer, *model.w.copies))
    block = {"inputs": ["x"], "parameters": {"w": {"shape": [4], "fill": 7}}, "layers": {"l": "Linear(4, 4)"}}
    model = {"blocks": {"B": {**block, "forward": "l(x) * w"}}, "layers": {"w": "Wrapping(B())"}}
    built = modelzoo.build(
        {"inputs": {"x": [2, 4]}, **model}, {"all": {"layer": "Linear", "param": "weight", "fill": 3}}
    )
    assert [each.tolist() for each in (built.w.layer.w, *(each.w for each in built.w.copies))] == [[7.0] * 4] * 3
    assert all((each.l.weight == 3).all() for each in built.w.copies)
    register_noise()
    built = modelzoo.build({"inputs": {"x": [2, 4]}, "layers": {"w": "Wrapping(Noise(4))"}}).w
    assert torch.equal(built.copies[0].weight, built.layer.weight)


def test_a_copy_of_a_layer_starts_with_its_values_whatever_fills_them():
    def average(self, layer):
        self.average = copy.deepcopy(layer)
        self.older = copy.deepcopy(self.average)

    wrapping(average)
    rules = {"w": {"layer": "Linear", "param": "weight", "fill": "normal"}, "b": {"name": "w.older.0.bias", "fill": 5}}
    models = [*both("Wrapping(Linear(4, 4))"), *both("Wrapping(Sequential(Linear(4, 4)))")]
    models.append(modelzoo.build({"layers": {"w": "Wrapping(Sequential(Linear(4, 4), ReLU))"}}, rules, dtype="float64"))
    for model in models:
        own, average, older = ([*each.parameters()] for each in (model.w.layer, model.w.average, model.w.older))
        assert torch.equal(own[0], average[0])
        assert torch.equal(own[0], older[0])
        assert torch.equal(own[1], average[1])
        assert own[0] is not average[0]
    assert models[-1].w.older[0].bias.tolist() == [5.0] * 4


def test_copies_of_a_layer_that_is_not_kept_start_equal():
    class Stack(nn.Module):
        def __init__(self, layer: nn.Module, count: int):
            super().__init__()
            self.layers = nn.ModuleList(copy.deepcopy(layer) for _ in range(count))

        def forward(self, x):
            return x

    modelzoo.register.layer(Stack)
    built = modelzoo.build(
        {"inputs": {"x": [2, 4]}, "layers": {"s": "Stack(Linear(4, 4), 3)", "t": "Stack(Linear(4, 4), 2)"}}
    )
    first, second, third = (each.weight for each in built.s.layers)
    assert first.std() > 0.1
    assert torch.equal(first, second)
    assert torch.equal(first, third)
    assert not torch.equal(first, built.t.layers[0].weight)


def test_tensors_of_a_layer_that_it_does_not_keep_are_filled_as_that_would_be():
    class Taking(nn.Module):
        def __init__(self, layer):
            super().__init__()
            self.weight, self.bias = layer.weight, layer.bias

        def forward(self, x):
            return nn.functional.linear(x, self.weight, self.bias)

    modelzoo.register.layer(Taking)
    for model in both("Taking(Linear(4, 4))"):
        assert model.w.weight.std() > 0.1
        assert model.w.bias.any()


def test_it_may_leave_out_a_tensor_of_a_layer():
    wrapping(lambda self, layer: setattr(layer, "bias", None))
    assert [each.w.layer.bias for each in both("Wrapping(Linear(4, 4))")] == [None, None]


def test_it_may_call_an_rnn_inside_a_registered_layer():
    class Inner(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = nn.LSTM(4, 4)

        def forward(self, x):
            return self.rnn(x)[0]

    def call(self, layer):
        self.out = nn.Linear(layer(torch.zeros(1, 4)).shape[-1], 4)

    modelzoo.register.layer(Inner)
    wrapping(call)
    small, large = both("Wrapping(Inner())")
    x = torch.randn(2, 4)
    assert torch.equal(small.w(x), large.w(x))


def test_a_layer_too_large_for_the_machine_is_planned():
    wrapping(lambda self, layer: layer.requires_grad_(False))
    plan = modelzoo.plan({"inputs": {"x": [2, 10**6]}, "layers": ["Wrapping(Linear(1000000, 10000000))"]})
    assert (plan.parameters, plan.trainable) == (10**13 + 10**7, 0)


def test_it_may_let_a_layer_fail():
    def retried(self, x):
        try:
            return self.layer(x)
        except RuntimeError:
            return self.layer(x[..., :4])

    def patched(self, layer):
        layer.forward = lambda x: nn.functional.linear(x[..., :4], layer.weight, layer.bias)

    for constructor, forward in ((None, retried), (patched, None)):
        REGISTERED.clear()
        wrapping(constructor, forward)
        with pytest.raises(modelzoo.ConfigError) as caught:
            modelzoo.plan({"inputs": {"x": [2, 6]}, "layers": ["Wrapping(Linear(4, 4))", "Linear(5, 5)"]})
        assert [each.path for each in caught.value.problems] == ["model.layers.1"]


@pytest.mark.parametrize(
    "error", [AssertionError(), RuntimeError(""), StopIteration(), ValueError("\n"), MemoryError()]
)
@pytest.mark.parametrize("more", [{}, WIDE])
def test_an_error_without_text_is_named(error, more):
    def fail(self, layer):
        raise error

    wrapping(fail)
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.plan({"inputs": {"x": [2, 4]}, "layers": {"w": "Wrapping(Linear(4, 4))", **more}})
    assert str(caught.value) == (
        "model.layers.w\n  Wrapping(layer=Linear(in_features=4, out_features=4)) cannot be constructed: "
        f"{type(error).__name__}"
    )


@pytest.mark.parametrize(
    "constructor",
    [
        lambda self, layer: layer.requires_grad_(False),
        lambda self, layer: [each.fill_(0) for each in layer.parameters()],
        lambda self, layer: layer.register_forward_hook(print),
        lambda self, layer: copy.deepcopy(layer),
    ],
)
def test_nothing_is_done_to_a_layer_whose_size_is_left_out(constructor):
    wrapping(constructor)
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.plan({"inputs": {"x": [2, 4]}, "layers": {"w": "Wrapping(Linear(out_features=4))"}})
    assert str(caught.value) == (
        "model.layers.w\n  Wrapping(layer=Linear(out_features=4)) cannot be constructed: "
        "Linear has no tensors before its first call: write its size"
    )
    REGISTERED.clear()
    wrapping()
    assert (
        modelzoo.build(
            {"inputs": {"x": [2, 4]}, "layers": {"w": "Wrapping(Linear(out_features=4))"}}
        ).w.layer.in_features
        == 4
    )


@pytest.mark.parametrize(("text", "key"), [("{_ref_: size}", "_ref_"), ("{size: 4}", "size"), ("{**size}", "**")])
def test_the_keys_of_a_mapping_inside_a_text_are_in_quotes(text, key):
    wrapping()
    layers = {"plain": "Linear(4, 4)", "w": f"Wrapping({text})"}
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.plan({"args": {"size": 4}, "layers": layers})
    assert str(caught.value) == (
        f"model.layers.w\n  a key of a mapping in a text is in quotes, not {key}. "
        "Put names in quotes: {'_ref_': 'name'}."
    )
    built = modelzoo.build({"layers": {**layers, "w": "Wrapping({'_ref_': 'plain'})"}})
    assert built.w.layer is built.plain


def test_a_lazy_layer_inside_is_told_by_its_name():
    class Waiting(nn.Module):
        def __init__(self, width: int):
            super().__init__()
            self.inner = nn.Sequential(nn.ReLU(), nn.LazyConv2d(width, 3))

        def forward(self, x):
            return self.inner(x)

    modelzoo.register.layer(Waiting)
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.build({"inputs": {"x": [2, 3, 8, 8]}, "layers": {"w": "Waiting(4)"}})
    assert str(caught.value) == (
        "model.layers.w\n"
        "  Waiting(width=4) cannot be constructed: 'inner.1' in it is a LazyConv2d, which has no size before its first "
        "call. Construct a Conv2d with its sizes."
    )
