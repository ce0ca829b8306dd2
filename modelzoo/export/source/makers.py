"""The device and the dtype of tensors that a `forward` makes from nothing, as a class written by hand gives them."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from modelzoo.catalog import makers
from modelzoo.export.source import trees
from modelzoo.export.source.floating import Numbers
from modelzoo.export.source.naming import Scope
from modelzoo.language.syntax import copied
from modelzoo.modules.recording import Inputs, Way


@dataclass(slots=True, kw_only=True)
class Owner:
    """Of the block that a text belongs to: what decides the device and the dtype of what it makes.

    Attributes:
        inputs: its inputs, each with whether it may be None.
        taken: says what they were in each call that was seen.
        own: of the tensors that it owns, those that a dtype can be read from: "parameters", "buffers" or "".
        floats: whether its args are floating; None where that is not known.
    """

    inputs: Mapping[str, bool]
    taken: Callable[[], Sequence[Inputs]]
    own: str
    floats: Mapping[str, bool | None]

    def device(self, local: Mapping[str, str]) -> ast.expr:
        """`x.device`; all tensors are on one, so the first input that is surely a tensor says it."""
        taken = self.taken()
        for name, optional in self.inputs.items():
            ways = {each[name][0] for each in taken}
            if len(ways) == 1 and None not in ways and not optional:
                return trees.attribute(_reached(local[name], ways.pop()), "device")
        given = [each for each, optional in self.inputs.items() if not optional] or [*self.inputs]
        if given and not taken:
            return trees.attribute(trees.name(local[given[0]]), "device")
        return trees.quoted("next(self.parameters()).device")

    def dtype(self, local: Mapping[str, str]) -> ast.expr | None:
        """`x.dtype`, of the first floating input, else of what it owns; None where that is torch's default."""
        own = trees.attribute(trees.name("self"), self.own) if self.own else None
        found = trees.quoted("next(OWN()).dtype", OWN=own) if own is not None else None
        for name, test, way in reversed([*self.candidates(local)]):
            dtype = trees.attribute(_reached(local[name], way), "dtype")
            if test is not None:
                other = found or trees.quoted("torch.get_default_dtype()")
                dtype = ast.IfExp(test, dtype, other)
            found = dtype
        return found

    def candidates(self, local: Mapping[str, str]) -> Iterator[tuple[str, ast.expr | None, Way]]:
        """The inputs that may be floating, each with what must be asked first, up to one that surely is."""
        taken = self.taken()
        for name, optional in self.inputs.items():
            ways = {each[name][1] for each in taken} or {(), None}
            way = next((each for each in ways if each is not None), None)
            if way is None:
                continue
            holes = {"X": trees.name(local[name])}
            tests = [trees.quoted("X is not None", **holes)] * optional
            unknown = not taken or any(each[name][0] is not None and each[name][1] is None for each in taken)
            tests += [trees.quoted("X.is_floating_point()", **holes)] * unknown
            test = trees.everything(tests)
            yield name, test, way
            if test is None:
                return


def _reached(name: str, way: Way | None) -> ast.expr:
    found = trees.name(name)
    for each in way or ():
        found = ast.Subscript(found, trees.literal(each), ast.Load())
    return found


# -- the arguments ---------------------------------------------------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class Makers:
    """Writes the arguments that calls get which make a tensor from nothing, and what must stand before them.

    Args:
        owner: what decides.
        local: how the inputs are called.
        numbers: which numbers are floating.
        changed: the inputs that are something else later on.
        tensors: those of them that are tensors all the time, and so on one device.
        scope: the names of the function.
    """

    owner: Owner
    local: Mapping[str, str]
    numbers: Numbers
    changed: frozenset[str]
    tensors: frozenset[str]
    scope: Scope
    before: dict[str, tuple[str, ast.expr]] = field(default_factory=dict)

    def keywords(
        self, name: str, node: ast.Call, is_tensor: Callable[[ast.expr], bool], visit: Callable[[ast.expr], ast.expr]
    ) -> list[ast.keyword]:
        """What a call of a function gets besides what is written.

        Args:
            name: the function's.
            node: the call as it is written.
            is_tensor: tells tensors from numbers.
            visit: writes an expression.
        """
        written = {str(each.arg): each.value for each in node.keywords}
        found = []
        dtype = self.owner.dtype(self.local) if "dtype" not in written else None
        tests = self.tests(name, node.args, written, is_tensor, visit) if dtype is not None else None
        if dtype is not None and tests is not None:
            given = self.settled("dtype", dtype, self.changed)
            found.append(ast.keyword("dtype", trees.chosen(_any(tests), given, ast.Constant(None)) if tests else given))
        device = self.owner.device(self.local)
        steady = self.tensors if not any(isinstance(each, ast.Subscript) for each in ast.walk(device)) else frozenset()
        return [*found, ast.keyword("device", self.settled("device", device, self.changed - steady))]

    def tests(
        self,
        name: str,
        positional: Sequence[ast.expr],
        named: Mapping[str, ast.expr],
        is_tensor: Callable[[ast.expr], bool],
        visit: Callable[[ast.expr], ast.expr],
    ) -> list[ast.expr] | None:
        """What makes the tensor floating, if one of these is true; nothing where it is; None where it is not."""
        if name in makers.FLOATING:
            return []
        given = [*_leaves(makers.deciding(name, positional, named))] if name in makers.DECIDING else []
        if any(self.numbers.floats(each) for each in given):
            return []
        return [
            trees.quoted("X.is_floating_point()" if is_tensor(each) else "isinstance(X, float)", X=visit(copied(each)))
            for each in given
            if self.numbers.floats(each) is None
        ] or None

    def settled(self, what: str, value: ast.expr, changed: frozenset[str]) -> ast.expr:
        """A value as it stands; one that is long, or another later on, by the name that it gets at the beginning."""
        if what not in self.before:
            names = {each.id for each in ast.walk(value) if isinstance(each, ast.Name)}
            if not isinstance(value, ast.IfExp) and names.isdisjoint(self.local[each] for each in changed):
                return value
            self.before[what] = self.scope.fresh(what), value
        return trees.name(self.before[what][0])

    def statements(self) -> list[ast.stmt]:
        """What stands at the beginning of the function."""
        return [trees.assigned(trees.name(name), value) for name, value in self.before.values()]


def _leaves(nodes: Sequence[ast.expr]) -> Iterator[ast.expr]:
    for each in nodes:
        if isinstance(each, (ast.Tuple, ast.List)):
            yield from _leaves(each.elts)
        else:
            yield each


def _any(tests: list[ast.expr]) -> ast.expr:
    return tests[0] if len(tests) == 1 else ast.BoolOp(ast.Or(), tests)
