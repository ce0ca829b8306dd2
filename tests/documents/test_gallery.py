"""The gallery in `docs` is what `python docs/gallery.py` writes today."""

import importlib.util
import pathlib

import pytest

FILE = pathlib.Path(__file__).parents[2] / "docs" / "gallery.py"
spec = importlib.util.spec_from_file_location("gallery", FILE)
gallery = importlib.util.module_from_spec(spec)
spec.loader.exec_module(gallery)


@pytest.mark.parametrize("name", gallery.names())
def test_a_page_shows_its_model_as_it_is_now(name):
    assert gallery.page(name) == (gallery.FOLDER / f"{name}.md").read_text("utf-8"), "run python docs/gallery.py"


def test_the_index_names_every_model_and_there_is_no_other_page():
    assert gallery.index() == (gallery.HERE / "gallery.md").read_text("utf-8"), "run python docs/gallery.py"
    assert sorted(path.stem for path in gallery.FOLDER.glob("*.md")) == sorted([*gallery.names(), "imported"])
