"""Sizes are known before anything is allocated, and a model that does not fit is refused."""

import gc
import weakref

import pytest
import torch

import modelzoo
from modelzoo.errors import TextError
from modelzoo.modules import memory

MLP = {"inputs": {"x": [2, 4]}, "layers": ["Linear(4, 8)", "ReLU", "Linear(8, 1)"]}


@pytest.mark.parametrize(
    ("text", "count"), [(7, 7), ("7", 7), ("2KB", 2000), ("1.5 MB", 1_500_000), ("4gib", 4 * 2**30)]
)
def test_a_size_is_written_as_people_do(text, count):
    assert memory.size(text) == count


@pytest.mark.parametrize("text", ["much", "4XB", "-1", True])
def test_what_is_no_size_is_answered_with_one(text):
    with pytest.raises(TextError) as caught:
        memory.size(text)
    assert (caught.value.what, caught.value.hint) == (f"memory must be a size, not {text!r}.", "Type memory=4GB.")


def test_a_model_that_exceeds_the_budget_is_refused_with_its_largest_tensors():
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.build(MLP, memory=100)
    assert str(caught.value) == (
        "model\n"
        "  the model needs 196 bytes and 100 bytes are allowed. The largest tensors:\n"
        "  0.weight [8, 4] float32: 128 bytes\n"
        "  0.bias [8] float32: 32 bytes\n"
        "  2.weight [1, 8] float32: 32 bytes\n"
        "  2.bias [1] float32: 4 bytes\n"
        "  Choose smaller sizes, dtype=bfloat16, or device=meta to plan only."
    )
    assert isinstance(modelzoo.build(MLP, memory=196), torch.nn.Sequential)


@pytest.mark.parametrize("inputs", [{}, {"inputs": {"x": [1, 1_000_000]}}])
def test_a_model_larger_than_any_machine_is_refused_before_it_is_allocated(inputs):
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.build({**inputs, "layers": ["Linear(1_000_000, 100_000_000)"]})
    assert "the model needs 400.0 TB" in str(caught.value)


def test_a_plan_knows_operations_and_activations():
    plan = modelzoo.plan(MLP)
    assert plan.flops == 2 * 2 * (4 * 8 + 8 * 1)
    assert plan.activations == 4 * 2 * (8 + 8 + 1)


def test_building_counts_nothing():
    from modelzoo.plans import draft

    assert draft.draft(MLP).plan.flops is None


def test_a_model_is_gone_with_its_last_reference():
    gc.disable()
    try:
        model = modelzoo.build({**MLP, "layers": ["Linear(4, 8)", "Linear(8, 8)", "Linear(8, 8)"]})
        alive = [weakref.ref(each) for each in model.parameters()]
        del model
        assert [each() for each in alive] == [None] * len(alive)
    finally:
        gc.enable()


def test_a_size_that_is_left_out_makes_no_more_activations():
    written, left_out = (
        modelzoo.plan({"inputs": {"x": [2, 8]}, "layers": [layer]})
        for layer in ("Linear(8, 4)", "Linear(out_features=4)")
    )
    assert left_out.activations == written.activations == 4 * 2 * 4
