"""What a test says about the start of a model: what its calls do to a batch and to its gradient, and what is found."""

from __future__ import annotations

from dataclasses import replace

from modelzoo.errors import located
from modelzoo.measuring import lines
from modelzoo.measuring.observed import Call
from modelzoo.plans.options import Options
from modelzoo.run import account, compare, signalled
from modelzoo.testing.case import OF_CALLS, Close, Fact
from modelzoo.testing.found import Found
from modelzoo.testing.subject import Built


def signals(found: Found, built: Built, fact: Fact) -> None:
    """`signals`: by name or glob of modules, and `findings`."""
    account.check_inputs(built.draft)
    options = replace(Options.of(built.config.options), signals=True)
    with located(built.config.locate):
        seen = signalled.measured(built.draft, built.model, None, options, built.config.locate)
    assert seen is not None
    calls: dict[str, list[Call]] = {}
    for each in seen.calls:
        calls.setdefault(each.name, []).append(each)
    for pattern, facts in fact.value.items():
        if pattern == "findings":
            told = [line for each in seen.findings for line in lines.told(each)]
            kinds = {each.kind for each in seen.findings}
            if kinds != {*facts}:
                expected = f"{', '.join(facts) or 'no'} findings"
                found.add(
                    fact.key / pattern,
                    expected,
                    "\n".join(told) if told[1:] else "".join(told).removesuffix(".") or "none",
                )
            continue
        for name in found.matching(fact.key / pattern, "module", pattern, calls):
            for call in calls[name]:
                for each in facts:
                    _number(found, call, each)


def _number(found: Found, call: Call, fact: Fact) -> None:
    actual = getattr(call, OF_CALLS[fact.name])
    about = f"Call {call.number} of {call.name or 'the model'}: {call.type} {list(call.shape)}."
    wanted = fact.value
    if isinstance(wanted, Close):
        fits, shown = actual is not None and compare.is_close(actual, wanted.value, wanted.within), str(wanted)
    else:
        fits, shown = (
            actual is not None and wanted[0] <= actual <= wanted[1],
            f"between {wanted[0]:g} and {wanted[1]:g}",
        )
    if not fits:
        found.add(fact.key, f"{fact.name} {shown}", "none" if actual is None else f"{actual:.6g}", about)
