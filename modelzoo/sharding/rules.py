"""Rules that say how torch splits a model: plain data, checked before there is a process, then carried out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import Replicate
from torch.distributed.tensor.parallel import ColwiseParallel, ParallelStyle, RowwiseParallel, parallelize_module

from modelzoo.errors import Path, Problems, nearest
from modelzoo.init.ledger import Entry, type_name
from modelzoo.modules.homes import homes, named_in
from modelzoo.modules.skeleton import Skeleton
from modelzoo.sharding.meshes import KEY as MESH
from modelzoo.sharding.meshes import TP
from modelzoo.sharding.ties import tie_again
from modelzoo.sharding.units import Unit, arranged
from modelzoo.spec.selectors import names_at

KEY = Path(("parallelize",))
_STYLES: Mapping[str, tuple[type[ParallelStyle], Mapping[type[nn.Module], str]]] = {
    "colwise": (ColwiseParallel, {nn.Linear: "out_features", nn.Embedding: "embedding_dim"}),
    "rowwise": (RowwiseParallel, {nn.Linear: "in_features", nn.Embedding: "num_embeddings"}),
}
"""What torch calls each style, and which size of a layer it divides."""

_FIELDS = ("layer", "name", "repeated", "wrap", "reshard_after_forward", "style")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How the modules are split that it selects: by the name of their layer or block, and by their own.

    Attributes:
        repeated: whether it selects those of which there are several; of one in another the outer one.
        style: colwise, rowwise, or "" where they are units of `fully_shard`.
        reshard: what `fully_shard` takes as `reshard_after_forward`.
    """

    name: str
    key: Path
    layers: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    repeated: bool = False
    style: str = ""
    reshard: bool | None = None

    def selects(self, name: str, kind: str) -> bool:
        """By what it says of names; what is repeated knows the whole model."""
        return (not self.layers or kind in self.layers) and (
            not self.patterns or any(fnmatchcase(name, each) for each in self.patterns)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """What becomes of a model.

    Attributes:
        styles: of modules, by their names.
        units: names of the modules of each unit, inner ones first, with `reshard_after_forward`; the root is one more.
    """

    styles: Mapping[str, str]
    units: Sequence[Unit]

    def across(self, names: Sequence[str]) -> tuple[str, ...]:
        """The dimensions of a mesh over which units are split."""
        if len(names) == 1:
            return () if self.styles else tuple(names)
        return tuple(each for each in names if each != TP)

    def apply(self, root: nn.Module, mesh: DeviceMesh, table: list[Entry]) -> None:
        """Splits a model on meta over the ranks of a job."""
        if self.styles:
            plan = {name: _style(style, root.get_submodule(name)) for name, style in self.styles.items()}
            parallelize_module(root, mesh if mesh.ndim == 1 else mesh[TP], plan, src_data_rank=None)
            tie_again(table)
        names = self.across(mesh.mesh_dim_names or [str(n) for n in range(mesh.ndim)])
        if not names:
            return
        across = mesh if len(names) == mesh.ndim else mesh[names]
        for names, reshard in self.units:
            modules = [root.get_submodule(name) for name in names]
            fully_shard(modules if len(modules) > 1 else modules[0], mesh=across, reshard_after_forward=reshard)
        fully_shard(root, mesh=across)


def _style(name: str, module: nn.Module) -> ParallelStyle:
    """What torch takes; each rank has all of the numbers that an embedding is given, and looks up those of its rows."""
    if isinstance(module, nn.Embedding) and name == "rowwise":
        return RowwiseParallel(input_layouts=Replicate())
    return _STYLES[name][0]()


def styled(names: Iterable[str]) -> str:
    """The dimension of a mesh that styles split over."""
    given = list(names)
    return TP if TP in given else given[0]


def parse_rules(data: Mapping[str, Any], problems: Problems, key: Path = KEY) -> list[Rule]:
    """Rules by their names.

    >>> parse_rules({"blocks": {"layer": "Block", "wrap": "fully_shard"}}, Problems())[0].layers
    ('Block',)
    """
    found = []
    for name, given in data.items():
        at = key / str(name)
        if name == MESH:
            continue
        if not isinstance(given, Mapping):
            problems.add(at, f"a rule is a mapping, not {given!r}.", "Write {layer: Block, wrap: fully_shard}.")
            continue
        for each in given:
            if each not in _FIELDS:
                problems.add(at / str(each), f"a rule has no '{each}'.", nearest(str(each), _FIELDS))
        rule = Rule(
            name=str(name),
            key=at,
            layers=names_at(given.get("layer"), at / "layer", problems),
            patterns=names_at(given.get("name"), at / "name", problems),
            repeated=given.get("repeated") is True,
            style=str(given.get("style", "")),
            reshard=given.get("reshard_after_forward"),
        )
        _check(rule, given, problems)
        found.append(rule)
    return found


def _check(rule: Rule, given: Mapping[str, Any], problems: Problems) -> None:
    if not isinstance(given.get("repeated", True), bool):
        what = f"repeated is true or false, not {given['repeated']!r}."
        problems.add(rule.key / "repeated", what, "Write repeated: true.")
    elif not rule.layers and not rule.patterns and not rule.repeated:
        problems.add(rule.key, "this rule selects nothing.", "Write layer: Block or name: 'blocks.*'.")
    if rule.style and rule.style not in _STYLES:
        problems.add(rule.key / "style", f"there is no style '{rule.style}'.", nearest(rule.style, list(_STYLES)))
    if given.get("wrap", "fully_shard") != "fully_shard":
        problems.add(rule.key / "wrap", f"wrap is fully_shard, not {given['wrap']!r}.", "Write wrap: fully_shard.")
    if ("wrap" in given) == bool(rule.style):
        what = "a rule has either 'wrap' or 'style'."
        problems.add(rule.key, what, "Write wrap: fully_shard, or style: colwise.")
    if not isinstance(given.get("reshard_after_forward", True), bool):
        what = f"reshard_after_forward is true or false, not {rule.reshard!r}."
        problems.add(rule.key / "reshard_after_forward", what, "Write reshard_after_forward: true.")


def ruled(
    skeleton: Skeleton,
    table: list[Entry],
    data: Mapping[str, Any],
    sizes: Mapping[str, int],
    problems: Problems,
    key: Path = KEY,
) -> Split:
    """What rules make of a model: the last one counts where several select a module.

    Args:
        skeleton, table: of the model, on meta.
        data: the rules.
        sizes: of each dimension of the mesh, by its name.
        problems: gets all that is wrong.
        key: of the rules.
    """
    rules = parse_rules(data, problems, key)
    modules = [(name, each, type_name(skeleton, each)) for name, each in named_in(skeleton.root) if name]
    repeated = _repeated(modules)
    kinds = sorted({kind for _, _, kind in modules})
    first = {each: names[0] for each, names in homes(named_in(skeleton.root)).items()}
    styles: dict[str, str] = {}
    units: dict[str, bool | None] = {}
    for rule in rules:
        selected = [(name, each) for name, each, kind in modules if rule.selects(name, kind)]
        if rule.repeated:
            selected = [each for each in selected if each[0] in repeated]
        elif not selected and (rule.layers or rule.patterns):
            at = rule.key / ("layer" if rule.layers else "name")
            among = kinds if rule.layers else [name for name, _, _ in modules]
            missing = (rule.layers or rule.patterns)[0]
            problems.add(at, f"this rule selects no module: there is no '{missing}'.", nearest(missing, among))
        for name, each in selected:
            own = first[each]
            if rule.style in _STYLES:
                _check_style(rule, name, each, sizes, problems)
                if styles.get(own, rule.style) != rule.style:
                    what = f"'{own}' is split {styles[own]} by another rule: one tensor has one style."
                    problems.add(rule.key / "style", what, "Select others, or remove a rule.")
                styles[own] = rule.style
            elif not _is_called(each):
                what = f"'{name}' is never called, and so is no unit."
                problems.add(rule.key, what, "Select the modules in it: name: '" + name + ".*'.")
            else:
                units[own] = rule.reshard
    if styles and units and TP not in sizes:
        what = f"styles and units together need a mesh of two dimensions, of which one is '{TP}'."
        problems.add(key / MESH, what, "Write mesh: {dp: -1, tp: 2}.")
    _check_ties(table, styles, problems, key)
    split = Split(styles=styles, units=arranged(table, units, first) if units else [])
    if split.across([*sizes]):
        _check_scalars(table, problems, key)
    return split


def _repeated(modules: Sequence[tuple[str, nn.Module, str]]) -> set[str]:
    """The names of modules of several parts of which there are several; of one in another that of the outer one."""
    parts = [each for each in modules if each[1]._modules and _is_called(each[1]) and each[2] != nn.Sequential.__name__]
    counts = Counter({each: kind for _, each, kind in parts}.values())
    found: set[str] = set()
    for name, _, kind in parts:  # outer ones come first
        if counts[kind] > 1 and not any(name.startswith(f"{each}.") for each in found):
            found.add(name)
    return found


def _is_called(module: nn.Module) -> bool:
    return type(module).forward is not nn.Module.forward and not isinstance(module, (nn.ModuleList, nn.ModuleDict))


def _check_scalars(table: list[Entry], problems: Problems, key: Path) -> None:
    for entry in table:
        if entry.kind == "parameter" and not entry.tensor.ndim:
            what = f"'{entry.name}' is a single number, which fully_shard cannot split."
            problems.add(key, what, "Give it the shape [1].")


def _check_style(rule: Rule, name: str, module: nn.Module, sizes: Mapping[str, int], problems: Problems) -> None:
    attribute = next((size for kind, size in _STYLES[rule.style][1].items() if isinstance(module, kind)), None)
    if attribute is None:
        what = f"'{name}' is a {type(module).__name__}: styles split Linear and Embedding."
        problems.add(rule.key, what, "Select Linear: layer: Linear.")
        return
    size, count = getattr(module, attribute), sizes[styled(sizes)]
    if size % count:
        what = f"{attribute} of '{name}' is {size}, which {count} ranks do not divide."
        problems.add(rule.key / "style", what, f"Make it a multiple of {count}, or select others.")


def _check_ties(table: list[Entry], styles: Mapping[str, str], problems: Problems, key: Path) -> None:
    for entry in table:
        owners = [home.name.rpartition(".")[0] for home in entry.homes]
        found = {styles.get(each, "") for each in owners}
        if len(found) > 1:
            one, other = (
                entry.homes[0].name,
                next(
                    home.name
                    for home, owner in zip(entry.homes, owners, strict=True)
                    if styles.get(owner, "") != styles.get(owners[0], "")
                ),
            )
            what = f"'{one}' and '{other}' are one tensor, and only one of them is split so."
            problems.add(key, what, f"Select both: name: [{owners[0]}, {other.rpartition('.')[0]}].")
