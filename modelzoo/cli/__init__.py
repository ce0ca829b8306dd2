"""The command line: `main` runs the main job and its sweeps, the other files are the tools of `python -m modelzoo`.

`launch` composes what was typed and hands it on; it is the one place that meets exceptions. `check`, `listing`,
`schema`, `source`, `where` and `run_file` are a tool each, with `command(arguments) -> int`; `sandbox` is the process
with limits in which a file from elsewhere is opened.

>>> from modelzoo.__main__ import COMMANDS
>>> sorted(COMMANDS)
['check', 'list', 'run', 'schema', 'source', 'where']
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
