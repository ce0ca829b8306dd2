"""A reference's checkpoint is loaded whole, or everything that does not fit is said; nothing is half loaded."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn
from transformers import GPT2LMHeadModel, GPT2Model

import modelzoo
from modelzoo.config.config import Config, from_mapping, nowhere
from modelzoo.run.job import run
from modelzoo.run.load import load_parameters
from tests.helpers.composing import CONF, compose
from tests.helpers.zoo_language import TWINS, gpt2

OVERRIDES = ["model=gpt2", *TWINS["gpt2"].overrides, "model.args.layers=2"]


@pytest.fixture
def model() -> Any:
    return modelzoo.build(compose(*OVERRIDES)[0]).eval()


@pytest.fixture
def reference() -> GPT2LMHeadModel:
    torch.manual_seed(1)
    return gpt2(**{**TWINS["gpt2"].small, "layers": 2}).eval()


def logits(model: nn.Module) -> Tensor:
    with torch.no_grad():
        output = model(torch.arange(22).view(2, 11))
    return output if isinstance(output, Tensor) else output.logits


def refused(model: nn.Module, path: Path, **options: Any) -> str:
    """The whole text of the error, with the folder left out; the model is as it was."""
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(modelzoo.ConfigError) as error:
        load_parameters(model, path, **options)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    return str(error.value).replace(f"{path.parent}/", "")


def edited(reference: nn.Module, path: Path, **changes: Tensor | None) -> Path:
    """The reference's checkpoint with tensors replaced, added, or left out (None)."""
    tensors = {name: value.clone() for name, value in reference.state_dict().items() if name != "lm_head.weight"}
    for name, value in changes.items():
        tensors.pop(name, None)
        if value is not None:
            tensors[name] = value
    safetensors.torch.save_file(tensors, path)
    return path


# --- what transformers writes ----------------------------------------------------------------------------------------


def test_a_checkpoint_of_transformers_is_loaded_and_the_head_stays_tied(tmp_path, model, reference):
    reference.save_pretrained(tmp_path)
    assert load_parameters(model, tmp_path / "model.safetensors") == ()
    torch.testing.assert_close(logits(model), logits(reference), rtol=1e-5, atol=1e-5)
    assert model.lm_head.weight is model.transformer.wte.weight


def test_a_sharded_checkpoint_of_transformers_is_loaded_by_its_index(tmp_path, model, reference):
    reference.save_pretrained(tmp_path, max_shard_size="20KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 2
    load_parameters(model, tmp_path / "model.safetensors.index.json")
    torch.testing.assert_close(logits(model), logits(reference), rtol=1e-5, atol=1e-5)


def test_a_checkpoint_in_half_precision_is_widened(tmp_path, model, reference):
    reference.bfloat16().save_pretrained(tmp_path)
    load_parameters(model, tmp_path / "model.safetensors")
    assert torch.equal(model.transformer.wte.weight, reference.transformer.wte.weight.float())


def test_the_checkpoint_of_the_model_without_its_head_lacks_a_prefix_and_is_loaded(tmp_path, model, reference):
    reference.transformer.save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    with safetensors.safe_open(path, framework="pt") as file:
        assert "wte.weight" in file.keys()  # noqa: SIM118 (not a mapping)
    load_parameters(model, path)
    torch.testing.assert_close(logits(model), logits(reference), rtol=1e-5, atol=1e-5)


def test_an_inner_model_is_loaded_from_the_checkpoint_of_the_whole(tmp_path, reference):
    inner = GPT2Model(reference.config)
    reference.save_pretrained(tmp_path)
    load_parameters(inner, tmp_path / "model.safetensors")
    assert all(
        torch.equal(value, reference.transformer.state_dict()[name]) for name, value in inner.state_dict().items()
    )


def test_the_main_job_computes_with_the_weights_that_it_loads(tmp_path, reference):
    reference.save_pretrained(tmp_path, max_shard_size="20KB")
    job(tmp_path, load=tmp_path / "model.safetensors.index.json")
    dumped = safetensors.torch.load_file(tmp_path / "parameters.safetensors")
    assert torch.equal(dumped["transformer.wte.weight"], reference.transformer.wte.weight)
    assert "lm_head.weight" not in dumped


def job(directory: Path, **options: Any) -> None:
    run(replace(from_mapping(*compose(*OVERRIDES)), options=options), directory)


# --- what does not fit -----------------------------------------------------------------------------------------------


def test_missing_unexpected_and_misshapen_tensors_are_named_at_once(tmp_path, model, reference):
    path = edited(
        reference,
        tmp_path / "x.safetensors",
        **{
            "transformer.ln_f.weight": None,
            "transformer.ln_f.gamma": torch.ones(24),
            "transformer.wpe.weight": torch.ones(32, 24),
            "transformer.wte.weight": torch.ones(61, 24, dtype=torch.int32),
        },
    )
    assert refused(model, path) == (
        "x.safetensors  transformer.ln_f.weight\n"
        "  The file has no such tensor. Did you mean 'transformer.ln_f.gamma'?\n"
        "x.safetensors  transformer.ln_f.gamma\n"
        "  The model has no such tensor. Did you mean 'transformer.ln_f.weight'? "
        "To give it another name, type 'load.rename={gamma: weight}'\n"
        "x.safetensors  transformer.wte.weight\n"
        "  The dtype is I32 in the file and torch.float32 in the model.\n"
        "x.safetensors  transformer.wpe.weight\n"
        "  The shape is [32, 24] in the file and [16, 24] in the model."
    )


def test_not_strict_takes_what_fits_and_returns_what_was_left_out(tmp_path, model, reference):
    path = edited(
        reference,
        tmp_path / "x.safetensors",
        **{"transformer.ln_f.weight": None, "transformer.h.0.attn.masked_bias": torch.ones(1)},
    )
    before = model.transformer.ln_f.weight.clone()
    left = load_parameters(model, path, strict=False)
    assert [(each.path, each.what) for each in left] == [
        ("transformer.ln_f.weight", "The file has no such tensor."),
        ("transformer.h.0.attn.masked_bias", "The model has no such tensor."),
    ]
    assert torch.equal(model.transformer.ln_f.weight, before)
    assert torch.equal(model.transformer.wpe.weight, reference.transformer.wpe.weight)


def test_not_strict_leaves_another_shape_as_it_is_and_refuses_a_file_without_a_known_name(tmp_path, model, reference):
    path = edited(
        reference,
        tmp_path / "x.safetensors",
        **{"transformer.wpe.weight": torch.ones(32, 24), "transformer.ln_f.bias": torch.ones(24, dtype=torch.int32)},
    )
    before = {name: value.clone() for name, value in model.state_dict().items()}
    left = load_parameters(model, path, strict=False)
    assert [(each.path, each.what) for each in left] == [
        ("transformer.wpe.weight", "The shape is [32, 24] in the file and [16, 24] in the model."),
        ("transformer.ln_f.bias", "The dtype is I32 in the file and torch.float32 in the model."),
    ]
    assert torch.equal(model.transformer.wpe.weight, before["transformer.wpe.weight"])
    assert torch.equal(model.transformer.ln_f.bias, before["transformer.ln_f.bias"])
    assert torch.equal(model.transformer.wte.weight, reference.transformer.wte.weight)
    safetensors.torch.save_file({"other": torch.ones(1)}, path)
    text = refused(model, path, strict=False)
    assert text.startswith(
        "x.safetensors\n  The file does not fit this model: 28 missing, 1 unexpected and 0 misfitting tensors.\n"
        "x.safetensors  transformer.wte.weight\n  The file has no such tensor. Known: other.\n"
    )
    assert text.endswith("... and 20 more problems (problems=all shows all)")


def test_the_main_job_names_what_it_left_out(tmp_path, reference, capsys):
    path = edited(reference, tmp_path / "x.safetensors", **{"transformer.ln_f.bias": None})
    job(tmp_path, load={"file": path, "strict": False})
    assert capsys.readouterr().out.startswith(f"warning: {path}  transformer.ln_f.bias: The file has no such tensor.\n")


def test_run_py_is_strict_if_nothing_else_is_said(tmp_path, reference):
    edited(reference, tmp_path / "x.safetensors", **{"transformer.ln_f.bias": None})
    done = subprocess.run(
        [sys.executable, str(CONF.parent / "run.py"), *OVERRIDES, "load=x.safetensors"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == (
        "x.safetensors  transformer.ln_f.bias\n"
        "  The file has no such tensor. To leave it as it starts here, type 'load.skip=[transformer.ln_f.bias]'\n"
    )


def test_a_checkpoint_of_another_size_says_so_for_every_tensor_once(tmp_path, model, reference):
    reference.save_pretrained(tmp_path)
    wider = modelzoo.build(compose(*OVERRIDES, "model.args.dim=32")[0])
    with pytest.raises(modelzoo.ConfigError) as error:
        load_parameters(wider, tmp_path / "model.safetensors")
    account, *problems = error.value.problems
    assert account.what == "The file does not fit this model: 0 missing, 0 unexpected and 28 misfitting tensors."
    assert [each.path for each in problems] == [name for name, _ in wider.named_parameters()]
    assert problems[0].what == "The shape is [61, 24] in the file and [61, 32] in the model."


SMALL = {"inputs": {"x": [2, 4]}, "layers": {"fc": "Linear(4, 4)", "bn": "BatchNorm1d(4)"}}


def small(path, change=lambda name: name, **more):
    """Saves a small model with other names, and returns it."""
    other = modelzoo.build(SMALL, seed=1)
    state = {change(name): value.clone() for name, value in other.state_dict().items() if change(name)}
    safetensors.torch.save_file({**state, **more}, path)
    return other


@pytest.mark.parametrize("prefix", ["module.", "module._orig_mod.", "model.module._orig_mod.", "a.b.c.d."])
def test_prefixes_that_wrappers_add_are_taken_away_however_many_they_are(tmp_path, prefix):
    path = tmp_path / "x.safetensors"
    other = small(path, lambda name: prefix + name)
    model = modelzoo.build(SMALL)
    assert load_parameters(model, path) == ()
    assert torch.equal(model.fc.weight, other.fc.weight)
    wrapped = modelzoo.build({"layers": {"one": {"layers": {"two": SMALL}}}})
    small(path)
    assert load_parameters(wrapped, path) == ()
    assert torch.equal(wrapped.one.two.fc.weight, other.fc.weight)


def test_what_older_checkpoints_lack_keeps_its_value(tmp_path):
    path = tmp_path / "x.safetensors"
    other = small(path, lambda name: "" if name.endswith("num_batches_tracked") else name)
    model = modelzoo.build(SMALL)
    model.bn.num_batches_tracked += 3
    assert load_parameters(model, path) == ()
    assert torch.equal(model.fc.weight, other.fc.weight)
    assert model.bn.num_batches_tracked == 3
    small(path, lambda name: "" if name.startswith("bn.") else name)
    with pytest.raises(modelzoo.ConfigError) as error:
        load_parameters(model, path)
    assert [each.path for each in error.value.problems][-1] == "bn.num_batches_tracked"


def test_a_file_with_more_than_the_model_needs_is_refused_with_the_way_out(tmp_path):
    path = tmp_path / "x.safetensors"
    small(path, mask=torch.ones(1), **{"fc.mask": torch.ones(1)})
    model = modelzoo.build(SMALL)
    assert refused(model, path) == (
        "x.safetensors  fc.mask\n"
        "  The model has no such tensor. To leave out what the model does not have, type 'load.skip=[fc.mask, mask]' or load.strict=false\n"
        "x.safetensors  mask\n  The model has no such tensor."
    )
    assert len(load_parameters(model, path, strict=False)) == 2


def test_tensors_of_a_file_may_be_given_other_names(tmp_path):
    path = tmp_path / "x.safetensors"
    other = small(path, lambda name: name.replace("fc.", "linear.").replace("bn.weight", "gamma"))
    model = modelzoo.build(SMALL)
    assert "type 'load.rename={linear: fc}'" in refused(model, path, rename={"gamma": "bn.weight"})
    assert "type 'load.rename={linear: fc, gamma: bn.weight}'" in refused(model, path)
    assert load_parameters(model, path, rename={"linear": "fc", "gamma": "bn.weight"}) == ()
    assert torch.equal(model.fc.bias, other.fc.bias)
    with pytest.raises(modelzoo.ConfigError) as error:
        load_parameters(model, path, rename=["linear"])
    assert str(error.value) == (
        "load.rename\n  load.rename must be a mapping from regular expressions to texts, not ['linear']. "
        "Type 'load.rename={OLD: NEW}'."
    )


def test_the_fill_of_a_loaded_tensor_is_the_file(tmp_path, capsys):
    path = tmp_path / "threes.safetensors"
    small(path, lambda name: "" if name == "fc.bias" else name)
    config = Config(model=SMALL, options={"load": {"file": str(path), "strict": False}}, locate=nowhere)
    run(config, tmp_path)
    _, table = capsys.readouterr().out.split("\nname ")
    lines = [line for line in table.splitlines() if "weight" in line or "bias" in line]
    assert [("load: threes.safetensors#" in line) for line in lines[:4]] == [True, False, True, True]
    found = {each["name"]: each for each in json.loads((tmp_path / "parameters.json").read_text())["tensors"]}
    assert (found["fc.weight"]["fill"], found["fc.weight"]["rule"]) == ("load: threes.safetensors#fc.weight", "load")
    assert found["fc.bias"]["rule"] == "torch"


def test_thousands_of_foreign_names_are_answered_at_once(tmp_path):
    model = nn.ModuleList([nn.Linear(1, 1, bias=False) for _ in range(1000)])
    path = tmp_path / "x.safetensors"
    tensors = {f"encoder.block.{number}.attention.kernel": torch.zeros(1, 1) for number in range(1000)}
    safetensors.torch.save_file(tensors, path)
    start = time.process_time()
    refused(model, path)
    assert time.process_time() - start < 6


# --- files -----------------------------------------------------------------------------------------------------------


def test_a_broken_shard_is_named(tmp_path, model, reference):
    reference.save_pretrained(tmp_path, max_shard_size="20KB")
    shard = sorted(tmp_path.glob("*.safetensors"))[1]
    shard.write_bytes(shard.read_bytes()[:100])
    text = refused(model, tmp_path / "model.safetensors.index.json")
    assert text.startswith(f"{shard.name}\n  This file cannot be read as safetensors: ")


def test_two_shards_with_one_name_are_refused(tmp_path):
    for name in ("a", "b"):
        safetensors.torch.save_file({"weight": torch.zeros(1, 1)}, tmp_path / f"{name}.safetensors")
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"weight": "a.safetensors", "bias": "b.safetensors"}}))
    assert refused(nn.Linear(1, 1), index) == f"{index.name}\n  Two files of this index hold 'weight'."


def test_what_is_no_path_is_refused():
    with pytest.raises(modelzoo.ConfigError) as error:
        load_parameters(nn.Linear(1, 1), 3)  # type: ignore[arg-type]
    assert str(error.value) == "load\n  load must be the path of a file, not 3. Type load=FILE."


def test_a_path_may_begin_at_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    safetensors.torch.save_file({"weight": torch.full((1, 1), 7.0), "bias": torch.zeros(1)}, tmp_path / "x.safetensors")
    model = nn.Linear(1, 1)
    load_parameters(model, "~/x.safetensors")
    assert model.weight.item() == 7
