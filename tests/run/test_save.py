"""What is written is whole, true and readable; what is read back fits exactly or says everything that does not."""

from __future__ import annotations

import json
import math
import os
import pathlib
import signal
import stat
import subprocess
import sys
import textwrap
from typing import Any

import pytest
import safetensors
import safetensors.torch
import torch
from torch import nn

import modelzoo
from modelzoo import bounds, files
from modelzoo.config.config import Config, nowhere
from modelzoo.errors import ConfigError
from modelzoo.files import write_atomically
from modelzoo.plans.rows import rows
from modelzoo.run import job
from modelzoo.run.load import load_parameters
from modelzoo.run.save import write_parameters
from tests.helpers.planned import plan_of


class Tied(nn.Module):
    """An embedding tied to the head, a layer in two places, a constant, and a mask that is not kept."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.Linear(4, 4)
        self.register_buffer("scale", torch.full((4,), 2.0))
        self.register_buffer("mask", torch.ones(4, dtype=torch.bool), persistent=False)
        self.embed = nn.Embedding(10, 4)
        self.first = layer
        self.second = layer
        self.head = nn.Linear(4, 10, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.second(self.first(self.embed(x) * self.scale)))  # type: ignore[no-any-return]


def equal(one: nn.Module, two: nn.Module) -> bool:
    left, right = one.state_dict(), two.state_dict()
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def problem_of(model: nn.Module, path: pathlib.Path) -> str:
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ConfigError) as error:
        load_parameters(model, path)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    return str(error.value).replace(f"{path.parent}/", "")


# Writing a file


def test_a_file_is_created_and_replaced(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "x.txt"
    for text in ("one", "two"):
        write_atomically(path, lambda file, text=text: file.write_text(text))  # type: ignore[misc]
        assert path.read_text() == text
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("old", ["old", None])
def test_a_failing_writer_leaves_the_old_file_and_nothing_else(
    tmp_path: pathlib.Path, error: type[BaseException], old: str | None
) -> None:
    path = tmp_path / "x.txt"
    if old:
        path.write_text(old)

    def write(file: pathlib.Path) -> None:
        file.write_text("half")
        raise error

    with pytest.raises(error):
        write_atomically(path, write)
    assert {each.name: each.read_text() for each in tmp_path.iterdir()} == ({"x.txt": "old"} if old else {})


def test_the_new_file_is_on_disk_before_it_takes_the_name(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.txt"
    path.write_text("old")
    done: list[tuple[str, str]] = []
    fsync, replace = os.fsync, pathlib.Path.replace

    def watched_fsync(number: int) -> None:
        done.append((f"fsync {os.fstat(number).st_size} bytes", path.read_text()))
        fsync(number)

    def watched_replace(self: pathlib.Path, target: Any) -> Any:
        done.append(("rename", path.read_text()))
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(pathlib.Path, "replace", watched_replace)
    write_atomically(path, lambda file: file.write_text("new one"))
    assert done == [("fsync 7 bytes", "old"), ("rename", "old")]
    assert path.read_text() == "new one"


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o000])
def test_files_are_readable_as_the_umask_allows(tmp_path: pathlib.Path, mask: int) -> None:
    model = nn.Linear(2, 2)
    before = os.umask(mask)
    try:
        paths = write_parameters(tmp_path, plan_of(model), model)
    finally:
        assert os.umask(before) == mask
    assert [stat.S_IMODE(path.stat().st_mode) for path in paths] == [0o644 & ~mask] * 2


@pytest.mark.parametrize("kind", ["a directory", "a symbolic link", "a named pipe"])
def test_what_is_no_regular_file_is_not_replaced(tmp_path: pathlib.Path, kind: str) -> None:
    path, elsewhere = tmp_path / "parameters.json", tmp_path / "elsewhere"
    elsewhere.write_text("mine")
    make = {"a directory": path.mkdir, "a symbolic link": lambda: path.symlink_to(elsewhere)}
    make.get(kind, lambda: os.mkfifo(path))()
    with pytest.raises(ConfigError) as error:
        write_atomically(path, lambda file: file.write_text("ours"))
    assert str(error.value) == (
        f"{path}\n  This is {kind} and is not replaced. Remove it, or choose another directory: hydra.run.dir=DIR"
    )
    assert elsewhere.read_text() == "mine"


def test_a_directory_that_is_not_there_is_an_error_of_ours(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be written: .*No such file or directory"):
        write_atomically(tmp_path / "no" / "x.txt", lambda file: file.write_text(""))


@pytest.mark.skipif(not pathlib.Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_leaves_the_old_file(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("old")

    def write(file: pathlib.Path) -> None:
        file.write_text("ha")
        pathlib.Path("/dev/full").write_text("lf")

    with pytest.raises(ConfigError, match="No space left on device"):
        write_atomically(path, write)
    assert {each.name: each.read_text() for each in tmp_path.iterdir()} == {"x.txt": "old"}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=["kill", "ctrl-c"])
def test_a_killed_run_leaves_the_old_file(tmp_path: pathlib.Path, number: signal.Signals) -> None:
    path = tmp_path / "x.txt"
    path.write_text("old")
    script = """
        import os, pathlib, signal, sys
        from modelzoo.files import write_atomically

        def write(file):
            file.write_text("half")
            os.kill(os.getpid(), int(sys.argv[2]))

        signal.signal(signal.SIGINT, signal.default_int_handler)
        write_atomically(pathlib.Path(sys.argv[1]), write)
    """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), path, str(int(number))],
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(pathlib.Path(__file__).parents[2])},
        check=False,
    )
    assert ended.returncode != 0
    assert path.read_text() == "old"
    if number == signal.SIGINT:
        assert list(tmp_path.iterdir()) == [path]


def test_what_a_library_leaves_beside_the_file_it_writes_is_removed(tmp_path: pathlib.Path) -> None:
    def write(file: pathlib.Path) -> None:
        file.with_suffix(".part").write_text("left")
        file.write_text("whole")

    write_atomically(tmp_path / "note.txt", write)
    assert [each.name for each in tmp_path.iterdir()] == ["note.txt"]


def test_what_a_killed_writer_left_is_cleared_by_the_next_run(tmp_path: pathlib.Path) -> None:
    script = """
        import os, pathlib, signal, sys
        from modelzoo.files import write_atomically
        write_atomically(pathlib.Path(sys.argv[1]), lambda file: os.kill(os.getpid(), signal.SIGKILL))
    """
    environment = {**os.environ, "PYTHONPATH": str(pathlib.Path(__file__).parents[2])}
    command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path / "x.txt")]
    subprocess.run(command, env=environment, check=False)
    (left,) = tmp_path.iterdir()
    begin, number, end = left.name.rpartition("-")[0].rpartition("-")[0], str(os.getpid()), left.name[-8:]
    others = [f"{begin}-{number}-{end}", f".writing-elsewhere-1-{end}", ".writing-notes", f"{begin}-x-{end}"]
    for name in others:
        (tmp_path / name).mkdir()
    files.clear(tmp_path)
    assert {each.name for each in tmp_path.iterdir()} == set(others)


def test_a_text_that_is_no_unicode_is_a_problem_and_no_file(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ConfigError, match=r"This file cannot be written: 'utf-8' codec can't encode"):
        files.write_text(tmp_path / "x.txt", "\udcff")
    assert list(tmp_path.iterdir()) == []


KILLED = """
import json, os, pathlib, random, signal, sys, time
import torch
torch.set_num_threads(1)
from safetensors.torch import load_file
from modelzoo.run import save
from tests.helpers.planned import plan_of

folder, chance = pathlib.Path(sys.argv[1]), random.Random(0)
models = [torch.nn.Linear(100, 100) for _ in range(2)]
for value, model in enumerate(models):
    for parameter in model.parameters():
        torch.nn.init.constant_(parameter, value)
plans = [plan_of(model) for model in models]
start = time.monotonic()
for plan, model in zip(plans, models):
    save.write_parameters(folder, plan, model)
longest = 2 * (time.monotonic() - start)
seen = set()
for _ in range(50):
    child = os.fork()
    if child == 0:
        while True:
            for plan, model in zip(plans, models):
                save.write_parameters(folder, plan, model)
    time.sleep(chance.uniform(0, longest))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    values = {value for tensor in load_file(folder / save.TENSORS).values() for value in tensor.unique().tolist()}
    means = {each["mean"] for each in json.loads((folder / save.FACTS).read_text())["tensors"]}
    assert len(values) == len(means) == 1, (values, means)
    seen |= values
print(sorted(seen))
"""


def test_a_dump_killed_at_fifty_random_moments_is_whole(tmp_path: pathlib.Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, tmp_path],
        env={**os.environ, "PYTHONPATH": str(pathlib.Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == "[0.0, 1.0]\n"  # both were written at some time


@pytest.mark.skipif(not pathlib.Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_device_is_not_replaced() -> None:
    """Such as /dev/full; a file renamed onto it would take its place."""
    with pytest.raises(ConfigError, match=r"This is no regular file and is not replaced"):
        write_atomically(pathlib.Path("/dev/full"), lambda file: file.write_text("ours"))


def test_a_link_to_a_directory_outside_is_no_way_out(tmp_path: pathlib.Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    run = tmp_path / "run"
    run.mkdir()
    (run / "parameters.json").symlink_to(outside / "new.json")  # leads to nothing yet
    with pytest.raises(ConfigError, match=r"This is a symbolic link and is not replaced"):
        write_atomically(run / "parameters.json", lambda file: file.write_text("ours"))
    assert list(outside.iterdir()) == []


# The dump


def test_every_tensor_of_the_state_dict_is_stored_once_under_its_first_name(tmp_path: pathlib.Path) -> None:
    model = Tied()
    path, _ = write_parameters(tmp_path, plan_of(model, seed=2**63, scheme=1), model)
    stored = safetensors.torch.load_file(path)
    assert sorted(stored) == ["embed.weight", "first.bias", "first.weight", "scale"]
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in stored.items())
    with safetensors.safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    assert metadata.keys() == {"modelzoo"}
    assert json.loads(metadata["modelzoo"]) == {
        "aliases": {
            "embed.weight": ["head.weight"],
            "first.weight": ["second.weight"],
            "first.bias": ["second.bias"],
        },
        "scheme": 1,
        "seed": 2**63,
    }


def test_the_facts_of_a_small_model_are_these(tmp_path: pathlib.Path) -> None:
    model = nn.Sequential(nn.Linear(2, 1))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, 3.0]]))
        model[0].bias.fill_(math.inf)
    _, path = write_parameters(tmp_path, plan_of(model), model)
    assert path.read_text() == textwrap.dedent("""\
        {
          "seed": 0,
          "scheme": 1,
          "parameters": 3,
          "trainable": 3,
          "buffers": 0,
          "bytes": 12,
          "tensors": [
            {"name": "0.weight", "aliases": [], "shape": [1, 2], "dtype": "float32", "kind": "parameter", "persistent": true, "trainable": true, "fill": "default", "rule": "torch", "matched": ["torch"], "erased": [], "stream": "1:0:0.weight", "where": "", "mean": 2.0, "std": 1.4142135623730951, "min": 1.0, "max": 3.0, "finite": true},
            {"name": "0.bias", "aliases": [], "shape": [1], "dtype": "float32", "kind": "parameter", "persistent": true, "trainable": true, "fill": "default", "rule": "torch", "matched": ["torch"], "erased": [], "stream": "1:0:0.bias", "where": "", "mean": null, "std": null, "min": null, "max": null, "finite": false}
          ]
        }
        """)


def test_gradient_norms_are_torchs_and_null_where_there_is_none(tmp_path: pathlib.Path) -> None:
    model = Tied()
    model(torch.tensor([1, 2])).sum().backward()
    _, path = write_parameters(tmp_path, plan_of(model), model, gradients=True)
    norms = {line["name"]: line["gradient_norm"] for line in json.loads(path.read_text())["tensors"]}
    wanted = {name: value.grad.norm().item() for name, value in model.named_parameters() if value.grad is not None}
    assert norms == {**{name: pytest.approx(norm) for name, norm in wanted.items()}, "scale": None, "mask": None}


def test_rows_at_hand_are_used_instead_of_reading_the_values_again(tmp_path: pathlib.Path) -> None:
    model = Tied()
    plan = plan_of(model)
    _, path = write_parameters(tmp_path, plan, model)
    fresh = path.read_text()
    before = rows(plan, model)
    nn.init.zeros_(model.embed.weight)
    _, path = write_parameters(tmp_path, plan, model, rows=before)
    assert path.read_text() == fresh


def test_a_model_on_meta_has_facts_and_no_values(tmp_path: pathlib.Path) -> None:
    model = nn.Linear(2, 1, device="meta")
    (path,) = write_parameters(tmp_path, plan_of(model), model)
    assert [line["finite"] for line in json.loads(path.read_text())["tensors"]] == [None, None]


def test_a_tensor_whose_name_breaks_the_format_is_refused(tmp_path: pathlib.Path) -> None:
    model = nn.Module()
    model.register_buffer("__metadata__", torch.zeros(1))
    with pytest.raises(ConfigError, match="'__metadata__' makes a safetensors file unreadable"):
        write_parameters(tmp_path, plan_of(model), model)
    model = nn.Module()
    model.register_buffer("half\ud800", torch.zeros(1))
    with pytest.raises(ConfigError, match=r"'half\\ud800' makes a safetensors file unreadable. Rename it."):
        write_parameters(tmp_path, plan_of(model), model)
    assert list(tmp_path.iterdir()) == []


def test_names_of_any_character_are_written_and_read_back_and_the_facts_are_ascii(tmp_path: pathlib.Path) -> None:
    names = ["a\x1b]0;owned\x07", "\x7f\x00", "\u202eabc", "\u2028", '"}', "<b>", "\n", "\U0001f600"]
    model = nn.Module()
    for number, name in enumerate(names):
        model.register_parameter(name, nn.Parameter(torch.full((2,), float(number))))
        model._parameters[f"again{name}"] = model._parameters[name]
    tensors, facts = write_parameters(tmp_path, plan_of(model), model)
    text = facts.read_text()
    assert text.isascii()
    assert text.replace("\n", "").isprintable()
    told = json.loads(text)["tensors"]
    assert [(line["name"], line["aliases"]) for line in told] == [(name, [f"again{name}"]) for name in names]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    nn.init.zeros_(model._parameters[names[3]])
    assert load_parameters(model, tensors) == ()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_the_facts_of_values_that_are_not_finite_are_json_for_every_reader(tmp_path: pathlib.Path) -> None:
    model = nn.Linear(2, 2)
    with torch.no_grad():
        model.weight[0, 0], model.bias[0] = math.nan, -math.inf
    model.weight.grad = torch.full((2, 2), math.inf)

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    _, path = write_parameters(tmp_path, plan_of(model), model, gradients=True)
    weight, bias = json.loads(path.read_text(), parse_constant=refuse)["tensors"]
    assert (weight["mean"], weight["max"], weight["gradient_norm"], weight["finite"]) == (None, None, None, False)
    assert (bias["min"], bias["gradient_norm"], bias["finite"]) == (None, None, False)


def test_two_dumps_of_one_model_are_equal_byte_for_byte(tmp_path: pathlib.Path) -> None:
    model = Tied()
    one = [path.read_bytes() for path in write_parameters(tmp_path, plan_of(model), model)]
    two = [path.read_bytes() for path in write_parameters(tmp_path, plan_of(model), model)]
    assert one == two


# Loading


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_a_dump_comes_back_bit_for_bit_with_ties_and_sharing(tmp_path: pathlib.Path, dtype: torch.dtype) -> None:
    source, model = Tied().to(dtype), Tied().to(dtype)
    path, _ = write_parameters(tmp_path, plan_of(source), source)
    parameters = list(model.parameters())
    load_parameters(model, path)
    assert equal(model, source)
    assert model.head.weight is model.embed.weight
    assert model.first is model.second
    assert all(one is two for one, two in zip(parameters, model.parameters(), strict=True))


@pytest.mark.parametrize("names", [["embed.weight"], ["head.weight"], ["embed.weight", "head.weight"]])
def test_another_checkpoint_may_hold_a_tied_tensor_under_any_of_its_names(
    tmp_path: pathlib.Path, names: list[str]
) -> None:
    source, model = Tied(), Tied()
    stored = {name: value.clone() for name, value in source.state_dict().items()}
    for name in {"embed.weight", "head.weight"} - set(names):
        del stored[name]
    safetensors.torch.save_file(stored, tmp_path / "other.safetensors")
    load_parameters(model, tmp_path / "other.safetensors")
    assert equal(model, source)


def test_what_torchs_own_save_model_writes_can_be_loaded(tmp_path: pathlib.Path) -> None:
    source, model = Tied(), Tied()
    safetensors.torch.save_model(source, str(tmp_path / "other.safetensors"))
    load_parameters(model, tmp_path / "other.safetensors")
    assert equal(model, source)


def test_a_sharded_checkpoint_is_loaded_by_its_index(tmp_path: pathlib.Path) -> None:
    source, model = nn.Linear(3, 2), nn.Linear(3, 2)
    for name, value in source.state_dict().items():
        safetensors.torch.save_file({name: value}, tmp_path / f"{name}.safetensors")
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {name: f"{name}.safetensors" for name in source.state_dict()}}))
    load_parameters(model, index)
    assert equal(model, source)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "This index has no 'weight_map' from names to files."),
        ("[]", "This index has no 'weight_map' from names to files."),
        ('{"weight_map": {"a": 1}}', "This index has no 'weight_map' from names to files."),
        ('{"weight_map": {"a": "../x.safetensors"}}', "This index names files outside its own directory."),
        ('{"weight_map": {"a": "/etc/passwd"}}', "This index names files outside its own directory."),
        ('{"weight_map": {"a": ".."}}', "This index names files that are not there: ..."),
        ('{"weight_map": {"a": "x.safetensors"}}', "This index names files that are not there: x.safetensors."),
    ],
)
def test_a_broken_index_is_explained(tmp_path: pathlib.Path, text: str, message: str) -> None:
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(text)
    assert problem_of(nn.Linear(1, 1), index) == f"{index.name}\n  {message}"


def test_values_are_converted_between_floating_dtypes(tmp_path: pathlib.Path) -> None:
    source, model = nn.Linear(3, 2).to(torch.float16), nn.Linear(3, 2)
    path, _ = write_parameters(tmp_path, plan_of(source), source)
    load_parameters(model, path)
    assert model.weight.dtype == torch.float32
    assert torch.equal(model.weight, source.weight.float())


def test_all_that_does_not_fit_is_said_at_once_and_nothing_is_changed(tmp_path: pathlib.Path) -> None:
    model = nn.Sequential()
    for name in ("hidden", "middle", "out", "steps"):
        model.add_module(name, nn.Linear(2, 2, bias=False))
    model.out.register_parameter("gain", model.out.weight)
    path = tmp_path / "x.safetensors"
    stored = {
        "hiden.weight": torch.zeros(2, 2),
        "middle.weight": torch.zeros(2, 3),
        "out.weight": torch.zeros(2, 2),
        "out.gain": torch.ones(2, 2),
        "steps.weight": torch.zeros(2, 2, dtype=torch.int64),
        "zzz": torch.zeros(1),
    }
    safetensors.torch.save_file(stored, path)
    assert problem_of(model, path) == textwrap.dedent("""\
        x.safetensors  hidden.weight
          The file has no such tensor. Did you mean 'hiden.weight'?
        x.safetensors  hiden.weight
          The model has no such tensor. Did you mean 'hidden.weight'? To give it another name, type 'load.rename={hiden: hidden}'
        x.safetensors  zzz
          The model has no such tensor. Known: hidden.weight.
        x.safetensors  middle.weight
          The shape is [2, 3] in the file and [2, 2] in the model.
        x.safetensors  out.gain
          This and 'out.weight' are one tensor in the model and differ in the file.
        x.safetensors  steps.weight
          The dtype is I64 in the file and torch.float32 in the model.""")


def test_a_model_on_meta_cannot_be_loaded_silently(tmp_path: pathlib.Path) -> None:
    source = nn.Linear(1, 1, bias=False)
    path, _ = write_parameters(tmp_path, plan_of(source), source)
    with pytest.raises(ConfigError, match="The model is on meta and holds no values"):
        load_parameters(nn.Linear(1, 1, bias=False, device="meta"), path)


def test_aliases_from_a_stranger_are_no_trap(tmp_path: pathlib.Path) -> None:
    model = nn.Linear(1, 1, bias=False)
    path = tmp_path / "x.safetensors"
    for about in ("{", "[1]", '{"aliases": {"weight": 3}}', '{"aliases": 1}', "[" * 100_000):
        safetensors.torch.save_file({"weight": torch.full((1, 1), 7.0)}, path, {"modelzoo": about})
        load_parameters(model, path)
        assert model.weight.item() == 7


def test_a_file_that_is_not_there_or_no_file_or_no_safetensors_is_explained(tmp_path: pathlib.Path) -> None:
    model = nn.Linear(1, 1)
    hint = "Type the path of a file of weights: load=FILE"
    assert problem_of(model, tmp_path / "x.safetensors") == f"x.safetensors\n  There is no such file. {hint}"
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    assert problem_of(model, tmp_path / "pipe") == f"pipe\n  This is no regular file. {hint}"
    assert problem_of(model, tmp_path / "folder") == (
        "folder\n  This folder is no checkpoint of torch.distributed: it has no '.metadata'. "
        "Type the path of a file in it: load=FILE"
    )
    for content in (b"", b"PK\x03\x04 a zip, as torch.save writes it", b"\xff" * 64):
        (tmp_path / "y.safetensors").write_bytes(content)
        assert problem_of(model, tmp_path / "y.safetensors").startswith(
            "y.safetensors\n  This file cannot be read as safetensors: "
        )


def test_a_run_says_where_the_model_is_too_large_to_stand_beside_its_values(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bounds, "FILE", 100)
    job.run(
        Config(model={"inputs": {"x": [1, 2]}, "layers": ["Linear(2, 3)"] + ["ReLU"] * 20}, locate=nowhere), tmp_path
    )
    assert "parameters.safetensors holds the values without the model, whose file is larger than 1 MB." in (
        capsys.readouterr().out
    )
    with pytest.raises(modelzoo.ConfigError, match="or its model is above 1 MB"):
        modelzoo.build(tmp_path / "parameters.safetensors")
