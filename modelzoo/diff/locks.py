"""A model as a file that is kept beside its config: a line for each module and tensor, to be read and compared."""

from __future__ import annotations

import json
import pathlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modelzoo import files
from modelzoo.diff.digests import together
from modelzoo.diff.snapshots import BLOCK, Held, Part, Snapshot

SUFFIX = ".lock"
FIRST = "# A lock of modelzoo. Do not edit: `python -m modelzoo lock` writes it, `lock --check` compares it."
"""The first line of every lock."""

SIZE = 2**26
"""Bytes of a lock that are read."""


@dataclass(frozen=True, kw_only=True)
class Lock:
    """A model that is locked.

    Attributes:
        typed: the name or file, and the overrides behind it.
        model: what it is.
        digests: of each tensor's values, by name; none where they were not computed.
        machine: what computed them.
        versions: with which it was written.
    """

    typed: tuple[str, ...]
    model: Snapshot
    digests: Mapping[str, str]
    machine: str
    versions: Mapping[str, str]


def written(lock: Lock) -> str:
    """The text of a lock.

    >>> small = Snapshot(parts={"": Part(name="", type="Sequential", label="")}, tensors={})
    >>> print(written(Lock(typed=("small.yaml",), model=small, digests={}, machine="", versions={})))
    # A lock of modelzoo. Do not edit: `python -m modelzoo lock` writes it, `lock --check` compares it.
    model ["small.yaml"]
    versions {}
    streams {"scheme": 0, "seed": 0}
    costs {"FLOPs": 0, "activations": 0, "parameters": 0}
    values {"digest": "", "machine": ""}
    module "" {"type": "Sequential"}
    <BLANKLINE>
    """
    whole = lock.model
    costs = {"parameters": whole.totals["parameters"], "FLOPs": whole.flops or 0, "activations": whole.activations}
    digest = together(dict(lock.digests)) if lock.digests else ""
    lines = [
        FIRST,
        f"model {_json(list(lock.typed))}",
        f"versions {_json(lock.versions)}",
        f"streams {_json({'scheme': whole.scheme, 'seed': whole.seed})}",
        f"costs {_json(costs)}",
        f"values {_json({'digest': digest, 'machine': lock.machine if lock.digests else ''})}",
        *(f"input {_json(name)} {_json(about)}" for name, about in sorted(whole.inputs.items())),
        *(f"module {_json(name)} {_json(_part(whole.parts[name]))}" for name in sorted(whole.parts, key=_natural)),
        *(f"tensor {_json(name)} {_json(each)}" for name, each in _tensors(lock)),
    ]
    return "".join(f"{line}\n" for line in lines)


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=True)


def _natural(name: str) -> list[tuple[bool, int, str]]:
    return [(part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in name.split(".")]


def _part(part: Part) -> dict[str, Any]:
    """What is said of a module: nothing that it has not."""
    prefix = f"{part.name}." if part.name else ""
    own = [local if name == prefix + local else f"{local}={name}" for local, name in part.children]
    facts = {
        "arguments": dict(part.arguments),
        "inputs": list(part.inputs),
        "forward": part.text.splitlines(),
        "layers": own,
        "tensors": [local if name == prefix + local else f"{local}={name}" for local, name in part.tensors],
    }
    return {"type": part.type, **{name: each for name, each in facts.items() if each}}


def _tensors(lock: Lock) -> Iterator[tuple[str, dict[str, Any]]]:
    """What is said of each tensor, by name; `order` is that of the parameters."""
    order = {name: index for index, name in enumerate(lock.model.tensors)}
    for name in sorted(order, key=_natural):
        each = lock.model.tensors[name]
        facts = {
            "shape": list(each.shape),
            "dtype": each.dtype,
            "kind": each.kind,
            "fill": each.fill,
            "rule": each.rule,
            "order": order[name],
            **({"also": list(each.homes[1:])} if each.homes[1:] else {}),
            **({} if each.persistent else {"persistent": False}),
            **({"frozen": True} if each.kind == "parameter" and not each.trainable else {}),
            **({"drawn": each.drawn} if each.drawn else {}),
            **({"group": each.group} if each.group else {}),
            **({"values": lock.digests[name]} if name in lock.digests else {}),
        }
        yield name, facts


def read(path: pathlib.Path) -> Lock:
    """The lock in a file.

    Raises:
        ConfigError: it is none.
    """
    try:
        if path.stat().st_size > SIZE:
            files.fail(path, f"A lock has at most {SIZE:,} bytes.")
        rows = path.read_text("utf-8").splitlines()
    except FileNotFoundError as error:
        files.fail(path, "There is no such lock.", f"Write it: python -m modelzoo lock {path.stem}", cause=error)
    except (OSError, UnicodeError) as error:
        files.fail(path, "This file cannot be read as a lock.", cause=error)
    if not rows or rows[0] != FIRST:
        files.fail(path, "This is no lock of modelzoo.")
    found: dict[str, Any] = {"input": {}, "module": {}, "tensor": {}}
    try:
        for row in rows[1:]:
            kind, _, rest = row.partition(" ")
            if kind in ("input", "module", "tensor"):
                name, end = json.JSONDecoder().raw_decode(rest)
                found[kind][str(name)] = json.loads(rest[end:])
            else:
                found[kind] = json.loads(rest)
        return _lock(found)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        files.fail(path, "This lock cannot be read: it was changed by hand.", "Write it again.", cause=error)


def _lock(found: Mapping[str, Any]) -> Lock:
    held = sorted(found["tensor"].items(), key=lambda each: int(each[1]["order"]))
    streams, costs = found["streams"], found["costs"]
    model = Snapshot(
        parts={name: _read_part(name, each) for name, each in found["module"].items()},
        tensors={name: _read_tensor(name, each) for name, each in held},
        inputs=dict(found["input"]),
        seed=streams["seed"],
        scheme=streams["scheme"],
        activations=costs["activations"],
        flops=costs["FLOPs"],
    )
    return Lock(
        typed=tuple(map(str, found["model"])),
        model=model,
        digests={name: each["values"] for name, each in held if "values" in each},
        machine=found["values"]["machine"],
        versions=found["versions"],
    )


def _read_part(name: str, facts: Mapping[str, Any]) -> Part:
    prefix = f"{name}." if name else ""

    def named(every: Sequence[str]) -> tuple[tuple[str, str], ...]:
        pairs = (each.partition("=") for each in every)
        return tuple((local, whole if sign else prefix + local) for local, sign, whole in pairs)

    arguments = facts.get("arguments", {})
    inside = ", ".join(f"{each}={value}" for each, value in arguments.items())
    leaf = facts["type"] not in (BLOCK, "Sequential")
    return Part(
        name=name,
        type=facts["type"],
        label=f"{facts['type']}({inside})" if leaf else facts["type"],
        arguments=tuple(arguments.items()),
        inputs=tuple(facts.get("inputs", ())),
        text="\n".join(facts.get("forward", ())),
        tensors=named(facts.get("tensors", ())),
        children=named(facts.get("layers", ())),
    )


def _read_tensor(name: str, facts: Mapping[str, Any]) -> Held:
    return Held(
        name=name,
        homes=(name, *facts.get("also", ())),
        shape=tuple(facts["shape"]),
        dtype=facts["dtype"],
        kind=facts["kind"],
        persistent=facts.get("persistent", True),
        trainable=facts["kind"] == "parameter" and not facts.get("frozen", False),
        fill=facts["fill"],
        rule=facts["rule"],
        drawn=facts.get("drawn", ""),
        group=facts.get("group", ""),
    )


def file_of(typed: Sequence[str]) -> str:
    """The name of the file of a lock.

    >>> file_of(["gpt2"]), file_of(["gpt2", "init=gpt2"]), file_of(["models/small.yaml"])
    ('gpt2.lock', 'gpt2+init=gpt2.lock', 'small.lock')
    """
    target, *overrides = typed
    stem = pathlib.PurePath(target).name.removesuffix(".yaml").removesuffix(".yml")
    return re.sub(r"[^\w.=+~-]", "_", "+".join([stem, *overrides]))[:200] + SUFFIX
