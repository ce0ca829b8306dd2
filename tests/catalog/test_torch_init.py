"""Torch's initialisation as a plan, against what torch's constructors leave behind: no tensor is left out, each is alike."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from modelzoo.catalog.fill import problem_with
from modelzoo.catalog.fills import FILLS, bind
from modelzoo.catalog.layers import LAYERS
from modelzoo.catalog.torch_init import RULES, Default, default, defaults
from modelzoo.init.drawing import run, tasks

Make = Callable[[], nn.Module]
ENCODER: dict[str, Any] = {"d_model": 12, "nhead": 2, "dim_feedforward": 16, "batch_first": True}


def encoder_layer() -> nn.TransformerEncoderLayer:
    return nn.TransformerEncoderLayer(**ENCODER)


def decoder_layer() -> nn.TransformerDecoderLayer:
    return nn.TransformerDecoderLayer(**ENCODER)


CASES: list[tuple[str, Make]] = [
    ("Linear", lambda: nn.Linear(20, 30)),
    ("Linear", lambda: nn.Linear(20, 30, bias=False)),
    ("Bilinear", lambda: nn.Bilinear(5, 9, 7)),
    *[
        (f"Conv{n}d", lambda n=n, bias=bias: getattr(nn, f"Conv{n}d")(8, 12, 3, groups=4, bias=bias))
        for n in (1, 2, 3)
        for bias in (True, False)
    ],
    *[(f"ConvTranspose{n}d", lambda n=n: getattr(nn, f"ConvTranspose{n}d")(8, 12, 3, groups=2)) for n in (1, 2, 3)],
    ("Embedding", lambda: nn.Embedding(20, 12)),
    ("Embedding", lambda: nn.Embedding(20, 12, padding_idx=0)),
    ("Embedding", lambda: nn.Embedding(20, 12, padding_idx=-1)),
    ("EmbeddingBag", lambda: nn.EmbeddingBag(20, 12)),
    ("EmbeddingBag", lambda: nn.EmbeddingBag(20, 12, padding_idx=3)),
    *[(f"BatchNorm{n}d", lambda n=n: getattr(nn, f"BatchNorm{n}d")(6)) for n in (1, 2, 3)],
    ("BatchNorm1d", lambda: nn.BatchNorm1d(6, affine=False)),
    ("BatchNorm1d", lambda: nn.BatchNorm1d(6, track_running_stats=False)),
    ("SyncBatchNorm", lambda: nn.SyncBatchNorm(6)),
    *[
        (f"InstanceNorm{n}d", lambda n=n: getattr(nn, f"InstanceNorm{n}d")(6, affine=True, track_running_stats=True))
        for n in (1, 2, 3)
    ],
    ("LayerNorm", lambda: nn.LayerNorm([4, 6])),
    ("LayerNorm", lambda: nn.LayerNorm(6, bias=False)),
    ("GroupNorm", lambda: nn.GroupNorm(2, 6)),
    ("RMSNorm", lambda: nn.RMSNorm(6)),
    ("PReLU", lambda: nn.PReLU()),
    ("PReLU", lambda: nn.PReLU(7, init=0.1)),
    *[(kind, lambda kind=kind: getattr(nn, kind)(5, 12, num_layers=2)) for kind in ("RNN", "LSTM", "GRU")],
    ("LSTM", lambda: nn.LSTM(5, 12, bidirectional=True, proj_size=4)),
    ("GRU", lambda: nn.GRU(5, 12, bias=False)),
    *[(kind, lambda kind=kind: getattr(nn, kind)(5, 12)) for kind in ("RNNCell", "LSTMCell", "GRUCell")],
    ("MultiheadAttention", lambda: nn.MultiheadAttention(12, 2)),
    ("MultiheadAttention", lambda: nn.MultiheadAttention(12, 2, bias=False)),
    ("MultiheadAttention", lambda: nn.MultiheadAttention(12, 2, kdim=7, vdim=5, add_bias_kv=True)),
    ("TransformerEncoderLayer", encoder_layer),
    ("TransformerEncoderLayer", lambda: nn.TransformerEncoderLayer(**ENCODER, bias=False)),
    ("TransformerDecoderLayer", decoder_layer),
    ("TransformerEncoder", lambda: nn.TransformerEncoder(encoder_layer(), 2, nn.LayerNorm(12))),
    ("TransformerDecoder", lambda: nn.TransformerDecoder(decoder_layer(), 2)),
    ("Transformer", lambda: nn.Transformer(12, 2, 1, 1, 16, batch_first=True)),
    (
        "AdaptiveLogSoftmaxWithLoss",
        lambda: nn.AdaptiveLogSoftmaxWithLoss(12, 20, [5, 10], div_value=2.0, head_bias=True),
    ),
]

ROUNDS = 50
"""Torch's tensors and ours are compared over so many modules: a bias has few elements."""


def tensors(module: nn.Module) -> dict[str, Tensor]:
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def fill(module: nn.Module, seed: int = 0) -> None:
    """Fills a module from the table, after every number in it was made unusable."""
    for tensor in tensors(module).values():
        tensor.detach().fill_(math.nan if tensor.is_floating_point() else -77)
    planned = defaults(module)
    for name, tensor in tensors(module).items():
        fill_name, arguments = planned[name]
        run(tasks(tensor, FILLS[fill_name], arguments, seed=seed, name=name), 1)


def distance(one: Tensor, other: Tensor) -> float:
    """The Kolmogorov-Smirnov statistic, in units in which 2.5 is exceeded by chance seven times in a million."""
    one, other = one.sort().values, other.sort().values
    points = torch.cat((one, other))
    below = [torch.searchsorted(each, points, right=True) / len(each) for each in (one, other)]
    return (below[0] - below[1]).abs().max().item() * math.sqrt(len(one) * len(other) / (len(one) + len(other)))


@pytest.mark.parametrize(("name", "make"), CASES)
def test_no_tensor_is_left_as_it_was(name: str, make: Make) -> None:
    module = make()
    assert type(module).__name__ == name
    fill(module)
    assert defaults(module).keys() == tensors(module).keys()
    assert all(tensor.isfinite().all() and not (tensor == -77).any() for tensor in tensors(module).values())


@pytest.mark.parametrize(("name", "make"), CASES)
def test_every_tensor_is_distributed_as_the_constructor_leaves_it(name: str, make: Make) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        theirs = [tensors(make()) for _ in range(ROUNDS)]
    ours: list[dict[str, Tensor]] = []
    for seed in range(ROUNDS):
        module = make()
        fill(module, seed)
        ours.append(tensors(module))
    for key in theirs[0]:
        expected, got = (torch.stack([each[key].detach().double() for each in side]) for side in (theirs, ours))
        constant = (expected == expected[0]).all(0)  # elements that are the same in all modules: ones, zeros, padding
        assert got[:, constant].equal(expected[:, constant]), key
        if not constant.all():
            expected, got = expected[:, ~constant].flatten(), got[:, ~constant].flatten()
            assert distance(got, expected) < 2.5, key
            error = math.sqrt(2 / len(got)) * expected.std().item()
            assert abs(got.mean() - expected.mean()).item() < 5 * error, key
            assert abs(got.std() / expected.std() - 1).item() < max(0.02, 5 / math.sqrt(len(got))), key


@pytest.mark.parametrize(("name", "make"), CASES)
def test_every_planned_fill_fits_and_is_complete(name: str, make: Make) -> None:
    module = make()
    for key, (fill_name, arguments) in defaults(module).items():
        tensor = tensors(module)[key]
        assert bind(FILLS[fill_name], [], arguments) == arguments
        assert problem_with(FILLS[fill_name], arguments, tensor.shape, tensor.dtype) is None


def test_the_layers_of_a_stack_differ() -> None:
    encoder = nn.TransformerEncoder(encoder_layer(), 2)
    assert encoder.layers[0].linear1.weight.equal(encoder.layers[1].linear1.weight)  # torch copies them
    fill(encoder)
    assert not encoder.layers[0].linear1.weight.equal(encoder.layers[1].linear1.weight)


def test_every_layer_of_the_catalog_that_has_tensors_is_tested() -> None:
    resets = {
        name
        for name, layer in LAYERS.items()
        if hasattr(layer.cls, "reset_parameters") or hasattr(layer.cls, "_reset_parameters")
    }
    assert resets <= {name for name, _ in CASES}


def test_every_class_of_torch_that_fills_itself_has_a_rule() -> None:
    for name, cls in vars(nn).items():
        if isinstance(cls, type) and issubclass(cls, nn.Module) and hasattr(cls, "reset_parameters"):
            ruled = any(base in RULES for base in cls.__mro__) or cls is nn.AdaptiveLogSoftmaxWithLoss
            assert ruled, name  # AdaptiveLogSoftmaxWithLoss is made of Linear layers


def test_what_the_fills_are() -> None:
    half: Default = ("uniform", {"a": -0.5, "b": 0.5})
    assert defaults(nn.Linear(4, 2)) == {"weight": half, "bias": half}
    assert default(nn.Linear(4, 2, bias=False), "bias") is None
    assert default(nn.Embedding(9, 2, padding_idx=-2), "weight") == ("embedding", {"padding_idx": 7, "std": 1.0})
    assert default(nn.PReLU(init=0.1), "weight") == ("constant", {"value": 0.1})
    attention = nn.MultiheadAttention(4, 2)
    assert default(attention, "out_proj.weight") == half
    assert default(attention, "out_proj.bias") == ("zeros", {})
    xavier: Default = ("xavier_uniform", {"gain": 1.0})
    transformer = defaults(nn.Transformer(4, 2, 1, 1, 4, batch_first=True))
    assert transformer["encoder.layers.0.self_attn.out_proj.weight"] == xavier
    assert transformer["encoder.layers.0.linear1.weight"] == xavier
    assert transformer["encoder.layers.0.linear1.bias"] == half


def test_a_layer_without_inputs_has_a_bias_of_zeros_as_in_torch() -> None:
    with pytest.warns(UserWarning, match="zero-element"):
        layer = nn.Linear(0, 3)
    assert layer.bias.tolist() == [0, 0, 0]
    assert defaults(layer)["bias"] == ("zeros", {})


def test_subclasses_count_and_strangers_are_left_out() -> None:
    class Mine(nn.Linear):
        pass

    class Stranger(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(3))
            self.inner = Mine(4, 2)

    assert list(defaults(Mine(4, 2))) == ["weight", "bias"]
    assert sorted(defaults(Stranger())) == ["inner.bias", "inner.weight"]
    assert defaults(nn.ReLU()) == {}


def test_shared_modules_are_named_by_all_their_names() -> None:
    layer = nn.Linear(4, 2)
    assert sorted(defaults(nn.Sequential(layer, layer))) == ["0.bias", "0.weight", "1.bias", "1.weight"]


def test_a_plan_on_meta_is_the_plan_on_the_cpu() -> None:
    with torch.device("meta"):
        planned = defaults(nn.Transformer(12, 2, 1, 1, 16, batch_first=True))
    assert planned == defaults(nn.Transformer(12, 2, 1, 1, 16, batch_first=True))
