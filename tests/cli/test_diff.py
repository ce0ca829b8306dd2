"""`python -m modelzoo diff`: what is typed, what is printed, and how it ends."""

from __future__ import annotations

import json
import pathlib
import subprocess

import pytest

from modelzoo.__main__ import main
from modelzoo.config.compose import compose
from modelzoo.run.job import run

SMALL = "inputs: {x: [2, 8]}\nlayers:\n  hidden: Linear(8, 16)\n  act: ReLU\n  out: Linear(16, 4)\n"
LARGE = SMALL.replace("act: ReLU", "act: ReLU\n  drop: Dropout(0.5)").replace("Linear(16, 4)", "Linear(16, 3)")
TOLD = """\
small.yaml -> large.yaml
+ drop  added: Dropout(p=0.5)
~ out   Linear: out_features 4 -> 3, weight [4, 16] -> [3, 16], bias [4] -> [3]
parameters 212 -> 195, tensors 848 bytes -> 780 bytes, FLOPs 768 -> 704, activations 288 bytes -> 408 bytes
weights: 2 of 4 tensors of an old checkpoint fit: load=FILE 'load.skip=[out.*]'
"""


@pytest.fixture
def folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    (tmp_path / "small.yaml").write_text(SMALL)
    (tmp_path / "large.yaml").write_text(LARGE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def diff(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    code = main(["diff", *words])
    seen = capsys.readouterr()
    return code, seen.out + seen.err


def test_the_difference_of_two_files_is_told(folder, capsys):
    assert diff(capsys, "small.yaml", "large.yaml") == (1, TOLD)


def test_a_model_and_itself_are_equal(folder, capsys):
    told = "small.yaml -> small.yaml\nno difference: 4 layers and blocks, 212 parameters\n"
    assert diff(capsys, "small.yaml", "small.yaml") == (0, told)


def test_an_override_belongs_to_the_model_before_it(folder, capsys):
    code, told = diff(capsys, "small.yaml", "seed=1", "small.yaml", "model.layers.act=GELU")
    assert code == 1
    assert told.splitlines()[:3] == [
        "small.yaml seed=1 -> small.yaml model.layers.act=GELU",
        "~ seed  1 -> 0: every drawn value is another",
        "~ act   replaced: ReLU() -> GELU()",
    ]
    assert diff(capsys, "small.yaml model.layers.act=GELU", "small.yaml model.layers.act=GELU")[0] == 0


def test_a_name_is_a_config_and_an_init_decides_its_fills(folder, capsys):
    code, told = diff(capsys, "mlp", "mlp", "init=xavier")
    assert code == 1
    assert told.splitlines()[1:] == [
        "~ hidden.weight, out.weight  fill: uniform (torch) -> xavier_uniform(gain=1) (init.weights)",
        "weights: all 4 tensors of an old checkpoint fit: load=FILE",
    ]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["small.yaml"],
            "command line  small.yaml\n  diff compares two models, not 1. As in: python -m modelzoo diff gpt2 gpt2 "
            "model.args.layers=6\n",
        ),
        (
            ["seed=1", "small.yaml"],
            "command line  seed=1\n  This changes no model. Type the model before it: python -m modelzoo diff NAME NAME "
            "seed=1\n",
        ),
        (["small.yaml", "mpl"], "command line  mpl\n  There is no config 'mpl'. Did you mean 'mlp'?\n"),
        (["small.yaml", "none.yaml"], "none.yaml\n  There is no such file.\n"),
        (
            ["small.yaml", "small.yaml", "model.layers.act=Gelu"],
            "command line  model.layers.act=Gelu\n  there is no layer 'Gelu'. Did you mean 'GELU'?\n",
        ),
        (
            ["small.yaml", "git:HEAD"],
            "command line  git:HEAD\n  A file of a revision is written git:REV:PATH. As in "
            "git:HEAD~1:conf/model/gpt2.yaml\n",
        ),
        (
            ["small.yaml", "empty"],
            "empty\n  There is no run in this directory. It has none of parameters.safetensors and model.yaml.\n",
        ),
    ],
)
def test_what_cannot_be_compared_is_answered_and_ends_with_2(folder, capsys, words, told):
    (folder / "empty").mkdir()
    assert diff(capsys, *words) == (2, told)


def test_json_and_markdown_say_the_same(folder, capsys):
    code, told = diff(capsys, "small.yaml", "large.yaml", "--format", "json")
    data = json.loads(told)
    assert (code, data["equal"], data["before"], data["after"]) == (1, False, "small.yaml", "large.yaml")
    assert [(each["kind"], each["names"]) for each in data["changes"]] == [("added", ["drop"]), ("arguments", ["out"])]
    assert data["costs"]["parameters"] == {"before": 212, "after": 195}
    assert data["weights"] == {"fit": 2, "of": 4, "line": "load=FILE 'load.skip=[out.*]'"}
    code, told = diff(capsys, "small.yaml", "large.yaml", "--format", "markdown")
    assert code == 1
    assert told == (
        "### `small.yaml` \N{RIGHTWARDS ARROW} `large.yaml`\n\n| | where | what |\n| --- | --- | --- |\n"
        "| + | `drop` | `added: Dropout(p=0.5)` |\n"
        "| ~ | `out` | `Linear: out_features 4 -> 3, weight [4, 16] -> [3, 16], bias [4] -> [3]` |\n\n"
        + "\n\n".join(f"`{each}`" for each in TOLD.splitlines()[-2:])
        + "\n"
    )


def test_what_a_config_says_is_no_markdown_and_no_markup(folder, capsys):
    for name, text in {"plain.yaml": "relu(x)", "odd.yaml": "relu(x) if kind != 'a`|b<i>' else x"}.items():
        (folder / name).write_text(f"args: {{kind: x}}\n{SMALL}".replace("ReLU", f'{{forward: "{text}"}}'))
    code, told = diff(capsys, "plain.yaml", "odd.yaml", "--format", "markdown", "--html", "page.html")
    assert code == 1
    assert "a`|b" not in told.partition("```diff")[0]
    page = (folder / "page.html").read_text()
    assert "<i>" not in page
    assert "+ return relu(x) if &#39;x&#39; != &#39;a`|b&lt;i&gt;&#39; else x" in page


def test_the_page_marks_what_changed_in_both_pictures(folder, capsys):
    assert diff(capsys, "small.yaml", "large.yaml", "--html", "page.html")[0] == 1
    before, after = (folder / "page.html").read_text().split("<section>")[1:]
    assert 'class="node module marked changed"><title>out' in before
    assert "marked added" not in before
    assert 'class="node module marked added"><title>drop' in after
    assert 'class="node module marked changed"><title>out' in after


def test_a_run_and_its_file_of_values_are_the_model_that_they_were_made_from(folder, capsys):
    (folder / "conf" / "model").mkdir(parents=True)
    (folder / "conf" / "model" / "own.yaml").write_text(SMALL)
    directory = folder / "out"
    directory.mkdir()
    run(compose(["model=own", "seed=3", "dtype=float64", "init=xavier"]), directory)
    capsys.readouterr()
    typed = ["own", "seed=3", "dtype=float64", "init=xavier"]
    assert diff(capsys, "out", *typed)[0] == 0
    assert diff(capsys, "out/parameters.safetensors", *typed)[0] == 0
    (directory / "parameters.safetensors").unlink()
    assert diff(capsys, "out", "small.yaml", "init=xavier")[0] == 0


def git(*words: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *who, *words], check=True, capture_output=True)


def test_a_file_of_an_old_revision_is_read_with_what_belongs_to_it(folder, capsys):
    models = folder / "conf" / "model"
    models.mkdir(parents=True)
    (models / "part.yaml").write_text(SMALL)
    (models / "whole.yaml").write_text(
        "defaults: [/model@blocks.Part: part, _self_]\ninputs: {x: [2, 8]}\nlayers: [Part(), 'Linear(4, 4)']\n"
    )
    git("init")
    git("add", ".")
    git("commit", "-m", "first")
    (models / "part.yaml").write_text(LARGE.replace("Linear(16, 3)", "Linear(16, 4)"))
    (folder / "small.yaml").write_text(SMALL.replace("layers:", "layrs:"))
    code, told = diff(capsys, "git:HEAD:conf/model/whole.yaml", "whole")
    assert (code, told.splitlines()[1]) == (1, "+ 0.drop  added: Dropout(p=0.5)")
    assert diff(capsys, "git:HEAD:small.yaml", "git:HEAD:./conf/model/part.yaml")[0] == 0
    git("add", ".")
    git("commit", "-m", "second")
    assert diff(capsys, "git:HEAD~1:small.yaml", "git:HEAD:small.yaml") == (
        2,
        "git:HEAD:small.yaml:1:1  model\n  this is neither a layer nor a block: it has no _target_, layers or forward. Did you mean 'layers'?\n",
    )
    assert diff(capsys, "git:nowhere:small.yaml", "whole") == (
        2,
        "command line  git:nowhere:small.yaml\n  Git knows no revision 'nowhere'. git log --oneline lists them.\n",
    )
    assert diff(capsys, "git:HEAD:none.yaml", "whole")[1] == (
        "command line  git:HEAD:none.yaml\n  There is no file 'none.yaml' in HEAD. Its path counts from the root of git.\n"
    )


def test_groups_that_changed_are_told_and_locked(folder, capsys):
    frozen = "+groups={n: {param: bias, weight_decay: 0}, f: {name: out.weight, trainable: false}}"
    code, said = diff(capsys, "mlp", "mlp", frozen)
    assert code == 1
    assert "group: rest -> n weight_decay=0" not in said  # the first has no groups at all
    assert "in no group -> n weight_decay=0" in said
    assert "frozen" in said
    assert main(["lock", "--plan", "mlp", frozen]) == 0
    (lock,) = folder.glob("*.lock")
    assert lock.read_text().count('"group": "n weight_decay=0"') == 2
    assert main(["lock", "--plan", "--check", str(lock)]) == 0
