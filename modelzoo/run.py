"""The main job: build a model, run its forward pass on the example input, print and write everything about it."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import yaml
from torch import Tensor, nn

from modelzoo import api, dump, shapes, table
from modelzoo.config import Config
from modelzoo.errors import ConfigError, Path, fail
from modelzoo.rows import rows


def run(config: Config, directory: pathlib.Path) -> None:
    """Does one job; every file is written whole or not at all.

    Args:
        config: model, init and options.
        directory: where the files go.

    Raises:
        ConfigError: everything that is wrong with the config, or what the forward pass met.
    """
    options = config.options
    device = _device(options.get("device", "cpu"))
    with _threads(options.get("threads")):
        draft = api.draft(
            config.model,
            config.init,
            seed=options.get("seed", 0),
            dtype=options.get("dtype", "float32"),
            device=device,
            max_steps=options.get("max_steps", 10_000),
        )
        for warning in draft.plan.warnings:
            where, path = config.locate(warning.key, warning.line, warning.column)
            print(f"warning: {where}  {path}: {warning.what} {warning.hint}".rstrip())
        if device.type == "meta":
            print(draft.plan)
            return
        _check_inputs(draft)
        model = api.fill(draft, device, budget=options.get("memory"))
        if options.get("load") is not None:
            dump.load_parameters(model, options["load"])
        inputs = api.example_inputs(draft, device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(draft.plan.seed)
            _report(draft, model, inputs, options, directory, config)


def _report(
    draft: api.Draft,
    model: nn.Module,
    inputs: dict[str, Tensor],
    options: dict[str, Any],
    directory: pathlib.Path,
    config: Config,
) -> None:
    backward = _flag(options, "backward")
    model.train(_flag(options, "training"))
    facts = rows(draft.plan, model)
    table.show(table.model_table(facts))
    show = options.get("show")
    if show is not None and not backward:
        print("\n".join(table.value_lines(model, str(show))))
    written = [] if backward else dump.write_parameters(directory, draft.plan, model, rows=facts)
    output = _forward(draft, model, inputs, backward)
    print("\n".join(table.output_lines(output)))
    _explain_non_finite(draft, model, inputs, output)
    if backward:
        _backward(output)
        if show is not None:
            print("\n".join(table.value_lines(model, str(show))))
        written = dump.write_parameters(directory, draft.plan, model, gradients=True, rows=facts)
    written.append(_write_model(directory, config))
    print("written:")
    for path in written:
        print(f"  {_relative(path)}")


def _forward(draft: api.Draft, model: nn.Module, inputs: dict[str, Tensor], gradients: bool) -> Any:
    with torch.set_grad_enabled(gradients):
        try:
            return model(**inputs) if shapes._by_name(model) else model(*inputs.values())
        except Exception as error:
            key = Path(("model", "forward"))
            module = _raising(model, error)
            instance = None if module is None else draft.skeleton.instances.get(id(module))
            if instance is not None:
                key = instance.key / "forward" if instance.block is not None else instance.key
            raise ConfigError([shapes.text_problem(error, key)]) from error


def _raising(model: nn.Module, error: BaseException) -> nn.Module | None:
    """The innermost module of the model in the traceback."""
    found, trace = None, error.__traceback__
    known = {id(each) for each in model.modules()}
    while trace is not None:
        for name in ("_self", "self"):
            owner = trace.tb_frame.f_locals.get(name)
            if id(owner) in known:
                found = owner
        trace = trace.tb_next
    return found


def _backward(output: Any) -> None:
    total = [each.sum() for each in _tensors(output) if each.is_floating_point() and each.requires_grad]
    if not total:
        fail(
            Path(("backward",)),
            "no output depends on a parameter, so there is nothing to differentiate.",
            "Type backward=false.",
        )
    torch.autograd.backward(torch.stack(total).sum())


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _tensors(each)
    elif isinstance(value, (tuple, list)):
        for each in value:
            yield from _tensors(each)


def _finite(value: Any) -> bool:
    return all(bool(torch.isfinite(each).all()) for each in _tensors(value) if each.is_floating_point())


def _explain_non_finite(draft: api.Draft, model: nn.Module, inputs: dict[str, Tensor], output: Any) -> None:
    """Says which layer made a value that is not finite first, if the output has one."""
    if _finite(output):
        return
    first: list[str] = []
    names = {id(module): name or "the model" for name, module in model.named_modules()}

    def after(module: nn.Module, _: Any, made: Any) -> None:
        if not first and not _finite(made):
            first.append(names[id(module)])

    handles = [module.register_forward_hook(after) for module in model.modules()]
    try:
        with torch.no_grad():
            _forward(draft, model, inputs, False)
    finally:
        for handle in handles:
            handle.remove()
    by = f"'{first[0]}' made it first" if first else "no layer made it alone"
    given = "" if _finite(tuple(inputs.values())) else "; the input has one already"
    print(f"warning: the output has a value that is not finite: {by}{given}")


def _check_inputs(draft: api.Draft) -> None:
    if not draft.inputs:
        key = Path(("model", "inputs"))
        fail(key, "the model has no example input to run on.", "Write inputs: {x: [2, 20]}.")


def _write_model(directory: pathlib.Path, config: Config) -> pathlib.Path:
    """The composed config as a model file: `modelzoo.build` opens it anywhere."""
    path = directory / "model.yaml"
    content: dict[str, Any] = {"model": config.model}
    if config.init:
        content["init"] = config.init
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)
    dump.write_atomically(path, lambda target: target.write_text(text, encoding="utf-8") and None)
    return path


def _relative(path: pathlib.Path) -> str:
    try:
        return str(path.relative_to(pathlib.Path.cwd()))
    except ValueError:
        return str(path)


def _device(name: Any) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, TypeError, AssertionError, NotImplementedError) as error:
        message = str(error).splitlines()[0] if str(error) else ""
        fail(
            Path(("device",)),
            f"there is no device {name!r}: {message}".rstrip(": ") + ".",
            "Type device=cpu.",
            cause=error,
        )
    return device


def _flag(options: dict[str, Any], name: str) -> bool:
    value = options.get(name, False)
    if not isinstance(value, bool):
        fail(Path((name,)), f"{name} must be true or false, not {value!r}.", f"Type {name}=true.")
    return value


@contextmanager
def _threads(count: Any) -> Iterator[None]:
    """Torch's threads while a job runs; a sweep's next job finds the setting as it was."""
    if count is None:
        yield
        return
    if type(count) is not int or count < 1:
        fail(Path(("threads",)), f"threads must be a positive integer, not {count!r}.", "Type threads=2.")
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
