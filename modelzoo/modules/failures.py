"""What the errors that torch raises are about, as far as a dry run must know."""

from __future__ import annotations

import re

_DATA = re.compile(
    "meta tensors?\\b|'meta' backend|meta device type tensor|expected device meta|register_meta|data-dependent", re.I
)
_DTYPES = re.compile("not implemented for '|dtype|datatype|scalar type|input type|complex|bool|be cast|floating", re.I)
_NARROW = re.compile("not implemented for '(Half|BFloat16|ComplexHalf|Float8|UInt(16|32|64))")

_EXAMPLE = re.compile("Expected more than 1 (value per channel|spatial element) when training")


def depends_on_data(error: BaseException | None) -> bool:
    """Whether somebody asked a tensor on meta for values, or for a shape that depends on them.

    >>> import torch
    >>> try:
    ...     torch.zeros(2, device="meta").nonzero()
    ... except Exception as error:
    ...     depends_on_data(error)
    True
    """
    return isinstance(error, (RuntimeError, TypeError)) and bool(_DATA.search(str(error)))


def lacks_kernel(error: BaseException | None) -> bool:
    """Whether the CPU cannot compute with a dtype that other devices can.

    >>> lacks_kernel(NotImplementedError('"avg_pool3d_out_frame" not implemented for \\'Half\\''))
    True
    >>> lacks_kernel(NotImplementedError("Got 4D input, but trilinear mode needs 5D input"))
    False
    """
    return isinstance(error, RuntimeError) and bool(_NARROW.search(str(error)))


def is_of_dtypes(error: BaseException) -> bool:
    """Whether tensors have dtypes that an operation does not take, or not together.

    >>> is_of_dtypes(RuntimeError("mat1 and mat2 must have the same dtype, but got Long and Float"))
    True
    """
    return isinstance(error, (RuntimeError, TypeError, ValueError)) and bool(_DTYPES.search(str(error)))


def is_of_example(error: BaseException) -> bool:
    """Whether an example is too small for training: a larger one may do.

    >>> is_of_example(ValueError("Expected more than 1 value per channel when training, got input size [1, 4]"))
    True
    """
    return isinstance(error, ValueError) and bool(_EXAMPLE.search(str(error)))
