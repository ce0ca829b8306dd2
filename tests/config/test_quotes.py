"""Lines of YAML that need quotes: found in the file's own text, and read once more before they are advised."""

from __future__ import annotations

import pytest

import modelzoo
from modelzoo.config.document import is_readable
from modelzoo.config.quotes import quoted, requoted


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("layers: {a: Linear(n[0], n[1])}", 'layers: {a: "Linear(n[0], n[1])"}'),
        ("layers: [Linear(4, 8), ReLU]", 'layers: ["Linear(4, 8)", ReLU]'),
        ("layers: {a: f(g(1, 2), [3]), b: h(4)}", 'layers: {a: "f(g(1, 2), [3])", b: "h(4)"}'),
        ("{fill: 2 * w[0] + 1, shape: [n[0], 2]}", '{fill: "2 * w[0] + 1", shape: ["n[0]", 2]}'),
        ("{a: \"f(1, 2)\", b: 'g(1, 2)', c: h(1, 2)}", '{a: "f(1, 2)", b: \'g(1, 2)\', c: "h(1, 2)"}'),
        ("{a: dropout(x, mode='b')}", "{a: \"dropout(x, mode='b')\"}"),
        ('{a: f("b", 2)}', "{a: 'f(\"b\", 2)'}"),
        ("a: Linear(4, 8)", "a: Linear(4, 8)"),  # outside brackets nothing is cut
        ("a: [b]  # {c: f(1, 2)}", "a: [b]  # {c: f(1, 2)}"),
        ("{a: f(1, 2}", "{a: f(1, 2}"),
    ],
)
def test_a_plain_text_with_brackets_gets_quotes_inside_brackets(line, expected):
    assert quoted(line) == expected


def test_a_line_is_advised_only_if_the_file_can_be_read_with_it():
    text = "args: {n: [4, 8]}\nlayers: {a: Linear(n[0], n[1])}\n"
    assert requoted(text, 1, is_readable) == 'layers: {a: "Linear(n[0], n[1])"}'
    assert requoted(text + "more: {a: b[0]}\n", 1, is_readable) == ""
    assert requoted(text, 0, is_readable) == ""


@pytest.mark.parametrize(
    ("broken", "line"),
    [
        ("layers: {a: Linear(n[0], n[1])}", 'layers: {a: "Linear(n[0], n[1])"}'),
        ("layers: {a: Conv1d(2, 2, 2, 1), b: ReLU}", 'layers: {a: "Conv1d(2, 2, 2, 1)", b: ReLU}'),
    ],
)
def test_the_advised_line_is_the_one_that_works(broken, line, tmp_path):
    file = tmp_path / "own.yaml"
    head = "args: {n: [8, 8]}\ninputs: {x: [2, 8]}\n"
    file.write_text(f"{head}{broken}\n")
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.plan(file)
    (problem,) = caught.value.problems
    assert problem.hint.endswith(f"Write {line}")
    file.write_text(f"{head}{line}\n")
    modelzoo.plan(file)


def test_a_key_that_stands_twice_in_fact_gets_no_quotes(tmp_path):
    file = tmp_path / "own.yaml"
    file.write_text("layers: {a: ReLU, a: GELU}\n")
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.plan(file)
    assert [(each.what, each.hint) for each in caught.value.problems] == [
        ("The key 'a' stands twice in one mapping.", "")
    ]
