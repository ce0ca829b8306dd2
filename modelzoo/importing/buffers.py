"""Buffers that a block sets while it runs, and values that no gradient goes through."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from modelzoo.importing.graph import Node, refs


def name_of(module: nn.Module, tensor: Any) -> str:
    """The name of a tensor that is a buffer of a module itself; empty for others."""
    held = module._buffers.items()
    return next((name for name, each in held if each is tensor is not None and not each.requires_grad), "")


def may_become(buffer: Tensor | None, value: Any) -> bool:
    """Whether a text may set a buffer so: to a value of its shape, which no gradient goes through."""
    if buffer is None or not isinstance(value, Tensor) or value.requires_grad:
        return False
    return (value.shape, value.dtype) == (buffer.shape, buffer.dtype)


def is_cut(node: Node) -> bool:
    """Whether no gradient goes through a value, whatever the inputs are."""
    if node.fixed or node.sets or node.name == "detach" or node.kind == "constant":
        return True
    if node.kind == "tensor":
        return not node.value.requires_grad
    return node.kind == "function" and all(is_cut(each.node) for each in refs((node.args, dict(node.named))))
