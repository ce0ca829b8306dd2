"""Copies of a repeat that are made from the first one are what they are when each is written out."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch

import modelzoo
from modelzoo.plans.plan import Plan
from modelzoo.spec.resolve import Resolver

PAIR = {"layers": ["Linear(4, 4)", "ReLU"]}
BLOCKS = {
    "Scaled": {"args": ["dim", "gain=2"], "layers": {"fc": "Linear(dim, dim)"}, "forward": "fc(x) * gain"},
    "Deep": {"layers": [{"layers": ["Linear(4, 4)", "Tanh"], "_repeat_": 2}]},
    "Acting": {"args": ["act"], "layers": {"fc": "Linear(4, 4)", "f": "=act"}, "forward": "f(fc(x))"},
}
REPEATED: dict[str, dict[str, Any]] = {
    "layers": PAIR,
    "a layer": {"_target_": "Linear(4, 4)"},
    "a definition": {"_target_": "Scaled(4)"},
    "repeats inside a definition": {"_target_": "Deep"},
    "a layer for an arg": {"_target_": "Acting(ReLU)"},
    "its index in an argument": {"_target_": "Scaled(4, i)"},
    "its index in a forward": {"layers": {"fc": "Linear(4, 4)"}, "forward": "fc(x) * i"},
    "its index in a forward further inside": {"layers": [{"layers": {"fc": "Linear(4, 4)"}, "forward": "fc(x) + i"}]},
    "its index in a fill": {**PAIR, "_init_": {"*.weight": "constant(i)"}},
    "its index in a fill of a layer": {"layers": [{"_target_": "Linear(4, 4)", "_init_": {"bias": "constant(i)"}}]},
    "its index in a condition": {"layers": ["Linear(4, 4)", {"_target_": "ReLU", "_if_": "i > 0"}]},
    "its index in a shape": {"parameters": {"w": {"shape": ["=1 + i"], "fill": "ones"}}, "forward": "x * w.sum()"},
    "another index": {"layers": [{"layers": ["Linear(4, 4)"], "_repeat_": 2}]},
    "a reference": {"layers": {"a": "Linear(4, 4)", "b": {"_ref_": "a"}}},
    "a tie": {"layers": {"a": "Linear(4, 4)", "b": "Linear(4, 4)"}, "tie": {"b.weight": "a.weight"}},
    "frozen layers": {"layers": [{"_target_": "Linear(4, 4)", "_freeze_": "=1 > 0"}]},
    "an absent layer": {"layers": ["Linear(4, 4)", {"_target_": "ReLU", "_if_": False}]},
}


def written_out(value: Any, index: int) -> Any:
    """The same with a number in the place of the index."""
    if isinstance(value, dict):
        return {name: written_out(each, index) for name, each in value.items()}
    if isinstance(value, list):
        return [written_out(each, index) for each in value]
    return re.sub(r"\bi\b", str(index), value) if isinstance(value, str) else value


def model(layers: Any) -> dict[str, Any]:
    return {"args": {"wide": 4}, "inputs": {"x": [2, 4]}, "blocks": BLOCKS, "layers": {"h": layers}}


def said(plan: Plan) -> list[Any]:
    """All that does not say where it was written."""
    return [
        [(each.name, each.output) for each in plan.modules],
        [(each.name, each.shape, each.fill, each.trainable) for each in plan.tensors],
    ]


@pytest.mark.parametrize("name", REPEATED)
def test_copies_are_what_they_are_when_they_are_written_out(name: str) -> None:
    repeated = model({**REPEATED[name], "_repeat_": 3})
    apart = model([written_out(REPEATED[name], index) for index in range(3)])
    assert said(modelzoo.plan(repeated)) == said(modelzoo.plan(apart))
    one, other = modelzoo.build(repeated), modelzoo.build(apart)
    x = torch.randn(2, 4)
    assert one(x).equal(other(x))
    assert [*dict(one.named_parameters(remove_duplicate=False))] == [
        *dict(other.named_parameters(remove_duplicate=False))
    ]


def test_a_copy_that_reads_no_index_is_not_resolved_again(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[Any] = []
    build = Resolver.build

    def counted(self: Resolver, node: Any, scope: Any) -> Any:
        built.append(node)
        return build(self, node, scope)

    monkeypatch.setattr(Resolver, "build", counted)
    modelzoo.plan(model({**PAIR, "_repeat_": 2}))
    few = len(built)
    modelzoo.plan(model({**PAIR, "_repeat_": 50}))
    assert len(built) == 2 * few


def test_copies_have_modules_of_their_own() -> None:
    made = modelzoo.build(model({**PAIR, "_repeat_": 3}))
    assert len({*made.modules()}) == 11
    made.h[0][0].weight.data.zero_()
    assert made.h[1][0].weight.any()


def test_copies_are_counted_and_too_many_are_told_where_they_are() -> None:
    many = {"layers": ["ReLU"] * 100, "_repeat_": 2_000}
    with pytest.raises(modelzoo.ConfigError) as error:
        modelzoo.plan(model({**many, "_name_": "n{i}"}))
    (problem,) = error.value.problems
    assert problem.what.startswith("the model has more than")
    assert problem.path.startswith("model.layers.h.layers.")
