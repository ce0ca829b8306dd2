"""What every test leaves behind: nothing."""

from collections.abc import Iterator

import pytest

from modelzoo import register


@pytest.fixture(autouse=True)
def nothing_stays_registered() -> Iterator[None]:
    before = [dict(known) for known in register._registries()]
    yield
    for known, each in zip(register._registries(), before, strict=True):
        known.clear()
        known.update(each)
