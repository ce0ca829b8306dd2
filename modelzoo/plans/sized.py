"""What a model is resolved to, with every size known, and nothing decided about its values."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch

from modelzoo import bounds
from modelzoo.catalog import functions
from modelzoo.errors import ConfigError, Path, Problem, Problems
from modelzoo.init.examples import Examples, examples_of
from modelzoo.modules import construct as building
from modelzoo.modules import dry_run
from modelzoo.modules.homes import tensors_of
from modelzoo.modules.skeleton import Skeleton
from modelzoo.plans import ambient
from modelzoo.plans.trial import dry
from modelzoo.spec import nodes, parser
from modelzoo.spec.base import based
from modelzoo.spec.instances import Instance, args_of
from modelzoo.spec.provenance import Provenance
from modelzoo.spec.resolve import resolve


@ambient.kept()
def sized(root: nodes.Block, provenance: Provenance, *, seed: int, dtype: str) -> Instance:
    """What a block is resolved to, with the sizes that the example inputs decide.

    Args:
        root: the block.
        provenance: gets notes of what each node in it became.
        seed, dtype: as for `build`.

    Raises:
        ConfigError: all problems found.
    """
    return _made(root, provenance, seed, dtype)[0]


@ambient.kept()
def base_shapes(
    model: Any, base: tuple[tuple[str, Any], ...], key: Path, *, seed: int, dtype: str
) -> Mapping[str, tuple[int, ...]]:
    """The shapes of all tensors of a base, by each of their names.

    Args:
        model: plain data.
        base: the args in which its base differs.
        key: where that is written.
        seed, dtype: as for `build`.

    Raises:
        ConfigError: the base cannot be made.
    """
    try:
        return _base_shapes(based(model, base), seed, dtype)
    except ConfigError as error:
        first = error.problems[0]
        what = f"the base cannot be made: {first.path}: {first.what.rstrip('.')}."
        raise ConfigError([Problem(path=str(key), key=key, what=what)]) from error


def _base_shapes(model: Any, seed: int, dtype: str) -> Mapping[str, tuple[int, ...]]:
    problems = Problems()
    node = parser.parse(model, problems)
    problems.check()
    assert isinstance(node, nodes.Block)  # it has args
    _, skeleton = _made(node, Provenance(), seed, dtype)
    return {name: tuple(each.shape) for name, each in tensors_of(skeleton.root, every=True).items()}


def _made(root: nodes.Block, provenance: Provenance, seed: int, dtype: str) -> tuple[Instance, Skeleton]:
    problems = Problems()
    instance = resolve(root, problems, provenance)
    problems.check()
    assert instance is not None
    values = args_of(instance)
    inputs, examples = examples_of(root, values, dtype)
    given = Examples(inputs=inputs, shapes=examples, values=values, seed=seed, max_steps=bounds.STEPS)
    run = partial(dry_run.dry_run, count=False, recorded=False, for_sizes=True)
    skeleton, _ = dry(instance, given, nodes.Init(), torch.device("cpu"), functions.DTYPES[dtype], run)
    building.finish(skeleton, problems)
    problems.check()
    return instance, skeleton
