"""A config is written as a person would write it, and read back as it was."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import modelzoo


def test_a_model_is_written_with_where_it_came_from(tmp_path):
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Linear(4, 8), nn.ReLU())
            self.head = nn.Linear(8, 2)

        def forward(self, x):
            y = self.body(x)
            return self.head(y), y

    modelzoo.write(modelzoo.from_module(Net(), torch.randn(1, 4)), tmp_path / "net.yaml")
    assert (tmp_path / "net.yaml").read_text() == (
        f"# Imported from {Net.__module__}.{Net.__qualname__}\n"
        "inputs: {x: [1, 4]}\n"
        "layers:\n"
        '  body: ["Linear(4, 8)", ReLU]\n'
        "  head: Linear(8, 2)\n"
        "forward: |\n"
        "  y = body(x)\n"
        "  return (head(y), y)\n"
    )
    assert list(modelzoo.build(tmp_path / "net.yaml").state_dict()) == list(Net().state_dict())


VALUES = [
    "yes",
    "1e3",
    "a: b",
    "# x",
    "=dim",
    "x, y",
    "[",
    "",
    " a ",
    "null",
    "2026-01-01",
    "- a",
    "é",
    "{a}",
    "0x1f",
    "~",
]


@pytest.mark.parametrize("value", [*VALUES, 1e-5, 1e20, -0.0, True, None, [VALUES], {"a": {"b": VALUES}}])
def test_every_value_is_read_back_as_it_was(value, tmp_path):
    config = {"args": {"given": value, "more": [value, {"k": value}]}, "layers": ["Linear(2, 2)"]}
    modelzoo.write(config, tmp_path / "model.yaml")
    assert modelzoo.load(tmp_path / "model.yaml") == {"model": config}


def test_a_value_that_yaml_does_not_keep_is_refused_and_nothing_is_written(tmp_path):
    with pytest.raises(ValueError, match="another one"):
        modelzoo.write({"args": {"sizes": (1, 2)}, "layers": ["ReLU"]}, tmp_path / "model.yaml")
    assert not list(tmp_path.iterdir())
