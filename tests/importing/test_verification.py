"""What an import was compared for, and what it says of inputs of other sizes."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn

import modelzoo


class Steps(nn.Module):
    """Takes each word."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.norm = nn.Embedding(9, 8), nn.BatchNorm1d(8)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.norm(self.embed(tokens).transpose(1, 2))
        return x.view(x.shape[0], -1)


class Sides(Steps):
    """Decides by a size."""

    def forward(self, tokens: Tensor) -> Tensor:
        x = super().forward(tokens)
        return torch.relu(x) if tokens.shape[1] > 5 else x


class Exact(Steps):
    """Takes nothing shorter."""

    def forward(self, tokens: Tensor) -> Tensor:
        assert tokens.shape[1] > 5
        return super().forward(tokens)


class First(nn.Module):
    """Goes over the first words, whatever there is behind them."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.cell = nn.Embedding(9, 8), nn.GRUCell(8, 8)

    def forward(self, tokens: Tensor) -> Tensor:
        state = torch.zeros(tokens.shape[0], 8)
        for step in range(8):
            state = self.cell(self.embed(tokens[:, step]), state)
        return state


def told(module: nn.Module) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        modelzoo.from_module(module, torch.randint(9, (2, 8)))
    return [str(each.message) for each in caught]


def test_other_sizes_for_which_a_module_does_other_things_are_told():
    assert told(Sides()) == [
        "It is the same for inputs of these sizes alone: for tokens [2, 4] the module does other things."
    ]


def test_larger_sizes_are_tried_where_a_module_takes_no_smaller_ones():
    assert told(First()) == [
        "It is the same for inputs of these sizes alone: for tokens [2, 16] the module does other things."
    ]


def test_other_sizes_for_which_nothing_else_is_done_need_no_word():
    assert told(Steps()) == []
    assert told(Exact()) == []
