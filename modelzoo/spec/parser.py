"""From plain data to nodes: what a model file says, checked as far as it can be without the values of its args."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from dataclasses import replace
from typing import Any

from modelzoo.catalog.layers import find_layer
from modelzoo.errors import Path, Problems
from modelzoo.language import syntax
from modelzoo.names import Kind
from modelzoo.spec import misplaced
from modelzoo.spec.base import OWN_KEYS, WIDTHS, parse_base
from modelzoo.spec.blocks import Blocks
from modelzoo.spec.calls import Calls, plain
from modelzoo.spec.cuts import in_yaml
from modelzoo.spec.keys import Keys, kind_of
from modelzoo.spec.nodes import (
    BLOCK_KEYS,
    SCALARS,
    Call,
    Computed,
    Condition,
    Formula,
    Freeze,
    Init,
    Node,
    Parameter,
    Reference,
    Repeat,
)
from modelzoo.spec.rules import Rules
from modelzoo.spec.tensors import Tensors
from modelzoo.spec.visible import Visible
from modelzoo.spelling import closest


def parse(model: Any, problems: Problems | None = None) -> Node:
    """The `Spec` of a model: a block, or a single layer.

    Args:
        model: plain data: a mapping, a list or a text.
        problems: collects every problem that can be seen without the values of args, so that more can be looked for.

    Raises:
        ConfigError: with these problems, if nobody collects them, or if nothing is left to look at.

    >>> parse({"layers": ["Linear(4, 2)"]}).layers[0][1].arguments
    (('in_features', 4), ('out_features', 2))
    """
    found = Problems() if problems is None else problems
    key = Path(("model",))
    node = Parser(found).node(model, key, Visible(), "Model")
    if node is None and not found.found:
        found.add(key, "there is no model", "Write layers, or a layer such as Linear(20, 10).")
    if node is None or problems is None:
        found.check()
    assert node is not None
    if isinstance(node, Freeze):
        found.add(key / "_freeze_", "a model is not frozen as a whole.", "Write _freeze_: true on its layers.")
        node = node.node
        if problems is None:
            found.check()
    return node


def parse_init(init: Any, values: frozenset[str], problems: Problems) -> Init:
    """An `init` config: its rules in their order, and its args.

    Args:
        init: a mapping of rules, with `args` among them, or None.
        values: the names of the root's args, which fills may read.
        problems: collects what is wrong with them.
    """
    key = Path(("init",))
    parser = Parser(problems)
    if init is None:
        return Init()
    if not isinstance(init, Mapping):
        problems.add(
            key, f"init must be a mapping of rules, not {kind_of(init)}", "Write weights: {layer: Linear, fill: 0}."
        )
        return Init()
    if "fill" in init and any(isinstance(init.get(name), (str, list)) for name in ("layer", "param", "name")):
        problems.add(key, "a rule has a name, and this one has none.", f"Write {{weights: {in_yaml(init)}}}.")
        init = {"weights": init}
    args = parser.blocks.tensors.args(init.get("args"), key / "args", Visible(values=values))
    base = parse_base(init.get("base"), values, key / "base", problems)
    seen = values | {each.name for each in args} | frozenset(() if init.get("base") is None else WIDTHS)
    given = [(str(name), value) for name, value in init.items() if name not in OWN_KEYS and value is not None]
    rules = [parser.rules.rule(name, value, key / name, seen) for name, value in given]
    if init.get("base") is not None and not base:  # it is wrong, and fills may read what only a base tells
        return Init(args=args)
    return Init(args=args, rules=tuple(rule for rule in rules if rule is not None), base=base)


class Parser:
    """Reads plain data; every problem found goes to `problems`, and reading goes on."""

    def __init__(self, problems: Problems) -> None:
        self.problems = problems
        self.keys = Keys(problems)
        self.calls = Calls(self.keys, self.node)
        self.rules = Rules(self.keys, self.calls)
        tensors = Tensors(self.keys, self.calls, self.rules)
        self.blocks = Blocks(self.keys, self.rules, tensors, self.node, self.signature_of)
        self.literal: dict[Hashable, Call] = {}  # layers of the catalog without formulas, as they were written

    def signature_of(self, body: Any, key: Path) -> tuple[Parameter, ...]:
        """The args of a definition, read before its body; its problems are reported with the body."""
        quiet = Parser(Problems()).blocks.tensors
        return quiet.args(body.get("args"), key / "args", Visible()) if isinstance(body, Mapping) else ()

    def node(self, value: Any, key: Path, visible: Visible, name: str = "Block") -> Node | None:
        """Whatever may stand where a layer stands; None for null or a problem. Equal layers share their arguments."""
        written = _literally(value)
        equal = None if written is None else self.literal.get(written) or KNOWN.get(written)
        if equal is not None and not visible.defines(equal.target):
            return Call(target=equal.target, arguments=equal.arguments, key=key)
        before = len(self.problems.found)
        node = self.any_node(value, key, visible, name)
        fine = written is not None and len(self.problems.found) == before
        if fine and isinstance(node, Call) and _is_literal(node) and not visible.defines(node.target):
            self.literal[written] = node
            if isinstance(value, str) and len(KNOWN) < MOST and _is_everywhere(node):
                KNOWN[value] = node
        return node

    def any_node(self, value: Any, key: Path, visible: Visible, name: str) -> Node | None:
        if value is None:
            return None
        if isinstance(value, Node):  # of a text that was read already
            return value
        if isinstance(value, str):
            return self.calls.text(value, key, visible)
        if isinstance(value, (list, tuple)):
            return self.blocks.block({"layers": list(value)}, key, visible, name, listed_at=key)
        if not isinstance(value, Mapping):
            self.problems.add(
                key, f"a layer must be a text, a mapping or a list, not {value!r}", "Write ReLU or Linear(4, 2)."
            )
            return None
        return self.modified(dict(value), key, visible, name)

    def modified(self, value: dict[str, Any], key: Path, visible: Visible, name: str) -> Node | None:
        repeat, pattern = value.pop("_repeat_", None), value.pop("_name_", None)
        test, freeze = value.pop("_if_", None), None if "_ref_" in value else value.pop("_freeze_", None)
        if value.pop("_unpack_", False) is not False:
            what = "_unpack_ is true or false, and belongs to an item of a list of layers."
            self.problems.add(key / "_unpack_", what, "Remove it, or write layers as a list.")
        inside = replace(visible, values=visible.values | {"i"}) if repeat is not None else visible
        node = self.plain_node(value, key, inside, name)
        if node is None:
            return None
        if freeze is not None:
            node = Freeze(node=node, test=plain(self.calls, freeze, key / "_freeze_", inside), key=key)
        if pattern is not None and (repeat is None or not isinstance(pattern, str)):
            self.problems.add(
                key / "_name_", "_name_ is a text and needs _repeat_", 'Write _repeat_: 4 and _name_: "block{i}".'
            )
        if repeat is not None:
            count = plain(self.calls, repeat, key / "_repeat_", visible)
            named = self.pattern(pattern, key / "_name_", inside) if isinstance(pattern, str) else "{i}"
            node = Repeat(node=node, count=count, name=named, key=key)
        if test is not None:
            node = Condition(node=node, test=plain(self.calls, test, key / "_if_", visible), key=key)
        return node

    def pattern(self, pattern: str, key: Path, visible: Visible) -> str:
        """What copies are called, if it can be read; some name comes of it, however many copies there are."""
        before = len(self.problems.found)
        for part in _HOLE.finditer(pattern):
            with self.problems.at(key):
                self.calls.check_formula(syntax.parse_expression(" " * part.start(1) + part[1]), key, visible)
        some = [Kind.ITEM.refused(_HOLE.sub(each, pattern)) for each in ("0", "a")]
        if some[0] and some[1]:
            self.problems.add(key, *some[0])
        return pattern if len(self.problems.found) == before else "{i}"

    def plain_node(self, value: dict[str, Any], key: Path, visible: Visible, name: str) -> Node | None:
        value = dict(self.keys.whole(value, key))
        if "_ref_" in value:
            return self.reference(value, key)
        if "_target_" in value:
            init = self.rules.init(value.pop("_init_", None), key / "_init_", visible)
            call = self.calls.call(value, key, visible)
            if init and isinstance(call, Computed):
                what = "_init_ is of one layer, and not of one that is chosen."
                self.problems.add(key / "_init_", what, "Write it on a block around it.")
            return replace(call, init=init) if isinstance(call, Call) else call
        if not {"layers", "forward"} & value.keys():
            known = ("_target_", "_ref_", *BLOCK_KEYS)
            wrong = [each for each in value if each not in known]
            meant = next(((each, like) for each in wrong if (like := closest(str(each), known)) in _DECIDING), None)
            otherwise = (
                misplaced.for_mapping(value, key) or "Write layers or forward for a block, _target_ for a layer."
            )
            hint = f"Did you mean '{meant[1]}'?" if meant else otherwise
            self.problems.add(key, "this is neither a layer nor a block: it has no _target_, layers or forward.", hint)
            if meant is None:
                return None
            value[meant[1]] = value.pop(meant[0])
            return self.plain_node(value, key, visible, name)
        return self.blocks.block(value, key, visible, name)

    def reference(self, value: Mapping[str, Any], key: Path) -> Reference | None:
        for other in value.keys() - {"_ref_"}:
            self.problems.add(
                key / other, f"a reference is the same module again and has no other keys, not '{other}'.", "Remove it."
            )
        target = value["_ref_"]
        if isinstance(target, bool) or not isinstance(target, (str, int)) or not str(target):
            self.problems.add(key / "_ref_", f"_ref_ must be the name of a layer, not {target!r}")
            return None
        self.keys.check_name(str(target), key / "_ref_", Kind.REFERENCE)
        return Reference(target=tuple(str(target).split(".")), key=key)


KNOWN: dict[Hashable, Call] = {}
"""Layers of torch with numbers alone, by their texts, which say the same in every file."""

MOST = 8_192
"""So many texts are known at most."""

_DECIDING = ("_target_", "_ref_", "layers", "forward")
"""The keys of which a node has one."""

_HOLE = re.compile(r"\{([^{}]*)\}")


def _literally(value: Any) -> Hashable | None:
    """A layer as it is written, if it is a text, or a mapping to plain numbers."""
    if isinstance(value, str):
        return value
    if not isinstance(value, Mapping) or not isinstance(value.get("_target_"), str):
        return None
    if any(type(each) not in SCALARS and name != "_target_" for name, each in value.items()):
        return None
    return tuple((name, type(each), repr(each)) for name, each in value.items())  # 0.0 is -0.0


def _is_everywhere(call: Call) -> bool:
    """Whether nothing but what torch has is in a layer, and nothing in it has a place of its own."""
    layer = find_layer(call.target)
    plain = all(type(value) in SCALARS for _, value in call.arguments)
    return plain and layer is not None and not layer.registered


def _is_literal(call: Call) -> bool:
    return not call.positional and not any(type(value) is Formula for _, value in call.arguments)
