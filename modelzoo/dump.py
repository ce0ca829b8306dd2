"""What a run leaves on disk: every parameter with its facts, written whole or not at all, and how to read it back."""

from __future__ import annotations

import json
import math
import os
import pathlib
import stat
import tempfile
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import torch
from torch import Tensor, nn

from modelzoo.errors import ConfigError, Problem, nearest
from modelzoo.rows import Row, Statistics
from modelzoo.rows import rows as rows_of

if TYPE_CHECKING:
    from modelzoo import plans as planned

TENSORS = "parameters.safetensors"
FACTS = "parameters.json"
METADATA = "modelzoo"
INDEX = ".safetensors.index.json"
PICKLES = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle")


def write_atomically(path: pathlib.Path, write: Callable[[pathlib.Path], object]) -> None:
    """Writes a file whole or not at all: whatever happens, `path` holds what it held before or what `write` wrote.

    Args:
        path: where the file is wanted; an existing regular file is replaced.
        write: writes the file at the path it is given, in a hidden directory beside `path` that is then removed.

    Raises:
        ConfigError: something else than a regular file is there, or the system cannot write.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     target = pathlib.Path(folder) / "note.txt"
    ...     write_atomically(target, lambda file: file.write_text("whole"))
    ...     target.read_text(), [each.name for each in target.parent.iterdir()]
    ('whole', ['note.txt'])
    """
    from safetensors import SafetensorError

    try:
        _refuse_irregular(path)
        with tempfile.TemporaryDirectory(prefix=".writing-", dir=path.parent) as folder:
            temporary = pathlib.Path(folder) / path.name
            write(temporary)
            temporary.chmod(0o644 & ~_umask())
            # By name: a library may have put a file of its own in the place of one that we opened.
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
    except (OSError, SafetensorError) as error:
        _fail(path, f"This file cannot be written: {error}.", cause=error)


def _refuse_irregular(path: pathlib.Path) -> None:
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(mode):
        kinds = {stat.S_IFDIR: "a directory", stat.S_IFLNK: "a symbolic link", stat.S_IFIFO: "a named pipe"}
        kind = kinds.get(stat.S_IFMT(mode), "no regular file")
        _fail(path, f"This is {kind} and is not replaced.", "Remove it, or choose another directory: hydra.run.dir=DIR")


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def write_parameters(
    directory: str | os.PathLike[str],
    plan: planned.Plan,
    model: nn.Module,
    gradients: bool = False,
    rows: Iterable[Row] | None = None,
) -> list[pathlib.Path]:
    """Writes `parameters.safetensors` and `parameters.json`, each whole or not at all.

    The first holds every tensor of the state dict once, under its first name; its metadata key "modelzoo" is a JSON
    text with `scheme`, `seed` and the other names (`aliases`). The second holds one line of facts for each tensor; a
    number that is not finite is null there, and `finite` says so.

    Args:
        directory: an existing directory.
        plan: the plan of `model`.
        model: what was built from it. On meta only the facts are written.
        gradients: whether to add the norm of each gradient, null where there is none.
        rows: the rows of `model` with statistics, where they are at hand.

    Returns:
        The paths of the files.

    Raises:
        ConfigError: a file cannot be written.
    """
    from safetensors.torch import save_file

    folder = pathlib.Path(directory)
    values: dict[str, Tensor] = dict(model.named_parameters()) | dict(model.named_buffers())
    kept = [tensor for tensor in plan.tensors if tensor.persistent]
    written: list[pathlib.Path] = []
    if not any(value.is_meta for value in values.values()):
        path = folder / TENSORS
        if "__metadata__" in values:
            _fail(path, "A tensor named '__metadata__' makes a safetensors file unreadable.", "Rename it.")
        tensors = {tensor.name: values[tensor.name].detach().contiguous() for tensor in kept}
        aliases = {tensor.name: tensor.aliases for tensor in kept if tensor.aliases}
        about = {"scheme": plan.scheme, "seed": plan.seed, "aliases": aliases}
        # One key: safetensors writes several in an order of chance, and equal models should make equal files.
        metadata = {METADATA: json.dumps(about)}
        write_atomically(path, lambda file: save_file(tensors, file, metadata))
        written.append(path)
    seen = {row.name: row.statistics for row in (rows_of(plan, model) if rows is None else rows)}
    head = {name: getattr(plan, name) for name in ("seed", "scheme", "parameters", "trainable", "buffers", "bytes")}
    facts = []
    for tensor in plan.tensors:
        line = _facts(tensor, seen.get(tensor.name))
        if gradients:
            gradient = values[tensor.name].grad
            line["gradient_norm"] = None if gradient is None else _number(torch.linalg.vector_norm(gradient).item())
        facts.append(json.dumps(line, allow_nan=False))
    lines = ",\n    ".join(facts)
    text = (
        json.dumps(head, indent=2, allow_nan=False).removesuffix("\n}") + f',\n  "tensors": [\n    {lines}\n  ]\n}}\n'
    )
    path = folder / FACTS
    write_atomically(path, lambda file: file.write_text(text, encoding="utf-8"))
    return [*written, path]


def _facts(tensor: planned.Tensor, seen: Statistics | None) -> dict[str, Any]:
    names = ("name", "aliases", "shape", "dtype", "kind", "persistent", "trainable")
    facts = {name: getattr(tensor, name) for name in (*names, "fill", "rule", "matched", "erased", "stream")}
    for name in ("mean", "std", "min", "max"):
        facts[name] = _number(getattr(seen, name)) if seen else None
    facts["finite"] = seen.finite if seen else None
    return facts


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stored:
    """One tensor in a file, not yet read."""

    name: str
    file: Any

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.file.get_slice(self.name).get_shape())

    @property
    def dtype(self) -> str:
        return str(self.file.get_slice(self.name).get_dtype())

    def read(self) -> Tensor:
        value: Tensor = self.file.get_tensor(self.name)
        return value


def load_parameters(model: nn.Module, path: str | os.PathLike[str]) -> None:
    """Copies the tensors of a safetensors file into a model in place, so that shared and tied tensors stay so.

    The file may be a dump of ours, another's checkpoint (tied tensors under one name or several), or the index of a
    sharded one (`*.safetensors.index.json`). Every tensor of the state dict must be there, and nothing else. Values
    are converted between floating dtypes. Nothing is changed unless everything fits.

    Raises:
        ConfigError: with everything that is missing, unexpected or does not fit; or the file cannot be read.
    """
    from safetensors import SafetensorError

    path = pathlib.Path(path)
    with ExitStack() as opened:
        try:
            stored, unexpected = _open(path, opened)
            chosen = _match(path, model, stored, unexpected)
            with torch.no_grad():
                for target, source in chosen:
                    target.copy_(source.read())
        except (OSError, SafetensorError) as error:
            _fail(path, f"This file cannot be read as safetensors: {error}.", cause=error)


Names = dict[str, _Stored]


def _open(path: pathlib.Path, opened: ExitStack) -> tuple[Names, dict[str, tuple[str, ...]]]:
    """The tensors of a file or its shards by every name they have, and those names by the one it is stored under."""
    from safetensors import safe_open

    if path.suffix.lower() in PICKLES:
        _fail(
            path,
            "This is a pickle: opening one can run its author's code.",
            "If you trust it, convert it once in Python and load the result: "
            f"safetensors.torch.save_file({{k: v.clone() for k, v in torch.load({str(path)!r}, weights_only=True)"
            f".items()}}, {str(path.with_suffix('.safetensors'))!r})",
        )
    if not path.is_file():
        what = "There is no such file." if not path.exists() else "This is no regular file."
        _fail(path, what, "Type the path of a .safetensors file: load=FILE")
    direct: Names = {}
    also: Names = {}
    names: dict[str, tuple[str, ...]] = {}
    for part in _shards(path) if path.name.endswith(INDEX) else [path]:
        file = opened.enter_context(safe_open(part, framework="pt"))
        aliases = _aliases(file.metadata())
        for name in file.keys():  # noqa: SIM118 (not a mapping)
            direct[name] = _Stored(name=name, file=file)
            names[name] = (name, *aliases.get(name, ()))
            also.update(dict.fromkeys(names[name], direct[name]))
    return also | direct, names


def _shards(path: pathlib.Path) -> list[pathlib.Path]:
    try:
        parts = sorted(set(json.loads(path.read_bytes())["weight_map"].values()))
        inside = all(pathlib.PurePath(part).name == part for part in parts)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        _fail(path, "This index has no 'weight_map' from names to files.", cause=error)
    if not inside:
        _fail(path, "This index names files outside its own directory.")
    missing = [part for part in parts if not (path.parent / part).is_file()]
    if missing:
        _fail(path, f"This index names files that are not there: {', '.join(missing)}.")
    return [path.parent / part for part in parts]


def _aliases(metadata: dict[str, str] | None) -> dict[str, tuple[str, ...]]:
    """The other names in a dump of ours; none in any other file."""
    try:
        aliases = json.loads((metadata or {})[METADATA])["aliases"]
        return {name: tuple(map(str, others)) for name, others in aliases.items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}


def _match(
    path: pathlib.Path, model: nn.Module, stored: Names, names: dict[str, tuple[str, ...]]
) -> list[tuple[Tensor, _Stored]]:
    """What is copied where; raises all that does not fit at once."""
    homes: dict[Tensor, list[str]] = {}
    for name, value in model.state_dict(keep_vars=True).items():
        if isinstance(value, Tensor):
            homes.setdefault(value, []).append(name)
    wanted = {name for each in homes.values() for name in each}
    extra = [name for name, others in names.items() if wanted.isdisjoint(others)]
    missing = [each for each in homes.values() if not any(name in stored for name in each)]
    problems = [
        _problem(path, each[0], "The file has no such tensor.", nearest(each[0], extra) if extra else "")
        for each in missing
    ]
    absent = [name for each in missing for name in each]
    problems += [
        _problem(path, name, "The model has no such tensor.", nearest(name, absent or wanted)) for name in extra
    ]
    chosen: list[tuple[Tensor, _Stored]] = []
    for target, each in homes.items():
        found = {stored[name].name: stored[name] for name in each if name in stored}
        wrong = [_problem(path, name, what, "") for name, source in found.items() if (what := _misfit(target, source))]
        problems += wrong
        if not found or wrong:
            continue
        first, *others = found.values()
        differing = [other.name for other in others if not torch.equal(first.read(), other.read())]
        problems += [
            _problem(path, name, f"This and '{first.name}' are one tensor in the model and differ in the file.", "")
            for name in differing
        ]
        chosen.append((target, first))
    if problems:
        raise ConfigError(problems)
    return chosen


def _misfit(target: Tensor, source: _Stored) -> str:
    """What keeps a stored tensor from being copied into `target`; "" if nothing does."""
    if target.is_meta:
        return "The model is on meta and holds no values."
    if source.shape != tuple(target.shape):
        return f"The shape is {list(source.shape)} in the file and {list(target.shape)} in the model."
    dtype = source.dtype  # such as "F32", "BF16", "F8_E4M3", "C64", "I64", "BOOL"
    stored = "floating" if dtype.startswith(("F", "BF")) else "complex" if dtype.startswith("C") else "integer"
    wanted = "floating" if target.is_floating_point() else "complex" if target.is_complex() else "integer"
    if stored != wanted:
        return f"The dtype is {dtype} in the file and {target.dtype} in the model."
    return ""


def _problem(path: pathlib.Path, name: str, what: str, hint: str) -> Problem:
    return Problem(where=str(path), path=name, what=what, hint=hint)


def _fail(path: pathlib.Path, what: str, hint: str = "", *, cause: BaseException | None = None) -> NoReturn:
    raise ConfigError([Problem(where=str(path), what=what, hint=hint)]) from cause
