"""From plain data to a `Spec`: what a model file says, checked as far as it can be without the values of its args."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from modelzoo import bounds
from modelzoo.catalog import catalog, fills
from modelzoo.errors import Beside, Path, Problems, TextError, nearest
from modelzoo.language import compiler, formulas, syntax
from modelzoo.names import Kind, of_class
from modelzoo.spec.nodes import (
    BLOCK_KEYS,
    CONTAINERS,
    FILL_INPUTS,
    NODE_KEYS,
    REQUIRED,
    SCALARS,
    TENSOR_KEYS,
    Block,
    Call,
    Computed,
    Condition,
    Fill,
    Formula,
    Input,
    Node,
    OwnTensor,
    Parameter,
    Reference,
    Repeat,
    Rule,
    Visible,
    assigned_in,
    dotted_name,
    fill_names,
    is_layer,
    joined,
    names_of,
)


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
    return node


def parse_rules(init: Any, values: frozenset[str], problems: Problems) -> tuple[Rule, ...]:
    """The rules of an `init` config, in their order.

    Args:
        init: a mapping of rules, or None.
        values: the names of the root's args, which fills may read.
        problems: collects what is wrong with them.
    """
    key = Path(("init",))
    parser = Parser(problems)
    if init is None:
        return ()
    if not isinstance(init, Mapping):
        problems.add(
            key, f"init must be a mapping of rules, not {_kind(init)}", "Write weights: {layer: Linear, fill: 0}."
        )
        return ()
    rules = [parser.rule(str(name), value, key / name, values) for name, value in init.items() if value is not None]
    return tuple(rule for rule in rules if rule is not None)


class Parser:
    """Reads plain data; every problem found goes to `problems`, and reading goes on."""

    def __init__(self, problems: Problems) -> None:
        self.problems = problems
        self.literal: dict[Hashable, Call] = {}  # layers of the catalog without formulas, as they were written

    # -- nodes

    def node(self, value: Any, key: Path, visible: Visible, name: str = "Block") -> Node | None:
        """Whatever may stand where a layer stands; None for null or a problem. Equal layers share their arguments."""
        written = _literally(value)
        equal = None if written is None else self.literal.get(written)
        if equal is not None and not visible.defines(equal.target):
            return Call(target=equal.target, arguments=equal.arguments, key=key)
        before = len(self.problems.found)
        node = self.any_node(value, key, visible, name)
        fine = written is not None and len(self.problems.found) == before
        if fine and isinstance(node, Call) and _is_literal(node) and not visible.defines(node.target):
            self.literal[written] = node
        return node

    def any_node(self, value: Any, key: Path, visible: Visible, name: str) -> Node | None:
        if value is None:
            return None
        if isinstance(value, str):
            return self.text(value, key, visible)
        if isinstance(value, (list, tuple)):
            return self.block({"layers": list(value)}, key, visible, name, listed_at=key)
        if not isinstance(value, Mapping):
            self.problems.add(
                key, f"a layer must be a text, a mapping or a list, not {value!r}", "Write ReLU or Linear(4, 2)."
            )
            return None
        return self.modified(dict(value), key, visible, name)

    def modified(self, value: dict[str, Any], key: Path, visible: Visible, name: str) -> Node | None:
        repeat, pattern = value.pop("_repeat_", None), value.pop("_name_", None)
        test = value.pop("_if_", None)
        if value.pop("_unpack_", False) is not False:
            what = "_unpack_ is true or false, and belongs to an item of a list of layers."
            self.problems.add(key / "_unpack_", what, "Remove it, or write layers as a list.")
        inside = replace(visible, values=visible.values | {"i"}) if repeat is not None else visible
        node = self.plain_node(value, key, inside, name)
        if node is None:
            return None
        if pattern is not None and (repeat is None or not isinstance(pattern, str)):
            self.problems.add(
                key / "_name_", "_name_ is a text and needs _repeat_", 'Write _repeat_: 4 and _name_: "block{i}".'
            )
        if repeat is not None:
            count = self.code(repeat, key / "_repeat_", visible)
            named = self.pattern(pattern, key / "_name_", inside) if isinstance(pattern, str) else "{i}"
            node = Repeat(node=node, count=count, name=named, key=key)
        if test is not None:
            node = Condition(node=node, test=self.code(test, key / "_if_", visible), key=key)
        return node

    def pattern(self, pattern: str, key: Path, visible: Visible) -> str:
        """What copies are called, if it can be read; some name comes of it, however many copies there are."""
        before = len(self.problems.found)
        for part in _HOLE.finditer(pattern):
            with self.problems.at(key):
                self.check_formula(syntax.parse_expression(" " * part.start(1) + part[1]), key, visible)
        some = [Kind.ITEM.refused(_HOLE.sub(each, pattern)) for each in ("0", "a")]
        if some[0] and some[1]:
            self.problems.add(key, *some[0])
        return pattern if len(self.problems.found) == before else "{i}"

    def plain_node(self, value: dict[str, Any], key: Path, visible: Visible, name: str) -> Node | None:
        if self.is_cut(value, key):
            return None
        if "_ref_" in value:
            return self.reference(value, key)
        if "_target_" in value:
            return self.call(value, key, visible)
        if not {"layers", "forward"} & value.keys():
            hint = nearest(next(iter(map(str, value)), ""), ("_target_", "_ref_", *BLOCK_KEYS)) if value else ""
            if not hint.startswith("Did"):
                hint = "Write layers or forward for a block, _target_ for a layer."
            self.problems.add(key, "this is neither a layer nor a block: it has no _target_, layers or forward.", hint)
            return None
        return self.block(value, key, visible, name)

    def is_cut(self, value: Mapping[str, Any], key: Path) -> bool:
        cut = next((each for each in value if syntax.unbalanced(str(each))), None)
        if cut is not None:
            self.cut(value, cut, key)
        return cut is not None

    def cut(self, value: Mapping[str, Any], cut: str, key: Path) -> None:
        """`{a: Linear(4, 8)}` reaches us as {"a": "Linear(4", "8)": None}."""
        items = list(value.items())
        at = [name for name, _ in items].index(cut)
        owner, start = next(((n, v) for n, v in reversed(items[:at]) if isinstance(v, str)), (None, None))
        whole = f'{owner}: "{start}, {cut}"' if owner is not None else f'"{cut}"'
        self.problems.add(
            key / str(cut),
            f"YAML cut a text in two at its comma: '{cut}' is no key.",
            f"Put the text in quotes: {whole}.",
        )

    def reference(self, value: Mapping[str, Any], key: Path) -> Reference | None:
        for other in value.keys() - {"_ref_"}:
            self.problems.add(
                key / other, f"a reference is the same module again and has no other keys, not '{other}'.", "Remove it."
            )
        target = value["_ref_"]
        if isinstance(target, bool) or not isinstance(target, (str, int)) or not str(target):
            self.problems.add(key / "_ref_", f"_ref_ must be the name of a layer, not {target!r}")
            return None
        self.check_name(str(target), key / "_ref_", Kind.REFERENCE)
        return Reference(target=tuple(str(target).split(".")), key=key)

    def text(self, text: str, key: Path, visible: Visible) -> Node | None:
        with self.problems.at(key):
            if text == "???":
                raise TextError("this layer is required", f"Type {key}=...")
            tree = syntax.parse_expression(text)
            if isinstance(tree, (ast.IfExp, ast.Subscript)) or (isinstance(tree, ast.Constant) and tree.value is None):
                self.check_formula(tree, key, visible)
                return Computed(formula=Formula(text=text.lstrip("= "), tree=tree, key=key), key=key)
            return self.call_of(tree, text, key, visible)
        return None

    def call_of(
        self,
        tree: ast.expr,
        text: str,
        key: Path,
        visible: Visible,
        items: Sequence[Any] = (),
        others: Mapping[str, Any] = MappingProxyType({}),
    ) -> Call | None:
        """A layer written as Python writes it: `Linear(20, 256, bias=False)`; a mapping may add `others`."""
        function = tree.func if isinstance(tree, ast.Call) else tree
        target = dotted_name(function)
        if target is None:
            raise TextError(
                f"'{text.strip()}' is not a layer",
                "Write a layer such as ReLU or Linear(20, 256).",
                1,
                tree.col_offset + 1,
            )
        positional: list[Any] = []
        named: dict[str, Any] = {}
        if isinstance(tree, ast.Call):
            if _is_starred(tree):
                raise TextError(
                    "starred arguments have no place here", "Write each argument.", tree.lineno, tree.col_offset + 1
                )
            positional = [self.from_tree(each, key, visible) for each in tree.args]
            named = {str(each.arg): self.from_tree(each.value, key, visible) for each in tree.keywords}
        for name in [name for name in others if name in named]:
            self.problems.add(Path(key[:-1]) / name, f"{target} gets '{name}' twice.", "Remove one.")
        return self.bound(target, [*positional, *items], {**named, **others}, key, visible, place=function)

    def from_tree(self, tree: ast.expr, key: Path, visible: Visible) -> Any:
        """A value of a text: a literal as itself, everything else as a formula."""
        literal = _literal(tree)
        if literal is not _NO_LITERAL:
            return literal
        self.check_formula(tree, key, visible)
        return Formula(text=ast.unparse(tree), tree=tree, key=key)

    def call(self, value: dict[str, Any], key: Path, visible: Visible) -> Call | None:
        """A layer written as a mapping."""
        target = value.pop("_target_")
        init = self.init(value.pop("_init_", None), key / "_init_", visible)
        positional = value.pop("_args_", [])
        for accepted in ("_convert_", "_recursive_"):
            if value.pop(accepted, True) is False:
                self.problems.add(
                    key / accepted,
                    "_recursive_: false has no meaning here: nested layers are always built",
                    "Remove it.",
                )
        if not isinstance(target, str):
            self.problems.add(
                key / "_target_", f"_target_ must be the name of a layer, not {target!r}", "Write _target_: Linear."
            )
            return None
        if not isinstance(positional, (list, tuple)):
            self.problems.add(key / "_args_", f"_args_ must be a list, not {positional!r}")
            positional = []
        items = [self.value(each, key / "_args_" / index, visible) for index, each in enumerate(positional)]
        for name in [name for name in value if str(name).startswith("_")]:
            del value[name]
            known = ("_target_", "_args_", *NODE_KEYS, "_ref_")
            what = (
                "is not accepted: a layer is built, not prepared" if name == "_partial_" else "is not a key of a layer"
            )
            self.problems.add(
                key / name, f"'{name}' {what}.", nearest(str(name), known) if name != "_partial_" else "Remove it."
            )
        named = {str(name): self.value(each, key / name, visible) for name, each in value.items()}
        with self.problems.at(key / "_target_"):
            tree = syntax.parse_expression(target)
            if isinstance(tree, ast.Call):
                call = self.call_of(tree, target, key / "_target_", visible, items, named)
                return None if call is None else replace(call, init=init, key=key)
            dotted = dotted_name(tree)
            if dotted is None:
                raise TextError(f"'{target}' is not the name of a layer", "Write _target_: Linear.")
            bound = self.bound(dotted, items, named, key, visible, place=None)
            return None if bound is None else replace(bound, init=init)
        return None

    def bound(
        self,
        target: str,
        positional: list[Any],
        named: dict[str, Any],
        key: Path,
        visible: Visible,
        place: ast.expr | None,
    ) -> Call | None:
        """Binds arguments to the names of the target's signature, as far as the target is known."""
        at: dict[str, Any] = {} if place is None else {"line": place.lineno, "column": place.col_offset + 1}
        if target in visible.values:
            self.check_arguments(named, key, at)
            return Call(target=target, positional=tuple(positional), arguments=tuple(named.items()), key=key)
        if target in visible.signatures:
            names = tuple(each.name for each in visible.signatures[target])
            own = catalog.Accepted(positional=names, variable=None, named=frozenset(names), open=False, required=())
            return self.to_names(target, own, positional, named, key, at)
        layer = catalog.find_layer(target)
        if layer is None:
            reason = (
                catalog.EXCLUDED.get(target.rpartition(".")[2])
                if target.startswith("torch.nn.") or "." not in target
                else None
            )
            hint = reason or nearest(target.rpartition(".")[2], [*visible.signatures, *catalog.layer_names()])
            target_key = key / "_target_" if place is None and key[-1:] != ("_target_",) else key
            self.problems.add(target_key, f"there is no layer '{target}'.", hint, **at)
            return None
        if layer.name in CONTAINERS:
            given = {key / "_args_" / index: each for index, each in enumerate(positional)}
            given |= {key / name: each for name, each in named.items()}
            self.check_children(given, CONTAINERS[layer.name], key, at)
        return self.to_names(target, catalog.accepted(layer), positional, named, key, at)

    def check_arguments(self, names: Iterable[str], key: Path, at: dict[str, Any]) -> None:
        """The names of arguments that no signature knows."""
        for name in names:
            self.check_name(name, key if at else key / name, Kind.ARGUMENT, **at)

    def check_children(self, given: Mapping[Path, Any], kind: Kind, key: Path, at: dict[str, Any]) -> None:
        """The names of the layers in a container, where they are written there."""
        if len(given) == 1:
            ((place, value),) = given.items()
            for name in _children(value):
                self.check_name(name, key if at else place / name, kind, **at)

    def to_names(
        self,
        target: str,
        accepted: catalog.Accepted,
        positional: list[Any],
        named: dict[str, Any],
        key: Path,
        at: dict[str, Any],
    ) -> Call | None:
        order, extra = accepted.positional, ()
        if len(positional) > len(order):
            if accepted.variable is None:
                takes = f"at most {len(order)} arguments by position, not {len(positional)}"
                self.problems.add(key, f"{target} takes {takes}.", **at)
                return None
            positional, extra = positional[: len(order)], tuple(positional[len(order) :])
        arguments = dict(zip(order, positional, strict=False))
        self.check_arguments([name for name in named if accepted.open and name not in accepted.named], key, at)
        for name, value in named.items():
            where = key / name if not at else key
            if name in arguments:
                self.problems.add(where, f"{target} gets '{name}' twice.", "Remove one.", **at)
            elif name not in accepted.named and not accepted.open:
                text = f"If the _target_ was changed{{}}, type ~{where} to remove this key."
                stale = None if at else Beside(text=text, key=key / "_target_", elsewhere=True)
                whole = name in ("device", "dtype") and target in catalog.layer_names()
                hint = f"It is set for a whole model: {name}=..." if whole else nearest(name, sorted(accepted.named))
                self.problems.add(where, f"{target} has no argument '{name}'.", hint, beside=stale, **at)
            else:
                arguments[name] = value
        if named:
            first = {name: arguments[name] for name in order if name in arguments}
            arguments = {**first, **arguments}
        return Call(target=target, positional=extra, arguments=tuple(arguments.items()), key=key)

    # -- values

    def value(self, value: Any, key: Path, visible: Visible) -> Any:
        """An argument of the mapping form: a text is a text unless it starts with `=`; nodes may nest."""
        if syntax.is_formula(value):
            return self.code(value, key, visible)
        if isinstance(value, Mapping):
            if "_target_" in value or {"layers", "forward"} & value.keys():
                return self.node(value, key, visible)
            return {name: self.value(each, key / name, visible) for name, each in value.items()}
        if isinstance(value, (list, tuple)):
            return tuple(self.value(each, key / index, visible) for index, each in enumerate(value))
        return value

    def code(self, value: Any, key: Path, visible: Visible) -> Any:
        """A value where text is code."""
        if not isinstance(value, str):
            return value
        with self.problems.at(key):
            return self.from_tree(syntax.parse_expression(value), key, visible)
        return None

    def check_formula(self, tree: ast.expr, key: Path, visible: Visible) -> None:
        """Every name must be a value or a layer that can be seen from here; layers may be called in arguments."""
        if isinstance(tree, (ast.Tuple, ast.List)):
            for each in tree.elts:
                self.check_formula(each, key, visible)
        elif isinstance(tree, ast.Dict):
            for each in tree.values:
                self.check_formula(each, key, visible)
        elif isinstance(tree, ast.IfExp):
            for each in (tree.test, tree.body, tree.orelse):
                self.check_formula(each, key, visible)
        elif is_layer(tree, visible.values, visible.signatures):
            with self.problems.at(key):
                self.call_of(tree, ast.unparse(tree), key, visible)
        elif not (isinstance(tree, ast.Constant) and isinstance(tree.value, str)):
            for error in formulas.check_formula(tree, visible.values):
                self.problems.add_text(key, error)

    # -- blocks

    def block(
        self, value: Mapping[str, Any], key: Path, visible: Visible, name: str, listed_at: Path | None = None
    ) -> Block:
        for each in value:
            if each not in BLOCK_KEYS and each != "_init_":
                self.problems.add(
                    key / each, f"'{each}' is not a key of a block.", nearest(str(each), (*BLOCK_KEYS, *NODE_KEYS))
                )
        args = self.args(value.get("args"), key / "args", visible)
        inputs = self.inputs(value.get("inputs"), key / "inputs", visible, args)
        own = frozenset(each.name for each in args)
        definitions = value.get("blocks") or {}
        if not isinstance(definitions, Mapping):
            self.problems.add(key / "blocks", f"blocks must be a mapping of definitions, not {_kind(definitions)}")
            definitions = {}
        self.check_count(visible.signatures, definitions, key / "blocks", bounds.DEFINITIONS, "definitions")
        signatures = {str(each): self.signature_of(body, key / "blocks" / each) for each, body in definitions.items()}
        inside = Visible(
            values=visible.values | own, signatures={**visible.signatures, **signatures}, outer=visible.outer
        )
        layers_key = listed_at or key / "layers"
        raw_layers = self.layer_items(value.get("layers"), layers_key)
        tensors = self.tensors(value.get("parameters"), key / "parameters", inside, buffers=False)
        buffers = self.tensors(value.get("buffers"), key / "buffers", inside, buffers=True)
        owned = [each for each, _, _ in raw_layers]
        of_layers = Kind.ITEM if value.get("forward") is None else Kind.LAYER
        self.check_names(layers_key, args, inputs, owned, tensors, buffers, of_layers)
        seen = replace(inside, outer=(*inside.outer, frozenset(owned + [t.name for t in (*tensors, *buffers)])))
        listed = isinstance(value.get("layers"), (list, tuple))
        unpacked = frozenset(each for each, node, _ in raw_layers if listed and _unpacks(node))
        nodes = tuple(
            (each, self.node(_packed(node) if each in unpacked else node, at, seen, of_class(each)))
            for each, node, at in raw_layers
        )
        blocks = tuple(
            (str(each), self.definition(str(each), body, key / "blocks" / each, signatures))
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
            tie=tuple(self.ties(value.get("tie"), key / "tie")),
            init=self.init(value.get("_init_"), key / "_init_", inside),
            key=key,
        )
        self.check_forward(block, inside, owned)
        return block

    def definition(self, name: str, body: Any, key: Path, signatures: Mapping[str, tuple[Parameter, ...]]) -> Block:
        self.check_name(name, key, Kind.BLOCK)
        closed = Visible(signatures=signatures)
        if isinstance(body, (list, tuple)):
            return self.block({"layers": body}, key, closed, name, listed_at=key)
        if not isinstance(body, Mapping):
            self.problems.add(
                key, f"a definition is a block, not {body!r}", f"Write {name}: {{args: [dim], layers: [...]}}."
            )
            return Block(name=name, key=key)
        return self.block(body, key, closed, name)

    def signature_of(self, body: Any, key: Path) -> tuple[Parameter, ...]:
        """The args of a definition, read before its body; its problems are reported with the body."""
        quiet = Parser(Problems())
        return quiet.args(body.get("args"), key / "args", Visible()) if isinstance(body, Mapping) else ()

    def args(self, value: Any, key: Path, visible: Visible) -> tuple[Parameter, ...]:
        found: list[Parameter] = []
        self.check_count(visible.values, value, key, bounds.ARGS, "args")
        for name, default, at in self.signature(value, key):
            earlier = replace(visible, values=visible.values | {each.name for each in found})
            self.check_name(name, at, Kind.ARG)
            if isinstance(default, ast.expr):
                default = self.from_tree(default, at, earlier)
            elif default is not REQUIRED:
                default = self.value(default, at, earlier)
            found.append(Parameter(name=name, default=REQUIRED if default == "???" else default, key=at))
        for before, after in itertools.pairwise(found if isinstance(value, (list, tuple)) else ()):
            if before.default is not REQUIRED and after.default is REQUIRED:
                what = f"the arg '{after.name}' has no default but follows one that has"
                self.problems.add(after.key, what, "Put it first.")
        return tuple(found)

    def signature(self, value: Any, key: Path) -> Iterator[tuple[str, Any, Path]]:
        """(name, default, place) of each parameter of a mapping, or of a list of Python parameters."""
        if value is None:
            return
        if isinstance(value, Mapping):
            if not self.is_cut(value, key):
                yield from ((str(name), default, key / name) for name, default in value.items())
            return
        if not isinstance(value, (list, tuple)):
            self.problems.add(key, f"a signature is a mapping or a list, not {value!r}", "Write [dim, stride=1].")
            return
        for index, text in self.joined(list(value), key, "an arg" if key[-1] == "args" else "an input"):
            with self.problems.at(key / index):
                name, equals, default = str(text).partition("=")
                yield name.strip(), syntax.parse_expression(default) if equals else REQUIRED, key / index

    def inputs(self, value: Any, key: Path, visible: Visible, args: tuple[Parameter, ...]) -> tuple[Input, ...]:
        if value is None:
            return (Input(name="x", key=key),)
        inside = replace(visible, values=visible.values | {each.name for each in args})
        self.check_count((), value, key, bounds.ARGS, "inputs")
        found = []
        for name, example, at in self.signature(value, key):
            self.check_name(name, at, Kind.INPUT)
            found.append(self.input(name, example, at, inside))
        late = [b for a, b in itertools.pairwise(found) if a.optional and not b.optional]
        for each in late:
            self.problems.add(
                each.key, f"the input '{each.name}' has no default but follows one that has", "Put it first."
            )
        return tuple(found)

    def input(self, name: str, example: Any, key: Path, visible: Visible) -> Input:
        if example is None or (isinstance(example, ast.Constant) and example.value is None):
            return Input(name=name, optional=True, key=key)
        if example is REQUIRED or example == "???":
            return Input(name=name, key=key)
        if isinstance(example, ast.expr):
            self.problems.add(
                key, f"the default of an input is None, not {ast.unparse(example)}", f"Write {name}=None."
            )
            return Input(name=name, key=key)
        if isinstance(example, Mapping):
            for each in example.keys() - set(TENSOR_KEYS):
                self.problems.add(key / each, f"'{each}' is not a key of an input.", nearest(str(each), TENSOR_KEYS))
            if "shape" not in example:
                self.problems.add(key, "an example needs a shape", f"Write {name}: {{shape: [2, 20]}}.")
                return Input(name=name, key=key)
            fill = self.fill(example["fill"], key / "fill", visible.values) if example.get("fill") is not None else None
            dtype = self.dtype(example.get("dtype"), key / "dtype")
            return Input(
                name=name, shape=self.shape(example["shape"], key / "shape", visible), dtype=dtype, fill=fill, key=key
            )
        return Input(name=name, shape=self.shape(example, key, visible), key=key)

    def shape(self, value: Any, key: Path, visible: Visible) -> tuple[Any, ...]:
        value = self.code(value, key, visible) if isinstance(value, str) else value
        if isinstance(value, Formula):
            return (value,)
        if isinstance(value, int) and not isinstance(value, bool):
            return (value,)
        if not isinstance(value, (list, tuple)):
            self.problems.add(key, f"a shape is a list of sizes, not {value!r}", "Write [2, 20].")
            return ()
        return tuple(self.code(each, key / index, visible) for index, each in enumerate(value))

    def dtype(self, value: Any, key: Path) -> str | None:
        if value is not None and not (isinstance(value, str) and value in catalog.DTYPES):
            self.problems.add(key, f"there is no dtype {value!r}.", nearest(str(value), catalog.DTYPES))
            return None
        return value

    def tensors(self, value: Any, key: Path, visible: Visible, *, buffers: bool) -> tuple[OwnTensor, ...]:
        if value is None:
            return ()
        if not isinstance(value, Mapping):
            self.problems.add(
                key, f"{key[-1]} must be a mapping, not {_kind(value)}", "Write scale: {shape: [8], fill: ones}."
            )
            return ()
        return tuple(self.tensor(str(name), each, key / name, visible, buffers) for name, each in value.items())

    def tensor(self, name: str, value: Any, key: Path, visible: Visible, buffer: bool) -> OwnTensor:
        self.check_name(name, key, Kind.BUFFER if buffer else Kind.PARAMETER)
        known = (*TENSOR_KEYS, "persistent") if buffer else (*TENSOR_KEYS, "trainable")
        if isinstance(value, Mapping) and self.is_cut(value, key):
            return OwnTensor(name=name, shape=(), key=key)
        for each in value.keys() - set(known) if isinstance(value, Mapping) else ():
            self.problems.add(key / each, f"'{each}' is not a key of a tensor.", nearest(str(each), known))
        if not isinstance(value, Mapping) or "shape" not in value:
            self.problems.add(key, "a tensor is a shape and a fill", f"Write {name}: {{shape: [8], fill: ones}}.")
            return OwnTensor(name=name, shape=(), key=key)
        flag = "persistent" if buffer else "trainable"
        if not isinstance(value.get(flag, True), bool):
            self.problems.add(key / flag, f"{flag} must be true or false, not {value[flag]!r}")
        return OwnTensor(
            name=name,
            shape=self.shape(value["shape"], key / "shape", visible),
            fill=self.fill(value["fill"], key / "fill", visible.values) if value.get("fill") is not None else None,
            dtype=self.dtype(value.get("dtype"), key / "dtype"),
            trainable=not buffer and value.get("trainable") is not False,
            persistent=value.get("persistent") is not False,
            key=key,
        )

    def layer_items(self, value: Any, key: Path) -> list[tuple[str, Any, Path]]:
        """(name, node, place) of each child."""
        if value is None:
            return []
        if isinstance(value, Mapping):
            cut = next((each for each in value if syntax.unbalanced(str(each))), None)
            if cut is not None:
                self.cut(value, cut, key)
            broken = {name for name, each in value.items() if isinstance(each, str) and syntax.unbalanced(each)}
            gone = {cut, *(broken if cut is not None else ())}
            return [(str(name), each, key / name) for name, each in value.items() if name not in gone]
        if not isinstance(value, (list, tuple)):
            self.problems.add(key, f"layers must be a mapping or a list, not {value!r}", "Write [ReLU], or act: ReLU.")
            return []
        pieces = self.joined(list(value), key)
        return [(str(index), each, key / index) for index, each in pieces]

    def joined(self, items: list[Any], key: Path, kind: str = "a layer") -> list[tuple[int, Any]]:
        """Finds texts that YAML cut at their commas: [Linear(4, 8), ReLU] is ["Linear(4", "8)", "ReLU"] here."""
        found: list[tuple[int, Any]] = []
        index = 0
        while index < len(items):
            text, end = items[index], index + 1
            if isinstance(text, str) and syntax.unbalanced(text):
                missing = syntax.missing(text)
                while end < len(items) and any(missing) and isinstance(items[end], (str, int, float)):
                    missing = [a + b for a, b in zip(missing, syntax.missing(str(items[end])), strict=True)]
                    end += 1
                what = f"YAML cut a text in two at its comma: {_cut_short(repr(text))} is not {kind}."
                self.problems.add(key / index, what, f"Write {_rejoined(items, index, end)}.")
            else:
                found.append((index, text))
            index = end
        return found

    def forward(self, value: Any, key: Path) -> str | None:
        if value is not None and not isinstance(value, str):
            self.problems.add(key, f"forward must be a text, not {value!r}", "Write forward: out(relu(hidden(x))).")
            return None
        return value

    def check_forward(self, block: Block, visible: Visible, owned: list[str]) -> None:
        """A text is checked here; without one the block is an nn.Sequential."""
        if block.forward is not None:
            for error in compiler.translate(
                block.forward, names_of(block, visible.values, joined(visible.outer)), "forward"
            ).errors:
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
        for name, kind, at in [
            *((each.name, Kind.ARG, each.key) for each in args),
            *((each.name, Kind.INPUT, each.key) for each in inputs),
            *((each, of_layers, layers_key / each) for each in layers),
            *((each.name, Kind.PARAMETER, each.key) for each in tensors),
            *((each.name, Kind.BUFFER, each.key) for each in buffers),
        ]:
            if name in kinds and not (kinds[name] == Kind.INPUT.what and not inputs[0].key[-1:]):
                other = kinds[name]
                same = other == kind.what
                what = f"'{name}' is {other} twice" if same else f"'{name}' is {other} and {kind.what} of this block"
                self.problems.add(at, f"{what}.", "Rename one.")
            kinds.setdefault(name, kind.what)
            if kind is of_layers:
                self.check_name(name, at, kind)

    def check_count(self, outer: Sized, own: Any, key: Path, most: int, kind: str) -> None:
        """Ends the reading where a block sees so many that it cannot be meant: each text may read all of them.

        Raises:
            ConfigError: with what was found so far.
        """
        count = len(outer) + (len(own) if isinstance(own, (Mapping, list, tuple)) else 0)
        if count > most:
            self.problems.add(key, f"a block sees at most {most:,} {kind}, those around it included, not {count:,}.")
            self.problems.check()

    def check_name(self, name: str, key: Path, kind: Kind, *, line: int = 0, column: int = 0) -> None:
        wrong = kind.refused(name)
        if wrong is not None:
            self.problems.add(key, *wrong, line=line, column=column)

    def ties(self, value: Any, key: Path) -> Iterator[tuple[str, str]]:
        if value is None:
            return
        if not isinstance(value, Mapping):
            self.problems.add(key, f"tie must be a mapping, not {_kind(value)}", "Write {head.weight: embed.weight}.")
            return
        for left, right in _flattened(value):
            if isinstance(right, str):
                for name in (left, right):
                    self.check_name(name, key / left, Kind.TIED)
                yield left, right
            else:
                self.problems.add(
                    key / left, f"a tie names a tensor, not {right!r}", "Write {head.weight: embed.weight}."
                )

    # -- fills

    def init(self, value: Any, key: Path, visible: Visible) -> tuple[tuple[str, Fill], ...]:
        if value is None:
            return ()
        if not isinstance(value, Mapping):
            self.problems.add(
                key, f"_init_ must be a mapping, not {value!r}", "Write _init_: {weight: xavier_uniform, bias: 0}."
            )
            return ()
        found = []
        for name, each in value.items():
            fill = self.fill(each, key / name, visible.values)
            if fill is not None:
                found.append((str(name), fill))
        return tuple(found)

    def rule(self, name: str, value: Any, key: Path, values: frozenset[str]) -> Rule | None:
        known = ("layer", "param", "name", "fill")
        self.check_name(name, key, Kind.RULE)
        if not isinstance(value, Mapping):
            self.problems.add(
                key, f"a rule is a mapping, not {value!r}", "Write {layer: Linear, param: weight, fill: 0}."
            )
            return None
        if self.is_cut(value, key):
            return None
        for each in value.keys() - set(known):
            self.problems.add(key / each, f"'{each}' is not a key of a rule.", nearest(str(each), known))
        if value.get("fill") is None:
            self.problems.add(key, "this rule has no fill", "Write fill: xavier_uniform.")
            return None
        if not any(value.get(each) is not None for each in known[:3]):
            self.problems.add(
                key, "this rule selects nothing", "Write layer: Linear, param: weight or name: '*.weight'."
            )
        layers = self.rule_layers(value.get("layer"), key / "layer")
        fill = self.fill(value["fill"], key / "fill", values - self.own_names(value["fill"], key / "fill"))
        param, pattern = value.get("param"), value.get("name")
        odd = {name: each for name, each in (("param", param), ("name", pattern)) if not isinstance(each, str | None)}
        for each, given in odd.items():
            self.problems.add(key / each, f"{each} must be a text, not {given!r}")
        if isinstance(param, str):
            self.check_name(param, key / "param", Kind.LOCAL)
        if fill is None or odd:
            return None
        return Rule(name=name, layers=layers, param=param, pattern=pattern, fill=fill, key=key)

    def rule_layers(self, value: Any, key: Path) -> tuple[str, ...]:
        """The types of layers that a rule selects."""
        if value is None:
            return ()
        given = value if isinstance(value, (list, tuple)) else (value,)
        if not given or not all(isinstance(each, str) for each in given):
            self.problems.add(key, f"layer is the name of a layer or a list of names, not {value!r}.", "Write Linear.")
            return ()
        for each in given:
            if not Kind.TYPE.fits(each):
                self.problems.add(key, f"'{each}' cannot be the name of a layer.", "Write Linear.")
        return tuple(given)

    def fill(self, value: Any, key: Path, values: frozenset[str]) -> Fill | None:
        """A number, a fill's name, a call, a text, or a mapping with `_target_`."""
        visible = Visible(values=values | {"fan_in", "fan_out"})
        with self.problems.at(key):
            if isinstance(value, (bool, int, float)):
                return Fill(name="constant", arguments=(("value", value),), key=key)
            if isinstance(value, Mapping):
                given = {
                    str(name): self.value(each, key / name, visible)
                    for name, each in value.items()
                    if name != "_target_"
                }
                positional = given.pop("_args_", ())
                return self.named_fill(str(value.get("_target_")), list(positional), given, key)
            if not isinstance(value, str):
                raise TextError(
                    f"a fill is a number, a name, a call or a text, not {value!r}", "Write xavier_uniform or 0."
                )
            return self.fill_text(value, key, values, visible)
        return None

    def fill_text(self, text: str, key: Path, values: frozenset[str], visible: Visible) -> Fill | None:
        statements = syntax.parse_statements(text)
        tree = statements[0].value if len(statements) == 1 and isinstance(statements[0], ast.Return) else None
        if isinstance(tree, ast.Name) and tree.id not in values | set(FILL_INPUTS):
            return self.named_fill(tree.id, [], {}, key)
        if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name) and self.is_plain_fill(tree, visible):
            positional = [self.from_tree(each, key, visible) for each in tree.args]
            named = {str(each.arg): self.from_tree(each.value, key, visible) for each in tree.keywords}
            return self.named_fill(tree.func.id, positional, named, key, tree)
        if isinstance(tree, ast.Constant) and isinstance(tree.value, (int, float)):
            return Fill(name="constant", arguments=(("value", tree.value),), key=key)
        errors = compiler.translate(text, fill_names(values), "fill").errors
        for error in errors:
            self.problems.add_text(key, error)
        return None if errors else Fill(program=text, key=key)

    def own_names(self, fill: Any, key: Path) -> frozenset[str]:
        """The names that the text of a rule assigns: they hide the args of whatever model it meets."""
        with Problems().at(key):
            return assigned_in(fill) if isinstance(fill, str) else frozenset()
        return frozenset()

    @staticmethod
    def is_plain_fill(tree: ast.Call, visible: Visible) -> bool:
        """Whether a call is a fill whose arguments are numbers known before any tensor exists."""
        assert isinstance(tree.func, ast.Name)
        if fills.find_fill(tree.func.id) is None:
            return catalog.find_function(tree.func.id) is None
        if tree.args and catalog.find_function(tree.func.id) is not None:
            return False
        names = {
            node.id for each in ast.walk(tree) if each is not tree.func for node in [each] if isinstance(node, ast.Name)
        }
        functions = {
            node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        plain = all(
            (found := catalog.find_function(name)) is not None and found.number for name in functions - {tree.func.id}
        )
        return plain and names - functions <= visible.values

    def named_fill(
        self, name: str, positional: list[Any], named: dict[str, Any], key: Path, tree: ast.Call | None = None
    ) -> Fill | None:
        fill = fills.find_fill(name)
        if fill is None:
            raise TextError(
                f"there is no fill '{name}'.",
                nearest(name.rstrip("_"), fills.FILLS),
                *((1, 1) if tree is not None else ()),
            )
        arguments = fills.bind(fill, positional, named)
        return Fill(name=fill.name, arguments=tuple(arguments.items()), key=key)


_HOLE = re.compile(r"\{([^{}]*)\}")
_ABSENT = Computed(formula=Formula(text="None", tree=ast.Constant(None)))
_NO_LITERAL = object()


def _literally(value: Any) -> Hashable | None:
    """A layer as it is written, if it is a text, or a mapping to plain numbers."""
    if isinstance(value, str):
        return value
    if not isinstance(value, Mapping) or not isinstance(value.get("_target_"), str):
        return None
    if any(type(each) not in SCALARS and name != "_target_" for name, each in value.items()):
        return None
    return tuple((name, type(each), repr(each)) for name, each in value.items())  # 0.0 is -0.0


def _is_literal(call: Call) -> bool:
    return not call.positional and not any(type(value) is Formula for _, value in call.arguments)


def _children(value: Any) -> Iterator[str]:
    """The names of the layers that a container is given as a mapping, or as a list of one."""
    if isinstance(value, Formula):
        yield from _children(value.tree)
    elif isinstance(value, Mapping):
        yield from map(str, value)
    elif isinstance(value, ast.Dict):
        yield from (str(each.value) for each in value.keys if isinstance(each, ast.Constant))
    elif isinstance(value, ast.IfExp):
        yield from itertools.chain(_children(value.body), _children(value.orelse))
    elif isinstance(value, (list, tuple)) and len(value) == 1:
        yield from _children(value[0])
    elif isinstance(value, (ast.List, ast.Tuple)) and len(value.elts) == 1:
        yield from _children(value.elts[0])


def _is_starred(tree: ast.Call) -> bool:
    return ast.Starred in map(type, tree.args) or None in [each.arg for each in tree.keywords]


def _literal(tree: ast.expr) -> Any:
    if isinstance(tree, ast.Constant):
        return _NO_LITERAL if isinstance(tree.value, (bytes, complex)) or tree.value is ... else tree.value
    if isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.USub):
        value = _literal(tree.operand)
        return -value if isinstance(value, (int, float)) and not isinstance(value, bool) else _NO_LITERAL
    if isinstance(tree, (ast.Tuple, ast.List)):
        values = tuple(_literal(each) for each in tree.elts)
        return _NO_LITERAL if any(each is _NO_LITERAL for each in values) else values
    return _NO_LITERAL


def _flattened(value: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, each in value.items():
        if isinstance(each, Mapping):
            yield from _flattened(each, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", each


def _quoted(item: Any) -> str:
    """An item of a YAML list, in quotes where it needs them."""
    return f'"{item}"' if isinstance(item, str) and set(item) & set(",[](){}:") else str(item)


def _rejoined(items: Sequence[Any], start: int, end: int) -> str:
    """The list with one text made of those from `start` to `end`, in quotes; of a long list the text alone."""
    text = _cut_short(repr(", ".join(map(str, items[start:end]))).replace("'", '"'))
    if len(items) > 100:
        return text
    return f"[{', '.join([*map(_quoted, items[:start]), text, *map(_quoted, items[end:])])}]"


def _cut_short(text: str, longest: int = 200) -> str:
    return text if len(text) <= longest else f"{text[:longest]}..."


def _kind(value: Any) -> str:
    return "a list" if isinstance(value, (list, tuple)) else "a text" if isinstance(value, str) else repr(value)


def _unpacks(node: Any) -> bool:
    return isinstance(node, Mapping) and node.get("_unpack_") is True


def _packed(node: Mapping[Any, Any]) -> dict[Any, Any]:
    return {name: each for name, each in node.items() if name != "_unpack_"}
