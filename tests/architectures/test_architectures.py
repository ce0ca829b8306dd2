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


def answered(model: nn.Module, *args: Tensor, **inputs: Tensor) -> Any:
    """What a model returns; what it draws on the way is always the same."""
    torch.manual_seed(1)
    return model(*args, **inputs)


def tensors(output: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return output if isinstance(output, tuple) else (output,)


def computed(model: nn.Module, output: Callable[[Any], Any], inputs: dict[str, Tensor]) -> dict[str, Tensor | None]:
    """Everything that a step in training computes: outputs, all gradients and the buffers after it."""
    outputs = tensors(output(answered(model.train(), **inputs)))
    sum((each * torch.linspace(-1, 1, each.numel()).view_as(each)).sum() for each in outputs).backward()
    found = {f"output {index}": each.detach() for index, each in enumerate(outputs)}
    gradients = {f"gradient of {name}": each.grad for name, each in model.named_parameters()}
    return {**found, **gradients, **dict(model.named_buffers())}


def assert_same(found: Any, wanted: Any) -> None:
    """Bit by bit."""
    for one, other in zip(tensors(found), tensors(wanted), strict=True):
        assert other.std() > 0
        torch.testing.assert_close(one, other, rtol=0, atol=0)


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
    for key, value in model.state_dict().items():
        if not value.is_floating_point():  # a constant or a count, right from the start
            assert torch.equal(value, published.state_dict()[key]), key
    model.load_state_dict(published.state_dict(), strict=True)
    assert_same(answered(model, **case.inputs()), case.output(answered(published, **case.inputs())))


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_step_in_training_is_the_same_bit_by_bit(name):
    published, case = reference(name), PUBLISHED[name]
    model = modelzoo.build(path(name), args=case.args)
    model.load_state_dict(published.state_dict(), strict=True)
    wanted = computed(published, case.output, case.inputs())
    found = computed(model, lambda answer: answer, case.inputs())
    extra = wanted.keys() - found.keys()  # a library keeps some constants in buffers that are not saved
    assert not extra & {*published.state_dict(), *(each for each in wanted if " " in each)}
    for what in wanted.keys() - extra:
        one, other = found[what], wanted[what]
        assert (one is None) == (other is None), what
        assert one is None or other is None or torch.equal(one, other), what


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
    assert_same(answered(model, *case.inputs().values()), case.output(answered(published, **case.inputs())))


def test_every_file_is_compared():
    assert sorted(each.stem for each in FILES.glob("*.yaml")) == sorted(PUBLISHED)
