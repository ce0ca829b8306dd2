"""What a registered layer is given is written in a source as the Python values that its constructor gets."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import modelzoo
from modelzoo import register
from modelzoo.catalog import layers
from modelzoo.export.source.model import source


class Mode(enum.Enum):
    SUM = 1
    MEAN = 2


@dataclasses.dataclass
class Options:
    width: int
    mode: Mode = Mode.SUM
    steps: list[int] = dataclasses.field(default_factory=list)


class Own(nn.Module):
    """Keeps what it is given."""

    def __init__(self, value: Any, *, other: int = 3) -> None:
        super().__init__()
        self.value, self.other = value, other
        self.parts = nn.ModuleList(each for each in self.given() if isinstance(each, nn.Module))

    def given(self) -> list[Any]:
        if isinstance(self.value, dict):
            return [*self.value.values()]
        return [*self.value] if isinstance(self.value, list) else [self.value]

    def forward(self, x: Tensor) -> Tensor:
        for part in self.parts:
            x = part(x)
        return x


@pytest.fixture
def asking(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Any], None]]:
    def ask(annotation: Any) -> None:
        monkeypatch.setitem(Own.__init__.__annotations__, "value", annotation)
        register.layer(Own)

    yield ask
    layers.REGISTERED.pop("Own", None)


VALUES = [
    (Mode, "MEAN", "Own(Mode.MEAN)"),
    (Mode, "=mode", "Own(Mode.SUM)"),
    (torch.dtype, "float64", "Own(torch.float64)"),
    (Options, {"width": 2, "steps": [1]}, "Own(Options(width=2, mode=Mode.SUM, steps=[1]))"),
    (list[int], [1, 2], "Own([1, 2])"),
    (list[int], ["=n", "=2 * n"], "Own([n, 2 * n])"),
    (tuple[int, ...], [1, "=n"], "Own((1, n))"),
    (set[int], [2, 1], "Own({1, 2})"),
    (torch.Size, [2, 3], "Own(torch.Size((2, 3)))"),
    (dict[str, int], {"a": 1, "b": "=n"}, "Own({'a': 1, 'b': n})"),
    (type[nn.Module], "LayerNorm", "Own(nn.LayerNorm)"),
    (Callable[[Tensor], Tensor], "relu", "Own(F.relu)"),
    (Callable[..., nn.Module], "Linear(2, 4)", "partial(nn.Linear, in_features=2, out_features=4)"),
    (list[nn.Module], ["ReLU", {"_target_": "Linear(4, 4)"}], "Own([nn.ReLU(), nn.Linear(4, 4)])"),
    (dict[str, nn.Module], {"a": "ReLU"}, "Own({'a': nn.ReLU()})"),
    (nn.Module, {"_target_": "Linear(4, n)"}, "Own(nn.Linear(4, n))"),
    (str, "LayerNorm", "Own('LayerNorm')"),
    (int, "=n", "Own(n)"),
]


@pytest.mark.parametrize(("annotation", "value", "line"), VALUES, ids=[line for *_, line in VALUES])
def test_an_argument_is_what_the_constructor_gets(asking, annotation, value, line):
    asking(annotation)
    args = {"n": 4, "mode": "SUM"}
    model = {"inputs": {"x": [2, 4]}, "args": args, "layers": {"own": {"_target_": "Own", "value": value}}}
    text = source(model)
    assert line.replace("'", '"') in text
    space: dict[str, Any] = {"__name__": "written"}
    exec(compile(text, "model.py", "exec"), space)
    written, built = space["Model"]().own, modelzoo.build(model).own
    assert repr(written.value) == repr(built.value)
    assert type(written.value) is type(built.value)
    assert [*written.state_dict()] == [*built.state_dict()]


def test_what_an_arg_decides_in_a_way_that_no_source_can_say_is_told(asking):
    asking(Mode)
    block = {"args": ["mode"], "layers": [{"_target_": "Own", "value": "=mode"}]}
    model = {"inputs": {"x": [2, 4]}, "blocks": {"B": block}, "layers": ["B('SUM')", "B('MEAN')"]}
    with pytest.raises(modelzoo.ConfigError) as caught:
        source(model)
    assert str(caught.value) == (
        "model.blocks.B.layers.0.value\n  an arg decides it in a way that no source can say. Write it where the layer is "
        "used."
    )
