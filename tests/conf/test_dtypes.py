"""Every shipped model in half precision: what it returns has the dtype that was asked for, and a gradient."""

import pathlib

import pytest
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException, FakeTensorMode
from torch.func import functional_call

from modelzoo.config import compose
from modelzoo.modules.gradients import tensors
from modelzoo.modules.inputs import call_with, example
from modelzoo.plans import draft

MODELS = sorted(each.stem for each in pathlib.Path(__file__).parents[2].glob("conf/model/*.yaml"))
OF_DATA = ("chimera", "fixed_hidden", "mixture_of_experts")
"""Data decide how these go on, which a run without values cannot follow."""


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("model", MODELS)
def test_a_model_of_conf_computes_in_the_dtype_that_is_asked_for(model, dtype):
    made = draft.draft(compose.compose([f"model={model}"]).model, dtype=dtype, device="meta")
    inputs = example(made.given.shapes, torch.device("meta"))
    try:
        output = call_with(made.skeleton.root, inputs)
    except RuntimeError as error:
        assert "meta" in str(error), error
        assert model in OF_DATA
        return
    found = [each for each in tensors(output) if each.is_floating_point()]
    assert {each.dtype for each in found} == {getattr(torch, dtype)}
    torch.autograd.backward(torch.stack([each.sum() for each in found]).sum())
    assert any(each.grad is not None for each in made.skeleton.root.parameters())


@pytest.mark.parametrize("model", ["gpt2", "llama", "mixture_of_experts", "seq2seq", "unet", "vae", "vit_b_16"])
def test_a_model_of_conf_that_makes_tensors_computes_under_autocast(model):
    made = draft.draft(compose.compose([f"model={model}"]).model, device="meta")
    root = made.skeleton.root
    with FakeTensorMode(), torch.autocast("cpu", torch.bfloat16):  # tensors of the CPU without memory
        own = {name: torch.empty(each.shape, requires_grad=True) for name, each in root.named_parameters()}
        buffers = {name: torch.empty(each.shape, dtype=each.dtype) for name, each in root.named_buffers()}
        inputs = example(made.given.shapes, torch.device("cpu"))
        try:
            output = functional_call(root, own | buffers, tuple(inputs.values()))
        except (DataDependentOutputException, DynamicOutputShapeException):
            assert model in OF_DATA
            return
        found = [each for each in tensors(output) if each.is_floating_point()]
        torch.autograd.backward(torch.stack([each.sum().float() for each in found]).sum())
    assert {each.grad.dtype for each in own.values() if each.grad is not None} == {torch.float32}
