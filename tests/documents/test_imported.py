"""The page of imported models is what `python docs/imported.py` writes today."""

import importlib.util
import pathlib

import pytest

FILE = pathlib.Path(__file__).parents[2] / "docs" / "imported.py"
spec = importlib.util.spec_from_file_location("imported", FILE)
imported = importlib.util.module_from_spec(spec)
spec.loader.exec_module(imported)


@pytest.mark.parametrize("title", imported.SHOWN)
def test_a_model_stands_beside_its_classes_as_it_is_imported_now(title):
    page = imported.PAGE.read_text("utf-8")
    assert imported.section(title) in page, "run python docs/imported.py"


def test_the_page_has_these_models_and_no_others():
    page = imported.PAGE.read_text("utf-8")
    assert page.startswith(imported.HEAD)
    assert [line[3:] for line in page.splitlines() if line.startswith("## ")] == [*imported.SHOWN]
