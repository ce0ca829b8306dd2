"""A config as the YAML that a person would write: `write`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from modelzoo import files
from modelzoo.config.opening import load

WIDTH = 100
"""The most characters of a line that holds a mapping or a list."""

SMALL = 3
"""The most layers that stand in one line."""

_LAST = "\n"

SECTIONS = ("layers", "blocks", "parameters", "buffers")
"""Keys whose value has a line for each of its items, unless there are few."""


def write(config: Mapping[str, Any], path: str | Path) -> None:
    """Writes a config as a model file.

    Args:
        config: a model as plain data; of one from `from_module` the file says what it was read off.
        path: where to; a file that is there is replaced.

    Raises:
        ConfigError: the file would not be one that `load` reads.
        ValueError: what `load` reads would be another config: a value is none of YAML's.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "model.yaml"
    ...     write({"inputs": {"x": [1, 8]}, "layers": ["Linear(8, 2)", "ReLU"], "forward": "x + 1"}, path)
    ...     print(path.read_text())
    inputs: {x: [1, 8]}
    layers: ["Linear(8, 2)", ReLU]
    forward: x + 1
    <BLANKLINE>
    """
    found = text(config)

    def checked(new: Path) -> None:
        new.write_text(found, encoding="utf-8")
        if load(new) != {"model": config}:
            raise ValueError("the config holds a value that YAML would give back as another one")

    files.write_atomically(Path(path), checked)


def text(config: Mapping[str, Any]) -> str:
    """A config as YAML."""
    origin = getattr(config, "origin", "")
    head = [f"# {origin}"] if origin else []
    return "\n".join([*head, *_mapping(config, 0)]) + "\n"


def _mapping(given: Mapping[str, Any], indent: int) -> Iterator[str]:
    for key, value in given.items():
        yield from _entry(f"{' ' * indent}{_scalar(key)}:", key, value, indent)


def _entry(head: str, key: str, value: Any, indent: int) -> Iterator[str]:
    """A value behind its key, or behind the dash of a list."""
    if isinstance(value, str) and "\n" in value:
        yield f"{head} {'|' if value.endswith(_LAST) else '|-'}"
        yield from (f"{' ' * (indent + 2)}{line}" for line in value.splitlines())
        return
    flow = _flow(value)
    if not isinstance(value, (Mapping, list)):
        yield f"{head} {_scalar(value)}"
    elif flow is not None and len(head) + 1 + len(flow) <= WIDTH and _is_small(key, value):
        yield f"{head} {flow}"
    elif isinstance(value, Mapping):
        yield head
        yield from _mapping(value, indent + 2)
    else:
        yield head
        for each in value:
            yield from _item(each, indent + 2)


def _item(value: Any, indent: int) -> Iterator[str]:
    """An item of a list."""
    dash = f"{' ' * indent}-"
    flow = _flow(value)
    if not isinstance(value, (Mapping, list)):
        yield f"{dash} {_scalar(value)}"
    elif flow is not None and len(dash) + 1 + len(flow) <= WIDTH and _is_small("", value):
        yield f"{dash} {flow}"
    elif isinstance(value, Mapping):
        first, *others = _mapping(value, indent + 2)
        yield f"{dash} {first.lstrip()}"
        yield from others
    else:
        yield dash
        for each in value:
            yield from _item(each, indent + 2)


def _is_small(key: str, value: Any) -> bool:
    """Whether a mapping or a list may stand in one line."""
    if not isinstance(value, Mapping):
        return True
    if key in SECTIONS and (len(value) > SMALL or any(isinstance(each, (Mapping, list)) for each in value.values())):
        return False
    return key not in ("", "layers") or "forward" not in value


def _flow(value: Any) -> str | None:
    """A value in one line, or None."""
    if isinstance(value, Mapping):
        inside = [(_scalar(key, True), _flow(each)) for key, each in value.items()]
        if any(each is None for _, each in inside):
            return None
        return f"{{{', '.join(f'{key}: {each}' for key, each in inside)}}}"
    if isinstance(value, list):
        items = [_flow(each) for each in value]
        return None if None in items else f"[{', '.join(map(str, items))}]"
    return None if isinstance(value, str) and "\n" in value else _scalar(value, True)


def _scalar(value: Any, flow: bool = False) -> str:
    """A text or a number, with quotes where YAML needs them.

    >>> _scalar("Linear(4, 8)"), _scalar("Linear(4, 8)", True), _scalar("1e3"), _scalar(1e-5), _scalar("yes")
    ('Linear(4, 8)', '"Linear(4, 8)"', '"1e3"', '1.0e-05', '"yes"')
    """
    if not isinstance(value, str):
        return str(yaml.safe_dump(value, default_flow_style=True, width=10**6)).removesuffix("...\n").strip()
    try:
        read = yaml.safe_load(f"[{value}]" if flow else f"k: {value}")
        plain = read == ([value] if flow else {"k": value})
    except yaml.YAMLError:
        plain = False
    return value if plain and not _is_number(value) else json.dumps(value, ensure_ascii=False)


def _is_number(value: str) -> bool:
    """Whether another reader of YAML would take a text for a number."""
    try:
        float(value)
    except ValueError:
        return False
    return True
