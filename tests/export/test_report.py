"""The pages: what stands on them, and that a browser opens them without a complaint or a request."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

import modelzoo
from modelzoo.config.config import Config
from modelzoo.export import report
from modelzoo.export.graph import mermaid
from modelzoo.export.graph.dataflow import graph
from modelzoo.plans import draft as drafts
from modelzoo.plans.draft import fill
from modelzoo.run import results, sweep
from tests.helpers.browser import browser, chromium
from tests.helpers.composing import compose

torch.set_num_threads(1)
needs_chromium = pytest.mark.skipif(chromium() is None, reason="there is no chromium: apt-get install -y chromium")

TALE = {
    "inputs": {"x": [2, 4]},
    "layers": {
        "first": "Linear(4, 8)",
        "act": "ReLU",
        "again": {"_ref_": "first"},
        "last": {"layers": ["Linear(8, 8)"]},
    },
    "buffers": {"k": {"shape": [8], "fill": 3}},
    "forward": "return last(act(first(x)) * k)",
}


def located(key, line=0, column=0):
    """Where a made-up config stands: the layers in a file, one key on the command line."""
    if key[-1] == "seed":
        return "command line", "seed=7"
    return f"conf/model/tale.yaml:{len(key)}:1", str(key)


def write(folder: Path, model, init=None, **options) -> Path:
    given = Config(model=model, init=init, options=options, locate=located)
    draft = drafts.draft(model, init, seed=options.get("seed", 0))
    return report.export(draft, fill(draft, "cpu"), given, folder)


def cells(page: str, table: str) -> list[list[str]]:
    """The text of the body of a table, row by row."""
    body = page.split(f'<table id="{table}">')[1].split("<tbody>")[1].split("</tbody>")[0].replace("<wbr>", "")
    rows = re.findall(r"<tr.*?</tr>", body, re.DOTALL)
    return [
        [re.sub(r"<[^>]+>", " ", each).split() for each in re.findall(r"<td.*?</td>", row, re.DOTALL)] for row in rows
    ]


def test_the_page_of_a_shared_layer_says_everything_about_it(tmp_path):
    rules = {"weights": {"layer": "Linear", "param": "weight", "fill": "normal(std=0.5)"}}
    page = write(tmp_path, TALE, rules, seed=7).read_text()
    tree = {row[0][0]: row for row in cells(page, "tree")}
    assert tree["model"][3] == ["112"]
    assert tree["first"][1:4] == [["Linear"], ["[2,", "8]"], ["40"]]
    assert tree["again"][7] == ["=", "first"]
    assert tree["k"][7] == ["constant"]
    ledger = {row[0][0]: row for row in cells(page, "ledger")}
    assert ledger.keys() == {"first.weight", "first.bias", "last.0.weight", "last.0.bias", "k"}
    assert ledger["first.weight"][0] == ["first.weight", "=", "again.weight"]
    assert ledger["first.weight"][3:5] == [
        ["normal(mean=0.0,", "std=0.5)"],
        ["init.weights", "conf/model/tale.yaml:2:1"],
    ]
    assert ledger["k"][5:9] == [["3"], ["0"], ["3"], ["3"]]
    config = [
        [" ".join(cell) for cell in row] for row in cells(page.replace("<tbody>", "<thead></thead><tbody>"), "config")
    ]
    assert ["model:", "conf/model/tale.yaml:1:1"] in config
    assert ["first: Linear(4, 8)", "conf/model/tale.yaml:3:1"] in config
    assert ["seed: 7", "seed=7"] in config
    assert "class Model" in re.sub(r"<[^>]+>", "", page.split('id="code">')[1])


def test_everything_on_the_page_is_escaped(tmp_path):
    model = {
        "inputs": {"x": [2, 4]},
        "layers": {"a": "Linear(4, 4)"},
        "forward": "return a(x) < 1 if x.ndim < 3 else a(x)",
    }
    page = write(tmp_path, model, note="<script>alert(1)</script>").read_text()
    assert page.count("<script>") == page.count("</script>") == 1
    assert "&lt;script&gt;" in page


def test_a_page_on_meta_shows_no_values(tmp_path):
    draft = drafts.draft(TALE, device="meta")
    page = report.written(draft, draft.skeleton.root, Config(model=TALE, locate=located))
    assert cells(page, "ledger")[0][5:] == [[], [], [], [], []]


@pytest.mark.parametrize(
    ("values", "heights"),
    [
        (torch.arange(64.0), [22] * 32),
        (torch.cat([torch.zeros(3), torch.ones(1)]), [22] + [0] * 30 + [7]),
        (torch.full((5,), 2.0), [0] * 16 + [22] + [0] * 15),
        (torch.tensor([1.0, float("nan")]), [0] * 16 + [22] + [0] * 15),
        (torch.tensor([True, False]), [22] + [0] * 30 + [22]),
    ],
)
def test_a_histogram_is_as_high_as_its_counts(values, heights):
    found, top = [], 22
    for step, number in re.findall(r"([hV])(\d+)", report.histogram(values)):
        if step == "V":
            top = int(number)
        else:
            found += [22 - top] * (int(number) // 3)
    assert found == heights


def test_a_histogram_of_nothing_is_empty():
    assert report.histogram(torch.empty(0)) == report.histogram(torch.tensor([float("inf")])) == ""


def test_a_large_tensor_is_sampled():
    values = torch.zeros(report.SAMPLE * 3)
    values[1::3] = 1.0  # every third value, which an even sample of every third never meets
    assert report.histogram(values) == report.histogram(torch.zeros(4))


def test_gpt2_fits_into_a_megabyte(tmp_path):
    model, init = compose("model=gpt2", "init=gpt2", "model.args.vocab=1000", "model.args.dim=96")
    assert len(modelzoo.plan(model).tensors) == 148  # as many as the full width has
    assert 100_000 < write(tmp_path, model, init).stat().st_size < 500_000


def test_the_exports_write_both_files(tmp_path):
    draft = drafts.draft(TALE)
    given = Config(model=TALE, locate=located)
    assert mermaid.export(draft, draft.skeleton.root, given, tmp_path).read_text() == mermaid.text(graph(TALE))
    assert report.export(draft, fill(draft, "cpu"), given, tmp_path) == tmp_path / "report.html"


# -- in a browser -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def page():
    with browser() as opened:
        yield opened


def shown(page, table: str = "tree") -> list[str]:
    """The names of the rows that one sees."""
    attribute = "row.dataset.name" if table == "tree" else 'row.id.replace("t-", "")'
    rows = f'[...document.querySelectorAll("#{table} tbody tr")].filter(row => row.checkVisibility())'
    return page.run(f"{rows}.map(row => {attribute})")


def press(page, selector: str) -> None:
    page.run(f"document.querySelector({selector!r}).click()")


def search(page, words: str) -> None:
    page.run(
        f'const s{page.number} = document.getElementById("search"); s{page.number}.value = {words!r}; '
        f's{page.number}.dispatchEvent(new Event("input"))'
    )


@needs_chromium
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_report_opens_without_a_request_or_a_complaint(page, tmp_path, dark):
    path = write(tmp_path, *compose("model=fixed_hidden", "init=xavier"))
    page.requests.clear()
    page.complaints.clear()
    page.open(path, dark=dark)
    assert page.requests == [path.as_uri()]
    assert page.complaints == []
    colour = page.run("getComputedStyle(document.body).backgroundColor")
    assert colour == ("rgb(20, 23, 27)" if dark else "rgb(255, 255, 255)")
    assert page.run('document.querySelector("svg.flow").getBoundingClientRect().height') > 300
    assert page.run("document.documentElement.scrollWidth <= innerWidth")


@needs_chromium
def test_the_tree_folds_and_unfolds(page, tmp_path):
    page.open(write(tmp_path, TALE))
    everything = [
        "",
        "k",
        "first",
        "first.weight",
        "first.bias",
        "act",
        "again",
        "last",
        "last.0",
        "last.0.weight",
        "last.0.bias",
    ]
    assert shown(page) == everything  # the second place of a shared layer is folded
    press(page, 'tr[data-name="last"] button')
    assert shown(page) == everything[:-3]
    press(page, 'tr[data-name=""] button')
    assert shown(page) == [""]
    press(page, 'tr[data-name=""] button')
    assert shown(page) == everything[:-3]
    press(page, "#unfold")
    assert shown(page) == [*everything[:7], "again.weight", "again.bias", *everything[7:]]
    press(page, "#fold")
    assert shown(page) == ["", "k", "first", "act", "again", "last"]


@needs_chromium
def test_the_search_shows_what_fits_with_what_it_lies_in(page, tmp_path):
    page.open(write(tmp_path, TALE))
    press(page, "#fold")
    search(page, "last weight")
    assert shown(page) == ["", "last", "last.0", "last.0.weight"]
    assert shown(page, "ledger") == ["last.0.weight"]
    assert page.run('document.getElementById("count").textContent') == "1 found"
    search(page, "CONSTANT")
    assert shown(page) == ["", "k"]
    search(page, "nothing of that kind")
    assert shown(page) == shown(page, "ledger") == []
    search(page, "")
    assert shown(page) == ["", "k", "first", "act", "again", "last"]


@needs_chromium
def test_the_ledger_sorts_by_its_titles(page, tmp_path):
    page.open(write(tmp_path, TALE))
    names = ["first.weight", "first.bias", "last.0.weight", "last.0.bias", "k"]
    assert shown(page, "ledger") == names
    press(page, "#ledger th:nth-child(1) button")
    assert shown(page, "ledger") == sorted(names)
    press(page, "#ledger th:nth-child(9) button")
    press(page, "#ledger th:nth-child(9) button")
    assert shown(page, "ledger")[0] == "k"  # the greatest maximum
    assert page.run('document.querySelector("#ledger th:nth-child(9)").ariaSort') == "descending"


@needs_chromium
def test_the_table_of_a_sweep_sorts_and_opens_without_a_request_or_a_complaint(page, tmp_path):
    records = [
        sweep.Record(
            number=index, overrides=(f"width={width}",), status="done", facts={"loss": loss}, folder=str(index)
        )
        for index, (width, loss) in enumerate([(4, 0.25), (16, 0.5), (8, 0.125)])
    ]
    results.write(results.summary(records), tmp_path)
    page.requests.clear()
    page.complaints.clear()
    page.open(tmp_path / "summary.html")
    column = '[...document.querySelectorAll("#jobs tbody tr")].map(row => row.cells[0].textContent)'
    assert page.run(column) == ["4", "16", "8"]
    press(page, "#jobs th:nth-child(1) button")
    assert page.run(column) == ["4", "8", "16"]
    press(page, "#jobs th:nth-child(3) button")
    press(page, "#jobs th:nth-child(3) button")
    assert page.run(column) == ["16", "4", "8"]
    assert page.requests == [(tmp_path / "summary.html").as_uri()]
    assert page.complaints == []
