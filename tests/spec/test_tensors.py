"""`_if_` on a block's own tensors and on ties: absent tensors are None, and no dead tie is made."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import modelzoo
from modelzoo.export.source.model import source

OWN = {
    "args": {"scaled": False, "k": None},
    "inputs": {"x": [2, 8]},
    "parameters": {
        "scale": {"shape": [8], "fill": "w = ones()\nreturn w * 2", "_if_": "scaled"},
        "mixed": {"shape": ["k", 8], "fill": "ones", "_if_": "k"},
    },
    "buffers": {"shift": {"shape": [8], "fill": 1, "_if_": "not scaled"}, "never": {"shape": [8], "_if_": False}},
    "forward": (
        "x = x if scale is None else x * scale\nx = x if mixed is None else x @ mixed.t()\n"
        "if shift is not None:\n  x = x + shift\nreturn x if never is None else x * never"
    ),
}
TIED = {
    "args": {"tied": False},
    "inputs": {"tokens": {"shape": [2, 5], "dtype": "int64"}},
    "layers": {
        "e": "Embedding(10, 4)",
        "mid": {
            "layers": {"a": "Linear(4, 4)", "b": "Linear(4, 4)"},
            "tie": {"a": {"weight": {"_ref_": "b.weight", "_if_": "tied"}}, "a.bias": {"_ref_": "b.bias", "_if_": "not tied"}},
        },
        "h": "Linear(4, 10, bias=False)",
    },
    "tie": {"h.weight": {"_ref_": "e.weight", "_if_": "tied"}},
}  # fmt: skip


@pytest.mark.parametrize(
    ("args", "names", "result"),
    [({}, ["shift"], [2.0] * 8), ({"scaled": True}, ["scale"], [2.0] * 8), ({"scaled": True, "k": 3}, ["scale", "mixed"], [16.0] * 3)],
)  # fmt: skip
def test_a_tensor_whose_condition_is_false_is_absent_and_none_in_forward(
    args: dict[str, Any], names: list[str], result: list[float]
) -> None:
    built = modelzoo.build(OWN, args=args)
    assert list(built.state_dict()) == names
    assert built(torch.ones(1, 8)).tolist() == [result]
    assert built.never is None
    assert [each.name for each in modelzoo.plan(OWN, args=args).tensors] == names


def test_the_blocks_of_one_definition_may_differ_in_what_they_have() -> None:
    block = {"args": ["gain"], "parameters": {"w": {"shape": [4], "fill": 3, "_if_": "gain > 0"}}, "forward": "x if w is None else x * w"}  # fmt: skip
    model = {
        "inputs": {"x": [2, 4]},
        "blocks": {"B": block},
        "layers": ["B(1)", "B(0)", {"_repeat_": 2, "_target_": "B(i)"}],
    }
    assert list(modelzoo.build(model).state_dict()) == ["0.w", "2.1.w"]


@pytest.mark.parametrize(("tied", "parameters"), [(True, 40 + 16 + 8), (False, 40 + 40 + 2 * 16 + 4)])
def test_a_tie_is_made_if_its_condition_is_true(tied: bool, parameters: int) -> None:
    built = modelzoo.build(TIED, args={"tied": tied})
    assert (built.h.weight is built.e.weight) is tied
    assert (built.mid.a.weight is built.mid.b.weight, built.mid.a.bias is built.mid.b.bias) == (tied, not tied)
    assert (
        sum(each.numel() for each in built.parameters())
        == modelzoo.plan(TIED, args={"tied": tied}).parameters
        == parameters
    )


def test_each_copy_of_a_block_has_a_condition_of_its_own() -> None:
    block = {"layers": ["Linear(4, 4)", "Linear(4, 4)"], "tie": {"0.weight": {"_ref_": "1.weight", "_if_": "i > 0"}}}
    built = modelzoo.build({"inputs": {"x": [2, 4]}, "layers": {"body": {"_repeat_": 3, **block}}})
    assert [each[0].weight is each[1].weight for each in built.body] == [False, True, True]


@pytest.mark.parametrize(("model", "args"), [(OWN, {"scaled": True, "k": 3}), (TIED, {"tied": True})])
def test_the_source_asks_the_same(model: dict[str, Any], args: dict[str, Any]) -> None:
    scope: dict[str, Any] = {"__name__": "model"}
    exec(compile(source(model), "model.py", "exec"), scope)
    inputs = torch.ones(1, 8) if model is OWN else torch.tensor([[1, 2]])
    for given in ({}, args):
        twin, built = scope["Model"](**given), modelzoo.build(model, args=given)
        twin.load_state_dict(built.state_dict())
        assert [name for name, _ in twin.named_parameters()] == [name for name, _ in built.named_parameters()]
        assert torch.equal(twin(inputs), built(inputs))


BASE = {"args": {"on": False}, "inputs": {"x": [2, 8]}}
PARAMETER = {"s": {"shape": [8], "fill": 1, "_if_": "on"}}
TWO = {"a": "Linear(8, 8)", "h": "Linear(8, 8)"}
LAYER = {"a": "Linear(8, 8)", "h": {"_target_": "Linear(8, 8)", "_if_": "on"}}


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"parameters": PARAMETER, "forward": "x * s"}, "model.forward\n  's' is absent here: its _if_ is false. Ask for it first: if s is not None:"),
        ({"parameters": PARAMETER, "forward": "x + s.sum()"}, "model.forward\n  's' is absent here: its _if_ is false. Ask for it first: if s is not None:"),
        ({"parameters": {"s": {**PARAMETER["s"], "_if_": "='yes'"}}, "forward": "x * s"}, "model.parameters.s._if_\n  _if_ must be true or false, not 'yes'"),
        ({"parameters": {"s": {**PARAMETER["s"], "_if_": "onn"}}, "forward": "x * s"}, "model.parameters.s._if_\n  there is no value 'onn'. Did you mean 'on'?"),
        ({"layers": LAYER, "tie": {"h.weight": "a.weight"}}, "model.tie.h.weight\n  there is no tensor 'h.weight' to tie: the _if_ of 'h' is false. Give the tie the same _if_."),
        ({"layers": LAYER, "tie": {"a.weight": "h.weight"}, "forward": "a(x)"}, "model.tie.a.weight\n  there is no tensor 'h.weight' to tie: the _if_ of 'h' is false. Give the tie the same _if_."),
        ({"layers": {"a": "Linear(8, 8)"}, "parameters": PARAMETER, "tie": {"a.bias": "s"}, "forward": "a(x)"}, "model.tie.a.bias\n  there is no tensor 's' to tie: the _if_ of 's' is false. Give the tie the same _if_."),
        ({"layers": TWO, "tie": {"h.weight": {"_if_": "on"}}}, "model.tie.h.weight\n  a tie names a tensor, not {'_if_': 'on'}. Write {head.weight: embed.weight}."),
        ({"layers": TWO, "tie": {"h.weight": {"_ref_": "a.weight", "_iff_": "on"}}}, "model.tie.h.weight._iff_\n  '_iff_' is not a key of a tie. Did you mean '_if_'?"),
        ({"layers": TWO, "tie": {"h.weight": {"_ref_": "a.weight", "_if_": "='no'"}}}, "model.tie.h.weight._if_\n  _if_ must be true or false, not 'no'"),
    ],
)  # fmt: skip
def test_what_is_absent_or_wrong_is_told_at_its_place(model: dict[str, Any], message: str) -> None:
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.plan({**BASE, **model})
    assert str(caught.value) == message


def test_an_absent_tensor_is_none_that_a_rule_could_select() -> None:
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.plan(OWN, {"r": {"name": "scale", "fill": 0}})
    assert str(caught.value) == "init.r\n  the rule 'r' (name: scale) selects no tensor of this model. Known: shift."
