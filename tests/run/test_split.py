"""The main job on two processes: it prints and writes what one process does, and says once what is wrong."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest
from safetensors.torch import load_file

from modelzoo.cli import main
from modelzoo.config import compose
from modelzoo.errors import ConfigError
from modelzoo.run.job import run

ROOT = pathlib.Path(__file__).resolve().parents[2]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", str(ROOT / "run.py")]


def started(folder: pathlib.Path, *typed: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    return subprocess.run([*TORCHRUN, *typed], cwd=folder, env=environment, capture_output=True, text=True, check=False)


def alone(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch, *typed: str) -> int:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["run.py", *typed])
    return main()


def test_two_processes_print_and_write_what_one_does_and_load_it_split_in_another_way(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    job = ["model=llama", "init=llama", "backward=true", "show=*norm*"]
    assert alone(tmp_path, monkeypatch, *job, "hydra.run.dir=one") == 0
    printed = capfd.readouterr().out.splitlines()
    two = started(tmp_path, *job, "parallel=llama", "export=[safetensors]", "hydra.run.dir=two")
    assert two.returncode == 0, two.stderr
    place = next(index for index, each in enumerate(printed) if each.startswith("output"))
    heads = [each for each in printed if "Split" in each or "Rotate" in each]
    rank = [
        "rank 0 of 2 (dp 1 x tp 2): 726.3 KB",
        "collectives: 4 all_reduce forward, 10 all_reduce backward",
    ]
    expected = [*printed[:place], *rank, *printed[place:]]
    written = expected.index("written:")
    expected[written + 1 :] = [
        f"  two/{each}" for each in ("checkpoint", "parameters.safetensors", "parameters.json", "model.yaml")
    ]
    shown = two.stdout.splitlines()
    assert [each for each in shown if "Split" not in each and "Rotate" not in each] == [
        each for each in expected if each not in heads
    ]
    one_file, two_file = (tmp_path / each / "parameters.safetensors" for each in ("one", "two"))
    assert one_file.read_bytes() == two_file.read_bytes()
    assert (tmp_path / "one/model.yaml").read_text() == (tmp_path / "two/model.yaml").read_text()

    again = started(
        tmp_path,
        "model=llama",
        "seed=7",
        "parallel=fsdp",
        "load=two/checkpoint",
        "export=[safetensors]",
        "hydra.run.dir=3",
    )
    assert again.returncode == 0, again.stderr
    assert alone(tmp_path, monkeypatch, "model=llama", "seed=7", "load=two/checkpoint", "hydra.run.dir=4") == 0
    values = load_file(one_file)
    for folder in ("3", "4"):
        found = load_file(tmp_path / folder / "parameters.safetensors")
        assert found.keys() == values.keys()
        assert all(found[name].equal(values[name]) for name in values)


def test_what_is_wrong_is_told_once(tmp_path: pathlib.Path) -> None:
    wrong = started(tmp_path, "model=mlp", "parallel=fsdp", "memory=1KB", "hydra.run.dir=x")
    assert wrong.returncode == 1
    assert wrong.stderr.count("each rank needs 15.9 KB and 1.0 KB are allowed.") == 1
    assert wrong.stdout == ""


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (
            ["parallel=fsdp"],
            "a model is split over the processes of a job, and this is one process alone. "
            "Start it with torchrun --nproc-per-node 2, or type device=meta world=2 to plan only.",
        ),
        (["world=2"], "world and rank are of a model that parallel= splits. Type parallel=fsdp too."),
        (
            ["parallel=fsdp", "device=meta", "world=2", "rank=2"],
            "of 2 ranks there is no rank 2. Type rank=0.",
        ),
        (
            ["parallel=fsdp", "device=meta", "world=2", "step=true", "groups=nanogpt", "export=[source]"],
            "step needs the whole model in one process. Type step=false, or parallel=null.",
        ),
        (
            ["parallel=fsdp", "device=meta", "world=3", "+parallel.mesh={dp: 2}"],
            "this mesh needs 2 ranks, and there are 3. Start others, or write -1.",
        ),
        (
            ["parallel=fsdp", "device=meta", "world=2", "+parallel.own={layer: Linaer, wrap: fully_shard}"],
            "this rule selects no module: there is no 'Linaer'. Did you mean 'Linear'?",
        ),
    ],
    ids=["one process", "no rules", "no such rank", "a step", "another mesh", "a misspelt layer"],
)
def test_what_cannot_be_split_is_told_before_there_is_a_process(
    typed: list[str], told: str, tmp_path: pathlib.Path
) -> None:
    with pytest.raises(ConfigError) as caught:
        run(compose.compose(["model=mlp", *typed]), tmp_path)
    assert any(f"{each.what} {each.hint}" == told for each in caught.value.problems), caught.value


def test_a_plan_of_a_rank_tells_what_it_holds_and_how_often_it_speaks(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    typed = ["model=mlp", "parallel=hsdp", "device=meta", "world=8", "rank=5", "init=orthogonal"]
    assert alone(tmp_path, monkeypatch, *typed, "hydra.run.dir=x") == 0
    assert capfd.readouterr().out.splitlines()[-9:] == [
        "name           shape      held      bytes",
        "hidden.weight  [256, 20]  [64, 20]  5,120",
        "hidden.bias    [256]      [64]        256",
        "out.weight     [10, 256]  [3, 256]  3,072",
        "out.bias       [10]       [3]          12",
        "",
        "rank 5 of 8 (replicate 2 x shard 4): 8.5 KB",
        "the largest tensor that is made whole: hidden.weight, 20.5 KB",
        "collectives: 1 all_gather forward, 1 reduce_scatter and 1 all_reduce backward",
    ]


def test_one_of_several_processes_does_not_do_all_of_the_job(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError) as caught:
        run(compose.compose(["model=mlp"]), tmp_path)
    assert caught.value.problems[0].what == "this is one of 2 processes, and each would do all of the job."
