"""The same module again: references followed, and layers built at the first time they are asked for."""

from __future__ import annotations

from collections.abc import Callable

from modelzoo.errors import Code, Problems, nearest
from modelzoo.spec import nodes
from modelzoo.spec.instances import BlockInstance, Children, Instance, Scope


class References:
    """Follows references.

    Args:
        problems: gets every problem.
        build: builds whatever may stand where a layer stands.

    Attributes:
        followed: how many there were.
    """

    def __init__(self, problems: Problems, build: Callable[[nodes.Node, Scope], Instance | None]) -> None:
        self.problems, self.build = problems, build
        self.followed = 0

    def build_reference(self, node: nodes.Reference, scope: Scope) -> Instance | None:
        self.followed += 1
        first, *rest = node.target
        children = scope.children
        while children is not None and first not in children.nodes:
            children = children.outer
        text = ".".join(node.target)
        if children is None:
            known = scope.children.visible() if scope.children else []
            self.problems.add(
                node.key / "_ref_", f"there is no layer '{text}' to refer to.", nearest(first, known), code=Code.UNKNOWN
            )
            return None
        if self.moves(children.block, text, node):
            return None
        found = self.child(children, first, node)
        for index, name in enumerate(rest):
            if found is None or (isinstance(found, BlockInstance) and self.moves(found.block, text, node)):
                return None
            if name not in found.children:
                inside = ".".join((first, *rest[:index]))
                self.problems.add(
                    node.key / "_ref_", f"'{inside}' has no layer '{name}'.", nearest(name, found.children)
                )
                return None
            found = found.children[name]
        return found

    def moves(self, block: nodes.Block, text: str, node: nodes.Reference) -> bool:
        """Whether a reference is into a list whose indices depend on conditions."""
        conditions = block.listed and any(isinstance(each, nodes.Condition) for _, each in block.layers)
        moving = conditions or (block.listed and bool(block.unpacked))
        if moving:
            key = "_if_" if conditions else "_unpack_"
            what = f"'{text}' is an index into a list that has {key}, where indices move."
            self.problems.add(node.key / "_ref_", what, "Name the layers: write them as a mapping.")
        return moving

    def child(self, children: Children, name: str, asked: nodes.Node | None = None) -> Instance | None:
        """A child of a block, built at the first time it is asked for."""
        if name in children.instance.children:
            return children.instance.children[name]
        if name in children.building:
            cycle = " -> ".join([*children.building[children.building.index(name) :], name])
            key = asked.key / "_ref_" if asked is not None else children.instance.key
            self.problems.add(key, f"a layer cannot contain itself: {cycle}.", "Refer to a layer that is built before.")
            return None
        assert children.scope is not None
        children.building.append(name)
        built = self.build(children.nodes[name], children.scopes.get(name, children.scope))
        children.building.pop()
        children.instance.children[name] = built
        return built
