"""Whether what texts read by dotted name is there."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from modelzoo.catalog import functions
from modelzoo.errors import Problems, nearest
from modelzoo.language.names import Read
from modelzoo.modules.skeleton import Skeleton, Unsized


def check_reads(skeleton: Skeleton, problems: Problems) -> None:
    """`embed.weight` in a text must name a child's own tensor, never any other attribute.

    Nothing is known behind a layer that is absent, or whose size is not known yet.
    """
    for made, instance in skeleton.blocks:
        if instance.block.forward is None:
            continue
        for read in type(made).__translation__.reads:  # type: ignore[attr-defined]
            what, hint = _misread(made, read)
            if what:
                problems.add(instance.block.key / "forward", what, hint, line=read.line, column=read.column)


def _misread(module: nn.Module | None, read: Read) -> tuple[str, str]:
    """What is wrong with a dotted name, and a hint; nothing where it names what it should."""
    for index, name in enumerate(read.path):
        if module is None or isinstance(module, Unsized):
            return "", ""
        before, after = read.path[:index], read.path[index + 1 :]
        key = str(len(module._modules) + name if isinstance(name, int) and name < 0 else name)
        tensors = [*module._parameters, *module._buffers]
        if key in tensors:
            if (not after and read.tensor) or (len(after) == 1 and read.method):
                return "", ""
            if after and isinstance(after[0], str) and after[0] not in functions.METHODS:
                what = f"'{after[0]}' is not a method of a tensor."
                return what, nearest(after[0], functions.METHODS)
            return f"'{_dotted((*before, name))}' is a tensor, not a layer.", f"Give it a name first: w = layer.{name}."
        known = [*tensors] if read.tensor and not after else [*module._modules]
        if read.method and len(after) == 1:
            known += tensors
        if key not in module._modules or (read.tensor and not after):
            kind = "tensor" if read.tensor and not after else "layer or tensor" if tensors and after else "layer"
            return f"'{_dotted(before)}' has no {kind} '{name}'.", nearest(str(name), known)
        module = module._modules[key]
    return "", ""


def _dotted(path: Sequence[str | int]) -> str:
    return ".".join(map(str, path))
