"""What a layer, a tensor, an arg or an argument may be called: one table, for files and for their JSON Schema."""

from __future__ import annotations

import keyword
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache

from modelzoo import bounds
from modelzoo.known import told
from modelzoo.signatures import OF_EVERYTHING

_REST = rf"[A-Za-z0-9_]{{0,{bounds.NAME - 1}}}"
_WORD = rf"[A-Za-z_]{_REST}"
_OWN = rf"(?!__){_WORD}"
_PUBLIC = rf"[A-Za-z]{_REST}"
_HYPHENED = rf"[A-Za-z_][A-Za-z0-9_-]{{0,{bounds.NAME - 1}}}"  # as published checkpoints have them: block1-0
_INDEX = "0|[1-9][0-9]{0,17}"  # below bounds.INTEGER
_PART = f"(?:{_WORD}|{_INDEX})"
_CHILD = rf"(?!__){_HYPHENED}|{_INDEX}"
_STEP = f"(?:{_HYPHENED}|{_INDEX})"
_END = r"(?![\s\S])"  # `$` would let a line break through in Python

_HINT = f"Names have letters, digits and '_', start with a letter and are at most {bounds.NAME} long."


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What the names of one kind are.

    Attributes:
        what: whose name it is, as a message says it.
        grammar: a regular expression of the whole name.
        python: whether words of Python are refused.
        owner: the class of `torch.nn` whose own names are refused.
        words: other names that are refused.
        hint: what to write instead of something that is no name at all.
    """

    what: str
    grammar: str
    python: bool = True
    owner: str = ""
    words: tuple[str, ...] = ()
    hint: str = _HINT


class Kind(Enum):
    """What a name may be the name of.

    >>> Kind.LAYER.fits("hidden"), Kind.LAYER.fits("0"), Kind.ARG.fits("0"), Kind.LAYER.fits("forward")
    (True, True, False, False)
    """

    LAYER = Rule(what="a layer", grammar=_CHILD, owner="Module", words=("torch",))
    ITEM = Rule(what="a layer", grammar=_CHILD, owner="Sequential")
    ENTRY = Rule(what="a layer", grammar=_CHILD, owner="ModuleDict")
    PARAMETER = Rule(what="a parameter", grammar=_OWN, owner="Module", words=("torch",))
    BUFFER = Rule(what="a buffer", grammar=_OWN, owner="Module", words=("torch",))
    BLOCK = Rule(what="a block", grammar=_OWN, owner="Module")
    ARG = Rule(what="an arg", grammar=_PUBLIC, words=("training",))
    INPUT = Rule(what="an input", grammar=_PUBLIC, words=("torch", "training"))
    ARGUMENT = Rule(what="an argument", grammar=_PUBLIC)
    REGISTERED = Rule(what="an entry of the catalog", grammar=_WORD)
    RULE = Rule(
        what="a rule",
        grammar=rf"[A-Za-z0-9_.-]{{1,{bounds.NAME}}}",
        python=False,
        hint="Write letters, digits and '_'.",
    )
    # names that lead to something, and are not given by a config
    TYPE = Rule(what="a layer", grammar=rf"{_WORD}(?:\.{_WORD})*", python=False)
    LOCAL = Rule(what="a tensor", grammar=_PART, python=False)
    REFERENCE = Rule(what="a layer to refer to", grammar=rf"{_STEP}(?:\.{_STEP})*", python=False)
    TIED = Rule(what="a tensor to tie", grammar=rf"{_STEP}(?:\.{_STEP})*", python=False)

    @property
    def what(self) -> str:
        """Whose name it is."""
        return self.value.what

    def fits(self, name: str) -> bool:
        """Whether something of this kind may be called so."""
        return _compiled(self).match(name) is not None

    def pattern(self) -> str:
        """All names that fit, as a regular expression of Python and of JSON Schema.

        >>> Kind.RULE.pattern()
        '^(?:[A-Za-z0-9_.-]{1,64})(?![\\\\s\\\\S])'
        """
        rule = self.value
        words = {*(keyword.kwlist if rule.python else ()), *(names_of(rule.owner) if rule.owner else ()), *rule.words}
        some = "|".join(each for each in sorted(words) if re.fullmatch(rule.grammar, each))
        return rf"^{f'(?!(?:{some}){_END})' if some else ''}(?:{rule.grammar}){_END}"

    def refused(self, name: str) -> tuple[str, str] | None:
        """What is wrong with a name, and what to write; None if nothing is.

        >>> Kind.ARG.refused("class")
        ("'class' is a word of Python and cannot be the name of an arg.", 'Write class_.')
        """
        if self.fits(name):
            return None
        rule: Rule = self.value
        of_whom = ""
        if rule.python and keyword.iskeyword(name):
            of_whom = "word of Python"
        elif rule.owner and name in names_of(rule.owner):
            of_whom = f"name of nn.{'Module' if name in names_of('Module') else rule.owner}"
        if of_whom:
            return f"'{name}' is a {of_whom} and cannot be the name of {rule.what}.", f"Write {name}_."
        known = re.fullmatch(_WORD, name)
        return f"'{name}' cannot be the name of {rule.what}.", "Take another name." if known else rule.hint


def is_index(text: str) -> bool:
    """Whether a part of a dotted path counts in a list: a number of Python's, not one of another alphabet.

    >>> is_index("12"), is_index("\\N{SUPERSCRIPT TWO}"), is_index("-1"), is_index("9" * 5000)
    (True, False, False, False)
    """
    return text.isascii() and text.isdecimal() and len(text) <= 18


def of_class(name: str) -> str:
    """What the class of a block is called after its layer.

    >>> of_class("down_block"), of_class("block1-0"), of_class("none"), of_class("0")
    ('DownBlock', 'Block10', 'None_', 'Block')
    """
    if is_index(name):
        return "Block"
    parts = re.split("[_-]", name)
    found = "".join(part[:1].upper() + part[1:] for part in parts) or "Block"
    return f"{found}_" if keyword.iskeyword(found) else found


@cache
def names_of(owner: str) -> frozenset[str]:
    """The names that a class of `torch.nn` has itself."""
    return OF_EVERYTHING.union(told("own names", owner))


@cache
def _compiled(kind: Kind) -> re.Pattern[str]:
    return re.compile(kind.pattern())


_NUMBER = re.compile(r"(?<![^.#])[0-9]{1,18}(?![^.])")
"""A part of a dotted name that is a number."""


def without_numbers(name: str) -> str:
    """What the names of all copies of a tensor have in common.

    >>> without_numbers("h.0.fc1.weight")
    'h.#.fc1.weight'
    """
    return _NUMBER.sub("#", name)


def as_one(names: Sequence[str]) -> str:
    """Names that differ in their numbers alone, as one.

    >>> as_one(["h.0.fc.weight", "h.1.fc.weight", "h.2.fc.weight"])
    'h.0-2.fc.weight'
    """
    columns = zip(*([int(each) for each in _NUMBER.findall(name)] for name in names), strict=True)
    spans = iter([(min(column), max(column)) for column in columns])

    def span(match: re.Match[str]) -> str:
        least, most = next(spans)
        return match[0] if least == most else f"{least}-{most}"

    return _NUMBER.sub(span, names[0])
