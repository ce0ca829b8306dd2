"""What `export=[...]` adds to a job: files that cost more than a plain run should, each by a module of its own."""

from __future__ import annotations

import importlib
import pathlib
from typing import TYPE_CHECKING, Any

from modelzoo.errors import Code, Path, Problems, nearest

if TYPE_CHECKING:
    from torch import nn

    from modelzoo.config.config import Config
    from modelzoo.measuring.signals import Signals
    from modelzoo.plans.draft import Draft

EXPORTERS = {
    "source": ("modelzoo.export.source.model", "model.py, plain PyTorch source of the model"),
    "report": ("modelzoo.export.report", "report.html, one page about the model that needs no network"),
    "pt2": ("modelzoo.export.pt2", "model.pt2, the model as a program of torch.export"),
    "onnx": ("modelzoo.export.onnx_file", "model.onnx, the model for other runtimes"),
    "graph": ("modelzoo.export.graph.mermaid", "graph.mmd, its data flow as mermaid text"),
}
"""Name of an export -> the module whose `export(draft, model, config, directory, signals) -> Path` writes it, and what
it is."""

WHOLE = "safetensors"
"""Asks for all values in one file, which a job writes anyway, unless several processes hold the model."""


def names(value: Any, problems: Problems) -> tuple[str, ...]:
    """The exports that an option asks for.

    Args:
        value: of the option.
        problems: collects that it is no list of names, and exports that there are not.

    >>> names(["source"], Problems()), names(None, Problems())
    (('source',), ())
    """
    given, key = [value] if isinstance(value, str) else [] if value is None else value, Path(("export",))
    if not isinstance(given, (list, tuple)):
        problems.add(key, f"export must be a list of names, not {given!r}.", "Type export=[source].")
        return ()
    for each in given:
        if each not in EXPORTERS and each != WHOLE:
            known = [*EXPORTERS, WHOLE]
            problems.add(key, f"there is no export {each!r}.", nearest(str(each), known), code=Code.UNKNOWN)
    return tuple(dict.fromkeys(each for each in given if each in EXPORTERS))


def write(
    wanted: tuple[str, ...],
    draft: Draft,
    model: nn.Module,
    config: Config,
    directory: pathlib.Path,
    signals: Signals | None = None,
) -> list[pathlib.Path]:
    """Writes exports; what none asked for is not imported."""
    modules = [importlib.import_module(EXPORTERS[each][0]) for each in wanted]
    return [module.export(draft, model, config, directory, signals) for module in modules]
