"""The loss of a job: an expression over what a model returns, its inputs and targets, in the language of `forward`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from modelzoo.errors import ConfigError, Path, Problem, Problems, fail, first_line, nearest
from modelzoo.init.examples import Examples, example_tensors, examples_of, try_examples
from modelzoo.language import compiler
from modelzoo.language.names import Names
from modelzoo.plans.draft import Draft
from modelzoo.spec.keys import kind_of
from modelzoo.spec.nodes import Block, Input
from modelzoo.spec.parser import Parser
from modelzoo.spec.visible import Visible

KEY = Path(("loss",))
OUTPUT = "output"


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """A loss, checked as far as it can be without values.

    Attributes:
        function: takes what the model returned, then its inputs and the targets.
        targets: what decides the values of the loss's own inputs.
    """

    function: Callable[..., Any]
    targets: Examples

    def __call__(self, output: Any, inputs: Mapping[str, Tensor]) -> Tensor:
        """The loss of an output.

        Raises:
            ConfigError: it cannot be computed, or is not a number.
        """
        targets = example_tensors(self.targets, next(iter(inputs.values())).device)
        try:
            found = self.function(None, output, *inputs.values(), *targets.values())
        except ConfigError:
            raise
        except Exception as error:
            what = f"the loss cannot be computed: {first_line(error).rstrip('.')}."
            problem = Problem(path=str(KEY / "forward"), key=KEY / "forward", what=what)
            raise ConfigError([problem]) from error
        if not isinstance(found, Tensor) or found.numel() != 1 or not found.is_floating_point():
            kind = f"a tensor {list(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
            fail(KEY / "forward", f"a loss is one floating number, not {kind}.", "Write .mean() behind it.")
        return found


def aimed(loss: Loss | None, inputs: Mapping[str, Tensor], output: Any) -> Any:
    """What of an output is differentiated: the loss, or all of it."""
    return output if loss is None else loss(output, inputs)


def loss_of(option: Any, draft: Draft) -> Loss | None:
    """The loss that an option asks for; None if it asks for none.

    Args:
        option: a text, or a mapping with `forward`, a text, and `inputs`, its targets, each with an example.
        draft: the model, whose inputs and args the text may read.

    Raises:
        ConfigError: everything that is wrong with it.
    """
    given = dict(option) if isinstance(option, Mapping) else {"forward": option}
    if all(value is None for value in given.values()):
        return None
    problems = Problems()
    parser = Parser(problems)
    for name in given.keys() - {"forward", "inputs"}:
        problems.add(KEY / str(name), f"loss has no '{name}'.", nearest(str(name), ("forward", "inputs")))
    text, values = given.get("forward"), frozenset(draft.values)
    targets: tuple[Input, ...] = ()
    if given.get("inputs") is not None:
        targets = parser.blocks.tensors.inputs(given["inputs"], KEY / "inputs", Visible(values=values), ())
    own = [each.name for each in draft.given.inputs]
    for each in targets:
        _check_target(each, own, problems)
    if not isinstance(text, str) or not text.strip():
        shown = "nothing" if text is None else kind_of(text)
        what = f"a loss is a text, not {shown}."
        problems.add(KEY / "forward", what, "Type loss='mse_loss(output, target)'.")
        problems.check()
    names = Names(inputs=(OUTPUT, *own, *(each.name for each in targets)), values=values - {OUTPUT, *own})
    translation = compiler.translate(str(text), names, "loss")
    for error in translation.errors:
        problems.add_text(KEY / "forward", error)
    problems.check()
    assert translation.code is not None
    read = {name: draft.values[name] for name in translation.names}
    function = compiler.link(translation.code, read, draft.given.max_steps)
    return Loss(function=function, targets=_examples(targets, draft))


def _check_target(target: Input, own: list[str], problems: Problems) -> None:
    if target.name == OUTPUT or target.name in own:
        what = f"'{target.name}' is {'what the model returns' if target.name == OUTPUT else 'an input of the model'}."
        problems.add(target.key, what, "Take another name.")
    elif target.shape is None:
        hint = f"Write {target.name}: {{shape: [2], dtype: int64}}."
        problems.add(target.key, f"the target '{target.name}' has no example.", hint)


def _examples(targets: tuple[Input, ...], draft: Draft) -> Examples:
    inputs, shapes = examples_of(Block(inputs=targets), draft.values, draft.dtype)
    given = draft.given
    found = Examples(inputs=inputs, shapes=shapes, values=given.values, seed=given.seed, max_steps=given.max_steps)
    try_examples(found)
    return found
