"""What every test leaves behind: nothing."""

from collections.abc import Iterator

import pytest
from hypothesis import settings

import modelzoo.register  # noqa: F401  # makes all registries
from modelzoo.catalog.registry import REGISTRIES

settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


@pytest.fixture(autouse=True)
def nothing_stays_registered() -> Iterator[None]:
    before = [dict(known) for known in REGISTRIES]
    yield
    for known, each in zip(REGISTRIES, before, strict=True):
        known.clear()
        known.update(each)
