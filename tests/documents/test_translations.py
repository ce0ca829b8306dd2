"""The pages in Chinese say what the pages in English say: the same code, configs, commands and answers."""

from __future__ import annotations

import pathlib
import re

import pytest

from tests.helpers.documents import CHAPTER, ROOT, parts, translations

PAIRS = [pytest.param(zh, en, id=str(zh.relative_to(ROOT))) for zh, en in translations().items()]


def prose(page: pathlib.Path) -> str:
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)


def codes(page: pathlib.Path) -> set[str]:
    """What stands between backticks in the sections that both languages have."""
    return set(re.findall(r"`([^`\n]+)`", prose(page).split("\n## 术语")[0]))


def links(page: pathlib.Path) -> list[str]:
    """The targets of links: a page of the chapter is that of the same language."""
    return [re.sub(r"/(en|zh)/", "/", target) for target in re.findall(r"\]\(([^)]+)\)", prose(page))][1:]


def test_every_page_of_the_chapter_is_in_both_languages():
    names = {page.name for page in (CHAPTER / "en").glob("*.md")}
    assert names == {page.name for page in (CHAPTER / "zh").glob("*.md")}
    assert len(names) == 4


@pytest.mark.parametrize(("zh", "en"), PAIRS)
def test_a_translation_has_the_same_code_and_answers_in_the_same_order(zh, en):
    def fences(page: pathlib.Path) -> list[tuple[str, str]]:
        return [(part.language, part.text) for part in parts(page) if part.language != "inline"]

    assert fences(zh) == fences(en)


@pytest.mark.parametrize(("zh", "en"), PAIRS)
def test_a_translation_names_the_same_keys_and_commands_and_leads_to_the_same_pages(zh, en):
    assert codes(zh) == codes(en)
    assert links(zh) == links(en)


@pytest.mark.parametrize(("zh", "en"), PAIRS)
def test_a_translation_has_the_same_sections_and_all_of_them_in_chinese(zh, en):
    paragraphs, sections = prose(zh).split("\n\n"), prose(zh).split("\n## 术语")[0]
    assert len(re.findall(r"^#+ ", sections, re.M)) == len(re.findall(r"^#+ ", prose(en), re.M))
    names = r"\s*(# modelzoo|\[English\]\(README.md\)|Xavier\W|)\s*"
    assert [
        each for each in paragraphs if not re.search(r"[\u4e00-\u9fff]", each) and not re.fullmatch(names, each)
    ] == []


@pytest.mark.parametrize(("zh", "en"), PAIRS)
def test_each_language_leads_to_the_other_at_the_top(zh, en):
    def first_link(page: pathlib.Path) -> tuple[str, pathlib.Path]:
        words, target = re.findall(r"\[([^]]+)\]\(([^)]+)\)", page.read_text(encoding="utf-8"))[0]
        return words, (page.parent / target).resolve()

    assert first_link(zh) == ("English", en)
    assert first_link(en) == ("中文", zh)


def test_every_answer_is_led_to_by_an_exercise_and_built_by_a_test():
    answers = {path.name for path in (CHAPTER / "answers").glob("*.yaml")}
    led_to = {
        each for page in (CHAPTER / "en").glob("*.md") for each in re.findall(r"answers/(\w+\.yaml)", prose(page))
    }
    tested = (ROOT / "tests" / "cases" / "test_answers.yaml").read_text(encoding="utf-8")
    assert answers == led_to == set(re.findall(r"chapter/answers/(\w+\.yaml)", tested))
