"""From a module to a config: `from_module`."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from typing import Any

import torch
from torch import Tensor, nn

from modelzoo.errors import ConfigError, ConfigWarning, Path, Problem, first_line
from modelzoo.importing import config, layers
from modelzoo.importing.calls import Given, gradients, outputs
from modelzoo.importing.definitions import Definitions
from modelzoo.importing.kept import Kept, kept
from modelzoo.importing.owners import Owners
from modelzoo.importing.recorder import Recorder
from modelzoo.importing.records import Record, bound, line_of
from modelzoo.importing.sharing import ties
from modelzoo.importing.structure import Reader, Trouble
from modelzoo.importing.trees import Block
from modelzoo.importing.verification import SEED, Seen, built_of, differences, equal, other_sizes
from modelzoo.plans import ambient


class UnsaidError(ConfigError):
    """What cannot be said.

    Attributes:
        classes: those of the modules that it is about.
    """

    def __init__(self, problems: Iterable[Problem], classes: Iterable[type[nn.Module]]) -> None:
        super().__init__(problems)
        self.classes = list(dict.fromkeys(classes))


class Imported(dict[str, Any]):
    """A config that was read off a module.

    Attributes:
        origin: where it comes from, as one line.
        unseen: ways of calling the module that fail, so that nothing could be compared there, or that the config is not
            for.
    """

    origin: str = ""
    unseen: tuple[str, ...] = ()


def from_module(
    module: nn.Module,
    inputs: Tensor | tuple[Any, ...],
    *,
    keywords: Mapping[str, Any] | None = None,
    partial: bool = False,
) -> dict[str, Any]:
    """Reads a module that was written in Python, and says it as a config.

    The module is called, in evaluation and in training, and what each block computes is written down; layers of torch
    are read off. Equal blocks become one definition, blocks that differ in numbers one with args, equal neighbours a
    `_repeat_`, shared layers a `_ref_`, and shared tensors a `tie`. What comes out is built and compared: the keys of
    the state dict and their order, what is shared, the values that it returns with the same weights, also in training
    and for another number of items, the gradients, and the buffers afterwards. So a checkpoint of the module can be
    loaded as it is.

    Args:
        module: any. It is not changed.
        inputs: what it is called with: a tensor, or a tuple of arguments. Their shapes are the example of the config.
        keywords: what it is called with by name.
        partial: whether classes that cannot be said stay as names of layers, with what they keep of the arguments of
            their constructors; who builds the config registers them before.

    Returns:
        a config, as `build` and `write` take it.

    Raises:
        ConfigError: all that cannot be said, with the module, the line of its source, and what to do; or the ways in
            which what was built is not the same.
        TypeError: it is no module.

    Warns:
        ConfigWarning: a class that is left as a name; a call that the module does not take, in training or for another
            number of items, which could not be compared; inputs of other sizes that the module takes, and for which it
            does other things than the config.

    >>> import modelzoo
    >>> class Net(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.fc1, self.fc2 = nn.Linear(8, 8), nn.Linear(8, 2)
    ...
    ...     def forward(self, x):
    ...         x = x + torch.relu(self.fc1(x))
    ...         return self.fc2(x)
    >>> for key, each in modelzoo.from_module(Net(), torch.zeros(1, 8)).items():
    ...     print(key, each)
    inputs {'x': [1, 8]}
    layers {'fc1': 'Linear(8, 8)', 'fc2': 'Linear(8, 2)'}
    forward fc2(x + relu(fc1(x)))
    """
    if not isinstance(module, nn.Module):
        raise TypeError(f"from_module takes a module, not {type(module).__name__}")
    given = Given(args=inputs if isinstance(inputs, tuple) else (inputs,), named=dict(keywords or {}))
    with ambient.kept(), torch.enable_grad():
        found, left = named(module, given) if partial else (imported(module, given), ())
    for told in (*map(_left, left), *found.unseen):
        warnings.warn(told, ConfigWarning, stacklevel=2)
    return found


def _left(cls: type[nn.Module]) -> str:
    what = f"{cls.__module__}.{cls.__qualname__} is left as a name."
    hint = f"Register it before the config is built: modelzoo.register.layer({cls.__name__})"
    return str(Problem(what=what, hint=hint))


def named(
    module: nn.Module, given: Given, classes: tuple[type[nn.Module], ...] = ()
) -> tuple[Imported, tuple[type[nn.Module], ...]]:
    """The config of a module in which classes that cannot be said are layers, and these classes.

    Raises:
        ConfigError: what cannot be said even so, or is not the same.
    """
    try:
        with layers.known(classes):
            return imported(module, given), classes
    except UnsaidError as error:
        more = [each for each in error.classes if each not in classes and layers.may_be_known(each)]
        if not more:
            raise
    return named(module, given, (*classes, *more))


def imported(module: nn.Module, given: Given) -> Imported:
    """The config of a module, verified.

    Raises:
        ConfigError: what cannot be said, or is not the same.
    """
    _check(module, given)
    owners = Owners(module)
    called = {each: layers.call_of(each) for each in owners.paths}
    evaluation, training, seen = recorded(module, owners, called, given)
    reader = Reader(owners, called, evaluation, training)
    definitions = Definitions(owners, reader)
    root = definitions.root()
    _refuse(reader.troubles)
    examples = _examples(module, given)
    body = config.block(root) if isinstance(root, Block) else config.root(root)
    names = [each.partition("=")[0] for each in body.pop("inputs", examples)]
    found = Imported(inputs={name: examples.get(name, examples.get(name.rstrip("_"))) for name in names}, **body)
    shared = ties(owners)
    if shared:
        found["tie"] = shared
    if definitions.found:
        blocks = {name: config.definition(each) for name, each in definitions.found.items()}
        found["blocks"] = dict(reversed(blocks.items()))
    found.origin, found.unseen = _origin(module), (*seen.unseen, *_verified(found, module, seen))
    return found


def _check(module: nn.Module, given: Given) -> None:
    """What no config can be of."""
    told = []
    if layers.call_of(module) is not None:
        told.append((f"{type(module).__name__} is a layer, and a config is of a block.", "Put it into nn.Sequential."))
    if any(each.is_meta for each in (*module.parameters(), *module.buffers())):
        told.append(("on meta there is nothing to compute with.", "Call module.to_empty(device='cpu') before."))
    for name, each in given.by_name(module).items():
        if not isinstance(each, Tensor):
            told.append((f"'{name}' is a {type(each).__name__}, and a config takes tensors.", "Wrap the module."))
    if told:
        raise ConfigError(Problem(path="module", what=what, hint=hint) for what, hint in told)


Records = dict[nn.Module, list[Record]]


def recorded(module: nn.Module, owners: Owners, called: layers.Calls, given: Given) -> tuple[Records, Records, Seen]:
    """Calls a module in evaluation, and in training with other values and twice as many items, if it can be.

    Raises:
        ConfigError: it fails with other values.
    """
    with kept(module) as before:
        first, result = _run(module.eval(), owners, called, given)
        evaluation = outputs(result)
        slopes, flat = _slopes(module, evaluation)
        _refuse(_lasting(before, module, owners, called, given, evaluation))
    failed: Exception | None = None
    for training, doubled in itertools.product((True, False), (True, False)):
        try:
            others = given.doubled() if doubled else given.other()
            with kept(module):
                then, result = _run(module.train(training), owners, called, others)
                buffers = {name: each.clone() for name, each in module.named_buffers()}
                trained = _slopes(module, outputs(result), large=False)[0] if training else None
        except Exception as error:  # whatever the module raises where there is another number of items
            failed = error
            continue
        seen = Seen(
            first=given,
            evaluation=evaluation,
            gradients=slopes,
            second=others,
            other=outputs(result),
            training=training,
            slopes=trained,
            buffers=buffers,
            parts=tuple(dict.fromkeys((*first.parts, *then.parts))),
            unseen=(*_unseen(training, doubled, failed), *flat),
        )
        return first.records, then.records if training else {}, seen
    raise ConfigError([Problem(path="module", what=f"with other values it fails: {failed}")]) from failed


def _lasting(
    before: Kept, module: nn.Module, owners: Owners, called: layers.Calls, given: Given, first: list[Tensor]
) -> list[Trouble]:
    """What a module keeps from one call to the next, if that changes what it returns."""
    changed = [(each, name) for each, name in before.tensors_of() if called[each] is None]
    if not changed:
        return []
    torch.manual_seed(SEED)
    if equal(outputs(module(*given.args, **given.named)), first):
        return []
    what = "what it keeps in '{}' of one call changes the next one"
    return [
        Trouble(path=owners.paths[each][0], module=each, line=line_of(type(each)), what=what.format(name))
        for each, name in changed
    ]


def _slopes(
    module: nn.Module, found: list[Tensor], large: bool = True
) -> tuple[Mapping[str, Tensor] | None, tuple[str, ...]]:
    """The gradients of a module; where it cannot compute them nothing, and that it is so."""
    try:
        return gradients(module, found, large), ()
    except RuntimeError as error:
        return None, (f"Its gradients were not compared, since it has none: {first_line(error)}",)


def _unseen(training: bool, doubled: bool, failed: Exception | None) -> Iterator[str]:
    """What could not be compared, since the module itself fails there."""
    for seen, where in ((training, "in training"), (doubled, "for another number of items")):
        if not seen and failed is not None:
            yield f"It was not compared {where}, where the module fails: {first_line(failed)}"


def _run(module: nn.Module, owners: Owners, called: layers.Calls, given: Given) -> tuple[Recorder, Any]:
    recorder = Recorder(owners, lambda each: called[each] is not None)
    torch.manual_seed(SEED)
    with recorder.calls():
        named = dict(given.named)
        result = recorder.run(module, given.args, named, bound(module, given.args, named))
    return recorder, result


def _examples(module: nn.Module, given: Given) -> dict[str, Any]:
    """The inputs of a config."""
    return {name: _example(each) for name, each in given.by_name(module).items()}


def _example(value: Tensor) -> Any:
    if value.dtype is torch.get_default_dtype():
        return list(value.shape)
    fill = value.flatten()[0].item() if value.numel() else 0
    return {"shape": list(value.shape), "dtype": str(value.dtype).removeprefix("torch."), "fill": fill}


def _refuse(troubles: list[Trouble]) -> None:
    if not troubles:
        return
    found: dict[tuple[str, str], Problem] = {}
    for each in troubles:
        name = type(each.module).__name__
        hint = "Put it into a class of your own, and register that."
        if layers.may_be_known(type(each.module)):
            hint = f"Register {name} as a layer: modelzoo.register.layer({name}), or write partial=True."
        where = Path(("module", *map(str, each.path)))
        found.setdefault(
            (each.line, each.what), Problem(where=each.line, path=str(where), what=f"{name}: {each.what}", hint=hint)
        )
    raise UnsaidError(found.values(), (type(each.module) for each in troubles))


def _verified(found: Mapping[str, Any], module: nn.Module, seen: Seen) -> list[str]:
    """For which inputs of other sizes what was imported is not the same.

    Raises:
        ConfigError: it is not the same where it was compared.
    """
    built = built_of(found)
    told = list(differences(built, module, seen, _again(found, module, seen)))
    hint = (
        ""
        if not seen.parts
        else f"A part of a tensor is changed in place, which a text cannot: {', '.join(seen.parts)}"
    )
    if told:
        what = (f"what was imported is not the same: {each}" for each in told)
        raise ConfigError(Problem(path="module", what=each, hint=hint) for each in what)
    with kept(module), torch.no_grad():
        return list(other_sizes(built, module, seen))


def _again(found: Mapping[str, Any], module: nn.Module, seen: Seen) -> list[Tensor] | None:
    """What evaluation returns with the other values too, where texts ask for the mode.

    Without that, what differs with the number of items would pass as what differs with the mode.
    """
    if not seen.training or "training" not in repr(found):
        return None
    with kept(module):
        torch.manual_seed(SEED)
        return outputs(module.eval()(*seen.second.args, **seen.second.named))


def _origin(module: nn.Module) -> str:
    """Where a module comes from, as one line."""
    cls = type(module)
    package = cls.__module__.partition(".")[0]
    try:
        version = f" ({package} {metadata.version(package)})"
    except metadata.PackageNotFoundError:
        version = ""
    return f"Imported from {cls.__module__}.{cls.__qualname__}{version}"
