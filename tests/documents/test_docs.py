"""Every YAML and every command of the README and the docs, carried out as it is written."""

from __future__ import annotations

import pathlib
import re

import pytest

from tests.helpers.documents import (
    INSTALLATION,
    LANGUAGES,
    ROOT,
    Part,
    agrees,
    build,
    commands,
    documents,
    executed,
    fails,
    folder_of,
    parts,
    placed,
    run,
    session,
    translations,
)

PARTS = [part for document in documents() for part in parts(document)]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def those(*languages: str) -> pytest.MarkDecorator:
    found = [part for part in PARTS if part.language in languages]
    return pytest.mark.parametrize("part", found, ids=lambda part: part.place)


@pytest.fixture
def folder(part: Part, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    folder_of(part, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)
    return tmp_path


def test_no_fence_is_left_out():
    assert len(PARTS) > 60
    for part in PARTS:
        assert part.language in (*LANGUAGES, "inline"), f"{part.place}: nothing carries out '{part.language}'"
    for document in documents():
        marks = re.findall(r"^\s*(?:```|~~~)", document.read_text(encoding="utf-8"), re.M)
        assert len(marks) == 2 * sum(each.document == document and each.language != "inline" for each in PARTS)


def test_a_message_is_shown_below_the_yaml_that_it_answers():
    for part in PARTS:
        if part.language == "text":
            assert part.before[-1].language == "yaml", part.place


def test_a_console_shows_commands_and_begins_with_one():
    for part in PARTS:
        if part.language == "console":
            assert part.text.startswith("$ "), part.place


@those("yaml")
def test_a_yaml_builds_or_is_answered_with_the_message_below_it(part, folder):
    following = [each for each in PARTS if each.before == (*part.before, part_of(part))]
    answer = following[0].text if following and following[0].language == "text" else ""
    assert placed(build(part)) == placed(answer)


def part_of(part: Part) -> Part:
    """A part as the ones after it know it."""
    return Part(document=part.document, line=part.line, language=part.language, text=part.text)


@those("console", "sh", "inline")
def test_a_command_prints_what_is_shown_and_fails_where_a_message_is_shown(part, folder):
    code = 0
    for command, shown in commands(part):
        code, printed = run(command, code)
        assert agrees(shown, printed), f"{part.place}: $ {command}\n{printed}"
        assert code == fails(command, shown), f"{part.place}: $ {command} ends with {code}"
        assert "Traceback" not in printed


@those("python")
def test_a_script_runs(part, folder, monkeypatch):
    if part.file is None:
        executed((*part.before, part))
    else:
        compile(part.text, part.file, "exec")


@those("pycon")
def test_a_session_prints_what_is_shown(part, folder):
    assert session(part) == ""


@pytest.mark.parametrize(
    "document", [*documents(), *translations()], ids=lambda document: str(document.relative_to(ROOT))
)
def test_links_within_the_project_lead_somewhere(document):
    text = re.sub(r"^```.*?^```$|`[^`\n]*`", "", document.read_text(encoding="utf-8"), flags=re.M | re.S)
    for path, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)#?([^)\s]*)\)", text):
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), path
        if anchor:
            headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.M)
            assert anchor in {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}, anchor


def test_what_is_not_carried_out_here_is_what_the_ci_begins_with():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert all(word in script for word in ("pip install", "-c constraints.txt -e '.[test]'", "\npytest"))
    assert all(command.startswith(("pytest", "pip install ")) for command in INSTALLATION)


@pytest.mark.parametrize(("group", "column"), [("model", "`model=`"), ("init", "`init=`")])
def test_the_tables_of_the_readme_name_every_model_and_every_init(group, column):
    tables = [each.split("\n\n", 1)[0] for each in README.split(f"| {column} |")[1:]]
    named = re.findall(r"^\| `(\w+)` \|", "\n".join(tables), re.M)
    assert sorted(named) == sorted(path.stem for path in (ROOT / "conf" / group).glob("*.yaml"))


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("a\nb\n", "a\nb\n", True),
        ("a\n...\nd\n", "a\nb\nc\nd\n", True),
        ("...\n", "", True),
        ("a\n", "a\nb\n", False),
        ("a\n...\n", "b\na\n", False),
        ("  outputs/2026-01-02/03-04-05-678/x\n", "  outputs/1999-01-01/00-00-00-0/x\n", True),
        ("", "a\n", False),
    ],
)
def test_the_comparison_can_fail(shown, printed, same):
    assert agrees(shown, printed) is same
