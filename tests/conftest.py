"""What every test leaves behind: nothing."""

import os
import random
from collections.abc import Iterator

import pytest
from hypothesis import settings

import modelzoo.register  # noqa: F401  # makes all registries
from modelzoo.catalog.registry import REGISTRIES

# A person's run looks at new examples each time; one that judges a change looks at the same as the run before it.
JUDGING = "CI" in os.environ

settings.register_profile("any machine", deadline=None, derandomize=JUDGING)
settings.load_profile("any machine")


@pytest.fixture
def fresh() -> random.Random:
    """What chooses examples that no run has seen before."""
    return random.Random(1) if JUDGING else random.SystemRandom()


@pytest.fixture(autouse=True)
def nothing_stays_registered() -> Iterator[None]:
    before = [dict(known) for known in REGISTRIES]
    yield
    for known, each in zip(REGISTRIES, before, strict=True):
        known.clear()
        known.update(each)
