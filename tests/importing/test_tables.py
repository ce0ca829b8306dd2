"""Tables that a constructor computed come back as short texts that give them exactly."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

import modelzoo
from modelzoo.importing import fillings


def windows(rows: int, columns: int) -> Tensor:
    """Which of the offsets in a window lies between two of its places."""
    places = torch.stack(torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")).flatten(1)
    first, second = (places[:, :, None] - places[:, None, :]).unbind(0)
    return (first + rows - 1) * (2 * columns - 1) + second + columns - 1


def with_class(rows: int, columns: int) -> Tensor:
    """The same with a place before all others."""
    found = torch.zeros(rows * columns + 1, rows * columns + 1, dtype=torch.int64)
    found[1:, 1:] = windows(rows, columns)
    found[0], found[:, 0] = 77, 78
    found[0, 0] = 79
    return found


def distances(side: int, step: int) -> Tensor:
    """Offsets without a sign, numbered as they are met."""
    places = list(itertools.product(range(side), range(side)))
    starts = list(itertools.product(range(0, side, step), range(0, side, step)))
    known: dict[tuple[int, int], int] = {}
    found = [known.setdefault((abs(a - c), abs(b - d)), len(known)) for a, b in starts for c, d in places]
    return torch.tensor(found).view(len(starts), len(places))


def squares(side: int) -> Tensor:
    """Offsets, and the square of their length."""
    ahead = (torch.arange(side).view(1, -1) - torch.arange(side).view(-1, 1)).float()
    x, y = ahead.repeat(side, side), ahead.repeat_interleave(side, 0).repeat_interleave(side, 1)
    return torch.stack([x, y, x**2 + y**2], -1)[None]


def one_hot(side: int) -> Tensor:
    places = torch.arange(side).view(1, -1) - torch.arange(side).view(-1, 1) + side - 1
    return torch.nn.functional.one_hot(places, 2 * side - 1).float()


def logarithms(side: int) -> Tensor:
    counts = torch.log2(torch.arange(-side, side + 1).abs() + 1.0)
    return torch.stack(torch.meshgrid(counts, counts, indexing="ij"), -1)[None]


TABLES = {
    "(364 + 27 * arange(14).view(14, 1, 1, 1) + arange(14).view(14, 1, 1) - 27 * arange(14).view(14, 1) - arange(14))"
    ".view(196, 196)": windows(14, 14),
    "w = full((25, 25), 79)\nw[0, 1:] = 77\nw[1:, 0] = 78\nw[1:, 1:] = "
    "(38 + 11 * arange(4).view(4, 1, 1, 1) + arange(6).view(6, 1, 1) - 11 * arange(4).view(4, 1) - arange(6))"
    ".view(24, 24)\nreturn w\n": with_class(4, 6),
    "(abs(12 * arange(3).view(3, 1) - 6 * arange(6).view(1, 6)).view(3, 1, 6, 1)"
    " + abs(2 * arange(3).view(3, 1) - arange(6).view(1, 6)).view(1, 3, 1, 6)).view(9, 36)": distances(6, 2),
    "stack([broadcast_to(-arange(5).view(5, 1, 1) + arange(5), (5, 5, 5, 5)).reshape(1, 25, 25),"
    " broadcast_to(-arange(5).view(5, 1, 1, 1) + arange(5).view(5, 1), (5, 5, 5, 5)).reshape(1, 25, 25), (square(abs(arange(5).view(5, 1) - arange(5).view(1, 5))).view(5, 1, 5, 1)"
    " + square(abs(arange(5).view(5, 1) - arange(5).view(1, 5))).view(1, 5, 1, 5)).view(25, 25).unsqueeze(0)], -1)": (
        squares(5)
    ),
    "broadcast_to(arange(20), (2, 20))": torch.arange(20).repeat(2, 1),
    "tensor([[1, 0, 0, 1], [0, 1, 1, 0]])": torch.tensor([[True, False, False, True], [False, True, True, False]]),
    "one_hot((7 - arange(8).view(8, 1) + arange(8)).view(8, 8), 15)": one_hot(8),
    "stack([broadcast_to(tensor([[[2.0], [1.5849624872207642], [1.0], [0.0], [1.0], [1.5849624872207642], [2.0]]]),"
    " (1, 7, 7)), broadcast_to(tensor([[[2.0, 1.5849624872207642, 1.0, 0.0, 1.0, 1.5849624872207642, 2.0]]]),"
    " (1, 7, 7))], -1)": logarithms(3),
}


def test_tables_of_positions_are_formulas():
    assert [fillings.exact(each) for each in TABLES.values()] == list(TABLES)


@pytest.mark.filterwarnings("ignore:model.buffers")
def test_a_formula_gives_the_same_numbers():
    held = {
        f"w{number}": {"shape": list(each.shape), "fill": text, "dtype": str(each.dtype).removeprefix("torch.")}
        for number, (text, each) in enumerate(TABLES.items())
    }
    built = modelzoo.build({"inputs": {"x": [2]}, "buffers": held, "forward": "x"})
    assert all(map(torch.equal, built.buffers(), TABLES.values()))


@pytest.mark.parametrize("value", [torch.randn(30, 30), torch.randperm(400), torch.rand(2, 200) > 0.5])
def test_what_no_formula_gives_has_no_text(value):
    assert fillings.exact(value) is None
