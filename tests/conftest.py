"""What every test leaves behind: nothing."""

from collections.abc import Iterator

import pytest

import modelzoo.register  # noqa: F401  # makes all registries
from modelzoo.catalog.registry import REGISTRIES


@pytest.fixture(autouse=True)
def nothing_stays_registered() -> Iterator[None]:
    before = [dict(known) for known in REGISTRIES]
    yield
    for known, each in zip(REGISTRIES, before, strict=True):
        known.clear()
        known.update(each)
