"""Modules that are divided among processes: each process gets its part of what one process alone would get."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import nn

import modelzoo

distributed = pytest.importorskip("torch.distributed")
fake = pytest.importorskip("torch.testing._internal.distributed.fake_pg")

RULES: dict[str, Any] = {
    "weights": {"param": "weight", "fill": "xavier_uniform"},
    "biases": {"param": "bias", "fill": "normal(std=fan_in ** -0.5)"},
    "text": {"name": "2.weight", "fill": "w = uniform(-1, 1)\nreturn w * (abs(w) > 0.5)"},
    "double": {"name": "0.weight", "fill": "value * 2"},
}


def net() -> nn.Module:
    """With a tie, a row for padding, and sizes that two and four do not divide."""
    made = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 10), nn.Embedding(7, 5, padding_idx=3))
    made.add_module("again", nn.Embedding(7, 5, padding_idx=3))
    made.again.weight = made[3].weight
    return made


def fully(module: nn.Module) -> None:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    fully_shard(module, mesh=init_device_mesh("cpu", (4,)))


def hybrid(module: nn.Module) -> None:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    fully_shard(module, mesh=init_device_mesh("cpu", (2, 2), mesh_dim_names=("replicate", "shard")))


def in_two_ways(module: nn.Module) -> None:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.tensor import parallel

    mesh = init_device_mesh("cpu", (2, 2), mesh_dim_names=("data", "tensor"))
    plan = {"0": parallel.ColwiseParallel(), "2": parallel.RowwiseParallel()}
    parallel.parallelize_module(module, mesh["tensor"], plan, src_data_rank=None)
    fully_shard(module, mesh=mesh["data"])


@pytest.fixture(autouse=True)
def _last_of_four() -> Iterator[None]:
    """This process as the last of four, of which there is no other; torch remembers which it was."""
    distributed.init_process_group("fake", rank=3, world_size=4, store=fake.FakeStore())
    yield
    distributed.destroy_process_group()


@pytest.mark.parametrize("divide", [fully, hybrid, in_two_ways])
def test_each_process_gets_its_part_of_what_one_alone_would_get(divide: Callable[..., None]) -> None:
    alone, divided = net(), net()
    modelzoo.initialize(alone, RULES, seed=1)
    whole = dict(alone.named_parameters())
    for each in divided.parameters():  # numbers that say where in the whole they stand
        each.data = torch.arange(each.numel(), dtype=torch.float32).view(each.shape)
    divide(divided)
    places = {name: each.to_local().long() for name, each in divided.named_parameters()}
    report = modelzoo.initialize(divided, RULES, seed=1)
    assert report.rules == modelzoo.initialize(alone, RULES, seed=1).rules
    assert [each.aliases for each in report.tensors if each.name == "3.weight"] == [("again.weight",)]
    for name, each in divided.named_parameters():
        assert each.to_local().equal(whole[name].detach().view(-1)[places[name]]), name


def test_a_fill_that_would_read_a_whole_is_refused() -> None:
    module = net()
    fully(module)
    before = [each.to_local().clone() for each in module.parameters()]
    with pytest.raises(modelzoo.ConfigError) as told:
        modelzoo.initialize(module, {"more": {"param": "weight", "fill": "value + 1"}})
    assert str(told.value) == (
        "module\n  this process holds parts of tensors, and the fill of '0.weight', '2.weight', '3.weight' would read a "
        "whole. Initialise before the module is divided, or take a fill that draws."
    )
    assert all(map(torch.equal, before, [each.to_local() for each in module.parameters()]))
