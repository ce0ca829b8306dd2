"""Groups of tensors for an optimiser, as a config says them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelzoo.errors import Path, Problems
from modelzoo.language import syntax
from modelzoo.names import Kind
from modelzoo.spec.base import OWN_KEYS, WIDTHS, parse_base
from modelzoo.spec.calls import plain
from modelzoo.spec.cuts import in_yaml
from modelzoo.spec.keys import kind_of
from modelzoo.spec.nodes import Formula, Group, Groups, walk
from modelzoo.spec.parser import Parser
from modelzoo.spec.selectors import SELECTORS, read_selectors
from modelzoo.spec.visible import Visible, layers_in

KEY = Path(("groups",))
INDEX = "i"
REST = "rest"
"""The group of what no other selects."""

_EXAMPLE = "Write no_decay: {param: bias, weight_decay: 0}."


def parse_groups(
    groups: Any, root: frozenset[str], values: frozenset[str], problems: Problems, wide: bool = False
) -> Groups:
    """A `groups` config: its groups in their order, and its args.

    Args:
        groups: a mapping of groups, with `args` among them, or None.
        root: the names of the args of the model.
        values: the names of all values that options may read.
        problems: collects what is wrong with them.
        wide: whether there is a base, even if the groups have none.
    """
    if groups is None:
        return Groups()
    if not isinstance(groups, Mapping):
        problems.add(KEY, f"groups must be a mapping of groups, not {kind_of(groups)}", _EXAMPLE)
        return Groups()
    if any(isinstance(groups.get(name), (str, int, list, tuple)) for name in SELECTORS):
        problems.add(KEY, "a group has a name, and this one has none.", f"Write no_decay: {in_yaml(groups)}.")
        return Groups()
    parser = Parser(problems)
    args = parser.blocks.tensors.args(groups.get("args"), KEY / "args", Visible(values=values))
    base = parse_base(groups.get("base"), root, KEY / "base", problems)
    own = {INDEX, *(WIDTHS if wide or groups.get("base") is not None else ())}
    seen = Visible(values=values | {each.name for each in args} | own)
    given = [(str(name), value) for name, value in groups.items() if name not in OWN_KEYS and value is not None]
    found = [_group(name, value, KEY / name, seen, parser) for name, value in given]
    return Groups(args=args, rules=tuple(each for each in found if each is not None), base=base)


def _group(name: str, value: Any, key: Path, visible: Visible, parser: Parser) -> Group | None:
    problems = parser.problems
    parser.keys.check_name(name, key, Kind.RULE)
    if name == REST:
        problems.add(key, f"'{REST}' is the group of all that no other selects.", "Take another name.")
    if not isinstance(value, Mapping):
        problems.add(key, f"a group is a mapping, not {value!r}", "Write {param: bias, weight_decay: 0}.")
        return None
    value = parser.keys.whole(value, key)
    selected = read_selectors(value, key, parser.keys, "group")
    trainable = value.get("trainable")
    if trainable is not None:
        trainable = plain(parser.calls, trainable, key / "trainable", visible)
    if trainable is not None and not isinstance(trainable, (bool, Formula)):
        what = f"trainable must be true or false, not {trainable!r}."
        problems.add(key / "trainable", what, "Write trainable: false.")
    names = [each for each in value if each not in (*SELECTORS, "trainable")]
    if trainable is False and names:
        what = f"'{names[0]}' is of an optimiser, and what is not trained has none."
        problems.add(key / names[0], what, "Remove it, or trainable: false.")
    options = [(str(each), _option(value[each], key / each, visible, parser)) for each in names]
    return Group(name=name, key=key, options=tuple(options), trainable=trainable, **selected)


def _option(value: Any, key: Path, visible: Visible, parser: Parser) -> Any:
    """A value or a formula."""
    if isinstance(value, Mapping):
        what = "an option of an optimiser is a number, a text, true, false or a list of numbers, not a mapping."
        parser.problems.add(key, what)
        return None
    found = parser.calls.value(value, key, visible)
    for what in layers_in(found, visible):
        parser.problems.add(key, what, "An option of an optimiser is a value.")
    return found


def names_read(value: Any) -> frozenset[str]:
    """The names that the formulas in a value of the spec read."""
    trees = (each.tree for each in walk(value) if isinstance(each, Formula))
    return frozenset(each.id for tree in trees for each in syntax.formula_names(tree))


def read_by(groups: Groups) -> frozenset[str]:
    """The names that the formulas of groups read."""
    values = [(each.trainable, *(value for _, value in each.options)) for each in groups.rules]
    return names_read((*(each.default for each in groups.args), *values))
