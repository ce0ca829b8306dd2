"""Checks what a test written as a config expects of a model; all that is not so is a problem with its place."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Callable

from modelzoo.config.document import Document
from modelzoo.errors import ConfigError, Problem, render
from modelzoo.testing import model_facts, output_facts, signal_facts, tensor_facts
from modelzoo.testing.case import Case, Fact, Message
from modelzoo.testing.configs import Configs
from modelzoo.testing.found import Found
from modelzoo.testing.subject import Built, build, forward

_LOOKS: dict[str, Callable[[Found, Built, Fact], None]] = {
    "parameters": model_facts.count,
    "trainable": model_facts.count,
    "buffers": model_facts.count,
    "bytes": model_facts.count,
    "keys": model_facts.keys,
    "modules": model_facts.modules,
    "tensors": tensor_facts.tensors,
    "signals": signal_facts.signals,
    "round_trip": model_facts.round_trip,
    "unchanged_by": model_facts.unchanged,
    "output": output_facts.output,
    "gradient": model_facts.gradient,
}
"""In this order: a forward pass in training mode moves the statistics of a BatchNorm."""


def check(case: Case, document: Document, folder: pathlib.Path) -> None:
    """Builds what a test describes, in the current directory as its project, and looks at all that it expects.

    Args:
        case: the test.
        document: the file where it stands.
        folder: where that file lies; model files and lists of keys are relative to it.

    Raises:
        ConfigError: everything that is not as expected, or what is wrong with the test or its config.
    """
    if case.problems:
        raise ConfigError(case.problems)
    found = Found(Configs(case, document, folder))
    if any(fact.name == "error" for fact in case.expect):
        _error(found, case.expect[0])
    else:
        built = build(found.configs.own())
        for name, look in _LOOKS.items():
            for fact in case.expect:
                if fact.name == name:
                    look(found, built, fact)
    if found.problems:
        raise ConfigError(found.problems)


def _error(found: Found, fact: Fact) -> None:
    """`error`: composing, building or running the model has to report it."""
    messages: tuple[Message, ...] = fact.value
    try:
        built = build(found.configs.own())
        if built.inputs:
            forward(built)
    except ConfigError as error:
        for message in messages:
            if not any(_reports(problem, message) for problem in error.problems):
                found.add(fact.key, f"the error {message}", render(error.problems, None))
        return
    for message in messages:
        found.add(fact.key, f"the error {message}", "none: the model builds and runs")


def _reports(problem: Problem, message: Message) -> bool:
    at = re.sub(r"^\./", "", problem.where)
    placed = not message.where or at == message.where or at.startswith(f"{message.where}:")
    return placed and message.text.strip() in str(problem) and message.path in ("", problem.path)
