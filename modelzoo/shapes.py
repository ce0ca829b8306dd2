"""The dry run: one pass through the model's forwards, before any fill, that checks shapes and finds those left out."""

from __future__ import annotations

import linecache
import math
import re
import threading
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as hooks

from modelzoo import construct as building
from modelzoo import equal, flops, language, sizes
from modelzoo.catalog import Layer
from modelzoo.errors import Beside, ConfigError, Path, Problem, Problems, TextError
from modelzoo.factory import Factory, TooLargeError
from modelzoo.plans import Input
from modelzoo.resolve import Instance

MAX_RUNS = 64
MAX_ACTIVATIONS = 2**30
"""Up to this many bytes of what layers return a run on the CPU takes less time than the first operation on meta."""


@dataclass(slots=True, kw_only=True)
class Record:
    """What a dry run saw, by the id of a module.

    Attributes:
        outputs: the shapes of what each module returned last.
        calls: how often it was called.
        notes: what could not be checked, and why.
        activations: the bytes of what all layers returned.
        flops: the floating-point operations of one forward pass, where they were counted.
        turns: how often each `while` of a module's text turned, by the module and its place; a dry run does not say.
    """

    outputs: dict[int, Any] = field(default_factory=dict)
    calls: dict[int, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    activations: int = 0
    flops: int | None = None
    turns: dict[int, dict[str, int]] = field(default_factory=dict)

    def add(self, returned: Iterable[tuple[nn.Module, Any]]) -> None:
        """What modules returned, in the order of their calls."""
        for module, output in returned:
            self.outputs[id(module)] = shape_of(output)
            self.calls[id(module)] = self.calls.get(id(module), 0) + 1
            if not module._modules:
                self.activations += equal.bytes_of(output)


def shape_of(value: Any) -> Any:
    """The shapes of an output, nested as it is.

    >>> shape_of((torch.zeros(2, 3), None))
    ((2, 3), None)
    """
    if isinstance(value, Tensor):
        return tuple(value.shape)
    if isinstance(value, dict):
        return {name: shape_of(each) for name, each in value.items()}
    if isinstance(value, (tuple, list)):
        return type(value)(map(shape_of, value)) if type(value) in (tuple, list) else tuple(map(shape_of, value))
    return None


class Watch:
    """Decides conditions on data during a dry run, and compares what the ways through them leave behind."""

    def __init__(self, problems: Problems, skeleton: building.Skeleton) -> None:
        self.problems, self.skeleton = problems, skeleton
        self.flipped: frozenset[tuple[int, str]] = frozenset()
        self.sites: dict[tuple[int, str], frozenset[tuple[int, str]]] = {}
        """Of each condition what to flip to see its other side: itself, and those that led to it."""
        self.turned: set[tuple[int, str]] = set()
        self.merged: dict[tuple[int, str], dict[str, Any]] = {}

    def branch(self, owner: nn.Module, site: str, value: Any) -> bool:
        if not isinstance(value, Tensor):
            return bool(value)
        key = (id(owner), site)
        self.sites.setdefault(key, self.flipped | {key})
        return key not in self.flipped

    def turn(self, owner: nn.Module, site: str, value: Any, negated: bool = False) -> bool:
        """A loop on data turns once."""
        if not isinstance(value, Tensor):
            return bool(value)
        key = (id(owner), site)
        first = key not in self.turned
        self.turned ^= {key}
        return first != negated

    def step(self, owner: nn.Module, site: str) -> None:
        pass

    def merge(self, owner: nn.Module, site: str, **values: Any) -> None:
        key = (id(owner), site)
        shapes = {name: shape_of(value) for name, value in values.items() if isinstance(value, Tensor)}
        before = self.merged.setdefault(key, shapes)
        for name in before.keys() & shapes.keys():
            if before[name] != shapes[name]:
                line, column = map(int, site.split(":"))
                ways = f"{list(before[name])} on one way through here and {list(shapes[name])} on another"
                what = f"'{name}' has shape {ways}."
                self.problems.add(
                    _text_key(self.skeleton, owner), what, "Make both equal.", line=line, column=column + 1
                )
        self.merged[key] = shapes


def dry_run(
    skeleton: building.Skeleton, inputs: dict[str, Tensor], count: bool = False, recorded: bool = True
) -> Record:
    """Runs the model once on example inputs, and once more for each condition on data, flipped.

    Args:
        skeleton: modules on zeros or on meta.
        inputs: by name, on the skeleton's device; without any nothing is run.
        count: whether floating-point operations are counted, which takes a multiple of the time.
        recorded: whether what each module returns will be asked for; without it a run that succeeds is enough.

    Raises:
        ConfigError: what does not fit, with the layer, its place and both shapes.
    """
    problems, record = Problems(), Record()
    if not inputs:
        return record
    watch = Watch(problems, skeleton)
    modules = building.modules(skeleton.root)
    _set_training(modules, False)
    try:
        with building.forwards(skeleton, watch) as watched:
            sharing = not watched and equal.can_share(skeleton)
            quick = _quickly(skeleton, inputs, modules, count, recorded) if sharing else None
            if quick is not None:
                return quick
            watch.turned = set()
            with flops.counted() if count else nullcontext() as counter:
                _pass(skeleton, inputs, record, watch)
            record.flops = None if counter is None else counter.get_total_flops()
            runs = 0
            while runs < len(watch.sites) and runs < MAX_RUNS:
                watch.flipped, watch.turned = [*watch.sites.values()][runs], set()
                _pass(skeleton, inputs, Record(), watch)
                runs += 1
    finally:
        _set_training(modules, True)
    problems.check()
    return record


def _set_training(modules: list[nn.Module], mode: bool) -> None:
    """As `train(mode)` of each, in an eighth of the time."""
    for module in modules:
        module.__dict__["training"] = mode


def _pass(skeleton: building.Skeleton, inputs: dict[str, Tensor], record: Record, watch: Watch) -> None:
    returned: equal.Returned = []
    try:
        with _recording(returned), torch.no_grad():
            _call(skeleton.root, inputs)
    except (ConfigError, TooLargeError):
        raise
    except _DataError as error:
        record.notes.append(str(error))
    except Exception as error:
        if _depends_on_data(error):
            text = text_problem(error, Path()).what.partition(" fails: ")[0]
            record.notes.append(f"sizes after this depend on data and were not checked: {text}")
            return
        watch.turned = set()
        raise ConfigError(_misfits(skeleton, inputs) or [explain(skeleton, error, returned)]) from error
    finally:
        record.add(returned)


def _misfits(skeleton: building.Skeleton, inputs: dict[str, Tensor]) -> list[Problem]:
    """Every layer of torch whose input does not fit, as if those before it were mended.

    One wrong size may spoil all that comes after it: of layers that miss the same size by the same only the first is
    told, and nothing that fails for another reason.
    """
    found: dict[Hashable, Problem] = {}
    returned: equal.Returned = []
    on_meta = skeleton.device.type == "meta"
    factory = Factory(skeleton.device, skeleton.dtype, True, math.inf if on_meta else MAX_ACTIVATIONS)

    def tolerating(module: nn.Module, instance: Instance, layer: Layer) -> Callable[..., Any]:
        def forward(*inputs: Any, **keywords: Any) -> Any:
            try:
                return type(module).forward(module, *inputs, **keywords)
            except Exception as error:
                expected = sizes.expected(layer, instance.arguments, inputs, keywords)
                if expected is None:
                    raise
                argument, _, size = expected.partition("; write ")[2].partition("=")
                cause = sizes.given_size(instance.arguments, argument), size
                if module not in told:
                    told.add(module)
                    found.setdefault(cause, _explain_layer(skeleton, module, inputs, error, returned))
                if not size:
                    raise
                mended = {**instance.arguments, argument: int(size)}
                return factory.layer(type(module), instance.positional, mended).eval().forward(*inputs, **keywords)

        return forward

    told: set[nn.Module] = set()
    changed: list[nn.Module] = []
    try:
        for module in building.modules(skeleton.root):
            instance = None if isinstance(module, building.Unsized) else skeleton.instances.get(id(module))
            layer = None if instance is None else instance.layer
            if instance is not None and layer is not None and layer.name in sizes.SIZES and not layer.registered:
                changed.append(module)
                module.__dict__["forward"] = tolerating(module, instance, layer)
        with suppress(Exception), _recording(returned), torch.no_grad():  # what fails otherwise ends it
            _call(skeleton.root, inputs)
    finally:
        for module in changed:
            del module.__dict__["forward"]
    return list(found.values())


def _check_floating(inputs: tuple[Any, ...]) -> None:
    """Meta lets integers pass where a layer multiplies them with its weights."""
    first = next((each for each in inputs if isinstance(each, Tensor)), None)
    if first is not None and not first.is_floating_point() and not first.is_complex():
        raise TypeError(f"it takes floating numbers, not {str(first.dtype).removeprefix('torch.')}")


def _quickly(
    skeleton: building.Skeleton, inputs: dict[str, Tensor], modules: list[nn.Module], count: bool, recorded: bool
) -> Record | None:
    """What a run saw in which one of equal modules stands for all; None if it fails, which another run explains."""
    returned: equal.Returned | None = [] if recorded else None
    try:
        with (
            torch.no_grad(),
            flops.counted() if count else nullcontext() as counter,
            nullcontext() if returned is None else _recording(returned),
            equal.once(skeleton, modules, returned, counter) as memory,
        ):
            _call(skeleton.root, inputs)
    except TooLargeError:
        raise
    except Exception:
        return None
    record = Record(flops=memory.flops if count else None)
    record.add(returned or ())
    return record


def _call(root: nn.Module, inputs: dict[str, Tensor]) -> None:
    root(**inputs) if _by_name(root) else root(*inputs.values())


def _by_name(root: nn.Module) -> bool:
    return hasattr(type(root), "frozen")


class _DataError(Exception):
    """The shape of a value depends on data."""


def _depends_on_data(error: Exception) -> bool:
    text = str(error)
    return isinstance(error, NotImplementedError) or "data-dependent" in text or "meta tensors" in text


@contextmanager
def _recording(returned: equal.Returned) -> Iterator[None]:
    """While it lasts, what each module of this thread returns is kept."""
    thread, activations = threading.get_ident(), 0

    def after(module: nn.Module, inputs: Any, output: Any) -> None:
        nonlocal activations
        if threading.get_ident() == thread:
            name = type(module).__name__  # a block may have the name of a layer
            torchs = name in sizes.SIZES and getattr(nn, name, None) is type(module)
            if isinstance(output, Tensor) and output.is_meta and torchs:
                _check_floating(inputs)
            returned.append((module, output))
            if isinstance(output, Tensor) and not output.is_meta:
                activations += output.nbytes
                if activations > MAX_ACTIVATIONS:
                    raise TooLargeError

    handle = hooks.register_module_forward_hook(after)
    try:
        yield
    finally:
        handle.remove()


# -- explaining -------------------------------------------------------------------------------------------------------


def explain(skeleton: building.Skeleton, error: Exception, returned: equal.Returned | None = None) -> Problem:
    """Which layer or line failed, on what, and who made it, if what modules returned was recorded."""
    stack = _entered(error) or [(skeleton.root, ())]
    module, inputs = stack[-1]
    while len(stack) > 1 and id(module) not in skeleton.instances and not isinstance(module, building.Unsized):
        stack.pop()
        module, inputs = stack[-1]
    instance = module.instance if isinstance(module, building.Unsized) else skeleton.instances.get(id(module))
    if isinstance(error, language.LoopError) or (
        instance is not None and instance.block is not None and instance.block.forward
    ):
        return _explain_text(skeleton, module, error)
    return _explain_layer(skeleton, module, inputs, error, returned)


def _explain_layer(
    skeleton: building.Skeleton,
    module: nn.Module,
    inputs: tuple[Any, ...],
    error: Exception,
    returned: equal.Returned | None,
) -> Problem:
    instance = module.instance if isinstance(module, building.Unsized) else skeleton.instances.get(id(module))
    key = Path(("model",)) if instance is None else instance.key
    name = _name(skeleton, module)
    hint = ""
    if isinstance(error, TextError):
        what, hint = error.what, error.hint
    else:
        expected = None
        if instance is not None and instance.layer is not None and not isinstance(module, building.Unsized):
            try:
                expected = sizes.expected(instance.layer, instance.arguments, inputs) or sizes.expected(
                    instance.layer, module, inputs
                )
            except Exception:
                expected = None
            expected, hint = _first_call(skeleton, module, expected)
        shown = instance.call() if instance is not None else type(module).__name__
        got = ", ".join(map(_shown, inputs))
        what = (
            f"'{name}' is {shown}: it {expected}"
            if expected
            else f"'{name}' is {shown} and cannot take {got}: {_first_line(error)}"
        )
    source = None if returned is None else _producer(skeleton, inputs, returned)
    return Problem(path=str(key), key=key, what=f"{what.rstrip('.')}.", hint=hint, beside=source)


def _first_call(skeleton: building.Skeleton, module: nn.Module, expected: str | None) -> tuple[str | None, str]:
    """What is expected, and a hint: a size that the config leaves out was decided before."""
    found = next((each.found for each in skeleton.unsized if module in each.layer), {})
    seen, _, size = (expected or "").partition("; write ")
    name = size.partition("=")[0]
    if name not in found:
        return expected, ""
    return seen, f"Its first input decided {name}={found[name]}: all others must agree."


def _shown(value: Any) -> str:
    if isinstance(value, (tuple, list, dict)):
        return f"{type(value).__name__} {shape_of(value)}"
    return str(list(value.shape)) if isinstance(value, Tensor) else repr(value)


def _entered(error: Exception) -> list[tuple[nn.Module, Any]]:
    """The modules whose calls an error came through, the outermost first, with their inputs."""
    calls: list[tuple[nn.Module, Any]] = []
    trace = error.__traceback__
    while trace is not None:
        frame = trace.tb_frame
        if frame.f_code is nn.Module._call_impl.__code__:
            calls.append((frame.f_locals["self"], frame.f_locals["args"]))
        trace = trace.tb_next
    return calls


def _producer(skeleton: building.Skeleton, inputs: Any, returned: list[tuple[nn.Module, Any]]) -> Beside:
    """Who made the input, and where it stands in the config."""
    returned = [each for each in returned if id(each[0]) in skeleton.instances]
    produced = {id(output): module for module, output in reversed(returned)}
    made = [produced[id(each)] for each in inputs if each is not None and id(each) in produced]
    last = [module for module, _ in returned[-1:]]
    text = "The input is what '{name}' returns{}." if made else "The layer called before is '{name}'{}."
    for module in (*made, *last):
        instance = skeleton.instances.get(id(module))
        key = Path(("model",)) if instance is None else instance.key
        return Beside(text=text.replace("{name}", _name(skeleton, module)), key=key)
    return Beside(text="The input is the model's{}.", key=Path(("model", "inputs")))


def _name(skeleton: building.Skeleton, module: nn.Module) -> str:
    names = {id(each): name for name, each in skeleton.root.named_modules()}
    for unsized in skeleton.unsized:
        names.update({id(layer): names.get(id(unsized), "") for layer in unsized.layer})
    return str(names.get(id(module), ""))


def _text_key(skeleton: building.Skeleton, owner: nn.Module) -> Path:
    instance = skeleton.instances.get(id(owner))
    return Path(("model",)) if instance is None else instance.key / "forward"


def _explain_text(skeleton: building.Skeleton, module: nn.Module, error: Exception) -> Problem:
    module = next((frame.f_locals["_self"] for frame, _ in reversed(_texts(error))), module)
    problem = text_problem(error, _text_key(skeleton, module))
    absent = [name for name, child in module._modules.items() if child is None]
    name = next((each for each in absent if re.match(rf".*\b{each}[(.\[].* fails: 'NoneType'", problem.what)), None)
    if name is None:
        return problem
    what = f"'{name}' is absent here: it is null, or its _if_ is false."
    return replace(problem, what=what, hint=f"Write {name}(x) if {name} else x.")


def text_problem(error: BaseException, key: Path) -> Problem:
    """What went wrong inside a `forward` text, at its line."""
    line, text = 0, ""
    for frame, number in _texts(error):
        line, text = number, linecache.getline(frame.f_code.co_filename, number).strip()
    if isinstance(error, language.LoopError):
        line = error.line
        text = linecache.getline(error.filename, error.line).strip()
        what = f"this loop did not end after {error.steps:,} steps: {text}"
        return Problem(
            path=str(key),
            key=key,
            what=what,
            hint="Set max_steps=... if it should turn more often.",
            line=line,
            column=1,
        )
    what = f"{text} fails: {_first_line(error)}" if text else _first_line(error)
    return Problem(path=str(key), key=key, what=what, line=line, column=1 if line else 0)


def _texts(error: BaseException) -> list[tuple[FrameType, int]]:
    """The `forward` texts that an error came through, with its line in each, the outermost first."""
    found = []
    trace = error.__traceback__
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if name.startswith("<") and ".forward " in name:
            found.append((trace.tb_frame, trace.tb_lineno))
        trace = trace.tb_next
    return found


def _first_line(error: BaseException) -> str:
    if isinstance(error, KeyError):
        return f"there is no {error} here"
    lines = str(error).strip().splitlines()
    return lines[0].removesuffix(", but expected one of:") if lines else type(error).__name__


def example(inputs: tuple[Input, ...], device: torch.device) -> dict[str, Tensor]:
    """Inputs for a dry run: zeros of the right shapes."""
    return {each.name: torch.zeros(each.shape, dtype=getattr(torch, each.dtype), device=device) for each in inputs}
