"""`python -m modelzoo where KEY`: every place that sets a key of a composed config, the one that decides it last."""

from __future__ import annotations

import argparse
import pathlib
from typing import Any

from modelzoo.cli.typed import read_typed
from modelzoo.config import compose, modelfile, search_path
from modelzoo.config.places import Places, parts
from modelzoo.errors import Path, fail, nearest
from modelzoo.escapes import printable
from modelzoo.terminal import say


def command(arguments: list[str]) -> int:
    """Prints the chain of places that set a key; what a `${...}` refers to follows the place where it stands.

    Args:
        arguments: the key, then overrides as `python run.py` takes them; with the path of a model file they change it.

    Raises:
        ConfigError: no place sets the key.
    """
    parser = argparse.ArgumentParser(prog="python -m modelzoo where", description=__doc__)
    parser.add_argument("key", help="as in model.layers.out")
    parser.add_argument("what", nargs="*", help="a model file, or model=nested; then overrides as in model.args.dim=3")
    options = parser.parse_args(arguments)

    key = Path(parts(options.key))
    files = [each for each in options.what if modelfile.is_file(each)]
    overrides = [each for each in options.what if each not in files]
    data, places = _of_file(files[0], overrides, key) if files else _composed(overrides)
    known, names = _known(data, key)
    if names is not None:
        above = f"The nearest that is set is '{Path(key[:known])}'." if known else ""
        fail(key, "No place sets this key.", " ".join(filter(None, (above, nearest(str(key[known]), names)))))
    chain = places.chain(Path(key[:known]))
    width = max(len(place.where) for place in chain)
    for place in chain:
        value = place.value.splitlines()[0] if place.value else ""
        say(printable(f"{place.where:<{width}}  {place.path}{': ' + value if value else ''}", lines=False))
    return 0


def _composed(overrides: list[str]) -> tuple[dict[str, Any], Places]:
    """What overrides compose, and where its keys stand."""
    config = compose.compose(overrides)
    where = search_path.places(tuple(overrides), pathlib.Path.cwd())
    return {"model": config.model, "init": config.init, **config.options}, where


def _of_file(file: str, texts: list[str], key: Path) -> tuple[dict[str, Any], Places]:
    """What a model file holds, or for a key of it the rules or groups that were typed, and where its keys stand."""
    typed = read_typed(texts)
    beside = {kind: each for kind, each in (("init", typed.init), ("groups", typed.groups)) if each is not None}
    kind = str(key[0]) if key else ""
    if kind in beside:
        opened = modelfile.opened(beside[kind], kind, [each for each in typed.overrides if each.key[0] == kind])
    else:
        opened = modelfile.opened(file, "model", [each for each in typed.overrides if each.key[0] not in beside])
    return opened, opened.places


def _known(data: Any, key: Path) -> tuple[int, list[str] | None]:
    """How many parts of a key the composed config has, and what stands beside a part that it has not.

    A text holds all parts below it: `model.layers.out.in_features` is set where `out: Linear(8, 10)` stands.
    """
    for depth, part in enumerate(key):
        if isinstance(data, str):
            return depth, None
        entries = data if isinstance(data, dict) else dict(enumerate(data)) if isinstance(data, list) else {}
        name = next((name for name in entries if str(name) == part), None)
        if name is None:
            return depth, [*map(str, entries)]
        data = entries[name]
    return len(key), None
