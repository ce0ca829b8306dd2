"""Rows count what torch counts, name every place, and describe values as torch does."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from modelzoo.plans.rows import rows
from modelzoo.plans.statistics import describe
from tests.helpers.planned import plan_of


def shared() -> nn.Sequential:
    """One Linear(8, 8) in two places."""
    layer = nn.Linear(8, 8)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), layer, nn.ReLU(), layer, nn.ReLU(), nn.Linear(8, 1))


class Tied(nn.Module):
    """An embedding tied to the head, a block with a constant in two places, batch statistics and a frozen bias."""

    def __init__(self) -> None:
        super().__init__()
        block = nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6))
        self.register_buffer("scale", torch.full((6,), 2.0))
        self.embed = nn.Embedding(10, 6)
        self.first = block
        self.second = block
        self.head = nn.Linear(6, 10)
        self.head.weight = self.embed.weight
        self.head.bias.requires_grad_(False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.head(self.second(self.first(self.embed(x) * self.scale)))
        return y


@pytest.mark.parametrize(
    "model", [shared(), Tied(), nn.LSTM(3, 4, num_layers=2), nn.Transformer(8, 2, 1, 1, batch_first=True)]
)
def test_parameters_of_modules_and_of_tensors_add_up_to_what_torch_counts(model: nn.Module) -> None:
    found = rows(plan_of(model), model)
    count = sum(each.numel() for each in model.parameters())
    assert sum(row.parameters for row in found if row.kind == "module") == count
    assert sum(row.parameters for row in found if row.kind != "module") == count


@pytest.mark.parametrize("model", [shared(), Tied()])
def test_modules_stand_in_the_order_of_named_modules_with_every_place(model: nn.Module) -> None:
    names = [name for name, _ in model.named_modules(remove_duplicate=False)]
    found = rows(plan_of(model), model)
    assert [row.name for row in found if row.kind == "module"] == names


def test_numbered_places_keep_their_order_without_a_model() -> None:
    model = shared()
    assert [row.name for row in rows(plan_of(model))] == [row.name for row in rows(plan_of(model), model)]


def test_every_place_of_a_tensor_has_a_row() -> None:
    model = Tied()
    named = {*dict(model.named_parameters(remove_duplicate=False)), *dict(model.named_buffers(remove_duplicate=False))}
    found = [row.name for row in rows(plan_of(model)) if row.kind != "module"]
    assert sorted(found) == sorted(named)


def test_a_second_place_names_the_first_and_counts_nothing() -> None:
    found = {row.name: row for row in rows(plan_of(Tied()))}
    second = {name: row for name, row in found.items() if row.same_as}
    assert {name: row.same_as for name, row in second.items()} == {
        "second": "first",
        "second.0": "first.0",
        "second.0.weight": "first.0.weight",
        "second.0.bias": "first.0.bias",
        "second.1": "first.1",
        "second.1.weight": "first.1.weight",
        "second.1.bias": "first.1.bias",
        "second.1.running_mean": "first.1.running_mean",
        "second.1.running_var": "first.1.running_var",
        "second.1.num_batches_tracked": "first.1.num_batches_tracked",
        "head.weight": "embed.weight",
    }
    assert all(row.parameters == 0 for row in second.values())


def test_a_tensor_is_tied_where_another_module_has_it_first() -> None:
    for found in (rows(plan_of(Tied())), rows(plan_of(Tied()), Tied())):
        assert [row.name for row in found if row.tied] == ["head.weight"]


def test_marks_tell_frozen_constant_and_layer_buffers_apart() -> None:
    marks = {row.name: row.mark for row in rows(plan_of(Tied())) if row.mark and not row.same_as}
    assert marks == {
        "scale": "constant",
        "first.1.running_mean": "buffer",
        "first.1.running_var": "buffer",
        "first.1.num_batches_tracked": "buffer",
        "head.bias": "frozen",
    }


def test_calls_and_output_shapes_come_from_the_plan() -> None:
    found = {row.name: row for row in rows(plan_of(shared(), torch.zeros(2, 4)))}
    assert (found["2"].calls, found["2"].shape, found["0"].calls) == (2, (2, 8), 1)


def test_there_are_no_statistics_unless_there_is_a_model_and_they_are_wanted() -> None:
    model = shared()
    plan = plan_of(model)
    for found in (rows(plan), rows(plan, model, {})):
        assert all(row.statistics is None for row in found)
    assert all(row.statistics for row in rows(plan, model) if row.kind == "parameter")


@pytest.mark.parametrize(
    "tensor",
    [
        torch.randn(7, 5, generator=torch.Generator().manual_seed(1)),
        torch.randn(600_000, generator=torch.Generator().manual_seed(2)) + 100,
        torch.randn(300, 1000, generator=torch.Generator().manual_seed(3)).T,
        torch.randn(50, dtype=torch.float64, generator=torch.Generator().manual_seed(4)) * 1e100,
        torch.linspace(-3, 3, 100, dtype=torch.bfloat16),
        torch.arange(-5, 20),
        torch.tensor([True, False, True]),
        torch.nn.Parameter(torch.ones(3)),
    ],
    ids=["small", "chunks", "transposed", "double", "bfloat16", "integers", "booleans", "parameter"],
)
def test_statistics_are_torchs_own(tensor: torch.Tensor) -> None:
    exact = tensor.detach().double()
    found = describe(tensor)
    assert found is not None
    assert found.finite
    assert (found.min, found.max) == (exact.min().item(), exact.max().item())
    assert found.mean == pytest.approx(exact.mean().item(), rel=1e-9, abs=1e-12)
    assert found.std == pytest.approx(exact.std().item(), rel=1e-9)


def test_equal_values_have_their_own_mean_and_no_spread() -> None:
    for count in (1, 3, 700_000):
        found = describe(torch.full((count,), 0.1, dtype=torch.float64))
        assert found is not None
        assert (found.mean, found.std) == (0.1, 0.0)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("size", [3, 700_000])
def test_values_that_are_not_finite_are_seen_wherever_they_stand(bad: float, size: int) -> None:
    values = torch.zeros(size)
    values[size // 2] = bad
    found = describe(values)
    assert found is not None
    assert not found.finite
    wanted: Any = (bad, bad) if math.isnan(bad) else (min(bad, 0.0), max(bad, 0.0))
    assert (found.min, found.max) == pytest.approx(wanted, nan_ok=True)


@pytest.mark.parametrize("tensor", [torch.empty(0), torch.empty(3, 0, 2), torch.empty(3, device="meta")])
def test_nothing_is_said_about_no_values(tensor: torch.Tensor) -> None:
    assert describe(tensor) is None
