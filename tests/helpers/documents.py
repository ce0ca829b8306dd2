"""README and docs as data: every fence and every command in them, and how each is carried out.

A fence claims something by its language, and a test holds it to that:

    yaml     a model file that builds; with a first line `# conf/model/own.yaml` it is that file for all that follows
             (and `# conf/init/own.yaml` holds rules, for the last file of `conf/model` shown before;
             `# conf/groups/own.yaml` groups, for it too; `# conf/load/names/own.yaml` names of weights;
             `# conf/parallel/own.yaml` rules that split llama; `# test_own.yaml` holds tests, which pass)
    text     the whole message that answers the YAML before it
    console  commands after `$ `, each with all that it prints; a line `...` stands for lines left out, and ` ...`
             for the end of a line
    sh       commands that end well
    python   a script that runs after those before it, or with a first line `# own.py` that file
    pycon    a session

A translation has the fences and the commands of the page that it translates, so they are carried out once.

Every fence gets a folder of its own, which looks like a checkout: `run.py`, `conf`, and the files named before it.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import itertools
import logging
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import yaml

import modelzoo
from modelzoo import cli
from modelzoo.__main__ import main as tools
from modelzoo.config import compose
from modelzoo.config.document import Document, read
from modelzoo.plans.options import Options
from modelzoo.testing import cases, checker
from modelzoo.testing.case import Case

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHAPTER = ROOT / "docs" / "chapter"
LANGUAGES = ("yaml", "text", "console", "sh", "python", "pycon")
INSTALLATION = ("pip install -c constraints.txt -e .", "pip install -c constraints.txt -e '.[test]'", "pytest -n auto")
"""Commands that are not carried out here: the CI begins with them."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """A fence of a document, or a command in a sentence (language "inline")."""

    document: pathlib.Path
    line: int
    language: str
    text: str
    before: tuple[Part, ...] = ()

    @property
    def place(self) -> str:
        return f"{self.document.relative_to(ROOT)}:{self.line}"

    @property
    def file(self) -> str | None:
        """The file that a first line `# conf/model/own.yaml` names."""
        named = re.match(r"# ([\w./-]+\.(?:yaml|py))\n", self.text)
        return named[1] if named else None

    @property
    def name(self) -> str:
        return self.file or "model.yaml"


def documents() -> list[pathlib.Path]:
    written = [path for path in sorted((ROOT / "docs").rglob("*.md")) if path.parent.name not in ("gallery", "zh")]
    return [ROOT / "README.md", *written]  # the pages of the gallery are generated, and compared in test_gallery


def translations() -> dict[pathlib.Path, pathlib.Path]:
    """Every page in Chinese, and the page that it translates."""
    pages = {path: CHAPTER / "en" / path.name for path in sorted((CHAPTER / "zh").glob("*.md"))}
    return {ROOT / "README.zh.md": ROOT / "README.md", **pages}


def parts(document: pathlib.Path) -> Iterator[Part]:
    """All fences and inline commands in their order, each with those before it."""
    before: tuple[Part, ...] = ()
    opened: tuple[int, str] | None = None
    lines: list[str] = []
    for number, row in enumerate(document.read_text(encoding="utf-8").splitlines(), start=1):
        found: list[Part] = []
        if row.lstrip().startswith(("```", "~~~")):
            if opened is None:
                opened, lines = (number, row.strip().strip("`~").strip()), []
            else:
                text = "".join(f"{line}\n" for line in lines)
                found = [Part(document=document, line=opened[0], language=opened[1], text=text)]
                opened = None
        elif opened is not None:
            lines.append(row)
        else:
            for command in re.findall(r"`(python [^`]+)`", row):
                if not re.search(r"\b[A-Z]{2,}\b", command):  # a form to fill in, as in `where KEY`
                    found.append(Part(document=document, line=number, language="inline", text=command))
        for part in found:
            yield replace(part, before=before)
            before = (*before, part)
    assert opened is None, f"{document}:{opened} is never closed"


def folder_of(part: Part, folder: pathlib.Path) -> None:
    """Makes the folder in which a part is carried out."""
    shutil.copytree(ROOT / "conf", folder / "conf")
    shutil.copy(ROOT / "run.py", folder)
    for each in (*part.before, part):
        if each.language == "yaml" or (each.language == "python" and each.file):
            file = folder / each.name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(each.text, encoding="utf-8")


# --- YAML ----------------------------------------------------------------------------------------------------------


def is_rules(part: Part) -> bool:
    return part.name.startswith("conf/init/")


def tested(file: pathlib.Path) -> str:
    """What the tests of a file say that do not hold."""
    document = read(file.read_text(encoding="utf-8"), str(file))
    return "".join(failure(case, document, file.parent) for case in cases.cases(document))


def failure(case: Case, document: Document, folder: pathlib.Path) -> str:
    try:
        checker.check(case, document, folder)
        return ""
    except modelzoo.ConfigError as error:
        return f"{error}\n"


def build(part: Part) -> str:
    """Builds what a YAML fence holds; returns the message that answers it, if there is one."""
    if pathlib.Path(part.name).name.startswith("test_"):
        return tested(pathlib.Path(part.name))
    if part.name.startswith("conf/load/names/"):
        return "".join(map(str, Options.of({"load": {"file": "x", "names": yaml.safe_load(part.text)}}).wrong))
    if part.name.startswith("conf/parallel/"):
        composed = compose.compose(["model=llama", f"parallel={pathlib.Path(part.name).stem}"])
        shares = modelzoo.shares(composed.model, parallelize=composed.options["parallel"], world=8)
        assert str(shares).startswith("name ")
        return ""
    try:
        source, rules = described(part)
        built = modelzoo.build(source, rules)
        assert list(built.modules())
        groups = yaml.safe_load(part.text)
        if part.name.startswith("conf/groups/") or (isinstance(groups, dict) and "groups" in groups):
            modelzoo.groups(built, part.name)
        return ""
    except modelzoo.ConfigError as error:
        return f"{error}\n"


def described(part: Part) -> tuple[Any, str | None]:
    """What a YAML fence says, for `modelzoo.build`: a model, and rules if it holds them, in the current folder."""
    if part.name == "parts.yaml":  # definitions, which a model beside them uses
        user = pathlib.Path("user.yaml")
        user.write_text(f"blocks: {{_from_: {part.name}}}\nlayers: [ReLU]\n")
        return str(user), None
    rules, beside = part.name if is_rules(part) else None, part.name.startswith(("conf/init/", "conf/groups/"))
    name = [each.name for each in part.before if each.name.startswith("conf/model/")][-1] if beside else part.name
    data = yaml.safe_load(pathlib.Path(name).read_text(encoding="utf-8"))
    if isinstance(data, dict) and "defaults" in data:
        return compose.compose([f"model={pathlib.Path(name).stem}"]).model, rules
    return name, rules


# --- Python --------------------------------------------------------------------------------------------------------


def scripts(found: Sequence[Part]) -> list[Part]:
    """Those that are Python and name no file: they go on from one to the next."""
    return [part for part in found if part.language == "python" and part.file is None]


def executed(found: Sequence[Part], given: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The names that the Python among some parts leaves; `given` are those that it begins with."""
    names: dict[str, Any] = {"__name__": "__main__", **(given or {})}
    for part in scripts(found):
        exec(compile(part.text, part.place, "exec"), names)
    return names


# --- commands ------------------------------------------------------------------------------------------------------


def commands(part: Part) -> list[tuple[str, str]]:
    """Every command of a part with what it prints; "..." where that is not shown."""
    if part.language == "inline":
        return [(part.text, "...\n")]
    if part.language == "sh":
        typed = itertools.chain.from_iterable(row.split(" && ") for row in part.text.splitlines())
        return [(command, "...\n") for command in typed if command not in INSTALLATION]
    _, *shown = re.split(r"^\$ ", part.text, flags=re.M)
    return [(command, printed) for command, _, printed in (each.partition("\n") for each in shown)]


def run(command: str, last: int) -> tuple[int, str]:
    """The exit code of a command typed into the current folder, and what it prints."""
    if command == "echo $?":
        return 0, f"{last}\n"
    words = shlex.split(command)
    if words[:2] == ["python", "run.py"]:
        return here(cli.main, ["run.py", *words[2:]])
    imports = words[3:4] == ["audit"] and ":" in words[4]
    if words[:3] == ["python", "-m", "modelzoo"] and words[3:4] != ["run"] and not imports:  # `run` has a child process
        return here(tools, ["modelzoo", *words[3:]])
    if words[0] == "python":
        words[0] = sys.executable
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(
        words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", check=False
    )
    return done.returncode, done.stdout


def here(main: object, arguments: list[str]) -> tuple[int, str]:
    """Runs a program in this process, which saves the seconds that its imports take."""
    printed = io.StringIO()
    typed, environment = sys.argv, dict(os.environ)
    sys.argv = arguments
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            try:
                code = main()  # type: ignore[operator]
            except SystemExit as end:
                code = end.code
    finally:
        sys.argv = typed
        os.environ.clear()
        os.environ.update(environment)
        logging.getLogger().handlers.clear()  # Hydra's, bound to a stream that ends here
    return int(code or 0), printed.getvalue()


def placed(text: str) -> str:
    """A text with the columns of calls in a `forward` only where Python knows them, from 3.11 on."""
    return text if sys.version_info >= (3, 11) else re.sub(r"(:\d+):\d+(  \S*forward\b)", r"\1\2", text)


def agrees(shown: str, printed: str) -> bool:
    """Whether a command prints what is shown, all of it; times in paths differ from run to run.

    A line `...` stands for any lines, ` ...` at the end of a line for any rest of it.
    """
    moment, any_moment = r"\d{4}-\d\d-\d\d/[\d-]+", r"[\d-]+/[\d-]+"
    rows = [
        r"(?:.*\n)*?"
        if row == "..."
        else any_moment.join(map(re.escape, re.split(moment, row.removesuffix(" ..."))))
        + (r".*\n" if row.endswith(" ...") else "\n")
        for row in map(str.rstrip, placed(shown).splitlines())
    ]
    return re.fullmatch("".join(rows), "".join(f"{row.rstrip()}\n" for row in placed(printed).splitlines())) is not None


def is_message(shown: str) -> bool:
    """Whether an output shows what is wrong: a place, or a file of weights, and a sentence below it."""
    return re.search(r"^(?:command line|[\w./-]+:\d+:\d+|[\w./-]+\.ckpt)  .*\n  \S", shown, re.M) is not None


def fails(command: str, shown: str) -> bool:
    """Whether a command ends with 1: it shows a message, or models that differ."""
    differs = command.startswith("python -m modelzoo diff ") and "no difference" not in shown
    audited = command.startswith("python -m modelzoo audit ") and ".py:" in shown
    return differs or audited or is_message(shown)


def session(part: Part) -> str:
    """What differs in a Python session from what is shown; it may import the files of its folder."""
    example = doctest.DocTestParser().get_doctest(part.text, {}, part.place, str(part.document), part.line)
    report: list[str] = []
    before = set(sys.modules)
    sys.path.insert(0, str(pathlib.Path.cwd()))
    try:
        doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(example, out=report.append)
    finally:
        del sys.path[0]
        files = {each.stem for each in pathlib.Path.cwd().glob("*.py")}
        for name in (set(sys.modules) - before) & files:
            del sys.modules[name]
    return "".join(report)
