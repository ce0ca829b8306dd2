"""A stranger's file of weights is refused in words, with its name, at once, and nothing of the model is changed."""

from __future__ import annotations

import json
import os
import struct
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import nn

import modelzoo
from modelzoo.run.load import load_parameters
from modelzoo.weights import tensor_files

BIAS = {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}
WEIGHT = {"dtype": "F32", "shape": [4, 4], "data_offsets": [16, 80]}
FITTING = {"bias": BIAS, "weight": WEIGHT}
CANNOT = "x.safetensors\n  This file cannot be read as safetensors: "


def content(header: Any, data: bytes = b"\0" * 80, length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def answer(path: Path, **options: Any) -> str:
    """The whole refusal, with the folder left out; the model is as it was."""
    model = nn.Linear(4, 4)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(modelzoo.ConfigError) as error:
        load_parameters(model, path, **options)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    return str(error.value).replace(f"{path.parent}/", "")


def written(folder: Path, what: bytes, name: str = "x.safetensors") -> Path:
    path = folder / name
    path.write_bytes(what)
    return path


HOSTILE: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", CANNOT),
    "a few bytes": (b"\1\2", CANNOT),
    "no header": (struct.pack("<Q", 0), CANNOT),
    "a header of an exabyte": (
        struct.pack("<Q", 2**60) + b"{}",
        f"{CANNOT}its header would have 1,152,921,504,606,846,976 bytes, and at most 33,554,432 are read.",
    ),
    "a header longer than the file": (content(FITTING, length=30_000_000), CANNOT),
    "a header that ends early": (content(FITTING, length=30), CANNOT),
    "values that end early": (content(FITTING, b"\0" * 40), CANNOT),
    "values beyond the last": (content(FITTING, b"\0" * 100), CANNOT),
    "values that overlap": (content({**FITTING, "weight": {**WEIGHT, "data_offsets": [0, 64]}}, b"\0" * 64), CANNOT),
    "values beyond the file": (content({**FITTING, "bias": {**BIAS, "data_offsets": [800, 816]}}), CANNOT),
    "values that end before they begin": (content({**FITTING, "bias": {**BIAS, "data_offsets": [16, 0]}}), CANNOT),
    "values before the file": (content({**FITTING, "bias": {**BIAS, "data_offsets": [-16, 0]}}), CANNOT),
    "values that nobody owns": (content({"bias": BIAS}), CANNOT),
    "a list": (content(b"[]"), CANNOT),
    "lists inside lists": (content(b"[" * 1_000_000), CANNOT),
    "mappings inside mappings": (content(b'{"a":' * 100_000), CANNOT),
    "no number": (content(b'{"bias": NaN}'), CANNOT),
    "no text": (content(b'{"\xff": 1}'), CANNOT),
    "half a character": (content(b'{"\\ud800": ' + json.dumps(BIAS).encode() + b"}", b"\0" * 16), CANNOT),
    "metadata in a list": (content({"__metadata__": [1], **FITTING}), CANNOT),
    "metadata of numbers": (content({"__metadata__": {"a": 1}, **FITTING}), CANNOT),
    "metadata in metadata": (content({"__metadata__": {"a": {}}, **FITTING}), CANNOT),
    "a name twice": (
        content(
            b"{"
            + b",".join(f'"{name}": {json.dumps(FITTING[name])}'.encode() for name in ("bias", "bias", "weight"))
            + b"}"
        ),
        "x.safetensors\n  'bias' stands twice in this file.",
    ),
    "a very long name": (
        content({"n" * 20_000: BIAS}, b"\0" * 16),
        f"x.safetensors\n  A name has 20,000 characters, and at most 10,000 are read: {'n' * 40}...",
    ),
    "a shape beyond all integers": (content({**FITTING, "weight": {**WEIGHT, "shape": [2**64]}}), CANNOT),
    "a shape beyond all memory": (content({**FITTING, "weight": {**WEIGHT, "shape": [2**40, 2**40]}}), CANNOT),
    "a negative shape": (content({**FITTING, "weight": {**WEIGHT, "shape": [-4, -4]}}), CANNOT),
    "a shape that is not that of its values": (content({**FITTING, "weight": {**WEIGHT, "shape": [4, 5]}}), CANNOT),
    "no size in a huge shape": (
        content({"bias": BIAS, "weight": {"dtype": "F32", "shape": [0, 2**63], "data_offsets": [16, 16]}}, b"\0" * 16),
        "x.safetensors  weight\n  The shape is [0, 9223372036854775808] in the file and [4, 4] in the model. "
        "To load everything else, type 'load.skip=[weight]'",
    ),
    "many dimensions": (
        content({**FITTING, "weight": {**WEIGHT, "shape": [4, 4, *[1] * 100_000]}}),
        "x.safetensors  weight\n  It has 100,002 dimensions in the file and 2 in the model.",
    ),
    "a dtype that does not exist": (content({**FITTING, "weight": {**WEIGHT, "dtype": "X9"}}), CANNOT),
    "a dtype that lies": (content({**FITTING, "weight": {**WEIGHT, "dtype": "F64"}}), CANNOT),
    "terminal": (
        content({"a\x1b]0;owned\x07\nb": BIAS, "weight": WEIGHT}),
        "x.safetensors  bias\n  The file has no such tensor. Known: a\\x1b]0;owned\\x07\\nb.\n"
        "x.safetensors  a\\x1b]0;owned\\x07\\nb\n  The model has no such tensor. Known: bias.",
    ),
    **{
        f"elements of {dtype}": (
            content(
                {"bias": BIAS, "weight": {**WEIGHT, "dtype": dtype, "data_offsets": [16, 16 + size]}},
                b"\0" * (16 + size),
            ),
            f"x.safetensors  weight\n  The dtype is {dtype} in the file and torch.float32 in the model.",
        )
        for dtype, size in (
            ("F4", 8),
            ("F6_E2M3", 12),
            ("F6_E3M2", 12),
            ("I32", 64),
            ("U16", 32),
            ("BOOL", 16),
            ("C64", 128),
        )
    },
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_in_words(name: str, tmp_path: Path) -> None:
    what, expected = HOSTILE[name]
    path = written(tmp_path, what)
    text = answer(path)
    assert text == expected if expected != CANNOT else text.startswith(CANNOT) and len(text) < 400
    assert text.replace("\n", "").isprintable()


@pytest.mark.parametrize(
    "about",
    [
        "{",
        "[" * 1_000_000,
        '{"aliases": {"weight": [NaN, 1e999]}}',
        '{"aliases": {"weight": "bias"}}',
        '{"aliases": {"weight": [["bias"]]}}',
        '{"aliases": [["weight", "bias"]]}',
        '{"aliases": {"weight": [' + "1" * 10_000 + "]}}",
    ],
)
def test_metadata_that_is_not_ours_says_nothing(about: str, tmp_path: Path) -> None:
    path = written(tmp_path, content({"__metadata__": {"modelzoo": about}, **FITTING}))
    assert load_parameters(nn.Linear(4, 4), path) == ()


@pytest.mark.parametrize("dtype", ["F16", "BF16", "F64", "F8_E4M3", "F8_E5M2"])
def test_floating_dtypes_are_converted(dtype: str, tmp_path: Path) -> None:
    value = torch.full((4, 4), 0.5).to(getattr(torch, tensor_files.DTYPES[dtype]))
    safetensors.torch.save_file({"weight": value, "bias": torch.zeros(4)}, tmp_path / "x.safetensors")
    model = nn.Linear(4, 4)
    load_parameters(model, tmp_path / "x.safetensors")
    assert torch.equal(model.weight, torch.full((4, 4), 0.5))


def test_tied_tensors_that_hold_the_same_nan_are_the_same(tmp_path: Path) -> None:
    model = nn.ModuleList([nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)])
    model[1].weight = model[0].weight
    value = torch.full((1, 1), float("nan"))
    safetensors.torch.save_file({"0.weight": value, "1.weight": value.double()}, tmp_path / "x.safetensors")
    load_parameters(model, tmp_path / "x.safetensors")
    assert model[0].weight.isnan().all()


INDICES: dict[str, tuple[str, str]] = {
    "lists inside lists": ("[" * 1_000_000, "This index has no 'weight_map' from names to files."),
    "a list": ("[]", "This index has no 'weight_map' from names to files."),
    "no mapping": ('{"weight_map": 3}', "This index has no 'weight_map' from names to files."),
    "numbers": ('{"weight_map": {"a": 1}}', "This index has no 'weight_map' from names to files."),
    "lists": ('{"weight_map": {"a": ["x"]}}', "This index has no 'weight_map' from names to files."),
    "a name twice": ('{"weight_map": {"a": "x", "a": "y"}}', "'a' stands twice in this file."),
    "another directory": ('{"weight_map": {"a": "../x"}}', "This index names files outside its own directory."),
    "another root": ('{"weight_map": {"a": "/etc/passwd"}}', "This index names files outside its own directory."),
    "its own directory": ('{"weight_map": {"a": ".."}}', "This index names files that are not there: ..."),
    "what cannot be a name": (
        '{"weight_map": {"a": "\\u0000", "b": "\\u001b]0;x\\u0007\\n"}}',
        "This index names files that are not there: \\x00, \\x1b]0;x\\x07\\n.",
    ),
    "many": (
        json.dumps({"weight_map": {f"n{number}": f"{number:05}" for number in range(20_000)}}),
        f"This index names files that are not there: {', '.join(f'{number:05}' for number in range(10))} and 19990 more.",
    ),
    "a pipe": ('{"weight_map": {"a": "pipe"}}', "This index names files that are not there: pipe."),
}


@pytest.mark.parametrize("name", INDICES)
def test_a_hostile_index_is_refused_in_words(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    what, expected = INDICES[name]
    path = written(tmp_path, what.encode(), "x.safetensors.index.json")
    assert answer(path) == f"x.safetensors.index.json\n  {expected}"


def test_an_index_of_gigabytes_is_not_read(tmp_path: Path) -> None:
    path = written(tmp_path, b"", "x.safetensors.index.json")
    os.truncate(path, 2**33)
    assert answer(path) == (
        "x.safetensors.index.json\n  This index has 8,589,934,592 bytes, and at most 33,554,432 are read."
    )


@pytest.mark.parametrize("name", ["~nobody-of-this-name/x.safetensors", "a\0b.safetensors", "\ud800.safetensors"])
def test_a_name_that_no_file_can_have_is_no_file(name: str) -> None:
    with pytest.raises(modelzoo.ConfigError, match=r"There is no such file"):
        load_parameters(nn.Linear(1, 1), name)


def test_many_names_with_as_many_prefixes_are_answered_at_once_and_with_little_memory(tmp_path: Path) -> None:
    header = {f"p{number}.{number}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for number in range(50_000)}
    path = written(tmp_path, content(header, b""))
    tracemalloc.start()
    start = time.process_time()
    try:
        text = answer(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert text.startswith(
        "x.safetensors\n  The file does not fit this model: 2 missing, 50000 unexpected and 0 misfitting tensors.\n"
    )
    assert time.process_time() - start < 20
    assert peak < 40 * path.stat().st_size
