"""`model.pt2`: the model and its values as a program of `torch.export`, which torch alone opens and runs."""

from __future__ import annotations

import pathlib

import torch
from torch import nn

from modelzoo import files
from modelzoo.config.config import Config
from modelzoo.errors import Path, fail
from modelzoo.export import programs
from modelzoo.modules import gradients
from modelzoo.plans.draft import Draft
from modelzoo.terminal import say


def export(
    draft: Draft, model: nn.Module, given: Config, directory: pathlib.Path, signals: object = None
) -> pathlib.Path:
    """Writes `model.pt2`, reads it back and compares what it returns; returns its path.

    Raises:
        ConfigError: the model is no program, or another one when it is read back.
    """
    made = programs.program(draft, model, "pt2", given.model)
    path = directory / "model.pt2"
    with programs.quiet():
        files.write_atomically(path, lambda file: torch.export.save(made.exported, file))
        back = torch.export.load(path).module()
    training = model.training
    try:
        expected, found = (programs.outputs(each, model, made.inputs) for each in (model.eval(), back))
    finally:
        model.train(training)
    if not all(map(torch.equal, gradients.tensors(expected), gradients.tensors(found))):
        fail(Path(("export",)), "What export=pt2 wrote does not return what the model returns.", "Leave it out.")
    say(f"model.pt2 takes {made.takes}.")
    return path
