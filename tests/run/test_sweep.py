"""Sweeps: what each job leaves behind, what is done again, and the table at the end."""

import csv
import io
import json
import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import threading
import types
from collections import Counter

import pytest

from modelzoo import register
from modelzoo.catalog.registry import REGISTRIES
from modelzoo.config.config import Config, nowhere
from modelzoo.errors import ConfigError, Path, Problem
from modelzoo.run import results
from modelzoo.run.progress import Watch
from modelzoo.run.sweep import Record, Sweep, digest, name_of, objective
from modelzoo.terminal import text

RUN = pathlib.Path(__file__).parents[2] / "run.py"


def config(**options):
    return Config(model={"layers": ["ReLU"]}, locate=nowhere, options=options)


def sweep_in(folder):
    sweep = Sweep(folder)
    sweep.begin()
    return sweep


def work(directory):
    print("working")
    (directory / "result.txt").write_text("done")
    return {"parameters": 3}


def wrong(directory):
    raise ConfigError([Problem(what="It is wrong.", key=Path(("model",)), where="x.yaml:1:1", path="model")])


def killed(directory):
    os.kill(os.getpid(), signal.SIGKILL)


# -- one job ----------------------------------------------------------------------------------------------------------


def test_a_job_leaves_its_files_its_log_and_its_result_in_one_folder(tmp_path):
    record = sweep_in(tmp_path).perform(0, ("seed=1",), config(), "abc", work)
    assert (record.status, record.facts) == ("done", {"parameters": 3})
    assert {each.name for each in (tmp_path / "abc").iterdir()} == {"log.txt", "result.json", "result.txt"}
    assert (tmp_path / "abc" / "log.txt").read_text() == "working\n"


def test_a_folder_has_its_name_only_when_its_job_has_ended(tmp_path):
    seen = []

    def look(directory):
        seen.append((directory.name, (tmp_path / "abc").exists()))
        return {}

    sweep_in(tmp_path).perform(7, (), config(), "abc", look)
    assert seen == [("abc.7.partial", False)]


def test_what_killed_jobs_left_is_cleared_by_the_next_sweep(tmp_path):
    for name in ("0123456789ab.3.partial", "job2.2.partial", "notes.partial"):
        (tmp_path / name).mkdir()
    sweep_in(tmp_path)
    assert sorted(each.name for each in tmp_path.iterdir()) == [".jobs", "notes.partial"]


def test_what_the_system_refuses_a_job_is_said_in_words(tmp_path):
    def work(directory):
        raise PermissionError(13, "Permission denied", "/")

    record = sweep_in(tmp_path).perform(0, (), config(), "abc", work)
    assert (record.status, record.error) == ("failed", "/\n  It cannot be opened: Permission denied.")


def test_a_log_takes_every_letter(tmp_path):
    sweep_in(tmp_path).perform(0, (), config(), "abc", lambda directory: print("\udcff") or {})
    assert (tmp_path / "abc" / "log.txt").read_text() == "\\udcff\n"


def test_a_job_that_is_done_is_not_done_again(tmp_path):
    sweep_in(tmp_path).perform(0, (), config(), "abc", work)
    again = sweep_in(tmp_path).perform(0, (), config(), "abc", wrong)
    assert (again.status, again.facts) == ("reused", {"parameters": 3})


@pytest.mark.parametrize("text", ["[]", '{"status": "done"}', '{"status": "failed", "facts": {}}', "{", ""])
def test_a_job_whose_result_is_none_is_done_again(tmp_path, text):
    sweep_in(tmp_path).perform(0, (), config(), "abc", work)
    (tmp_path / "abc" / "result.json").write_text(text)
    assert sweep_in(tmp_path).perform(0, (), config(), "abc", work).status == "done"


def test_everything_is_done_again_on_request(tmp_path):
    sweep_in(tmp_path).perform(0, (), config(), "abc", work)
    again = sweep_in(tmp_path).perform(0, (), config(resume=False), "abc", lambda directory: {"parameters": 4})
    assert (again.status, again.facts) == ("done", {"parameters": 4})


def test_a_job_that_failed_is_done_again(tmp_path):
    first = sweep_in(tmp_path).perform(0, (), config(), "abc", wrong)
    assert (first.status, first.error) == ("failed", "x.yaml:1:1  model\n  It is wrong.")
    assert "It is wrong." in (tmp_path / "abc" / "error.txt").read_text()
    assert (tmp_path / "abc" / "traceback.txt").read_text().startswith("Traceback")
    assert sweep_in(tmp_path).perform(0, (), config(), "abc", work).status == "done"
    assert not (tmp_path / "abc" / "traceback.txt").exists()


def test_a_mistake_of_the_users_own_code_is_a_failed_job_too(tmp_path):
    record = sweep_in(tmp_path).perform(0, (), config(), "abc", lambda directory: 1 / 0)
    assert (record.status, record.error) == ("failed", "ZeroDivisionError: division by zero")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_job_that_is_killed_ends_alone_where_it_has_a_process_of_its_own(tmp_path):
    sweep = sweep_in(tmp_path)
    record = sweep.perform(0, (), config(), "abc", killed, apart=True)
    assert (record.status, record.error) == ("died", "its process was killed by SIGKILL.")
    assert not (tmp_path / "abc").exists()
    assert sweep.perform(1, (), config(), "def", work, apart=True).status == "done"


def test_a_job_whose_worker_was_killed_twice_is_given_up(tmp_path):
    sweep = sweep_in(tmp_path)
    sweep.write(Record(number=0, overrides=(), status="running", attempts=2))
    assert sweep.perform(0, (), config(), "abc", work).status == "died"


def test_after_a_failure_no_job_begins_if_that_is_wanted(tmp_path):
    sweep = sweep_in(tmp_path)
    sweep.perform(0, ("seed=0",), config(fail_fast=True), "abc", wrong)
    assert sweep.perform(1, ("seed=1",), config(fail_fast=True), "def", work).status == "not run"
    assert [each.status for each in sweep.records([("seed=0",), ("seed=1",)])] == ["failed", "not run"]


def test_a_wrong_option_is_explained(tmp_path):
    with pytest.raises(ConfigError) as caught:
        sweep_in(tmp_path).perform(0, (), config(resume="yes"), "abc", work)
    assert str(caught.value) == "resume\n  resume must be true or false, not 'yes'. Type resume=false."


# -- names ------------------------------------------------------------------------------------------------------------


def test_the_name_of_a_job_is_decided_by_all_that_decides_its_results_and_nothing_else(tmp_path):
    weights = tmp_path / "weights"
    weights.write_text("a")
    base = digest(config(seed=1, load=str(weights)), "1", 1)
    assert digest(config(seed=1, load=str(weights), problems=3, threads=2, fail_fast=True), "1", 1) == base
    others = [digest(config(seed=2, load=str(weights)), "1", 1), digest(config(seed=1, load=str(weights)), "2", 1)]
    others.append(digest(config(seed=1, load=str(weights)), "1", 2))
    weights.write_text("ab")
    others.append(digest(config(seed=1, load=str(weights)), "1", 1))
    others.append(digest(config(seed=1, load=str(weights)), "1", 1, "code"))
    assert len({base, *others}) == 6


def test_the_same_command_finds_the_same_directory():
    first = name_of(["-m", "model=mlp", "seed=1,2"])
    assert first == name_of(["--multirun", "seed=1,2", "model=mlp", "hydra/launcher=joblib", "resume=false"])
    assert first != name_of(["-m", "model=mlp", "seed=1,2,3"])


# -- the table --------------------------------------------------------------------------------------------------------

RECORDS = [
    Record(
        number=0,
        overrides=("model=mlp", "seed=1", "fill='normal(std=0.1)'"),
        status="done",
        folder="abc",
        facts={"parameters": 1234, "output_mean": 0.25, "output_std": float("nan")},
    ),
    Record(
        number=1,
        overrides=("model=mlp", "seed=2", "fill='normal(std=0.1)'"),
        status="failed",
        folder="def",
        error='x.yaml:1:1  model\n  It is <b>wrong</b>, and "quoted".\n  More.',
    ),
    Record(number=2, overrides=("model=mlp", "seed=10", "fill='normal(std=0.1)'")),
]


def test_the_table_shows_what_varies_how_each_job_ended_and_the_first_line_of_an_error():
    assert text(results.terminal_table(results.summary(RECORDS))).splitlines() == [
        "seed  status   parameters  output_mean  output_std  error",
        "1     done          1,234         0.25         nan",
        '2     failed                                        It is <b>wrong</b>, and "quoted".',
        "10    not run",
    ]


def test_the_csv_and_the_json_hold_every_row():
    found = results.summary(RECORDS)
    rows = list(csv.DictReader(io.StringIO(results.as_csv(found))))
    assert [row["seed"] for row in rows] == ["1", "2", "10"]
    assert rows[1]["error"] == RECORDS[1].error
    data = json.loads(results.as_json(found))
    assert data[0] == {
        "seed": "1",
        "status": "done",
        "parameters": 1234,
        "output_mean": 0.25,
        "output_std": None,
        "error": "",
        "folder": "abc",
    }
    assert found.counts() == "3 jobs, 1 done, 1 failed, 1 not run"


def test_the_page_escapes_what_it_shows_and_asks_nobody_for_anything():
    page = results.as_page(results.summary(RECORDS))
    assert "It is &lt;b&gt;wrong&lt;/b&gt;, and &#34;quoted&#34;." in page
    assert "http" not in page.replace('content="width', "")


def test_a_key_that_varies_has_a_plot_of_each_column_of_numbers():
    records = [
        Record(number=i, overrides=(f"width={w}", f"model={m}"), status="done", facts={"loss": i * 1.0, "same": 3})
        for i, (w, m) in enumerate([("8", "a"), ("16", "a"), ("64", "b")])
    ]
    width, model = results.plots(results.summary(records))
    assert (width.key, width.column, width.low, width.high) == ("width", "loss", "0", "2")
    assert [(round(x), round(y)) for x, y, _ in width.points] == [(0, 100), (14, 50), (100, 0)]
    assert [(round(x), name) for x, name in model.ticks] == [(25, "a"), (75, "b")]


# -- while it runs ----------------------------------------------------------------------------------------------------


def test_each_job_is_a_line_and_a_killed_one_is_told_at_the_end(tmp_path):
    out = io.StringIO()
    with Watch([("seed=1",), ("seed=2",), ("seed=3",)], out) as watch:
        watch.begin(Sweep(tmp_path))
        watch.sweep.perform(0, ("seed=1",), config(), "abc", work)
        watch.sweep.write(Record(number=1, overrides=("seed=2",), status="running"))
    lines = out.getvalue().splitlines()
    assert lines[0] == "1/3  seed=1  done in 0.00 s"
    assert lines[1] == "2/3  seed=2  died: its worker was killed."
    assert lines[3].split() == ["seed", "status", "parameters", "error"]
    assert lines[-5:-3] == ["3 jobs, 1 done, 1 died, 1 not run", "written:"]
    assert watch.failed


def test_a_command_that_begins_no_job_shows_no_table(tmp_path):
    out = io.StringIO()
    with Watch([], out) as watch:
        pass
    assert (out.getvalue(), watch.failed) == ("", False)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_shows_a_bar_and_only_bad_jobs(tmp_path):
    out = Terminal()
    with Watch([("seed=1",), ("seed=2",)], out) as watch:
        watch.begin(Sweep(tmp_path))
        watch.sweep.perform(0, ("seed=1",), config(), "abc", work)
        watch.sweep.perform(1, ("seed=2",), config(), "def", wrong)
    shown = out.getvalue()
    assert "2/2  seed=2  failed: x.yaml:1:1  model It is wrong." in shown
    assert "seed=1  done" not in shown
    assert "#] 2/2" in shown


def test_a_record_that_cannot_be_read_now_is_read_later(tmp_path, monkeypatch):
    read, refused = Sweep.numbers, threading.Event()

    def numbers(self):
        if threading.current_thread() is not threading.main_thread() and not refused.is_set():
            refused.set()
            raise OSError(24, "Too many open files")
        return read(self)

    monkeypatch.setattr(Sweep, "numbers", numbers)
    out = io.StringIO()
    with Watch([("seed=1",)], out) as watch:
        watch.begin(Sweep(tmp_path))
        refused.wait()
        watch.sweep.perform(0, ("seed=1",), config(), "abc", work)
    assert out.getvalue().startswith("1/1  seed=1  done in 0.00 s\n")


# -- as typed ---------------------------------------------------------------------------------------------------------


def run(*arguments, cwd, script=RUN):
    environment = {**os.environ, "PYTHONPATH": str(RUN.parent), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(script), "-m", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def table(folder):
    (found,) = folder.glob("multirun/*/summary.json")
    return json.loads(found.read_text())


def test_a_sweep_with_a_bad_point_ends_in_a_table_and_does_only_that_point_again(tmp_path):
    (tmp_path / "conf" / "model").mkdir(parents=True)
    model = tmp_path / "conf" / "model" / "own.yaml"
    model.write_text("args: {width: 4}\ninputs: {x: [2, 4]}\nlayers: ['Linear(4, width)', 'Linear(8, 2)']\n")
    (tmp_path / "conf" / "model" / "mlp.yaml").write_text("layers: ['Linear(4, 2)']\ninputs: {x: [2, 4]}\n")
    first = run("model=mlp,own", "init=xavier,normal", cwd=tmp_path)
    assert (first.returncode, first.stderr) == (1, "")
    assert [row["status"] for row in table(tmp_path)] == ["done", "done", "failed", "failed"]
    assert "write in_features=4" in first.stdout
    model.write_text(model.read_text().replace("width: 4", "width: 8"))
    second = run("model=mlp,own", "init=xavier,normal", cwd=tmp_path)
    assert second.returncode == 0, second.stderr
    assert [row["status"] for row in table(tmp_path)] == ["reused", "reused", "done", "done"]


def test_a_dry_run_of_a_sweep_plans_every_point(tmp_path):
    done = run("model=mlp", "model.args.width=64,100000000000", "device=meta", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    rows = table(tmp_path)
    assert [row["parameters"] for row in rows] == [20 * 64 + 64 + 64 * 10 + 10, 31 * 10**11 + 10]
    assert all(row["flops"] > 0 for row in rows)


def test_a_sweep_whose_first_line_is_read_alone_is_whole(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(RUN.parent), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, str(RUN), "-m", "model=regression", "seed=1,2,3", "device=meta"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 1
    assert [row["status"] for row in table(tmp_path)] == ["done"] * 3


SCALED = """
    import sys
    from torch import nn
    import modelzoo
    from modelzoo.cli import main

    @modelzoo.register.layer
    class Scaled(nn.Module):
        def forward(self, x):
            return x * FACTOR

    if __name__ == "__main__":
        sys.exit(main())
"""


def test_a_job_is_done_again_when_the_code_of_its_layers_is_another(tmp_path):
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "conf" / "model" / "own.yaml").write_text("inputs: {x: [2, 4]}\nlayers: [Scaled]\n")
    script, seen = tmp_path / "run.py", []
    for factor in ("2", "2", "3"):
        script.write_text(textwrap.dedent(SCALED).replace("FACTOR", factor))
        assert run("model=own", "seed=0", cwd=tmp_path, script=script).returncode == 0
        seen.append(statuses(next(tmp_path.glob("multirun/*")))[0])
    assert seen == [{"done": 1}, {"reused": 1}, {"done": 1}]


def test_the_code_of_everything_that_is_registered_counts(tmp_path, monkeypatch):
    found = [register.code()]
    for kind, written in {
        "fill": "def own(tensor, *, generator): return tensor.fill_(1)",
        "function": "def own(x): return x",
        "metric": "def own(model, inputs): return 1",
    }.items():
        for number in (1, 2):
            module = types.ModuleType(f"own_{kind}_{number}")
            file = tmp_path / f"{kind}{number}.py"
            file.write_text(f"{written}  # {number}\n")
            exec(compile(file.read_text(), str(file), "exec"), module.__dict__)
            monkeypatch.setitem(sys.modules, module.__name__, module)
            getattr(register, kind)(module.own)
            found.append(register.code())
            next(each for each in REGISTRIES if each.kind == kind).pop("own")
    assert len(set(found)) == len(found)


DEADLY = """
    import os, pathlib, signal, sys
    from torch import nn
    import modelzoo
    from modelzoo.cli import main

    @modelzoo.register.layer
    class Deadly(nn.Module):
        def __init__(self, width):
            super().__init__()
            if width == 13 and not pathlib.Path("killed").exists():
                pathlib.Path("killed").touch()
                os.kill(os.getpid(), signal.SIGKILL)

        def forward(self, x):
            return x

    if __name__ == "__main__":
        sys.exit(main())
"""


def statuses(folder):
    rows = json.loads((folder / "summary.json").read_text())
    return Counter(row["status"] for row in rows), rows


def test_three_bad_points_and_a_killed_worker_leave_the_others_alone_and_then_only_those_four_run(tmp_path):
    for group in ("model", "init"):
        (tmp_path / "conf" / group).mkdir(parents=True)
    text = "args: {width: 4}\ninputs: {x: [2, 4]}\nlayers: ['Linear(4, width)', Deadly(width), 'Linear(width, 2)']\n"
    (tmp_path / "conf" / "model" / "own.yaml").write_text(text)
    inits = [tmp_path / "conf" / "init" / f"i{number}.yaml" for number in range(2)]
    for number, path in enumerate(inits):
        path.write_text(f"all: {{param: weight, fill: {number}}}\n")
    inits[1].write_text("all: {param: weight, fill: normla}\n")
    script = tmp_path / "run.py"
    script.write_text(textwrap.dedent(DEADLY))
    command = ["model=own", "init=i0,i1", "model.args.width=11,12,13", "hydra/launcher=joblib"]
    first = run(*command, cwd=tmp_path, script=script)
    folder = next(tmp_path.glob("multirun/*"))
    counts, rows = statuses(folder)
    assert (first.returncode, counts) == (1, {"done": 2, "failed": 3, "died": 1}), first.stdout + first.stderr
    (died,) = [row for row in rows if row["status"] == "died"]
    assert (died["model.args.width"], died["error"]) == ("13", "its process was killed by SIGKILL.")
    assert {(row["init"], row["error"]) for row in rows if row["status"] == "failed"} == {
        ("i1", "conf/init/i1.yaml:1:22  init.all.fill\n  there is no fill 'normla'. Did you mean 'normal'?")
    }
    inits[1].write_text("all: {param: weight, fill: normal}\n")
    second = run(*command, cwd=tmp_path, script=script)
    counts, rows = statuses(folder)
    assert (second.returncode, counts) == (0, {"reused": 2, "done": 4}), second.stdout + second.stderr


def test_an_objective_is_a_number_of_the_job() -> None:
    facts = {"output_std": 2, "status": "done"}
    assert (objective(facts, "output_std"), objective(facts, None)) == (2.0, None)
    for name, told in (
        ("output_st", "this job has no number 'output_st'. Did you mean 'output_std'?"),
        ("status", "this job has no number 'status'. Known: output_std."),
    ):
        with pytest.raises(ConfigError) as caught:
            objective(facts, name)
        assert str(caught.value) == f"objective\n  {told}"


def test_every_launcher_gives_the_same_bits(tmp_path):
    (tmp_path / "conf" / "model").mkdir(parents=True)
    text = "args: {width: 4}\ninputs: {x: [2, 4]}\nlayers: ['Linear(4, width)', ReLU, Dropout, 'Linear(width, 2)']\n"
    (tmp_path / "conf" / "model" / "own.yaml").write_text(text)
    found = {}
    for launcher in ("basic", "joblib", "submitit_local"):
        done = run(
            "model=own",
            "model.args.width=4,5",
            "training=true",
            f"hydra/launcher={launcher}",
            f"hydra.sweep.dir={launcher}",
            cwd=tmp_path,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        _, rows = statuses(tmp_path / launcher)
        tensors = [(tmp_path / launcher / row["folder"] / "parameters.safetensors").read_bytes() for row in rows]
        found[launcher] = (tensors, [(row["output_mean"], row["output_std"]) for row in rows])
    assert found["basic"] == found["joblib"] == found["submitit_local"]
