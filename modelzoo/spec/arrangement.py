"""The layers of a block in their order: lists closed up, and unpacked."""

from __future__ import annotations

import itertools

from modelzoo.errors import Problems
from modelzoo.spec import nodes
from modelzoo.spec.instances import BlockInstance, Instance


class Arrangement:
    """Arranges what was built; every problem goes to `problems`."""

    def __init__(self, problems: Problems) -> None:
        self.problems = problems

    def arranged(self, block: nodes.Block, built: dict[str, Instance | None]) -> dict[str, Instance | None]:
        """In a sequence an absent child leaves no gap; a `forward` sees None."""
        if block.listed:
            items = [(name, node, built[name]) for name, node in block.layers]
            present = [(name in block.unpacked, node, each) for name, node, each in items if each is not None]
            found = [self.unpacked(each, node) if unpack else [each] for unpack, node, each in present]
            return {str(index): each for index, each in enumerate(itertools.chain.from_iterable(found))}
        if block.forward is None:
            return {name: each for name, each in built.items() if each is not None}
        return built

    def unpacked(self, instance: Instance, node: nodes.Node) -> list[Instance | None]:
        """The layers of a sequence, to stand in the list around it; of a repetition those of every copy.

        A copy that is no sequence stands there itself.
        """
        repeated = isinstance(node.node if isinstance(node, nodes.Condition) else node, nodes.Repeat)
        if not instance.sequence:
            what = f"_unpack_ needs layers that are called one after the other, and {instance.type} is one layer."
            self.problems.add(node.key / "_unpack_", what, "Remove _unpack_.")
        found: list[Instance | None] = []
        for each in instance.children.values() if repeated else [instance]:
            if each is None or not each.sequence:
                found.append(each)
                continue
            found += each.children.values()
            for inside in each.children.values() if each.frozen else ():
                if inside is not None:
                    inside.frozen = True
            if each.init or (isinstance(each, BlockInstance) and each.block.tie):
                what = "a block with _init_ or tie cannot be unpacked: the names in it would be gone."
                self.problems.add(node.key / "_unpack_", what, "Move _init_ and tie to the block around it.")
        return found
