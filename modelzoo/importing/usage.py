"""Which values of a block are needed, how often, and so which of them get names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from modelzoo.importing.graph import Node, Ref, all_refs, refs
from modelzoo.importing.training import Branch

NESTED = 9
"""How many calls stand inside each other at most."""


class Usage:
    """How the values of a block are used.

    Attributes:
        needed: the nodes that matter.
        uses: how often each value is used.
        of_node: the values of each node that are used.
        stated: nodes that have statements of their own.
    """

    def __init__(self, branch: Branch) -> None:
        self.branch = branch
        self.needed = self._needed()
        self.uses = Counter(ref for node in self.needed for ref in given(node))
        for result in branch.results():
            self.uses.update(refs(result))
        self.around = self._around_loops()
        self.picked = self._picked()
        self.of_node: dict[Node, list[Ref]] = {}
        for ref in self.uses:
            self.of_node.setdefault(ref.node, []).append(ref)
        self.stated = {node for node in self.needed if self._needs_statement(node)}
        self._cut_chains()

    def _needed(self) -> dict[Node, None]:
        """All nodes on which the results depend, and calls of layers, which may do more than return something."""
        waiting = [ref.node for result in self.branch.results() for ref in refs(result)]
        waiting += [node for node in self.branch.nodes() if node.kind in ("layer", "loop") or node.sets]
        found: dict[Node, None] = {}
        while waiting:
            node = waiting.pop()
            if node not in found:
                found[node] = None
                waiting += [ref.node for ref in given(node)]
        return found

    def _needs_statement(self, node: Node) -> bool:
        if node.kind in ("input", "carried"):
            return False
        if node.kind == "loop" or node.sets:
            return True
        used = sum(self.uses[ref] for ref in self.of_node.get(node, ()))
        if node.kind in ("size", "number"):
            return Ref(node) in self.branch.names and (used > 1 or self._is_unpacked(node))
        if node.kind == "tensor":
            return node in self.picked
        if node.kind == "constant" or is_made_up(node):
            return False
        if used == 0:
            return True
        return used > 1 or node in self.branch.shared or node in self.around

    def _around_loops(self) -> set[Node]:
        """What is computed outside a loop and used in it, so that it is computed once."""
        found: set[Node] = set()
        for node in self.needed:
            if node.loop is not None:
                inside = set(node.loop.body)
                used = [node.loop.stop, *(ref for each in node.loop.body for ref in given(each))]
                found |= {ref.node for ref in all_refs(used)} - inside
        return found

    def _picked(self) -> set[Node]:
        """The tensors of layers of which a part is taken: brackets behind a layer's name pick a layer."""
        taken = [
            node.args[0].node for node in self.needed if node.name == "__getitem__" and isinstance(node.args[0], Ref)
        ]
        return {node for node in taken if node.kind == "tensor" and len(node.path) > 1}

    def _is_unpacked(self, node: Node) -> bool:
        """Whether a size has a name, and its neighbours too: `B, N, C = x.shape`."""
        if node.kind != "size":
            return False
        sizes = [each for each in self.needed if each.kind == "size" and each.args[0] == node.args[0]]
        return sum(Ref(each) in self.branch.names for each in sizes) > 1

    def _cut_chains(self) -> None:
        """What is nested too deep gets a name."""
        depths: dict[Node, int] = {}
        for node in self.branch.nodes():
            inside = (0 if ref.node in self.stated else depths.get(ref.node, 0) for ref in given(node))
            depths[node] = 1 + max(inside, default=0)
            if depths[node] > NESTED and node in self.needed:
                self.stated.add(node)


def is_made_up(node: Node) -> bool:
    """Whether elements were assigned to a tensor that depends on nothing: a text cannot do that, a buffer holds it."""
    return node.kind == "function" and node.name == "__setitem__" and node.fixed


def given(node: Node) -> Iterable[Ref]:
    """What a node is computed from."""
    if node.loop is not None:
        return [*refs((node.args, node.loop.stop)), *node.loop.ends]
    return () if is_made_up(node) else refs((node.args, dict(node.named)))
