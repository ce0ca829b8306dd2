"""The house: packages in one direction, no circles, lazy imports that are known, files of a size that can be read."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

import modelzoo

PACKAGE = Path(modelzoo.__file__).parent

FLOORS = (
    ("bounds", "escapes", "late", "signatures", "ranks"),
    ("asked",),
    ("known",),
    ("names", "arithmetic", "spelling"),
    ("errors",),
    ("files", "streams", "system", "terminal"),
    ("headers", "elements", "parts"),
    ("config", "catalog", "weights"),
    ("register", "language"),
    ("spec",),
    ("modules",),
    ("init",),
    ("plans",),
    ("sharding",),
    ("api", "auditing", "optim", "measuring"),
    ("export", "importing"),
    ("diff",),
    ("run",),
    ("testing", "cli"),
    ("__main__", "__init__"),
)
"""From the ground up; those on one floor do not know each other."""

FLOOR = {name: number for number, names in enumerate(FLOORS) for name in names}

TORCH = "torch takes a second to import, and is needed only here"
HYDRA_LATE = "a file needs no Hydra, which takes a third of a second to import"
PLUGIN = "pytest loads the plugin of every project: it imports what it needs when there is a file of tests"
CHILD = "the child process imports it, which the limits are imposed on first"

TABLED = "a table has the answers of one version of torch: only another is asked"
OWN_LAYERS = "only registered layers have constructors to read"

LAZY: dict[tuple[str, str], str] = {
    ("api", "sharding.sharded"): "it imports torch.distributed, which a build on one machine does without",
    ("catalog.arguments", "catalog.constructors"): OWN_LAYERS,
    ("catalog.functions", "catalog.callables"): TORCH,
    ("cli", "cli.guard"): "`import modelzoo.cli` costs nothing",
    ("cli", "cli.launch"): "what goes wrong while it is imported is met by the guard",
    ("cli.audit", "auditing.audit"): TORCH,
    ("cli.audit", "plans.draft"): TORCH,
    ("cli.check", "cli.rules"): CHILD,
    ("cli.check", "config.compose"): HYDRA_LATE,
    ("cli.check", "config.config"): CHILD,
    ("cli.check", "config.search_path"): HYDRA_LATE,
    ("cli.check", "init.decide"): TORCH,
    ("cli.check", "plans.draft"): TORCH,
    ("cli.check", "plans.reading"): CHILD,
    ("cli.check", "run.groups"): TORCH,
    ("cli.check", "run.load"): TORCH,
    ("cli.check", "spec.parser"): CHILD,
    ("cli.diff", "diff.difference"): TORCH,
    ("cli.diff", "diff.page"): TORCH,
    ("cli.diff", "diff.written"): TORCH,
    ("cli.hidden", "catalog.layers"): TORCH,
    ("cli.launch", "register"): TORCH,
    ("cli.launch", "run.job"): TORCH,
    ("cli.launch", "streams"): TORCH,
    ("cli.documentation", "cli.documented"): TABLED,
    ("cli.listing", "cli.facts"): "a list of models needs nothing of the catalog",
    ("cli.listing", "config.compose"): HYDRA_LATE,
    ("cli.listing", "config.search_path"): HYDRA_LATE,
    ("cli.listing", "spec.base"): "a list of models needs nothing of the language",
    ("cli.run_file", "config.config"): CHILD,
    ("cli.run_file", "run.job"): CHILD,
    ("cli.lock", "diff.difference"): TORCH,
    ("cli.lock", "diff.digests"): TORCH,
    ("cli.lock", "diff.locks"): TORCH,
    ("cli.lock", "diff.snapshots"): TORCH,
    ("cli.schema", "config.search_path"): HYDRA_LATE,
    ("cli.sides", "config.compose"): HYDRA_LATE,
    ("cli.sides", "config.search_path"): HYDRA_LATE,
    ("cli.sides", "diff.locks"): TORCH,
    ("cli.sides", "diff.snapshots"): TORCH,
    ("cli.sides", "run.groups"): TORCH,
    ("cli.sides", "plans.draft"): TORCH,
    ("cli.source", "config.compose"): HYDRA_LATE,
    ("cli.typed", "config.grammar"): HYDRA_LATE,
    ("cli.typed_load", "config.grammar"): HYDRA_LATE,
    ("cli.typed_load", "config.search_path"): HYDRA_LATE,
    ("cli.typed", "config.search_path"): HYDRA_LATE,
    ("config.opening", "config.grammar"): HYDRA_LATE,
    ("config.compose", "config.hydra_errors"): "it explains what Hydra refuses, and is imported when it does",
    ("known", "asked"): TABLED,
    ("language.compiler", "catalog.guards"): TORCH,
    ("language.compiler", "language.tensors"): TORCH,
    ("spec.calls", "catalog.constructors"): OWN_LAYERS,
    ("spec.layers", "spec.given"): OWN_LAYERS,
    ("config.config", "config.omega"): "a DictConfig cannot exist before OmegaConf is imported",
    ("run.job", "run.split"): "it imports torch.distributed, which one process does without",
    ("run.progress", "run.results"): "only a sweep has a table at its end",
    ("testing.configs", "config.compose"): HYDRA_LATE,
    ("testing.pytest_plugin", "errors"): PLUGIN,
    ("testing.pytest_plugin", "escapes"): PLUGIN,
    ("testing.pytest_plugin", "testing.cases"): PLUGIN,
    ("testing.pytest_plugin", "testing.checker"): PLUGIN,
    ("testing.pytest_plugin", "testing.overrides"): PLUGIN,
    ("testing.round_trips", "export.source.model"): "most tests ask for no source",
}
"""Imports inside functions, and why."""

HYDRA = {
    "cli.launch",
    "config.compose",
    "config.grammar",
    "config.hydra_errors",
    "config.hydra_messages",
    "config.omega",
    "config.search_path",
    "config.swept",
    "run.hydra_jobs",
}
"""The files that may import hydra or omegaconf."""

FILE, CLASS, FUNCTION = 350, 250, 60
"""The most lines of each."""


@dataclass(frozen=True)
class Import:
    """One import: from which file, of what, and whether it stands inside a function or is for types alone."""

    file: str
    of: str
    inside: bool
    typing: bool


def dotted(path: Path) -> str:
    """The name of a module below the package.

    >>> dotted(PACKAGE / "spec" / "resolve.py"), dotted(PACKAGE / "spec" / "__init__.py")
    ('spec.resolve', 'spec')
    """
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def imports_of(tree: ast.Module, file: str, modules: frozenset[str]) -> Iterator[Import]:
    """Every import of a file: at the top, inside functions, and under TYPE_CHECKING."""
    functions = [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    inside = {id(each) for node in functions for each in ast.walk(node)}
    types = [node for node in ast.walk(tree) if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    typing = {id(each) for node in types for each in ast.walk(node)}
    for node in ast.walk(tree):
        found: list[str] = []
        if isinstance(node, ast.Import):
            found = [each.name for each in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                around = ["modelzoo", *file.split(".")[: -node.level]]
                base = ".".join([*around, base] if base else around)
            found = [f"{base}.{each.name}" for each in node.names]
        for each in found:
            own = each.removeprefix("modelzoo.")
            known = next((part for part in (own, own.rpartition(".")[0]) if part in modules), "")
            of = known if each.startswith("modelzoo") and known else each
            yield Import(file=file, of=of, inside=id(node) in inside, typing=id(node) in typing)


@cache
def files() -> dict[str, Path]:
    return {dotted(path): path for path in sorted(PACKAGE.rglob("*.py"))}


@cache
def everything() -> list[Import]:
    modules = frozenset(files())
    return [each for name, path in files().items() for each in imports_of(ast.parse(path.read_text()), name, modules)]


def own(imports: list[Import]) -> list[Import]:
    return [each for each in imports if each.of in files()]


def room(module: str) -> str:
    return module.partition(".")[0]


def upward(imports: list[Import]) -> set[tuple[str, str]]:
    """Imports of a room on the same floor or above."""
    return {
        (each.file, each.of)
        for each in imports
        if room(each.file) != room(each.of) and FLOOR[room(each.file)] <= FLOOR[room(each.of)]
    }


def circles(imports: list[Import]) -> set[str]:
    """The modules that import each other, through others too."""
    needs: dict[str, set[str]] = {}
    for each in imports:
        needs.setdefault(each.file, set()).add(each.of)
        needs.setdefault(each.of, set())
    done: set[str] = set()
    while True:
        free = {name for name, of in needs.items() if name not in done and of - {name} <= done}
        if not free:
            return needs.keys() - done
        done |= free


def foreign_private(text: str, file: str) -> Iterator[str]:
    """Names with an underscore that a file takes from another of this package."""
    tree = ast.parse(text)
    froms = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    taken = [each for node in froms if (node.module or "").startswith("modelzoo") for each in node.names]
    rooms = {each.asname or each.name for each in taken}
    yield from (f"{file}: {each.name}" for each in taken if is_private(each.name))
    for node in ast.walk(tree):
        of_room = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in rooms
        if of_room and is_private(node.attr):
            yield f"{file}: {node.value.id}.{node.attr}"


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def read_messages(text: str, file: str) -> Iterator[str]:
    """Where code asks what our own messages say: for that there are codes."""
    for node in ast.walk(ast.parse(text)):
        asked: list[ast.expr] = []
        if isinstance(node, ast.Compare) and isinstance(node.ops[0], (ast.In, ast.NotIn)):
            asked = node.comparators
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            method = node.func.attr
            asked = [node.func.value] if method in ("startswith", "endswith", "partition", "split", "find") else []
            asked += node.args if method in ("search", "match", "fullmatch", "findall") else []
        yield from (
            f"{file}:{node.lineno}"
            for each in asked
            if isinstance(each, ast.Attribute) and each.attr in ("what", "hint", "wants")
        )


def long_ones(text: str, file: str) -> Iterator[str]:
    """A file, and classes and functions in it, that have too many lines."""
    if len(text.splitlines()) > FILE:
        yield file
    for node in ast.walk(ast.parse(text)):
        most = {ast.ClassDef: CLASS, ast.FunctionDef: FUNCTION}.get(type(node))
        if most is not None and len(range(node.lineno, node.end_lineno + 1)) > most:
            yield f"{file}: {node.name}"


def test_every_room_has_its_floor() -> None:
    assert {room(name) for name in files()} <= FLOOR.keys()


def test_imports_go_down() -> None:
    assert upward(own(everything())) == set()


def test_no_modules_import_each_other() -> None:
    assert circles(own(everything())) == set()


def test_imports_inside_functions_are_those_that_have_a_reason() -> None:
    assert {(each.file, each.of) for each in own(everything()) if each.inside} == LAZY.keys()


def test_only_the_border_imports_hydra_and_omegaconf() -> None:
    assert {each.file for each in everything() if each.of.split(".")[0] in ("hydra", "omegaconf")} == HYDRA


def test_no_name_with_an_underscore_is_used_outside_its_file() -> None:
    assert [found for name, path in files().items() for found in foreign_private(path.read_text(), name)] == []


def test_no_code_reads_what_a_message_says() -> None:
    assert [each for name, path in files().items() for each in read_messages(path.read_text(), name)] == []


def test_no_package_has_the_name_of_a_public_function() -> None:
    assert not {path.name for path in PACKAGE.iterdir() if path.is_dir()} & {*modelzoo.__all__}


def test_the_docstring_of_a_package_teaches_and_nothing_is_imported_beside_it() -> None:
    for path in PACKAGE.rglob("*/__init__.py"):
        tree = ast.parse(path.read_text())
        told = ast.get_docstring(tree) or ""
        assert len(told.splitlines()) >= 6, path
        assert ">>> " in told, path
        assert not [
            each for each in imports_of(tree, dotted(path), frozenset(files())) if not each.inside and own([each])
        ]


def test_files_classes_and_functions_are_of_a_size_that_can_be_read() -> None:
    assert [found for name, path in files().items() for found in long_ones(path.read_text(), name)] == []


def test_the_map_has_every_file_once_in_its_room() -> None:
    text = (PACKAGE.parent / "CONTRIBUTING.md").read_text()
    rows = re.findall(r"^\| (\S+) \| (`[^|]*`) \| ", text, re.MULTILINE)
    found = [f"{room.strip('`')}{each}" for room, names in rows for each in re.findall("`([^`]+)`", names)]
    told = sorted(each.removeprefix("ground").removeprefix("top").replace("/", ".") for each in found)
    assert told == sorted(name for name, path in files().items() if path.name not in ("__init__.py", "__main__.py"))


# --- each of these checks can fail ---------------------------------------------------------------------------------


def seen(text: str, file: str) -> list[Import]:
    return [*imports_of(ast.parse(text), file, frozenset(files()))]


def test_an_import_is_seen_wherever_it_stands() -> None:
    text = (
        "from modelzoo import errors\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import modelzoo.api\n"
        "def f():\n    from modelzoo.errors import Path\n    from . import nothing\n    import hydra\n"
    )
    assert {(each.of, each.inside, each.typing) for each in seen(text, "files")} == {
        ("errors", False, False),
        ("typing.TYPE_CHECKING", False, False),
        ("api", False, True),
        ("errors", True, False),
        ("modelzoo.nothing", True, False),
        ("hydra", True, False),
    }


def test_an_import_upwards_and_a_circle_are_found() -> None:
    up = seen("import modelzoo.api", "errors")
    assert upward(up) == {("errors", "api")}
    assert circles([*up, *seen("from modelzoo import errors", "api")]) == {"errors", "api"}
    assert circles(up) == set()


def test_a_private_name_of_another_file_is_found() -> None:
    text = "from modelzoo.errors import _hidden\nfrom modelzoo import api\napi._secret, api.__doc__, api.build"
    assert [*foreign_private(text, "cli.check")] == ["cli.check: _hidden", "cli.check: api._secret"]


def test_code_that_reads_a_message_is_found() -> None:
    text = (
        'if problem.what.startswith("there is no"): pass\nif "Known" not in each.hint: pass\n'
        're.search("a", error.what)\nwhat = each.what in (1, 2)\nsay(problem.what)\n'
    )
    assert [*read_messages(text, "api")] == ["api:1", "api:2", "api:3"]


def test_what_is_too_long_is_found() -> None:
    body = "    x = 1\n"
    text = f"def f():\n{body * 60}class C:\n{body * 250}def g():\n{body * 59}"
    assert [*long_ones(text, "api")] == ["api", "api: f", "api: C"]


# --- what is not imported ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import modelzoo", "torch"),
        ("import modelzoo.cli", "torch"),
        ("import modelzoo.cli.launch", "torch"),
        ("import modelzoo.plans.reading", "torch"),
        ("import modelzoo.api", "omegaconf"),
        ("import modelzoo.api", "hydra"),
        ("import modelzoo; modelzoo.build({'layers': ['Linear(4, 2)']})", "omegaconf"),
    ],
)
def test_what_is_not_needed_is_not_imported(statement: str, absent: str) -> None:
    code = f"{statement}; import sys; sys.exit({absent!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_check_for_absent_imports_can_fail() -> None:
    code = "import modelzoo.api; import sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 1
