"""What is pasted from PyTorch is one mistake, told once, with the line that works."""

from __future__ import annotations

import pytest
import torch

import modelzoo
from modelzoo.language.compiler import translate
from modelzoo.language.idioms import _ALSO
from modelzoo.language.names import Names

NAMES = Names(
    inputs=("x", "y"), values=frozenset({"dim"}), layers=frozenset({"fc", "layers"}), tensors=frozenset({"scale"})
)


def told(text: str, names: Names = NAMES) -> list[tuple[str, str]]:
    return [(error.what, error.hint) for error in translate(text, names, "forward").errors]


@pytest.mark.parametrize(
    "text", ["return self.fc(x)", "return torch.nn.functional.gelu(x)", "return fc(x).to(float32)"]
)
def test_a_pasted_line_is_one_mistake(text):
    assert len(told(text)) == 1


def test_every_idiom_of_a_line_is_in_the_line_to_write():
    assert told("return F.relu(self.fc(x.cuda()) / math.sqrt(dim)).to(torch.half)") == [
        ("a dtype is written as a text", "Write return relu(fc(x) / sqrt(dim)).to('float16').")
    ]


def test_every_line_is_told_at_its_own_place():
    errors = translate("y = self.fc(x)\nif self.training:\n    y = F.relu(y)\nreturn y", NAMES, "forward").errors
    assert [(each.line, each.column, each.hint) for each in errors] == [
        (1, 5, "Write y = fc(x)."),
        (2, 4, "Write if training:"),
        (3, 9, "Write y = relu(y)."),
    ]


def test_a_line_that_would_not_work_is_not_offered():
    assert told("return self.fx(x)") == [
        ("'fx' is not a method of a tensor", ""),
        ("there is no value 'self'", "Known: x, y, dim, fc, layers, scale."),
    ]
    assert told("x = F.rleu(x)\nreturn x") == [("there is no function 'F.rleu'", "Did you mean 'relu'?")]


def test_what_else_is_wrong_in_a_line_is_told_beside_it():
    assert told("return F.relu(x) + zz") == [
        ("there is no value 'zz'", "Known: x, y, dim, fc, layers, scale."),
        ("a function is called by its name alone", "Write return relu(x) + zz."),
    ]


def test_a_name_that_the_block_has_is_no_module_of_pythons():
    names = Names(inputs=("F", "self"), layers=frozenset({"math", "inf"}))
    assert told("return math(F.relu() + self.mean()) + inf(F)", names) == []


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("ys = [fc(x) for k in range(3) if k > 0]\nreturn stack(ys)", "ys += [fc(x)]"),
        ("return sum(f(x) for f in layers)", "return sum(items)"),
        ("a = [x, y]\nfor z in a[1:]:\n    x = z\nreturn x", "for k in range(1, len(a)):\n    x = a[k]"),
        ("a = [x, y]\nfor z in a[:-1]:\n    x = z\nreturn x", "for k in range(len(a) - 1):\n    x = a[k]"),
        ("a = [x, y]\nfor z in reversed(a):\n    x = z\nreturn x", "for k in range(len(a)):\n    x = a[-1 - k]"),
        ("a = [x, y]\nfor n, z in enumerate(a[1:]):\n    x = z * n\nreturn x", "    x = a[1:][k] * k"),
        ("a = [x, y]\nfor f, z in zip(layers, a):\n    x = f(z)\nreturn x", "    x = layers[k](a[k])"),
        (
            "a = [x, y]\nfor z, w in zip(a, a[1:]):\n    x = z + w\nreturn x",
            "for k in range(min(len(a), len(a[1:]))):\n    x = a[k] + a[1:][k]",
        ),
    ],
)
def test_loops_over_anything_go_by_index(text, written):
    ((_, hint),) = told(text)
    assert written in hint
    assert hint.startswith("Write:\n")
    lines = text.split("\n")
    first = next(number for number, line in enumerate(lines) if "for" in line)
    body = len([line for line in lines if line.startswith(" ")])
    repaired = [*lines[:first], hint.removeprefix("Write:\n"), *lines[first + 1 + body :]]
    assert told("\n".join(repaired)) == []


ADDED = "a layer is made in layers, and called here"


def test_a_layer_that_a_text_makes_is_one_mistake_wherever_it_is_called():
    written = "Add head: Linear(dim, 4) to the layers. Remove this line."
    assert told("head = nn.Linear(dim, 4)\nx = head(x)\nreturn head(x)") == [(ADDED, written)]
    assert told("self.head = torch.nn.Linear(dim, 4)\nreturn self.head(self.fc(x))") == [
        (ADDED, written),
        ("what the block owns is named without 'self.'", "Write return head(fc(x))."),
    ]


def test_layers_that_a_text_makes_have_names_of_their_own():
    assert told("x = nn.Linear(4, 8)(x)\nreturn nn.Linear(8, 4)(x)") == [
        (ADDED, "Add linear: Linear(4, 8) to the layers. Write x = linear(x)."),
        (ADDED, "Add linear_2: Linear(8, 4) to the layers. Write return linear_2(x)."),
    ]


def test_a_layer_of_sizes_that_only_the_text_knows_is_not_offered():
    assert ("there is no function 'nn.Linear'", "Did you mean 'linear'?") in told(
        "f = nn.Linear(x.shape[1], 4)\nreturn f(x)"
    )


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("super().__init__()", "a block has no super()"),
        ("super(Net, self).__init__()", "a block has no super()"),
        ("x = x.to(device)", "where a tensor lies is no part of a model"),
        ("x = x.cuda()", "where a tensor lies is no part of a model"),
    ],
)
def test_a_line_that_has_nothing_to_say_here_is_removed(line, what):
    assert told(f"{line}\nreturn fc(x)") == [(what, "Remove this line.")]


def test_a_statement_that_is_refused_has_no_other_mistakes_in_its_train():
    assert told("with x:\n    z = fc(x)\nreturn z") == [
        ("with has no place here", "Statements are assignment, if, while, for and return.")
    ]


def test_a_formula_is_answered_with_the_formula_to_write():
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.plan({"args": {"dim": 16}, "layers": ["Linear(dim, int(math.sqrt(dim)))"]})
    assert [each.hint for each in caught.value.problems] == ["Write int(sqrt(dim))."]


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("return cat([relu(each(x)) for each in (fc, scale)])", ""),  # a tensor is not called
        ("y, z = [relu(each(x)) for each in (fc, layers)]\nreturn y + z", "y, z = [relu(fc(x)), relu(layers(x))]."),
        ("y = [each + 1 for each in [x, y]]\nreturn y", "y = [x + 1, y + 1]."),
        ("y = sum(each(t) for each, t in ((fc, x), (layers, y)))\nreturn y", "y = sum([fc(x), layers(y)])."),
    ],
)
def test_a_comprehension_over_what_is_written_there_is_written_out(text, hint):
    assert told(text) == [("a comprehension has no place here", f"Write {hint}" if hint else "")]


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("for each in (fc, layers):\n    x = relu(each(x))\nreturn x", "\nx = relu(fc(x))\nx = relu(layers(x))"),
        ("for k, t in [(2, x), (3, y)]:\n    z = k * t\nreturn z", "\nz = 2 * x\nz = 3 * y"),
        (
            "for t in (x, y):\n    x = x + t\nreturn x",  # each turn would change what the next one is about
            "\nitems = (x, y)\nfor k in range(len(items)):\n    x = x + items[k]",
        ),
        (
            "z = x\nfor t in [x, y]:\n    if t.sum() > 0:\n        break\n    z = z + t\nreturn z",
            "\nitems = [x, y]\nfor k in range(len(items)):\n    if items[k].sum() > 0:\n        break\n    z = z + items[k]",
        ),
    ],
)
def test_a_loop_over_what_is_written_there_is_written_out_or_goes_by_index(text, hint):
    assert told(text) == [("for goes over range(...) or layers", f"Write:{hint}")]


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("x.swapaxes(0, 1)", "x.transpose(0, 1)"),
        ("x.moveaxis(0, 1)", "x.movedim(0, 1)"),
        ("x.multiply(y).subtract(1).ravel()", "x.mul(y).sub(1).flatten()"),
        ("x.arctan2(y)", "atan2(x, y)"),
        ("torch.swapdims(x, 0, 1)", "transpose(x, 0, 1)"),
        ("torch.true_divide(x, y)", "x.div(y)"),
    ],
)
def test_another_name_of_a_method_is_told_with_the_one_it_has_here(text, hint):
    assert told(f"return {text}")[0][1] == f"Write return {hint}."


@pytest.mark.parametrize("name", _ALSO)
def test_every_other_name_is_torchs_for_what_has_the_name_here(name):
    x, y = torch.rand(2, 3), torch.rand(2, 3) + 1
    one = dict.fromkeys(["absolute", "arccos", "arcsin", "arctan", "fix", "negative", "ravel"], (x,))
    dims = dict.fromkeys(["moveaxis", "swapaxes", "swapdims"], (x, 0, 1))
    arguments = {**one, **dims, "concat": ([x, y],), "concatenate": ([x, y],), "clip": (x, 0.2, 0.5)}.get(name, (x, y))
    assert torch.equal(getattr(torch, _ALSO[name])(*arguments), getattr(torch, name)(*arguments))


@pytest.mark.parametrize("text", ["act = nn.ReLU()", "self.act = nn.ReLU()"])
def test_a_text_that_only_makes_a_layer_is_answered_as_a_line_that_does(text):
    made = "a layer is made in layers, and called here"
    assert [what for what, _ in told(text)][:1] == [made]
    assert told(f"{text}; return act(x)")[0][0] == made
