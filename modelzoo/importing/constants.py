"""Tensors that depend on nothing: a few numbers stand in the text, others become buffers."""

from __future__ import annotations

import ast
from collections.abc import Collection, Mapping

from torch import Tensor

from modelzoo.importing.bodies import Constant
from modelzoo.importing.graph import Node, Ref
from modelzoo.importing.places import LITERAL, assigned, tensor_literal
from modelzoo.importing.usage import is_made_up
from modelzoo.language.pieces import load


class Constants:
    """The constants of one text.

    Args:
        taken: the names of the block's layers and tensors.
        held: what the module calls tensors that are no parameters or buffers, by their identity.
        names: what the author calls values.

    Attributes:
        found: those that become buffers, by name.
    """

    def __init__(self, taken: Collection[str], held: Mapping[int, str], names: Mapping[Ref, str]) -> None:
        self.taken, self.held, self.names = taken, held, names
        self.found: dict[str, Constant] = {}

    def expression(self, node: Node) -> ast.expr:
        """What stands for a constant in the text."""
        value: Tensor = node.value
        if node.kind == "constant" and value.numel() <= LITERAL and not value.is_complex():
            return tensor_literal(value)
        for name, known in self.found.items():
            if known.value is value:
                return load(name)
        name = base = self.held.get(id(value)) or self.names.get(Ref(node)) or "constant"
        count = 1
        while name in self.found or name in self.taken:
            count += 1
            name = f"{base}{count}"
        self.found[name] = Constant(value=value, fill=assigned(node) if is_made_up(node) else "")
        return load(name)
