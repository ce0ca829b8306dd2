"""`model.onnx`: the model and its values in the format that many runtimes read, checked with onnxruntime."""

from __future__ import annotations

import importlib.util
import pathlib
import re
from typing import Any

import torch
from torch import Tensor, nn

from modelzoo import files
from modelzoo.config.config import Config
from modelzoo.errors import Path, fail
from modelzoo.export import programs
from modelzoo.modules import gradients
from modelzoo.plans.draft import Draft
from modelzoo.terminal import say

NEEDED = ("onnx", "onnxscript", "onnxruntime")

CLOSE = 1e-5
"""How far what the runtime returns may be from what the model returns, beside the largest number that it returns."""


def export(
    draft: Draft, model: nn.Module, given: Config, directory: pathlib.Path, signals: object = None
) -> pathlib.Path:
    """Writes `model.onnx`, runs it and compares what it returns; returns its path.

    Raises:
        ConfigError: a library is missing, the model is no program, or has an operation that ONNX has not.
    """
    missing = [each for each in NEEDED if importlib.util.find_spec(each) is None]
    if missing:
        what = f"export=onnx needs {' and '.join(missing)}."
        fail(Path(("export",)), what, "Install it: pip install 'modelzoo[onnx]'")
    made = programs.program(draft, model, "onnx")
    if _draws(made, model):
        what = "export=onnx cannot draw numbers as the model does: other runtimes have other ones."
        fail(Path(("export",)), what, "Leave this export out.")
    path = directory / "model.onnx"
    with programs.quiet():
        try:
            written = torch.onnx.export(made.exported, dynamo=True, input_names=[*made.inputs], verbose=False)
        except Exception as error:
            programs.refuse(draft, "onnx", error, _sites(made, str(error)))
        assert written is not None  # as it is with dynamo
        files.write_atomically(path, lambda file: written.save(str(file)))
        found = _run(path, made.inputs)
    training = model.training
    try:
        expected = [*gradients.tensors(programs.outputs(model.eval(), model, made.inputs))]
    finally:
        model.train(training)
    apart = _apart(expected, found)
    if apart > CLOSE:
        what = f"What export=onnx wrote returns other values than the model: {apart:.1g} apart."
        fail(Path(("export",)), what, "Leave it out.")
    say(f"model.onnx takes {made.takes}; what it returns is {apart:.1g} apart.")
    return path


def _sites(made: programs.Program, told: str) -> list[programs.Site]:
    """Where the operation comes from that torch names in what it says of an export that failed."""
    nodes = [each for each in made.exported.graph.nodes if re.search(rf"%{re.escape(each.name)} :", told)]
    traces = "".join(node.meta.get("stack_trace") or "" for node in nodes)
    return [(file, int(line)) for file, line in re.findall(r'File "([^"]+)", line (\d+)', traces)]


def _draws(made: programs.Program, model: nn.Module) -> bool:
    """Whether what a program returns is another with each seed."""
    call = made.exported.module()
    one, other = (gradients.tensors(programs.outputs(call, model, made.inputs, seed)) for seed in (0, 1))
    return not all(map(torch.equal, one, other))


def _run(path: pathlib.Path, inputs: dict[str, Tensor]) -> list[Any]:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return list(session.run(None, {each.name: inputs[each.name].cpu().numpy() for each in session.get_inputs()}))


def _apart(expected: list[Tensor], found: list[Any]) -> float:
    """The largest difference, relative to the largest number from 1 on."""
    worst = 0.0
    for one, other in zip(expected, found, strict=True):
        other = torch.as_tensor(other)
        if one.shape != other.shape:
            return float("inf")
        if one.numel():
            scale = max(1.0, one.double().abs().max().item())
            worst = max(worst, (one.double() - other.double()).abs().max().item() / scale)
    return worst
