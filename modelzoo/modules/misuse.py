"""What to write where a layer gets what it cannot take: a rule for each mistake; the first that knows one is told."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from modelzoo.catalog import sizes
from modelzoo.catalog.layers import find_layer

_KINDS = re.compile("(.*)[123]d")
_MISSING = re.compile("forward\\(\\) missing \\d+ required positional arguments?: ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Misuse:
    """A layer that got what it cannot take.

    Attributes:
        kind: the name of its type; empty if the catalog has none.
        arguments: those it was made with.
        name: of the layer in its block.
        values: what it got.
        input: the name of the model's input that the first of them is; empty if it is another's output.
        misfit: the size that does not fit, if that is why.
        called: whether a text calls it, and not a sequence.
    """

    kind: str
    arguments: Mapping[str, Any]
    name: str
    values: Sequence[Any]
    error: Exception
    input: str = ""
    misfit: sizes.Misfit | None = None
    called: bool = False

    def shaped(self, shape: Sequence[int], call: str) -> str:
        """How the layer gets its input in a shape: written so, where it is the model's."""
        return f"write {self.input}: {list(shape)}" if self.input else f"give it {call}"


def remedy(misuse: Misuse) -> str:
    """What to write; empty where nobody knows."""
    rules = _OF_SIZES if misuse.misfit is not None else _OF_CALLS
    return next(filter(None, (rule(misuse) for rule in rules)), "")


# -- calls


def _in_place(misuse: Misuse) -> str:
    changed = misuse.arguments.get("inplace") is True and "in-place" in str(misuse.error)
    return "Write inplace=False." if changed else ""


def _taken_apart(misuse: Misuse) -> str:
    first = misuse.values[0] if misuse.values else None
    if not isinstance(first, (tuple, list)) or not first or not isinstance(first[0], Tensor):
        return ""
    rest = ", ".join(["_"] * (len(first) - 1))
    if not rest:
        return "A comma at the end of a line makes a tuple: remove it." if isinstance(first, tuple) else ""
    return f"Take it apart in a forward: y, {rest} = layer(x)."


def _indices(misuse: Misuse) -> str:
    first = misuse.values[0] if misuse.values else None
    if not misuse.input or not isinstance(first, Tensor):
        return ""
    if misuse.kind.startswith("Embedding"):
        written = f"{{shape: {list(first.shape)}, dtype: int64}}" if first.is_floating_point() else ""
    else:
        whole = not first.is_floating_point() and not first.is_complex()
        written = str(list(first.shape)) if whole and "the same" in str(misuse.error) else ""
    return f"Write {misuse.input}: {written}." if written else ""


def _container(misuse: Misuse) -> str:
    if misuse.kind != "ModuleList" or not isinstance(misuse.error, NotImplementedError):
        return ""
    if not misuse.called:
        return "Write Sequential in the place of ModuleList."
    return f"Call its layers in turn: for layer in {misuse.name}: x = layer(x)."


def _more_inputs(misuse: Misuse) -> str:
    found = _MISSING.search(str(misuse.error))
    if found is None:
        return ""
    needed = " and ".join(re.findall("'(\\w+)'", str(misuse.error)[found.end() :]))
    return f"Give it its {needed}{'' if misuse.called else ' in a forward'}."


# -- sizes


def _flattened(misuse: Misuse) -> str:
    assert misuse.misfit is not None
    shape, size = misuse.misfit.value.shape, misuse.misfit.size
    if misuse.kind != "Linear" or (len(shape) != 4 if size is not None else not misuse.misfit.flat):
        return ""
    flat = "give it x.flatten(1)" if misuse.called else "write Flatten before it"
    return f"{_sentence(flat)}." if size is None else f"Or {flat}, and write in_features={math.prod(shape[1:])}."


def _channels_last(misuse: Misuse) -> str:
    """Where a layer's channels are what the last dimension has."""
    assert misuse.misfit is not None
    shape = misuse.misfit.value.shape
    given = misuse.arguments.get(misuse.misfit.argument)
    channels = misuse.misfit.argument in ("in_channels", "num_features", "num_channels")
    if not channels or len(shape) < 3 or shape[-1] != given or given in shape[1:-1]:
        return ""
    moved = "x.transpose(1, 2)" if len(shape) == 3 else "x.movedim(-1, 1)"
    return f"Or give it {moved}, if the last dimension has the channels."


def _other_kind(misuse: Misuse) -> str:
    """`BatchNorm2d` of what `BatchNorm1d` takes."""
    assert misuse.misfit is not None
    found = _KINDS.fullmatch(misuse.kind)
    if found is None or misuse.misfit.size is not None:
        return ""
    arguments = misuse.arguments
    if any(isinstance(each, (tuple, list)) for each in arguments.values()):
        return ""
    others = [f"{found[1]}{rank}d" for rank in (1, 2, 3)]
    fitting = [each for each in others if find_layer(each) and not sizes.misfit(each, arguments, [misuse.misfit.value])]
    return f"Write {fitting[0]}." if fitting else ""


def _dimensions(misuse: Misuse) -> str:
    """A batch or the only channel, which the input leaves out."""
    assert misuse.misfit is not None
    if _KINDS.fullmatch(misuse.kind) is None or not misuse.misfit.only or not misuse.misfit.value.shape:
        return ""
    shape, given = tuple(misuse.misfit.value.shape), misuse.arguments.get(misuse.misfit.argument)
    missing = 2 + int(misuse.kind[-2]) - len(shape)
    if missing == 1 and misuse.misfit.size is not None and given == 1:
        shaped = misuse.shaped((shape[0], 1, *shape[1:]), "x.unsqueeze(1)")
        return f"Or {shaped}, if it leaves out the only channel."
    if misuse.misfit.size is not None:
        return ""
    if missing == 1 and shape[0] == given and not (misuse.input or misuse.called):
        return "Give the model's input one more dimension in front: the batch."
    left_out = (1,) * missing if (missing, given) in ((1, shape[0]), (2, 1)) else ()
    shaped = misuse.shaped((*left_out, *shape), "x" + ".unsqueeze(0)" * len(left_out))
    return f"{_sentence(shaped)}." if left_out else ""


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}"


Rules = Sequence[Callable[[Misuse], str]]

_OF_CALLS: Rules = (_in_place, _taken_apart, _indices, _container, _more_inputs)
_OF_SIZES: Rules = (_flattened, _channels_last, _other_kind, _dimensions)
