"""A module is left as it was, and what it keeps from one call to the next is told."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import modelzoo
from modelzoo.errors import ConfigError


class Averaged(nn.Module):
    """Assigns a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)
        self.register_buffer("center", torch.zeros(4))

    def forward(self, x: Tensor) -> Tensor:
        y = self.fc(x)
        self.center = 0.9 * self.center + 0.1 * y.detach().mean(0)
        return y - self.center


class Remembering(nn.Module):
    """Goes on where the last call ended."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)
        self.state: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        before = torch.zeros_like(x) if self.state is None else self.state
        self.state = torch.tanh(self.fc(x) + before).detach()
        return self.state


class Shown(nn.Module):
    """Keeps something for whoever looks at it, and never asks for it again."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)
        self.weights: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        self.weights = self.fc(x).softmax(-1)
        return self.weights * x


@pytest.mark.parametrize(
    ("cls", "line", "said"),
    [
        (
            Averaged,
            "self.center = 0.9",
            "Averaged: it changes its buffer 'center' in evaluation too, and a text does so in training alone",
        ),
        (Remembering, "def forward", "Remembering: what it keeps in 'state' of one call changes the next one"),
    ],
)
def test_what_lasts_from_one_call_to_the_next_is_told(cls: type[nn.Module], line: str, said: str):
    with pytest.raises(ConfigError) as caught:
        modelzoo.from_module(nn.Sequential(cls()), torch.randn(3, 4))
    problem = caught.value.problems[0]
    file, _, number = problem.where.rpartition(":")
    assert line in Path(file).read_text().splitlines()[int(number) - 1]
    assert (problem.path, problem.what) == ("module.0", said)
    assert problem.hint.startswith(f"Register {cls.__name__} as a layer")


def test_what_nobody_asks_for_again_does_not_matter():
    module, x = Shown(), torch.randn(3, 4)
    model = modelzoo.build(modelzoo.from_module(module, x))
    model.load_state_dict(module.state_dict())
    assert torch.equal(model(x), module(x))


def test_a_buffer_that_is_assigned_as_it_is_does_not_matter():
    class Moved(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("offset", torch.randn(4))

        def forward(self, x: Tensor) -> Tensor:
            self.offset = self.offset.to(x.device)
            return x + self.offset

    assert modelzoo.from_module(Moved(), torch.randn(3, 4))["forward"] == "x + offset"


@pytest.mark.parametrize("cls", [Averaged, Remembering, Shown])
def test_buffers_and_attributes_are_what_they_were(cls: type[nn.Module]):
    module = cls()
    before, tensors = dict(vars(module)), dict(module._buffers)
    with contextlib.suppress(ConfigError):
        modelzoo.from_module(module, torch.randn(3, 4))
    assert vars(module) == before
    assert all(module._buffers[name] is each for name, each in tensors.items())
