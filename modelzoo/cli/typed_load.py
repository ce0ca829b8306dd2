"""What is typed of the option `load` beside a model file, as Hydra's grammar reads it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from modelzoo import files
from modelzoo.config import document, plain
from modelzoo.config.shorthand import written_out
from modelzoo.errors import ConfigError, Path, Problem, Problems, nearest

GROUP = "load/names"


def is_of_load(name: str) -> bool:
    """Whether the name of an override is the option's, or of a part of it.

    >>> is_of_load("load.skip"), is_of_load("load/names"), is_of_load("loaded")
    (True, True, False)
    """
    return name == "load" or name.startswith(("load.", "load/"))


def option(texts: Iterable[str]) -> dict[str, Any] | None:
    """The option as a mapping; None if all that is said is that there is no file.

    Raises:
        ConfigError: a text that cannot be read, and names that do not exist.
    """
    from modelzoo.config import grammar

    found: dict[str, Any] = {}
    names = [each for each in texts if each.startswith(f"{GROUP}=")]
    for each in names[-1:]:
        found["names"] = _names(each, each.partition("=")[2])
    for override in grammar.read(written_out(each for each in texts if each not in names)):
        value = override.value
        if len(override.key) == 1 and isinstance(value, dict):
            found |= value
        elif len(override.key) == 2:
            known = found.get(override.key[1])
            both = isinstance(known, dict) and isinstance(value, dict)
            found[override.key[1]] = {**known, **value} if both and known is not None else value
        else:
            what = "load has no such part."
            raise ConfigError([Problem(where=override.where, path=override.text, what=what, hint="Type load=FILE.")])
    return None if found == {"file": None} else found


def shown(key: Path, option: Any) -> str:
    """What was typed for a key of the option, or for its file; the key alone where that was a mapping.

    >>> shown(Path(("load", "skip")), {"file": "x.pt", "skip": "a"}), shown(Path(("load",)), {"file": "x.pt"})
    ('load.skip=a', 'load=x.pt')
    """
    value = option.get(key[1] if key[1:] else "file") if isinstance(option, dict) else option
    return f"{key}={value}" if isinstance(value, (str, int, float)) else str(key)


def _names(text: str, name: str) -> Any:
    """What a family of checkpoints calls its tensors: a config of the group."""
    from modelzoo.config import search_path

    if name == "null":
        return None
    path = search_path.file_of(GROUP, name)
    if path is None:
        hint = nearest(name, search_path.options(GROUP))
        what = f"There is no '{name}' in conf/{GROUP}."
        raise ConfigError([Problem(where="command line", path=text, what=what, hint=hint)])
    problems = Problems()
    read = plain.plain(document.read(path.read_text("utf-8"), files.shown(path)), problems)
    problems.check()
    return read
