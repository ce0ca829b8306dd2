"""The architecture: imports go one way, and torch, Hydra and OmegaConf are touched only where they must be."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import modelzoo

PACKAGE = Path(modelzoo.__file__).parent
BORDER = {"border", "composition", "cli"}


def imports(path: Path, everywhere: bool = True) -> set[str]:
    """The modules that a file imports; only at its top level if `everywhere` is false."""
    tree = ast.parse(path.read_text())
    typing = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    skipped = {id(each) for node in typing for each in ast.walk(node)}
    found: set[str] = set()
    for node in ast.walk(tree) if everywhere else tree.body:
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{each.name}" for each in node.names} | {node.module}
    return found


def own(path: Path) -> set[str]:
    names = {file.stem for file in PACKAGE.glob("*.py")}
    return {
        part
        for name in imports(path, everywhere=False)
        for part in [name.removeprefix("modelzoo.").split(".")[0]]
        if part in names
    }


def test_no_module_imports_itself_through_others():
    graph = {path.stem: own(path) for path in PACKAGE.glob("*.py") if not path.stem.startswith("__")}
    done: set[str] = set()
    while len(done) < len(graph):
        free = {name for name, needs in graph.items() if name not in done and needs <= done | {name}}
        assert free, f"these import each other: {sorted(graph.keys() - done)}"
        done |= free


def test_only_the_border_imports_hydra_and_omegaconf():
    users = {
        path.stem
        for path in PACKAGE.glob("*.py")
        if any(name.split(".")[0] in ("hydra", "omegaconf") for name in imports(path))
    }
    assert users <= BORDER


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import modelzoo", "torch"),
        ("import modelzoo.cli", "torch"),
        ("import modelzoo.api", "omegaconf"),
        ("import modelzoo.api", "hydra"),
        ("import modelzoo; modelzoo.build({'layers': ['Linear(4, 2)']})", "omegaconf"),
    ],
)
def test_what_is_not_needed_is_not_imported(statement, absent):
    code = f"{statement}; import sys; sys.exit({absent!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_check_for_absent_imports_can_fail():
    code = "import modelzoo.api; import sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 1
