"""The tools: `python -m modelzoo COMMAND ...`. Each is a function of its own file, imported when it is called."""

from __future__ import annotations

import importlib
import sys

from modelzoo.cli.guard import guarded
from modelzoo.errors import nearest
from modelzoo.terminal import say

COMMANDS = {
    "audit": ("modelzoo.cli.audit", "says which tensors the code of a model never writes, writes twice, or not anew"),
    "run": ("modelzoo.cli.run_file", "runs a model file from anywhere, in a process with limits"),
    "check": ("modelzoo.cli.check", "plans configs and model files without values, and says what is wrong"),
    "diff": ("modelzoo.cli.diff", "says what two models differ in, and what that means for their weights"),
    "list": (
        "modelzoo.cli.listing",
        "lists what a config may name: layers, fills, functions, methods, models, inits, groups, parallel",
    ),
    "lock": ("modelzoo.cli.lock", "writes what a model is, and says when a change makes another of it"),
    "schema": ("modelzoo.cli.schema", "prints a JSON Schema, with which an editor completes and checks configs"),
    "source": ("modelzoo.cli.source", "prints any model as plain PyTorch source"),
    "where": ("modelzoo.cli.where", "prints every place that sets a key of a composed config"),
}
"""Name of a command -> the module whose `command(arguments: list[str]) -> int` runs it, and what it does."""


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; returns the exit code."""
    return guarded(lambda: _run(sys.argv[1:] if arguments is None else arguments), patient=False)


def _run(arguments: list[str]) -> int:
    name, *rest = arguments or ["--help"]
    if name in ("-h", "--help"):
        say(usage())
        return 0
    if name not in COMMANDS:
        say(f"There is no command '{name}'. {nearest(name, COMMANDS)}", sys.stderr)
        return 2
    module = importlib.import_module(COMMANDS[name][0])
    return int(module.command(rest))


def usage() -> str:
    """The commands, one line each."""
    rows = [f"  {name:<8}  {what}" for name, (_, what) in COMMANDS.items()]
    return "\n".join(["python -m modelzoo COMMAND ...", *rows])


if __name__ == "__main__":
    sys.exit(main())
