"""The terminal's view: whole texts, at 80 columns, in a pipe, in ASCII; and its totals are torch's."""

from __future__ import annotations

import io
import os
import pathlib
import re
from typing import Any

import pytest
import torch
from torch import nn

from modelzoo.errors import ConfigError, Problem
from modelzoo.plans.printing import output_lines, value_lines
from modelzoo.plans.rows import Row, rows
from modelzoo.plans.table import model_table
from modelzoo.terminal import show, text
from tests.helpers.planned import plan_of

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
FILLS = {
    "weight": "xavier_uniform(gain=1.0)",
    "bias": "zeros",
    "mask": "w = uniform(-10, 10)\nreturn w * (abs(w) >= 5)",
}


class Block(nn.Module):
    """A residual block with a constant."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("mask", torch.ones(4, 4))
        self.up = nn.Linear(dim, 4 * dim)
        self.down = nn.Linear(4 * dim, dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.down(self.up(x).relu())  # type: ignore[no-any-return]


class Tied(nn.Module):
    """Twelve equal blocks and a head that is frozen and tied to the embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(100, 16)
        self.blocks = nn.Sequential(*(Block(16) for _ in range(12)))
        self.head = nn.Linear(16, 100, bias=False)
        self.head.weight = self.embed.weight
        self.head.weight.requires_grad_(False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.blocks(self.embed(x)))  # type: ignore[no-any-return]


def tied() -> tuple[Any, nn.Module]:
    """The model above with values known by heart: copy k of 12 is filled with k."""
    model = Tied()
    with torch.no_grad():
        for value in model.parameters():
            value.fill_(0.5)
        for index, block in enumerate(model.blocks):
            for value in block.parameters():
                value.fill_(index)
    return plan_of(model, torch.zeros(2, 5, dtype=torch.long), fills=FILLS), model


def shared() -> tuple[Any, nn.Module]:
    layer = nn.Linear(8, 8)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), layer, nn.ReLU(), layer, nn.ReLU(), nn.Linear(8, 1))
    with torch.no_grad():
        for value in model.parameters():
            value.fill_(-0.25)
    return plan_of(model, torch.zeros(2, 4), fills=FILLS), model


def deep() -> tuple[Any, nn.Module]:
    """Long names, deep down."""
    model: nn.Module = nn.Linear(3, 3)
    for name in ("attention_output", "transformer_layer", "encoder_stack", "backbone_network"):
        outer = nn.Sequential()
        outer.add_module(name, model)
        model = outer
    with torch.no_grad():
        for value in model.parameters():
            value.fill_(0.125)
    return plan_of(model, torch.zeros(2, 3), fills=FILLS), model


class Terminal(io.TextIOWrapper):
    """A file that says it is a terminal."""

    def __init__(self, encoding: str = "utf-8") -> None:
        super().__init__(io.BytesIO(), encoding=encoding)

    def isatty(self) -> bool:
        return True

    def written(self) -> str:
        self.flush()
        return self.buffer.getvalue().decode(self.encoding)  # type: ignore[attr-defined, no-any-return]


def golden(name: str, shown: str) -> None:
    path = GOLDEN / f"table_{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(shown + "\n", encoding="utf-8")
    assert shown + "\n" == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("width", [80, None], ids=["80", "piped"])
@pytest.mark.parametrize("make", [tied, shared, deep], ids=["tied", "shared", "deep"])
def test_the_whole_table_reads_as_it_should(make: Any, width: int | None) -> None:
    plan, model = make()
    golden(f"{make.__name__}_{width or 'piped'}", text(model_table(rows(plan, model)), width))


@pytest.mark.parametrize("make", [tied, shared], ids=["tied", "shared"])
def test_a_plan_prints_without_a_model(make: Any) -> None:
    golden(f"{make.__name__}_plan", str(make()[0]))


def test_a_plan_says_its_warnings_and_notes() -> None:
    plan = plan_of(
        nn.ReLU(),
        warnings=(Problem(where="conf/init/x.yaml:3:1", path="init.biases", what="This rule matches nothing."),),
        notes=("sizes after 'topk' depend on data and were not checked",),
    )
    assert str(plan) == (
        "name   layer  shape  parameters\n"
        "model  ReLU\n"
        "\n"
        "0 parameters (0 trainable, 0 frozen), 0 in buffers, 0 bytes\n"
        "warning: conf/init/x.yaml:3:1  init.biases\n"
        "  This rule matches nothing.\n"
        "note: sizes after 'topk' depend on data and were not checked"
    )


@pytest.mark.parametrize("width", range(60, 130, 7))
@pytest.mark.parametrize("make", [tied, shared, deep], ids=["tied", "shared", "deep"])
def test_nothing_is_cut_off_at_any_width(make: Any, width: int) -> None:
    plan, model = make()
    shown = text(model_table(rows(plan, model)), width)
    assert max(map(len, shown.splitlines())) <= width
    assert _letters(shown) == _letters(text(model_table(rows(plan, model))))


def test_a_terminal_too_narrow_for_the_numbers_loses_no_letter() -> None:
    plan, model = tied()
    shown = text(model_table(rows(plan, model)), 30)
    assert "12 x 2,128" in shown
    assert _letters(shown) == _letters(text(model_table(rows(plan, model))))


@pytest.mark.parametrize("make", [tied, shared], ids=["tied", "shared"])
def test_totals_are_torchs_own(make: Any) -> None:
    plan, model = make()
    total = sum(each.numel() for each in model.parameters())
    trainable = sum(each.numel() for each in model.parameters() if each.requires_grad)
    buffers = sum(each.numel() for each in model.buffers())
    size = sum(each.numel() * each.element_size() for each in [*model.parameters(), *model.buffers()])
    assert text(model_table(rows(plan))).splitlines()[-1] == (
        f"{total:,} parameters ({trainable:,} trainable, {total - trainable:,} frozen), "
        f"{buffers:,} in buffers, {size:,} bytes"
    )


def test_copies_that_differ_in_a_fill_are_not_folded() -> None:
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    plan = plan_of(model)
    names = [line.split()[0] for line in str(plan).splitlines() if line.startswith("  ")]
    assert names == ["0-2", "weight"]
    other = type(plan.tensors[1])(**{**_fields(plan.tensors[1]), "fill": "ones"})
    changed = type(plan)(**{**_fields(plan), "tensors": (plan.tensors[0], other, plan.tensors[2])})
    names = [line.split()[0] for line in str(changed).splitlines() if line.startswith("  ")]
    assert names == ["0", "weight", "1", "weight", "2", "weight"]


def test_equal_layers_are_folded_only_if_their_names_count() -> None:
    model = nn.Sequential()
    for name in ("block0", "block1", "block2", "block4", "a", "b"):
        model.add_module(name, nn.Linear(3, 3, bias=False))
    names = [line.split()[0] for line in str(plan_of(model)).splitlines() if line.startswith("  ")]
    assert names == ["block0-2", "weight", "block4", "weight", "a", "weight", "b", "weight"]


def test_repeats_of_one_module_fold_behind_the_first() -> None:
    layer = nn.Linear(3, 3, bias=False)
    assert str(plan_of(nn.Sequential(*[layer] * 6), torch.zeros(1, 3))) == (
        "input x0  [1, 3]  float32\n"
        "\n"
        "name        layer       shape   parameters  fill     shared with\n"
        "model       Sequential  [1, 3]           9\n"
        "  0         Linear x6   [1, 3]           9\n"
        "    weight              [3, 3]           9  default\n"
        "  1-5       5 x Linear  [1, 3]                       = 0\n"
        "\n"
        "9 parameters (9 trainable, 0 frozen), 0 in buffers, 36 bytes"
    )


def test_a_tie_inside_every_copy_does_not_keep_them_apart() -> None:
    def block() -> nn.Module:
        pair = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=True))
        pair[1].weight = pair[0].weight
        return pair

    shown = str(plan_of(nn.Sequential(block(), block())))
    assert "0-1" in shown.split()
    assert "0.0.weight" in shown


class Experts(nn.Module):
    """Copies that get as many rows each as the data decides."""

    def __init__(self, *rows: int) -> None:
        super().__init__()
        self.rows = rows
        self.experts = nn.ModuleList(nn.Linear(3, 3, bias=False) for _ in rows)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([expert(x[:count]) for expert, count in zip(self.experts, self.rows, strict=True)])


def test_copies_that_got_different_numbers_of_rows_are_folded() -> None:
    assert str(plan_of(Experts(2, 5, 0), torch.zeros(5, 3))) == (
        "input x0  [5, 3]  float32\n"
        "\n"
        "name          layer       shape   parameters  fill\n"
        "model         Experts     [7, 3]          27\n"
        "  experts     ModuleList                  27\n"
        "    0-2       3 x Linear  [*, 3]       3 x 9\n"
        "      weight              [3, 3]           9  default\n"
        "\n"
        "27 parameters (27 trainable, 0 frozen), 0 in buffers, 108 bytes"
    )


def test_copies_that_return_different_sizes_are_not_folded() -> None:
    model = nn.Sequential(*(nn.Conv2d(1, 1, 3, bias=False) for _ in range(3)))
    names = [line.split()[0] for line in str(plan_of(model, torch.zeros(1, 1, 9, 9))).splitlines() if line[:1] == " "]
    assert names == ["0", "weight", "1", "weight", "2", "weight"]


@pytest.mark.parametrize(
    ("module", "shown"),
    [
        (Row(name="", depth=0, kind="module", type="Cell", calls=1), "Cell"),
        (Row(name="", depth=0, kind="module", type="Cell", calls=3), "Cell x3"),
        (Row(name="", depth=0, kind="module", type="Cell", calls=1, loops=1), "Cell, loop"),
        (Row(name="", depth=0, kind="module", type="Cell", calls=1, loops=1, turns=(0,)), "Cell, 0 turns"),
        (Row(name="", depth=0, kind="module", type="Cell", calls=1, loops=1, turns=(1,)), "Cell, 1 turn"),
        (Row(name="", depth=0, kind="module", type="Cell", calls=2, loops=2, turns=(4, 1)), "Cell x2, 4 + 1 turns"),
    ],
)
def test_a_module_says_its_calls_and_the_turns_of_its_loops(module: Row, shown: str) -> None:
    assert model_table([module]).lines[0].layer == shown


def test_a_tied_tensor_is_marked_where_it_stands_second() -> None:
    plan, _ = tied()
    marks = {line.name.strip(): line.layer for line in model_table(rows(plan)).lines if line.shared}
    assert marks == {"weight": "frozen tied"}


def test_a_terminal_with_room_for_all_columns_gets_them_and_a_narrower_one_gets_lines_below() -> None:
    plan, model = shared()
    whole = text(model_table(rows(plan, model)))
    width = max(map(len, whole.splitlines()))
    assert text(model_table(rows(plan, model)), width) == whole
    assert "\n      xavier_uniform(gain=1.0)  mean -0.25, std 0\n" in text(model_table(rows(plan, model)), width - 1)


def test_piped_text_has_no_colour_and_no_line_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "40")
    plan, model = tied()
    file = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    show(model_table(rows(plan, model)), file)
    file.flush()
    shown = file.buffer.getvalue().decode()  # type: ignore[attr-defined]
    assert shown == (GOLDEN / "table_tied_piped.txt").read_text(encoding="utf-8")


def test_a_terminal_gets_its_own_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm-256color")
    plan, model = tied()
    file = Terminal()
    show(model_table(rows(plan, model)), file)
    assert "\x1b[" in file.written()
    plain = re.sub(r"\x1b\[[\d;]*m", "", file.written())
    lines = [line.rstrip() for line in plain.splitlines()]
    assert lines == (GOLDEN / "table_tied_80.txt").read_text(encoding="utf-8").splitlines()


def test_no_color_leaves_no_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    plan, model = tied()
    file = Terminal()
    show(model_table(rows(plan, model)), file)
    assert not re.search(r"\x1b\[[\d;]*3\d", file.written())


def test_the_table_is_ascii_and_other_letters_are_escaped_where_the_terminal_has_none() -> None:
    plan, model = tied()
    assert text(model_table(rows(plan, model)), 80).isascii()
    file = Terminal("ascii")
    show(model_table(rows(plan_of(nn.Linear(1, 1), fills={"weight": "café"}))), file)
    assert "caf\\xe9" in file.written()


def test_brackets_in_a_fill_are_no_markup() -> None:
    shown = str(plan_of(nn.Linear(1, 1, bias=False), fills={"weight": "value[bold] :smile:"}))
    assert "value[bold] :smile:" in shown


def regression() -> nn.Sequential:
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
    with torch.no_grad():
        for value in model.parameters():
            value.fill_(0.5)
    return model


def test_values_are_shown_with_no_gradient_before_a_backward_pass_and_with_one_after() -> None:
    model = regression()
    assert value_lines(model, "2.*") == [
        "2.weight  [1, 2]  float32",
        "  tensor([[0.5000, 0.5000]])",
        "  gradient: none",
        "2.bias  [1]  float32",
        "  tensor([0.5000])",
        "  gradient: none",
    ]
    model(torch.ones(3, 2)).sum().backward()
    assert value_lines(model, "2.*") == [
        "2.weight  [1, 2]  float32",
        "  tensor([[0.5000, 0.5000]])",
        "  gradient:",
        "  tensor([[4.5000, 4.5000]])",
        "2.bias  [1]  float32",
        "  tensor([0.5000])",
        "  gradient:",
        "  tensor([3.])",
    ]


def test_a_buffer_has_no_gradient_and_a_second_home_only_a_name() -> None:
    model = nn.Module()
    model.register_buffer("rand_weight", torch.ones(2))
    model.a, model.b = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    nn.init.ones_(model.a.weight)
    model.b.weight = model.a.weight
    assert value_lines(model, "*") == [
        "a.weight  [1, 1]  float32",
        "  tensor([[1.]])",
        "  gradient: none",
        "b.weight = a.weight",
        "rand_weight  [2]  float32",
        "  tensor([1., 1.])",
    ]


def test_showing_values_leaves_the_print_options_of_the_user_alone() -> None:
    before = repr(torch.ones(40))
    value_lines(nn.Linear(40, 1), "*")
    assert repr(torch.ones(40)) == before


def test_a_pattern_that_fits_nothing_is_answered_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError) as error:
        value_lines(regression(), "2.wieght")
    assert str(error.value) == ("show\n  No parameter or buffer has a name like '2.wieght'. Did you mean '2.weight'?")


def test_a_nested_output_is_told_tensor_by_tensor() -> None:
    output = (torch.tensor([1.5, 2.0]), {"mask": torch.tensor([True, False])}, None, torch.tensor([1.0, float("inf")]))
    assert output_lines(output) == [
        "output[0]  [2]  float32  finite",
        "  tensor([1.5000, 2.0000])",
        "output[1]['mask']  [2]  bool",
        "  tensor([ True, False])",
        "output[2]  None",
        "output[3]  [2]  float32  not finite: 1 of 2 values",
        "  tensor([1., inf])",
    ]


def test_outputs_with_a_gradient_history_and_on_meta_can_be_shown() -> None:
    assert output_lines(torch.ones(1, requires_grad=True) * 2)[0] == "output  [1]  float32  finite"
    assert output_lines(torch.ones(3, device="meta")) == ["output  [3]  float32", "  on meta: no values"]


def _letters(shown: str) -> list[str]:
    """What a table says below its titles."""
    _, below = shown.split("\n", 1)
    return sorted(re.sub(r"mean|std|[\s,]", "", below))


def _fields(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__dataclass_fields__}
