"""Writes the gallery: a page for each model of `conf/model` with its picture, config, table and source.

python docs/gallery.py
"""

from __future__ import annotations

import pathlib

from modelzoo.config import compose
from modelzoo.export.graph import dataflow, mermaid
from modelzoo.export.source import model as source
from modelzoo.plans import draft as drafts

HERE = pathlib.Path(__file__).resolve().parent
CONF = HERE.parent / "conf" / "model"
FOLDER = HERE / "gallery"


def comment(name: str) -> str:
    """What a model is: the first line of its file."""
    return (CONF / f"{name}.yaml").read_text("utf-8").splitlines()[0].removeprefix("#").strip()


def page(name: str) -> str:
    """The page of a model, as Markdown."""
    given = compose.compose([f"model={name}"])
    draft = drafts.draft(given.model, given.init, device="meta")
    config = (CONF / f"{name}.yaml").read_text("utf-8").strip()
    return "\n".join(
        [
            f"# {name}",
            "",
            f"{comment(name)}.",
            "",
            _fence("mermaid", mermaid.text(dataflow.drawn(draft))),
            "",
            f"The config, `conf/model/{name}.yaml`:",
            "",
            _fence("yaml", config),
            "",
            _details(f"What it builds: {draft.plan.parameters:,} parameters", _fence("text", str(draft.plan))),
            "",
            _details("As plain PyTorch source", _fence("python", source.written(draft, given.model))),
            "",
        ]
    )


def index() -> str:
    """The list of all pages."""
    rows = [f"| [{name}](gallery/{name}.md) | {comment(name)} |" for name in names()]
    head = ["# Gallery", "", "Every model of `conf/model`: `python run.py model=NAME` runs it.", ""]
    tail = ["", "[Five models beside the classes that they were imported from](gallery/imported.md)", ""]
    return "\n".join([*head, "| model | is |", "| --- | --- |", *rows, *tail])


def names() -> list[str]:
    """The models, in the order of the alphabet."""
    return sorted(path.stem for path in CONF.glob("*.yaml"))


def pages() -> dict[pathlib.Path, str]:
    """Every file of the gallery."""
    return {HERE / "gallery.md": index(), **{FOLDER / f"{name}.md": page(name) for name in names()}}


def _fence(language: str, text: str) -> str:
    return f"```{language}\n{text.rstrip()}\n```"


def _details(title: str, text: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{text}\n\n</details>"


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for path, text in pages().items():
        path.write_text(text, "utf-8")
