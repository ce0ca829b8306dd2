"""Expressions in lines that are not too long: they say what they said."""

from __future__ import annotations

import ast

import pytest

from modelzoo.export.source import layout

A, B, C, D = (letter * 30 for letter in "abcd")


@pytest.mark.parametrize(
    "text",
    [
        f"({A} if {B} else {C}) if {D} else {A}",
        f"{A} if ({B} if {C} else {D}) else {A}",
        f"{A} if {B} else {C} if {D} else {A}",
        f"({A} or {B}) and ({C} or {D})",
        f"({A} and {B}) and {C} and {D}",
        f"({A} if {B} else {C}) or {D}",
        f"({A} if {B} else {C}) + {D}",
        f"{A} + ({B} or {C}) - ({D} - {A})",
        f"{A} - ({B} < {C}) + ({D} & {A})",
        f"({A} | {B}) + {C} * {D}",
        f"not {A} and (not {B}) + {C} + {D}",
        f"({A} if {B} else {C})({D}, {A})",
        f"f({A} if {B} else {C}, ({A} if {B} else {C}) if {D} else {A})",
        f"g = -({A} + {B}) + (-{C} ** {D})",
    ],
)
@pytest.mark.parametrize("form", ["x = {}", "return_(y={})", "z = [{}, 1]"])
def test_an_expression_over_several_lines_is_the_same_expression(text, form):
    tree = ast.parse(form.format(text.removeprefix("g = ")))
    written = layout.python(tree)
    assert written.count("\n") > 1
    assert ast.dump(ast.parse(written)) == ast.dump(tree)


def test_only_what_would_be_read_otherwise_is_in_brackets():
    condition = f"({A} if {B} else {C}) if {D} else {A} if {B} else {C}"
    assert layout.python(ast.parse(f"x = {condition}")) == (
        f"x = (\n    ({A} if {B} else {C})\n    if {D}\n    else {A} if {B} else {C}\n)\n"
    )
