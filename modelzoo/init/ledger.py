"""The ledger: every unique tensor with all its names, and the fills that reach them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from modelzoo.catalog import distributions, fills
from modelzoo.catalog.distributions import Fans
from modelzoo.errors import Path, Problems
from modelzoo.init.decisions import Copied, Decision, NamedFill, Program
from modelzoo.modules.homes import Named
from modelzoo.modules.skeleton import Skeleton
from modelzoo.spec.evaluation import Evaluation
from modelzoo.spec.instances import BlockInstance, Scope
from modelzoo.spec.nodes import Fill

_ROOT = Path()


@dataclass(slots=True)
class Home:
    """One name of a tensor."""

    name: str
    owner: nn.Module
    local: str
    decisions: tuple[Decision, ...] = ()


@dataclass(slots=True, eq=False)
class Entry:
    """A unique tensor with all its homes, and the fills that will be computed.

    `computed` is what a try gave; `disputed` are rules that were refused for it, or that agree with that of another
    home; `padding` is a row that is zero whatever fills the others. A copy of another tensor is filled after its
    `original`, at a higher `level`. A copy that a constructor made draws from the `stream` of its original.
    """

    tensor: Tensor
    kind: str = "buffer"
    key: Path = _ROOT
    owner: str = ""
    homes: list[Home] = field(default_factory=list)
    chain: tuple[Decision, ...] = ()
    matched: tuple[str, ...] = ()
    disputed: tuple[str, ...] = ()
    padding: int | None = None
    original: Entry | None = None
    level: int = 0
    computed: Tensor | None = None
    stream: str = ""

    @property
    def name(self) -> str:
        return self.homes[0].name

    @property
    def drawn(self) -> str:
        """The name that decides its random values."""
        return self.stream or self.name

    @property
    def fills(self) -> list[str]:
        """What fills it, as texts."""
        padded = [] if self.padding is None else [f"row {self.padding} zero"]
        return [*(each.text() for each in self.chain), *padded]

    @property
    def persistent(self) -> bool:
        """Whether it is in the state dict."""
        home = self.homes[0]
        return self.kind == "parameter" or home.local not in home.owner._non_persistent_buffers_set


def padding_of(home: Home) -> int | None:
    """The row of an embedding that stands for padding, and means nothing."""
    embedding = isinstance(home.owner, (nn.Embedding, nn.EmbeddingBag)) and home.local == "weight"
    row: int | None = home.owner.padding_idx if embedding else None  # type: ignore[assignment]
    return row


Decided = Mapping[nn.Module, Mapping[str, tuple[Decision, ...]]]
"""What fills the tensors of modules, by module and a tensor's local name."""


def entries(skeleton: Skeleton, modules: Named, decided: Decided) -> list[Entry]:
    """Every unique parameter and buffer in the order of `named_parameters()` and `named_buffers()`."""
    found: dict[Tensor, Entry] = {}
    for kind in ("parameter", "buffer"):
        for prefix, module in modules:
            own = module._parameters if kind == "parameter" else module._buffers
            if not own:
                continue
            instance, owner = skeleton.instances.get(module), type_name(skeleton, module)
            key, fills_of = _ROOT if instance is None else instance.key, decided.get(module, {})
            for local, tensor in own.items():
                if tensor is None:
                    continue
                name, known = f"{prefix}.{local}" if prefix else local, found.get(tensor)
                if known is None:
                    home = Home(name, module, local, fills_of.get(local, ()))
                    found[tensor] = Entry(tensor, kind, key, owner, [home])
                else:
                    known.homes.append(Home(name, module, local, known.homes[0].decisions))
    _share_streams(skeleton, found)
    for each, (source, local) in skeleton.tied.items():
        for home in found[each].homes if each in found else ():
            home.decisions = decided.get(source, {}).get(local, ())  # of a tie, the right-hand side's
    return list(found.values())


def _share_streams(skeleton: Skeleton, found: Mapping[Tensor, Entry]) -> None:
    """Lets copies that constructors made start with the values of their originals, as in Python."""
    streams: dict[tuple[nn.Module, str], str] = {}
    if not skeleton.copies:
        return
    for entry in found.values():
        home = entry.homes[0]
        if home.owner not in skeleton.copies:
            streams[home.owner, home.local] = entry.name
    for entry in found.values():
        home = entry.homes[0]
        original = skeleton.copies.get(home.owner)
        if original is not None:
            entry.stream = streams.setdefault((original, home.local), entry.name)


def type_name(skeleton: Skeleton, module: nn.Module) -> str:
    """A layer's type, or the name of the block that a module was made from."""
    instance = skeleton.instances.get(module)
    if not isinstance(instance, BlockInstance):
        return type(module).__name__
    return "Sequential" if instance.block.forward is None else instance.block.name


def decision_of(
    fill: Fill,
    values: Mapping[str, Any],
    rule: str,
    strength: int,
    problems: Problems,
    entry: Entry,
    fans: Fans | None,
    exact: bool = False,
) -> Decision | None:
    """A fill with its formulas computed for one tensor, or None where that is a problem."""
    decided: dict[str, Any] = {"rule": rule, "strength": strength, "key": fill.key, "exact": exact}
    if "width_ratio" in values and "fan_in_ratio" not in values and fill.reads("fan_in_ratio", "fan_out_ratio"):
        what = f"{rule} cannot fill '{entry.name}': it has no fan_in and no fan_out."
        problems.add(fill.key, what, "Write width_ratio[0], or select others.")
        return None
    if fill.program:
        return Program(program=fill.program, values=values, fans=fans, **decided)
    if fill.original:
        return Copied(original=fill.original, **decided)
    known = dict(values)
    if fans is not None:
        known["fan_in"], known["fan_out"] = fans
    elif fill.reads_fans:
        dimensions = entry.tensor.ndim
        what = f"{rule} cannot fill '{entry.name}': fan_in and fan_out need at least 2 dimensions, not {dimensions}."
        problems.add(fill.key, what, "" if strength < 2 else "Write param: weight.")
        return None
    evaluation = Evaluation(problems)
    scope = Scope(values=known, origins={}, blocks={})
    before = len(problems.found)
    arguments = {name: evaluation.value(value, scope, fill.key / name) for name, value in fill.arguments}
    if len(problems.found) > before:
        return None
    return NamedFill(fill=fills.FILLS[fill.name], arguments=arguments, fans=fans, **decided)


def fans_of(tensor: Tensor, home: Home) -> Fans | None:
    """The fans that formulas and texts may read: a tensor's own; of a bias those of the weight of its layer."""
    weight = home.owner._parameters.get(weight_of(home.local)) if tensor.ndim < 2 else tensor
    if weight is None or weight.ndim < 2:
        return None
    fan_in, fan_out = distributions.fans_of(tuple(weight.shape))
    return (fan_out, fan_in) if _is_transposed(home.owner, weight) else (fan_in, fan_out)


def _is_transposed(owner: nn.Module, weight: Tensor) -> bool:
    """Whether a weight has a column for each output, as in the `Conv1D` of transformers."""
    return weight.ndim == 2 and type(owner).__name__ == "Conv1D" and owner.__dict__.get("nf") == weight.shape[1]


def weight_of(local: str) -> str:
    """The weight that a bias is added to the product with.

    >>> weight_of("bias"), weight_of("bias_hh_l0"), weight_of("in_proj_bias")
    ('weight', 'weight_hh_l0', 'in_proj_weight')
    """
    return local.replace("bias", "weight")
