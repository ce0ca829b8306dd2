"""What is wrong with the start of a model, in words: each with the tensor that it is about and who decided that."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch import Tensor, nn

from modelzoo.errors import Path
from modelzoo.init.decisions import Decision, NamedFill, Program
from modelzoo.measuring import numbers
from modelzoo.measuring.limits import Limits
from modelzoo.measuring.observed import Seen
from modelzoo.measuring.passing import Pass, first
from modelzoo.measuring.trunk import inside, trunk
from modelzoo.modules.homes import tensors_of

Rule = Mapping[str, object]
"""A rule of an init, as it would be written."""


HIDDEN = ("dead", "saturated", "logits")
"""What is not looked for in a signal that explodes, from which it follows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong with the start.

    Attributes:
        kind: one of `limits.FINDINGS`.
        tensors: the parameters that it is about, by their first names; the first is where it starts.
        what: what was seen, in sentences.
        rule: who decided the first of them: "init.weights", "torch", ..., or nothing where that is not known.
        key: the place of that in the config.
        where: that place as file, line and column, once it was asked for.
        advice: a rule with which it is gone; it was tried. None if none was found.
        instead: whether that rule leaves nothing to the one that decided, and takes its place.
    """

    kind: str
    tensors: tuple[str, ...]
    what: str
    rule: str = ""
    key: Path = Path()
    where: str = ""
    advice: Rule | None = None
    instead: bool = False


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """All that findings are made from.

    Attributes:
        model: the module.
        made: the pass through it.
        input_std: of the first input of real numbers; 1 if there is none.
        decided: what filled its tensors, where that is known.
        limits: what counts as wrong.
    """

    model: nn.Module
    made: Pass
    input_std: float
    decided: Mapping[Tensor, tuple[Decision, ...]] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)

    @cached_property
    def trunk(self) -> list[Seen]:
        return trunk(self.made.calls)

    @cached_property
    def names(self) -> dict[Tensor, str]:
        """The first names of the tensors."""
        return {each: name for name, each in tensors_of(self.model).items()}

    def weights(self, calls: Sequence[Seen], least: int = 2) -> tuple[str, ...]:
        """The parameters of calls and of those that they made, which have so many dimensions."""
        modules = dict.fromkeys(each.module for call in calls for each in inside(call, self.made.calls))
        found = [value for each in modules for value in each._parameters.values() if value is not None]
        return tuple(dict.fromkeys(self.names[each] for each in found if each.ndim >= least))

    def own(self, call: Seen) -> tuple[str, ...]:
        """The parameters of a module itself."""
        return tuple(self.names[each] for each in call.module._parameters.values() if each is not None)


def findings(evidence: Evidence) -> list[Finding]:
    """Everything that is beyond the limits; what follows from something else that was found is left out."""
    found: list[Finding] = []
    for look in _LOOKS:
        before = {each.kind for each in found}
        found += [
            each
            for each in _joined(evidence, look(evidence, before))
            if "explodes" not in before or each.kind not in HIDDEN
        ]
    return found


def _joined(evidence: Evidence, found: Iterator[Finding]) -> Iterator[Finding]:
    """Findings of one kind about tensors that one rule decided, as one; each with its rule."""
    values = tensors_of(evidence.model)
    together: dict[tuple[str, str], list[Finding]] = {}
    for each in found:
        chain = evidence.decided.get(values[each.tensors[0]], ()) if each.tensors else ()
        rule, key = (chain[-1].rule, chain[-1].key) if chain else ("", Path())
        together.setdefault((each.kind, rule), []).append(replace(each, rule=rule, key=key))
    for head, *more in together.values():
        tensors = tuple(dict.fromkeys(name for each in (head, *more) for name in each.tensors))
        rest = f" The same holds for {len(more)} more." if more else ""
        yield replace(head, tensors=tensors, what=head.what + rest)


def _titled(call: Seen) -> str:
    return f"'{call.name}'" if call.name else "the model"


# -- the signal and its gradient --------------------------------------------------------------------------------------


def _signal(evidence: Evidence, _: set[str]) -> Iterator[Finding]:
    """What differs from example to example may not vanish, and what is there at all may not explode."""
    limits, calls = evidence.limits, [each for each in evidence.trunk if each.output is not None]
    calls = calls[: max(len(calls) - 1, 1)]  # how large the last one may be depends on what it means
    stds = [each.output.std for each in calls if each.output is not None]
    usual = max(1.0, evidence.input_std)
    most = [usual * (limits.residual if each.residual else limits.explodes) for each in calls]
    large = [place for place, each in enumerate(stds) if not each <= most[place]]
    if large:
        worst = next((each for each in large if not math.isfinite(stds[each])), max(large, key=stds.__getitem__))
        start = 1 + max((each for each in range(worst) if stds[each] <= usual), default=-1)
        yield _changed(evidence, "explodes", calls[start : worst + 1], [evidence.input_std, *stds][start], stds[worst])
    signals = [each.output.signal for each in calls if each.output is not None]
    usual = min([1.0, evidence.input_std, *(each for each in signals[:1] if each)])
    small = [place for place, each in enumerate(signals) if 0 < each < usual / limits.vanishes]
    if small:
        worst = min(small, key=signals.__getitem__)
        start = 1 + max((each for each in range(worst) if signals[each] > usual), default=-1)
        before = [evidence.input_std, *signals][start]
        yield _changed(evidence, "vanishes", calls[start : worst + 1], before, signals[worst])


def _changed(evidence: Evidence, kind: str, way: Sequence[Seen], before: float, after: float) -> Finding:
    where = f"from {_titled(way[0])} to {_titled(way[-1])}" if len(way) > 1 else f"in {_titled(way[0])}"
    what = f"the signal {kind} {where}: its size goes from {before:.3g} to {after:.3g}."
    return Finding(kind=kind, tensors=evidence.weights(way) or evidence.weights(way, 0), what=what)


def _gradient(evidence: Evidence, before: set[str]) -> Iterator[Finding]:
    if before & {"vanishes", "explodes", "constant", "idle", "dead", "saturated"}:
        return  # it follows from that
    calls = [each for each in evidence.trunk if each.output is not None and each.output.push is not None]
    if len(calls) < 2:
        return
    pushes = [each.output.push or 0.0 for each in calls if each.output is not None]
    wild = [call for call, each in zip(calls, pushes, strict=True) if not math.isfinite(each)]
    if wild:
        what = f"the gradient of what {_titled(wild[-1])} returns is not finite."
        yield Finding(kind="gradient explodes", tensors=evidence.weights(wild[-1:], 0), what=what)
        return
    ratio = pushes[0] / pushes[-1] if pushes[-1] else math.inf
    limit = evidence.limits.gradient
    if 1 / limit <= ratio <= limit:
        return
    kind = "gradient vanishes" if ratio < 1 else "gradient explodes"
    what = (
        f"the {kind} from {_titled(calls[-1])} down to {_titled(calls[0])}: for one example its size goes from "
        f"{pushes[-1]:.3g} to {pushes[0]:.3g}."
    )
    yield Finding(kind=kind, tensors=evidence.weights(calls), what=what)


# -- units and layers -------------------------------------------------------------------------------------------------


def _dead(evidence: Evidence, _: set[str]) -> Iterator[Finding]:
    informed = {each.name for each in evidence.made.calls if each.informed}
    told = {each.name for each in _constants(evidence)}
    for call in evidence.made.calls:
        if call.dead is None or call.dead <= evidence.limits.dead or call.fed in told or call.fed not in informed:
            continue
        told.add(call.fed)
        what = f"{call.dead:.0%} of the units behind {_name(call.fed)} are dead: zero for the whole batch."
        yield Finding(kind="dead", tensors=_feeding(evidence, call.fed), what=what)


def _saturated(evidence: Evidence, _: set[str]) -> Iterator[Finding]:
    told = set()
    for call in evidence.made.calls:
        if call.saturated is not None and call.saturated > evidence.limits.saturated and call.fed not in told:
            told.add(call.fed)
            act = next(each for each in call.acts if each != "relu")
            what = f"{call.saturated:.0%} of what the {act} behind {_name(call.fed)} returns is at its ends."
            yield Finding(kind="saturated", tensors=_feeding(evidence, call.fed), what=what)


def _name(name: str) -> str:
    return f"'{name}'" if name else "the model"


def _feeding(evidence: Evidence, name: str) -> tuple[str, ...]:
    """The parameters of a layer, that first whose values have the largest part in what it returns."""
    own = [value for value in evidence.model.get_submodule(name)._parameters.values() if value is not None]
    biases = [each for each in own if each.ndim == 1 and bool(each.detach().abs().mean() > 1)]
    return tuple(evidence.names[each] for each in sorted(own, key=lambda each: each is not (biases or own)[0]))


def _constant(evidence: Evidence, _: set[str]) -> Iterator[Finding]:
    for call in _constants(evidence):
        tensors = evidence.own(call)
        zero = [name for name in tensors if not tensors_of(evidence.model)[name].detach().any()]
        about = f": '{zero[0]}' is zero" if zero else ""
        ordered = tuple(sorted(tensors, key=lambda name: name not in zero[:1]))
        yield Finding(
            kind="constant", tensors=ordered, what=f"what {_titled(call)} returns does not depend on its input{about}."
        )


def _constants(evidence: Evidence) -> Iterator[Seen]:
    """Layers that are given what differs, and return what does not; or would, since their weight is zero."""
    told = set()
    for call in evidence.made.calls:
        if call.module in told or call.module._modules or call.output is None or call.output.varies:
            continue
        weights = [each for each in call.module._parameters.values() if each is not None and each.ndim > 1]
        zero = bool(weights) and not any(each.detach().any() for each in weights)
        if evidence.own(call) and (call.informed or zero) and math.isfinite(call.output.std):
            told.add(call.module)
            yield call


def _idle(evidence: Evidence, _: set[str]) -> Iterator[Finding]:
    told, values = set(), tensors_of(evidence.model)
    for call in evidence.made.calls:
        if call.added is None or not call.added <= numbers.NOTHING or not call.residual or call.module in told:
            continue
        told.add(call.module)
        tensors = evidence.weights([call], 0)
        zero = [name for name in tensors if not values[name].detach().any() and not name.endswith("bias")]
        if tensors:
            about = f": '{zero[-1]}' is zero" if zero else ""
            what = f"{_titled(call)} returns what it is given, so that it adds nothing{about}."
            yield Finding(
                kind="idle", tensors=tuple(sorted(tensors, key=lambda name: name not in zero[-1:])), what=what
            )


def _equal(evidence: Evidence, _: set[str]) -> Iterator[Finding]:
    known: dict[tuple[object, ...], list[str]] = {}
    values = dict(evidence.model.named_parameters())
    for name, value in values.items():
        flat = value.detach().reshape(-1)
        if flat.numel() < 4 or value.is_meta or bool((flat == flat[0]).all()):
            continue
        case = (tuple(value.shape), value.dtype, *flat[:4].tolist())
        for other in known.get(case, ()):
            if torch.equal(values[other], value):
                yield Finding(kind="equal", tensors=(name, other), what=f"'{name}' has the values of '{other}'.")
                break
        known.setdefault(case, []).append(name)


# -- the output and the rules -----------------------------------------------------------------------------------------


def _logits(evidence: Evidence, _: set[str]) -> Iterator[Finding]:
    last, output = evidence.trunk[-1:], first(evidence.made.output)
    if not last or last[0].output is None or output is None or not output.is_floating_point() or output.ndim < 2:
        return
    whole = evidence.made.calls[-1]
    if whole.output is not last[0].output or not evidence.own(last[0]):
        return  # it is no layer's, so it means something else
    axis = 1 if output.ndim > 3 else -1
    classes = output.shape[axis]
    if classes < 2 or not bool(output.isfinite().all()):
        return
    loss, even = numbers.surprise(output.movedim(axis, -1), classes)
    if loss > evidence.limits.loss * even:
        std = last[0].output.std
        what = (
            f"what {_titled(last[0])} returns has a std of {std:.3g}: as logits of {classes} classes the cross-entropy "
            f"is {loss:.3g} at the start, where an even guess has {even:.3g}."
        )
        yield Finding(kind="logits", tensors=evidence.own(last[0]), what=what)


def _fan(evidence: Evidence, _: set[str]) -> Iterator[Finding]:
    told = set()
    for call in evidence.made.calls:
        weights = [each for each in call.module._parameters.values() if each is not None and each.ndim > 1]
        if len(weights) != 1 or weights[0].ndim != 2 or call.module in told or call.module._modules:
            continue
        (weight,) = weights
        chain, output = evidence.decided.get(weight, ()), call.output
        if not chain or not _reads_fan_in(chain[-1]) or not call.squared or output is None:
            continue
        told.add(call.module)
        rows, columns = weight.shape
        real = output.std**2 / (weight.detach().float().square().mean().item() * call.squared)
        used = columns if chain[-1].fans is None else chain[-1].fans[0]  # type: ignore[attr-defined]
        other = rows if used == columns else columns
        if max(used / other, other / used) > evidence.limits.fan and abs(math.log(real / other)) < math.log(1.5):
            what = (
                f"the fill of '{evidence.names[weight]}' has fan_in={used}, and {_titled(call)} adds up {other} values."
            )
            yield Finding(kind="fan", tensors=(evidence.names[weight],), what=what)


def _reads_fan_in(decision: Decision) -> bool:
    if isinstance(decision, NamedFill):
        return decision.fill.name.startswith("kaiming") and decision.arguments.get("mode") == "fan_in"
    return isinstance(decision, Program) and "fan_in" in decision.program


def _frozen(evidence: Evidence, _: set[str]) -> Iterator[Finding]:
    for name, value in evidence.model.named_parameters():
        chain = evidence.decided.get(value, ())
        if not value.requires_grad and chain and any(each.draws for each in chain) and value.is_floating_point():
            yield Finding(kind="frozen", tensors=(name,), what=f"'{name}' is random and is never trained.")


_LOOKS: tuple[Callable[[Evidence, set[str]], Iterator[Finding]], ...] = (
    _constant,
    _idle,
    _signal,
    _dead,
    _saturated,
    _gradient,
    _logits,
    _equal,
    _fan,
    _frozen,
)
"""In this order: what follows from something is looked for after it."""
