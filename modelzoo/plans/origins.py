"""What built models were made from, remembered beside them: the modules themselves carry nothing of it."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakIdKeyDictionary

from modelzoo.errors import Path
from modelzoo.init.decisions import Decision, Kept
from modelzoo.init.examples import Examples, example_tensors

BaseShapes = Callable[[tuple[tuple[str, Any], ...], Path], Mapping[str, tuple[int, ...]]]


@dataclass(frozen=True, slots=True)
class Origin:
    """What a model was made from: how its tensors were filled, and what its example inputs are made from.

    Attributes:
        tensors: those that were filled.
        chains: the fills of each.
        versions: of each, when it was filled.
        given: what the example inputs are made from; None if there are none.
        args: of the root, with their values.
        blocks: the names of the blocks that modules of torch's own types were made from.
        base_shapes: tells the shapes of all tensors of the same model with other args; None where no config is known.
    """

    tensors: list[weakref.ref[Tensor]]
    chains: list[Sequence[Decision | str]]
    versions: list[int]
    given: Examples | None
    args: Mapping[str, Any]
    blocks: Mapping[nn.Module, str]
    base_shapes: BaseShapes | None

    def examples(self, device: torch.device) -> dict[str, Tensor]:
        """The example inputs, on a device."""
        return {} if self.given is None else example_tensors(self.given, device)

    def decided(self) -> dict[Tensor, tuple[Decision, ...]]:
        """What filled those tensors that are still there, as it was decided."""
        found: dict[Tensor, tuple[Decision, ...]] = {}
        for reference, chain in zip(self.tensors, self.chains, strict=True):
            tensor, fills = reference(), tuple(each for each in chain if isinstance(each, Decision))
            if tensor is not None and len(fills) == len(chain):
                found[tensor] = fills
        return found

    def block_of(self, module: nn.Module) -> str:
        """The name of the block that a module was made from; "" for a layer, and where its type has that name."""
        return self.blocks.get(module, "")

    def fills(self) -> dict[Tensor, str]:
        """What filled those tensors that are still there, and whether they were changed since."""
        found = {}
        for reference, chain, version in zip(self.tensors, self.chains, self.versions, strict=True):
            tensor = reference()
            if tensor is not None:
                fill = " -> ".join(map(_text, chain))
                found[tensor] = fill if _version(tensor) == version else f"{fill}, then changed"
        return found


_origins: MutableMapping[nn.Module, Origin] = WeakIdKeyDictionary()


def remember(
    model: nn.Module,
    tensors: Sequence[Tensor],
    chains: Sequence[Sequence[Decision | str]],
    given: Examples | None,
    args: Mapping[str, Any],
    blocks: Iterable[tuple[nn.Module, str]],
    base_shapes: BaseShapes | None,
) -> None:
    """Keeps the origin of a model as long as the model lives. Neither may refer to the model, or it lives forever."""
    _origins[model] = Origin(
        tensors=[weakref.ref(tensor) for tensor in tensors],
        # What a constructor left is a tensor, which need not live as long.
        chains=[chain if not isinstance(chain[0], Kept) else [*map(_text, chain)] for chain in chains],
        versions=[_version(tensor) for tensor in tensors],
        given=given,
        args=args,
        blocks=WeakIdKeyDictionary(dict(blocks)),
        base_shapes=base_shapes,
    )


def origin_of(model: nn.Module) -> Origin | None:
    """The origin of a model that was built in this process and is no copy.

    >>> origin_of(nn.Linear(2, 2)) is None
    True
    """
    return _origins.get(model)


def _text(fill: Decision | str) -> str:
    return fill if isinstance(fill, str) else fill.text()


def _version(tensor: Tensor) -> int:
    try:
        return tensor._version
    except RuntimeError:  # made in inference mode
        return -1
