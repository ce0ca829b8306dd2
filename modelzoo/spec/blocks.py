"""A block: a layer made of layers, and the definitions in it."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from modelzoo import bounds
from modelzoo.errors import Path
from modelzoo.language import compiler
from modelzoo.language.names import Names
from modelzoo.names import Kind, of_class
from modelzoo.spec import misplaced
from modelzoo.spec.hiding import hidden_functions
from modelzoo.spec.keys import Keys, kind_of
from modelzoo.spec.nodes import (
    BLOCK_KEYS,
    TIE_KEYS,
    Block,
    Computed,
    Formula,
    Input,
    Node,
    OwnTensor,
    Parameter,
    Tie,
)
from modelzoo.spec.rules import Rules
from modelzoo.spec.tensors import Tensors
from modelzoo.spec.visible import Visible, joined, names_of

_AROUND, _COPIES = ("args", "blocks"), "copies"
"""Of a definition that is a repeat: the keys that are not those of a copy, and where the copies stand."""


_ABSENT = Computed(formula=Formula(text="None", tree=ast.Constant(None)))


class Blocks:
    """Reads blocks.

    Args:
        keys: asks what every reader asks.
        rules: reads fills.
        tensors: reads tensors and signatures.
        node: reads whatever may stand where a layer stands.
        signature_of: the args of a definition, read before its body.
    """

    def __init__(
        self,
        keys: Keys,
        rules: Rules,
        tensors: Tensors,
        node: Callable[[Any, Path, Visible, str], Node | None],
        signature_of: Callable[[Any, Path], tuple[Parameter, ...]],
    ) -> None:
        self.keys, self.problems = keys, keys.problems
        self.rules, self.tensors, self.node = rules, tensors, node
        self.signature_of = signature_of

    def block(
        self, value: Mapping[str, Any], key: Path, visible: Visible, name: str, listed_at: Path | None = None
    ) -> Block:
        outside = misplaced.outside_layers(value, BLOCK_KEYS)
        if outside:
            names = ", ".join(f"'{each}'" for each in outside)
            self.problems.add(key / next(iter(outside)), "layers is empty.", f"Indent below it what it has: {names}.")
            value = {name: each for name, each in value.items() if name not in outside} | {"layers": outside}
        for each in [each for each in ("trainable", "requires_grad") if each in value]:
            self.problems.add(key / each, f"'{each}' is not a key of a block.", "Write _freeze_: true.")
            value = {name: given for name, given in value.items() if name != each}
        value = self.keys.meant(value, (*BLOCK_KEYS, "_init_"), key, "a block")
        args = self.tensors.args(value.get("args"), key / "args", visible)
        inputs = self.tensors.inputs(value.get("inputs"), key / "inputs", visible, args)
        own = frozenset(each.name for each in args)
        definitions = self.definitions(value.get("blocks") or {}, key / "blocks")
        self.keys.check_count(visible.signatures, definitions, key / "blocks", bounds.DEFINITIONS, "definitions")
        signatures = {str(each): self.signature_of(body, key / "blocks" / each) for each, body in definitions.items()}
        inside = replace(visible, values=visible.values | own, signatures={**visible.signatures, **signatures})
        layers_key = listed_at or key / "layers"
        raw_layers = self.layer_items(value.get("layers"), layers_key)
        tensors = self.tensors.tensors(value.get("parameters"), key / "parameters", inside, buffers=False)
        buffers = self.tensors.tensors(value.get("buffers"), key / "buffers", inside, buffers=True)
        owned = [each for each, _, _ in raw_layers]
        of_layers = Kind.ITEM if value.get("forward") is None else Kind.LAYER
        self.check_names(layers_key, args, inputs, owned, tensors, buffers, of_layers)
        seen = replace(inside, outer=(*inside.outer, frozenset(owned + [t.name for t in (*tensors, *buffers)])))
        listed = isinstance(value.get("layers"), (list, tuple))
        unpacked = frozenset(each for each, node, at in raw_layers if self.unpacks(node, at, listed))
        nodes = tuple(
            (each, self.node(_packed(node) if each in unpacked else node, at, seen, of_class(each)))
            for each, node, at in raw_layers
        )
        blocks = tuple(
            (str(each), self.definition(str(each), body, key / "blocks" / each, signatures, inside))
            for each, body in definitions.items()
        )
        block = Block(
            name=name,
            args=args,
            inputs=inputs,
            layers=tuple((each, node or _ABSENT) for each, node in nodes),
            listed=listed,
            unpacked=unpacked,
            tensors=tensors,
            buffers=buffers,
            forward=self.forward(value.get("forward"), key / "forward"),
            blocks=blocks,
            tie=tuple(self.ties(value.get("tie"), key / "tie", inside)),
            init=self.rules.init(value.get("_init_"), key / "_init_", inside),
            key=key,
        )
        if not block.unpacked:  # their names are known when they are counted
            self.check_forward(block, inside, owned)
        return block

    def definitions(self, value: Any, key: Path) -> Mapping[Any, Any]:
        """The definitions of a block as they are written."""
        if not isinstance(value, Mapping):
            self.problems.add(key, f"blocks must be a mapping of definitions, not {kind_of(value)}")
            return {}
        if "_from_" in value:
            what = "_from_ names files beside a model file that is opened by itself, for the whole model."
            self.problems.add(key / "_from_", what, "In a composed config write defaults: [/parts@blocks: name].")
        return {name: each for name, each in value.items() if name != "_from_"}

    def unpacks(self, node: Any, key: Path, listed: bool) -> bool:
        """Whether the layers of a node, or the copies of a repeat in a mapping, stand in its place."""
        if not isinstance(node, Mapping) or node.get("_unpack_") is not True:
            return False
        named, repeated = node.get("_name_") is not None, node.get("_repeat_") is not None
        if listed and named:
            what = "a list numbers its layers: beside _unpack_ the copies have no names of their own."
            self.problems.add(key / "_name_", what, "Remove _name_, or write layers as a mapping.")
        elif repeated and not listed and not named:
            what = "among layers that have names the copies need some too."
            self.problems.add(key / "_unpack_", what, 'Write _name_: "block{i}".')
        return listed or repeated

    def definition(
        self, name: str, body: Any, key: Path, signatures: Mapping[str, tuple[Parameter, ...]], around: Visible
    ) -> Block:
        self.keys.check_name(name, key, Kind.BLOCK)
        closed = Visible(signatures=signatures, closed=around.values | around.closed | {"i"})
        if isinstance(body, (list, tuple)):
            return self.block({"layers": body}, key, closed, name, listed_at=key)
        if not isinstance(body, Mapping):
            self.problems.add(
                key, f"a definition is a block, not {body!r}", f"Write {name}: {{args: [dim], layers: [...]}}."
            )
            return Block(name=name, key=key)
        if "_repeat_" in body:
            return self.repeated(name, body, key, closed)
        return self.block(body, key, closed, name)

    def repeated(self, name: str, body: Mapping[str, Any], key: Path, closed: Visible) -> Block:
        """A definition that is a repeat: a block whose layers are the copies."""
        block = self.block({each: body[each] for each in _AROUND if each in body}, key, closed, name)
        signatures = {**closed.signatures, **{each: one.args for each, one in block.blocks}}
        seen = Visible(values=frozenset(each.name for each in block.args), signatures=signatures)
        copies = {each: value for each, value in body.items() if each not in _AROUND}
        node = self.node({"_name_": "{i}", **copies}, key, seen, of_class(name))
        return replace(block, layers=((_COPIES, node),), unpacked=frozenset((_COPIES,))) if node else block

    def layer_items(self, value: Any, key: Path) -> list[tuple[str, Any, Path]]:
        """(name, node, place) of each child."""
        if value is None:
            return []
        if isinstance(value, Mapping):
            items = self.keys.whole(value, key)
            hint = misplaced.beside_layers("forward", text := items.get("forward"))
            if hint and isinstance(text, str):
                self.problems.add(key / "forward", "this is no layer.", hint)
                items = {name: each for name, each in items.items() if name != "forward"}
            return [(str(name), each, key / name) for name, each in items.items()]
        if not isinstance(value, (list, tuple)):
            self.problems.add(key, f"layers must be a mapping or a list, not {value!r}", misplaced.for_layers(value))
            return []
        pieces = self.keys.joined(list(value), key)
        return [(str(index), each, key / start) for index, (start, each) in enumerate(pieces)]

    def forward(self, value: Any, key: Path) -> str | None:
        if value is not None and not isinstance(value, str):
            self.problems.add(key, f"forward must be a text, not {value!r}", "Write forward: out(relu(hidden(x))).")
            return None
        return value

    def check_forward(self, block: Block, visible: Visible, owned: list[str]) -> None:
        """A text is checked here; without one the block is an nn.Sequential."""
        if block.forward is not None:
            names = replace(names_of(block, visible.values, joined(visible.outer)), closed=visible.closed)
            reads = partial(_reads, names)
            errors = compiler.translate(block.forward, names, f"{block.name}.forward").errors
            for error in errors or hidden_functions(block, visible.signatures, reads):
                self.problems.add_text(block.key / "forward", error)
            return
        if len(block.inputs) != 1:
            what = f"without forward a block is an nn.Sequential and takes one input, not {len(block.inputs)}."
            self.problems.add(block.key / "inputs", what, "Write a forward.")
        for tensor in (*block.tensors, *block.buffers):
            what = f"without forward a block is an nn.Sequential and has no tensors of its own, not '{tensor.name}'."
            self.problems.add(tensor.key, what, "Write a forward that uses it.")

    def check_names(
        self,
        layers_key: Path,
        args: tuple[Parameter, ...],
        inputs: tuple[Input, ...],
        layers: list[str],
        tensors: tuple[OwnTensor, ...],
        buffers: tuple[OwnTensor, ...],
        of_layers: Kind,
    ) -> None:
        kinds: dict[str, str] = {}
        for name, kind, key in [
            *((each.name, Kind.ARG, each.key) for each in args),
            *((each.name, Kind.INPUT, each.key) for each in inputs),
            *((each, of_layers, None) for each in layers),
            *((each.name, Kind.PARAMETER, each.key) for each in tensors),
            *((each.name, Kind.BUFFER, each.key) for each in buffers),
        ]:
            if key is None and name not in kinds and of_layers.fits(name):
                kinds[name] = of_layers.what
                continue
            at = layers_key / name if key is None else key
            if name in kinds and not (kinds[name] == Kind.INPUT.what and not inputs[0].key[-1:]):
                other = kinds[name]
                same = other == kind.what
                what = f"'{name}' is {other} twice" if same else f"'{name}' is {other} and {kind.what} of this block"
                self.problems.add(at, f"{what}.", "Rename one.")
            kinds.setdefault(name, kind.what)
            if kind is of_layers:
                self.keys.check_name(name, at, kind)

    def ties(self, value: Any, key: Path, visible: Visible) -> Iterator[Tie]:
        if value is None:
            return
        if not isinstance(value, Mapping):
            self.problems.add(key, f"tie must be a mapping, not {kind_of(value)}", "Write {head.weight: embed.weight}.")
            return
        for left, given in _flattened(value):
            written = given if isinstance(given, Mapping) else {"_ref_": given}
            self.keys.check_known(written, TIE_KEYS, key / left, "a tie")
            right = written.get("_ref_")
            if not isinstance(right, str):
                self.problems.add(
                    key / left, f"a tie names a tensor, not {given!r}", "Write {head.weight: embed.weight}."
                )
                continue
            for name in (left, right):
                self.keys.check_name(name, key / left, Kind.TIED)
            yield Tie(left=left, right=right, test=self.tensors.test(written, key / left, visible), key=key / left)


def _reads(names: Names, text: str) -> bool:
    """Whether a text can be read where these names are known."""
    return not compiler.translate(text, names, "a repair").errors


def _flattened(value: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, each in value.items():
        if isinstance(each, Mapping) and not each.keys() & {*TIE_KEYS}:
            yield from _flattened(each, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", each


def _packed(node: Mapping[Any, Any]) -> dict[Any, Any]:
    return {name: each for name, each in node.items() if name != "_unpack_"}
