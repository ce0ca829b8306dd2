"""How a rule selects tensors, as Python: a loop over modules or names, and what is asked in it."""

from __future__ import annotations

import ast
import fnmatch
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from torch import nn

from modelzoo.export.source import trees
from modelzoo.export.source.environment import Class, Source
from modelzoo.export.source.sequences import path
from modelzoo.init import ledger, selection
from modelzoo.modules.skeleton import Skeleton
from modelzoo.spec import nodes
from modelzoo.spec.base import WIDTHS


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A rule as source: how it selects tensors.

    Attributes:
        loop: the loop it stands in: over "modules", "names", "first names" or "parameters"; "" for one tensor.
        test: the condition inside the loop; None for none.
        target: the tensor.
        weight: the one whose `fan_in` and `fan_out` are meant, where it is not that: of a bias the weight of its layer.
        reached: the tensors it selects, once for each time.
    """

    loop: str
    test: ast.expr | None
    target: ast.expr
    reached: tuple[ledger.Entry, ...]
    weight: ast.expr | None = None


class Ways:
    """Finds the ways of rules.

    Args:
        skeleton, table: the model, and its tensors.
        module, name, parameter: what loops call them.
    """

    def __init__(
        self,
        source: Source,
        root: Class,
        skeleton: Skeleton,
        table: list[ledger.Entry],
        module: ast.expr,
        name: ast.expr,
        parameter: ast.expr,
    ) -> None:
        self.source, self.root, self.skeleton, self.table = source, root, skeleton, table
        self.module, self.name, self.parameter = module, name, parameter

    def of(self, rule: nodes.Rule, wanted: Mapping[ledger.Entry, list[str]]) -> list[Way]:
        """How a rule selects, one way after the other; none if Python cannot say it as simply.

        Args:
            wanted: the rules whose fills count, of each tensor.
        """
        found = [_without_vectors(rule, each, wanted, self.table) for each in self.selecting(rule)]
        vectors = {each for each in self.table if each.tensor.ndim < 2} if rule.fill.reads_fans else set()
        mixed = any(not vectors.isdisjoint(each.reached) and not vectors.issuperset(each.reached) for each in found)
        some = [each for each in found if not vectors.isdisjoint(each.reached)]
        if mixed or any(each.weight is None for each in some):
            return []
        return [each if each in some else replace(each, weight=None) for each in found]

    def selecting(self, rule: nodes.Rule) -> list[Way]:
        if rule.fill.original or rule.blocks or rule.dimensions or rule.fill.reads(*WIDTHS):
            return []
        if rule.patterns and not rule.layers and not rule.params:
            return [self.by_name(each) for each in rule.patterns]
        if rule.layers and rule.params and not rule.patterns:
            return [way for each in rule.params for way in self.by_layer(rule.layers, each)]
        if rule.params and not rule.layers and not rule.patterns:
            separate = rule.fill.reads_fans
            return [*map(self.by_param, ((each,) for each in rule.params) if separate else [rule.params])]
        return []

    def by_param(self, params: tuple[str, ...]) -> Way:
        local = trees.quoted('NAME.split(".")[-1]', NAME=self.name)
        if len(params) == 1:
            test = trees.quoted("LAST == PARAM", LAST=local, PARAM=trees.literal(params[0]))
        else:
            test = trees.quoted("LAST in PARAMS", LAST=local, PARAMS=trees.literal(params))
        reached = [e for e in self.table for h in e.homes if e.kind == "parameter" and h.local in params]
        end, last = trees.literal(-len(params[0])), trees.literal(ledger.weight_of(params[0]))
        weight = trees.quoted("self.get_parameter(NAME[:END] + LAST)", NAME=self.name, END=end, LAST=last)
        return Way(loop="names", test=test, target=self.parameter, reached=tuple(reached), weight=weight)

    def by_name(self, pattern: str) -> Way:
        homes = [(entry, home) for entry in self.table for home in entry.homes]
        exact = next((entry for entry, home in homes if home.name == pattern), None)
        if exact is not None:
            owner, dot, local = pattern.rpartition(".")
            weight = self.path(owner + dot + ledger.weight_of(local))
            return Way(loop="", test=None, target=self.path(pattern), reached=(exact,), weight=weight)
        match = re.compile(fnmatch.translate(pattern)).match
        reached = tuple(entry for entry, home in homes if entry.kind == "parameter" and match(home.name))
        if pattern == "*":
            reached = tuple(dict.fromkeys(reached))
            return Way(loop="parameters", test=None, target=self.parameter, reached=reached)
        return Way(loop="names", test=self.glob(pattern), target=self.parameter, reached=reached)

    def path(self, name: str) -> ast.expr:
        return path(trees.name("self"), name, self.root.block)

    def glob(self, pattern: str) -> ast.expr:
        """Whether a name fits a pattern."""
        if not set("*?[") & set(pattern[1:]) and pattern[:1] == "*":
            return trees.quoted("NAME.endswith(END)", NAME=self.name, END=trees.literal(pattern[1:]))
        if not set("*?[") & set(pattern[:-1]) and pattern[-1:] == "*":
            return trees.quoted("NAME.startswith(START)", NAME=self.name, START=trees.literal(pattern[:-1]))
        return trees.call(self.source.imports.known("fnmatchcase"), [self.name, trees.literal(pattern)])

    def by_layer(self, layers: tuple[str, ...], param: str) -> Iterator[Way]:
        names = {each.rpartition(".")[2] for each in layers}
        kinds: list[ast.expr] = []
        for name in dict.fromkeys(each.rpartition(".")[2] for each in layers):
            own = dict.fromkeys(cls.name for cls in self.source.known.values() if cls.block.name == name)
            kinds += map(trees.name, own)
            if isinstance(getattr(nn, name, None), type):
                kinds.append(trees.attribute(trees.name("nn"), name))
        if not kinds:
            return
        block_of = selection.block_of(self.skeleton)
        modules = [each for each in self.skeleton.root.modules() if names & selection.types(each, block_of(each))]
        homes = [(entry, home) for entry in self.table if entry.kind == "parameter" for home in entry.homes]
        reached = [entry for module in modules for entry, home in homes if home.owner is module and home.local == param]
        kind = kinds[0] if len(kinds) == 1 else ast.Tuple(kinds, ast.Load())
        target, weight = (trees.attribute(self.module, each) for each in (param, ledger.weight_of(param)))
        tests = [trees.quoted("isinstance(MODULE, KIND)", MODULE=self.module, KIND=kind)]
        if not all(hasattr(each, param) for each in modules):
            tests.append(trees.quoted("hasattr(MODULE, PARAM)", MODULE=self.module, PARAM=trees.literal(param)))
        if any(each._parameters.get(param) is None for each in modules if hasattr(each, param)):
            tests.append(trees.quoted("TENSOR is not None", TENSOR=target))
        yield Way(loop="modules", test=trees.everything(tests), target=target, reached=tuple(reached), weight=weight)


def _without_vectors(
    rule: nodes.Rule, way: Way, wanted: Mapping[ledger.Entry, list[str]], table: Iterable[ledger.Entry]
) -> Way:
    """A rule without the vectors that later ones overwrite: its fill may not be one for them, as fans are not."""
    vectors = {each for each in table if each.tensor.ndim < 2} & {*way.reached}
    plain = rule.fill.name in ("constant", "zeros", "ones", "normal", "uniform", "trunc_normal")
    if plain or not vectors or any(rule.decides in wanted[each] for each in vectors):
        return way
    several = trees.quoted("TENSOR.ndim > 1", TENSOR=way.target)
    test = several if way.test is None else trees.everything([way.test, several])
    return replace(way, test=test, reached=tuple(each for each in way.reached if each not in vectors))
