"""Files of weights that are none, or more than that: each is refused in words, and no code of theirs runs."""

from __future__ import annotations

import argparse
import io
import os
import pickle
import re
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from torch import nn

import modelzoo
from modelzoo.run.load import load_parameters

CANARY = "canary"


class Code:
    """What leaves a file behind when it is unpickled."""

    def __reduce__(self) -> Any:
        return os.mkdir, (CANARY,)


STATE = nn.Linear(4, 4).state_dict()
NOT_WEIGHTS = "This file cannot be read as weights of torch: "
NOT_ALONE = "Save the weights alone, where it was made: torch.save(model.state_dict(), FILE)."


def deep(depth: int = 200_000) -> bytes:
    """A pickle of a mapping whose key is a tuple in a tuple in a tuple."""
    return b"\x80\x02}" + b")" + b"\x85" * depth + b"K\x01s."


def saved(what: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    torch.save(what, file, **options)
    return file.getvalue()


def rezipped(change: Callable[[str, bytes], bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """What torch saves, with other parts."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(saved(STATE))) as old, zipfile.ZipFile(file, "w", compression) as new:
        for each in old.namelist():
            new.writestr(each, change(each, old.read(each)))
    return file.getvalue()


def scripted() -> bytes:
    file = io.BytesIO()
    torch.jit.save(torch.jit.script(nn.Linear(4, 4)), file)
    return file.getvalue()


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "code": (
        lambda: saved({**STATE, "x": Code()}),
        f"This file holds more than weights: it asks for {os.mkdir.__module__}.mkdir, which could run code. {NOT_ALONE}",
    ),
    "code in the format before torch 1.6": (
        lambda: saved({**STATE, "x": Code()}, _use_new_zipfile_serialization=False),
        f"This file holds more than weights: it asks for {os.mkdir.__module__}.mkdir, which could run code. {NOT_ALONE}",
    ),
    "code in a pickle": (lambda: pickle.dumps(Code()), f"{NOT_WEIGHTS}"),
    "an object beside the weights": (
        lambda: saved({"state_dict": STATE, "args": argparse.Namespace(lr=1)}),
        f"This file holds more than weights: it asks for argparse.Namespace, which could run code. {NOT_ALONE}",
    ),
    "a whole module": (
        lambda: saved(nn.Linear(4, 4)),
        f"This file holds more than weights: it asks for torch.nn.modules.linear.Linear, which could run code. {NOT_ALONE}",
    ),
    "TorchScript": (
        scripted,
        "This file is TorchScript, which is code as well as weights. "
        "Save the weights alone, where it was made: torch.save(module.state_dict(), FILE).",
    ),
    "a list": (
        lambda: saved([*STATE.values()]),
        "This file holds a list and no state dict. Save a state dict: torch.save(model.state_dict(), FILE).",
    ),
    "a sparse tensor": (
        lambda: saved({"weight": torch.eye(4).to_sparse(), "bias": STATE["bias"]}),
        "'weight' is sparse. Save a plain tensor instead.",
    ),
    "compressed parts": (
        lambda: rezipped(lambda _, data: data, zipfile.ZIP_DEFLATED),
        f"{NOT_WEIGHTS}a part of it is compressed, which torch.save does not do.",
    ),
    "values that end early": (
        lambda: rezipped(lambda name, data: data[:8] if "/data/" in name else data),
        f"{NOT_WEIGHTS}it has a tensor of 64 bytes, and no part of that size for it.",
    ),
    "tuples inside tuples": (
        lambda: rezipped(lambda name, data: deep() if name.endswith(".pkl") else data),
        f"{NOT_WEIGHTS}it has tuples inside tuples, more than 100 of them.",
    ),
    "tuples inside tuples, in the format before torch 1.6": (
        deep,
        f"{NOT_WEIGHTS}it has tuples inside tuples, more than 100 of them.",
    ),
    "nothing": (lambda: b"", NOT_WEIGHTS),
    "half a file": (lambda: saved(STATE)[:1000], NOT_WEIGHTS),
    "a pickle that takes what is not there": (lambda: b"\x80\x02\x85.", NOT_WEIGHTS),
    "a tensor without values": (
        lambda: saved({"weight": torch.empty(4, 4, device="meta"), "bias": STATE["bias"]}),
        "'weight' has no values. Save a plain tensor instead.",
    ),
}


def refused(path: Path) -> str:
    """The whole refusal, with the folder left out; the model is as it was, and nothing was run."""
    model = nn.Linear(4, 4)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(modelzoo.ConfigError) as error:
        load_parameters(model, path)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not Path(CANARY).exists()
    text = str(error.value).replace(f"{path.parent}/", "")
    assert text.replace("\n", "").isprintable()
    return text


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", HOSTILE)
def test_a_pickle_that_is_more_or_less_than_weights_is_refused_in_words(name: str, tmp_path: Path) -> None:
    make, expected = HOSTILE[name]
    path = tmp_path / "x.pt"
    path.write_bytes(make())
    text = refused(path)
    assert text == f"x.pt\n  {expected}" or (expected == NOT_WEIGHTS and text.startswith(f"x.pt\n  {expected}")), text


def test_what_runs_code_would_run_it_elsewhere(tmp_path: Path) -> None:
    torch.load(io.BytesIO(saved({"x": Code()})), weights_only=False)
    assert Path(CANARY).exists()


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".ckpt", ".PT"])
def test_the_name_of_a_file_says_what_it_is(suffix: str, tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / f"x{suffix}")
    model = nn.Linear(4, 4)
    assert load_parameters(model, tmp_path / f"x{suffix}") == ()
    assert torch.equal(model.weight, STATE["weight"])


# --- folders of torch.distributed ------------------------------------------------------------------------------------


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    from torch.distributed import checkpoint

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        checkpoint.save(STATE, checkpoint_id=tmp_path / "step")
    return tmp_path / "step"


def test_the_list_of_a_folder_runs_no_code(checkpoint: Path) -> None:
    (checkpoint / ".metadata").write_bytes(pickle.dumps(Code()))
    asked = f"{os.mkdir.__module__}.mkdir"
    what = f"This list holds more than data: it asks for {asked}, which could run code."
    assert refused(checkpoint) == f"step/.metadata\n  {what}"


KIND = "This file cannot be read as a checkpoint of torch.distributed: "


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            lambda text: text.replace(b"__0_0.distcp", b"../00.distcp"),
            "it names '../00.distcp', which is no file in it.",
        ),
        (
            lambda text: text.replace(b"__0_0.distcp", b"__9_9.distcp"),
            "it names '__9_9.distcp', which is no file in it.",
        ),
        (lambda text: text.replace(b"float32", b"float64"), "a piece in it is not what its list says."),
        (lambda text: b"", ""),
        (lambda text: text[:100], ""),
        (lambda text: deep(), "it has tuples inside tuples, more than 100 of them."),
        (lambda text: pickle.dumps(3), ""),
        (lambda text: pickle.dumps({"weight": 3}), ""),
    ],
)
def test_a_list_that_lies_is_refused(change: Callable[[bytes], bytes], expected: str, checkpoint: Path) -> None:
    file = checkpoint / ".metadata"
    file.write_bytes(change(file.read_bytes()))
    text = refused(checkpoint)
    assert re.fullmatch(rf"step(/\.metadata)?\n  {re.escape(KIND)}.*", text), text
    assert text.endswith(expected)


def test_a_folder_without_a_list_leads_to_the_weights_in_it(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.safetensors").touch()
    assert refused(tmp_path / "model") == (
        "model\n  This folder is no checkpoint of torch.distributed: it has no '.metadata'. "
        "Type load=model/model.safetensors"
    )


# --- arrays of numpy -------------------------------------------------------------------------------------------------


def arrays(**more: Any) -> bytes:
    file = io.BytesIO()
    numpy.savez(file, **{**{name: each.numpy() for name, each in STATE.items()}, **more})
    return file.getvalue()


def zipped(name: str, data: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return file.getvalue()


def array(shape: str, data: bytes = b"", dtype: str = "'<f4'") -> bytes:
    header = f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + data


NO_ARRAYS = "This file cannot be read as arrays of numpy: "

ARRAYS: dict[str, tuple[Callable[[], bytes], str]] = {
    "an object": (
        lambda: arrays(x=numpy.array([Code()])),
        "'x' holds objects, which could run code.",
    ),
    "another file": (lambda: zipped("../x.sh", b"rm"), "'../x.sh' in it is no array."),
    "a size that lies": (
        lambda: zipped("weight.npy", array("(4, 4)", b"\0" * 8)),
        "'weight' has 78 bytes instead of 134.",
    ),
    "a size beyond all memory": (lambda: zipped("weight.npy", array(f"({2**62}, {2**62})")), ""),
    "a negative size": (lambda: zipped("weight.npy", array("(-1, 4)")), "it has an array of a negative size."),
    "code in a header": (lambda: zipped("weight.npy", array("__import__('os').mkdir('canary')")), ""),
    "no array": (lambda: zipped("weight.npy", b"x" * 100), ""),
    "no archive": (lambda: b"x" * 100, "File is not a zip file."),
    "zeros without end": (lambda: zipped("weight.npy", array("(4, 4)", b"\0" * 10**8)), ""),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_that_are_none_are_refused_in_words(name: str, tmp_path: Path) -> None:
    make, expected = ARRAYS[name]
    (tmp_path / "x.npz").write_bytes(make())
    text = refused(tmp_path / "x.npz")
    assert text.startswith(f"x.npz\n  {NO_ARRAYS}")
    assert text.endswith(expected), text


def test_arrays_of_another_byte_order_and_of_columns_are_read(tmp_path: Path) -> None:
    weight = numpy.arange(16, dtype=">f4").reshape(4, 4)
    numpy.savez(tmp_path / "x.npz", weight=numpy.asfortranarray(weight), bias=weight[0])
    model = nn.Linear(4, 4)
    load_parameters(model, tmp_path / "x.npz")
    assert torch.equal(model.weight, torch.arange(16.0).view(4, 4))
