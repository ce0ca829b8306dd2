"""Fills, `_init_` and the rules of an init config."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from modelzoo.catalog import fills
from modelzoo.catalog.functions import find_function
from modelzoo.errors import Code, Path, Problems, TextError, nearest
from modelzoo.language import compiler, syntax
from modelzoo.names import Kind
from modelzoo.spec.calls import Calls
from modelzoo.spec.forgotten import as_formula
from modelzoo.spec.keys import Keys
from modelzoo.spec.nodes import FILL_INPUTS, Fill, Rule
from modelzoo.spec.selectors import SELECTORS, read_selectors
from modelzoo.spec.visible import Visible, assigned_in, dotted_name, fill_names


class Rules:
    """Reads what fills tensors."""

    def __init__(self, keys: Keys, calls: Calls) -> None:
        self.keys, self.problems, self.calls = keys, keys.problems, calls

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
        self.keys.check_name(name, key, Kind.RULE)
        if not isinstance(value, Mapping):
            self.problems.add(
                key, f"a rule is a mapping, not {value!r}", "Write {layer: Linear, param: weight, fill: 0}."
            )
            return None
        value = self.keys.whole(value, key)
        value = self.keys.meant(value, (*SELECTORS, "fill"), key, "a rule")
        if value.get("fill") is None:
            self.problems.add(key, "this rule has no fill", "Write fill: xavier_uniform.")
            return None
        selected = read_selectors(value, key, self.keys, "rule")
        patterns = selected["patterns"]
        if isinstance(value["fill"], Mapping) and "_ref_" in value["fill"]:
            fill = self.copied(value["fill"], key / "fill", patterns)
        else:
            fill = self.fill(value["fill"], key / "fill", values - self.own_names(value["fill"], key / "fill"))
        if fill is None:
            return None
        return Rule(name=name, fill=fill, key=key, **selected)

    def copied(self, value: Mapping[str, Any], key: Path, patterns: tuple[str, ...]) -> Fill | None:
        """The fill that is another tensor's; a `*` in its name is what the `*` of the rule's own name stands for."""
        self.keys.check_known(value, ("_ref_",), key, "a copy")
        original = value["_ref_"]
        if not isinstance(original, str):
            self.problems.add(key / "_ref_", f"_ref_ must be the name of a tensor, not {original!r}.")
            return None
        signs = {"".join(sign for sign in each if sign in "*?[") for each in patterns}
        if "*" in original and (original.count("*") > 1 or signs != {"*"}):
            what = f"the '*' of '{original}' is what one '*' in the name of this rule stands for."
            self.problems.add(key / "_ref_", what, "Write name: teacher.* and _ref_: student.*")
        return Fill(original=original, key=key)

    def fill(self, value: Any, key: Path, values: frozenset[str]) -> Fill | None:
        """A number, a fill's name, a call, a text, or a mapping with `_target_`."""
        visible, before = Visible(values=values | {"fan_in", "fan_out"}), len(self.problems.found)
        with self.problems.at(key):
            if isinstance(value, (bool, int, float)):
                return Fill(name="constant", arguments=(("value", value),), key=key)
            if isinstance(value, Mapping) and "_ref_" in value:
                raise TextError("only a rule of an init makes a tensor a copy of another", "Write one.")
            if isinstance(value, Mapping):
                given = {
                    str(name): self.calls.value(each, key / name, visible)
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
        if isinstance(value, Mapping):
            texts = [(key / name, each) for name, each in value.items() if name != "_target_"]
            self.problems.suggest(before, [repair for each in texts for repair in as_formula(*each)])
        return None

    def fill_text(self, text: str, key: Path, values: frozenset[str], visible: Visible) -> Fill | None:
        statements = syntax.parse_statements(text)
        tree = statements[0].value if len(statements) == 1 and isinstance(statements[0], ast.Return) else None
        check_module(tree)
        if isinstance(tree, ast.Name) and tree.id not in values | set(FILL_INPUTS):
            return self.named_fill(tree.id, [], {}, key)
        if isinstance(tree, ast.Name) and tree.id in values and (fills.find_fill(tree.id) or find_function(tree.id)):
            what = f"'{tree.id}' is a fill, and an arg"
            raise TextError(what, f"Write {tree.id}() for the fill. For the arg, take another name.", 1, 1)
        if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name) and self.is_plain_fill(tree, visible):
            positional = [self.calls.from_tree(each, key, visible) for each in tree.args]
            named = {str(each.arg): self.calls.from_tree(each.value, key, visible) for each in tree.keywords}
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
            return find_function(tree.func.id) is None
        if tree.args and find_function(tree.func.id) is not None:
            return False
        names = {
            node.id for each in ast.walk(tree) if each is not tree.func for node in [each] if isinstance(node, ast.Name)
        }
        functions = {
            node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        plain = all((found := find_function(name)) is not None and found.number for name in functions - {tree.func.id})
        return plain and names - functions <= visible.values

    def named_fill(
        self, name: str, positional: list[Any], named: dict[str, Any], key: Path, tree: ast.Call | None = None
    ) -> Fill | None:
        fill = fills.find_fill(name)
        if fill is None:
            raise TextError(
                f"there is no fill '{name}'.",
                nearest(name.rstrip("_"), fills.FILLS),
                *((1, 1) if tree is not None else (0, 0)),
                Code.UNKNOWN,
            )
        arguments = fills.bind(fill, positional, named)
        return Fill(name=fill.name, arguments=tuple(arguments.items()), key=key)


def check_module(tree: ast.expr | None) -> None:
    """Refuses `nn.init.xavier_uniform_(m.weight)`, which a rule writes as a name.

    Raises:
        TextError: with what to write.
    """
    call = tree if isinstance(tree, ast.Call) else None
    target = dotted_name(call.func if call else tree) if tree is not None else None
    owner, _, name = (target or "").rpartition(".")
    if owner not in ("init", "nn.init", "torch.nn.init"):
        return
    given = [each for each in call.args if not isinstance(each, (ast.Name, ast.Attribute))] if call else []
    values = [*map(ast.unparse, given), *(ast.unparse(each) for each in (call.keywords if call else ()))]
    short = name.rstrip("_")
    written = f"Write {short}({', '.join(values)})." if values else f"Write {short}."
    hint = written if fills.find_fill(short) else nearest(short, fills.FILLS)
    raise TextError(f"there is no fill '{target}'", hint, 1, 1, Code.UNKNOWN)
