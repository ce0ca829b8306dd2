"""What signals say of any model: the numbers that hooks written by hand find, and nothing that changes the model."""

from __future__ import annotations

import json
import math
import pathlib
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import modelzoo
from modelzoo.config import compose
from modelzoo.measuring.lines import sparkline
from modelzoo.measuring.picture import Point, svg
from modelzoo.modules.homes import tensors_of
from modelzoo.run import job


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(8, 16), nn.ReLU(inplace=True), nn.Linear(16, 16), nn.Tanh())
        self.shared, self.norm = nn.Linear(16, 16), nn.BatchNorm1d(16)
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.shared(self.shared(self.body(x))))
        return self.attention(x[:, None], x[:, None], x[:, None])[0][:, 0]


def by_hand(model: nn.Module, x: Tensor) -> tuple[dict[str, list[Tensor]], dict[str, list[Tensor]], dict[str, Tensor]]:
    outputs: dict[str, list[Tensor]] = {}
    gradients: dict[str, list[Tensor]] = {}

    def after(name: str) -> Any:
        def hook(module: nn.Module, given: Any, output: Any) -> None:
            first = output[0] if isinstance(output, tuple) else output
            outputs.setdefault(name, []).append(first.detach().clone())
            first.register_hook(lambda gradient: gradients.setdefault(name, []).insert(0, gradient))

        return hook

    for name, module in model.named_modules():
        module.register_forward_hook(after(name))
    model.eval()
    model.norm.train()
    model(x).square().sum().backward()
    return outputs, gradients, {name: each.grad for name, each in model.named_parameters() if each.grad is not None}


def test_the_numbers_are_those_of_hooks_that_are_written_by_hand() -> None:
    torch.manual_seed(0)
    model, x = Net(), torch.randn(32, 8)
    found = modelzoo.signals(model, x, loss=lambda output: output.square().sum())
    outputs, gradients, of_weights = by_hand(model, x)
    assert {each.name for each in found.calls} == outputs.keys()
    for each in found.calls:
        wanted = outputs[each.name][each.number]
        assert each.shape == tuple(wanted.shape)
        assert each.mean == pytest.approx(wanted.mean().item(), abs=1e-6)
        assert each.std == pytest.approx(wanted.std().item(), rel=1e-5)
        assert each.largest == wanted.abs().max().item()
        assert each.zeros == pytest.approx((wanted == 0).float().mean().item())
        assert each.gradient == pytest.approx(gradients[each.name][each.number].std().item(), rel=1e-4)
    assert [each.number for each in found.calls if each.name == "shared"] == [0, 1]
    for weight in found.weights:
        assert weight.gradient == pytest.approx(of_weights[weight.name].std().item(), rel=1e-4, abs=1e-9)
    relu = next(each for each in found.calls if each.name == "body.1")
    assert relu.dead == (outputs["body.1"][0] == 0).all(0).float().mean()
    tanh = next(each for each in found.calls if each.name == "body.3")
    assert tanh.saturated == pytest.approx((outputs["body.3"][0].abs() > 0.97).float().mean().item())


def test_ratios_are_to_the_call_before_and_the_rank_is_that_of_the_batch() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))
    with torch.no_grad():
        model[0].weight.copy_(torch.eye(8))
        model[1].weight.zero_()[0, 0] = 1
        model[1].bias.zero_()
    found = modelzoo.signals(model, torch.eye(8) * 3)
    first, second, whole = found.calls
    assert (first.ratio, whole.ratio) == (None, 1.0)
    assert second.ratio == pytest.approx(second.std / first.std)
    assert first.rank > 5
    assert second.rank == pytest.approx(1, abs=0.01)


def test_the_trunk_goes_into_sequences_and_not_into_blocks_that_add() -> None:
    block = {"layers": {"a": "Linear(8, 8)", "b": "Linear(8, 8)"}, "forward": "x + b(relu(a(x)))"}
    model = {
        "inputs": {"x": [2, 8]},
        "layers": {"stem": ["Linear(8, 8)", "ReLU"], "h": {"_target_": "Block", "_repeat_": 3}, "out": "Linear(8, 2)"},
        "blocks": {"Block": block},
    }
    found = modelzoo.signals(modelzoo.build(model))
    assert [each.name for each in found.trunk] == ["stem.0", "stem.1", "h.0", "h.1", "h.2", "out"]


def test_what_is_added_in_place_belongs_to_the_block_and_not_to_its_last_layer() -> None:
    class Added(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.branch = nn.Linear(8, 8)

        def forward(self, x: Tensor) -> Tensor:
            y = self.branch(x)
            y += x
            return y

    model = nn.Sequential(Added(), nn.Linear(8, 8))
    nn.init.zeros_(model[0].branch.weight)
    nn.init.zeros_(model[0].branch.bias)
    x = torch.randn(16, 8)
    found = modelzoo.signals(model, x, advice=False)
    stds = {each.name: each.std for each in found.trunk}
    assert stds.keys() == {"0", "1"}
    assert stds["0"] == pytest.approx(x.std().item())
    assert [(each.kind, each.tensors[0]) for each in found.findings] == [
        ("constant", "0.branch.weight"),
        ("idle", "0.branch.weight"),
    ]


@pytest.mark.parametrize("call", ["add(branch(x), x)", "add(branch(x), y=x)"])
def test_a_branch_is_not_the_trunk_where_the_layer_behind_it_adds_what_went_past(call: str) -> None:
    blocks = {
        "Added": {"inputs": ["x", "y"], "layers": {"out": "Linear(8, 8)"}, "forward": "out(x) + y"},
        "Block": {"layers": {"branch": "Linear(8, 8)", "add": "Added"}, "forward": call},
    }
    model = {"inputs": {"x": [2, 8]}, "blocks": blocks, "layers": ["Block", "ReLU", "Block", "Linear(8, 8)"]}
    init = {"small": {"name": "*.branch.*", "fill": 1e-5}}
    found = modelzoo.signals(modelzoo.build(model, init))
    assert [each.name for each in found.trunk] == ["0", "1", "2", "3"]
    assert "vanishes" not in {each.kind for each in found.findings}


def test_a_block_that_is_called_by_name_is_known_to_be_given_something() -> None:
    model = {
        "inputs": {"x": [2, 8]},
        "parameters": {"w": {"shape": [8], "fill": "zeros"}},
        "forward": "x * w",
    }
    (found,) = modelzoo.signals(modelzoo.build(model), advice=False).findings
    assert (found.kind, found.tensors) == ("constant", ("w",))
    assert found.what == "what the model returns does not depend on its input: 'w' is zero."


def test_nothing_of_the_model_changes_and_torchs_generator_is_not_moved() -> None:
    model = Net().train()
    model.norm.eval()
    before = {name: (each.clone(), each._version) for name, each in tensors_of(model).items()}
    x, modes = torch.randn(8, 8), [each.training for each in model.modules()]
    state = torch.get_rng_state()
    modelzoo.signals(model, x)
    assert torch.get_rng_state().equal(state)
    after = tensors_of(model)
    assert all(after[name].equal(each) and after[name]._version == version for name, (each, version) in before.items())
    assert [each.training for each in model.modules()] == modes
    assert all(
        each.grad is None and not each._forward_hooks for each in model.parameters() if isinstance(each, nn.Module)
    )
    assert all(each.grad is None for each in model.parameters())
    assert state is not None


def test_a_batch_has_other_rows_of_the_table_and_the_size_that_was_asked_for() -> None:
    model = modelzoo.build({"inputs": {"x": {"shape": [1, 4], "dtype": "int64"}}, "layers": ["Embedding(100, 8)"]})
    embedding, _ = modelzoo.signals(model, batch=16).calls
    assert embedding.shape == (16, 4, 8)
    assert embedding.rank > 8  # zeros would look up one row only


def test_a_model_that_takes_no_batch_is_measured_with_its_example_and_says_so() -> None:
    model = {"inputs": {"x": [2, 4]}, "layers": {"a": "Linear(4, 4)"}, "forward": "a(x.view(2, 4))"}
    found = modelzoo.signals(modelzoo.build(model))
    assert found.calls[0].shape == (2, 4)
    assert str(found).endswith(
        "note: the model does not take 32 examples at once: this is of the example inputs as they are."
    )


@pytest.mark.parametrize(
    "model",
    [nn.Identity(), nn.Sequential(), nn.Tanh(), nn.ReLU(), nn.Embedding(9, 3)],
    ids=lambda each: type(each).__name__,
)
def test_models_without_parameters_or_values_are_measured_too(model: nn.Module) -> None:
    given = torch.randint(0, 9, (4, 2)) if isinstance(model, nn.Embedding) else torch.randn(4, 8)
    for each in model.parameters():
        nn.init.constant_(each, 0.5)
        each.data[1] = -0.5
    assert modelzoo.signals(model, given).findings == ()


def test_what_is_not_finite_is_told_and_ends_nothing() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4))
    with torch.no_grad():
        model[1].weight.fill_(math.inf)
    found = modelzoo.signals(model, torch.randn(8, 4))
    assert found.findings[0].kind == "explodes"
    assert "'1'" in found.findings[0].what


def test_what_cannot_be_measured_is_refused_in_a_sentence() -> None:
    with pytest.raises(TypeError, match="signals takes a module, not dict"):
        modelzoo.signals({})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"this module has no example inputs: write signals\(module, inputs\)\."):
        modelzoo.signals(nn.Linear(2, 2))
    with pytest.raises(modelzoo.ConfigError) as raised:
        modelzoo.signals(nn.Linear(2, 2), torch.ones(2, 2), limits={"daed": 0.1, "loss": -1})
    assert str(raised.value) == (
        "limits.daed\n  there is no limit 'daed'. Did you mean 'dead'?\n"
        "limits.loss\n  loss must be a positive number, not -1."
    )


def test_limits_decide_what_is_a_finding() -> None:
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64))
    with torch.no_grad():
        model[0].bias[:20] = -8
    x = torch.randn(32, 64)
    assert modelzoo.signals(model, x, advice=False).findings == ()
    (found,) = modelzoo.signals(model, x, limits={"dead": 0.3}, advice=False).findings
    assert (found.kind, found.what) == ("dead", "31% of the units behind '0' are dead: zero for the whole batch.")


@pytest.mark.parametrize(
    ("model", "init", "args"),
    [
        ("mlp", "xavier", {}),
        ("vae", "vae", {}),
        ("llama", "llama", {}),
        ("gpt2", "gpt2", {"dim": 64, "heads": 4, "layers": 6, "vocab": 300}),
        ("bert", "bert", {"dim": 64, "heads": 4, "layers": 4, "vocab": 300}),
    ],
)
def test_published_inits_of_published_models_have_no_findings(model: str, init: str, args: dict[str, Any]) -> None:
    built = modelzoo.build(f"conf/model/{model}.yaml", f"conf/init/{init}.yaml", args=args)
    assert modelzoo.signals(built, batch=8).findings == ()


# -- in a terminal, on a page -----------------------------------------------------------------------------------------


def test_a_sparkline_is_on_a_logarithmic_scale_and_no_longer_than_the_terminal() -> None:
    assert sparkline([10.0**each for each in range(8)]) == "▁▂▃▄▅▆▇█"
    assert len(sparkline([1.0] * 500)) == 60
    assert sparkline([0.0, math.nan, 1.0]) == "_!▄"


def test_the_picture_shows_each_model_and_obeys_no_name() -> None:
    hostile = [Point('</title><script>x</script>"', 1.0, None), Point("h.0.a\x1b[31m", math.inf, 0.0)]
    text = svg({"init=<b>": hostile, "init=other": [Point("a", 0.5, 2.0)]})
    assert "<script" not in text
    assert "<b>" not in text
    assert "\x1b" not in text
    assert text.count("<polyline") == 2 * 2 + 2
    assert svg({"": []}).startswith("<svg")


def test_a_run_prints_writes_and_shows_what_it_measured(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    rules = tmp_path / "conf" / "init"
    rules.mkdir(parents=True)
    (rules / "large.yaml").write_text("w: {layer: Linear, param: weight, fill: normal(std=9)}\n")
    typed = ["model=mlp", "init=large", "signals=true", "limits={loss: 2}", "batch=8", "export=[report]"]
    facts = job.run(compose.compose(typed), tmp_path)
    told = capfd.readouterr().out
    assert "explodes: the signal explodes in 'hidden': its size goes from " in told
    assert "  init.w (conf/init/large.yaml:1:35) fills 'hidden.weight'." in told
    assert facts["findings"] == 1
    assert facts["signal_max"] > facts["signal_min"] > 10
    written = json.loads((tmp_path / "signals.json").read_text())
    assert [each["kind"] for each in written["findings"]] == ["explodes"]
    assert {each["shape"][0] for each in written["calls"]} == {8}
    page = (tmp_path / "report.html").read_text()
    assert "explodes: the signal explodes in &#39;hidden&#39;" in page
    assert page.count("<polyline") == 2


def test_what_signals_cannot_be_is_told_with_what_else_is_wrong(tmp_path: pathlib.Path) -> None:
    with pytest.raises(modelzoo.ConfigError) as raised:
        job.run(compose.compose(["model=mlp", "signals=maybe", "batch=0", "limits=[dead]"]), tmp_path)
    assert [(each.what, each.hint) for each in raised.value.problems] == [
        ("signals must be true or false, not 'maybe'.", "Type signals=true."),
        ("batch must be a positive integer, not 0.", "Type batch=32."),
        ("limits must be a mapping from names to numbers, not ['dead'].", "Type 'limits={dead: 0.3}'."),
    ]


def test_the_loss_of_a_job_is_what_is_differentiated_on_as_many_targets_as_examples(tmp_path: pathlib.Path) -> None:
    typed = ["model=mlp", "signals=true", "batch=16", "loss.forward='cross_entropy(output, target)'"]
    job.run(compose.compose([*typed, "loss.inputs={target: {shape: [2], dtype: int64}}"]), tmp_path)
    written = json.loads((tmp_path / "signals.json").read_text())
    out = next(each for each in written["calls"] if each["name"] == "out")
    assert out["shape"] == [16, 10]
    assert 0 < out["gradient"] < 1 / 16
    assert written["notes"] == []
