"""`init_weights` of the source: the rules as loops over modules and tensors, which end where the ledger says."""

from __future__ import annotations

import ast
import fnmatch
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from modelzoo import fills, initialize, language, spec
from modelzoo.classes import Class, Classes
from modelzoo.errors import Path, fail
from modelzoo.fillsource import fill_call, fill_program
from modelzoo.methods import RANDOM, formula, literal, safe
from modelzoo.writing import Statement

LARGEST = 1_000
"""A random buffer that no state dict carries may have so many elements: they are written into the source."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A rule as source: how it selects tensors.

    Attributes:
        loop: the loop it stands in; "" for one tensor.
        test: the condition inside the loop; "" for none.
        target: the tensor.
        reached: the tensors it selects, by the ids of their entries, once for each time.
    """

    loop: str
    test: str
    target: str
    reached: tuple[int, ...]


_MODULES = "for module in self.modules():"
_TENSORS = "for name, parameter in self.named_parameters(remove_duplicate=False):"


class Weights:
    """Writes one `init_weights`."""

    def __init__(
        self,
        classes: Classes,
        root: Class,
        skeleton: Any,
        table: list[initialize.Entry],
        rules: tuple[spec.Rule, ...],
        seed: int,
    ) -> None:
        self.classes, self.root, self.skeleton, self.table, self.rules = classes, root, skeleton, table, rules
        self.seed = seed
        self.used: set[str] = set()

    def statements(self) -> list[Statement]:
        """The body; nothing if torch's defaults and the tensors' own fills are all there is."""
        body: list[Statement] = []
        held: dict[int, list[str]] = {id(entry): [] for entry in self.table}
        wanted = {id(entry): [each.rule for each in entry.chain if each.strength >= 2] for entry in self.table}
        final = {each for chain in wanted.values() for each in chain}
        loop, inside = "", list[Statement]()
        for rule in self.rules:
            way = self.way(rule) if f"init.{rule.name}" in final else None
            if way is None:
                continue
            for each in way.reached:
                held[each] = [*(held[each] if rule.fill.reads_value else []), f"init.{rule.name}"]
            lines = self.filled(rule.fill, way.target, f"fill_{rule.name}")
            one: list[Statement] = [(f"if {way.test}:", lines)] if way.test else lines
            if way.loop and way.loop == loop and _apart(way):
                last = inside[-1]
                if way.test and isinstance(last, tuple) and last[0] == f"if {way.test}:":
                    last[1].extend(lines)
                else:
                    inside += one
                continue
            loop, inside = way.loop, one
            if loop:
                body.append((loop, inside))
            else:
                body += one
        wrong = [entry for entry in self.table if held[id(entry)] != wanted[id(entry)] or self.replaced(entry)]
        body += self.exceptions(wrong)
        return body + self.constants()

    def replaced(self, entry: initialize.Entry) -> bool:
        """Whether a tie leaves another tensor than the one that was made with the fill that decides."""
        kept = self.skeleton.tied.get(id(entry.tensor))
        last = entry.chain[-1]
        made = {(id(home.owner), home.local) for home in entry.homes if any(each is last for each in home.decisions)}
        return last.strength == 1 and kept is not None and kept not in made

    # -- rules

    def way(self, rule: spec.Rule) -> Way | None:
        """How a rule selects, if Python can say it as simply."""
        if rule.pattern is not None and not rule.layers and rule.param is None:
            return self.by_name(rule.pattern)
        if rule.pattern is None and rule.layers and rule.param is not None:
            return self.by_layer(rule.layers, rule.param)
        if rule.pattern is None and not rule.layers and rule.param is not None:
            test = f'name.split(".")[-1] == "{rule.param}"'
            reached = [id(e) for e in self.table for h in e.homes if e.kind == "parameter" and h.local == rule.param]
            return Way(loop=_TENSORS, test=test, target="parameter", reached=tuple(reached))
        return None

    def by_name(self, pattern: str) -> Way | None:
        homes = [(entry, home) for entry in self.table for home in entry.homes]
        exact = next((entry for entry, home in homes if home.name == pattern), None)
        if exact is not None:
            return Way(
                loop="", test="", target=self.classes.path("self", pattern, self.root.block), reached=(id(exact),)
            )
        test, match = self.glob(pattern)
        reached = tuple(id(entry) for entry, home in homes if entry.kind == "parameter" and match(home.name))
        loop = _TENSORS if test else "for parameter in self.parameters():"
        return Way(loop=loop, test=test, target="parameter", reached=reached if test else tuple(dict.fromkeys(reached)))

    def glob(self, pattern: str) -> tuple[str, Any]:
        match = re.compile(fnmatch.translate(pattern)).match
        if pattern == "*":
            return "", match
        if not set("*?[") & set(pattern[1:]) and pattern[0] == "*":
            return f'name.endswith("{pattern[1:]}")', match
        if not set("*?[") & set(pattern[:-1]) and pattern[-1] == "*":
            return f'name.startswith("{pattern[:-1]}")', match
        self.classes.imports.glob = True
        return f'fnmatchcase(name, "{pattern}")', match

    def by_layer(self, layers: tuple[str, ...], param: str) -> Way | None:
        names = {each.rpartition(".")[2] for each in layers}
        written: list[str] = []
        for name in dict.fromkeys(each.rpartition(".")[2] for each in layers):
            own = [cls.name for cls in self.classes.known.values() if cls.block.name == name]
            if isinstance(getattr(nn, name, None), type):
                own.append(f"nn.{name}")
            written += dict.fromkeys(own)
        if not written:
            return None
        modules = [each for each in self.skeleton.root.modules() if names & initialize._types(self.skeleton, each)]
        absent = any(each._parameters.get(param) is None for each in modules)
        everywhere = all(hasattr(each, param) for each in modules)
        homes = [(entry, home) for entry in self.table if entry.kind == "parameter" for home in entry.homes]
        reached = [
            id(entry) for module in modules for entry, home in homes if home.owner is module and home.local == param
        ]
        kinds = written[0] if len(written) == 1 else f"({', '.join(written)})"
        present = f"module.{param}" if everywhere else f'getattr(module, "{param}", None)'
        test = f"isinstance(module, {kinds})" + (f" and {present} is not None" if absent else "")
        return Way(loop=_MODULES, test=test, target=f"module.{param}", reached=tuple(reached))

    # -- fills

    def filled(self, fill: spec.Fill, target: str, name: str) -> list[Statement]:
        """The statement of a rule's fill; root args are read as arguments of `init_weights`."""
        names = {each.name: safe(each.name) for each in self.root.block.args}
        if fill.program:
            text = fill_program(
                fill, names, self.classes.imports, self.classes.functions, self.classes.class_name(name),
                f"{target}.shape", target,
            )  # fmt: skip
            self.note(language.parse_statements(fill.program), names)
            return [_put(text, target)]
        fans = {"fan_in": f"{target}[0].numel()", "fan_out": f"{target}[:, 0].numel()"}
        texts = {each: self.value(value, {**names, **fans}) for each, value in fill.arguments}
        return [fill_call(fill.name, texts, target, self.classes.imports, fill.key)]

    def value(self, value: Any, names: Mapping[str, str]) -> str:
        if isinstance(value, spec.Formula):
            self.note([value.tree], names)
            return formula(value.tree, names, self.classes.imports, value.key)
        return literal(value)

    def note(self, trees: Any, names: Mapping[str, str]) -> None:
        for tree in trees:
            self.used |= {each.id for each in ast.walk(tree) if isinstance(each, ast.Name) and each.id in names}
        self.used -= {"fan_in", "fan_out", "shape", "value"}

    # -- what no rule says so simply

    def exceptions(self, entries: list[initialize.Entry]) -> list[Statement]:
        groups: dict[str, list[initialize.Entry]] = {}
        for entry in entries:
            groups.setdefault(" -> ".join(f"{each.text()} {_values(each)}" for each in entry.chain), []).append(entry)
        body: list[Statement] = []
        for group in groups.values():
            for loop, test, target in self.selections(group):
                lines = [line for each in group[0].chain for line in self.decided(each, target, group[0])]
                inside: list[Statement] = [(f"if {test}:", lines)] if test else lines
                body += [(loop, inside)] if loop else inside
        return body

    def selections(self, group: list[initialize.Entry]) -> Iterator[tuple[str, str, str]]:
        """Tensors by their names, with the numbers in names folded where all fit."""
        if len(group) > 3 and all(entry.kind == "parameter" for entry in group):
            names = {home.name: entry for entry in self.table for home in entry.homes if entry.kind == "parameter"}
            patterns = dict.fromkeys(re.sub(r"\d+", "*", entry.name) for entry in group)
            chosen = [entry for name, entry in names.items() if any(fnmatch.fnmatchcase(name, p) for p in patterns)]
            if {id(each) for each in chosen} == {id(each) for each in group} and len(patterns) < len(group):
                for pattern in patterns:
                    test, _ = self.glob(pattern)
                    yield "for name, parameter in self.named_parameters():", test, "parameter"
                return
        for entry in group:
            yield "", "", self.classes.path("self", entry.name, self.root.block)

    def decided(self, decision: initialize.Decision, target: str, entry: initialize.Entry) -> list[Statement]:
        if decision.fill is not None:
            texts = {name: literal(value) for name, value in decision.arguments.items()}
            if entry.tensor.is_floating_point():
                return [fill_call(decision.fill.name, texts, target, self.classes.imports, decision.key)]
            drawn = fill_call(decision.fill.name, texts, f"torch.empty({target}.shape)", self.classes.imports, Path())
            return [f"{target}.copy_({drawn})"]
        if decision.value is not None:
            return []
        names = {name: literal(value) for name, value in decision.values.items() if _is_plain(value)}
        text = fill_program(
            spec.Fill(program=decision.program, key=decision.key), names, self.classes.imports, self.classes.functions,
            self.classes.class_name("fill"), f"{target}.shape", target,
        )  # fmt: skip
        return [_put(text, target)]

    def constants(self) -> list[Statement]:
        """Random buffers that no state dict carries, number by number."""
        body: list[Statement] = []
        for entry in self.table:
            if entry.kind == "parameter" or entry.persistent or not any(map(self.draws, entry.chain)):
                continue
            if entry.tensor.numel() > LARGEST:
                what = f"'{entry.name}' is random, {entry.tensor.numel():,} numbers long, and in no state dict"
                fail(entry.key, f"{what}: a source cannot give it its values.", "Remove persistent: false.")
            value = self.drawn(entry)
            target = self.classes.path("self", entry.name, self.root.block)
            body.append(f"{target}.copy_(torch.tensor({value.tolist()!r}))")
        return body

    def drawn(self, entry: initialize.Entry) -> Any:
        tensor = torch.empty(entry.tensor.shape, dtype=entry.tensor.dtype)
        initialize.Program(tensor, entry.chain, entry.name, self.seed, self.skeleton.max_steps)()
        return tensor

    @staticmethod
    def draws(decision: initialize.Decision) -> bool:
        if decision.fill is not None:
            return decision.fill.draws
        if decision.value is not None:
            return False
        names = set(re.findall(r"\w+", decision.program))
        drawing = {name for name, fill in fills.FILLS.items() if fill.draws}
        return bool(names & (drawing | {f"{each}_" for each in drawing} | RANDOM))


def _apart(way: Way) -> bool:
    """Whether a rule may share a loop with the one before: no tensor is reached twice."""
    return len({*way.reached}) == len(way.reached)


def _put(text: str, target: str) -> str:
    """The statement that gives a tensor what an expression computes; a single draw fills it in place."""
    drawn = f"(torch.empty({target}.shape)"
    tree = ast.parse(text, mode="eval").body
    plain = isinstance(tree, ast.Call) and ast.unparse(tree.func).startswith("nn.init.") and text.count(drawn) == 1
    if plain and isinstance(tree, ast.Call) and f"({ast.unparse(tree.args[0])}" == drawn:
        return text.replace(drawn, f"({target}")
    return f"{target}[...] = {text}"


def _values(decision: initialize.Decision) -> str:
    if not decision.program:
        return ""
    names = set(re.findall(r"\w+", decision.program))
    return repr({name: value for name, value in decision.values.items() if name in names})


def _is_plain(value: Any) -> bool:
    return isinstance(value, (bool, int, float, str, tuple, list, type(None)))
