"""`forward` and `fill` texts: read, checked, rewritten and compiled to code, and code linked to a function.

Everything that makes a text safe is decided here, once, before it runs. What comes out is an ordinary function without
a guard for each operation.
"""

from __future__ import annotations

import ast
import builtins
import hashlib
import linecache
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from types import CodeType, FrameType, FunctionType
from typing import Any

from modelzoo.errors import TextError
from modelzoo.language.names import Names, Read
from modelzoo.language.pasted import answered
from modelzoo.language.pieces import called_name, ends, statement_of
from modelzoo.language.runtime import LoopError, Reports, globals_of, line_at
from modelzoo.language.statements import Statements
from modelzoo.language.syntax import names_in, parse_statements
from modelzoo.names import Kind


@dataclass(frozen=True, slots=True)
class Translation:
    """A checked text: its code, or what is wrong with it.

    Attributes:
        code: the code of the function; None if there are errors.
        watched: the same for the dry run: conditions on data and turns of loops are reported, and plain values cannot
            grow beyond the bounds; None if there is nothing of that.
        errors: what is wrong with the text.
        reads: the children, and tensors of children, that it reaches by dotted name.
        names: the values (args) it uses.
        loops: the places of its `while` loops, as watched code reports them.
        conditions: whether it has conditions on data.
        training: whether it reads `training` for more than the share that an attention drops.
        makes: whether it makes a tensor from nothing.
    """

    code: CodeType | None
    watched: CodeType | None
    errors: tuple[TextError, ...]
    reads: tuple[Read, ...]
    names: frozenset[str]
    loops: tuple[str, ...] = ()
    conditions: bool = False
    training: bool = False
    makes: bool = False


class _RefusedError(Exception):
    """A text has errors; raised, so that no cache keeps them: a function may be registered later."""


def translate(text: str, names: Names, name: str, defaults: tuple[Any, ...] = ()) -> Translation:
    """Checks a `forward` or `fill` text and compiles it to the code of a function.

    Args:
        text: the text.
        names: what its names mean; `names.inputs` become the function's parameters, after `_self` (and `_draw`).
        name: the function's name, shown in tracebacks.
        defaults: the default values of the last parameters, as `link` takes them; the code does not depend on them.

    >>> names = Names(inputs=("x",), layers=frozenset({"hidden"}))
    >>> translate("relu(hiden(x))", names, "forward").errors[0].hint
    "Did you mean 'hidden'?"
    """
    try:
        met = names.values & names_in(text)
        if names.outer or names.closed or met != names.values:
            return _translated(text, replace(names, values=met, outer=frozenset(), closed=frozenset()), name)
        return _translated(text, names, name)
    except TextError as error:
        errors = [error]
    except _RefusedError:  # told with all names, of which another may have been meant
        statements = parse_statements(text)
        errors = answered(statements, names, _wrong(statements, names), _wrong)
    return Translation(None, None, tuple(errors), (), frozenset())


@lru_cache(maxsize=4_096)
def _translated(text: str, names: Names, name: str) -> Translation:
    """A text with the names that it has, so that it is the same one wherever it stands."""
    statements = parse_statements(text)
    plain, body = _read(statements, names)
    if plain.text.errors:
        raise _RefusedError
    filename = register(text, name)
    watched = None
    if (plain.values.has_conditions or plain.values.grows) and not names.fills:
        watcher = Statements(names, statements, watch=True)
        watched = _function_code(watcher, watcher.block(statements), name, filename)
    return Translation(
        code=_function_code(plain, body, name, filename),
        watched=watched,
        errors=(),
        reads=tuple(plain.text.reads),
        names=frozenset(plain.values.used),
        loops=tuple(plain.loops),
        conditions=plain.values.has_conditions,
        training="training" in text and _tells_modes(statements),
        makes=plain.values.calls.uses_device,
    )


def _read(statements: Sequence[ast.stmt], names: Names) -> tuple[Statements, list[ast.stmt]]:
    """The statements rewritten, and who knows what is wrong with them; there are none where all made layers."""
    plain = Statements(names, statements)
    body = plain.block(statements)
    if statements and not ends(statements, ast.Return) and not plain.text.errors:
        plain.text.error(statements[-1], "the text ends without return", "End every way through it with return.")
    return plain, body


def _wrong(statements: Sequence[ast.stmt], names: Names) -> list[TextError]:
    return _read(statements, names)[0].text.errors


def _tells_modes(statements: Sequence[ast.stmt]) -> bool:
    """Whether a text reads `training` for more than the share that an attention drops, which decides no shape."""
    nodes = [node for statement in statements for node in ast.walk(statement)]
    attentions = [
        n for n in nodes if isinstance(n, ast.Call) and str(called_name(n)).endswith("scaled_dot_product_attention")
    ]
    shares = [each.value for node in attentions for each in node.keywords if each.arg == "dropout_p"]
    apart = {node for share in shares for node in ast.walk(share)}
    return any(isinstance(node, ast.Name) and node.id == "training" and node not in apart for node in nodes)


def _function_code(rewritten: Statements, body: list[ast.stmt], name: str, filename: str) -> CodeType:
    names, lines = rewritten.text.names, []
    given = [name for name in dict.fromkeys(names.inputs) if Kind.INPUT.fits(name)]  # others are refused elsewhere
    lines += [f"{rewritten.text.code_of(each)} = _own(_self, {each!r})" for each in sorted(rewritten.text.moved)]
    if rewritten.text.uses_modules:
        lines.append("_modules = _self._modules")
    calls, looked_at = rewritten.values.calls, ", ".join(["_self", *given])
    if calls.uses_device:
        lines.append(f"_device = _device_of({looked_at})")
    if calls.uses_dtype:
        lines.append(f"_dtype = _dtype_of({looked_at})")
    parameters = ["_self", *(["_draw"] if names.fills else []), *given]
    module = ast.parse(f"def text({', '.join(parameters)}): pass")
    function = module.body[0]
    assert isinstance(function, ast.FunctionDef)
    function.name = name.rpartition(".")[2]
    function.body = [*(statement_of(line, body[0]) for line in lines), *body]
    whole = compile(ast.fix_missing_locations(module), filename, "exec", dont_inherit=True)
    return next(constant for constant in whole.co_consts if isinstance(constant, CodeType))


def register(text: str, name: str) -> str:
    """Makes tracebacks show the text's own lines; returns the file name that stands for it."""
    filename = f"<{name} {hashlib.sha256(text.encode()).hexdigest()[:8]}>"
    lines = [line + "\n" for line in text.split("\n")]
    linecache.cache[filename] = (len(text), None, lines, filename)
    return filename


def texts(error: BaseException) -> list[tuple[FrameType, int]]:
    """The `forward` and `fill` texts that an error came through, with its line in each, the outermost first."""
    found = []
    trace = error.__traceback__
    while trace is not None:
        if is_text(trace.tb_frame.f_code):
            found.append((trace.tb_frame, trace.tb_lineno))
        trace = trace.tb_next
    return found


def line_of(code: CodeType, number: int) -> str:
    """A line of the text that a code was translated from."""
    return line_at(code.co_filename, number)


def column_of(code: CodeType, instruction: int, line: int) -> int:
    """The column, from 1, where a text calls; Python before 3.11 does not know it: that of the line's first word."""
    if hasattr(code, "co_positions"):
        column = list(code.co_positions())[instruction // 2][2]
        return 1 if column is None else column + 1
    text = linecache.getline(code.co_filename, line)
    return len(text) - len(text.lstrip()) + 1


def is_text(code: CodeType) -> bool:
    """Whether a code is that of a `forward` or `fill` text."""
    return _TEXT.fullmatch(code.co_filename) is not None


_TEXT = re.compile("<.+ [0-9a-f]{8}>")
"""The file names that `register` gives."""


def link(
    code: CodeType,
    values: Mapping[str, Any],
    max_steps: int,
    defaults: tuple[Any, ...] = (),
    watch: Reports | None = None,
    turned: Callable[..., None] = lambda *_: None,
) -> FunctionType:
    """The function of a translated text, with the values of its args in place.

    Args:
        code: the code of a `Translation`.
        values: the values of its args; those it does not use are left out.
        max_steps: the greatest number of steps of a loop.
        defaults: the default values of the last parameters.
        watch: what conditions are reported to, for watched code.
        turned: what watched code and that of fills tell each turn of a loop: how much it does, about, then the
            values that the turn before has set.
    """

    from modelzoo.catalog import guards
    from modelzoo.language.tensors import HELPERS

    def stop(line: int) -> None:
        raise LoopError(code.co_filename, line, max_steps)

    def bounded(line: int, *numbers: Any) -> range:
        steps = range(*numbers)
        if steps[max_steps:]:
            stop(line)
        return steps

    known = {
        **HELPERS,
        **values,
        "_max_steps": max_steps,
        "_stop": stop,
        "_range": bounded,
        "_watch": watch,
        "_turned": turned,
    }
    # torch imports through the builtins of the frame that calls it, and torch.compile reads them
    # and without a __name__, torch.compile looks for no module of that name
    function = FunctionType(
        code, {"__builtins__": vars(builtins), **globals_of(code, known, guards.function)}, code.co_name, defaults
    )
    function.__module__ = __name__
    return function
