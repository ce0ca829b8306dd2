"""The dry run: one pass through the model's forwards, before any fill, that checks shapes and finds those left out."""

from __future__ import annotations

import linecache
import math
import re
import sys
import threading
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from types import FrameType, MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as hooks

from modelzoo import bounds
from modelzoo.catalog import sizes
from modelzoo.catalog.layers import Layer
from modelzoo.errors import Beside, ConfigError, Path, Problem, Problems, TextError, first_line
from modelzoo.language import compiler, runtime
from modelzoo.modules import construct, equal, flops, modes
from modelzoo.modules.failures import depends_on_data, is_of_dtypes, is_of_example
from modelzoo.modules.inputs import Input
from modelzoo.modules.strict import strictly
from modelzoo.modules.torch_layers import Factory, TooLargeError
from modelzoo.modules.uncompiled import uncompiled
from modelzoo.spec.instances import Instance

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

    def renumber(self, ids: Mapping[int, int]) -> None:
        """Says the same of the modules that took the places of others."""
        self.outputs = {ids[each]: seen for each, seen in self.outputs.items() if each in ids}
        self.calls = {ids[each]: seen for each, seen in self.calls.items() if each in ids}
        self.turns = {ids[each]: seen for each, seen in self.turns.items() if each in ids}

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

    def __init__(self, problems: Problems, skeleton: construct.Skeleton, operations: runtime.Operations) -> None:
        self.problems, self.skeleton, self.operations = problems, skeleton, operations
        self.cost = runtime.ON_META if skeleton.device.type == "meta" else 1
        self.carried = 0
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

    def called(self) -> None:
        """A module is called, which takes as long as many operations of a loop."""
        self.operations.spend(40)

    def worked(self, count: int, *carried: Any) -> None:
        """A loop turns; what grows on the CPU is looked at on meta."""
        self.operations.spend(count * self.cost)
        self.carried += sum(map(_bytes_at_end, carried))
        if self.carried > MAX_ACTIVATIONS:
            raise TooLargeError

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


@uncompiled()
def dry_run(
    skeleton: construct.Skeleton,
    inputs: dict[str, Tensor],
    count: bool = False,
    recorded: bool = True,
    training: bool = False,
) -> Record:
    """Runs the model once on example inputs, and once more for each condition on data, flipped.

    All that in evaluation, and again in training, where a text asks which of the two it is.

    Args:
        skeleton: modules on zeros or on meta.
        inputs: by name, on the skeleton's device; without any nothing is run.
        count: whether floating-point operations are counted, which takes a multiple of the time.
        recorded: whether what each module returns will be asked for; without it a run that succeeds is enough.
        training: whether it is asked for training, where an example that is too small for it is a mistake.

    Returns:
        what was seen in the mode that is asked for, with the notes of both.

    Raises:
        ConfigError: what does not fit, with the layer, its place and both shapes.
    """
    if not inputs:
        return Record()
    modules = construct.modules(skeleton.root)
    shared = modes.Trials(_layers(skeleton)), runtime.Operations("forwards")
    found: list[Record] = []
    failed: list[tuple[bool, ConfigError]] = []
    try:
        with strictly(skeleton.device):
            for mode in modes.modes(skeleton):
                modes.enter(modules, mode)
                try:
                    found.append(_run(skeleton, inputs, modules, _Mode(mode, training, *shared), count, recorded))
                except ConfigError as error:
                    failed.append((mode, error))
                    if isinstance(error.__cause__, runtime.EndlessError):
                        break
    finally:
        for module in modules:  # as `train()` of each, in an eighth of the time
            module.__dict__["training"] = True
    if failed:
        raise ConfigError(_told_once(failed)) from failed[0][1].__cause__
    asked = found[-1 if training else 0]
    asked.notes[:] = dict.fromkeys(note for each in found for note in each.notes)
    return asked


def _told_once(failed: list[tuple[bool, ConfigError]]) -> list[Problem]:
    """The problems of all modes; those of training alone say so."""
    told: dict[str, Problem] = {}
    for training, error in failed:
        for each in error.problems:
            told.setdefault(each.what, _in_training(each) if training else each)
    return list(told.values())


def _in_training(problem: Problem) -> Problem:
    return replace(problem, what=f"In training: {problem.what}")


@dataclass(frozen=True, slots=True)
class _Mode:
    """What a run is made in, and whether training is asked for; with what the runs of all modes share."""

    training: bool
    asked: bool
    trials: modes.Trials
    operations: runtime.Operations


def _run(
    skeleton: construct.Skeleton,
    inputs: dict[str, Tensor],
    modules: list[nn.Module],
    mode: _Mode,
    count: bool,
    recorded: bool,
) -> Record:
    """What is seen in one mode."""
    problems, record = Problems(), Record()
    watch = Watch(problems, skeleton, mode.operations)
    forwards = construct.forwards(skeleton, watch, watch.worked)
    with forwards as watched, _counted(skeleton, watch):
        sharing = not watched and equal.can_share(skeleton)
        quick = _quickly(skeleton, inputs, modules, mode, count, recorded) if sharing else None
        if quick is not None:
            return quick
        watch.turned = set()
        with flops.counted() if count else nullcontext() as counter:
            _pass(skeleton, inputs, record, watch, mode)
        record.flops = None if counter is None else counter.get_total_flops()
        runs = 0
        while runs < len(watch.sites) and runs < bounds.BRANCHES:
            watch.flipped, watch.turned = [*watch.sites.values()][runs], set()
            _pass(skeleton, inputs, Record(notes=record.notes), watch, mode)
            runs += 1
        if runs < len(watch.sites):
            record.notes.append(f"of {len(watch.sites)} conditions on data only {runs} were checked both ways")
    problems.check()
    return record


def _pass(skeleton: construct.Skeleton, inputs: dict[str, Tensor], record: Record, watch: Watch, mode: _Mode) -> None:
    returned: equal.Returned = []
    refused: list[_Call] = []

    def keep(module: nn.Module, given: tuple[Any, ...], keywords: dict[str, Any], error: Exception) -> None:
        call = _Call(module=module, inputs=given, keywords=keywords, error=error, returned=len(returned))
        refused.append(call)

    try:
        with mode.trials.made(keep), _recording(returned), torch.no_grad():
            _call(skeleton.root, inputs)
    except (ConfigError, TooLargeError):
        raise
    except Exception as error:
        if depends_on_data(error):
            text = text_problem(error, Path()).what.partition(" fails: ")[0]
            record.notes.append(f"sizes after this depend on data and were not checked: {text}")
            return
        if mode.training and not mode.asked and is_of_example(error):
            record.notes.append(_too_small(explain(skeleton, error, returned, inputs)))
            return
        watch.turned = set()
        problems = _misfits(skeleton, inputs, mode) or [explain(skeleton, error, returned, inputs, mode.training)]
        raise ConfigError(problems) from error
    finally:
        record.add(returned)
    explaining = _Explaining(skeleton, inputs)
    for each in refused:
        problem = explaining.layer(each, returned[: each.returned])
        if is_of_example(each.error) and not mode.asked:
            record.notes.append(_too_small(problem))
        else:
            watch.problems.note(problem if mode.training else _in_training(problem))


def _too_small(problem: Problem) -> str:
    return f"this example cannot be used in training: {problem.what.rstrip('.')}"


@contextmanager
def _counted(skeleton: construct.Skeleton, watch: Watch) -> Iterator[None]:
    """While it lasts, calls of this thread's modules count, if there is a text that may call one again and again."""
    thread = threading.get_ident()

    def before(module: nn.Module, inputs: Any) -> None:
        if threading.get_ident() == thread:
            watch.called()

    texts = any(instance.block is not None and instance.block.forward for _, instance in skeleton.blocks)
    handle = hooks.register_module_forward_pre_hook(before) if texts else None
    try:
        yield
    finally:
        if handle is not None:
            handle.remove()


def _bytes_at_end(value: Any) -> int:
    """Of a tensor on the CPU, or of the last one in a list: what a turn of a loop may have added."""
    while isinstance(value, (list, tuple)) and value:
        value = value[-1]
    return value.nbytes if isinstance(value, Tensor) and not value.is_meta else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """A call that failed: of what, with what, why, how many modules had returned before, and in which text and line."""

    module: nn.Module
    inputs: tuple[Any, ...]
    keywords: Mapping[str, Any]
    error: Exception
    returned: int
    line: tuple[nn.Module, int] | None = None


def _misfits(skeleton: construct.Skeleton, inputs: dict[str, Tensor], mode: _Mode) -> list[Problem]:
    """Every layer of torch whose input does not fit, as if those before it were mended.

    One wrong size may spoil all that comes after it: of layers that miss the same size by the same only the first is
    told, of those that one key of the config makes only the first, and nothing that fails for another reason.
    """
    calls: list[_Call] = []
    causes: set[Hashable] = set()
    keys: set[Path] = set()
    mended: dict[tuple[nn.Module, int], nn.Module | None] = {}
    returned: equal.Returned = []

    def tolerating(module: nn.Module, instance: Instance, layer: Layer) -> Callable[..., Any]:
        def forward(*inputs: Any, **keywords: Any) -> Any:
            try:
                return type(module).forward(module, *inputs, **keywords)
            except Exception as error:
                misfit = sizes.misfit(layer, instance.arguments, inputs, keywords)
                if misfit is None:
                    raise
                cause = sizes.given_size(instance.arguments, misfit.argument), misfit.size
                if cause not in causes and instance.key not in keys and len(calls) < bounds.PROBLEMS:
                    line = _calling() if mode.training else None
                    call = _Call(
                        module=module, inputs=inputs, keywords=keywords, error=error, returned=len(returned), line=line
                    )
                    calls.append(call)
                causes.add(cause)
                keys.add(instance.key)
                if misfit.size is None:
                    raise
                case = module, misfit.size
                if case not in mended:
                    mended[case] = _mended(instance, misfit, skeleton.device, skeleton.dtype)
                fitting = mended[case]
                if fitting is None:
                    raise
                return fitting.forward(*inputs, **keywords)

        return forward

    changed: list[nn.Module] = []
    try:
        for module, instance, layer in _layers(skeleton):
            if layer.name in sizes.SIZES and not isinstance(module, construct.Unsized):
                changed.append(module)
                module.__dict__["forward"] = tolerating(module, instance, layer)
        with suppress(Exception), _recording(returned), torch.no_grad():  # what fails otherwise ends it
            _call(skeleton.root, inputs)
    finally:
        for module in changed:
            module.__dict__.pop("forward", None)
    explaining = _Explaining(skeleton, inputs)
    return [explaining.layer(each, returned[: each.returned]) for each in calls]


def _layers(skeleton: construct.Skeleton) -> Iterator[tuple[nn.Module, Instance, Layer]]:
    """The layers of torch: not those that a user's code may change, or expect to fail."""
    layers = [
        (module, instance, instance.layer)
        for module in construct.modules(skeleton.root)
        if (instance := skeleton.instances.get(id(module))) is not None and instance.layer is not None
    ]
    theirs = {part for module, _, layer in layers if layer.registered for part in module.modules()}
    for module, instance, layer in layers:
        if not layer.registered and module not in theirs:
            yield module, instance, layer


def _mended(instance: Instance, misfit: sizes.Misfit, device: torch.device, dtype: torch.dtype) -> nn.Module | None:
    """The layer with the size that fits, or None where there is no such layer."""
    assert instance.layer is not None
    limit = MAX_ACTIVATIONS if device.type == "cpu" else math.inf
    arguments = {**instance.arguments, misfit.argument: misfit.size}
    if any(isinstance(each, Instance) for each in (*arguments.values(), *instance.positional)):
        return None
    try:
        return Factory(device, dtype, True, limit).layer(instance.layer.cls, instance.positional, arguments).eval()
    except Exception:
        return None


def _quickly(
    skeleton: construct.Skeleton,
    inputs: dict[str, Tensor],
    modules: list[nn.Module],
    mode: _Mode,
    count: bool,
    recorded: bool,
) -> Record | None:
    """What a run saw in which one of equal modules stands for all; None if it fails, which another run explains."""
    returned: equal.Returned | None = [] if recorded else None

    def end(module: nn.Module, given: tuple[Any, ...], keywords: dict[str, Any], error: Exception) -> None:
        raise error

    try:
        with (
            mode.trials.made(end),
            torch.no_grad(),
            flops.counted() if count else nullcontext() as counter,
            nullcontext() if returned is None else _recording(returned),
            equal.once(skeleton, modules, returned, counter) as memory,
        ):
            _call(skeleton.root, inputs)
    except TooLargeError:
        raise
    except runtime.EndlessError as error:
        raise ConfigError([explain(skeleton, error)]) from error
    except Exception:
        return None
    record = Record(flops=memory.flops if count else None)
    record.add(returned or ())
    return record


def _call(root: nn.Module, inputs: dict[str, Tensor]) -> None:
    root(**inputs) if _by_name(root) else root(*inputs.values())


def _by_name(root: nn.Module) -> bool:
    return hasattr(type(root), "frozen")


@contextmanager
def _recording(returned: equal.Returned) -> Iterator[None]:
    """While it lasts, what each module of this thread returns is kept."""
    thread, activations = threading.get_ident(), 0

    def after(module: nn.Module, inputs: Any, output: Any) -> None:
        nonlocal activations
        if threading.get_ident() == thread:
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


def explain(
    skeleton: construct.Skeleton,
    error: Exception,
    returned: equal.Returned | None = None,
    inputs: Mapping[str, Tensor] = MappingProxyType({}),
    training: bool = False,
) -> Problem:
    """Which layer or line failed, on what, and who made it, if what modules returned was recorded.

    A layer is placed where the config has it; with `training` where a text calls it: it may do so there alone.
    """
    stack = _entered(error) or [_Call(module=skeleton.root, inputs=(), keywords={}, error=error, returned=0)]
    while len(stack) > 1 and not _is_known(skeleton, stack[-1].module):
        stack.pop()
    module = stack[-1].module
    instance = _instance(skeleton, module)
    if isinstance(error, runtime.EndlessError) or (
        instance is not None and instance.block is not None and instance.block.forward
    ):
        return _explain_text(skeleton, module, error)
    texts = compiler.texts(error) if training else []
    line = (texts[-1][0].f_locals["_self"], texts[-1][1]) if texts else None
    return _Explaining(skeleton, inputs).layer(replace(stack[-1], line=line), returned)


def _is_known(skeleton: construct.Skeleton, module: nn.Module) -> bool:
    return id(module) in skeleton.instances or isinstance(module, construct.Unsized)


def _instance(skeleton: construct.Skeleton, module: nn.Module) -> Instance | None:
    return module.instance if isinstance(module, construct.Unsized) else skeleton.instances.get(id(module))


class _Explaining:
    """Says why layers cannot take what they get; `inputs` are the model's, by name."""

    def __init__(self, skeleton: construct.Skeleton, inputs: Mapping[str, Tensor]) -> None:
        self.skeleton = skeleton
        self.inputs = {id(each): name for name, each in inputs.items()}
        self.names = {id(each): name for name, each in skeleton.root.named_modules()}
        for unsized in skeleton.unsized:
            self.names.update({id(layer): self.names.get(id(unsized), "") for layer in unsized.layer})

    def layer(self, call: _Call, returned: equal.Returned | None) -> Problem:
        module, error, instance = call.module, call.error, _instance(self.skeleton, call.module)
        key = Path(("model",)) if instance is None else instance.key
        values: Sequence[Any] = (*call.inputs, *call.keywords.values())
        hint = ""
        if isinstance(error, TextError):
            what, hint = error.what, error.hint
        else:
            misfit = self.misfit(module, instance, call)
            shown = instance.call() if instance is not None else type(module).__name__
            subject = f"'{self.names.get(id(module), '')}' is {shown}"
            if misfit is None:
                shown_as = _shown_with_dtype if is_of_dtypes(error) else _shown
                named = (f"{name}={shown_as(each)}" for name, each in call.keywords.items())
                got = ", ".join((*map(shown_as, call.inputs), *named))
                what = f"{subject} and cannot take {got}: {first_line(error)}"
                hint = self.repair(instance, values, error)
            else:
                expected, hint = _first_call(self.skeleton, module, misfit)
                what, values = f"{subject}: it {expected}", [misfit.value]
        source = None if returned is None else self.producer(values, returned)
        line = column = 0
        if call.line is not None:
            key, line, column = _text_key(self.skeleton, call.line[0]), call.line[1], 1
        what = f"{what.rstrip('.')}."
        return Problem(path=str(key), key=key, what=what, hint=hint, beside=source, line=line, column=column)

    def repair(self, instance: Instance | None, values: Sequence[Any], error: Exception) -> str:
        """What to write where a layer gets what no layer of its kind takes."""
        if instance is not None and instance.arguments.get("inplace") is True and "in-place" in str(error):
            return "Write inplace=False."
        first = values[0] if values else None
        if isinstance(first, (tuple, list)) and first and isinstance(first[0], Tensor):
            rest = ", ".join(["_"] * (len(first) - 1))
            return f"Take it apart in a forward: y, {rest} = layer(x)." if rest else ""
        indices = instance is not None and instance.layer is not None and instance.layer.name.startswith("Embedding")
        if indices and isinstance(first, Tensor) and first.is_floating_point() and id(first) in self.inputs:
            return f"Write {self.inputs[id(first)]}: {{shape: {list(first.shape)}, dtype: int64}}."
        return ""

    def misfit(self, module: nn.Module, instance: Instance | None, call: _Call) -> sizes.Misfit | None:
        """Why it does not fit, with a size that does where there is a layer of that size."""
        if instance is None or instance.layer is None or isinstance(module, construct.Unsized):
            return None
        found = None
        with suppress(Exception):
            for given in (instance.arguments, module):
                found = found or sizes.misfit(instance.layer, given, call.inputs, call.keywords)
        if found is None or found.size is None:
            return found
        fits = instance.layer.registered or _mended(instance, found, torch.device("meta"), self.skeleton.dtype)
        return found if fits else replace(found, size=None)

    def producer(self, values: Iterable[Any], returned: equal.Returned) -> Beside:
        """Who made the input, and where it stands in the config."""
        instances, values = self.skeleton.instances, list(values)
        returned = [each for each in returned if id(each[0]) in instances]
        produced = {id(output): module for module, output in reversed(returned)}
        made = [produced[id(each)] for each in values if each is not None and id(each) in produced]
        names = [self.inputs[id(each)] for each in values if id(each) in self.inputs]
        if names and not made:
            return Beside(text=f"The input is the model's '{names[0]}'{{}}.", key=Path(("model", "inputs", names[0])))
        last = [module for module, _ in returned[-1:]]
        text = "The input is what '{name}' returns{}." if made else "The layer called before is '{name}'{}."
        for module in (*made, *last):
            instance = instances.get(id(module))
            key = Path(("model",)) if instance is None else instance.key
            return Beside(text=text.replace("{name}", self.names.get(id(module), "")), key=key)
        return Beside(text="The input is the model's{}.", key=Path(("model", "inputs")))


def _first_call(skeleton: construct.Skeleton, module: nn.Module, misfit: sizes.Misfit) -> tuple[str, str]:
    """What is expected, and a hint: a size that the config leaves out was decided before."""
    found = next((each.found for each in skeleton.unsized if module in each.layer), {})
    if misfit.size is None or misfit.argument not in found:
        return str(misfit), ""
    return misfit.what, f"Its first input decided {misfit.argument}={found[misfit.argument]}: all others must agree."


def _shown(value: Any) -> str:
    if isinstance(value, (tuple, list, dict)):
        return f"{type(value).__name__} {shape_of(value)}"
    return str(list(value.shape)) if isinstance(value, Tensor) else repr(value)


def _shown_with_dtype(value: Any) -> str:
    dtype = f" {value.dtype}".replace("torch.", "") if isinstance(value, Tensor) else ""
    return f"{_shown(value)}{dtype}"


def _entered(error: Exception) -> list[_Call]:
    """The modules whose calls an error came through, the outermost first, with their inputs."""
    calls: list[_Call] = []
    trace = error.__traceback__
    while trace is not None:
        frame = trace.tb_frame
        if frame.f_code is nn.Module._call_impl.__code__:
            seen = frame.f_locals
            call = _Call(module=seen["self"], inputs=seen["args"], keywords=seen["kwargs"], error=error, returned=0)
            calls.append(call)
        trace = trace.tb_next
    return calls


def _calling() -> tuple[nn.Module, int] | None:
    """The block whose text calls, and the line."""
    frame: FrameType | None = sys._getframe()
    while frame is not None and not compiler.is_text(frame.f_code):
        frame = frame.f_back
    return None if frame is None else (frame.f_locals["_self"], frame.f_lineno)


def _text_key(skeleton: construct.Skeleton, owner: nn.Module) -> Path:
    instance = skeleton.instances.get(id(owner))
    return Path(("model",)) if instance is None else instance.key / "forward"


def _explain_text(skeleton: construct.Skeleton, module: nn.Module, error: Exception) -> Problem:
    module = next((frame.f_locals["_self"] for frame, _ in reversed(compiler.texts(error))), module)
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
    for frame, number in compiler.texts(error):
        line, text = number, linecache.getline(frame.f_code.co_filename, number).strip()
    if isinstance(error, runtime.LoopError):
        hint = "Set max_steps=... if it should turn more often."
        return Problem(path=str(key), key=key, what=error.what, hint=hint, line=error.line, column=1)
    what = f"{text} fails: {first_line(error)}" if text else first_line(error)
    return Problem(path=str(key), key=key, what=what, line=line, column=1 if line else 0)


def example(inputs: tuple[Input, ...], device: torch.device) -> dict[str, Tensor]:
    """Inputs for a dry run: zeros of the right shapes."""
    return {each.name: torch.zeros(each.shape, dtype=getattr(torch, each.dtype), device=device) for each in inputs}
