"""What Hydra says when it cannot compose a config, as a problem like ours: seen, expected, what to type."""

from __future__ import annotations

import pathlib
import re
import shlex
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, ListConfig
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigIndexError,
    ConfigKeyError,
    GrammarParseError,
    OmegaConfBaseException,
)

from modelzoo import files, system
from modelzoo.config import modelfile, search_path
from modelzoo.config.document import Document, at, read, yaml_problem
from modelzoo.config.places import parts
from modelzoo.errors import Path, Problem, nearest
from modelzoo.names import is_index

_EXTRAS = {"joblib": "parallel", "submitit": "cluster"}
_HYDRAS = ("hydra", "hydra_plugins", "omegaconf", "antlr4", "joblib", "submitit")
_CALL = re.compile(r"[A-Za-z_][\w.]*\(")


def composition_problem(error: Exception, overrides: Sequence[str]) -> Problem | None:
    """Explains an error that was raised while a config was composed.

    Args:
        error: what Hydra, OmegaConf or PyYAML raised.
        overrides: what was typed on the command line.

    Returns:
        The problem; `None` if the error is none of theirs.
    """
    match error:
        case yaml.YAMLError():
            return _syntax(error)
        case OverrideParseException():
            return _unreadable(error.override, str(error))
        case MissingConfigException() if error.missing_cfg_file:
            return _unknown_name(error, overrides)
        case ConfigCompositionException() if isinstance(error.__cause__, (ConfigAttributeError, ConfigKeyError)):
            return _unknown_key(error, error.__cause__, overrides)
        case ConfigCompositionException() if isinstance(error.__cause__, ConfigIndexError):
            return _unknown_index(error, error.__cause__, overrides)
        case ConfigCompositionException() if isinstance(error.__cause__, GrammarParseError):
            return _unreadable_reference(error.__cause__, overrides)
        case UnicodeDecodeError():
            return _no_utf8(error, overrides)
        case ConfigCompositionException() if isinstance(error.__cause__, OmegaConfBaseException):
            return _unfit(error, error.__cause__, overrides)
        case TypeError() if (deletion := _deletion(overrides)) is not None:
            return deletion
        case HydraException() | OmegaConfBaseException() | ValueError():
            return _other(error, overrides)
    refused = system.told(error, "command line", "Choose another directory: hydra.run.dir=DIR")
    if refused is not None:
        (problem,) = refused.problems
        return replace(problem, path=" ".join(overrides)) if problem.where == "command line" else problem
    if _is_hydras(error):
        kind, *_ = traceback.format_exception_only(error)
        return _command_line(" ".join(overrides), _sentence(f"Hydra ended in {kind.strip()}"))
    return None


def _is_hydras(error: Exception) -> bool:
    """Whether it was raised inside Hydra or what Hydra works with, rather than in a program that Hydra calls."""
    modules = [str(frame.f_globals.get("__name__")) for frame, _ in traceback.walk_tb(error.__traceback__)]
    packages = [each.partition(".")[0] for each in modules]
    return next((each for each in reversed(packages) if each not in sys.stdlib_module_names), "") in _HYDRAS


def quoted(key: str, value: str) -> str:
    """The override as it has to be typed so that Hydra takes the value as a text.

    >>> print(quoted("model.layers.act", "LeakyReLU(0.1)"))
    "model.layers.act='LeakyReLU(0.1)'"
    """
    text = f"{key}='" + value.replace("'", r"\'") + "'"
    return shlex.quote(text) if re.search(r'["$`\\!]', text) else f'"{text}"'


def _command_line(override: str, what: str, hint: str = "") -> Problem:
    return Problem(where="command line", path=override, what=what, hint=hint)


def _syntax(error: yaml.YAMLError) -> Problem:
    mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
    file = pathlib.Path(str(mark.name) if mark is not None else getattr(error, "name", ""))
    return yaml_problem(_in_full(error, file), files.shown(file, pathlib.Path.cwd()))


def _in_full(error: yaml.YAMLError, file: pathlib.Path) -> yaml.YAMLError:
    """What PyYAML's own parser says, which tells what it met; Hydra 1.4 reads with the C parser, which does not."""
    if isinstance(error, (yaml.scanner.ScannerError, yaml.parser.ParserError)):
        try:
            for _ in yaml.parse(file.read_text("utf-8-sig"), Loader=yaml.SafeLoader):
                pass
        except yaml.YAMLError as told:
            return told
        except (OSError, ValueError):  # then the other's words have to do
            pass
    return error


def _unreadable(override: str, message: str) -> Problem:
    key, equals, value = override.partition("=")
    if not equals:
        return _command_line(override, "This sets nothing: an override is written key=value.")
    if not re.fullmatch(r"[~+]{0,2}[\w.$/@\[\]:-]+", key):
        return _command_line(override, f"'{key}' cannot be the key of an override.")
    value = value.strip()
    if _CALL.match(value):
        what = f"Hydra reads {value.split('(')[0]}(...) as a function of its own."
    elif value.startswith("="):
        what = "Hydra does not read a value that begins with '='."
    else:
        what = f"Hydra cannot read the value {value}."
    if value[:1] in ("[", "{", "'", '"'):
        return _command_line(override, what, "Close every bracket and every quote.")
    typed = quoted(key, value)
    hint = f"Put the text in quotes of its own: {typed}" if _parses(shlex.split(typed)[0]) else ""
    return _command_line(override, what, hint)


def _no_utf8(error: UnicodeDecodeError, overrides: Sequence[str]) -> Problem:
    for directory in (pathlib.Path.cwd() / "conf", search_path.conf_directory()):
        for file in filter(pathlib.Path.is_file, directory.rglob("*.yaml")):
            content = file.read_bytes()
            start = content.find(error.object)  # as much of the file as was read at once
            if start >= 0:
                return Problem(where=files.shown(file), what=modelfile.no_utf8(content, start + error.start))
    return _other(error, overrides)


def _parses(override: str) -> bool:
    try:
        OverridesParser.create().parse_override(override)
    except Exception:  # whatever it raises, the line must not be recommended
        return False
    return True


def _unknown_name(error: MissingConfigException, overrides: Sequence[str]) -> Problem:
    group, _, name = (error.missing_cfg_file or "").lstrip("/").rpartition("/")
    options = [str(each) for each in error.options or ()]
    what = f"There is no '{name}' in conf/{group}." if group else f"There is no config '{name}'."
    hint = nearest(name, options) or (f"Known: {', '.join(options)}." if options else "")
    if group == "hydra/launcher" and (extra := _EXTRAS.get(name.partition("_")[0])):
        hint = f"Install it: pip install 'modelzoo[{extra}]'."
    for override in overrides:
        key, _, value = override.partition("=")
        if key.lstrip("+").partition("@")[0] == group and name in re.split(r"[,\[\]\s'\"]+", value):
            return _command_line(override, what, hint)
    parent = re.match("In '(.*?)'", str(error))
    where = _in_defaults(parent[1], name) if parent else ""
    return Problem(where=where, path="defaults", what=what, hint=hint)


def _in_defaults(config: str, name: str) -> str:
    """Where the defaults of a config name another, as far as that can be found."""
    document = _document(config)
    if document is None:
        return ""
    found = document.find(Path(("defaults",)))
    nodes: list[Any] = [found.node] if found and found.depth else []
    while nodes:
        node = nodes.pop()
        if isinstance(node, yaml.ScalarNode) and node.value.rpartition("/")[2] == name:
            return at(document.shown, node.start_mark)
        for entry in node.value if isinstance(node.value, list) else ():
            nodes.extend(entry[1:] if isinstance(entry, tuple) else [entry])
    return document.place(Path(("defaults",)))


def _document(config: str) -> Document | None:
    cwd = pathlib.Path.cwd()
    for directory in (cwd / "conf", search_path.conf_directory()):
        file = directory / f"{config}.yaml"
        try:
            return read(file.read_text("utf-8-sig"), files.shown(file, cwd))
        except Exception:  # an explanation without a line is better than none
            continue
    return None


def _unknown_key(
    error: ConfigCompositionException, cause: ConfigAttributeError | ConfigKeyError, overrides: Sequence[str]
) -> Problem:
    key = _overridden(error)
    override = _typed(key, overrides)
    keys = parts(key)
    known = parts(str(cause.full_key))
    name = known[len(known) - 1] if known else key
    parent = Path(known[:-1])
    places = search_path.places(_choices(overrides, override), pathlib.Path.cwd())
    try:
        written = places.value(parent) if parent else {}
    except Exception:  # without the files Hydra's own words have to do
        written = {}
    value = override.partition("=")[2]
    if isinstance(written, str):
        instead = quoted(str(parent), written)
        return _command_line(override, f"'{parent}' is written as text, {written}.", f"Replace it whole: {instead}")
    names = [str(each) for each in cause.parent_node] if isinstance(cause.parent_node, DictConfig) else []
    names = [each for each in names if each != "hydra"]
    what = f"There is no '{name}' in {parent}." if parent else f"There is no key '{name}'."
    hint = nearest(str(name), names)
    if not hint.startswith("Did") and len(keys) == len(known) and parent:
        hint = f"{hint} To add it, type +{key}={value}".strip()
    return _command_line(override, what, hint)


def _unknown_index(error: ConfigCompositionException, cause: ConfigIndexError, overrides: Sequence[str]) -> Problem:
    override = str(error).rpartition("override ")[2]
    known = parts(str(cause.full_key))
    count = len(cause.parent_node) if isinstance(cause.parent_node, ListConfig) else 0
    what = f"The list {'.'.join(known[:-1])} has {count} entries, 0 to {count - 1}; there is no {known[-1]}."
    return _command_line(override if override in overrides else _typed(".".join(known), overrides), what)


def _unfit(error: ConfigCompositionException, cause: OmegaConfBaseException, overrides: Sequence[str]) -> Problem:
    """A value that a key of Hydra's own does not take, or a name where a list takes an index."""
    message = str(cause).splitlines()[0]
    override = str(error).rpartition("override ")[2]
    return _known(message, overrides) or _command_line(override, _sentence(message))


def _deletion(overrides: Sequence[str]) -> Problem | None:
    """The first override that deletes an entry of a list, which Hydra does not do."""
    places = search_path.places(tuple(each for each in overrides if not each.startswith("~")), pathlib.Path.cwd())
    for override in overrides:
        *above, last = parts(override.partition("=")[0].removeprefix("~")) or ("",)
        if not (override.startswith("~") and is_index(last) and isinstance(places.value(Path(above)), list)):
            continue
        key, what = ".".join(above), "Hydra deletes no entry of a list."
        hint = f"Type the whole list without it: {key}=[...]"
        if _holds_layers(above):
            hint = f"To leave the layer out, type {key}.{last}=null; to put another in its place, {key}.{last}=Identity"
        return _command_line(override, what, hint)
    return None


def _holds_layers(keys: Sequence[str]) -> bool:
    """Whether the list at a key stands below `layers`, or for a layer there."""
    if "layers" not in keys:
        return False
    last = len(keys) - 1 - keys[::-1].index("layers")
    return all(map(is_index, keys[last + 2 :]))


def _unreadable_reference(error: GrammarParseError, overrides: Sequence[str]) -> Problem:
    message = str(error)
    key = re.search("full_key: (.*)", message)
    inside = Path(parts(key[1])) if key else Path()
    for override in overrides:
        group, _, name = override.partition("=")
        document = _document(f"{group}/{name}") if inside else None
        found = document.find(inside) if document else None
        if document and found and found.depth == len(inside) and isinstance(found.node, yaml.ScalarNode):
            text, path = found.node.value, str(Path((*parts(group.replace("/", ".")), *inside)))
            where = document.place(inside)
            break
    else:
        where, path = "command line", " ".join(overrides)
        text = message.partition("'")[2].partition("'")[0] or message.splitlines()[0]
    closed = text.count("${") <= text.count("}")
    hint = "Write a key, as in ${model.args.dim}." if closed else "Close it with }."
    return Problem(where=where, path=path, what=f"{text} cannot be read as a reference.", hint=hint)


def _other(error: BaseException, overrides: Sequence[str]) -> Problem:
    message = str(error).strip()
    first = message.splitlines()[0] if message else type(error).__name__
    if known := _known(message, overrides):
        return known
    where = re.match("In '(.*?)': ", first)
    document = _document(where[1]) if where else None
    lines = [each.strip() for each in message.splitlines() if "full_key" not in each and "object_type" not in each]
    what = re.sub(r"^In '.*?': \w+ raised while composing config: ?", "", " ".join(filter(None, lines)))
    return Problem(
        where=document.shown if document else "command line",
        path="" if document else " ".join(overrides),
        what=_sentence(what),
    )


def _known(message: str, overrides: Sequence[str]) -> Problem | None:
    """A message of Hydra's that has a better answer here."""
    matches = ((re.search(pattern, message, re.DOTALL), explain) for pattern, explain in _MESSAGES)
    return next((explain(match, overrides) for match, explain in matches if match), None)


def _sentence(text: str) -> str:
    return text if text.endswith((".", "?", "!")) else text + "."


def _ambiguous(match: re.Match[str], overrides: Sequence[str]) -> Problem:
    key, _, value = match[1].partition("=")
    what = "Several values are a sweep: one job for each."
    return _command_line(
        match[1],
        what,
        f'To run them all, add -m. For one list type "{key}=[{value}]", for one text {quoted(key, value)}.',
    )


def _needs_multirun(match: re.Match[str], overrides: Sequence[str]) -> Problem:
    return _command_line(match[1], "Several values are a sweep: one job for each.", "To run them all, add -m.")


def _exists(match: re.Match[str], overrides: Sequence[str]) -> Problem:
    override = _typed(match[1], overrides)
    return _command_line(override, f"'{match[1]}' exists already.", f"To change it, type {override.lstrip('+')}")


def _nothing_to_delete(match: re.Match[str], overrides: Sequence[str]) -> Problem:
    return _command_line(_typed(match[1], overrides), f"There is no '{match[1]}' that could be deleted.")


def _not_in_defaults(match: re.Match[str], overrides: Sequence[str]) -> Problem:
    override = _typed(match[1], overrides)
    what = f"No defaults list names '{match[1]}'."
    other = re.search("Did you mean to override (.*?)\\?", match[0])
    hint = f"Did you mean {other[1]}?" if other else f"To add it, type +{override}"
    return _command_line(override, what, hint)


def _name_expected(match: re.Match[str], overrides: Sequence[str]) -> Problem:
    parser = OverridesParser.create()
    for override in overrides:
        key = override.partition("=")[0]
        if not key:
            return _command_line(override, "This sets nothing: an override is written key=value.")
        group = (search_path.conf_directory() / key.lstrip("+~").partition("@")[0]).is_dir()
        if group and not isinstance(parser.parse_override(override).value(), (str, list)):
            value = override.partition("=")[2]
            return _command_line(override, f"'{key}' takes the name of a file in conf/{key}, not {value}.")
    return _command_line(" ".join(overrides), _sentence(match[0]))


def _index_expected(match: re.Match[str], overrides: Sequence[str]) -> Problem:
    keys = [(each, each.partition("=")[0]) for each in overrides]
    override = next((each for each, key in keys if match[1] in parts(key)), " ".join(overrides))
    return _command_line(override, f"A list takes an index, not '{match[1]}'.")


def _list_and_mapping(match: re.Match[str], overrides: Sequence[str]) -> Problem:
    document = _document(match[1])
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


def _overridden(error: BaseException) -> str:
    match = re.match("Could not override '(.*?)'", str(error))
    return match[1] if match else ""


def _typed(key: str, overrides: Sequence[str]) -> str:
    """The override that set a key, as it was typed."""
    wanted = parts(key)
    for override in reversed(overrides):
        if parts(override.partition("=")[0].lstrip("+~")) == wanted:
            return override
    return key


def _choices(overrides: Sequence[str], without: str) -> tuple[str, ...]:
    return tuple(each for each in overrides if each != without)
