"""What `python -m modelzoo list` and `python run.py --help` say, and that every example it gives builds."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest
import torch
import yaml
from torch import nn

import modelzoo
from modelzoo import register
from modelzoo.__main__ import main
from modelzoo.catalog import fills, functions, layers
from modelzoo.cli.facts import fill_facts, function_facts, layer_facts
from modelzoo.config import search_path

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture
def listed(capsys):
    """What a command prints, and its exit code."""

    def run(*arguments: str) -> tuple[int, str, str]:
        code = main(["list", *arguments])
        return code, *capsys.readouterr()

    return run


# --- all of a kind -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("layers", {*layers.LAYERS}),
        ("fills", {*fills.TORCHS}),
        ("functions", {*functions.FUNCTIONS}),
        ("methods", {*functions.METHODS, *functions.ATTRIBUTES}),
        ("models", {each.stem for each in (ROOT / "conf" / "model").glob("*.yaml")}),
        ("inits", {each.stem for each in (ROOT / "conf" / "init").glob("*.yaml")}),
    ],
)
def test_a_kind_is_a_table_of_all_names_each_with_a_line_about_it(kind, names, listed):
    code, out, err = listed(kind)
    rows = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert (code, err) == (0, "")
    assert names <= rows.keys()
    assert not [about for about in rows.values() if ":`" in about or "``" in about]


def test_a_table_as_json_holds_the_same_rows(listed):
    _, out, _ = listed("fills", "--format", "json")
    assert {"name": "ones", "about": "Fill the input Tensor with the scalar value 1."} in json.loads(out)


def test_models_are_listed_without_torch():
    code = "import sys; from modelzoo.__main__ import main; main(['list', 'models']); sys.exit('torch' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert (
        subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False).returncode == 0
    )


def test_a_project_lists_its_own_models_and_hides_those_of_the_package(tmp_path, monkeypatch, listed):
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "conf" / "model" / "own.yaml").write_text("# My own, for $5\nlayers: [ReLU]\n")
    (tmp_path / "conf" / "model" / "mlp.yaml").write_text("layers: [ReLU]\n")
    monkeypatch.chdir(tmp_path)
    rows = dict((*line.split(maxsplit=1), "")[:2] for line in listed("models")[1].splitlines())
    assert rows["own"] == "My own, for $5"
    assert rows["mlp"] == ""
    assert rows["shared"].startswith("One layer in two places")


# --- one of a kind -------------------------------------------------------------------------------------------------


def test_a_layer_is_told_with_its_arguments_what_is_inferred_and_an_example_in_both_notations(listed):
    code, out, _ = listed("layers", "Linear")
    assert code == 0
    assert out == (
        "Linear(in_features, out_features, bias=True)\n\n"
        "Applies an affine linear transformation to the incoming data: y = xA^T + b.\n\n"
        "arguments:\n"
        "  in_features   a positive integer: size of each input sample.\n"
        "  out_features  a positive integer: size of each output sample.\n"
        "  bias          true or false, true if left out: If set to False, the layer will not learn an additive bias.\n\n"
        "in_features may be left out: input is [*, in_features].\n\n"
        "text     layer: Linear(20, 10)\n"
        "mapping  layer: {_target_: Linear, in_features: 20, out_features: 10}\n"
    )


@pytest.mark.parametrize("name", list(layers.LAYERS))
def test_the_example_of_a_layer_builds_the_same_in_both_notations(name):
    examples = layer_facts(name)["examples"]
    text, mapping = (yaml.safe_load(examples[each])["layer"] for each in ("text", "mapping"))
    assert isinstance(text, str)
    one, other = (modelzoo.build({"layers": {"layer": each}}) for each in (text, mapping))
    assert type(one.layer) is getattr(nn, name)
    assert repr(one) == repr(other)
    assert all(map(torch.equal, one.state_dict().values(), other.state_dict().values()))


@pytest.mark.parametrize("name", sorted(fills.TORCHS))
def test_the_example_of_a_fill_fills_the_same_in_both_notations(name):
    facts = fill_facts(name)
    assert facts["about"]
    shape = [4, 4, 3] if name == "dirac" else [20, 10]
    filled = []
    for example in facts["examples"].values():
        fill = yaml.safe_load(example)["fill"]
        if fills.FILLS[name].measured:  # what a layer returns
            rule, layer = (
                {"name": "a.weight", "fill": fill},
                {"inputs": {"x": [8, 20]}, "layers": {"a": "Linear(20, 10)"}},
            )
            filled.append(modelzoo.build(layer, {"rule": rule}).a.weight)
            continue
        model = {"parameters": {"a": {"shape": shape, "fill": fill}}, "forward": "x + a"}
        filled.append(modelzoo.build(model).a)
    assert torch.equal(*filled)


@pytest.mark.parametrize("name", list(functions.FUNCTIONS))
def test_a_function_is_told_without_what_a_text_may_not_give(name):
    facts = function_facts(name)
    assert facts["about"]
    assert facts["signature"].startswith(f"{name}(")
    assert facts["signature"].endswith(")")
    given = {each.partition("=")[0].strip() for each in facts["signature"][len(name) + 1 : -1].split(",")}
    assert not given & functions.FORBIDDEN_KEYWORDS


@pytest.mark.parametrize(
    ("name", "signature"),
    [
        (
            "scaled_dot_product_attention",
            "(query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False)",
        ),
        ("layer_norm", "(input, normalized_shape, weight=None, bias=None, eps=1e-05)"),
        ("sort", "(input, dim=-1, descending=False, *, stable=False)"),
        ("zeros", "(*size, *, dtype=None)"),
    ],
)
def test_a_signature_is_that_of_torch(name, signature):
    assert function_facts(name)["signature"] == name + signature


def test_a_method_is_told_by_the_function_it_refers_to(listed):
    assert listed("methods", "flatten")[1] == (
        "x.flatten(start_dim=0, end_dim=-1)\n\nFlattens input by reshaping it into a one-dimensional tensor.\n"
    )
    assert listed("methods", "T")[1] == "x.T\n\nReturns a view of this tensor with its dimensions reversed.\n"


def test_a_model_is_told_with_its_args_and_the_command_that_runs_it(listed):
    code, out, _ = listed("models", "resnet50")
    facts = json.loads(listed("models", "resnet50", "--format", "json")[1])
    assert code == 0
    assert out.splitlines()[-1] == "run: python run.py model=resnet50"
    assert facts["args"]["block"] == "Bottleneck"
    assert facts["args"]["stem"] == 64  # what it inherits


def test_an_init_is_told_with_its_rules_as_a_config_writes_them(listed):
    out = listed("inits", "threshold")[1]
    rules = yaml.safe_load(out[out.index("rules:") : out.index("run:")])["rules"]
    assert rules == yaml.safe_load((ROOT / "conf" / "init" / "threshold.yaml").read_text())


@pytest.mark.parametrize("name", ["torch.nn.Linear", "torch.nn.modules.linear.Linear"])
def test_a_long_name_is_known(name, listed):
    assert listed("layers", name) == listed("layers", "Linear")


def test_the_name_of_a_fill_may_have_the_underscore_of_torch(listed):
    assert listed("fills", "normal_") == listed("fills", "normal")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["layers", "Linaer"], "command line  Linaer\n  There is no layer 'Linaer'. Did you mean 'Linear'?\n"),
        (["fill", "normal"], "command line  fill\n  There is no kind 'fill'. Did you mean 'fills'?\n"),
        (["models", "gtp2"], "command line  gtp2\n  There is no model 'gtp2'. Did you mean 'gpt2'?\n"),
        (["methods", "zzz"], "command line  zzz\n  There is no method 'zzz'. Type python -m modelzoo list methods.\n"),
    ],
)
def test_an_unknown_name_is_answered(arguments, message, listed):
    assert listed(*arguments) == (1, "", message)


# --- registered ones -----------------------------------------------------------------------------------------------


def test_registered_things_are_listed_and_told(listed):
    @register.layer(sizes={"x": "* in_features"})
    class ListedScale(nn.Module):
        """Scales its input. Slowly.

        Args:
            in_features: how many.
        """

        def __init__(self, in_features: int, by: float = 2.0, mode: object = None) -> None:
            super().__init__()

        def forward(self, x):
            return x

    @register.layer
    class ListedOdd(nn.Module):
        def __init__(self, oddity):
            super().__init__()

    @register.function
    def listed_twice(x):
        """Doubles. Nothing else."""
        return 2 * x

    @register.fill
    def listed_spread(tensor, width=1.0, *, generator):
        """Spreads evenly."""

    assert "ListedScale  " in listed("layers")[1]
    assert listed("layers", "ListedScale")[1] == (
        "ListedScale(in_features, by=2.0, mode=None)\n\nScales its input.\n\n"
        "arguments:\n  in_features  an integer: how many.\n  by           a number, 2.0 if left out\n"
        "  mode         anything, null if left out\n\n"
        "in_features may be left out: x is [*, in_features].\n\n"
        "text     layer: ListedScale(20)\nmapping  layer: {_target_: ListedScale, in_features: 20}\n"
    )
    assert "layer:" not in listed("layers", "ListedOdd")[1]
    assert listed("functions", "listed_twice")[1] == "listed_twice(x)\n\nDoubles.\n"
    assert listed("fills", "listed_spread")[1].startswith("listed_spread(width=1.0)\n\nSpreads evenly.\n")


# --- help ----------------------------------------------------------------------------------------------------------


def typed(folder: pathlib.Path, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(ROOT / "run.py"), *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, encoding="utf-8", check=True
    ).stdout


def test_help_lists_every_group_with_the_first_line_of_each_config(tmp_path):
    for path, text in {
        "model/own.yaml": "# My own: ${x}, $y and $$\nlayers: [ReLU]\n",
        "study/deep/small.yaml": "# @package _global_\nseed: 3\n",
    }.items():
        file = tmp_path / "conf" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    out = typed(tmp_path, "--help")
    rows = out.partition("(group=name) ==\n\n")[2].partition("\n\n== What can be set")[0]
    groups = {lines[0]: lines[1:] for lines in (each.split("\n") for each in rows.split("\n\n"))}
    assert list(groups) == ["groups:", "init:", "load:", "load/names:", "model:", "parallel:", "study:", "study/deep:"]
    assert any(line.startswith("  timm_vit ") for line in groups["load/names:"])
    assert "  own                 My own: ${x}, $y and $$" in groups["model:"]
    assert groups["study/deep:"] == ["  small"]
    told = {line.split()[0]: line.split(maxsplit=1)[1] for line in groups["init:"]}
    assert told == search_path.described("init")


def test_bash_completes_groups_names_and_keys(tmp_path):
    shutil.copy(ROOT / "run.py", tmp_path)
    script = """
        eval "$(python run.py -sc install=bash)"
        for typed in model=vg init=xav model.args.wi; do
            COMP_LINE="python run.py $typed" COMP_POINT=99 COMP_CWORD=2
            hydra_bash_completion && echo "${COMPREPLY[@]}"
        done
    """
    path = f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": path}
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, encoding="utf-8")
    assert done.stdout.splitlines() == ["model=vgg16", "init=xavier init=xavier_normal", "model.args.width="]
