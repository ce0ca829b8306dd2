"""A run that only checks leaves a user's own layers as their constructors left them."""

import pytest
import torch
from torch import nn

import modelzoo

X = torch.linspace(-1, 3, 12).view(3, 4)


class Scaling(nn.Module):
    """Takes over the scale of the first input that it sees, and remembers all that it has seen."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.inner, self.statistics = nn.BatchNorm1d(dim), nn.BatchNorm1d(dim).eval()
        self.scale = nn.Parameter(torch.ones(dim))
        self.register_buffer("steps", torch.zeros(()))
        self.last, self.known, self.calls = torch.zeros(dim), [], 0

    def forward(self, x):
        if not self.calls:
            self.scale.data = x.abs().mean(0) + 2
            self.extra = x
        self.calls += 1
        self.steps += 1
        self.last[:] = x[-1]
        self.known.append(x)
        return self.statistics(self.inner(x)) * self.scale


@pytest.fixture(autouse=True)
def _registered():
    modelzoo.register.layer(sizes={"x": "* dim"})(Scaling)


def held(module):
    """All that a module holds, and what holds it."""
    return {
        name: {key: value for key, value in vars(each).items() if key not in ("_parameters", "_buffers", "_modules")}
        for name, each in module.named_modules()
    }


@pytest.mark.parametrize("written", ["Scaling(4)", "Scaling"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_user_s_layer_begins_as_its_constructor_left_it_whatever_its_forward_does(written, dtype):
    model = modelzoo.build({"inputs": {"x": [3, 4]}, "layers": [written]}, dtype=dtype)
    (ours,), theirs = model, Scaling(4)
    for name, each in held(theirs).items():
        found = held(ours)[name]
        assert found.keys() == each.keys()
        assert torch.equal(each.pop("last", X), found.pop("last", X))
        assert found == each
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    for name, value in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name].to(value.dtype), value), name
    x = X.to(getattr(torch, dtype))
    assert torch.equal(ours(x), theirs.to(x.dtype)(x))


@pytest.mark.parametrize("written", ["Scaling(4)", "Scaling"])
def test_on_meta_too(written):
    (made,) = modelzoo.build({"inputs": {"x": [3, 4]}, "layers": [written]}, device="meta")
    assert (made.calls, made.known, hasattr(made, "extra")) == (0, [], False)
    assert (made.training, made.inner.training, made.statistics.training) == (True, True, False)


def test_a_tensor_with_several_values_in_one_place_is_no_hindrance():
    class Offsets(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("offsets", torch.tensor([float("nan"), 2.0])[:, None].expand(2, 4))

        def forward(self, x):
            return x + self.offsets

    modelzoo.register.layer(Offsets)
    (made,) = modelzoo.build({"inputs": {"x": [2, 4]}, "layers": ["Offsets"]})
    assert made.offsets[1].tolist() == [2] * 4


def test_what_a_constructor_is_given_stays_as_it_left_it():
    class Around(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner.eval()

        def forward(self, x):
            return self.inner(x)

    modelzoo.register.layer(Around)
    (made,) = modelzoo.build({"inputs": {"x": [2, 4]}, "layers": ["Around(BatchNorm1d(4))"]})
    assert (made.training, made.inner.training) == (True, False)


CONFIG = {"inputs": {"x": [8, 4]}, "layers": ["Linear(4, 4)", "Scaling(4)", "Linear(4, 3)"]}
MEASURED = {"weights": {"layer": "Linear", "param": "weight", "fill": "lsuv"}}


def test_a_fill_that_is_measured_changes_what_it_scales_and_nothing_else():
    built, later = modelzoo.build(CONFIG, MEASURED), modelzoo.build(CONFIG)
    modelzoo.initialize(later, MEASURED)
    theirs = Scaling(4)
    for model in (built, later):
        made = model[1]
        assert (made.calls, made.known, hasattr(made, "extra")) == (0, [], False)
        assert all(torch.equal(made.state_dict()[name], value) for name, value in theirs.state_dict().items())
    x = torch.randn(64, 4)
    assert torch.equal(built[0](x), later[0](x))
    assert not torch.equal(built[0](x), modelzoo.build(CONFIG)[0](x))


def test_a_user_s_own_tensor_is_scaled_all_the_same():
    class Weighted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(4))
            self.seen = 0

        def forward(self, x):
            self.seen += 1
            return x * self.weight

    modelzoo.register.layer(Weighted)
    rules = {"w": {"name": "0.weight", "fill": "lsuv(std=3)"}}
    (made,) = modelzoo.build({"inputs": {"x": [64, 4]}, "layers": ["Weighted"]}, rules)
    assert (made.weight.mean() > 2, made.seen) == (True, 0)


def test_signals_of_a_module_change_nothing_of_it():
    made = nn.Sequential(nn.Linear(4, 4), Scaling(4))
    before = {name: value.clone() for name, value in made.state_dict().items()}
    modelzoo.signals(made, torch.randn(8, 4))
    assert (made[1].calls, made[1].known, hasattr(made[1], "extra"), made[1].last.any()) == (0, [], False, False)
    assert all(torch.equal(made.state_dict()[name], value) for name, value in before.items())
