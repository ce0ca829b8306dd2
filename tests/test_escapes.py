"""What people and their programs read: no text of a config is obeyed by a terminal, a browser or a spreadsheet."""

from __future__ import annotations

import csv
import io
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from modelzoo import terminal
from modelzoo.cli import check, checked
from modelzoo.config.config import Config
from modelzoo.errors import Problem
from modelzoo.escapes import cell, printable
from modelzoo.export import report
from modelzoo.export.graph import mermaid, svg
from modelzoo.export.graph.graph import Cluster, Edge, Graph, Node
from modelzoo.modules.inputs import Input
from modelzoo.plans import draft as drafts
from modelzoo.plans import printing, table
from modelzoo.plans.draft import fill
from modelzoo.plans.inspection import summary
from modelzoo.plans.plan import Plan
from modelzoo.plans.records import ModuleRecord, TensorRecord
from modelzoo.plans.rows import rows
from modelzoo.register import layer
from modelzoo.run import account, results, sweep
from tests.helpers.browser import browser, chromium

NASTY = {
    "escape codes": "a\x1b]0;owned\x07b",
    "an escape code of one byte": "a\x9b31mb",
    "carriage return": "all is well\rowned",
    "backspace and delete": "a\b\x7fb",
    "nothing": "a\x00b",
    "line break": "a\nmodel: Linear",
    "line separators": "a\u2028b\u2029c\x85d",
    "overrides": "\u202eabc\u202c",
    "isolates": "\u2066abc\u2069",
    "invisible": "a\u200b\ufeff\u00adb",
    "half a character": "a\ud800b",
    "rich": "[red]a[/red] [link=https://example]b[/link] [/] :warning:",
    "script": "<script>document['title'] = 'owned'</script>",
    "attribute": "\"><img src=x onerror=\"document['title']='owned'\">",
    "end of an element": "</title></pre></svg></style></script><b>a</b>",
    "entity": "&lt;b&gt; &#60;",
    "template": "{{ 7 * 7 }}{% endblock %}",
    "formula": "=HYPERLINK(1)",
    "mermaid": '"] --> n0 %%{init: {}}%% `a` #quot;',
}


def plan(text: str) -> Plan:
    """A plan in which every text is this one."""
    problem = Problem(where=text, path=text, what=text, hint=text)
    facts = {"shape": (2, 2), "dtype": "float32", "kind": "parameter", "fill": text, "owner": text}
    return Plan(
        modules=(
            ModuleRecord(name="", type=text, output={text: (2, 2)}),
            ModuleRecord(name=text, aliases=(f"b{text}",), type=text, call=text),
        ),
        tensors=(TensorRecord(name=f"{text}.w", aliases=(f"b{text}.w",), rule=text, where=text, **facts),),
        inputs=(Input(name=text, shape=(2, 2), dtype="float32"),),
        warnings=(problem,),
        notes=(text,),
    )


def holder(text: str) -> nn.Module:
    module = nn.Module()
    module._parameters[text] = nn.Parameter(torch.zeros(1))
    module._buffers[f"b{text}"] = module._parameters[text]
    return module


def record(text: str, number: int = 0) -> sweep.Record:
    return sweep.Record(
        number=number,
        overrides=(f"{text}={text}{number}",),
        status="failed",
        error=f"{text}\n  {text}",
        facts={text: text, "loss": number * 1.0},
    )


def said(*lines: str) -> str:
    out = io.StringIO()
    for each in lines:
        terminal.say(each, out)
    return out.getvalue()


def shown(renderable: object) -> str:
    out = io.StringIO()
    terminal.show(renderable, out)
    return out.getvalue()


def warned(text: str) -> str:
    out, before = io.StringIO(), sys.stdout
    sys.stdout = out
    try:
        config = Config(model=None, locate=lambda *_: (text, text))
        account.warn([Problem(path=text, what="no", hint="yes")], config)
    finally:
        sys.stdout = before
    return out.getvalue()


OUTPUTS = {
    "the table of a plan": lambda text: shown(table.model_table(rows(plan(text)))),
    "a rich text": lambda text: shown(printable(text, lines=False)),
    "the place of a problem": lambda text: str(Problem(where=text, path=text, what="no")),
    "the place of a warning": warned,
    "the table of a sweep": lambda text: shown(results.terminal_table(results.summary([record(text), record("a", 1)]))),
    "the names of values": lambda text: said(*printing.value_lines(holder(text), "*")),
    "the keys of an output": lambda text: said(*printing.output_lines({text: torch.zeros(1), "n": [text]})),
}
"""Each of one line for each fact, whatever the text holds."""

PARAGRAPHS = {
    "a plan": lambda text: str(plan(text)),
    "a summary in a terminal": lambda text: shown(summary(plan(text))),
    "a problem": lambda text: str(Problem(where=text, path=text, what=text, hint=text)),
    "a line": said,
    "a check": lambda text: said(checked.Checked(config=text, parameters=1, bytes=4).line()),
}
"""Those in which a text may have line breaks of its own."""


@pytest.mark.parametrize("output", [*OUTPUTS, *PARAGRAPHS])
@pytest.mark.parametrize("name", NASTY)
def test_a_terminal_obeys_nothing_of_a_text(name: str, output: str) -> None:
    text = {**OUTPUTS, **PARAGRAPHS}[output](NASTY[name])
    assert text.replace("\n", "").isprintable()
    assert any(printable(NASTY[name], lines=False)[:20] in line for line in [text, text.replace("\n", "\\n")])
    if output in OUTPUTS:
        assert text.count("\n") == OUTPUTS[output]("harmless").count("\n")


def test_what_is_printed_is_printed_by_the_terminal_s_own_function() -> None:
    """Tells of a `print` that would write what it is given."""
    import ast

    import modelzoo

    for path in Path(modelzoo.__file__).parent.rglob("*.py"):
        calls = [each for each in ast.walk(ast.parse(path.read_text())) if isinstance(each, ast.Call)]
        names = {ast.unparse(each.func) for each in calls}
        raw = {each for each in names if each in ("print", "sys.stdout.write", "sys.stderr.write")}
        assert not raw | {each for each in names if each.startswith("traceback.print_")}, path.name


def test_a_run_shows_a_stranger_s_escape_codes(tmp_path: Path) -> None:
    (tmp_path / "model.yaml").write_text(
        'model:\n  inputs: {x: [2, 4]}\n  layers: ["Linear(4, 4)"]\n'
        'init:\n  r: {layer: "Lin\\e]0;owned\\aear", fill: 0}\n'
    )
    done = subprocess.run(
        [sys.executable, "-m", "modelzoo", "run", "model.yaml"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert r"Lin\x1b]0;owned\x07ear" in done.stdout + done.stderr
    assert "\x1b" not in done.stdout + done.stderr


# -- files for other programs -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NASTY)
def test_the_json_and_the_csv_of_a_sweep_can_be_read_by_others(name: str) -> None:
    text = NASTY[name]
    found = results.summary([record(text), record("a", 1)])
    assert json.loads(results.as_json(found))[0][text] == text
    written = results.as_csv(found)
    written.encode()
    titles, first, _ = csv.reader(io.StringIO(written, newline=""))
    assert any(printable(text) in each for each in titles)
    assert not any(each.startswith(("=", "+", "-", "@", "\t", "\r")) for each in (*titles, *first))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("=1+1", "'=1+1"),
        ("+model.args.x", "'+model.args.x"),
        ("-1+1", "'-1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", r"\t=1"),
        ("\r=1", r"\r=1"),
        ("\n=1", "'\n=1"),
        (" =1", "' =1"),
        ("\uff1d1", "'\uff1d1"),
        ("-0.5", "-0.5"),
        ("+3", "+3"),
        ("-1e-3", "-1e-3"),
        ("-.5", "-.5"),
        ("-", "'-"),
        ("1-2", "1-2"),
        (-0.5, -0.5),
        ("", ""),
    ],
)
def test_a_spreadsheet_computes_no_cell_and_numbers_stay_numbers(value: object, expected: object) -> None:
    assert cell(value) == expected


@pytest.mark.parametrize("name", NASTY)
def test_mermaid_reads_every_label_as_a_text(name: str) -> None:
    text = NASTY[name]
    nodes = (Node(name="a", kind="module", label=text, detail=text, note=text), Node(name="b", kind="loop", label=text))
    edges = (Edge(source="a", target="b", label=text),)
    lines = mermaid.text(Graph(nodes=nodes, edges=edges, clusters=(Cluster(name="c", kind="block", label=text),)))
    assert lines.replace("\n", "").isprintable()
    assert len(lines.splitlines()) == 6
    for line in lines.splitlines()[1:-2]:
        label = line.partition('"')[2].rpartition('"')[0].replace("<br>", "")
        assert not set('"<`') & set(label), label
        assert "%%" not in label
    assert json.loads(check.json_text({text: text})) == {text: text}


# -- pages ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def page():
    with browser() as opened:
        yield opened


@layer
class Hostile(nn.Module):
    """A layer whose tensors have such names."""

    def __init__(self) -> None:
        super().__init__()
        for each in NASTY.values():
            self._parameters[each] = nn.Parameter(torch.zeros(2))
            self._modules[f"m{each}"] = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def report_of(folder: Path) -> Path:
    model = {
        "inputs": {"x": [2, 2]},
        "args": {"t": [each for each in NASTY.values() if each[0] != "="]},
        "layers": {"h": "Hostile"},
    }
    options = {each: each for each in NASTY.values()}
    draft = drafts.draft(model)
    given = Config(model=model, options=options, locate=lambda key, line, column: ("command line", str(key)))
    return report.export(draft, fill(draft, "cpu"), given, folder)


def sweep_of(folder: Path) -> Path:
    results.write(results.summary([record(each, number) for number, each in enumerate(NASTY.values())]), folder)
    return folder / "summary.html"


def picture_of(folder: Path) -> Path:
    nodes = [
        Node(name=f"{kind}{text}", kind=kind, label=text, detail=text, note=text, parent="c")
        for text in NASTY.values()
        for kind in ("module", "loop")
    ]
    edges = [Edge(source=one.name, target=two.name, label=one.label) for one, two in itertools.pairwise(nodes)]
    edges.append(Edge(source=nodes[0].name, target=nodes[0].name, label=nodes[0].label))
    clusters = (Cluster(name="c", kind="block", label=NASTY["attribute"]),)
    path = folder / "picture.svg"
    path.write_text(svg.svg(Graph(nodes=tuple(nodes), edges=tuple(edges), clusters=clusters)), "utf-8")
    return path


@pytest.mark.skipif(chromium() is None, reason="there is no chromium: apt-get install -y chromium")
@pytest.mark.parametrize("made", [report_of, sweep_of, picture_of])
def test_a_browser_shows_every_text_and_obeys_none(page, tmp_path: Path, made) -> None:
    path = made(tmp_path)
    page.requests.clear()
    page.complaints.clear()
    page.open(path)
    assert page.requests == [path.as_uri()]
    assert page.complaints == []
    assert "owned" not in page.run("document.title")
    assert page.run('document.querySelectorAll("img, b:not(.facts b, figcaption b), parsererror").length') == 0
    seen = page.run("document.documentElement.textContent")
    for each in NASTY.values():
        assert printable(each).split("\n")[0] in seen
    assert printable(seen) == seen


def test_a_page_shows_no_text_that_turns_others_around(tmp_path: Path) -> None:
    for made in (report_of, sweep_of, picture_of):
        page = made(tmp_path).read_text("utf-8")
        assert printable(page) == page
        assert page.count("<script") == page.count("</script>") <= 1
