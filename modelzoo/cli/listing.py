"""`python -m modelzoo list KIND [NAME]`: what a config may name, as a table or one by one."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import Any

from modelzoo.cli.page import Kind, page, table
from modelzoo.errors import ConfigError, Problem, nearest
from modelzoo.escapes import json_text
from modelzoo.terminal import say


def command(arguments: list[str]) -> int:
    """Prints a table of all things of a kind, or everything about one of them.

    Args:
        arguments: the kind, and a name.

    Raises:
        ConfigError: there is no such kind or name.
    """
    parser = argparse.ArgumentParser(prog="python -m modelzoo list", description=__doc__)
    parser.add_argument("kind", help=", ".join(KINDS))
    parser.add_argument("name", nargs="?", help="as in Linear")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    given = parser.parse_args(arguments)
    kind = KINDS[_known(given.kind, KINDS, "kind")]
    rows = kind.rows()
    if given.name is None:
        text = table(rows)
        data: Any = [{"name": name, "about": about} for name, about in rows.items()]
    else:
        data = kind.facts(_known(_short(given.name), rows, given.kind.rstrip("s")))
        text = page(data)
    say(json_text(data) if given.format == "json" else text)
    return 0


def _known(name: str, names: Iterable[str], kind: str) -> str:
    every = list(names)
    if name not in every:
        hint = nearest(name, every) or (f"Type python -m modelzoo list {kind}s." if kind != "kind" else "")
        raise ConfigError([Problem(where="command line", path=name, what=f"There is no {kind} '{name}'.", hint=hint)])
    return name


def _short(name: str) -> str:
    """`Linear` for `torch.nn.Linear`, `normal` for `normal_`."""
    return name.rpartition(".")[2].rstrip("_") or name


def _of_catalog(kind: str) -> Kind:
    """What torch stands behind, which is imported when it is asked for."""

    def rows() -> dict[str, str]:
        from modelzoo.cli import facts

        return facts.KINDS[kind].rows()

    def about(name: str) -> dict[str, Any]:
        from modelzoo.cli import facts

        return facts.KINDS[kind].facts(name)

    return Kind(rows=rows, facts=about)


def _configs(group: str) -> Kind:
    """The configs of a group, those of the project's own `./conf` included."""

    def rows() -> dict[str, str]:
        from modelzoo.config import search_path

        return search_path.described(group)

    def facts(name: str) -> dict[str, Any]:
        from modelzoo.config import compose

        config = compose.compose([f"{group}={name}"])
        data: Any = {"model": config.model, "init": config.init, **config.options}[group]
        keys = {each: data[each] for each in ("args", "base", "inputs") if data and data.get(each)}
        if group != "model":
            from modelzoo.spec.base import OWN_KEYS

            keys["rules"] = data and {each: rule for each, rule in data.items() if each not in OWN_KEYS}
        start = "torchrun --nproc-per-node 2" if group == "parallel" else "python"
        return {"name": name, "about": rows()[name], **keys, "run": f"{start} run.py {group}={name}"}

    return Kind(rows=rows, facts=facts)


KINDS: dict[str, Kind] = {
    **{kind: _of_catalog(kind) for kind in ("layers", "fills", "functions", "methods")},
    "models": _configs("model"),
    "inits": _configs("init"),
    "groups": _configs("groups"),
    "parallel": _configs("parallel"),
}
"""What can be listed."""
