"""A model as a program of `torch.export`: what it does without its Python, and what of a text stands in the way."""

from __future__ import annotations

import io
import logging
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from modelzoo.errors import ConfigError, Path, Problem, fail, first_line
from modelzoo.escapes import printable
from modelzoo.export import loops
from modelzoo.modules.blocks import Generated
from modelzoo.modules.inputs import takes_names
from modelzoo.plans.draft import Draft, example_inputs

Site = tuple[str, int]
"""A file, or the text of a block, and a line of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A model without its Python.

    Attributes:
        exported: as torch has it.
        inputs: the example inputs, by name.
        any_batch: whether the first size of the inputs may be any; else it is that of the example.
    """

    exported: ExportedProgram
    inputs: dict[str, Tensor]
    any_batch: bool

    @property
    def takes(self) -> str:
        """What it takes, for people."""
        return "any batch" if self.any_batch else "inputs of the shapes of the example"


def program(draft: Draft, model: nn.Module, kind: str, config: Any = None) -> Program:
    """The program of a model in evaluation mode, for any batch where the flow allows it.

    Args:
        draft: its plan.
        model: the model; its mode is as before when this returns.
        kind: the name of the export, for messages.
        config: the plain data that it was made from, where loops on data may become part of the program.

    Raises:
        ConfigError: it has no example input, or does what no program can, with the line of a text that does.
    """
    device = _device(model)
    if device.type == "meta":
        fail(Path(("device",)), f"export={kind} needs values, and on meta there are none.", "Type device=cpu.")
    inputs = example_inputs(draft, device)
    if not inputs:
        fail(Path(("model", "inputs")), f"export={kind} needs an example input.", "Write inputs: {x: [2, 20]}.")
    training = model.training
    try:
        with quiet():
            return _program(model.eval(), inputs, takes_names(model))
    except Exception as error:
        if config is not None and (made := _with_loops(draft, model, inputs, config)) is not None:
            return made
        frames = traceback.walk_tb(error.__traceback__)
        refuse(draft, kind, error, [(frame.f_code.co_filename, line) for frame, line in frames])
    finally:
        model.train(training)


def _program(model: nn.Module, inputs: dict[str, Tensor], named: bool) -> Program:
    if _have_one_batch(inputs):
        try:
            return Program(exported=_exported(model, inputs, named, any_batch=True), inputs=inputs, any_batch=True)
        except Exception:  # that size may decide what is done
            pass
    return Program(exported=_exported(model, inputs, named, any_batch=False), inputs=inputs, any_batch=False)


def _with_loops(draft: Draft, model: nn.Module, inputs: dict[str, Tensor], config: Any) -> Program | None:
    """The program of a model whose loops are part of it; None if it has none, or one that torch cannot take."""
    try:
        with quiet():
            twin = loops.twin(draft, model, config)
            return None if twin is None else _program(twin, inputs, takes_names(model))
    except Exception:  # what stands in the way of the model itself is told
        return None


def _device(model: nn.Module) -> torch.device:
    return next((each.device for each in (*model.parameters(), *model.buffers())), torch.device("cpu"))


def _have_one_batch(inputs: Mapping[str, Tensor]) -> bool:
    return all(each.ndim for each in inputs.values()) and len({len(each) for each in inputs.values()}) == 1


def _exported(model: nn.Module, inputs: Mapping[str, Tensor], named: bool, any_batch: bool) -> ExportedProgram:
    shapes: Any = None
    if any_batch:  # of a size of 1 torch would take for granted that it is 1
        inputs = {name: torch.cat([each, each]) for name, each in inputs.items()}
        batch = Dim("batch")
        sizes = {name: {0: batch} for name in inputs}
        shapes = sizes if named else tuple(sizes.values())
    with torch.no_grad():
        if named:
            return torch.export.export(model, (), dict(inputs), dynamic_shapes=shapes)
        return torch.export.export(model, tuple(inputs.values()), dynamic_shapes=shapes)


def outputs(call: Any, model: nn.Module, inputs: Mapping[str, Tensor], seed: int = 0) -> Any:
    """What a model, or a program of it, returns for inputs by name; what is drawn depends on the seed alone."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # it computes otherwise what it computes
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return call(**inputs) if takes_names(model) else call(*inputs.values())
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


@contextmanager
def quiet() -> Iterator[None]:
    """While it lasts, libraries say nothing of what they meet."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def refuse(draft: Draft, kind: str, error: Exception, sites: Sequence[Site]) -> NoReturn:
    """Says which line of which text stands in the way of an export, where one does.

    Args:
        draft: the plan of the model.
        kind: the name of the export.
        error: what was raised.
        sites: files and lines that were running, outer ones first.

    Raises:
        ConfigError: always.
    """
    data = "depend" in type(error).__name__.lower()
    reason = "what it does depends on data" if data else _reason(error)
    hint = "Write it without a condition on data, or leave this export out." if data else "Leave this export out."
    generated = [(module, instance) for module, instance in draft.skeleton.blocks if isinstance(module, Generated)]
    texts = {type(module).forward.__code__.co_filename: instance.block for module, instance in generated}
    for file, line in reversed(sites):
        if file in texts:
            key = texts[file].key / "forward"
            rows = (texts[file].forward or "").splitlines()
            text = rows[line - 1].strip() if line <= len(rows) else ""
            what = f"`{text}` stands in the way of export={kind}: {reason}."
            raise ConfigError([Problem(path=str(key), key=key, line=line, column=1, what=what, hint=hint)]) from error
    fail(Path(("export",)), f"This model has no export={kind}: {reason}.", hint, cause=error)


def _reason(error: BaseException) -> str:
    """What the innermost exception says: those around it say where."""
    while error.__cause__ is not None:
        error = error.__cause__
    return printable(first_line(error).rstrip(".")[:200])
