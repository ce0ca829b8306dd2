"""Misspelt arguments of functions and methods; whatever torch takes is taken."""

from __future__ import annotations

import pytest
import torch

import modelzoo

X = torch.arange(6.0).reshape(2, 3)


@pytest.mark.parametrize(
    ("text", "what", "hint"),
    [
        ("softmax(x, dmi=1)", "softmax has no argument 'dmi'", "Did you mean 'dim'?"),
        ("sum(x, dmi=1)", "sum has no argument 'dmi'", "Did you mean 'dim'?"),
        ("x.sum(keepdmi=True)", "sum has no argument 'keepdmi'", "Did you mean 'keepdim'?"),
        ("cat([x, x], dimm=1)", "cat has no argument 'dimm'", "Did you mean 'dim'?"),
        ("x.flatten(start_dims=1)", "flatten has no argument 'start_dims'", "Did you mean 'start_dim'?"),
        ("interpolate(x, scale_facto=2)", "interpolate has no argument 'scale_facto'", "Did you mean 'scale_factor'?"),
        (
            "scaled_dot_product_attention(x, x, x, is_casual=True)",
            "scaled_dot_product_attention has no argument 'is_casual'",
            "Did you mean 'is_causal'?",
        ),
    ],
)
def test_a_misspelt_argument_is_told_before_anything_runs(text, what, hint):
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.plan({"forward": text})
    assert [(each.what, each.hint) for each in caught.value.problems] == [(what, hint)]


@pytest.mark.parametrize(
    "text",
    [
        "sum(x, axis=1)",
        "x.sum(axis=1, keepdims=True)",
        "mean(input=x, dim=1)",
        "x.transpose(dim0=0, dim1=1)",
        "softmax(input=x, dim=1)",
        "where(condition=x > 0, input=x, other=x)",
        "x.clamp(min=0, max=1)",
        "x.std(dim=1, correction=0)",
        "max_pool1d(x, kernel_size=2, ceil_mode=True)",
        "gelu(x, approximate='tanh')",
        "x.topk(k=2, dim=1, largest=False, sorted=True)[0]",
    ],
)
def test_arguments_that_torch_takes_are_none(text):
    modelzoo.build({"inputs": {"x": [2, 3]}, "forward": text})(X)
