"""What a registered layer is given: what its annotations ask for, told in their words where it is something else."""

from __future__ import annotations

import dataclasses
import enum
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Optional, TypedDict, Union

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import modelzoo
from modelzoo.export.source.model import source


class Mode(enum.Enum):
    SUM = "sum"
    MEAN = "average"


@dataclasses.dataclass
class Rope:
    kind: str
    factor: float = 1.0
    steps: tuple[int, ...] = ()
    inner: Rope | None = None


class Size(NamedTuple):
    height: int
    width: int = 1


class Options(TypedDict, total=False):
    layers: int


def registered(constructor: Any) -> None:
    """Registers `Own`, which keeps what it is given."""

    class Own(nn.Module):
        def forward(self, x):
            return x

    @functools.wraps(constructor)
    def initialise(self, *positional, **named):
        nn.Module.__init__(self)
        self.given = constructor(self, *positional, **named)

    Own.__init__ = initialise
    modelzoo.register.layer(Own)


def asking(annotation: Any) -> None:
    def constructor(self, value: annotation):
        return value

    constructor.__annotations__ = {"value": annotation}
    registered(constructor)


def given(layer: Any) -> Any:
    return modelzoo.build({"inputs": {"x": [2, 4]}, "layers": [layer]})[0].given


def refused(layer: Any) -> str:
    with pytest.raises(modelzoo.ConfigError) as caught:
        given(layer)
    return str(caught.value)


@pytest.mark.parametrize(
    ("annotation", "written", "python"),
    [
        (str, "mean", "mean"),
        (str, "Linear", "Linear"),
        ("str", "mean", "mean"),
        (Optional[str], None, None),  # noqa: UP045
        (Union[str, int], 3, 3),  # noqa: UP007
        (float, 1, 1),
        (bool, False, False),
        (Literal["sum", 1, True], True, True),
        (Literal["sum", 1, True], 1, 1),
        (Mode, "MEAN", Mode.MEAN),
        (Mode, "average", Mode.MEAN),
        (torch.dtype, "float64", torch.float64),
        (torch.Size, [2, 3], torch.Size((2, 3))),
        (list[str], ["a", "b"], ["a", "b"]),
        (tuple[int, str], [1, "a"], (1, "a")),
        (tuple[int, ...], [], ()),
        (Sequence[Sequence[int]], [[1], [2, 3]], [[1], [2, 3]]),
        (set[int], [1, 2], {1, 2}),
        (list[int] | list[str], ["a"], ["a"]),
        (dict, {"layers": 3, "more": {"forward": 4}}, {"layers": 3, "more": {"forward": 4}}),
        (Mapping[str, Any], {"forward": [1, "a"]}, {"forward": [1, "a"]}),
        (dict[int, str], {1: "a"}, {1: "a"}),
        (Options, {"layers": 2}, {"layers": 2}),
        (Rope, {"kind": "a", "inner": {"kind": "b", "steps": [1]}}, Rope("a", inner=Rope("b", steps=(1,)))),
        (Rope | None, {"kind": "a"}, Rope("a")),
        (Size, {"height": 3}, Size(3)),
        (Size, [3, 4], Size(3, 4)),
        (Any, ["Linear", {"a": [1]}], ["Linear", {"a": [1]}]),
        ("NameOfNothing", "Linear", "Linear"),
        (type[nn.Module], "LayerNorm", nn.LayerNorm),
        (Callable[..., nn.Module], "LayerNorm", nn.LayerNorm),
        pytest.param(Callable[[Tensor], Tensor], "relu", functional.relu, id="a function"),
        (str | Callable[[Tensor], Tensor], "relu", "relu"),
        (nn.Module | str | None, "ReLU", "ReLU"),
    ],
    ids=str,
)
def test_a_value_becomes_what_the_annotation_asks_for(annotation, written, python):
    asking(annotation)
    found = given({"_target_": "Own", "value": written})
    assert (found, type(found)) == (python, type(python))
    found = given({"_target_": "Own", "_args_": [written]} if isinstance(written, dict) else f"Own({written!r})")
    assert (found, type(found)) == (python, type(python))


@pytest.mark.parametrize(
    ("annotation", "written", "message"),
    [
        (str, 3, "value\n  value of Own must be a text, not 3"),
        (str, {"_target_": "ReLU"}, "value\n  value of Own must be a text, not ReLU()"),
        (int, True, "value\n  value of Own must be an integer, not true"),
        (int | None, "a", "value\n  value of Own must be an integer or null, not 'a'"),
        (Literal["sum", 2], "sun", "value\n  value of Own must be one of 'sum', 2; not 'sun'"),
        (Mode, "mean", "value\n  value of Own must be one of 'SUM', 'MEAN'; not 'mean'"),
        (list[int], "ab", "value\n  value of Own must be a list, each an integer, not 'ab'"),
        (list[list[int]], [[1], ["a"]], "value.1.0\n  value.1.0 of Own must be an integer, not 'a'"),
        (tuple[int, str], [1], "value\n  value of Own must be a list of 2: an integer, a text, not [1]"),
        (tuple[int, int], [1], "value\n  value of Own must be a list of 2, each an integer, not [1]"),
        (
            list[int] | int | None,
            "a",
            "value\n  value of Own must be an integer or null or a list, each an integer, not 'a'",
        ),
        (dict[str, int], {"a": "b"}, "value.a\n  value.a of Own must be an integer, not 'b'"),
        (dict[str, int], {1: 2}, "value\n  value of Own must have keys that are a text, not 1"),
        (dict, {"_target_": "ReLU"}, "value\n  value of Own must be a mapping, not ReLU()"),
        (
            Rope,
            {"kind": "a", "inner": {"kind": 3}},
            "value.inner.kind\n  value.inner.kind of Own must be a text, not 3",
        ),
        (
            Rope,
            {"kind": "a", "fator": 3},
            "value\n  value of Own is a mapping of 'kind', 'factor', 'steps', 'inner', and has no 'fator'. "
            "Did you mean 'factor'?",
        ),
        (Size, {"width": 3}, "value\n  value of Own is a mapping of 'height', 'width', and needs 'height'"),
        (nn.Module, 3, "value\n  value of Own must be a layer, not 3"),
        (nn.Module, "Linaer(4, 4)", "value\n  there is no layer 'Linaer'. Did you mean 'Linear'?"),
        (list[nn.Module], ["ReLU", "ReLu"], "value.1\n  there is no layer 'ReLu'. Did you mean 'ReLU'?"),
        (nn.Linear, "ReLU", "value\n  this must be a Linear, not ReLU()"),
        (
            type[nn.Module],
            "LayerNorm(4)",
            "value\n  value of Own must be the name of a layer, not LayerNorm(normalized_shape=4)",
        ),
        (
            Callable[..., nn.Module],
            "Conv2d(kernel_size=0)",
            "value.kernel_size\n  kernel_size of Conv2d must be a positive integer or a list of 2, not 0",
        ),
    ],
    ids=str,
)
def test_another_value_is_told_with_what_the_annotation_asks_for(annotation, written, message):
    asking(annotation)
    assert refused({"_target_": "Own", "value": written}) == f"model.layers.0.{message}"


def test_without_an_annotation_a_text_is_a_text_and_a_layer_is_written_as_one():
    def constructor(self, value, more=None):
        return value, more

    registered(constructor)
    for layer in ("Own('Linear', ReLU)", {"_target_": "Own", "value": "Linear", "more": {"_target_": "ReLU"}}):
        value, more = given(layer)
        assert value == "Linear"
        assert isinstance(more, nn.ReLU)
    value, more = given("Own([1, 'a', Tanh], {'b': [ReLU]})")
    assert value[:2] == [1, "a"]
    assert isinstance(value[2], nn.Tanh)
    assert isinstance(more["b"][0], nn.ReLU)


def test_without_an_annotation_the_default_tells_what_no_config_could_write():
    def constructor(
        self, mode=Mode.SUM, to=torch.float32, norm=nn.BatchNorm1d, act=functional.relu, sizes=(1, 2), any=None
    ):
        return mode, to, norm, act, sizes, any

    registered(constructor)
    assert given("Own") == (Mode.SUM, torch.float32, nn.BatchNorm1d, functional.relu, (1, 2), None)
    assert given("Own('MEAN', 'float64', 'LayerNorm', 'gelu', [3, 4], [5])") == (
        Mode.MEAN,
        torch.float64,
        nn.LayerNorm,
        functional.gelu,
        (3, 4),
        [5],
    )
    assert refused("Own(norm=3)") == "model.layers.0.norm\n  norm of Own must be a layer to be made or null, not 3"


def test_null_is_what_a_default_of_none_allows_whatever_the_annotation_is():
    def constructor(self, mode: str = None):  # noqa: RUF013
        return mode

    registered(constructor)
    assert given({"_target_": "Own", "mode": None}) is None


def test_arguments_by_position_only_and_any_further_ones_are_given_too():
    def constructor(self, mode: str, /, *sizes: int, scale: float = 1.0, **options: Mode):
        return mode, sizes, scale, options

    registered(constructor)
    assert given("Own('mean')") == ("mean", (), 1.0, {})
    assert given("Own('mean', 3, 4, a='SUM')") == ("mean", (3, 4), 1.0, {"a": Mode.SUM})
    assert given({"_target_": "Own", "_args_": ["mean", 3], "b": "sum"}) == ("mean", (3,), 1.0, {"b": Mode.SUM})
    assert given({"_target_": "Own", "mode": "mean", "scale": 2}) == ("mean", (), 2, {})
    assert refused("Own('mean', 3, 'a')") == "model.layers.0\n  sizes of Own must be an integer, not 'a'"
    assert refused("Own('mean', b=3)") == "model.layers.0.b\n  b of Own must be one of 'SUM', 'MEAN'; not 3"


def test_a_recipe_makes_layers_with_the_arguments_that_it_has():
    asking(Callable[..., nn.Module])
    for layer in ("Own(LayerNorm(eps=0.5))", {"_target_": "Own", "value": {"_target_": "LayerNorm", "eps": 0.5}}):
        made = given(layer)(4)
        assert isinstance(made, nn.LayerNorm)
        assert (made.normalized_shape, made.eps) == ((4,), 0.5)


def test_a_value_may_come_from_an_arg_or_a_formula():
    asking(str)
    model = {"args": {"how": "mean"}, "inputs": {"x": [2, 4]}, "layers": ["Own(how)"]}
    assert modelzoo.build(model)[0].given == "mean"
    model["args"] = {"how": 3}
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.build(model)
    assert str(caught.value) == "model.args.how\n  model.layers.0.value must be a text, not 3"


def test_each_layer_gets_lists_and_mappings_of_its_own():
    asking(dict[str, list[int]])
    first, second = modelzoo.build(
        {"inputs": {"x": [2, 4]}, "layers": {"_target_": "Own({'a': [1]})", "_repeat_": 2}}["layers"]
    )
    first.given["a"].append(2)
    assert second.given == {"a": [1]}


class Chain(nn.Module):
    """Layers one after the other."""

    def __init__(self, chain: list[nn.Module], last: dict[str, nn.Module], mode: str = "sum") -> None:
        super().__init__()
        self.chain, self.last, self.mode = nn.ModuleList(chain), nn.ModuleDict(last), mode

    def forward(self, x: Tensor) -> Tensor:
        for each in (*self.chain, *self.last.values()):
            x = each(x)
        return x


def test_layers_in_lists_and_mappings_are_shared_tied_filled_and_repeated():
    modelzoo.register.layer(Chain)
    model = {
        "args": {"act": "GELU"},
        "inputs": {"x": [2, 4]},
        "layers": {
            "one": {"_target_": "Chain", "chain": ["Linear(4, 4)", {"_ref_": "other"}], "last": {"l": "Linear(4, 4)"}},
            "other": "Linear(4, 4)",
            "two": {"_target_": "Chain([Linear(4, 4), act], {'l': [Linear(4, 4), act()]})", "_repeat_": 2},
        },
        "tie": {"one.chain.0.weight": "one.last.l.weight"},
    }
    built = modelzoo.build(model, {"all": {"layer": "Linear", "param": "weight", "fill": 3}})
    assert built.one.chain[1] is built.other
    assert built.one.chain[0].weight is built.one.last.l.weight
    assert [name for name, _ in built.two.named_parameters()] == [
        f"{copy}.{name}.{tensor}"
        for copy in (0, 1)
        for name in ("chain.0", "last.l.0")
        for tensor in ("weight", "bias")
    ]
    assert all((each == 3).all() for name, each in built.named_parameters() if name.endswith("weight"))
    assert all(each.abs().max() <= 0.5 for name, each in built.named_parameters() if name.endswith("bias"))
    assert isinstance(built.two[1].last.l[1], nn.GELU)


class Scored(nn.Module):
    """A layer and plain values."""

    def __init__(self, inner: nn.Module, mode: str, sizes: tuple[int, ...] = (), **more: dict[str, int]) -> None:
        super().__init__()
        self.inner, self.mode, self.sizes, self.more = inner, mode, sizes, more

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)


def test_names_of_layers_in_lists_are_counted():
    modelzoo.register.layer(Chain)
    layers = {"l0": "Linear(4, 4)"}
    for number in range(1, 20):
        twice = [{"_ref_": f"l{number - 1}"}] * 2
        layers[f"l{number}"] = {"_target_": "Chain", "chain": twice, "last": {}}
    with pytest.raises(modelzoo.ConfigError, match="the layers of the model have more than 100,000 names"):
        modelzoo.plan({"inputs": {"x": [2, 4]}, "layers": layers})


def test_plain_values_and_layers_of_a_registered_layer_are_written_in_a_source():
    modelzoo.register.layer(Scored)
    text = source({"inputs": {"x": [2, 4]}, "layers": ["Scored(Linear(4, 4), 'mean', (3,), a={'b': 1})"]})
    assert 'Scored(nn.Linear(4, 4), "mean", sizes=(3,), a={"b": 1})' in text
