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
from modelzoo.config.config import from_mapping
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
        "  The model has no such tensor. Did you mean 'transformer.ln_f.weight'?\n"
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


def test_not_strict_still_refuses_another_shape_and_a_file_without_a_known_name(tmp_path, model, reference):
    path = edited(reference, tmp_path / "x.safetensors", **{"transformer.wpe.weight": torch.ones(32, 24)})
    assert refused(model, path, strict=False) == (
        "x.safetensors  transformer.wpe.weight\n  The shape is [32, 24] in the file and [16, 24] in the model."
    )
    safetensors.torch.save_file({"other": torch.ones(1)}, path)
    text = refused(model, path, strict=False)
    assert text.startswith(
        "x.safetensors\n  The file does not fit this model: 28 missing, 1 unexpected and 0 misfitting tensors.\n"
        "x.safetensors  transformer.wte.weight\n  The file has no such tensor. Known: other.\n"
    )
    assert text.endswith("... and 20 more problems (problems=all shows all)")


def test_the_main_job_names_what_it_left_out(tmp_path, reference, capsys):
    path = edited(reference, tmp_path / "x.safetensors", **{"transformer.ln_f.bias": None})
    job(tmp_path, load=path, strict=False)
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
    assert done.stderr == "x.safetensors  transformer.ln_f.bias\n  The file has no such tensor.\n"


def test_a_checkpoint_of_another_size_says_so_for_every_tensor_once(tmp_path, model, reference):
    reference.save_pretrained(tmp_path)
    wider = modelzoo.build(compose(*OVERRIDES, "model.args.dim=32")[0])
    with pytest.raises(modelzoo.ConfigError) as error:
        load_parameters(wider, tmp_path / "model.safetensors")
    account, *problems = error.value.problems
    assert account.what == "The file does not fit this model: 0 missing, 0 unexpected and 28 misfitting tensors."
    assert [each.path for each in problems] == [name for name, _ in wider.named_parameters()]
    assert problems[0].what == "The shape is [61, 24] in the file and [61, 32] in the model."


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
