"""Published architectures, each in one file as its authors would write it: the keys and the numbers of its library."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import modelzoo
from modelzoo.cli import source
from tests.helpers.published import FILES, PUBLISHED, reference


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # sums of equal order are equal
    yield
    torch.set_num_threads(before)


def path(name: str) -> str:
    return str(FILES / f"{name}.yaml")


def layout(model: nn.Module) -> list[tuple[str, tuple[int, ...]]]:
    """The state dict's keys in order, with shapes."""
    return [(name, tuple(value.shape)) for name, value in model.state_dict().items()]


def computed(
    model: nn.Module, call: Callable[[dict[str, Tensor]], Tensor], inputs: dict[str, Tensor]
) -> dict[str, Any]:
    """Everything that a step in training computes: the output, all gradients and the buffers after it."""
    model.train()
    torch.manual_seed(1)
    output = call(inputs)
    (output * torch.linspace(-1, 1, output.numel()).view_as(output)).sum().backward()
    gradients = {f"gradient of {name}": each.grad for name, each in model.named_parameters()}
    return {"output": output.detach(), **gradients, **dict(model.named_buffers())}


@pytest.mark.parametrize("name", PUBLISHED)
def test_at_its_published_size_a_file_has_the_keys_and_shapes_of_its_library_in_their_order_and_no_warning(name):
    with torch.device("meta"):
        published = PUBLISHED[name].full()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = modelzoo.build(path(name), device="meta")
    assert layout(model) == layout(published)
    assert sum(each.numel() for each in model.parameters()) == sum(each.numel() for each in published.parameters())


@pytest.mark.parametrize("name", PUBLISHED)
def test_with_the_weights_of_its_library_a_file_computes_the_same_bit_by_bit(name):
    published, case = reference(name).eval(), PUBLISHED[name]
    model = modelzoo.build(path(name), args=case.args).eval()
    assert layout(model) == layout(published)
    model.load_state_dict(published.state_dict(), strict=True)
    wanted = case.output(published(**case.inputs()))
    assert wanted.std() > 0
    torch.testing.assert_close(model(**case.inputs()), wanted, rtol=0, atol=0)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_step_in_training_is_the_same_bit_by_bit(name):
    published, case = reference(name), PUBLISHED[name]
    model = modelzoo.build(path(name), args=case.args)
    model.load_state_dict(published.state_dict(), strict=True)
    wanted = computed(published, lambda inputs: case.output(published(**inputs)), case.inputs())
    found = computed(model, lambda inputs: model(**inputs), case.inputs())
    kept = {name: value for name, value in wanted.items() if name in found}  # a library keeps constants in buffers too
    assert kept.keys() >= {"output"} | {f"gradient of {each}" for each, _ in published.named_parameters()}
    for what, value in kept.items():
        assert (found[what] is None) == (value is None), what
        if value is not None:
            assert torch.equal(found[what], value), what


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_file_is_shorter_than_the_source_it_exports_which_computes_the_same(name, capsys):
    published, case = reference(name).eval(), PUBLISHED[name]
    overrides = [f"model.args.{key}={value}".replace(" ", "") for key, value in case.args.items()]
    assert source.command([path(name), *overrides]) == 0
    text = capsys.readouterr().out
    assert len((FILES / f"{name}.yaml").read_text().splitlines()) < len(text.splitlines())
    made: dict[str, Any] = {}
    exec(compile(text, f"{name}.py", "exec"), made)
    model = made["Model"]().eval()
    model.load_state_dict(published.state_dict(), strict=True)
    assert torch.equal(model(*case.inputs().values()), case.output(published(**case.inputs())))


def test_every_file_is_compared():
    assert sorted(each.stem for each in FILES.glob("*.yaml")) == sorted(PUBLISHED)
