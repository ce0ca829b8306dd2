"""Sines and cosines of positions are read as formulas, which give the same bits."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

import modelzoo
from modelzoo.importing import fillings


def attention_is_all_you_need(count: int, dim: int) -> Tensor:
    """As in the tutorial of torch."""
    found = torch.zeros(count, 1, dim)
    position = torch.arange(count).unsqueeze(1)
    factor = torch.exp(torch.arange(0, dim, 2) * (-math.log(10000.0) / dim))
    found[:, 0, 0::2] = torch.sin(position * factor)
    found[:, 0, 1::2] = torch.cos(position * factor)
    return found


def tensor2tensor(count: int, dim: int, padding: int) -> Tensor:
    """As M2M-100 has it."""
    half = dim // 2
    factor = torch.exp(torch.arange(half, dtype=torch.int64).float() * -(math.log(10000) / (half - 1)))
    angles = torch.arange(count, dtype=torch.int64).float().unsqueeze(1) * factor.unsqueeze(0)
    found = torch.cat([torch.sin(angles), torch.cos(angles)], dim=1)
    found[padding] = 0
    return found


def divided(count: int, dim: int) -> Tensor:
    """As d2l has it."""
    angles = torch.arange(count, dtype=torch.float32).reshape(-1, 1) / torch.pow(
        10000, torch.arange(0, dim, 2, dtype=torch.float32) / dim
    )
    found = torch.zeros(1, count, dim)
    found[:, :, 0::2], found[:, :, 1::2] = torch.sin(angles), torch.cos(angles)
    return found


def rotary(count: int, dim: int, base: float) -> Tensor:
    """The cosines of Llama."""
    factor = 1.0 / (base ** (torch.arange(0, dim, 2).float() / dim))
    angles = torch.outer(torch.arange(count).float(), factor)
    return torch.cat((angles, angles), dim=-1).cos()


TABLES = {
    "interleaved": attention_is_all_you_need(300, 64),
    "in halves": tensor2tensor(130, 48, 1),
    "divided": divided(100, 32),
    "rotary": rotary(64, 16, 500000.0),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_of_waves_is_a_short_text_that_gives_it(name: str):
    fill = fillings.exact(TABLES[name])
    assert isinstance(fill, str)
    assert len(fill) < 200
    config = {
        "inputs": {"x": [2, 2]},
        "buffers": {"table": {"shape": [*TABLES[name].shape], "fill": fill}},
        "forward": "x + table.sum()",
    }
    assert torch.equal(modelzoo.build(config).table, TABLES[name])


def test_other_waves_have_no_text():
    assert fillings.exact(attention_is_all_you_need(300, 64) * 0.99) is None
    assert fillings.exact(torch.linspace(0, 9, 4096).sin().view(64, 64)) is None


def test_a_module_with_positions_is_imported_with_them():
    class Positions(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("table", attention_is_all_you_need(300, 64), persistent=False)

        def forward(self, x: Tensor) -> Tensor:
            return x + self.table[: x.shape[0]]

    found = modelzoo.from_module(Positions(), torch.randn(9, 2, 64))
    assert found["buffers"]["table"]["fill"] == (
        "angles = arange(300).view(300, 1) * exp(arange(0, 64, 2) * (-log(10000.0) / 64))\n"
        "w = stack([sin(angles), cos(angles)], -1).flatten(1)\n"
        "return w.view(300, 1, 64)\n"
    )
