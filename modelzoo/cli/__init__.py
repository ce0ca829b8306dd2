"""The command line: `main` runs the main job and its sweeps, the other files are the tools of `python -m modelzoo`.

In comes what was typed; out go an exit code and what is printed. `guard` is the one place that meets exceptions, with
`stdio`, the standard streams. `launch` composes what was typed with Hydra, and hands it on.

The tools are a file each, with `command(arguments) -> int`: `run_file` (with `sandbox`, the process with limits in
which a file from elsewhere is opened), `check` (with `checked`, what is known of a config, and `rules`, of a file of
rules), `where`, `source`, `audit`, `diff` (of two `sides`), `lock`, `listing` (with `page`, `facts`, `docstrings` and
`examples`), `schema` (with `definitions` and `schemas`).

>>> from modelzoo.__main__ import COMMANDS
>>> sorted(COMMANDS)
['audit', 'check', 'diff', 'list', 'lock', 'run', 'schema', 'source', 'where']
"""

from __future__ import annotations

import gc


def main() -> int:
    """Composes a config from the command line and runs it; returns the exit code.

    A sweep (`-m`) runs all its jobs; the exit code is 1 if one of them failed.
    """
    from modelzoo.cli.guard import guarded

    return guarded(_launch)


def _launch() -> int:
    gc.disable()  # nothing that an import makes is garbage
    from modelzoo.cli.launch import launch

    return launch()
