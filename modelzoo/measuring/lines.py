"""The two lines of a model over its depth, as text and as a picture."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from modelzoo.escapes import one_line
from modelzoo.measuring.findings import Finding
from modelzoo.measuring.observed import Call

BARS = "▁▂▃▄▅▆▇█"
WIDTH = 60
"""How many characters a line has at most."""


def sparkline(values: Sequence[float | None], width: int = WIDTH) -> str:
    """Values as bars on a logarithmic scale; a space where there is none, `!` where it is not finite.

    >>> sparkline([1.0, 0.1, 0.01, None, math.inf])
    '█▅▁ !'
    >>> sparkline([1.0, 1.0])
    '▄▄'
    """
    if len(values) > width:
        values = [values[each * len(values) // width] for each in range(width)]
    logs = [math.log10(each) for each in values if each and math.isfinite(each)]
    low, high = (min(logs), max(logs)) if logs else (0.0, 0.0)
    return "".join(_bar(each, low, high) for each in values)


def _bar(value: float | None, low: float, high: float) -> str:
    if value is None:
        return " "
    if not math.isfinite(value):
        return "!"
    if value == 0:
        return "_"
    if high - low < 1e-3:
        return BARS[3]
    return BARS[round((math.log10(value) - low) / (high - low) * (len(BARS) - 1))]


def table(trunk: Sequence[Call], found: Sequence[Finding], notes: Sequence[str]) -> Iterator[str]:
    """What is printed: the lines, then the findings."""
    for title, values in (("forward", [each.std for each in trunk]), ("backward", [each.gradient for each in trunk])):
        known = [each for each in values if each is not None]
        if known:
            yield f"{title:<8}  {sparkline(values)}  std {known[0]:.3g} to {known[-1]:.3g}"
    for each in found:
        yield from told(each)
    if not found:
        yield "no findings"
    yield from (f"note: {each}" for each in notes)


def told(finding: Finding) -> Iterator[str]:
    """A finding in lines."""
    yield one_line(f"{finding.kind}: {finding.what}")
    if finding.tensors and finding.rule:
        place = f" ({finding.where})" if finding.where else ""
        yield one_line(f"  {finding.rule}{place} fills '{finding.tensors[0]}'.")
    if finding.advice is not None:
        place = f" in place of '{finding.rule.removeprefix('init.')}'" if finding.instead else ""
        yield one_line(f"  With this rule{place} it is gone: repair: {written(finding)}")


def written(finding: Finding) -> str:
    """The rule that repairs a finding, as YAML in one line."""
    import yaml

    text = yaml.safe_dump(dict(finding.advice or {}), default_flow_style=True, sort_keys=False, width=10**6)
    return text.strip()
