"""Tensors that start as copies of others: equal, and not one."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import modelzoo
from modelzoo.export.source.model import source

NET = ["Linear(4, 4)", "ReLU", "Linear(4, 4)"]
MODEL = {"inputs": {"x": [2, 4]}, "layers": {"student": NET, "teacher": NET, "head": "Linear(4, 4)"}}


def copy(name: Any, original: Any, **more: Any) -> dict[str, Any]:
    return {"name": name, "fill": {"_ref_": original}, **more}


def test_a_copy_is_equal_and_another_tensor() -> None:
    built = modelzoo.build(MODEL, {"r": copy("head.weight", "student.0.weight")})
    assert torch.equal(built.head.weight, built.student[0].weight)
    assert built.head.weight.data_ptr() != built.student[0].weight.data_ptr()
    assert torch.equal(built.student[0].weight, modelzoo.build(MODEL).student[0].weight)


def test_a_star_copies_each_tensor_of_a_teacher_from_its_student() -> None:
    rules = {"all": {"param": "weight", "fill": "normal"}, "t": copy("teacher.*", "student.*")}
    built = modelzoo.build(MODEL, rules)
    student, teacher = (each.state_dict() for each in (built.student, built.teacher))
    assert all(torch.equal(each, teacher[name]) for name, each in student.items())


@pytest.mark.parametrize("around", [("teacher.*.weight", "student.*.weight"), ("*.2.bias", "*.0.bias"), (["teacher.*"], "student.*")])  # fmt: skip
def test_a_star_may_stand_anywhere(around: Any) -> None:
    built = modelzoo.build({**MODEL, "layers": {"student": NET, "teacher": NET}}, {"r": copy(*around)})
    for name, fill in ((each.name, each.fill) for each in modelzoo.plan(MODEL, {"r": copy(*around)}).tensors):
        if fill.startswith("copy of "):
            assert torch.equal(built.get_parameter(name), built.get_parameter(fill.removeprefix("copy of ")))


def test_a_copy_of_a_copy_and_what_is_added_to_it_are_filled_in_their_order() -> None:
    rules = {
        "first": copy("student.0.weight", "student.2.weight"),
        "more": {"name": "student.0.weight", "fill": "value + 1"},
        "second": copy("student.2.weight", "head.weight"),
        "last": {"name": "head.weight", "fill": 3},
    }
    built = modelzoo.build(MODEL, rules)
    tensors = [built.head.weight, built.student[2].weight, built.student[0].weight]
    assert [each.detach().mean() for each in tensors] == [3, 3, 4]
    fills = {each.name: (each.fill, each.stream) for each in modelzoo.plan(MODEL, rules).tensors}
    assert fills["student.0.weight"][0] == "copy of student.2.weight -> value + 1"
    assert fills["student.2.weight"] == ("copy of head.weight", "")


def test_a_copy_of_an_embedding_has_its_row_of_padding_and_one_of_a_tie_what_was_tied() -> None:
    layers = {
        "one": "Embedding(5, 4, padding_idx=2)",
        "two": "Linear(4, 5, bias=False)",
        "three": {"_target_": "Linear(4, 5, bias=False)"},
    }
    model = {"inputs": {"t": {"shape": [2], "dtype": "int64"}}, "layers": layers, "tie": {"two.weight": "one.weight"}}
    rules = {"all": {"layer": "Embedding", "fill": 1}, "copy": copy("three.weight", "two.weight")}
    built = modelzoo.build({**model, "forward": "three(one(t))"}, rules)
    assert built.three.weight.sum(1).tolist() == [4, 4, 0, 4, 4]


def test_a_buffer_is_copied_by_its_exact_name_and_in_its_own_dtype() -> None:
    model = {
        "inputs": {"x": [2, 3]},
        "parameters": {"scale": {"shape": [3], "fill": 2.5, "dtype": "float64"}},
        "buffers": {"mean": {"shape": [3], "fill": 0}},
        "forward": "x * scale + mean",
    }
    built = modelzoo.build(model, {"r": copy("mean", "scale")})
    assert (built.mean.dtype, built.mean.tolist()) == (torch.float32, [2.5, 2.5, 2.5])


def test_the_source_copies_after_it_filled_the_originals() -> None:
    rules = {
        "t": copy("teacher.*", "student.*"),
        "more": {"name": "teacher.0.weight", "fill": "value + 1"},
        "h": copy("head.weight", "teacher.0.weight"),
        "s": {"name": "student.*", "fill": 2},
    }
    scope: dict[str, Any] = {"__name__": "model"}
    text = source(MODEL, rules)
    exec(compile(text, "model.py", "exec"), scope)
    twin, built = scope["Model"]().state_dict(), modelzoo.build(MODEL, rules).state_dict()
    assert text.index("teacher[0].weight.copy_(self.student[0].weight)") < text.index("head.weight.copy_")
    assert all(torch.equal(twin[name], each) for name, each in built.items() if name != "head.bias")


def test_a_copy_that_no_state_dict_has_is_refused_by_the_source() -> None:
    buffers = {"old": {"shape": [4, 4], "persistent": False}}
    model = {"inputs": {"x": [2, 4]}, "layers": {"a": "Linear(4, 4)"}, "buffers": buffers, "forward": "a(x) @ old"}
    with pytest.raises(modelzoo.ConfigError) as caught:
        source(model, {"r": copy("old", "a.weight")})
    assert str(caught.value) == (
        "model.buffers.old\n  'old' is a copy, and in no state dict: a source cannot give it its values. "
        "Remove persistent: false."
    )


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"r": copy("head.weight", "haed.weight")}, "init.r.fill._ref_\n  there is no tensor 'haed.weight' to copy. Did you mean 'head.weight'?"),
        ({"r": copy("head.weight", "head.bias")}, "init.r.fill._ref_\n  'head.weight' has shape [4, 4] and 'head.bias' [4]: a copy has the shape of its original."),
        ({"r": copy("head.weight", "head.weight")}, "init.r.fill._ref_\n  copies in a circle start with nothing: head.weight -> head.weight. Let the rule select other tensors."),
        (
            {"r": copy("head.bias", "student.0.bias"), "s": copy("student.0.bias", "student.2.bias"), "t": copy("student.2.bias", "student.0.bias")},
            "init.s.fill._ref_\n  copies in a circle start with nothing: student.0.bias -> student.2.bias -> student.0.bias. Let the rule select other tensors.",
        ),
        ({"r": {"param": "bias", "fill": {"_ref_": "head.*"}}}, "init.r.fill._ref_\n  the '*' of 'head.*' is what one '*' in the name of this rule stands for. Write name: teacher.* and _ref_: student.*"),
        ({"r": copy("*.*", "head.*")}, "init.r.fill._ref_\n  the '*' of 'head.*' is what one '*' in the name of this rule stands for. Write name: teacher.* and _ref_: student.*"),
        ({"r": copy("head.bias", 3)}, "init.r.fill._ref_\n  _ref_ must be the name of a tensor, not 3."),
        ({"r": {"name": "head.bias", "fill": {"_ref_": "student.0.bias", "std": 1}}}, "init.r.fill.std\n  'std' is not a key of a copy. Known: _ref_."),
    ],
)  # fmt: skip
def test_what_cannot_be_copied_is_told_at_the_rule(rules: Any, message: str) -> None:
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.plan(MODEL, rules)
    assert str(caught.value) == message


def test_only_rules_copy() -> None:
    layer = {"_target_": "Linear(4, 4)", "_init_": {"weight": {"_ref_": "head.weight"}}}
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.plan({"layers": {"a": layer}})
    assert str(caught.value) == (
        "model.layers.a._init_.weight\n  only a rule of an init makes a tensor a copy of another. Write one."
    )
