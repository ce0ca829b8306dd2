"""Which layer or line failed, on what, and who made that."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from modelzoo.catalog import sizes
from modelzoo.errors import Beside, Path, Problem, TextError, first_line
from modelzoo.language import compiler, runtime
from modelzoo.modules import equal, misuse, sites, slips
from modelzoo.modules.failures import is_of_dtypes
from modelzoo.modules.recording import MAX_ACTIVATIONS, shape_of
from modelzoo.modules.skeleton import Skeleton, Unsized
from modelzoo.modules.torch_layers import Factory
from modelzoo.spec.instances import BlockInstance, Instance, LayerInstance

COPIES = "Copies follow each other: each must take what the one before it returns."
"""What is said instead of a size that would mend one copy and break the next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedCall:
    """A call that failed: of what, with what, why, and how many modules had returned before.

    Attributes:
        site: the text that calls.
        item: the reference in a sequence that does.
        needed: by other calls: the sizes that this one contradicts; None is the size that the layer has.
    """

    module: nn.Module
    inputs: tuple[Any, ...]
    keywords: Mapping[str, Any]
    error: Exception
    returned: int
    site: sites.Site | None = None
    item: Path | None = None
    needed: frozenset[int | None] = frozenset()


def mended_layer(
    instance: LayerInstance, misfit: sizes.Misfit, device: torch.device, dtype: torch.dtype
) -> nn.Module | None:
    """The layer with the size that fits, or None where there is no such layer."""
    limit = MAX_ACTIVATIONS if device.type == "cpu" else math.inf
    arguments = {**instance.arguments, misfit.argument: misfit.size}
    if any(isinstance(each, Instance) for each in instance.given):
        return None
    try:
        return Factory(device, dtype, True, limit).layer(instance.layer.cls, instance.positional, arguments).eval()
    except Exception:
        return None


def explain(
    skeleton: Skeleton,
    error: Exception,
    returned: equal.Returned | None = None,
    inputs: Mapping[str, Tensor] = MappingProxyType({}),
    training: bool = False,
) -> Problem:
    """Which layer or line failed, on what, and who made it, if what modules returned was recorded.

    A layer that a text calls is placed there, as is one that a text calls again, or in `training`: it may do so there
    alone. Any other is placed where the config has it.
    """
    stack = entered(error) or [FailedCall(module=skeleton.root, inputs=(), keywords={}, error=error, returned=0)]
    while len(stack) > 1 and not _is_known(skeleton, stack[-1].module):
        stack.pop()
    module = stack[-1].module
    instance = _instance(skeleton, module)
    if isinstance(error, runtime.EndlessError) or (isinstance(instance, BlockInstance) and instance.block.forward):
        return _explain_text(skeleton, module, error)
    return Explaining(skeleton, inputs).layer(
        located(skeleton, stack[-1], sites.frames_of(error), returned, training), returned
    )


def located(
    skeleton: Skeleton, call: FailedCall, frames: sites.Frames, returned: equal.Returned | None, training: bool
) -> FailedCall:
    """A call that failed, with the place that is to blame where it is not the layer's own."""
    before = [module for module, _ in returned or ()]
    again = any(each is call.module for each in before)
    site = sites.text_site(frames, call.module)
    if site is None or not (site.direct or again or training):
        site = None
    item = sites.item(skeleton, frames, call.module, before) if again and site is None else None
    return replace(call, site=site, item=item, needed=frozenset({None}) if again else call.needed)


def _is_known(skeleton: Skeleton, module: nn.Module) -> bool:
    return module in skeleton.instances or isinstance(module, Unsized)


def _instance(skeleton: Skeleton, module: nn.Module) -> Instance | None:
    return module.instance if isinstance(module, Unsized) else skeleton.instances.get(module)


class Explaining:
    """Says why layers cannot take what they get; `inputs` are the model's, by name."""

    def __init__(self, skeleton: Skeleton, inputs: Mapping[str, Tensor]) -> None:
        self.skeleton = skeleton
        self.inputs = {id(each): name for name, each in inputs.items()}
        self.names = {each: name for name, each in skeleton.root.named_modules()}
        for unsized in skeleton.unsized:
            self.names.update({layer: self.names.get(unsized, "") for layer in unsized.layer})

    def layer(self, call: FailedCall, returned: equal.Returned | None) -> Problem:
        module, error, instance = call.module, call.error, _instance(self.skeleton, call.module)
        key = Path(("model",)) if instance is None else instance.key
        values: Sequence[Any] = (*call.inputs, *call.keywords.values())
        hint = ""
        if isinstance(error, TextError):
            what, hint = error.what, error.hint
        else:
            misfit = self.misfit(module, instance, call)
            shown = instance.call() if instance is not None else type(module).__name__
            subject = f"'{self.names.get(module, '')}' is {shown}"
            if misfit is None:
                shown_as = _shown_with_dtype if is_of_dtypes(error) else shown_value
                named = (f"{name}={shown_as(each)}" for name, each in call.keywords.items())
                got = ", ".join((*map(shown_as, call.inputs), *named)) or "nothing"
                what = f"{subject} and cannot take {got}: {first_line(error)}"
                hint = self.remedy(call, instance, values)
            else:
                expected, hint = _first_call(self.skeleton, call, misfit)
                what, values = f"{subject}: it {expected}", [misfit.value]
                hint = hint or self.remedy(call, instance, values, misfit)
                if call.needed and isinstance(instance, LayerInstance) and not hint:
                    hint = self.clash(call, instance, misfit, returned or [])
        beside = () if returned is None or not values else (self.producer(values, returned),)
        what, line, column, own = f"{what.rstrip('.')}.", 0, 0, key
        if call.site is not None:
            key, line, column = text_key(self.skeleton, call.site.owner), call.site.line, call.site.column
        elif call.item is not None:
            key = call.item
        if key != own:
            beside = (Beside(text=f"It is {own}{{}}.", key=own), *beside)
        return Problem(path=str(key), key=key, what=what, hint=hint, beside=beside, line=line, column=column)

    def remedy(
        self, call: FailedCall, instance: Instance | None, values: Sequence[Any], misfit: sizes.Misfit | None = None
    ) -> str:
        """What to write where a layer gets what it cannot take."""
        if instance is None:
            return ""
        return misuse.remedy(
            misuse.Misuse(
                kind=instance.layer.name if isinstance(instance, LayerInstance) else "",
                arguments=instance.arguments if isinstance(instance, LayerInstance) else {},
                name=self.names.get(call.module, "").rpartition(".")[2],
                values=values,
                error=call.error,
                input=self.inputs.get(id(values[0]), "") if values else "",
                misfit=misfit,
                called=call.site is not None,
            )
        )

    def misfit(self, module: nn.Module, instance: Instance | None, call: FailedCall) -> sizes.Misfit | None:
        """Why it does not fit, with a size that does where there is a layer of that size."""
        if not isinstance(instance, LayerInstance) or isinstance(module, Unsized):
            return None
        found = None
        with suppress(Exception):
            for given in (instance.arguments, module):
                found = found or sizes.misfit(instance.layer, given, call.inputs, call.keywords)
        if found is None or found.size is None:
            return found
        if call.needed:
            return replace(found, size=None)
        fits = instance.layer.registered or mended_layer(instance, found, torch.device("meta"), self.skeleton.dtype)
        return found if fits else replace(found, size=None)

    def clash(self, call: FailedCall, instance: LayerInstance, misfit: sizes.Misfit, returned: equal.Returned) -> str:
        """Why no size is offered to a layer of which other calls need another."""
        made = [module for module, output in returned if output is misfit.value]
        before = self.skeleton.instances.get(made[-1]) if made else None
        if before is not None and before is not instance and before.key == instance.key:
            return COPIES
        given = instance.arguments.get(misfit.argument)
        needed = [each for each in (given if size is None else size for size in call.needed) if each is not None]
        return f"Another call needs {misfit.argument}={needed[0]}." if needed else ""

    def producer(self, values: Iterable[Any], returned: equal.Returned) -> Beside:
        """Who made the input, and where it stands in the config."""
        instances, values = self.skeleton.instances, list(values)
        returned = [each for each in returned if each[0] in instances]
        produced = {id(output): module for module, output in reversed(returned)}
        made = [produced[id(each)] for each in values if each is not None and id(each) in produced]
        names = [self.inputs[id(each)] for each in values if id(each) in self.inputs]
        if names and not made:
            return Beside(text=f"The input is the model's '{names[0]}'{{}}.", key=Path(("model", "inputs", names[0])))
        last = [module for module, _ in returned[-1:]]
        text = "The input is what '{name}' returns{}." if made else "The layer called before is '{name}'{}."
        for module in (*made, *last):
            instance = instances.get(module)
            key = Path(("model",)) if instance is None else instance.key
            return Beside(text=text.replace("{name}", self.names.get(module, "")), key=key)
        return Beside(text="The input is the model's{}.", key=Path(("model", "inputs")))


def _first_call(skeleton: Skeleton, call: FailedCall, misfit: sizes.Misfit) -> tuple[str, str]:
    """What is expected, and a hint: a size that the config leaves out was decided before."""
    found = next((each.found for each in skeleton.unsized if call.module in each.layer), {})
    if misfit.argument not in found or (misfit.size is None and not call.needed):
        return str(misfit), ""
    return misfit.what, f"Its first input decided {misfit.argument}={found[misfit.argument]}: all others must agree."


def shown_value(value: Any) -> str:
    """What a layer gets, as a message shows it: shapes of tensors, anything else as it is."""
    if isinstance(value, (tuple, list, dict)):
        return f"{type(value).__name__} {shape_of(value)}"
    return str(list(value.shape)) if isinstance(value, Tensor) else repr(value)


def _shown_with_dtype(value: Any) -> str:
    dtype = f" {value.dtype}".replace("torch.", "") if isinstance(value, Tensor) else ""
    return f"{shown_value(value)}{dtype}"


def entered(error: Exception) -> list[FailedCall]:
    """The modules whose calls an error came through, the outermost first, with their inputs."""
    calls: list[FailedCall] = []
    trace = error.__traceback__
    while trace is not None:
        frame = trace.tb_frame
        if frame.f_code is nn.Module._call_impl.__code__:
            seen = frame.f_locals
            call = FailedCall(
                module=seen["self"], inputs=seen["args"], keywords=seen["kwargs"], error=error, returned=0
            )
            calls.append(call)
        trace = trace.tb_next
    return calls


def text_key(skeleton: Skeleton, owner: nn.Module) -> Path:
    """The key of a block\'s `forward`."""
    instance = skeleton.instances.get(owner)
    return Path(("model",)) if instance is None else instance.key / "forward"


def _explain_text(skeleton: Skeleton, module: nn.Module, error: Exception) -> Problem:
    module = next((frame.f_locals["_self"] for frame, _ in reversed(compiler.texts(error))), module)
    problem = text_problem(error, text_key(skeleton, module))
    line = failing_line(error)
    if not line or "NoneType" not in first_line(error):
        return problem
    frame = compiler.texts(error)[-1][0]
    given = frame.f_code.co_varnames[: frame.f_code.co_argcount]
    absent = [name for name, child in module._modules.items() if child is None]
    tensors = [name for name, each in (*module._parameters.items(), *module._buffers.items()) if each is None]
    null = [name for name in given if frame.f_locals.get(name, name) is None]
    name = next((each for each in (*absent, *tensors, *null) if re.search(rf"\b{re.escape(each)}\b", line)), None)
    if name is None:
        return problem
    if name in tensors:
        what = f"'{name}' is absent here: its _if_ is false."
        return replace(problem, what=what, hint=f"Ask for it first: if {name} is not None:")
    if name in null:
        return replace(problem, what=f"'{name}' is null here.", hint=f"Ask for it first: if {name} is not None:")
    what = f"'{name}' is absent here: it is null, or its _if_ is false."
    called = f"{name}(" in line
    return replace(
        problem, what=what, hint=f"Write {name}(x) if {name} else x." if called else f"Ask for it first: if {name}:"
    )


def failing_line(error: BaseException) -> str:
    """The line of the innermost text that an error came through; empty if it came through none."""
    return next((compiler.line_of(frame.f_code, number) for frame, number in compiler.texts(error)[-1:]), "")


def text_problem(error: BaseException, key: Path) -> Problem:
    """What went wrong inside a `forward` text, at its line."""
    line, text, hint = 0, failing_line(error), ""
    for frame, line in compiler.texts(error)[-1:]:
        hint = slips.hint(error, frame, line)
    if isinstance(error, runtime.LoopError):
        hint = "Set max_steps=... if it should turn more often."
        return Problem(path=str(key), key=key, what=error.what, hint=hint, line=error.line, column=1)
    what = f"{text} fails: {first_line(error)}" if text else first_line(error)
    return Problem(path=str(key), key=key, what=what, hint=hint, line=line, column=1 if line else 0)
