"""`init_weights` of the source: the rules as loops over modules and tensors, which end where the ledger says."""

from __future__ import annotations

import ast
import fnmatch
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from modelzoo.catalog import fills
from modelzoo.errors import Path, fail
from modelzoo.export.source import formulas, trees
from modelzoo.export.source.environment import Class, Source
from modelzoo.export.source.fills import fans, fill_call, fill_program
from modelzoo.export.source.naming import Scope, fill_title
from modelzoo.export.source.texts import RANDOM
from modelzoo.export.source.ways import Way, Ways
from modelzoo.init import computation, decisions, ledger
from modelzoo.init.decisions import Copied, NamedFill, Program
from modelzoo.init.measured import measured_in
from modelzoo.language import syntax
from modelzoo.plans.draft import Draft
from modelzoo.spec import nodes

LARGEST = 1_000
"""A random buffer that no state dict carries may have so many elements: they are written into the source."""


class Weights:
    """Writes one `init_weights`."""

    def __init__(self, source: Source, root: Class, draft: Draft) -> None:
        self.source, self.root, self.skeleton, self.table = source, root, draft.skeleton, draft.table
        self.init, self.seed = draft.init, draft.seed
        scope = Scope(outer=source.scope)
        self.args = scope.all(each.name for each in root.block.args)
        self.names = {each: trees.name(called) for each, called in self.args.items()}
        self.own: list[tuple[nodes.Parameter, ast.expr, Mapping[str, ast.expr]]] = []  # of the init, and what each sees
        for each in self.init.args:
            called = trees.name(scope.fresh(each.name))
            self.own.append((each, called, self.names))
            self.names = {**self.names, each.name: called}
        self.module, self.name, self.parameter = (
            trees.name(scope.fresh(each)) for each in ("module", "name", "parameter")
        )
        self.ways = Ways(source, root, self.skeleton, self.table, self.module, self.name, self.parameter)
        self.used: set[str] = set()

    def method(self) -> tuple[ast.FunctionDef, ast.stmt] | None:
        """The method and its call; None if torch's defaults and the tensors' own fills are all there is."""
        self.refuse_measured()
        body = self.statements()
        if not body:
            return None
        title = self.root.attributes.fresh("init_weights")
        body = self.assigned() + body
        used = [name for name in self.args if name in self.used]
        parameters: list[tuple[str, ast.expr | None]] = [("self", None), *((self.args[each], None) for each in used)]
        given = [self.root.names.get(each, self.names[each]) for each in used]
        called = trees.call(trees.attribute(trees.name("self"), title), given)
        return trees.function(title, parameters, body, trees.quoted("torch.no_grad()")), ast.Expr(called)

    def refuse_measured(self) -> None:
        """A source has no example inputs to measure."""
        for entry in self.table:
            found = measured_in(entry.chain)
            if found is not None:
                fail(
                    found.key,
                    f"{found.rule} fills '{entry.name}' with {found.fill.name}, which measures the example inputs: "
                    "a source cannot give it its values.",
                    "Write the source without that rule, and load the values of a run.",
                )

    def assigned(self) -> list[ast.stmt]:
        """The args of the init that are read."""
        found: list[ast.stmt] = []
        for arg, called, seen in reversed(self.own):
            if arg.name not in self.used:
                continue
            self.used.discard(arg.name)
            made = arg.default
            if isinstance(made, nodes.Formula):
                self.note([made.tree])
                made = formulas.formula(made.tree, seen, self.source.imports, made.key)
            found.append(trees.assigned(called, made if isinstance(made, ast.expr) else trees.literal(made)))
        return found[::-1]

    def statements(self) -> list[ast.stmt]:
        """The body of the method."""
        body: list[ast.stmt] = []
        held: dict[ledger.Entry, list[str]] = {entry: [] for entry in self.table}
        wanted = {entry: [each.rule for each in entry.chain if each.strength >= 2] for entry in self.table}
        final = {rule for entry in self.table if entry.level == 0 for rule in wanted[entry]}
        loop, inside = "", list[ast.stmt]()
        for rule in self.init.rules:
            for way in self.ways.of(rule, wanted) if rule.decides in final else ():
                for each in way.reached:
                    held[each] = [*(held[each] if rule.fill.reads_value else []), rule.decides]
                lines = self.filled(rule, way)
                one = self.asked(way.test, lines)
                if way.loop and way.loop == loop and _apart(way):
                    last = inside[-1]
                    if isinstance(last, ast.If) and way.test is not None and trees.same([last.test], [way.test]):
                        last.body.extend(lines)
                    else:
                        inside += one
                    continue
                loop, inside = way.loop, one
                body += self.looped(loop, inside)
        wrong = [entry for entry in self.table if held[entry] != wanted[entry] or self.replaced(entry)]
        for level in sorted({entry.level for entry in self.table}):
            body += self.exceptions([each for each in wrong if each.level == level])
            body += self.padding([each for each in self.table if each.level == level])
            body += self.constants() if level == 0 else []
        return body

    def asked(self, test: ast.expr | None, lines: list[ast.stmt]) -> list[ast.stmt]:
        return lines if test is None else [ast.If(test, lines, [])]

    def looped(self, loop: str, inside: list[ast.stmt]) -> list[ast.stmt]:
        """The statements in their loop, which keeps the list: more may be added to it."""
        if not loop:
            return inside
        named = {"NAME": self.name, "PARAMETER": self.parameter}
        if loop == "modules":
            found = trees.statements("for MODULE in self.modules(): pass", MODULE=self.module)
        elif loop == "names":
            found = trees.statements(
                "for NAME, PARAMETER in self.named_parameters(remove_duplicate=False): pass", **named
            )
        elif loop == "first names":
            found = trees.statements("for NAME, PARAMETER in self.named_parameters(): pass", **named)
        else:
            found = trees.statements("for PARAMETER in self.parameters(): pass", **named)
        assert isinstance(found[0], ast.For)
        found[0].body = inside
        return found

    def replaced(self, entry: ledger.Entry) -> bool:
        """Whether a tie leaves another tensor than the one that was made with the fill that decides."""
        kept = self.skeleton.tied.get(entry.tensor)
        last = entry.chain[-1]
        made = {(home.owner, home.local) for home in entry.homes if any(each is last for each in home.decisions)}
        return last.strength == 1 and kept is not None and kept not in made

    # -- fills

    def filled(self, rule: nodes.Rule, way: Way) -> list[ast.stmt]:
        """The statement of a rule's fill; root args are read as arguments of `init_weights`."""
        fill, target, imports = rule.fill, way.target, self.source.imports
        sized = way.weight or target
        if fill.program:
            scope, functions, title = self.source.scope, self.source.functions, fill_title(rule.name)
            shape = trees.attribute(target, "shape")
            made = fill_program(fill, self.names, scope, imports, functions, title, shape, sized, target)
            self.note(syntax.parse_statements(fill.program))
            return [_put(made, target)]
        names = {**self.names, **fans(sized)}
        given = {each: self.value(value, names, rule.decides, each) for each, value in fill.arguments}
        return [ast.Expr(fill_call(fill.name, given, target, imports, fill.key))]

    def value(self, value: Any, names: Mapping[str, ast.expr], rule: str, argument: str) -> ast.expr:
        if not isinstance(value, nodes.Formula):
            return trees.literal(value)
        chosen = [each for entry in self.table for each in entry.chain if each.rule == rule]
        decided = [each.arguments for each in chosen if isinstance(each, NamedFill)]
        if argument == "std" and any(each.get("std") == 0 for each in decided):  # torch may divide by it
            return trees.literal(0)
        self.note([value.tree])
        return formulas.formula(value.tree, names, self.source.imports, value.key)

    def note(self, found: Iterable[ast.AST]) -> None:
        for tree in found:
            self.used |= {each.id for each in ast.walk(tree) if isinstance(each, ast.Name) and each.id in self.names}
        self.used -= {"fan_in", "fan_out", "shape", "value"}

    # -- what no rule says so simply

    def padding(self, entries: list[ledger.Entry]) -> list[ast.stmt]:
        """The rows of embeddings that are zero whatever fills the others."""
        rows = {entry.name: trees.literal(entry.padding) for entry in entries if entry.padding is not None}
        statements = (trees.statements("TENSOR[ROW] = 0", TENSOR=self.ways.path(e), ROW=row) for e, row in rows.items())
        return [one for each in statements for one in each]

    def exceptions(self, entries: list[ledger.Entry]) -> list[ast.stmt]:
        groups: dict[tuple[str, ...], list[ledger.Entry]] = {}
        for entry in entries:
            chain = tuple(text for each in entry.chain for text in (each.text(), _values(each, entry.tensor)))
            groups.setdefault(chain, []).append(entry)
        body: list[ast.stmt] = []
        for group in groups.values():
            for loop, test, target in self.selections(group):
                lines = [line for each in group[0].chain for line in self.decided(each, target, group[0])]
                body += self.looped(loop, self.asked(test, lines))
        return body

    def selections(self, group: list[ledger.Entry]) -> Iterator[tuple[str, ast.expr | None, ast.expr]]:
        """Tensors by their names, with the numbers in names folded where all fit."""
        if len(group) > 3 and all(entry.kind == "parameter" for entry in group):
            names = {home.name: entry for entry in self.table for home in entry.homes if entry.kind == "parameter"}
            patterns = dict.fromkeys(re.sub(r"\d+", "*", entry.name) for entry in group)
            chosen = [entry for name, entry in names.items() if any(fnmatch.fnmatchcase(name, p) for p in patterns)]
            if {*chosen} == {*group} and len(patterns) < len(group):
                for pattern in patterns:
                    yield "first names", self.ways.glob(pattern), self.parameter
                return
        for entry in group:
            yield "", None, self.ways.path(entry.name)

    def decided(self, decision: decisions.Decision, target: ast.expr, entry: ledger.Entry) -> list[ast.stmt]:
        imports = self.source.imports
        shape = trees.attribute(target, "shape")
        if isinstance(decision, NamedFill):
            given = {name: trees.literal(value) for name, value in decision.arguments.items()}
            if entry.tensor.is_floating_point():
                return [ast.Expr(fill_call(decision.fill.name, given, target, imports, decision.key))]
            empty = trees.quoted("torch.empty(SHAPE)", SHAPE=shape)
            drawn = fill_call(decision.fill.name, given, empty, imports, Path())
            return trees.statements("TARGET.copy_(DRAWN)", TARGET=target, DRAWN=drawn)
        if isinstance(decision, Copied):
            if not entry.persistent:
                fail(
                    entry.key,
                    f"'{entry.name}' is a copy, and in no state dict: a source cannot give it its values.",
                    "Remove persistent: false.",
                )
            original = self.ways.path(decision.original)
            return trees.statements("TARGET.copy_(ORIGINAL)", TARGET=target, ORIGINAL=original)
        if not isinstance(decision, Program):
            return []
        names = {name: trees.literal(value) for name, value in decision.values.items() if _is_plain(value)}
        fill = nodes.Fill(program=decision.program, key=decision.key)
        scope, functions = self.source.scope, self.source.functions
        sized = target
        if entry.tensor.ndim < 2 and decision.fans is not None:
            home = next(each for each in entry.homes if decision in each.decisions)
            sized = self.ways.path(home.name.removesuffix(home.local) + ledger.weight_of(home.local))
        return [_put(fill_program(fill, names, scope, imports, functions, "fill", shape, sized, target), target)]

    def constants(self) -> list[ast.stmt]:
        """Random buffers that no state dict carries, number by number."""
        body: list[ast.stmt] = []
        for entry in self.table:
            if entry.kind == "parameter" or entry.persistent or not any(map(self.draws, entry.chain)):
                continue
            if entry.tensor.numel() > LARGEST:
                fail(
                    entry.key,
                    f"'{entry.name}' is random, {entry.tensor.numel():,} numbers long, and in no state dict: "
                    "a source cannot give it its values.",
                    "Remove persistent: false.",
                )
            numbers = _listed(self.drawn(entry).tolist())
            target = self.ways.path(entry.name)
            body += trees.statements("TARGET.copy_(torch.tensor(NUMBERS))", TARGET=target, NUMBERS=numbers)
        return body

    def drawn(self, entry: ledger.Entry) -> Any:
        tensor = torch.empty(entry.tensor.shape, dtype=entry.tensor.dtype)
        computation.Computation(tensor, entry.chain, entry.name, self.seed, self.skeleton.max_steps)()
        return tensor

    @staticmethod
    def draws(decision: decisions.Decision) -> bool:
        if not isinstance(decision, Program):
            return decision.draws
        names = set(re.findall(r"\w+", decision.program))
        drawing = {name for name, fill in fills.FILLS.items() if fill.draws}
        return bool(names & (drawing | {f"{each}_" for each in drawing} | RANDOM))


def _apart(way: Way) -> bool:
    """Whether a rule may share a loop with the one before: no tensor is reached twice."""
    return len({*way.reached}) == len(way.reached)


def _listed(value: Any) -> ast.expr:
    """Numbers in lists, as `torch.tensor` takes them."""
    return ast.List([_listed(each) for each in value], ast.Load()) if isinstance(value, list) else trees.literal(value)


def _put(made: ast.expr, target: ast.expr) -> ast.stmt:
    """The statement that gives a tensor what an expression computes; a single draw fills it in place."""
    drawn = trees.quoted("torch.empty(SHAPE)", SHAPE=trees.attribute(target, "shape"))
    if isinstance(made, ast.Call) and made.args and trees.same([made.args[0]], [drawn]):
        draws = [each for each in ast.walk(made) if isinstance(each, ast.Call) and trees.same([each], [drawn])]
        init = made.func.value if isinstance(made.func, ast.Attribute) else made.func
        if trees.is_name(init, "nn", "init") and len(draws) == 1:
            return ast.Expr(ast.Call(made.func, [target, *made.args[1:]], made.keywords))
    return trees.statements("TARGET[...] = MADE", TARGET=target, MADE=made)[0]


def _values(decision: decisions.Decision, tensor: Tensor) -> str:
    if not isinstance(decision, Program):
        return ""
    names = set(re.findall(r"\w+", decision.program))
    values = {name: value for name, value in decision.values.items() if name in names}
    return repr((values, decision.fans if tensor.ndim < 2 else None))


def _is_plain(value: Any) -> bool:
    return isinstance(value, (bool, int, float, str, tuple, list, type(None)))
