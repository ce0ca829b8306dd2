"""Chosen values, and a short account of an output, line by line."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from torch import Tensor, nn

from modelzoo import parts
from modelzoo.errors import Path, fail, nearest
from modelzoo.escapes import one_line
from modelzoo.plans.lines import shape_text


def value_lines(model: nn.Module, shown: object) -> list[str]:
    """The parameters and buffers whose name fits a glob, or one of a list of them, with values and gradients.

    Raises:
        ConfigError: no name fits one of them.

    >>> model = nn.Sequential(nn.Linear(1, 2))
    >>> _ = nn.init.ones_(model[0].bias)
    >>> print("\\n".join(value_lines(model, "*.bias")))
    0.bias  [2]  float32
      tensor([1., 1.])
      gradient: none
    """
    tensors = dict(model.named_parameters(remove_duplicate=False))
    known: dict[str, Tensor] = {**tensors, **dict(model.named_buffers(remove_duplicate=False))}
    patterns = [*map(str, shown)] if isinstance(shown, (list, tuple)) else [str(shown)]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in known):
            fail(Path(("show",)), f"No parameter or buffer has a name like '{pattern}'.", nearest(pattern, known))
    found = [name for name in known if any(fnmatchcase(name, pattern) for pattern in patterns)]
    lines: list[str] = []
    first: dict[Tensor, str] = {}
    for name in found:
        value = known[name]
        if first.setdefault(value, name) != name:
            lines.append(one_line(f"{name} = {first[value]}"))
            continue
        lines += [one_line(f"{name}  {shape_text(tuple(value.shape))}  {_dtype(value)}"), *_values(parts.whole(value))]
        if name in tensors:
            gradient = value.grad
            lines += ["  gradient: none"] if gradient is None else ["  gradient:", *_values(parts.whole(gradient))]
    return lines


def output_lines(output: Any, name: str = "output") -> list[str]:
    """What a forward pass returned: shape, dtype and first values of every tensor in it, and whether all are finite.

    >>> import torch
    >>> print("\\n".join(output_lines({"y": torch.tensor([[0.5, float("nan")]]), "n": 3})))
    output['y']  [1, 2]  float32  not finite: 1 of 2 values
      tensor([[0.5000,    nan]])
    output['n']  3
    """
    if isinstance(output, Tensor):
        return [f"{name}  {shape_text(tuple(output.shape))}  {_dtype(output)}{_finite(output)}", *_values(output)]
    if isinstance(output, Mapping):
        return [line for key, each in output.items() for line in output_lines(each, f"{name}[{key!r}]")]
    if isinstance(output, (tuple, list)):
        return [line for index, each in enumerate(output) for line in output_lines(each, f"{name}[{index}]")]
    return [f"{name}  {output!r}"]


def _finite(value: Tensor) -> str:
    if value.is_meta or not (value.is_floating_point() or value.is_complex()):
        return ""
    bad = value.numel() - int(value.detach().isfinite().sum())
    return f"  not finite: {bad:,} of {value.numel():,} values" if bad else "  finite"


def _dtype(value: Tensor) -> str:
    return str(value.dtype).removeprefix("torch.")


def _values(value: Tensor) -> list[str]:
    if value.is_meta:
        return ["  on meta: no values"]
    # The public set_printoptions would change how the user's own tensors print.
    from torch._tensor_str import printoptions

    with printoptions(precision=4, threshold=32, edgeitems=3, linewidth=78):
        shown = str(value.detach().cpu())
    return ["  " + line for line in shown.splitlines()]
