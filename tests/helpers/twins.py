"""The models of the chapter written by hand in ordinary PyTorch, to compare the built ones with."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


def sequential() -> nn.Module:
    return nn.Sequential(nn.Linear(20, 256), nn.ReLU(), nn.Linear(256, 10))


class MLP(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(20, 256)
        self.out = nn.Linear(256, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.relu(self.hidden(x))
        return self.out(x)


class FixedHiddenMLP(nn.Module):
    rand_weight: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("rand_weight", torch.rand(20, 20))
        self.linear = nn.Linear(20, 20)

    def before_loop(self, x: Tensor) -> Tensor:
        x = self.linear(x)
        x = nn.functional.relu(x @ self.rand_weight)
        return self.linear(x)

    def forward(self, x: Tensor) -> Tensor:
        x = self.before_loop(x)
        while x.abs().sum() > 1:
            x = x / 2
        return x.sum()


class NestMLP(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU())
        self.linear = nn.Linear(32, 16)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.net(x))


def chimera() -> nn.Module:
    return nn.Sequential(NestMLP(), nn.Linear(16, 20), FixedHiddenMLP())


def regression() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))


def block1() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 4), nn.ReLU())


def rgnet() -> nn.Module:
    blocks = nn.Sequential()
    for i in range(4):
        blocks.add_module(f"block{i}", block1())
    return nn.Sequential(blocks, nn.Linear(4, 1))


def shared() -> nn.Module:
    same = nn.Linear(8, 8)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), same, nn.ReLU(), same, nn.ReLU(), nn.Linear(8, 1))


TWINS: dict[str, Callable[[], nn.Module]] = {
    "sequential": sequential,
    "mlp": MLP,
    "fixed_hidden": FixedHiddenMLP,
    "nested": NestMLP,
    "chimera": chimera,
    "regression": regression,
    "rgnet": rgnet,
    "shared": shared,
}
"""One function per file in `conf/model` that makes its twin, with random weights."""
