"""What a config has and nothing in it uses: layers, args, tensors, definitions.

Whether a name is used is asked of all texts that see it. A name that stands in one of them by chance counts as used:
a warning that is wrong would be worse than none.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from modelzoo.errors import Path, Problem
from modelzoo.spelling import closest, did_you_mean

if TYPE_CHECKING:
    from modelzoo.config.config import Config

_WORD = re.compile(r"[A-Za-z_]\w*")
_BLOCK = ("layers", "forward")
_CALLED = "Nothing calls this layer."
_NAMING = ("layers", "blocks", "args")  # the keys of what stands there are names, and none of the language's


def unused(config: Config) -> Iterator[Problem]:
    """A warning for each, where it stands.

    >>> from modelzoo.config.config import Config, nowhere
    >>> block = {"args": {"dim": 4, "spare": 7}, "layers": ["Linear(dim, 4)"]}
    >>> [each.path for each in unused(Config(model=block, locate=nowhere))]
    ['model.args.spare']
    """
    groups = config.options.get("groups")
    outside = words(config.init) | words(groups) | config.referred
    root = Path(("model",))
    blocks = list(_blocks(config.model, root))
    tied = set[str]().union(*(words(block.get("tie")) | _tied(block.get("tie")) for _, block in blocks))
    for key, block in blocks:
        for at, what, hint in _in_block(block, key, outside if key == root else config.referred, tied):
            yield from _placed(config, key, at, what, hint)
    for kind, rules in (("init", config.init), ("groups", groups)):
        for at, what, hint in (
            _in_block(rules, Path((kind,)), config.referred, tied) if isinstance(rules, Mapping) else ()
        ):
            yield from _placed(config, Path((kind,)), at, what, hint)
    for at in _definitions(config.model, root, outside):
        yield from _placed(config, Path(at[:-2]), at, "Nothing uses this definition.", "Remove it.")


def _placed(config: Config, block: Path, key: Path, what: str, hint: str) -> Iterator[Problem]:
    """The warning, unless what nothing uses stands in another file than its block, which took over the rest of that.

    A layer that stayed when two files were merged has parameters, and is told.
    """
    (where, path), (of_block, _) = config.locate(key, 0, 0), config.locate(block, 0, 0)
    files = {each.partition(":")[0] for each in (where, of_block)} - {"command line"}
    if len(files) > 1 and what == _CALLED:
        hint = f"It stays, since the two files are merged: write {key[-1]}: null in {of_block.partition(':')[0]}."
    if len(files) < 2 or what == _CALLED:
        yield Problem(where=where, path=path, what=what, hint=hint, key=key)


def words(data: Any, without: Iterable[str] = ()) -> set[str]:
    """Every name in the texts of plain data, keys left out; the values of some keys of the language too."""
    found: set[str] = set()
    waiting = [(data, False)]
    while waiting:
        value, naming = waiting.pop()
        if isinstance(value, str):
            found.update(_WORD.findall(value))
        elif isinstance(value, Mapping):
            plain = naming or "_target_" in value
            waiting += [
                (each, not plain and name in _NAMING) for name, each in value.items() if plain or name not in without
            ]
        elif isinstance(value, (list, tuple)):
            waiting += [(each, False) for each in value]
    return found


def _parts(data: Any, key: Path, naming: bool) -> Iterator[tuple[Path, Any, bool]]:
    """What stands directly in plain data and is no text, where, and whether the keys of it are names.

    Args:
        naming: whether the keys of `data` are: a layer, a definition or an arg may be called `blocks`.
    """
    if isinstance(data, Mapping):
        plain = naming or "_target_" in data
        for name, value in data.items():
            if not isinstance(value, str):
                yield key / name, value, not plain and name in _NAMING
    elif isinstance(data, list):
        for index, value in enumerate(data):
            if not isinstance(value, str):
                yield key / index, value, False


def _blocks(data: Any, key: Path, naming: bool = False) -> Iterator[tuple[Path, Mapping[Any, Any]]]:
    """Every block, and where it stands."""
    if isinstance(data, Mapping) and not naming and any(name in data for name in _BLOCK) and "_target_" not in data:
        yield key, data
    for at, value, names in _parts(data, key, naming):
        yield from _blocks(value, at, names)


def _in_block(
    block: Mapping[Any, Any], key: Path, outside: set[str] | frozenset[str], tied: set[str]
) -> Iterator[tuple[Path, str, str]]:
    """What a block has and nothing uses.

    Args:
        outside: names that are used elsewhere.
        tied: the names in all ties: that of a block around this one may read a tensor here.
    """
    args = block.get("args")
    seen = words(block, without=("args", "blocks")) | outside
    for name, at in _args(args, key / "args"):
        if name not in seen:
            rest = [each for each in (args or ()) if each != name] if isinstance(args, Mapping) else []
            yield at, "Nothing reads this arg.", did_you_mean(closest(name, map(str, rest))) or "Remove it."
    forward = block.get("forward")
    if not isinstance(forward, str):
        return
    called = words(forward) | tied | _referred(block) | outside
    layers = block.get("layers")
    for name, value in layers.items() if isinstance(layers, Mapping) else ():
        unpacked = isinstance(value, Mapping) and value.get("_unpack_") is True  # copies have names of their own
        read = "layers" in called or called.issuperset(_WORD.findall(str(name)))
        if value is not None and not read and not unpacked:
            yield key / "layers" / name, _CALLED, "Call it in forward, or remove it."
    for kind in ("parameters", "buffers"):
        own = block.get(kind)
        for name in own if isinstance(own, Mapping) else ():
            if name not in called:
                yield key / kind / name, "Nothing reads this tensor.", "Read it in forward, or remove it."


def _args(args: Any, key: Path) -> Iterator[tuple[str, Path]]:
    """Each arg that no other reads in its default, and where it stands."""
    if isinstance(args, Mapping):
        read = _of_others({str(name): words(value) for name, value in args.items()})
        yield from ((str(name), key / name) for name in args if str(name) not in read)
    elif isinstance(args, list):
        split = [str(each).partition("=") for each in args]
        read = _of_others({name.strip(): words(default) for name, _, default in split})
        yield from ((name.strip(), key / at) for at, (name, _, _) in enumerate(split) if name.strip() not in read)


def _of_others(parts: Mapping[str, set[str]]) -> set[str]:
    """The names that some part has in its texts, other than itself."""
    counted = Counter(word for each in parts.values() for word in each)
    return {word for word, count in counted.items() if count > (word in parts.get(word, ()))}


def _tied(tie: Any) -> set[str]:
    """The names on the left of ties, which are keys."""
    found: set[str] = set()
    if isinstance(tie, Mapping):
        for name, value in tie.items():
            found |= set(_WORD.findall(str(name))) | _tied(value)
    return found


def _referred(data: Any) -> set[str]:
    """The names that references inside a block lead to."""
    if isinstance(data, Mapping):
        own = words(data["_ref_"]) if "_ref_" in data else set()
        return own.union(*map(_referred, data.values()))
    if isinstance(data, list):
        return set().union(*map(_referred, data))
    return set(_WORD.findall(data)) if isinstance(data, str) and "_ref_" in data else set()


def _definitions(data: Any, key: Path, seen: set[str] | frozenset[str], naming: bool = False) -> Iterator[Path]:
    """Where the definitions stand whose names are in no text that could mean them."""
    blocks = data.get("blocks") if isinstance(data, Mapping) and not naming and "_target_" not in data else None
    if isinstance(blocks, Mapping):
        used = words(data, without=("blocks",)) | seen | _of_others({str(each): words(blocks[each]) for each in blocks})
        yield from (key / "blocks" / name for name in blocks if str(name) not in used)
    for at, value, names in _parts(data, key, naming):
        yield from _definitions(value, at, seen, names)
