"""What torch's docstrings say, in one sentence."""

from __future__ import annotations

import inspect
import re
from typing import Any

from modelzoo.catalog.functions import FORBIDDEN_KEYWORDS

_OURS = {
    "CrossMapLRN2d": "Applies local response normalization across channels, as in Torch 7.",
    "fill embedding": "Fills the input Tensor from a normal distribution, and one row with zeros.",
    "fill lsuv": "Scales what the input Tensor holds, until what its layer returns has a standard deviation.",
    "dtype": "The type of the elements.",
    "ndim": "The number of dimensions.",
    "arange": "Returns a 1-D tensor with the values from start to end, which is left out, in steps of step.",
    "index_add": "Adds a tensor, times alpha, to the places that an index names.",
    "masked_fill": "Returns a copy with a value wherever a mask is true.",
    "nonzero": "Returns the indices of all elements that are not zero.",
    "mean": "Returns the mean of all elements, or over dimensions.",
    "diag": "Returns a square matrix with a vector as its diagonal, or the diagonal of a matrix.",
    "bool": "Whether a number is not zero.",
    "float": "Converts to a floating point number.",
    "int": "Converts to an integer.",
}
"""What torch says nothing about."""


def one_line(what: Any, name: str = "") -> str:
    """The first sentence of a docstring, without markup.

    >>> from torch import nn
    >>> one_line(nn.Linear), one_line(nn.LSTM)
    ('Applies an affine linear transformation to the incoming data: y = xA^T + b.',
     'Apply a multi-layer long short-term memory (LSTM) RNN to an input sequence.')
    """
    if name in _OURS:
        return _OURS[name]
    doc = re.sub(rf"\A(?:[\w.]+{CALL}|\.\. [^\n]*\n|\n)+", "", doc_of(what) + "\n", flags=re.S)
    text = sentence(" ".join(re.split(r"\n\s*\n|\n(?=- )", doc)[0].split()))
    other = re.match(r"(?:See|Alias for) torch\.([\w.]*\w)", text)
    if other is not None:
        import torch

        torchs: Any = torch
        for part in other[1].split("."):
            torchs = getattr(torchs, part, None)
        text = one_line(torchs) or text
    return text if len(text) > 1 else ""


def doc_of(what: Any) -> str:
    """The docstring without its indentation."""
    return inspect.cleandoc(getattr(what, "__doc__", None) or "")


def sentence(text: str) -> str:
    """The first sentence of reStructuredText, as plain text.

    >>> sentence("Zeroes elements with probability :attr:`p`. See :class:`~nn.Dropout`.")
    'Zeroes elements with probability p.'
    """
    text = re.split(r"(?<=[\w`)\]])\.\s+(?=[A-Z:`])", text, maxsplit=1)[0]
    text = re.sub(r":\w+:`~?\.?([^`]*)`", r"\1", text)
    text = re.sub(r"\\(?:text|mathcal|mathbf|mathrm)\{([^}]*)\}", r"\1", text)
    text = re.sub(r"`([^`<]*?)\s*<[^`]*>`_*", r"\1", text).replace(" (Link 1_ Link 2_)", "")
    text = re.sub(r"`+([^`]*)`+", r"\1", text).replace("\\", "").rstrip(" :")
    return text if text.endswith((".", "!", "?")) else f"{text}."


_ARGUMENT = re.compile(r"^ {4}(?P<names>\w+(?: ?/ ?\w+)*)(?: \([^)]*\)*)?: (?P<text>(?:.*\n?)(?:^ {5,}.*\n?)*)", re.M)


def arguments_of(what: Any) -> dict[str, str]:
    """What a docstring says about each argument, one sentence each.

    >>> from torch import nn
    >>> arguments_of(nn.Linear)["in_features"]
    'size of each input sample.'
    """
    doc = doc_of(what)
    section = re.search(r"^(?:Args|Parameters|Arguments):[^\n]*\n((?:^(?: .*)?\n?)+)", doc, re.M)
    found = _ARGUMENT.finditer(section[1]) if section else ()
    return {each["names"]: sentence(" ".join(each["text"].split())) for each in found}


CALL = r"\(((?:(?!\n\n).)*?)\)(?:\s*->[^\n]*)?:?\s*(?:\n|\Z)"
"""The signature that torch writes at the top of a docstring."""


def signature(name: str, what: Any) -> str:
    """How something is called, without what a text may not give (`out`, `inplace`, `device`, ...)."""
    written = re.match(rf"(?:torch\.|Tensor\.)?{name}{CALL}", doc_of(what), re.S)
    try:
        inside = written[1] if written else str(inspect.signature(what)).partition("->")[0].strip()[1:-1]
    except (TypeError, ValueError):
        return f"{name}(...)"
    parts = re.split(r",\s*(?![^(\[]*[)\]])", inside)
    kept = [each.split(":")[0] if "=" not in each else each for each in parts if each]
    kept = [each for each in kept if each != "self"]
    kept = [re.sub(r":[^=]*=\s*", "=", each).replace(" = ", "=") for each in kept]
    kept = [each for each in kept if each.partition("=")[0].strip() not in FORBIDDEN_KEYWORDS]
    if kept and kept[-1] in ("*", "/"):
        kept.pop()
    return f"{name}({', '.join(kept)})"
