"""Names: each is looked at where it is read, whatever hides it, and one table decides."""

from __future__ import annotations

import contextlib
import functools
import json
import keyword
import pathlib
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import modelzoo
from modelzoo import ConfigError
from modelzoo.errors import Problems
from modelzoo.names import Kind, is_index
from modelzoo.spec import parser

CONF = pathlib.Path(__file__).resolve().parents[1] / "conf"
LONGEST = "a" * 64
MANY = settings(deadline=None, max_examples=400, suppress_health_check=[HealthCheck.too_slow])


def refused(text: str, tmp_path: pathlib.Path) -> str:
    """What is said about a model file, without its name."""
    file = tmp_path / "m.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        modelzoo.build(file)
    return str(caught.value).replace(str(file), "m.yaml")


# --- the table -----------------------------------------------------------------------------------------------------

LEGAL = ["a", "_a", "A1_", "type", "match", "forward_", LONGEST]
NUMBERS = ["0", "7", "120"]
HYPHENED = ["a-b", "block1-0", "a--", "_-1", "class-1"]
NEVER = ["", " ", "a b", "a.b", "-a", "a\n", "é", "ª", "²", "٣", "①", "x; y", "__a", "007", "-1", "1a", "a" * 65]


@pytest.mark.parametrize("kind", [Kind.LAYER, Kind.ITEM, Kind.ENTRY, Kind.PARAMETER, Kind.BUFFER, Kind.BLOCK])
def test_what_a_module_holds_has_an_ascii_name_that_is_neither_pythons_nor_the_modules(kind: Kind) -> None:
    layers = kind in (Kind.LAYER, Kind.ITEM, Kind.ENTRY)
    assert [name for name in HYPHENED if kind.fits(name)] == (HYPHENED if layers else [])
    assert [name for name in LEGAL if not kind.fits(name)] == ["type"]
    assert [name for name in [*NEVER, *keyword.kwlist, "train", "forward", "_modules"] if kind.fits(name)] == []


@pytest.mark.parametrize("kind", Kind)
def test_only_what_may_stand_in_a_sequence_is_called_by_a_number(kind: Kind) -> None:
    layers = kind in (Kind.LAYER, Kind.ITEM, Kind.ENTRY, Kind.LOCAL, Kind.REFERENCE, Kind.TIED, Kind.RULE)
    assert [kind.fits(name) for name in NUMBERS] == [layers] * 3


@pytest.mark.parametrize("kind", [Kind.ARG, Kind.INPUT, Kind.ARGUMENT])
def test_what_a_call_is_given_begins_with_a_letter_and_may_be_called_as_a_module_is(kind: Kind) -> None:
    assert [name for name in [*LEGAL, "train", "forward"] if not kind.fits(name)] == ["_a"]
    assert [name for name in [*NEVER, *HYPHENED, *keyword.kwlist] if kind.fits(name)] == []
    assert kind.fits("training") == (kind is Kind.ARGUMENT)


def test_containers_keep_their_own_names() -> None:
    assert [kind.fits("append") for kind in (Kind.LAYER, Kind.ITEM, Kind.ENTRY)] == [True, False, True]
    assert [kind.fits("keys") for kind in (Kind.LAYER, Kind.ITEM, Kind.ENTRY)] == [True, True, False]


def test_a_rule_has_a_label() -> None:
    assert [name for name in ["red-1", "a.b", "2", "_", "class", LONGEST] if not Kind.RULE.fits(name)] == []
    assert [name for name in ["", "a b", "é", "²", "a\n", "a" * 65] if Kind.RULE.fits(name)] == []


@pytest.mark.parametrize("text", [*NEVER, *NUMBERS, "9" * 18, "9" * 5000, "+1", "1_0"])
def test_an_index_is_a_number_of_ascii_that_is_not_too_long(text: str) -> None:
    assert is_index(text) == (text in ("007", *NUMBERS, "9" * 18))


# --- every position ------------------------------------------------------------------------------------------------

Put = Callable[[str], dict[str, Any]]
Where = Callable[[str], tuple[Any, ...]]
TENSOR = {"shape": [2], "fill": "ones"}
POSITIONS: dict[str, tuple[Kind, Put, Where]] = {
    "a layer": (Kind.LAYER, lambda n: {"layers": {n: "ReLU"}, "forward": "x"}, lambda n: ("layers", n)),
    "a layer of a sequence": (Kind.ITEM, lambda n: {"layers": {n: "ReLU"}}, lambda n: ("layers", n)),
    "a parameter": (Kind.PARAMETER, lambda n: {"parameters": {n: TENSOR}, "forward": "x"}, lambda n: ("parameters", n)),
    "a buffer": (Kind.BUFFER, lambda n: {"buffers": {n: TENSOR}, "forward": "x"}, lambda n: ("buffers", n)),
    "an arg": (Kind.ARG, lambda n: {"args": {n: 2}, "forward": "x"}, lambda n: ("args", n)),
    "an arg in a list": (Kind.ARG, lambda n: {"args": [f"{n}=1"], "forward": "x"}, lambda n: ("args", 0)),
    "an input": (Kind.INPUT, lambda n: {"inputs": {n: [2]}, "forward": "zeros(2)"}, lambda n: ("inputs", n)),
    "a definition": (Kind.BLOCK, lambda n: {"blocks": {n: ["ReLU"]}, "forward": "x"}, lambda n: ("blocks", n)),
    "a keyword": (
        Kind.ARGUMENT,
        lambda n: {"layers": {"a": {"_target_": "Identity", n: 1}}},
        lambda n: ("layers", "a", n),
    ),
    "a keyword of an arg that is a layer": (
        Kind.ARGUMENT,
        lambda n: {"args": {"act": "Identity"}, "layers": {"a": {"_target_": "act", n: 1}}},
        lambda n: ("layers", "a", n),
    ),
    "a keyword in the default of an arg": (
        Kind.ARGUMENT,
        lambda n: {"args": {"act": {"_target_": "Identity", n: 1}}, "forward": "x"},
        lambda n: ("args", "act", n),
    ),
    "a key of a Sequential": (
        Kind.ITEM,
        lambda n: {"layers": {"a": {"_target_": "Sequential", "_args_": [{n: "ReLU"}]}}},
        lambda n: ("layers", "a", "_args_", 0, n),
    ),
    "a key of a Sequential in a text": (
        Kind.ITEM,
        lambda n: {"layers": {"a": f"Sequential({{{n!r}: ReLU}})"}},
        lambda n: ("layers", "a"),
    ),
    "a key of a ModuleDict": (
        Kind.ENTRY,
        lambda n: {"layers": {"a": {"_target_": "ModuleDict", "modules": {n: "ReLU"}}}, "forward": "x"},
        lambda n: ("layers", "a", "modules", n),
    ),
    "a copy": (
        Kind.ITEM,
        lambda n: {"layers": {"a": {"_target_": "ReLU", "_repeat_": 1, "_name_": n}}},
        lambda n: ("layers", "a", "_name_"),
    ),
    "none of no copies": (
        Kind.ITEM,
        lambda n: {"layers": {"a": {"_target_": "ReLU", "_repeat_": 0, "_name_": n}}},
        lambda n: ("layers", "a", "_name_"),
    ),
    "a reference": (
        Kind.REFERENCE,
        lambda n: {"layers": {"a": {"_if_": False, "_ref_": n}}},
        lambda n: ("layers", "a", "_ref_"),
    ),
}
HIDDEN: dict[str, tuple[Callable[[dict[str, Any]], dict[str, Any]], tuple[str, ...]]] = {
    "by nothing": (lambda block: {"inputs": {"x": [2, 4]}, **block}, ()),
    "by a condition": (lambda block: {"layers": {"h": {"_if_": False, **block}}}, ("layers", "h")),
    "by a repeat": (lambda block: {"layers": {"h": {"_repeat_": 0, **block}}}, ("layers", "h")),
    "by an arg": (lambda block: {"args": {"h": block}, "layers": []}, ("args", "h")),
    "by a definition": (lambda block: {"blocks": {"H": block}, "layers": []}, ("blocks", "H")),
}
CHARACTERS = st.sampled_from([*"ab_019 .-;:'\"{}()[]=,\n\x1b\\é²٣①ªﬁ\u202e\u200b"])
NAMES = st.one_of(
    st.sampled_from([*LEGAL, *NUMBERS, *NEVER, *keyword.kwlist, "train", "append", "keys", "training", "__class__"]),
    st.text(CHARACTERS, max_size=6),
    st.text(max_size=8),
    st.text("ab_1", min_size=60, max_size=70),
)


def read(model: object) -> list[tuple[Any, ...]]:
    """The keys of what is wrong with a model as it is read, before anything is computed."""
    problems = Problems()
    with contextlib.suppress(ConfigError):
        parser.parse(model, problems)
    return [problem.key for problem in problems.found]


def check(position: str, hidden: str, name: str) -> None:
    """Whatever stands where a name belongs is one, or is refused there."""
    kind, put, where = POSITIONS[position]
    wrapped, prefix = HIDDEN[hidden]
    model, place = wrapped(put(name)), ("model", *prefix, *where(name))
    found = read(model)
    if kind.fits(name):
        assert found == []
        modelzoo.plan(model)
    else:
        assert any(key[: len(place)] == place for key in found), (found, place)
        assert all(key[: len(place) - 1] == place[:-1] for key in found), (found, place)


@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize("position", POSITIONS)
def test_what_is_no_name_is_refused_where_it_stands_whatever_hides_it(position: str, hidden: str) -> None:
    for name in [*NEVER, "train", "forward", "training", "_modules", "append", "keys", "x'", "d\x1b]0;owned\x07"]:
        if position != "an arg in a list" or name == name.strip():
            check(position, hidden, name)


@MANY
@given(st.sampled_from(sorted(POSITIONS)), st.sampled_from(sorted(HIDDEN)), NAMES)
def test_any_text_is_a_name_or_is_refused_where_it_stands(position: str, hidden: str, name: str) -> None:
    if name in ("x", "i") or (name[:1] == "_" == name[-1:]):
        return  # an input that is there already, and keys of the language
    if "{" in name and POSITIONS[position][0] is Kind.ITEM:
        return  # a formula
    if position == "an arg in a list" and ("=" in name or name != name.strip()):
        return  # a default, and blanks around a parameter
    check(position, hidden, name)


SMALL = {"inputs": {"x": [2, 4]}, "layers": ["Linear(4, 4)"]}
OF_RULES: dict[str, tuple[Kind, Put, Where]] = {
    "a rule": (Kind.RULE, lambda n: {n: {"layer": "Linear", "fill": 0}}, lambda n: ("init", n)),
    "its layer": (Kind.TYPE, lambda n: {"r": {"layer": n, "fill": 0}}, lambda n: ("init", "r", "layer")),
    "its layers": (Kind.TYPE, lambda n: {"r": {"layer": ["Linear", n], "fill": 0}}, lambda n: ("init", "r", "layer")),
    "its tensor": (Kind.LOCAL, lambda n: {"r": {"param": n, "fill": 0}}, lambda n: ("init", "r", "param")),
}


@MANY
@given(st.sampled_from(sorted(OF_RULES)), NAMES)
def test_what_a_rule_names_is_a_name_or_is_refused_there(position: str, name: str) -> None:
    kind, put, where = OF_RULES[position]
    problems = Problems()
    parser.parse_init(put(name), frozenset(), problems)
    assert [problem.key for problem in problems.found] == ([] if kind.fits(name) else [where(name)])


# --- what is said --------------------------------------------------------------------------------------------------

HINT = "Names have letters, digits and '_', start with a letter and are at most 64 long."
SAID = {
    "layers: {'²': ReLU}": f"m.yaml:1:10  model.layers.²\n  '²' cannot be the name of a layer. {HINT}",
    "layers: [{_target_: Identity, 'x; import os': 1}]": (
        "m.yaml:1:31  model.layers.0.x; import os\n  'x; import os' cannot be the name of an argument. " + HINT
    ),
    "args: {act: {_target_: Identity, class: 1}}\nlayers: [act]": (
        "m.yaml:1:34  model.args.act.class\n"
        "  'class' is a word of Python and cannot be the name of an argument. Write class_."
    ),
    "layers: [{_target_: ReLU, _repeat_: 0, _name_: 'a b{i}'}]": (
        "m.yaml:1:40  model.layers.0._name_\n  'a b0' cannot be the name of a layer. " + HINT + ""
    ),
    "layers: [{_target_: ReLU, _repeat_: 2, _name_: forward}]": (
        "m.yaml:1:40  model.layers.0._name_\n"
        "  'forward' is a name of nn.Module and cannot be the name of a layer. Write forward_."
    ),
    "args: {s: __class__}\nlayers: [{_target_: ReLU, _repeat_: 1, _name_: '{s}'}]": (
        "m.yaml:2:40  model.layers.0._name_\n"
        "  '__class__' is a name of nn.Module and cannot be the name of a layer. Write _name_: \"block{i}\"."
    ),
    "layers: [{_target_: ReLU, _repeat_: 3, _name_: 'b{i +}'}]": (
        "m.yaml:1:51  model.layers.0._name_\n  cannot read this text: invalid syntax: i +"
    ),
    "layers: {append: ReLU}": (
        "m.yaml:1:10  model.layers.append\n"
        "  'append' is a name of nn.Sequential and cannot be the name of a layer. Write append_."
    ),
    "args: {more: {keys: ReLU}}\nlayers: {a: {_target_: ModuleDict, modules: =more}}\nforward: x": (
        "m.yaml:2:10  model.layers.a\n"
        "  'keys' is a name of nn.ModuleDict and cannot be the name of a layer. Write keys_."
    ),
    "layers: [{_ref_: 'x; y', _if_: false}]": (
        f"m.yaml:1:11  model.layers.0._ref_\n  'x; y' cannot be the name of a layer to refer to. {HINT}"
    ),
    "layers: [ReLU]\ntie: {'0.weight': 'x; y'}": (
        f"m.yaml:2:7  model.tie.0.weight\n  'x; y' cannot be the name of a tensor to tie. {HINT}"
    ),
    "buffers: {b: {shape: [2], fill: ones, dtype: {a: b}}}\nforward: x + b": (
        "m.yaml:1:39  model.buffers.b.dtype\n  there is no dtype {'a': 'b'}. Known: float16, bfloat16, "
        "float32, float64, complex64, complex128, int8, int16, int32, int64, uint8, bool."
    ),
    "forward: relu(x, é=1)": "m.yaml:1:18  model.forward\n  the argument 'é' has no place here",
}  # fmt: skip


@pytest.mark.parametrize("text", SAID)
def test_a_name_that_is_none_is_told_with_its_place(text: str, tmp_path: pathlib.Path) -> None:
    assert refused(text, tmp_path) == SAID[text]


TWICE = {
    "forward: softmax(x, dim=1, dim=0)": "m.yaml:1:28  model.forward\n  softmax gets 'dim' twice. Remove one.",
    "forward: |\n  y = x.sum(dim=1,\n      dim=0)\n  return y": (
        "m.yaml:3:7  model.forward\n  x.sum gets 'dim' twice. Remove one."
    ),
    "forward: \"{'a': x, 'a': x}\"": "m.yaml:1:20  model.forward\n  this mapping gets 'a' twice. Remove one.",
    "layers: ['Linear(4, 4, bias=True, bias=False)']": (
        "m.yaml:1:35  model.layers.0\n  Linear gets 'bias' twice. Remove one."
    ),
    "layers: [{_target_: 'Linear(4, 4, bias=True, bias=False)'}]": (
        "m.yaml:1:46  model.layers.0._target_\n  Linear gets 'bias' twice. Remove one."
    ),
    "layers: [\"Sequential({'a': ReLU, 'a': GELU})\"]": (
        "m.yaml:1:34  model.layers.0\n  this mapping gets 'a' twice. Remove one."
    ),
    "parameters: {w: {shape: [2], fill: 'normal(std=1, std=2)'}}\nforward: x * w": (
        "m.yaml:1:51  model.parameters.w.fill\n  normal gets 'std' twice. Remove one."
    ),
    "args: {n: '=int(2, a=1, a=2)'}\nlayers: []": "m.yaml:1:25  model.args.n\n  int gets 'a' twice. Remove one.",
}


@pytest.mark.parametrize("text", TWICE)
def test_what_a_text_gives_twice_is_told_at_the_second(text: str, tmp_path: pathlib.Path) -> None:
    assert refused(text, tmp_path) == TWICE[text]


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"layer": 3}, "init.r.layer\n  layer is the name of a layer or a list of names, not 3. Write Linear."),
        ({"layer": {"a": 1}}, "init.r.layer\n  layer is the name of a layer or a list of names, not {'a': 1}. Write Linear."),
        ({"layer": ["Linear", 3]}, "init.r.layer\n  layer is the name of a layer or a list of names, not ['Linear', 3]. Write Linear."),
        ({"layer": "Lin\x1bear"}, "init.r.layer\n  'Lin\\x1bear' cannot be the name of a layer. Write Linear."),
        ({"layer": []}, "init.r.layer\n  layer is the name of a layer or a list of names, not []. Write Linear."),
        ({"param": 3}, "init.r.param\n  param is the name of a tensor or a list of names, not 3. Write weight."),
        ({"param": []}, "init.r.param\n  param is the name of a tensor or a list of names, not []. Write weight."),
        ({"name": 3}, "init.r.name\n  name is the name of a tensor or a list of names, not 3. Write '*.weight'."),
        ({"name": []}, "init.r.name\n  name is the name of a tensor or a list of names, not []. Write '*.weight'."),
        ({"param": ["weight", None]}, "init.r.param\n  param is the name of a tensor or a list of names, not ['weight', None]. Write weight."),
        ({"param": ["weight", "a.b"]}, "init.r.param\n  'a.b' cannot be the name of a tensor. Names have letters, digits and '_', start with a letter and are at most 64 long."),
        ({"param": "a.b"}, "init.r.param\n  'a.b' cannot be the name of a tensor. Names have letters, digits and '_', start with a letter and are at most 64 long."),
        ({"name": {"a": 1}}, "init.r.name\n  name is the name of a tensor or a list of names, not {'a': 1}. Write '*.weight'."),
        ({"name": True}, "init.r.name\n  name is the name of a tensor or a list of names, not True. Write '*.weight'."),
    ],
)  # fmt: skip
def test_a_rule_says_what_it_selects_in_names(rule: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        modelzoo.plan(SMALL, {"r": {**rule, "fill": 0}})
    assert str(caught.value) == message


def test_a_place_in_a_file_whose_name_is_no_number_is_told(tmp_path: pathlib.Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("²", "٣", "①", "9" * 30):
        pathlib.Path(name).write_text("layers: [Linaer, Linaer2]", encoding="utf-8")
        with pytest.raises(ConfigError) as caught:
            modelzoo.plan(name)
        assert [problem.where for problem in caught.value.problems] == [f"{name}:1:10", f"{name}:1:18"]


def test_a_reference_into_a_list_counts_in_ascii(tmp_path: pathlib.Path) -> None:
    for index in ("٣", "²", "9" * 5000):
        assert "does not exist" in refused(f'layers: [ReLU, ReLU, ReLU, ReLU, "${{layers.{index}}}"]', tmp_path)


def test_a_text_whose_names_are_wrong_is_told_with_them() -> None:
    """A forward is read although one of the block's inputs cannot have its name."""
    with pytest.raises(ConfigError) as caught:
        modelzoo.plan({"inputs": {"class": [2], "x": [2]}, "forward": "rleu(x)"})
    assert [problem.key for problem in caught.value.problems] == [
        *(("model", "inputs", "class"), ("model", "forward")),
    ]


def test_a_layer_named_like_a_word_of_python_makes_a_class_that_python_reads() -> None:
    model = modelzoo.build(
        {"inputs": {"x": [2, 4]}, "layers": {"none": {"forward": "x + 1"}, "true": {"forward": "x"}}}
    )
    assert [type(each).__name__ for each in model.children()] == ["None_", "True_"]


# --- the schema ----------------------------------------------------------------------------------------------------


@functools.cache
def validator(kind: str) -> Any:
    return jsonschema.Draft7Validator(json.loads((CONF / f"{kind}.schema.json").read_text(encoding="utf-8")))


IN_THE_SCHEMA = ["a layer", "a layer of a sequence", "a parameter", "a buffer", "an arg", "an input", "a definition"]
IN_THE_SCHEMA += ["a keyword", "a key of a ModuleDict"]


@MANY
@given(st.sampled_from(IN_THE_SCHEMA), NAMES)
def test_the_schema_marks_every_name_that_is_refused(position: str, name: str) -> None:
    if name[:1] == "_" == name[-1:]:
        return
    kind, put, _ = POSITIONS[position]
    told = Kind.LAYER if kind in (Kind.ITEM, Kind.ENTRY) else kind  # which container it is, no schema looks at
    assert validator("model").is_valid(put(name)) == told.fits(name)


@given(NAMES)
def test_the_schema_marks_every_name_of_a_rule_that_is_refused(name: str) -> None:
    if name == "defaults":
        return
    rules = {name: {"layer": "Linear", "fill": 0}}
    assert validator("init").is_valid(rules) == Kind.RULE.fits(name)
    assert validator("model").is_valid({"model": SMALL, "init": rules}) == Kind.RULE.fits(name)
