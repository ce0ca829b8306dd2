"""Rules that split a model: what they select, and what is told before there is a process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

import modelzoo
from modelzoo.errors import ConfigError, Problems
from modelzoo.plans.draft import draft
from modelzoo.sharding.rules import Split, ruled
from tests.sharding.ranks import SMALL, STYLES, UNITS


def split(rules: Mapping[str, Any], sizes: Mapping[str, int]) -> Split:
    problems = Problems()
    made = draft(SMALL, device="meta")
    found = ruled(made.skeleton, made.table, rules, sizes, problems)
    problems.check()
    return found


def refusal(rules: Mapping[str, Any], **sizes: int) -> str:
    with pytest.raises(ConfigError) as caught:
        split(rules, sizes or {"dp": 2, "tp": 2})
    return str(caught.value)


def test_units_come_inner_ones_first_and_what_is_tied_is_one() -> None:
    found = split({**UNITS, **STYLES}, {"dp": 2, "tp": 2})
    assert [names for names, _ in found.units] == [
        ("embed", "head"),
        ("blocks.0",),
        ("blocks.1",),
    ]
    assert dict(found.units)["blocks.0",] is True
    assert dict(found.styles) == {
        "blocks.0.up": "colwise",
        "blocks.1.up": "colwise",
        "blocks.0.down": "rowwise",
        "blocks.1.down": "rowwise",
    }


def test_all_that_is_wrong_with_rules_is_told_at_once() -> None:
    told = refusal(
        {
            "a": {"layer": "Blok", "wrap": "fully_shar"},
            "b": 3,
            "c": {"nam": "x", "wrap": "fully_shard"},
            "d": {"name": "blocks", "wrap": "fully_shard", "reshard_after_forward": "yes"},
            "e": {"name": "blocks.0.norm", "style": "columns"},
            "f": {"name": "blocks.0.norm", "style": "rowwise"},
        }
    )
    assert told == (
        "parallelize.a.wrap\n"
        "  wrap is fully_shard, not 'fully_shar'. Write wrap: fully_shard.\n"
        "parallelize.b\n"
        "  a rule is a mapping, not 3. Write {layer: Block, wrap: fully_shard}.\n"
        "parallelize.c.nam\n"
        "  a rule has no 'nam'. Did you mean 'name'?\n"
        "parallelize.c\n"
        "  this rule selects nothing. Write layer: Block or name: 'blocks.*'.\n"
        "parallelize.d.reshard_after_forward\n"
        "  reshard_after_forward is true or false, not 'yes'. Write reshard_after_forward: true.\n"
        "parallelize.e.style\n"
        "  there is no style 'columns'. Known: colwise, rowwise.\n"
        "parallelize.a.layer\n"
        "  this rule selects no module: there is no 'Blok'. Did you mean 'Block'?\n"
        "parallelize.f\n"
        "  'blocks.0.norm' is a LayerNorm: styles split Linear and Embedding. Select Linear: layer: Linear."
    )


@pytest.mark.parametrize(
    ("rules", "sizes", "told"),
    [
        (
            {"odd": {"name": "odd", "style": "colwise"}},
            {"0": 2},
            "parallelize.odd.style\n"
            "  out_features of 'odd' is 13, which 2 ranks do not divide. Make it a multiple of 2, or select others.",
        ),
        (
            {"a": {"name": "shared", "style": "colwise"}, "b": {"layer": "Linear", "name": "sha*", "style": "rowwise"}},
            {"tp": 2},
            "parallelize.b.style\n"
            "  'shared' is split colwise by another rule: one tensor has one style. Select others, or remove a rule.",
        ),
        (
            {**UNITS, **STYLES},
            {"0": 2},
            "parallelize.mesh\n"
            "  styles and units together need a mesh of two dimensions, of which one is 'tp'. "
            "Write mesh: {dp: -1, tp: 2}.",
        ),
        (
            {"a": {"name": "embed", "style": "colwise"}},
            {"tp": 2},
            "parallelize\n"
            "  'embed.weight' and 'head.weight' are one tensor, and only one of them is split so. "
            "Select both: name: [embed, head].",
        ),
    ],
    ids=["a size that ranks do not divide", "two styles", "one dimension for both", "half a tie"],
)
def test_what_cannot_be_split_so_is_told(rules: Mapping[str, Any], sizes: dict[str, int], told: str) -> None:
    assert refusal(rules, **sizes) == told


def test_what_is_never_called_is_no_unit() -> None:
    model = {"layers": {"heads": {"_target_": "ModuleList", "modules": ["Linear(4, 4)"]}}, "forward": "heads[0](x)"}
    made, problems = draft(model, device="meta"), Problems()
    ruled(made.skeleton, made.table, {"a": {"name": "heads", "wrap": "fully_shard"}}, {"0": 2}, problems)
    assert [str(each) for each in problems.found] == [
        "parallelize.a\n  'heads' is never called, and so is no unit. Select the modules in it: name: 'heads.*'."
    ]


def test_a_single_number_is_not_split() -> None:
    model = {"layers": ["Linear(4, 4)"], "parameters": {"scale": {"shape": [], "fill": "ones"}}, "forward": "x * scale"}
    with pytest.raises(ConfigError) as caught:
        modelzoo.shares(model, parallelize={"a": {"layer": "Linear", "wrap": "fully_shard"}}, mesh={"dp": 2})
    assert "'scale' is a single number, which fully_shard cannot split. Give it the shape [1]." in str(caught.value)


def test_a_mesh_has_so_many_ranks() -> None:
    with pytest.raises(ValueError, match="a mesh of 4 ranks has no rank 4"):
        modelzoo.shares(SMALL, parallelize=UNITS, mesh={"dp": 4}, rank=4)
