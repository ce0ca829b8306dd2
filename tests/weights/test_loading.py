"""What does not fit is refused with the line that makes it fit; with the line it is loaded."""

from __future__ import annotations

import ast
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

import modelzoo
from modelzoo.config.compose import compose
from modelzoo.plans.options import Options
from modelzoo.weights import listing, loading, patterns
from modelzoo.weights.request import parsed

MODEL = {
    "inputs": {"x": [2, 4]},
    "layers": {
        "fc": "Linear(4, 8)",
        "h": {"_target_": "Block(8)", "_repeat_": 3},
        "head": "Linear(8, 3)",
    },
    "blocks": {
        "Block": {
            "args": ["dim"],
            "layers": {"norm": "LayerNorm(dim)", "up": "Linear(dim, 2 * dim)", "down": "Linear(2 * dim, dim)"},
        }
    },
}

State = dict[str, Tensor]


def state(seed: int = 1) -> State:
    return {name: each.clone() for name, each in modelzoo.build(MODEL, seed=seed).state_dict().items()}


def renamed(change: Callable[[str], str]) -> State:
    return {change(name): each for name, each in state().items()}


def saved(what: Any, path: Path) -> Path:
    (torch.save if path.suffix == ".pt" else safetensors.torch.save_file)(what, path)
    return path


def loaded(path: Path, *overrides: str) -> nn.Module:
    config = compose([f"load={path}", *overrides])
    model = modelzoo.build(MODEL)
    loading.load(model, parsed(config.options["load"]))
    return model


def refused(path: Path, *overrides: str) -> str:
    with pytest.raises(modelzoo.ConfigError) as error:
        loaded(path, *overrides)
    return str(error.value).replace(f"{path.parent}/", "")


def advised(text: str) -> list[str]:
    """The overrides in a message, as a shell reads them."""
    lines = [line for line in text.splitlines() if "load." in line]
    words = shlex.split(lines[0][lines[0].index("load.") - (lines[0][lines[0].index("load.") - 1] == "'") :])
    return [word for word in words if word.startswith("load.") and "=" in word]


def with_head(classes: int, change: Callable[[str], str] = lambda name: name) -> State:
    other = {change(name): each for name, each in state().items() if not name.startswith("head.")}
    return {**other, change("head.weight"): torch.ones(classes, 8), change("head.bias"): torch.ones(classes)}


def turned() -> State:
    return {
        name: each.t().contiguous() if ".up.w" in name or ".down.w" in name else each for name, each in state().items()
    }


WRONG: dict[str, tuple[Callable[[], State], list[str]]] = {
    "a layer of another name": (lambda: renamed(lambda name: name.replace("fc.", "stem.")), ["load.rename={stem: fc}"]),
    "a last part of another name": (
        lambda: renamed(lambda name: name.replace("norm.weight", "norm.gamma")),
        ["load.rename={gamma: weight}"],
    ),
    "numbered layers of another name": (
        lambda: renamed(lambda name: name.replace("h.", "encoder.layer.", 1) if name.startswith("h.") else name),
        ["load.rename={encoder.layer: h}"],
    ),
    "a part more": (lambda: renamed(lambda name: name.replace(".up.", ".mlp.up.")), ['load.rename={mlp.: ""}']),
    "a part less": (
        lambda: renamed(lambda name: name.removeprefix("h.") if name.startswith("h.") else name),
        [],
    ),
    "a head of 21 classes": (lambda: with_head(21), ["load.skip=[head.*]"]),
    "a head of another size and name": (
        lambda: with_head(21, lambda name: name.replace("head.", "classifier.")),
        [],
    ),
    "more than the model has": (
        lambda: {**state(), "loss.weight": torch.ones(3)},
        ["load.skip=[loss.*]", "load.strict=false"],
    ),
    "less than the model has": (
        lambda: {name: each for name, each in state().items() if not name.startswith("head.")},
        ["load.skip=[head.*]"],
    ),
    "matrices the other way round": (turned, ["load.transpose=[*.up.weight, *.down.weight]"]),
    "a wrapper around a part of it": (
        lambda: {**renamed(lambda name: f"module.{name}"), "loss.weight": torch.ones(3)},
        [],
    ),
    "a prefix, a layer of another name and a head of another size": (
        lambda: with_head(21, lambda name: "net." + name.replace("fc.", "stem.")),
        [],
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_fit_is_refused_with_the_line_with_which_it_is_loaded(name: str, tmp_path: Path) -> None:
    make, expected = WRONG[name]
    path = saved(make(), tmp_path / "x.safetensors")
    text = refused(path)
    lines = advised(text)
    assert lines, text
    assert not expected or [shlex.split(each)[0] if "'" in each else each for each in lines] == expected
    model = loaded(path, *lines)
    changed = [
        name
        for name, each in model.state_dict().items()
        if not torch.equal(each, modelzoo.build(MODEL).state_dict()[name])
    ]
    assert len(changed) >= 14  # everything but a head


def test_two_models_in_a_file_are_refused_with_the_line_that_chooses(tmp_path: Path) -> None:
    path = saved({"model": state(), "ema": state(2)}, tmp_path / "x.pt")
    text = refused(path)
    assert text == "x.pt\n  This file holds weights under 'model' and 'ema'. Type which: load.key=model"
    assert torch.equal(loaded(path, *advised(text)).fc.weight, state()["fc.weight"])
    assert refused(path, "load.key=emma") == "x.pt\n  There is no 'emma' in this file. Did you mean 'ema'?"


def test_a_part_that_the_model_has_several_times_is_refused_with_the_line_that_chooses(tmp_path: Path) -> None:
    part = {name.removeprefix("h.1."): each for name, each in state().items() if name.startswith("h.1.")}
    path = saved(part, tmp_path / "x.safetensors")
    text = refused(path, "load.strict=false")
    assert text == (
        "load\n  The names of this file fit the model in several ways: with each of 'h.0.', 'h.1.', 'h.2.' in front of "
        "them. Type the one that is meant: 'load.rename={\\A: h.0.}'"
    )
    model = loaded(path, "load.strict=false", *advised(text))
    assert torch.equal(model.h[0].up.weight, part["up.weight"])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "load.skip=[haed.*]",
            "load.skip\n  load.skip has 'haed.*', which means no tensor here. Did you mean 'head'?",
        ),
        (
            "load.skip=[head]",
            "load.skip\n  load.skip has 'head', which means no tensor here. 'head' is a layer: write head.*",
        ),
        ("load.rename={module.: ''}", "load.rename\n  load.rename has 'module.', which means no tensor here."),
        ("load.match=size", "load.match\n  load.match must be name or order, not 'size'. Type 'load.match=order'."),
        (
            "load.strict=maybe",
            "load.strict\n  load.strict must be true or false, not 'maybe'. Type 'load.strict=false'.",
        ),
        (
            "load.rename={a.\\(: b}",
            "load.rename\n  load.rename must be a mapping from regular expressions to texts, not {'a.(': 'b'}: 'a.(' is no "
            "regular expression: missing ) at position 3. Type 'load.rename={OLD: NEW}'.",
        ),
        (
            "load.rename={head: \\1}",
            "load.rename\n  '\\1' cannot take the place of 'head': invalid group reference. "
            "Write \\1 for what the first brackets find.",
        ),
    ],
)
def test_a_line_that_does_nothing_or_cannot_be_read_is_refused(override: str, message: str, tmp_path: Path) -> None:
    path = saved(state(), tmp_path / "x.safetensors")
    assert refused(path, override) == message


def test_how_to_load_without_a_file_is_refused() -> None:
    (wrong,) = Options.of(compose(["load.skip=[head.*]"]).options).wrong
    assert str(wrong) == (
        "load.skip\n  load.skip says how weights are loaded, and no file is named. Type load=FILE as well."
    )


def test_a_regular_expression_that_takes_for_ever_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns.Renaming.__init__, "__defaults__", (0.5,))
    path = saved({"a" * 60 + "!": torch.ones(1)}, tmp_path / "x.safetensors")
    text = refused(path, "load.rename={\\(a|aa\\)+$: b}")
    assert "takes more than 0.5 seconds on names of this file" in text


def test_two_tensors_of_a_file_for_one_of_the_model_are_refused(tmp_path: Path) -> None:
    path = saved({**state(), "stem.weight": torch.ones(8, 4)}, tmp_path / "x.safetensors")
    text = refused(path, "load.rename={stem: fc}")
    assert text.startswith(
        "x.safetensors  fc.weight\n  'fc.weight' and 'stem.weight' of the file would both be this tensor."
    )


def test_in_order_layers_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    other = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 3))
    path = saved(other.state_dict(), tmp_path / "x.pt")
    assert refused(path, "load.match=order") == (
        "load.match\n  The model has 11 layers with tensors, and the file has 2: in order they do not fit. "
        "Leave some out with load.skip=[...], or match by name."
    )
    model = loaded(path, "load.match=order", "load.skip=[h.*]")
    assert torch.equal(model.head.weight, other[1].weight)
    swapped = nn.Sequential(nn.Linear(4, 9), nn.Linear(8, 3))
    text = refused(saved(swapped.state_dict(), tmp_path / "y.pt"), "load.match=order", "load.skip=[h.*]")
    assert text.startswith("y.pt  fc.weight\n  The shape is [9, 4] in the file and [8, 4] in the model.")


# --- what is told ----------------------------------------------------------------------------------------------------


def test_what_went_where_is_one_line_for_all_copies_of_a_layer(tmp_path: Path) -> None:
    stored = {f"module.{name.replace('fc.', 'stem.')}": each.half() for name, each in state().items()}
    path = saved({**stored, "module.h.0.position_ids": torch.arange(3)[None]}, tmp_path / "x.safetensors")
    found = loading.load(modelzoo.build(MODEL), parsed({"file": path, "rename": {"stem": "fc"}, "skip": "head.*"}))
    assert listing.text(found).replace(f"{tmp_path}/", "") == (
        "loaded 20 tensors of x.safetensors, 'module.' taken from its names, left out what a model can do without: "
        "module.h.0.position_ids, left out as asked: module.head.bias, module.head.weight\n"
        "  in the file               here               shape    dtype\n"
        "  module.stem.weight        fc.weight          [8, 4]   float16 -> float32\n"
        "  module.stem.bias          fc.bias            [8]      float16 -> float32\n"
        "  module.h.0-2.norm.weight  h.0-2.norm.weight  [8]      float16 -> float32  x 3\n"
        "  module.h.0-2.norm.bias    h.0-2.norm.bias    [8]      float16 -> float32  x 3\n"
        "  module.h.0-2.up.weight    h.0-2.up.weight    [16, 8]  float16 -> float32  x 3\n"
        "  module.h.0-2.up.bias      h.0-2.up.bias      [16]     float16 -> float32  x 3\n"
        "  module.h.0-2.down.weight  h.0-2.down.weight  [8, 16]  float16 -> float32  x 3\n"
        "  module.h.0-2.down.bias    h.0-2.down.bias    [8]      float16 -> float32  x 3"
    )
    assert found.fills["h.1.up.weight"] == "x.safetensors#module.h.1.up.weight"


def test_a_load_is_planned_without_a_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(state(), tmp_path / "x.safetensors")
    monkeypatch.setattr(torch.Tensor, "copy_", None)
    found = loading.planned(modelzoo.build(MODEL, device="meta"), parsed(path))
    assert listing.summary(found) == f"would load 22 tensors of {path}"


# --- the same answer, whatever the hash ------------------------------------------------------------------------------


def test_other_hash_seeds_give_the_same_answer(tmp_path: Path) -> None:
    saved({"0.weight": torch.ones(4, 4), "0.bias": torch.ones(4)}, tmp_path / "part.safetensors")
    saved(
        {"x.c.weight": torch.ones(4, 4), "x.b.bias": torch.ones(4), "mask": torch.ones(2)}, tmp_path / "x.safetensors"
    )
    saved({"bias": torch.zeros(1)}, tmp_path / "bias.safetensors")  # of any of six layers
    code = """
import modelzoo, torch
from modelzoo.run.load import load_parameters
model = modelzoo.build({"layers": {name: ["Linear(4, 4)"] for name in "abcdef"}})
for file in ("part", "x"):
    for strict in (True, False):
        try: print(load_parameters(model, f"{file}.safetensors", strict=strict))
        except modelzoo.ConfigError as error: print(error)
print([(name, each.sum().item()) for name, each in model.state_dict().items()])
try: load_parameters(torch.nn.ModuleDict({name: torch.nn.Linear(1, 1) for name in "abcdef"}), "bias.safetensors")
except modelzoo.ConfigError as error: print("of six:", error)
"""

    def said(seed: int) -> str:
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONHASHSEED": str(seed)}
        command = [sys.executable, "-c", code]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True).stdout

    with ThreadPoolExecutor(4) as pool:
        answers = [*pool.map(said, range(4))]
    assert len(dict.fromkeys(answers)) == 1
    assert "fit the model in several ways" in answers[0]
    assert "a.bias" not in answers[0].partition("of six:")[2]


def test_nothing_in_this_room_is_a_set() -> None:
    for path in sorted(Path(loading.__file__).parent.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            assert not isinstance(node, (ast.Set, ast.SetComp)), path
            assert not (isinstance(node, ast.Name) and node.id in ("set", "frozenset")), path
