"""What Hydra says of overrides in words of its own, as problems."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Callable, Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser

from modelzoo import files
from modelzoo.config import answers, search_path
from modelzoo.config.answers import quoted
from modelzoo.config.document import Document, read
from modelzoo.config.places import parts
from modelzoo.errors import Path, Problem


def known_message(message: str, overrides: Sequence[str]) -> Problem | None:
    """A message of Hydra's that has a better answer here."""
    matches = ((re.search(pattern, message, re.DOTALL), explain) for pattern, explain in _MESSAGES)
    return next((explain(match, overrides) for match, explain in matches if match), None)


def _ambiguous(match: re.Match[str], overrides: Sequence[str]) -> Problem:
    key, _, value = match[1].partition("=")
    what = "Several values are a sweep: one job for each."
    return command_line(
        match[1],
        what,
        f'To run them all, add -m. For one list type "{key}=[{value}]", for one text {quoted(key, value)}.',
    )


def _needs_multirun(match: re.Match[str], overrides: Sequence[str]) -> Problem:
    return command_line(match[1], "Several values are a sweep: one job for each.", "To run them all, add -m.")


def _exists(match: re.Match[str], overrides: Sequence[str]) -> Problem:
    override = as_typed(match[1], overrides)
    return command_line(override, *answers.exists(match[1], override))


def _nothing_to_delete(match: re.Match[str], overrides: Sequence[str]) -> Problem:
    override = as_typed(match[1], overrides)
    try:
        known = search_path.places(tuple(each for each in overrides if each != override), pathlib.Path.cwd())
        hint = known.nearest(Path(parts(match[1])))
    except Exception:  # without the files Hydra's own words have to do
        hint = ""
    return command_line(override, *answers.nothing_to_delete(match[1], hint))


def _not_in_defaults(match: re.Match[str], overrides: Sequence[str]) -> Problem:
    override = as_typed(match[1], overrides)
    what = f"No defaults list names '{match[1]}'."
    other = re.search("Did you mean to override (.*?)\\?", match[0])
    hint = f"Did you mean {other[1]}?" if other else f"To add it, type +{override}"
    return command_line(override, what, hint)


def _name_expected(match: re.Match[str], overrides: Sequence[str]) -> Problem:
    parser = OverridesParser.create()
    for override in overrides:
        key = override.partition("=")[0]
        if not key:
            return command_line(override, "This sets nothing: an override is written key=value.")
        group = (search_path.conf_directory() / key.lstrip("+~").partition("@")[0]).is_dir()
        if group and not isinstance(parser.parse_override(override).value(), (str, list)):
            value = override.partition("=")[2]
            return command_line(override, f"'{key}' takes the name of a file in conf/{key}, not {value}.")
    return command_line(" ".join(overrides), sentence(match[0]))


def _index_expected(match: re.Match[str], overrides: Sequence[str]) -> Problem:
    keys = [(each, each.partition("=")[0]) for each in overrides]
    override = next((each for each, key in keys if match[1] in parts(key)), " ".join(overrides))
    return command_line(override, *answers.no_index(match[1]))


def _list_and_mapping(match: re.Match[str], overrides: Sequence[str]) -> Problem:
    document = document_of(match[1])
    what = "The file has a list where one before it has a mapping, or the other way round."
    return Problem(where=document.shown if document else match[1], what=what, hint="Hydra cannot merge the two.")


_Explain = Callable[[re.Match[str], Sequence[str]], Problem]


_MESSAGES: tuple[tuple[str, _Explain], ...] = (
    (r"Ambiguous value for argument '(.*?)'\n", _ambiguous),
    (r"Sweep parameters '(.*)' requires --multirun", _needs_multirun),
    (r"An item is already at '(.*?)'", _exists),
    (r"Could not delete from config. '(.*?)' does not exist", _nothing_to_delete),
    (r"Could not delete '(.*?)'. No match", _nothing_to_delete),
    (r"Could not override '(.*?)'.*", _not_in_defaults),
    (r"Config group override must be .*", _name_expected),
    (r"invalid literal for int\(\) with base 10: '(.*)'", _index_expected),
    (r"^Index '(.*)' \(str\) is not an int", _index_expected),
    (r"^In '(.*?)': .*Cannot merge (?:DictConfig with|ListConfig with|incompatible)", _list_and_mapping),
)


def command_line(override: str, what: str, hint: str = "") -> Problem:
    """What is wrong with an override."""
    return Problem(where="command line", path=override, what=what, hint=hint)


def document_of(config: str) -> Document | None:
    """The file of a config that Hydra would find; None if there is none or it cannot be read."""
    cwd = pathlib.Path.cwd()
    for directory in (cwd / "conf", search_path.conf_directory()):
        file = directory / f"{config}.yaml"
        try:
            return read(file.read_text("utf-8-sig"), files.shown(file, cwd))
        except Exception:  # an explanation without a line is better than none
            continue
    return None


def sentence(text: str) -> str:
    """A text that ends as a sentence does."""
    return text if text.endswith((".", "?", "!")) else text + "."


def as_typed(key: str, overrides: Sequence[str]) -> str:
    """The override that set a key, as it was typed."""
    wanted = parts(key)
    for override in reversed(overrides):
        if parts(override.partition("=")[0].lstrip("+~")) == wanted:
            return override
    return key
