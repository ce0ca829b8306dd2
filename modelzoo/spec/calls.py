"""A layer as a text or a mapping writes it, with its arguments bound to their names, and values."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from modelzoo.catalog import layers
from modelzoo.errors import Beside, Code, Path, Problem, TextError, nearest
from modelzoo.language import formulas, syntax
from modelzoo.names import Kind
from modelzoo.spec import choices
from modelzoo.spec.keys import Keys
from modelzoo.spec.literals import NO_LITERAL, literal, referring, refers
from modelzoo.spec.nodes import CONTAINERS, NODE_KEYS, Call, Computed, Formula, Node
from modelzoo.spec.visible import Visible, dotted_name, is_layer, joined, layers_in


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """Where an argument stands: at its key, or at a line and column of the text there; what is wrong with its value."""

    key: Path
    line: int = 0
    column: int = 0
    wrong: tuple[Problem, ...] = ()


class Calls:
    """Reads layers and values.

    Args:
        keys: asks what every reader asks.
        node: reads whatever may stand where a layer stands.
    """

    def __init__(self, keys: Keys, node: Callable[[Any, Path, Visible], Node | None]) -> None:
        self.keys, self.problems, self.node = keys, keys.problems, node

    def text(self, text: str, key: Path, visible: Visible) -> Node | None:
        with self.problems.at(key):
            if text == "???":
                raise TextError("this layer is required", f"Type {key}=...")
            tree = syntax.parse_expression(text)
            if choices.is_choice(tree):
                return self.choice(tree, text, key, visible)
            return self.call_of(tree, text, key, visible)
        return None

    def choice(self, tree: ast.expr, text: str, key: Path, visible: Visible) -> Computed:
        """A layer that a formula chooses."""
        self.check_formula(tree, key, visible)
        return Computed(formula=Formula(text=text.lstrip("= "), tree=tree, key=key), key=key)

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
            comma = isinstance(tree, ast.Tuple) and len(tree.elts) == 1
            hint = "Remove the comma at its end." if comma else "Write a layer such as ReLU or Linear(20, 256)."
            raise TextError(f"'{text.strip()}' is not a layer", hint, 1, tree.col_offset + 1)
        positional: list[Any] = []
        named: dict[str, Any] = {}
        spots = {name: Spot(key=Path(key[:-1]) / name) for name in others}
        if isinstance(tree, ast.Call):
            if _is_starred(tree):
                raise TextError(
                    "starred arguments have no place here", "Write each argument.", tree.lineno, tree.col_offset + 1
                )
            positional = [self.from_tree(each, key, visible) for each in tree.args]
            for each in tree.keywords:
                before = len(self.problems.found)
                named[str(each.arg)] = self.from_tree(each.value, key, visible)
                if str(each.arg) not in others:
                    spots[str(each.arg)] = _spot(each, key, tuple(self.problems.found[before:]))
        for name in [name for name in others if name in named]:
            self.problems.add(Path(key[:-1]) / name, f"{target} gets '{name}' twice.", "Remove one.")
        return self.bound(target, [*positional, *items], {**named, **others}, key, visible, function, spots)

    def from_tree(self, tree: ast.expr, key: Path, visible: Visible) -> Any:
        """A value of a text: a literal as itself, a layer as its node, everything else as a formula."""
        found = literal(tree)
        if found is not NO_LITERAL:
            return found
        if refers(tree):
            return referring(tree, key, visible, self.from_tree, self.node)
        if is_layer(tree, visible.values, visible.signatures):
            with self.problems.at(key):
                call = self.call_of(tree, ast.unparse(tree), key, visible)
                if call is not None:
                    return call
        else:
            self.check_formula(tree, key, visible)
        return Formula(text=ast.unparse(tree), tree=tree, key=key)

    def call(self, value: dict[str, Any], key: Path, visible: Visible) -> Call | Computed | None:
        """A layer written as a mapping."""
        target = value.pop("_target_")
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
        takes_data = _data_of(target, visible)
        items = [
            self.value(each, key / "_args_" / index, visible, takes_data(index))
            for index, each in enumerate(positional)
        ]
        for name in [name for name in value if str(name).startswith("_")]:
            del value[name]
            self.problems.add(key / name, *_of_no_layer(str(name)))
        named = {str(name): self.value(each, key / name, visible, takes_data(name)) for name, each in value.items()}
        with self.problems.at(key / "_target_"):
            tree = syntax.parse_expression(target)
            if choices.is_choice(tree):
                if items or named:
                    raise TextError("a layer that is chosen has no arguments beside it", choices.with_arguments(tree))
                return replace(self.choice(tree, target, key / "_target_", visible), key=key)
            if isinstance(tree, ast.Call):
                call = self.call_of(tree, target, key / "_target_", visible, items, named)
                return None if call is None else replace(call, key=key)
            dotted = dotted_name(tree)
            if dotted is None:
                raise TextError(f"'{target}' is not the name of a layer", "Write _target_: Linear.")
            return self.bound(dotted, items, named, key, visible, place=None)
        return None

    def bound(
        self,
        target: str,
        positional: list[Any],
        named: dict[str, Any],
        key: Path,
        visible: Visible,
        place: ast.expr | None,
        spots: Mapping[str, Spot] = MappingProxyType({}),
    ) -> Call | None:
        """Binds arguments to the names of the target's signature, as far as the target is known.

        Args:
            place: of the target, where it stands in a text.
            spots: where arguments stand that do not have keys of their own below `key`.
        """
        spots = {**{name: Spot(key=key / name) for name in named}, **spots}
        at: dict[str, Any] = {} if place is None else {"line": place.lineno, "column": place.col_offset + 1}
        if target in visible.values:
            self.check_arguments(named, spots)
            return Call(target=target, positional=tuple(positional), arguments=tuple(named.items()), key=key)
        if target in visible.signatures:
            names = tuple(each.name for each in visible.signatures[target])
            own = layers.Accepted(positional=names, variable=None, named=frozenset(names), open=False, required=())
            return self.to_names(target, own, positional, named, key, at, spots)
        layer = layers.find_layer(target)
        if layer is None:
            reason = (
                layers.EXCLUDED.get(target.rpartition(".")[2])
                if target.startswith("torch.nn.") or "." not in target
                else None
            )
            hint = reason or nearest(target.rpartition(".")[2], [*visible.signatures, *layers.layer_names()])
            target_key = key / "_target_" if place is None and key[-1:] != ("_target_",) else key
            self.problems.add(target_key, f"there is no layer '{target}'.", hint, **at, code=Code.UNKNOWN)
            return None
        if layer.name in CONTAINERS:
            given = {key / "_args_" / index: each for index, each in enumerate(positional)}
            given |= {key / name: each for name, each in named.items()}
            _check_children(self.keys, given, CONTAINERS[layer.name], key, at)
        return self.to_names(target, layers.accepted(layer), positional, named, key, at, spots)

    def check_arguments(self, names: Iterable[str], spots: Mapping[str, Spot]) -> None:
        """The names of arguments that no signature knows."""
        for name in names:
            spot = spots[name]
            self.keys.check_name(name, spot.key, Kind.ARGUMENT, line=spot.line, column=spot.column)

    def to_names(
        self,
        target: str,
        accepted: layers.Accepted,
        positional: list[Any],
        named: dict[str, Any],
        key: Path,
        at: dict[str, Any],
        spots: Mapping[str, Spot],
    ) -> Call | None:
        order, extra = accepted.positional, ()
        if len(positional) > len(order):
            if accepted.variable is None:
                takes = f"at most {len(order)} arguments by position, not {len(positional)}"
                self.problems.add(key, f"{target} takes {takes}.", **at)
                return None
            positional, extra = positional[: len(order)], tuple(positional[len(order) :])
        arguments = dict(zip(order, positional, strict=False))
        self.check_arguments([name for name in named if accepted.open and name not in accepted.named], spots)
        for name, value in named.items():
            spot = spots[name]
            in_text: dict[str, Any] = {"line": spot.line, "column": spot.column}
            if name in arguments:
                self.problems.add(spot.key, f"{target} gets '{name}' twice.", "Remove one.", **in_text)
            elif name not in accepted.named and not accepted.open:
                text = f"If the _target_ was changed{{}}, type ~{spot.key} to remove this key."
                target_key = key if key[-1:] == ("_target_",) else key / "_target_"
                stale = () if spot.line else (Beside(text=text, key=target_key, elsewhere=True),)
                whole = name in ("device", "dtype") and target in layers.layer_names()
                hint = f"It is set for a whole model: {name}=..." if whole else nearest(name, sorted(accepted.named))
                special = f"_{name.strip('_')}_"
                hint = f"Did you mean '{special}'?" if special in NODE_KEYS and not spot.line else hint
                hint = "Write _freeze_: true in a mapping." if name in ("trainable", "requires_grad") else hint
                what = f"{target} has no argument '{name}'."
                self.problems.drop(spot.wrong)
                self.problems.add(spot.key, what, hint, beside=stale, **in_text)
            else:
                arguments[name] = value
        if named:
            first = {name: arguments[name] for name in order if name in arguments}
            arguments = {**first, **arguments}
        return Call(target=target, positional=extra, arguments=tuple(arguments.items()), key=key)

    def value(self, value: Any, key: Path, visible: Visible, data: bool = False) -> Any:
        """An argument of the mapping form: a text is a text unless it starts with `=`; nodes may nest.

        Args:
            data: whether a mapping is one, and no block, whatever its keys are.
        """
        if syntax.is_formula(value):
            return self.code(value, key, visible)
        if isinstance(value, Mapping):
            if "_target_" in value or "_ref_" in value or (not data and {"layers", "forward"} & value.keys()):
                return self.node(value, key, visible)
            return {name: self.value(each, key / name, visible, data) for name, each in value.items()}
        if isinstance(value, (list, tuple)):
            return tuple(self.value(each, key / index, visible, data) for index, each in enumerate(value))
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
        if isinstance(tree, (ast.Tuple, ast.List, ast.Dict)):
            for each in tree.values if isinstance(tree, ast.Dict) else tree.elts:
                self.check_formula(each, key, visible)
        elif isinstance(tree, ast.IfExp):  # a layer is neither true nor false
            for error in formulas.check_formula(tree.test, visible.values, visible.closed, joined(visible.outer)):
                self.problems.add_text(key, error)
            for each in (tree.body, tree.orelse):
                self.check_formula(each, key, visible)
        elif is_layer(tree, visible.values, visible.signatures):
            with self.problems.at(key):
                self.call_of(tree, ast.unparse(tree), key, visible)
        elif not (isinstance(tree, ast.Constant) and isinstance(tree.value, str)):
            for error in formulas.check_formula(tree, visible.values, visible.closed, joined(visible.outer)):
                self.problems.add_text(key, error)


def _of_no_layer(name: str) -> tuple[str, str]:
    """What is wrong with a key that begins as those of the language do, and the repair."""
    if name == "_partial_":
        return "'_partial_' is not accepted: a layer is built, not prepared.", "Remove it."
    return f"'{name}' is not a key of a layer.", nearest(name, ("_target_", "_args_", *NODE_KEYS, "_ref_"))


def plain(calls: Calls, value: Any, key: Path, visible: Visible) -> Any:
    """A value where text is code, and none of it a layer: a condition, a count, a size."""
    before = len(calls.problems.found)
    found = calls.code(value, key, visible)
    layers = [*layers_in(found, visible)]
    for what in layers:
        del calls.problems.found[before:]  # what is wrong with it as a layer
        calls.problems.add(key, what)
    return 0 if layers else found  # of a number nothing more is said


def _data_of(target: str, visible: Visible) -> Callable[[Any], bool]:
    """Tells of which arguments of a layer, by name or position, mappings are data whatever their keys are."""
    name = target.partition("(")[0].strip("= ")
    layer = None if visible.defines(name) else layers.find_layer(name)
    if layer is None or not layer.registered:
        return lambda _: False
    from modelzoo.catalog import constructors

    names: dict[Any, str] = dict(enumerate(layers.accepted(layer).positional))
    return lambda argument: constructors.takes_mapping(layer, names.get(argument, str(argument)))


def _check_children(keys: Keys, given: Mapping[Path, Any], kind: Kind, key: Path, at: dict[str, Any]) -> None:
    """The names of the layers in a container, where they are written there."""
    if len(given) == 1:
        ((place, value),) = given.items()
        for name in _children(value):
            keys.check_name(name, key if at else place / name, kind, **at)


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


def _spot(keyword: ast.keyword, key: Path, wrong: tuple[Problem, ...]) -> Spot:
    return Spot(key=key, line=keyword.lineno, column=keyword.col_offset + 1, wrong=wrong)


def _is_starred(tree: ast.Call) -> bool:
    return ast.Starred in map(type, tree.args) or None in [each.arg for each in tree.keywords]
