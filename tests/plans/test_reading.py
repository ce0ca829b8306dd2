"""What is told without torch is all that is told with it."""

from __future__ import annotations

import pytest

from modelzoo.config import config
from modelzoo.errors import ConfigError
from modelzoo.plans import draft, reading
from modelzoo.plans.options import Options
from tests.test_errors import MISTAKES


def found(given: config.Config, known: reading.Read | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        draft.drafted(given, Options(), read=known)
    return [repr(each) for each in caught.value.problems]


def test_what_is_refused_without_torch_is_what_a_draft_refuses(tmp_path):
    refused = set()
    for name, text in MISTAKES.items():
        file = tmp_path / f"{name}.yaml"
        file.write_text(text)
        try:
            given = config.from_mapping(file)
        except ConfigError:
            continue
        try:
            known = reading.read_of(given, Options())
        except ConfigError as error:
            refused.add(name)
            assert [repr(each) for each in error.problems] == found(given), name
        else:
            if name in ("bad_formula", "tie_of_other_shapes", "pasted_line"):
                assert found(given, known) == found(given), name
    assert {"several_at_once", "misspelt_layers", "unknown_name_in_a_formula"} <= refused
    assert refused.isdisjoint({"pasted_line", "formula_without_equals", "tie_of_other_shapes"})


def test_a_model_of_which_nothing_is_left_is_refused_without_torch():
    given = config.from_mapping({"_target_": "ReLU", "_if_": False})
    with pytest.raises(ConfigError, match="nothing is left of the model"):
        reading.read_of(given, Options())
