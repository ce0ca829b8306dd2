"""What a config says, read without torch: what is wrong with its keys, names, arguments, references and texts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from modelzoo.config.config import Config
from modelzoo.errors import ConfigError, Path, Problem, Problems, fail
from modelzoo.plans import options
from modelzoo.plans.options import Options
from modelzoo.spec import nodes, parser
from modelzoo.spec.instances import Instance
from modelzoo.spec.provenance import Provenance
from modelzoo.spec.resolve import resolve

_HOLDERS = ("args", "inputs", "layers", "parameters", "buffers", "blocks", "tie")
"""What holds names: one of them may be `forward`, which is no text."""


@dataclass(frozen=True, kw_only=True)
class Read:
    """A config that was read.

    Attributes:
        node: the model, as it was parsed.
        instance: what it was resolved to, as far as it could be.
        provenance: what each node of the config became.
        init: the rules that can be read.
        problems: what is wrong with all that.
    """

    node: nodes.Node
    instance: Instance | None
    provenance: Provenance
    init: nodes.Init
    problems: Problems

    @property
    def root(self) -> nodes.Block:
        """The model as a block: around a single layer an empty one."""
        return self.node if isinstance(self.node, nodes.Block) else nodes.Block(key=self.node.key)

    @property
    def texts(self) -> frozenset[Path]:
        """The keys of texts of `forward` with problems, if nothing else than rules has any.

        A layer that cannot be read has names and tensors that ties and rules may mean, so nothing is looked for beside
        one.
        """
        found = [each.key for each in self.problems.found]
        texts = {key for key in found if key[-1:] == ("forward",) and key[-2] not in _HOLDERS}
        return frozenset(texts if all(key in texts or key[:1] == ("init",) for key in found) else ())

    @property
    def refused(self) -> bool:
        """Whether all that is wrong is known: no advice is to be tried, and there is nothing more to look for."""
        if self.problems.found:
            return not self.texts and not any(each.repairs for each in self.problems.found)
        return self.instance is None

    def resolved(self) -> Instance:
        """What is to be constructed.

        Raises:
            ConfigError: all problems found, or there is nothing.
        """
        self.problems.check()
        if self.instance is None:
            fail(self.node.key, "nothing is left of the model: its _if_ is false.", "Remove _if_, or make it true.")
        return self.instance


def read(
    model: Any,
    init: Any,
    *,
    seed: int,
    dtype: str,
    max_steps: int,
    training: bool,
    wrong: Iterable[Problem] = (),
) -> Read:
    """Reads plain data.

    Args:
        model, init, seed, dtype, max_steps: as for `build`.
        training, wrong: as for `draft`.

    Raises:
        ConfigError: what is wrong, where nothing is left to look at.

    >>> found = read({"layers": ["Linaer(4, 2)"]}, None, seed=0, dtype="float32", max_steps=10, training=False)
    >>> [each.hint for each in found.problems.found], found.refused
    (["Did you mean 'Linear'?"], True)
    """
    problems = Problems()
    problems.found += wrong
    options.check({"seed": seed, "dtype": dtype, "max_steps": max_steps, "training": training}, problems)
    node = parser.parse(model, problems)
    provenance = Provenance()
    instance = resolve(node, problems, provenance)
    args = node.args if isinstance(node, nodes.Block) else ()
    rules = parser.parse_init(init, frozenset(each.name for each in args), problems)
    return Read(node=node, instance=instance, provenance=provenance, init=rules, problems=problems)


def read_of(config: Config, chosen: Options) -> Read | None:
    """What a config says with its options, where torch has more to say of it; None where a draft is to begin anew.

    Raises:
        ConfigError: all that is wrong with it, if that is known without torch.
    """
    try:
        found = read(
            config.model,
            config.init,
            seed=chosen.seed,
            dtype=chosen.dtype,
            max_steps=chosen.max_steps,
            training=chosen.training,
            wrong=chosen.wrong,
        )
    except ConfigError as error:
        if any(each.repairs for each in error.problems):
            return None
        raise
    if found.refused:
        found.resolved()
    return found
