"""Modules written by hand come back as configs that build the same."""

from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
from torch import Tensor, nn

import modelzoo
from modelzoo.catalog.layers import REGISTERED
from modelzoo.errors import ConfigError


class Residual(nn.Module):
    def __init__(self, dim: int, factor: int = 2) -> None:
        super().__init__()
        self.dim = dim
        self.norm = nn.LayerNorm(dim)
        self.up, self.down = nn.Linear(dim, factor * dim), nn.Linear(factor * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        residual = x
        x = self.norm(x)
        x = self.down(torch.relu(self.up(x)))
        return residual + x


class Stack(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(Residual(8), Residual(8), Residual(8))
        self.widen = nn.Linear(8, 16, bias=False)
        self.second = nn.Sequential(Residual(16))

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.widen(self.first(x)))


def test_blocks_of_a_class_are_one_definition_and_neighbours_a_repeat():
    assert modelzoo.from_module(Stack(), torch.randn(2, 8)) == {
        "inputs": {"x": [2, 8]},
        "layers": {
            "first": {"_repeat_": 3, "_target_": "Residual(8)"},
            "widen": "Linear(8, 16, bias=False)",
            "second": ["Residual(16)"],
        },
        "forward": "second(widen(first(x)))",
        "blocks": {
            "Residual": {
                "args": ["dim"],
                "layers": {"norm": "LayerNorm(dim)", "up": "Linear(dim, 2 * dim)", "down": "Linear(2 * dim, dim)"},
                "forward": "x + down(relu(up(norm(x))))",
            }
        },
    }


def test_neighbours_whose_numbers_count_are_a_repeat():
    growing = nn.Sequential(*(Residual(8, 2 + each) for each in range(3)), nn.Linear(8, 10), nn.Linear(10, 12))
    found = modelzoo.from_module(growing, torch.randn(2, 8))
    assert found["layers"] == [
        {"_repeat_": 3, "_target_": "Residual(16 + 8 * i)", "_unpack_": True},
        "Linear(8, 10)",
        "Linear(10, 12)",
    ]


def test_copies_of_a_sequence_among_others_in_a_list_stay_items_of_it():
    class Rates(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            dilated = [Dilated(rate) for rate in (2, 3, 4)]
            self.convs = nn.ModuleList([nn.Conv2d(3, 4, 1), *dilated])

        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([conv(x) for conv in self.convs], dim=1)

    class Dilated(nn.Sequential):
        def __init__(self, rate: int) -> None:
            super().__init__(nn.Conv2d(3, 4, 3, padding=rate, dilation=rate), nn.ReLU())

    found = modelzoo.from_module(Rates(), torch.randn(2, 3, 8, 8))
    assert found["layers"]["convs"] == [
        "Conv2d(3, 4, 1)",
        {"_repeat_": 3, "layers": ["Dilated(2 + i)"], "_unpack_": True},
    ]


def test_the_weights_of_the_module_fit_as_they_are():
    module = Stack()
    built = modelzoo.build(modelzoo.from_module(module, torch.randn(2, 8)))
    assert list(built.state_dict()) == list(module.state_dict())
    built.load_state_dict(module.state_dict())
    x = torch.randn(5, 8)
    assert torch.equal(built(x), module(x))


def test_a_shared_layer_is_a_reference_and_a_shared_tensor_a_tie():
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.head = nn.Embedding(10, 4), nn.Linear(4, 10, bias=False)
            self.head.weight = self.embed.weight
            self.first = nn.Linear(4, 4)
            self.again = self.first

        def forward(self, tokens: Tensor) -> Tensor:
            return self.head(self.again(self.first(self.embed(tokens))))

    found = modelzoo.from_module(Net(), torch.randint(0, 10, (2, 3)))
    assert found["layers"]["again"] == {"_ref_": "first"}
    assert found["tie"] == {"head.weight": "embed.weight"}
    assert found["forward"] == "head(first(first(embed(tokens))))"
    assert found["inputs"]["tokens"]["dtype"] == "int64"


def test_a_shared_layer_inside_another_block_keeps_that_block_in_place():
    class Inner(nn.Module):
        def __init__(self, shared: nn.Module) -> None:
            super().__init__()
            self.shared = shared

        def forward(self, x: Tensor) -> Tensor:
            return x + self.shared(x)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(4, 4)
            self.a, self.b = Inner(self.fc), Inner(self.fc)

        def forward(self, x: Tensor) -> Tensor:
            return self.b(self.a(self.fc(x)))

    found = modelzoo.from_module(Net(), torch.randn(2, 4))
    inner = {"layers": {"shared": {"_ref_": "fc"}}, "forward": "x + shared(x)"}
    assert found["layers"] == {"fc": "Linear(4, 4)", "a": inner, "b": inner}
    assert "blocks" not in found


def test_flags_are_decided_and_training_is_asked_where_it_matters():
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.aux, self.scaled = nn.Linear(8, 8), nn.Linear(8, 2), True

        def forward(self, x: Tensor) -> object:
            x = self.fc(x)
            if self.scaled:
                x = x * 0.5
            x = nn.functional.dropout(x, 0.25, self.training)
            if self.training:
                return {"main": x, "aux": self.aux(x)}
            return x

    assert modelzoo.from_module(Net(), torch.randn(2, 8))["forward"] == (
        "x = dropout(fc(x) * 0.5, p=0.25, training=training)\n"
        "if training:\n    return {'main': x, 'aux': aux(x)}\nreturn x\n"
    )


def test_sizes_are_those_of_the_input_and_not_of_the_example():
    class Heads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.qkv = nn.Linear(8, 24)

        def forward(self, x: Tensor) -> Tensor:
            B, N, C = x.shape  # noqa: N806
            q, k, v = self.qkv(x).reshape(B, N, 3, 2, C // 2).permute(2, 0, 3, 1, 4).unbind(0)
            weights = (q @ k.transpose(-2, -1) * (C // 2) ** -0.5).softmax(dim=-1)
            return (weights @ v).transpose(1, 2).reshape(B, N, C)

    found = modelzoo.from_module(Heads(), torch.randn(2, 5, 8))
    assert found["forward"].splitlines() == [
        "B, N, C = x.shape",
        "q, k, v = qkv(x).reshape(B, N, 3, 2, C // 2).permute(2, 0, 3, 1, 4).unbind(0)",
        "weights = (q @ k.transpose(-2, -1) * 0.5).softmax(dim=-1)",
        "return (weights @ v).transpose(1, 2).reshape(B, N, C)",
    ]
    assert modelzoo.build(found)(torch.randn(3, 7, 8)).shape == (3, 7, 8)


def test_functions_of_other_names_are_those_of_the_language():
    class Net(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            x = torch.concat([x, x.swapaxes(0, 1)]) / torch.linalg.vector_norm(x, ord=2, dim=(0, 1), keepdim=True)
            x = torch.multiply(x, 2).add_(1).clamp_(max=2.0)
            return x.to(torch.float64).type_as(x).contiguous()[..., None, :-1]

    found = modelzoo.from_module(Net(), torch.randn(4, 4))
    assert found["forward"] == (
        "x = cat([x, x.transpose(0, 1)]) / norm(x, 2, dim=(0, 1), keepdim=True)\n"
        "x = (x * 2 + 1).clamp(max=2.0)\n"
        "return x.to('float64').to(x.dtype).contiguous()[..., None, :-1]\n"
    )


def test_calls_of_the_layers_of_a_container_are_a_loop():
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = nn.ModuleList(nn.Linear(8, 8) for _ in range(3))
            self.norms = nn.ModuleList(nn.LayerNorm(8) for _ in range(4))

        def forward(self, x: Tensor) -> Tensor:
            scale = x.mean(-1, keepdim=True)
            for block, norm in zip(self.blocks, self.norms[1:], strict=True):
                x = x + torch.relu(block(norm(x))) * scale
            return self.norms[0](x)

    assert modelzoo.from_module(Net(), torch.randn(2, 8))["forward"] == (
        "scale = x.mean(-1, keepdim=True)\n"
        "for layer, other in zip(norms[1:], blocks):\n"
        "    x = x + relu(other(layer(x))) * scale\n"
        "return norms[0](x)\n"
    )


def test_an_input_that_has_the_name_of_a_tensor_gets_another_one():
    class Embeds(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(4, 8)
            self.register_buffer("ids", torch.arange(6).view(1, 6))

        def forward(self, x: Tensor, ids: Tensor | None = None) -> Tensor:
            return x + self.embed(self.ids if ids is None else ids) + self.ids.sum()

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embeds = Embeds()

        def forward(self, x: Tensor) -> Tensor:
            return self.embeds(x, self.embeds.ids[:, :1] * 0)

    found = modelzoo.from_module(Net(), torch.randn(2, 3, 8))
    assert found["forward"] == "ids = embeds.ids\nreturn embeds(x, ids[:, :1] * 0)\n"
    assert found["blocks"]["Embeds"]["inputs"] == ["x", "ids_"]


def test_tensors_of_a_module_itself_have_fills():
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.full((8,), 1e-5))
            self.fixed = nn.Parameter(torch.zeros(1), requires_grad=False)
            self.register_buffer("steps", torch.arange(8).view(1, 8))
            self.register_buffer("mask", torch.ones(8, 8).tril().bool(), persistent=False)
            self.offset = torch.linspace(0, 1, 20)

        def forward(self, x: Tensor) -> Tensor:
            return (x * self.scale + self.steps + self.fixed).masked_fill(self.mask, 0.0) + self.offset.sum()

    found = modelzoo.from_module(Net(), torch.randn(8, 8))
    assert found["parameters"] == {
        "scale": {"shape": [8], "fill": 1e-5},
        "fixed": {"shape": [1], "fill": 0, "trainable": False},
    }
    assert {name: each["fill"] for name, each in found["buffers"].items() if name != "offset"} == {
        "steps": "arange(8).view(1, 8)",
        "mask": "tril(ones(8, 8))",
    }
    assert found["buffers"]["offset"]["persistent"] is False


def test_elements_that_are_assigned_to_a_new_tensor_are_the_fill_of_a_buffer():
    class Net(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            mask = x.new_zeros(x.shape[-1])
            mask[1:-1] = 2
            return x + mask

    found = modelzoo.from_module(Net(), torch.randn(2, 6))
    assert found["buffers"] == {
        "mask": {"shape": [6], "fill": "w = full((6,), 0)\nw[1:-1] = 2\nreturn w\n", "persistent": False}
    }


def test_a_layer_that_gives_back_its_input_is_told_from_it():
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.same, self.fc = nn.Identity(), nn.Linear(8, 8)

        def forward(self, x: Tensor) -> Tensor:
            y = self.same(x)
            return self.fc(x) * y + self.fc(y)

    found = modelzoo.from_module(Net(), torch.randn(2, 8))
    assert found["layers"]["same"] == "Identity"
    assert found["forward"] == "y = same(x)\nreturn fc(x) * y + fc(y)\n"


def test_frozen_layers_are_frozen():
    model = nn.Sequential(nn.Linear(4, 4).requires_grad_(False), nn.Linear(4, 2))
    found = modelzoo.from_module(model, torch.randn(1, 4))
    assert found["layers"] == [{"_target_": "Linear(4, 4)", "_freeze_": True}, "Linear(4, 2)"]


def test_a_module_is_left_as_it_was():
    module = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5)).train()
    module[1].eval()
    before = {name: each.clone() for name, each in module.state_dict().items()}
    x, state = torch.randn(2, 4), torch.get_rng_state()
    modelzoo.from_module(module, x)
    assert all(torch.equal(each, before[name]) for name, each in module.state_dict().items())
    assert [each.training for each in module] == [True, False, True]
    assert torch.equal(torch.get_rng_state(), state)


def test_what_cannot_be_said_is_told_with_the_line_of_the_source_all_at_once():
    class Doubles(torch.autograd.Function):
        @staticmethod
        def forward(context, x):
            return 2 * x

        @staticmethod
        def backward(context, slope):
            return slope

    class Picks(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            if x.sum() > 0:
                return -x
            return Doubles.apply(x)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.picks = Picks()
            self.hooked = nn.Linear(4, 4)
            self.hooked.register_forward_hook(lambda *_: None)

        def forward(self, x: Tensor) -> Tensor:
            return torch.cholesky_inverse(self.hooked(self.picks(-x.abs())))

    with pytest.raises(ConfigError) as caught:
        modelzoo.from_module(Net(), torch.ones(4, 4))
    first = Net.__init__.__code__.co_firstlineno
    told = sorted((each.path, each.where.rpartition(":")[2], each.what) for each in caught.value.problems)
    assert told == [
        ("module", str(first + 7), "Net: a text has no function 'cholesky_inverse'"),
        ("module.hooked", told[1][1], "Linear: it has hooks"),
        ("module.picks", str(first - 5), "Picks: a condition asks for the values of a tensor"),
        ("module.picks", str(first - 3), "Picks: Doubles is an autograd.Function, whose gradient is code"),
    ]
    assert {each.path: each.hint for each in caught.value.problems} == {
        "module": "Register Net as a layer: modelzoo.register.layer(Net), or write partial=True.",
        "module.hooked": "Put it into a class of your own, and register that.",
        "module.picks": "Register Picks as a layer: modelzoo.register.layer(Picks), or write partial=True.",
    }


class Gate(nn.Module):
    """Lets through what is large: which that is, only the values say."""

    def __init__(self, dim: int, least: float = 0.5) -> None:
        super().__init__()
        self.dim, self.least = dim, least
        self.scale = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale if float(x.detach().abs().max()) > self.least else x


class Gated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up, self.gates = nn.Linear(8, 4), nn.Sequential(Gate(4), Gate(4, least=0.25))

    def forward(self, x: Tensor) -> Tensor:
        return self.gates(self.up(x))


def test_a_class_that_cannot_be_said_may_stay_a_name():
    with pytest.warns(modelzoo.ConfigWarning) as told:
        found = modelzoo.from_module(Gated(), torch.randn(2, 8), partial=True)
    assert [str(each.message) for each in told] == [
        f"{Gate.__module__}.Gate is left as a name. "
        "Register it before the config is built: modelzoo.register.layer(Gate)"
    ]
    assert found["layers"] == {"up": "Linear(8, 4)", "gates": ["Gate(4)", "Gate(4, least=0.25)"]}
    with pytest.raises(ConfigError, match="there is no layer 'Gate'"):
        modelzoo.build(found)


def test_a_class_that_is_registered_is_a_layer():
    modelzoo.register.layer(Gate)
    try:
        found = modelzoo.from_module(Gated(), torch.randn(2, 8))
        assert list(modelzoo.build(found).state_dict()) == list(Gated().state_dict())
    finally:
        del REGISTERED["Gate"]


def test_a_constructor_whose_arguments_are_not_kept_is_told():
    class Hidden(nn.Module):
        def __init__(self, secret: int) -> None:
            super().__init__()

        def forward(self, x: Tensor) -> Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(ConfigError, match="Hidden: a condition asks for the values of a tensor"):
        modelzoo.from_module(nn.Sequential(Hidden(3)), torch.randn(2, 8), partial=True)


def test_what_no_config_can_be_of_is_told():
    class Sums(nn.Module):
        def __init__(self, device: str) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(4, device=device))

        def forward(self, given: list[Tensor]) -> Tensor:
            return (given[0] + given[1]) * self.scale

    x = torch.randn(2, 4)
    with pytest.raises(TypeError, match="from_module takes a module, not int"):
        modelzoo.from_module(3, x)
    with pytest.raises(ConfigError) as caught:
        modelzoo.from_module(nn.Linear(4, 2), x)
    assert str(caught.value) == ("module\n  Linear is a layer, and a config is of a block. Put it into nn.Sequential.")
    with pytest.raises(ConfigError) as caught:
        modelzoo.from_module(Sums("meta"), ([x, x],))
    assert [each.what for each in caught.value.problems] == [
        "on meta there is nothing to compute with.",
        "'given' is a list, and a config takes tensors.",
    ]


def test_values_that_are_no_numbers_are_compared_too():
    found = modelzoo.from_module(nn.Sequential(nn.Linear(4, 2)), torch.full((2, 4), float("nan")))
    assert found["layers"] == ["Linear(4, 2)"]


def test_what_is_changed_in_place_through_a_view_is_told_with_its_line():
    class Zeroed(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            y = x * 2
            y.chunk(2, 1)[0].zero_()
            return y

    with pytest.raises(ConfigError) as caught:
        modelzoo.from_module(Zeroed(), torch.randn(2, 4))
    line = f"{__file__}:{Zeroed.forward.__code__.co_firstlineno + 2}"
    assert {each.what for each in caught.value.problems} == {
        "what was imported is not the same: it returns other values",
        "what was imported is not the same: with other values it returns something else, in training",
    }
    assert {each.hint for each in caught.value.problems} == {
        f"A part of a tensor is changed in place, which a text cannot: {line}"
    }


def test_a_module_that_takes_one_item_alone_is_imported_for_one():
    class One(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.fc = nn.BatchNorm1d(4), nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            x = self.norm(x)
            if len(x) != 3:
                raise ValueError("three items, please")
            return self.fc(x)

    with pytest.warns(modelzoo.ConfigWarning) as told:
        assert modelzoo.from_module(One(), torch.randn(3, 4))["forward"] == "fc(norm(x))"
    assert [str(each.message) for each in told] == [
        "It was not compared for another number of items, where the module fails: three items, please"
    ]


def test_what_is_not_the_same_is_never_returned():
    class Cached(nn.Module):
        """Keeps the values that it saw first."""

        def forward(self, x: Tensor) -> Tensor:
            if not hasattr(self, "seen"):
                self.seen = x.detach().numpy().copy()
            return x + torch.from_numpy(self.seen)

    with pytest.raises(ConfigError):
        modelzoo.from_module(Cached(), torch.randn(1, 4))


class Activated(nn.BatchNorm2d):
    """A layer with running statistics to which a class adds."""

    def __init__(self, dim: int, momentum: float = 0.1) -> None:
        super().__init__(dim)
        self.drop, self.act, self.other = nn.Dropout(0.0), nn.ReLU(inplace=True), momentum

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.num_batches_tracked.add_(1)
        held = self.running_mean, self.running_var, self.weight, self.bias
        return self.act(self.drop(nn.functional.batch_norm(x, *held, self.training, self.other, self.eps)))


class Convolved(nn.Module):
    def __init__(self, momentum: float = 0.1) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3), Activated(4))
        self.norm = Activated(4, momentum)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.stem(x))


def test_what_a_class_adds_to_a_layer_with_statistics_is_computed_by_who_calls_it():
    found = modelzoo.from_module(Convolved(), torch.randn(2, 3, 8, 8))
    assert found == {
        "inputs": {"x": [2, 3, 8, 8]},
        "layers": {
            "stem": {
                "layers": ["Conv2d(3, 4, 3)", "BatchNorm2d(4)"],
                "forward": "relu(dropout(layers['1'](layers['0'](x)), p=0.0, training=training))",
            },
            "norm": "BatchNorm2d(4)",
        },
        "forward": "relu(dropout(norm(stem(x)), p=0.0, training=training))",
    }


def test_a_layer_that_keeps_other_statistics_is_not_the_same():
    with pytest.raises(ConfigError) as caught:
        modelzoo.from_module(Convolved(0.5), torch.randn(2, 3, 8, 8))
    assert [each.what for each in caught.value.problems] == [
        "what was imported is not the same: 'norm.running_mean' has other values after a call in training",
        "what was imported is not the same: 'norm.running_var' has other values after a call in training",
    ]


def test_a_result_with_names_keeps_them():
    class Net(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.max(x, dim=-1).values - torch.min(x, dim=-1).values

    found = modelzoo.from_module(Net(), torch.randn(2, 5))
    assert found["forward"] == "max(x, dim=-1)[0] - min(x, dim=-1)[0]"


def test_a_number_that_fills_a_tensor_has_a_name_that_fills_have_not():
    class Scaled(nn.Module):
        def __init__(self, value: float) -> None:
            super().__init__()
            self.value = value
            self.gamma = nn.Parameter(torch.full((4,), value))

        def forward(self, x: Tensor) -> Tensor:
            return x * self.gamma

    found = modelzoo.from_module(nn.Sequential(Scaled(0.5), Scaled(2.0)), torch.randn(2, 4))
    assert found["layers"] == ["Scaled(0.5)", "Scaled(2)"]
    assert found["blocks"]["Scaled"]["args"] == ["initial"]


def test_what_differs_with_the_number_of_items_is_no_matter_of_the_mode():
    class Counted(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * float(int(x.shape[0]) ** 2)

    with pytest.raises(ConfigError) as caught:
        modelzoo.from_module(Counted(), torch.randn(3, 4))
    assert [each.what for each in caught.value.problems] == [
        "what was imported is not the same: with other values it returns something else"
    ]


def test_elements_that_are_assigned_are_joined_with_the_others():
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(2, 2)

        def forward(self, x: Tensor) -> Tensor:
            y, z = x.clone(), torch.zeros_like(x)
            y[:, :2] = self.fc(x[:, :2])
            y[:, 2] = x[:, 3]
            y[..., -1] = 0.5
            y[:, 1:3] = x[:, :1]
            z[:, 1:3, :1] = y[:, 2:, :1]
            z[:] = x + z
            y[x > 0] = 1.0
            return y + z

    found = modelzoo.from_module(Net(), torch.randn(3, 4, 2))
    assert found["forward"].splitlines() == [
        "z = zeros_like(x)",
        "y = cat([fc(x[:, :2]), x.clone()[:, 2:]], dim=1)",
        "y = cat([y[:, :2], x[:, 3].unsqueeze(1), y[:, 3:]], dim=1)",
        "y = cat([y[:, :, :1], full_like(y[:, :, 1:], 0.5)], dim=2)",
        "y = cat([y[:, :1], x[:, :1].expand_as(y[:, 1:3]), y[:, 3:]], dim=1)",
        "h = y[:, 2:, :1]",
        "z = cat([z[:, :1], cat([h, z[:, 1:3][:, :, 1:]], dim=2), z[:, 3:]], dim=1)",
        "return masked_fill(y, x > 0, 1.0) + (x + z)",
    ]


def test_tensors_that_are_called_by_numbers_are_told_of_who_has_them():
    class Listed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weights = nn.ParameterList(torch.randn(4, 4) for _ in range(2))

        def forward(self, x: Tensor) -> Tensor:
            for weight in self.weights:
                x = x @ weight
            return x

    with pytest.raises(ConfigError) as caught:
        modelzoo.from_module(nn.Sequential(Listed()), torch.randn(3, 4))
    (problem,) = caught.value.problems
    assert (problem.path, problem.what) == (
        "module.0",
        "Listed: 'weights' holds tensors by numbers, and a config gives them names",
    )
    assert problem.where == f"{__file__}:{Listed.forward.__code__.co_firstlineno}"
    assert problem.hint == "Register Listed as a layer: modelzoo.register.layer(Listed), or write partial=True."


def test_what_a_model_cannot_do_that_its_module_does_is_told_as_of_the_module():
    class Powers(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            found = x[0]
            for at in range(1, x.shape[0]):
                found = found * x[at].abs() ** at if at % 2 else found + x[at]
            return found

    with pytest.raises(ConfigError) as caught:
        modelzoo.from_module(Powers(), torch.randn(4, 3))
    (problem,) = caught.value.problems
    assert problem.path == "module"
    assert problem.what.startswith("what was imported cannot be built, at model.forward: ")


def test_a_part_that_is_changed_in_place_changes_the_whole():
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bias = nn.Parameter(torch.randn(6))

        def forward(self, x: Tensor) -> Tensor:
            bias = self.bias.clone()
            bias[2:4].zero_()
            y = x + bias
            y[:, 1:5][:, 0].mul_(3)
            y[:, -1] += x[:, 0]
            row = y[0]
            row[1] = 5.0
            return y

    module = Net()
    found = modelzoo.from_module(module, torch.randn(3, 6))
    assert found["forward"].splitlines()[:3] == [
        "bias_ = bias.clone()",
        "y = x + cat([bias_[:2], zeros_like(bias_[2:4]), bias_[4:]], dim=0)",
        "z = y[:, 1:5]",
    ]
    model, x = modelzoo.build(found), torch.randn(4, 6)
    model.load_state_dict(module.state_dict())
    assert torch.equal(model(x), module(x))


def test_a_part_of_a_tensor_of_the_module_that_is_changed_is_told():
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("seen", torch.zeros(4))

        def forward(self, x: Tensor) -> Tensor:
            self.seen[:2].add_(x.detach().mean(0)[:2])
            return x + self.seen

    with pytest.raises(ConfigError, match="Net: elements of a tensor of the module are changed"):
        modelzoo.from_module(Net(), torch.randn(3, 4))


def test_elements_in_steps_are_stacked_with_those_between():
    class Turned(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            y = torch.empty_like(x)
            y[..., ::2] = -x[..., 1::2]
            y[..., 1::2] = x[..., ::2]
            y[1::3, :, 0] = 4.0
            return y

    found = modelzoo.from_module(Turned(), torch.randn(3, 2, 4))
    assert found["forward"].splitlines()[:2] == [
        "y = -x[..., 1::2]",
        "y = stack([y, zeros_like(x)[:, :, 1::2]], 3).flatten(2, 3)",
    ]
    for count in (3, 6):
        x = torch.randn(count, 2, 4)
        assert torch.equal(modelzoo.build(found)(x), Turned()(x))


def test_elements_in_steps_that_fill_no_dimension_are_not_said():
    class Net(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            y = x.clone()
            y[:, ::2] = x[:, :3]
            return y

    with pytest.raises(ConfigError, match="Net: elements are assigned in steps that do not fill a dimension"):
        modelzoo.from_module(Net(), torch.randn(3, 5))


def test_sizes_in_a_tuple_are_an_input():
    class Grid(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(4, 4)

        def forward(self, shape: tuple[int, ...], scale: float = 2.0) -> Tensor:
            count, height, width = shape
            return self.fc(torch.ones(count, height, width, 4).cumsum(1)) * scale

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.grid = Grid()

        def forward(self, x: Tensor) -> Tensor:
            count, height, width, _ = x.shape
            return x + self.grid((count, height, width)) + self.grid(x.shape[:3])

    found = modelzoo.from_module(Net(), torch.randn(2, 3, 5, 4))
    assert found["forward"] == (
        "count, height, width, _ = x.shape\nreturn x + grid((count, height, width)) + grid((count, height, width))\n"
    )
    assert found["blocks"]["Grid"] == {
        "inputs": ["shape"],
        "layers": {"fc": "Linear(4, 4)"},
        "forward": ("count, height, width = shape\nreturn fc(ones(count, height, width, 4).cumsum(1)) * 2.0\n"),
    }


def pair() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 4), nn.ReLU())


def named_pair(cls: type[nn.Sequential]) -> nn.Sequential:
    return cls(OrderedDict(layer1=nn.Linear(4, 4), layer2=nn.Linear(4, 4)))


class Own(nn.Sequential):
    pass


@pytest.mark.parametrize(
    ("module", "layers"),
    [
        (
            lambda: nn.Sequential(pair(), pair(), nn.ReLU()),
            [{"_repeat_": 2, "layers": [["Linear(4, 4)", "ReLU"]], "_unpack_": True}, "ReLU"],
        ),
        (
            lambda: nn.Sequential(pair(), pair()),
            [{"_repeat_": 2, "layers": [["Linear(4, 4)", "ReLU"]], "_unpack_": True}],
        ),
        (
            lambda: named_pair(nn.Sequential),
            {
                "copies": {
                    "_repeat_": 2,
                    "_name_": "layer{i + 1}",
                    "_target_": "Linear(4, 4)",
                    "_unpack_": True,
                }
            },
        ),
        (lambda: nn.Sequential(named_pair(Own), Own(pair(), pair())), ["Own", "Own2"]),
    ],
)
def test_copies_of_sequences_keep_their_names(module, layers):
    assert modelzoo.from_module(module(), torch.randn(2, 4))["layers"] == layers


def test_a_forward_of_one_module_alone_is_its_forward():
    class Chosen(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(4, 4)
            self.forward = self.added

        def added(self, x: Tensor) -> Tensor:
            return x + self.fc(x)

    found = modelzoo.from_module(nn.Sequential(Chosen(), nn.ReLU()), torch.randn(2, 4))
    assert found["blocks"]["Chosen"]["forward"] == "x + fc(x)"


@pytest.mark.filterwarnings("ignore:Its gradients")
def test_a_module_without_gradients_is_imported_without_them():
    class Overwritten(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            y = self.fc(x)
            z = torch.sigmoid(y)
            z.mul_(2)
            return z

    found = modelzoo.from_module(Overwritten(), torch.randn(2, 4))
    assert found["forward"] == "sigmoid(fc(x)) * 2"
    assert found.unseen[0].startswith("Its gradients were not compared, since it has none: one of the variables")
