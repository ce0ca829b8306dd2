"""No call of the catalog ends the process, or takes forever: hostile arguments for all of it, in processes of their own."""

from __future__ import annotations

import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import pytest
import torch

import modelzoo
from modelzoo.catalog import guards
from modelzoo.modules import work
from modelzoo.modules.torch_layers import TooLargeError
from modelzoo.plans import draft
from tests.helpers import crashes

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="it forks")
def test_no_call_ends_its_process():
    command = [sys.executable, "-m", "tests.helpers.crashes", "--calls", "1000", "--seed", "0"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]), "OMP_NUM_THREADS": "1"}
    child = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (child.stdout, child.returncode) == ("", 0), child.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="it forks")
def test_what_ends_its_process_is_named(monkeypatch):
    def end() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    tried = [("first", int), ("second", end), ("third", end), ("fourth", lambda: 1 / 0)]
    monkeypatch.setattr(crashes, "attempts", lambda count, seed: tried)
    assert list(crashes.ended(4, 0)) == ["SIGKILL: second", "SIGKILL: third"]


def test_the_page_on_security_says_what_torch_is_kept_from():
    page = (ROOT / "SECURITY.md").read_text()
    rows = page.partition("## What torch is kept from")[2].partition("\n## ")[0].splitlines()
    named = [name for row in rows if row.startswith("| `") for name in re.findall(r"`(\w+)`", row.split("|")[1])]
    assert sorted(named) == sorted({*guards.FUNCTIONS, *guards.METHODS})


# What would take long


HUGE = [
    "x[0, 0, 0].expand(2**40).sum()",
    "x[0, 0].expand([10**9, 6]).contiguous()",
    "ones(2**33)",
    "arange(10**13)",
    "arange(0, 1, 1e-14)",
    "linspace(0, 1, 2**40)",
    "eye(2**17)",
    "diag_embed(ones(2**18))",
    "randperm(2**36)",
    "tril_indices(2**20, 2**20)",
    "outer(ones(2**17), ones(2**17))",
    "kron(ones(2**18), ones(2**18))",
    "cdist(ones(2**17, 3), ones(2**17, 3))",
    "einsum('i,j->ij', ones(2**17), ones(2**17))",
    "ones(2**17, 1) * ones(2**17)",
    "matmul(ones(2**13, 2**13), ones(2**13, 2**13))",
    "conv1d(ones(64, 64, 4096), ones(64, 64, 1024))",
    "max_pool1d(x.expand(1000, 4, 6), 2**24, padding=2**23)",
    "avg_pool2d(ones(64, 64, 64), 2**12, 1, 2**11)",
    "interpolate(x, scale_factor=1e10)",
    "interpolate(ones(1, 1, 2, 1), scale_factor=10**6)",
    "conv_transpose3d(ones(1, 1, 2, 2, 2), ones(1, 1, 1, 1, 1), stride=4096)",
    "conv3d(ones(1, 1, 2, 2, 2), ones(1, 1, 1, 1, 1), padding=4096)",
    "adaptive_avg_pool3d(ones(1, 1, 2, 2, 2), 4096)",
    "fold(ones(1, 1, 4096**2), 4096 * 8, 1, stride=8)",
    "pad(x, (2**24, 2**24, 2**24, 2**24))",
    "x.repeat(2**20, 2**20, 1)",
    "x.repeat_interleave(2**35, 0)",
    "x.new_full((2**20, 2**20), 1)",
    "repeat_interleave(full((4,), 2**33))",
    "one_hot(full((4,), 2**35))",
    "one_hot(x.long(), 2**40)",
    "bincount(full((4,), 2**35))",
    "bincount(full((4,), 1), minlength=2**36)",
    "fft(x, 2**34)",
    "fft(ones(2**20, 1), 2**20)",
    "ifft2(x, (2**18, 2**18))",
    "irfftn(x, (2**12, 2**12, 2**12))",
    "rfftfreq(2**40)",
    "bucketize(x.expand(2**32, 4, 6), arange(4.0))",
    "for i in range(10000):\n  y = ones(4000, 4000)\nreturn x",
]


@pytest.mark.parametrize("text", HUGE)
def test_what_would_take_long_is_not_done_to_be_checked(text):
    before = time.process_time()
    modelzoo.plan({"inputs": {"x": [1, 4, 6]}, "forward": text})
    assert time.process_time() - before < 15


@pytest.mark.parametrize("text", ["full((4,), 1).repeat(2**35)", "full((4,), 1).new_zeros(2**40)", "arange(10**13)"])
def test_nor_is_it_done_on_a_piece(text):
    modelzoo.plan({"inputs": {"x": [2**13, 2**13]}, "forward": text})


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("torch.mm(a, b)", 16 * 32 * 64 * 2),
        ("F.linear(a, b.T)", 16 * 32 * 64 * 2),
        ("torch.einsum('ij,jk->ik', a, b)", 16 * 32 * 64 * 2),
        ("F.conv1d(c, k)", 2 * 8 * 29 * 8 * 4 * 2),
    ],
)
def test_products_are_estimated_as_torch_counts_them(text, wanted):
    a, b = torch.ones(16, 32), torch.ones(32, 64)
    c, k = torch.ones(2, 8, 32), torch.ones(8, 8, 4)
    scope = {"torch": torch, "F": torch.nn.functional, "a": a, "b": b, "c": c, "k": k}
    counted = torch.utils.flop_counter.FlopCounterMode(display=False)
    with counted:
        eval(text, scope)
    assert counted.get_total_flops() == wanted
    seen = []
    with pytest.MonkeyPatch.context() as patch, work.Frugal() as frugal:
        frugal.guesses = 0
        patch.setattr(work, "FUSED", 1)
        patch.setattr(work, "FRESH", 0)
        start = frugal.left
        eval(text, scope)
        seen.append(start - frugal.left)
    assert wanted / 2 <= seen[0] <= wanted * 1.5


def test_many_operations_together_are_too_many():
    def twice(times: int) -> None:
        for _ in range(times):
            torch.ones(2**24)

    with work.Frugal():
        twice(2)
        with pytest.raises(TooLargeError):
            twice(100)


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize(("mask", "fits"), [([4, 2, 3, 3], False), ([3, 3], True), ([1, 1, 1, 3], True)])
def test_a_mask_is_no_larger_than_what_it_masks(mask, fits, device):
    text = "scaled_dot_product_attention(x, x, x, m)"
    model = {"inputs": {"x": [1, 2, 3, 4], "m": mask}, "forward": text}
    if fits:
        assert draft.draft(model, device=device, count=True).plan.flops == 2 * 2 * (2 * 3 * 3 * 4)
        return
    for count in (False, True):
        with pytest.raises(modelzoo.ConfigError) as caught:
            draft.draft(model, device=device, count=count)
        told = f"a mask of shape {mask} does not expand to the weights' [1, 2, 3, 3]"
        assert str(caught.value) == f"model.forward\n  {text} fails: {told}"
    x, m = torch.ones(1, 2, 3, 4), torch.ones(mask)
    with pytest.raises(RuntimeError, match="doesn't match the broadcast shape"):
        torch.nn.functional.scaled_dot_product_attention(x, x, x, m)
