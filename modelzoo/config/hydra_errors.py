"""What Hydra says when it cannot compose a config, as a problem like ours: seen, expected, what to type."""

from __future__ import annotations

import pathlib
import re
import shlex
import sys
import traceback
from collections.abc import Sequence
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
from modelzoo.config import answers, modelfile, quotes, search_path
from modelzoo.config.answers import QUOTE, quoted, quoted_each, typed_text
from modelzoo.config.document import at, yaml_problem
from modelzoo.config.hydra_messages import as_typed, command_line, document_of, known_message, sentence
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
        return command_line(" ".join(overrides), sentence(f"Hydra ended in {kind.strip()}"))
    return None


def _is_hydras(error: Exception) -> bool:
    """Whether it was raised inside Hydra or what Hydra works with, rather than in a program that Hydra calls."""
    modules = [str(frame.f_globals.get("__name__")) for frame, _ in traceback.walk_tb(error.__traceback__)]
    packages = [each.partition(".")[0] for each in modules]
    return next((each for each in reversed(packages) if each not in sys.stdlib_module_names), "") in _HYDRAS


def _syntax(error: yaml.YAMLError) -> Problem:
    mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
    file = pathlib.Path(str(mark.name) if mark is not None else getattr(error, "name", ""))
    try:
        text = file.read_text("utf-8-sig")
    except (OSError, ValueError):
        text = ""
    return yaml_problem(_in_full(error, text), files.shown(file, pathlib.Path.cwd()), text)


def _in_full(error: yaml.YAMLError, text: str) -> yaml.YAMLError:
    """What PyYAML's own parser says, which tells what it met; Hydra 1.4 reads with the C parser, which does not."""
    if isinstance(error, (yaml.scanner.ScannerError, yaml.parser.ParserError)):
        try:
            for _ in yaml.parse(text, Loader=yaml.SafeLoader):
                pass
        except yaml.YAMLError as told:
            return told
        except (OSError, ValueError):  # then the other's words have to do
            pass
    return error


def _unreadable(override: str, message: str) -> Problem:
    key, equals, value = override.partition("=")
    if not equals:
        return command_line(override, "This sets nothing: an override is written key=value.")
    if not re.fullmatch(r"[~+]{0,2}[\w.$/@\[\]:-]+", key):
        return command_line(override, f"'{key}' cannot be the key of an override.")
    value = value.strip()
    plain = re.sub(r"\[(\w+)\]", r".\1", key)
    if plain != key and _parses(f"{plain}={value}"):
        return command_line(override, f"Hydra reads no brackets in the key {key}.", f"Type {plain}={value}")
    parts = quotes.separate(value)
    if parts[1:] and any(map(_CALL.match, parts)):
        typed = quoted_each(key, parts)
        if _parses(shlex.split(typed)[0]):
            what = "Hydra reads a call as a function of its own."
            return command_line(override, what, f"In a sweep (-m) each call is in quotes of its own: {typed}")
    if _CALL.match(value):
        what = f"Hydra reads {value.split('(')[0]}(...) as a function of its own."
    elif value.startswith("="):
        what = "Hydra does not read a value that begins with '='."
    else:
        what = f"Hydra cannot read the value {value}."
    inside = f"{key}={quotes.quoted(value, QUOTE)}"
    if value[:1] in ("[", "{") and _parses(inside):
        return command_line(override, what, f"Put each text in quotes of its own: {typed_text(inside)}")
    if value[:1] in ("[", "{", "'", '"'):
        return command_line(override, what, "Close every bracket and every quote.")
    typed = quoted(key, value)
    hint = f"Put the text in quotes of its own: {typed}" if _parses(shlex.split(typed)[0]) else ""
    return command_line(override, what, hint)


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
    folders = [each / group for each in (pathlib.Path.cwd() / "conf", search_path.conf_directory())]
    options = [str(each) for each in error.options or ()]
    options = options or sorted({file.stem for each in folders for file in each.glob("*.yaml")})
    what = f"There is no '{name}' in conf/{group}." if group else f"There is no config '{name}'."
    hint = nearest(name, options) or (f"Known: {', '.join(options)}." if options else "")
    if not options and group:
        hint = nearest(group, sorted({each.name for folder in folders for each in folder.parent.glob("*/")}))
    if group == "hydra/launcher" and (extra := _EXTRAS.get(name.partition("_")[0])):
        hint = f"Install it: pip install 'modelzoo[{extra}]'."
    for override in overrides:
        key, _, value = override.partition("=")
        if key.lstrip("+").partition("@")[0] == group and name in re.split(r"[,\[\]\s'\"]+", value):
            return command_line(override, what, hint)
    parent = re.match("In '(.*?)'", str(error))
    where = _in_defaults(parent[1], name) if parent else ""
    return Problem(where=where, path="defaults", what=what, hint=hint)


def _in_defaults(config: str, name: str) -> str:
    """Where the defaults of a config name another, as far as that can be found."""
    document = document_of(config)
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


def _unknown_key(
    error: ConfigCompositionException, cause: ConfigAttributeError | ConfigKeyError, overrides: Sequence[str]
) -> Problem:
    key = _overridden(error)
    override = as_typed(key, overrides)
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
        return command_line(override, *answers.in_a_text(str(parent), written))
    names = [str(each) for each in cause.parent_node] if isinstance(cause.parent_node, DictConfig) else []
    names = [each for each in names if each != "hydra"]
    last = len(keys) == len(known)
    return command_line(override, *answers.unknown(str(name), str(parent), names, key, value, last=last))


def _unknown_index(error: ConfigCompositionException, cause: ConfigIndexError, overrides: Sequence[str]) -> Problem:
    override = str(error).rpartition("override ")[2]
    known = parts(str(cause.full_key))
    count = len(cause.parent_node) if isinstance(cause.parent_node, ListConfig) else 0
    shown = override if override in overrides else as_typed(".".join(known), overrides)
    return command_line(shown, *answers.no_entry(".".join(known[:-1]), count, known[-1]))


def _unfit(error: ConfigCompositionException, cause: OmegaConfBaseException, overrides: Sequence[str]) -> Problem:
    """A value that a key of Hydra's own does not take, or a name where a list takes an index."""
    message = str(cause).splitlines()[0]
    override = str(error).rpartition("override ")[2]
    return known_message(message, overrides) or command_line(override, sentence(message))


def _deletion(overrides: Sequence[str]) -> Problem | None:
    """The first override that deletes an entry of a list, which Hydra does not do."""
    places = search_path.places(tuple(each for each in overrides if not each.startswith("~")), pathlib.Path.cwd())
    for override in overrides:
        *above, last = parts(override.partition("=")[0].removeprefix("~")) or ("",)
        if not (override.startswith("~") and is_index(last) and isinstance(places.value(Path(above)), list)):
            continue
        return command_line(override, *answers.deletes_entry(above, last))
    return None


def _unreadable_reference(error: GrammarParseError, overrides: Sequence[str]) -> Problem:
    message = str(error)
    key = re.search("full_key: (.*)", message)
    inside = Path(parts(key[1])) if key else Path()
    for override in overrides:
        group, _, name = override.partition("=")
        document = document_of(f"{group}/{name}") if inside else None
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
    if known := known_message(message, overrides):
        return known
    where = re.match("In '(.*?)': ", first)
    document = document_of(where[1]) if where else None
    lines = [each.strip() for each in message.splitlines() if "full_key" not in each and "object_type" not in each]
    what = re.sub(r"^In '.*?': \w+ raised while composing config: ?", "", " ".join(filter(None, lines)))
    return Problem(
        where=document.shown if document else "command line",
        path="" if document else " ".join(overrides),
        what=sentence(what),
    )


def _overridden(error: BaseException) -> str:
    match = re.match("Could not override '(.*?)'", str(error))
    return match[1] if match else ""


def _choices(overrides: Sequence[str], without: str) -> tuple[str, ...]:
    return tuple(each for each in overrides if each != without)
