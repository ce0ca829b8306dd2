"""Lines of YAML in which a text needs quotes: inside brackets a comma or a bracket of its own ends it."""

from __future__ import annotations

import re
from collections.abc import Callable

_OPENS = re.compile(r"\w[(\[]")
_PAIRS = {"(": ")", "[": "]", "{": "}"}


def requoted(text: str, line: int, reads: Callable[[str], bool]) -> str:
    """A line of a YAML file with its texts in quotes, if the file can be read with it; else nothing.

    Args:
        text: the file.
        line: the number of the line, from 0.
        reads: whether a file can be read.

    >>> requoted("{a: Linear(n[0], n[1]), b: ReLU}", 0, lambda text: True)
    '{a: "Linear(n[0], n[1])", b: ReLU}'
    """
    lines = text.split("\n")
    if line >= len(lines) or len(lines[line]) > 1_000:
        return ""
    old, lines[line] = lines[line], quoted(lines[line])
    return lines[line].strip() if lines[line] != old and reads("\n".join(lines)) else ""


def quoted(line: str, preferred: str = '"') -> str:
    """A line with quotes around every plain text in brackets that holds brackets of its own."""
    done, at = "", 0
    for match in _OPENS.finditer(line):
        start = _start(line, match.start(), at, ": " if preferred == '"' else ":")
        if match.start() < at or start is None:
            continue
        end = _end(line, match.end() - 1)
        if end is None:
            continue
        inner = line[start:end]
        other = "'" if preferred == '"' else '"'
        mark = preferred if preferred not in inner else other
        if mark not in inner:
            done, at = f"{done}{line[at:start]}{mark}{inner}{mark}", end
    return done + line[at:]


def separate(text: str) -> list[str]:
    """The parts of a text between its commas, those inside brackets and quotes left alone.

    >>> separate("Conv2d(3, 8),ReLU, 'a,b'")
    ['Conv2d(3, 8)', 'ReLU', "'a,b'"]
    """
    parts, depth, quote = [""], 0, ""
    for character in text:
        if quote or character in "\"'":
            quote = "" if character == quote else quote or character
        depth += (character in "([{") - (character in ")]}")
        if character == "," and not depth and not quote:
            parts.append("")
        else:
            parts[-1] += character
    return [each.strip() for each in parts]


def _start(line: str, position: int, least: int, colon: str) -> int | None:
    """Where the plain text begins that goes on at a position; None inside quotes and comments, or outside brackets."""
    quote, start, depth = "", least, 0
    for index, character in enumerate(line[:position]):
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'" and not line[max(index - 1, 0) : index].isalnum():
            quote = character
        elif character == "#" and line[index - 1 : index].isspace():
            return None
        elif character in "[{" and index >= least:
            depth, start = depth + 1, index + 1
        elif (character == "," or line.startswith(colon, index)) and index >= least:
            start = index + 1
        elif character in "[{" and index < least:
            depth += 1
    if quote or not depth:
        return None
    return start + len(line[start:]) - len(line[start:].lstrip())


def _end(line: str, opened: int) -> int | None:
    """Where a plain text ends whose bracket is opened at a position."""
    stack: list[str] = []
    for index in range(opened, len(line)):
        character = line[index]
        if character in _PAIRS:
            stack.append(_PAIRS[character])
        elif character in ")]}":
            if not stack:
                return index
            if stack.pop() != character:
                return None
        elif character == "," and not stack:
            return index
    return None
