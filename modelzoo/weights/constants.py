"""Buffers that other libraries keep in their checkpoints although the layers compute them."""

from __future__ import annotations

import re
from collections.abc import Collection

from modelzoo.weights.stored import Stored

_KNOWN = (
    (re.compile(r"(?:.*\.)?attn(?:ention)?\.bias"), "mask", lambda shape: shape[:2] == (1, 1) and len(shape) == 4),
    (re.compile(r"(?:.*\.)?attn(?:ention)?\.masked_bias"), "number", lambda shape: shape == ()),
    (re.compile(r"(?:.*\.)?position_ids"), "integer", lambda shape: len(shape) == 2 and shape[0] == 1),
    (re.compile(r"(?:.*\.)?token_type_ids"), "integer", lambda shape: len(shape) == 2 and shape[0] == 1),
    (re.compile(r"(?:.*\.)?rotary_emb\.(?:original_)?inv_freq"), "number", lambda shape: len(shape) == 1),
    (re.compile(r"(?:.*\.)?n_averaged"), "integer", lambda shape: shape == ()),
    (re.compile(r"(?:.*\.)?num_batches_tracked"), "integer", lambda shape: shape == ()),
)
"""A name, what its elements are, and which shape it has: the causal masks of GPT-2, positions, rotary frequencies, and
the counters of `AveragedModel` and of norms."""


def is_known(each: Stored) -> bool:
    """Whether a tensor is one that a model can do without: its name, dtype and shape are those of a known constant.

    >>> import torch
    >>> from dataclasses import replace
    >>> mask = Stored(path=("h.0.attn.bias",), shape=(1, 1, 8, 8), written="BOOL", dtype=torch.bool, read=None)
    >>> is_known(mask), is_known(replace(mask, shape=(8,)))
    (True, False)
    """
    return any(
        name.fullmatch(each.name) and _is(kind, each) and fits(each.shape)  # type: ignore[no-untyped-call]
        for name, kind, fits in _KNOWN
    )


def _is(kind: str, each: Stored) -> bool:
    if each.dtype is None or each.dtype.is_complex:
        return False
    if kind == "mask":
        return each.dtype.is_floating_point or each.dtype.itemsize == 1
    return each.dtype.is_floating_point is (kind == "number")


def is_newer(name: str, known: Collection[str]) -> bool:
    """Whether a tensor is one that a norm did not have when older checkpoints were written; torch lets it be.

    >>> is_newer("bn.num_batches_tracked", ["bn.running_mean"])
    True
    """
    owner, _, local = name.rpartition(".")
    return local == "num_batches_tracked" and f"{owner}.running_mean".lstrip(".") in known
