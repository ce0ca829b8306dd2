"""`audit`: what a module's own initialisation leaves undone, as a value that prints."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from torch import nn

from modelzoo.auditing.evidence import Row, of_factory, of_module
from modelzoo.auditing.findings import Finding, findings
from modelzoo.auditing.resets import Init
from modelzoo.errors import Problems
from modelzoo.escapes import one_line
from modelzoo.init import foreign
from modelzoo.plans import ambient


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Audit:
    """What `audit` returns. It prints as the findings, each with the lines that show it.

    Attributes:
        tensors: a row for each parameter and buffer: its names, class, shape, how often the whole of it was written,
            how many elements nobody wrote, and the file and line that wrote to it last, or made it.
        findings: what is wrong, the worst first.
        notes: what could not be looked at.
    """

    tensors: tuple[Row, ...]
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "\n".join(self._lines())

    __repr__ = __str__

    def _lines(self) -> Iterator[str]:
        for each in self.findings:
            yield one_line(f"{each.kind}: {each.what}")
            if each.kind != "twice":  # of which there are many, and all are shown alike
                yield from (f"    {one_line(line)}" for line in each.reproduction)
        yield from (one_line(f"note: {each}") for each in self.notes)
        count = len(self.tensors)
        found = f"{len(self.findings)} finding{'s' * (len(self.findings) != 1)}" if self.findings else "no findings"
        yield f"{found} in {count} tensor{'s' * (count != 1)}"


@ambient.kept()
def audit(make_or_module: Callable[[], nn.Module] | nn.Module, init: Init | None = None, *, meta: bool = True) -> Audit:
    """Says which tensors the code of a module never writes, writes twice, or does not write anew.

    A callable is called over memory that holds no number where nobody wrote, and once more on meta: that module gets
    memory by `to_empty` and its values by its own functions, as where a model is made in parts. Of a module that is
    there already a copy gets new memory, and its values by its own functions. The module does not change, nor do the
    generators of random numbers.

    Args:
        make_or_module: makes a module, as a class does whose arguments all have defaults; or a module.
        init: gives a module its first values. By default its `init_weights()` if it has one, else `reset_parameters()`
            of each module in it.
        meta: whether what is made is looked at on meta too.

    Raises:
        TypeError: it makes no module, and is none.
        ConfigError: a tensor has no size yet.

    What is found is one of "unwritten", "lost" (a part that was written, as the row of padding, and overwritten with
    the whole), "meta" (written where it is made, and not by its own functions after `to_empty`), "tie" (one tensor
    that these functions make two), "random" (a buffer that depends on the global generator) and "twice" (filled, and
    overwritten whole, which costs time alone).

    >>> import torch
    >>> class Scaled(nn.Linear):
    ...     def __init__(self):
    ...         super().__init__(4, 4)
    ...         self.scale = nn.Parameter(torch.empty(4))
    >>> print(audit(Scaled))
    unwritten: 'scale' of Scaled, made by ...:4, is never written.
        torch.use_deterministic_algorithms(True)  # what nobody writes is no number then, or the largest one
        assert not make().get_parameter('scale').isnan().any()
    1 finding in 3 tensors
    """
    if isinstance(make_or_module, nn.Module):
        _check(make_or_module)
        made = of_module(make_or_module, init)
    elif callable(make_or_module):
        made = of_factory(_checked(make_or_module), init, meta)
    else:
        raise TypeError(f"audit takes a module or what makes one, not {type(make_or_module).__name__}.")
    return Audit(tensors=tuple(row for row, _ in made.rows), findings=tuple(findings(made)), notes=tuple(made.notes))


def _checked(make: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    def called() -> nn.Module:
        module = make()
        if not isinstance(module, nn.Module):
            raise TypeError(f"audit takes what makes a module, and this makes a {type(module).__name__}.")
        _check(module)
        return module

    return called


def _check(module: nn.Module) -> None:
    problems = Problems()
    foreign.check(module, problems)
    problems.check()
