"""The summary of a model: torch's own totals, what one forward pass did, and no trace of it in the model."""

from __future__ import annotations

import copy
import gc
import io
import os
import pathlib
import pickle
import pty
import re
import struct
import subprocess
import sys
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.modules import module as hooks
from torch.utils.flop_counter import FlopCounterMode

import modelzoo
from tests.helpers.composing import CONF, compose

MODELS = sorted(path.stem for path in (CONF / "model").glob("*.yaml"))
DATA = {"chimera", "fixed_hidden", "mixture_of_experts"}  # their forwards ask the data, which meta does not have
GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
ROOT = CONF.parent

LOOPS = {
    "inputs": {"x": [2, 3]},
    "layers": {"cell": "Linear(3, 3)"},
    "forward": (
        "i = 0\n"
        "while i < 3 and x.shape[0] == 2:\n"
        "    j = 0\n"
        "    while j < i or j < 1:\n"
        "        x = cell(x)\n"
        "        j += 1\n"
        "    i += 1\n"
        "while x.sum() > 1e9:\n"
        "    x = x / 2\n"
        "return x"
    ),
}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # the threads of other tests are busy
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("name", MODELS)
def test_the_totals_of_every_model_are_torchs(name: str) -> None:
    config, init = compose(f"model={name}")
    plan, model = modelzoo.plan(config, init), modelzoo.build(config, init, device="meta")
    summaries = [modelzoo.summary(plan), modelzoo.summary(model)]
    parameters, buffers = list(model.parameters()), list(model.buffers())
    trainable = sum(each.numel() for each in parameters if each.requires_grad)
    for found in summaries:
        assert found.totals.trainable == trainable
        assert found.totals.frozen == sum(each.numel() for each in parameters) - trainable
        assert found.totals.buffers == sum(each.numel() for each in buffers)
        assert found.totals.bytes == sum(each.numel() * each.element_size() for each in (*parameters, *buffers))
    if name in DATA:
        return
    inputs = [torch.zeros(each.shape, dtype=getattr(torch, each.dtype), device="meta") for each in plan.inputs]
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model.eval()(*inputs)
    assert [found.flops for found in summaries] == [counter.get_total_flops()] * 2


def test_a_forward_that_asks_the_data_is_counted_too() -> None:
    model, init = compose("model=fixed_hidden")
    assert modelzoo.summary(modelzoo.build(model, init)).flops == 3 * 2 * 2 * 20 * 20
    model, init = compose("model=mixture_of_experts")
    tokens, gate, expert = 4 * 6, 32 * 8, 2 * 32 * 64
    assert modelzoo.summary(modelzoo.build(model, init)).flops == 2 * tokens * (gate + 2 * expert)


@pytest.mark.parametrize(
    ("layer", "shapes"),
    [
        (nn.LSTM(3, 4, 2), [(2, 1, 3)]),
        (nn.GRU(3, 4), [(2, 1, 3)]),
        (nn.MultiheadAttention(8, 2, batch_first=True), [(2, 5, 8)] * 3),
        (nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), [(2, 5, 8)]),
    ],
    ids=["LSTM", "GRU", "MultiheadAttention", "TransformerEncoderLayer"],
)
def test_fused_kernels_of_the_cpu_are_counted_as_on_meta(layer: nn.Module, shapes: list[tuple[int, ...]]) -> None:
    on_meta = copy.deepcopy(layer).to("meta").eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        on_meta(*(torch.zeros(shape, device="meta") for shape in shapes))
    assert modelzoo.summary(layer, *map(torch.zeros, shapes)).flops == counter.get_total_flops() > 0
    assert torch.backends.mha.get_fastpath_enabled()
    assert torch.backends.mkldnn.enabled


@pytest.mark.parametrize("name", ["fixed_hidden", "shared", "lstm_lm", "mixture_of_experts"])
@pytest.mark.parametrize("width", [80, None], ids=["80", "piped"])
def test_whole_summaries_read_as_they_should(name: str, width: int | None) -> None:
    small = {"lstm_lm": ["model.args.vocab=50", "model.args.dim=8"]}.get(name, [])
    model, init = compose(f"model={name}", "init=constant", *small)
    shown = modelzoo.summary(modelzoo.build(model, init)).text(width)
    path = GOLDEN / f"table_of_{name}_{width or 'piped'}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(shown + "\n", encoding="utf-8")
    assert shown + "\n" == path.read_text(encoding="utf-8")
    assert shown.isascii()
    assert max(map(len, shown.splitlines())) <= (width or 200)


def test_the_turns_of_a_loop_are_those_it_takes_on_the_example() -> None:
    config, init = compose("model=fixed_hidden")
    model: Any = modelzoo.build(config, init)
    x = torch.full((2, 20), 3.0)
    with torch.no_grad():
        x = model.linear(torch.relu(model.linear(x) @ model.rand_weight))
        turns = 0
        while x.abs().sum() > 1:
            x, turns = x / 2, turns + 1
    assert turns > 1
    assert modelzoo.summary(model, x=torch.full((2, 20), 3.0)).rows[0].turns == (turns,)


def test_every_loop_is_counted_by_itself_whatever_its_condition() -> None:
    (root, cell, *_) = modelzoo.summary(modelzoo.build(LOOPS)).rows
    assert root.turns == (3, 1 + 1 + 2, 0)
    assert cell.calls == 4


def test_a_plan_says_that_it_cannot_know_the_turns() -> None:
    shown = str(modelzoo.plan(LOOPS))
    assert "Model, loop" in shown
    lines = ("while i < 3 and x.shape[0] == 2:", "while j < i or j < 1:", "while x.sum() > 1e9:")
    assert shown.endswith(
        "\n".join(f"note: a loop that depends on data is counted with one turn: {each}" for each in lines)
    )


def test_a_summary_knows_what_filled_a_tensor_until_its_values_change() -> None:
    model = modelzoo.build({"layers": ["Linear(2, 2, bias=False)"]}, {"w": {"layer": "Linear", "fill": 3}})
    assert modelzoo.summary(model).rows[-1].fill == "constant(value=3)"
    model(torch.zeros(1, 2)).sum().backward()
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    assert modelzoo.summary(model).rows[-1].fill == "constant(value=3), then changed"
    model[0] = nn.Linear(2, 2, bias=False)
    assert modelzoo.summary(model).rows[-1].fill == ""


def test_a_copy_knows_its_values_but_not_where_they_came_from() -> None:
    model = modelzoo.build(LOOPS)
    for same in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        rows = modelzoo.summary(same).rows
        assert {row.fill for row in rows} == {""}
        assert rows[0].turns is None
        assert [row.statistics for row in rows] == [row.statistics for row in modelzoo.summary(model).rows]


def test_a_summary_leaves_no_trace_in_the_model() -> None:
    layers = ["Linear(3, 3)", "BatchNorm1d(3)", "Dropout(0.5)"]
    model = modelzoo.build({"inputs": {"input": [2, 3]}, "layers": layers})
    model[2].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    own, state = set(vars(model)), torch.get_rng_state()
    modelzoo.summary(model)
    modelzoo.summary(model, torch.ones(4, 3))
    assert [each.training for each in model.modules()] == [True, True, True, False]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert set(vars(model)) == own == set(vars(nn.Sequential()))
    assert torch.equal(torch.get_rng_state(), state)
    assert not hooks._global_forward_hooks


def test_a_loop_that_was_counted_runs_its_own_forward_again() -> None:
    model = modelzoo.build(LOOPS)
    modelzoo.summary(model)
    assert "forward" not in vars(model)


def test_a_model_is_forgotten_when_nobody_else_holds_it() -> None:
    model = modelzoo.build(LOOPS)
    modelzoo.summary(model)
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None


def test_any_module_has_a_summary() -> None:
    layer = nn.Linear(3, 3)
    nn.init.constant_(layer.weight, 0.5)
    nn.init.zeros_(layer.bias)
    assert str(modelzoo.summary(nn.Sequential(layer, nn.ReLU(), layer), torch.zeros(2, 3))) == (
        "input input  [2, 3]  float32\n"
        "\n"
        "name        layer       shape   parameters  mean  std  shared with\n"
        "model       Sequential  [2, 3]          12\n"
        "  0         Linear x2   [2, 3]          12\n"
        "    weight              [3, 3]           9   0.5    0\n"
        "    bias                [3]              3     0    0\n"
        "  1         ReLU        [2, 3]\n"
        "  2         Linear      [2, 3]                         = 0\n"
        "\n"
        "12 parameters (12 trainable, 0 frozen), 0 in buffers, 48 bytes\n"
        "72 FLOPs, 72 bytes of activations"
    )


def test_a_module_that_nothing_is_known_of_is_not_called() -> None:
    class Unready(nn.Module):
        def forward(self) -> None:
            raise RuntimeError

    found = modelzoo.summary(nn.Sequential(Unready()))
    assert (found.flops, found.inputs, found.rows[0].calls) == (None, (), 0)


def test_an_example_that_no_longer_fits_is_a_note_and_inputs_that_do_not_fit_are_an_error() -> None:
    model = modelzoo.build({"inputs": {"x": [2, 3]}, "layers": ["Linear(3, 4)"]})
    model[0] = nn.Linear(5, 4)
    assert modelzoo.summary(model).messages == (
        "note: the example input could not be used: mat1 and mat2 shapes cannot be multiplied (2x3 and 5x4)",
    )
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        modelzoo.summary(model, torch.zeros(2, 3))


def test_what_is_no_module_and_what_has_no_sizes_is_refused() -> None:
    with pytest.raises(TypeError) as wrong:
        modelzoo.summary({"layers": ["ReLU"]})  # type: ignore[arg-type]
    assert str(wrong.value) == "summary takes a module or a plan, not dict: build(...) makes a module."
    with pytest.raises(ValueError, match=r"^'0\.weight' has no size yet: call the model once\.$"):
        modelzoo.summary(nn.Sequential(nn.LazyLinear(3)))


def test_a_notebook_gets_a_table_with_every_cell_and_no_markup_of_others() -> None:
    model = nn.Sequential()
    model.add_module("<b>", nn.Linear(2, 2, bias=False))
    found = modelzoo.summary(model, torch.zeros(1, 2))
    shown = found._repr_html_()
    assert "<b>" not in shown
    assert shown.count("<tr") == 4
    assert '<td style="text-align: left; white-space: pre-wrap">  &lt;b&gt;</td>' in shown
    assert shown.endswith("0 in buffers, 16 bytes</div><div>8 FLOPs, 8 bytes of activations</div>")


def test_a_notebook_shows_a_plan_as_its_summary() -> None:
    plan = modelzoo.plan({"inputs": {"x": [2, 4]}, "layers": ["Linear(4, 2)"]})
    assert plan._repr_html_() == plan.summary()._repr_html_()
    assert plan._repr_html_().count("<tr") == 5


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_print_fits_a_terminal_and_breaks_no_line_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    model, init = compose("model=lenet")
    found = modelzoo.summary(modelzoo.build(model, init))
    whole = str(found)
    assert whole == repr(found) == found.text()
    monkeypatch.setenv("COLUMNS", "80")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    print(found)
    assert terminal.getvalue() == found.text(80) + "\n" != whole + "\n"


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
@pytest.mark.parametrize("more", [[], ["device=meta"]], ids=["cpu", "meta"])
def test_a_run_in_an_ascii_terminal_of_80_columns_without_colour(more: list[str], tmp_path: pathlib.Path) -> None:
    import fcntl
    import termios

    folder = tmp_path / "é"
    folder.mkdir()
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 80, 0, 0))
    kept = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "FORCE_COLOR")}
    environment = {**kept, "TERM": "xterm", "NO_COLOR": "1", "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, str(ROOT / "run.py"), "model=lstm_lm", "model.args.vocab=50", *more]
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, cwd=folder, env=environment) as process:
        os.close(theirs)
        written = b""
        try:
            while part := os.read(ours, 65_536):
                written += part
        except OSError:  # how a pseudo-terminal of Linux ends
            pass
    os.close(ours)
    assert process.returncode == 0
    assert written.isascii()
    assert not re.search(rb"\x1b\[[\d;]*3\d", written)
    table = re.sub(r"\x1b\[[\d;]*m", "", written.decode()).split("\r\n\r\n")[bool(more)]
    assert max(map(len, table.splitlines())) <= 80
    assert "    weight      tied" in re.sub(r" {5,}", "      ", table)
