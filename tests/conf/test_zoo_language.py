"""The published sequence models in `conf`: the same keys, shapes, outputs and gradients as their references."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import modelzoo
from tests.helpers.composing import CONF, compose
from tests.helpers.zoo_language import TWINS, tokens

PUBLISHED = ["gpt2", "bert", "llama"]  # by transformers


def comment_of(name: str) -> tuple[str, list[str]]:
    """The comment that a model file begins with, and the overrides that stand in it."""
    lines = (CONF / "model" / f"{name}.yaml").read_text().split("\n")
    comment = "\n".join(line for line in lines[: next(i for i, line in enumerate(lines) if not line.startswith("#"))])
    return comment, re.findall(r"model\.args\.\w+=\S+", comment)


def layout(model: nn.Module) -> list[tuple[str, tuple[int, ...]]]:
    """The state dict's keys in order, with shapes."""
    return [(name, tuple(value.shape)) for name, value in model.state_dict().items()]


def count(model: nn.Module) -> int:
    return sum(each.numel() for each in model.parameters())


def built(name: str, **args: Any) -> Any:
    """A small model in evaluation mode."""
    given = {**TWINS[name].small, **args}
    config, _ = compose(f"model={name}", *(f"model.args.{key}={value}" for key, value in given.items()))
    return modelzoo.build(config).eval()


def twin(name: str, **args: Any) -> Any:
    """Its twin; those of transformers start with weights that are large enough to matter, and spell attention out."""
    options = {"initializer_range": 0.3, "attn_implementation": "eager"} if name in PUBLISHED else {}
    torch.manual_seed(0)
    return TWINS[name].make(**{**TWINS[name].small, **args}, **options).eval()


def tensors(output: Any) -> Iterator[Tensor]:
    if isinstance(output, Tensor):
        yield output
    else:
        for each in output:
            yield from tensors(each)


def assert_close(found: Tensor, wanted: Tensor, what: str, noise: float = 0.0) -> None:
    scale = float(wanted.detach().abs().max())
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5 * scale + noise, msg=lambda text: f"{what}: {text}")


def assert_same(model: nn.Module, reference: nn.Module, call: Callable[[nn.Module], Any], *, seed: int = 0) -> None:
    """With the reference's weights: equal outputs, and equal gradients of a weighted sum of them."""
    assert layout(model) == layout(reference)
    model.load_state_dict(reference.state_dict())
    results = []
    for each in (model, reference):
        torch.manual_seed(seed)
        outputs = list(tensors(call(each)))
        generator = torch.Generator().manual_seed(seed)
        total = sum((output * torch.randn(output.shape, generator=generator)).sum() for output in outputs)
        assert isinstance(total, Tensor)
        total.backward()
        results.append(outputs)
    for number, (found, wanted) in enumerate(zip(*results, strict=True)):
        assert_close(found, wanted, f"output {number}")
    found, wanted = ({name: value.grad for name, value in each.named_parameters()} for each in (model, reference))
    assert [name for name in found if found[name] is None] == [name for name in wanted if wanted[name] is None]
    gradients = {name: value for name, value in wanted.items() if value is not None}
    noise = 1e-7 * max(
        float(value.abs().max()) for value in gradients.values()
    )  # a bias of keys has none, but rounding
    for name, value in gradients.items():
        assert_close(found[name], value, name, noise)


# --- at full size ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "parameters"), [("gpt2", 124_439_808), ("bert", 109_482_240)])
def test_the_number_of_parameters_is_the_published_one(name, parameters):
    assert modelzoo.plan(*compose(f"model={name}", f"init={name}")).parameters == parameters


def test_gpt2_takes_another_number_of_layers_alone():
    model, init = compose("model=gpt2", "init=gpt2", "model.args.layers=24")
    assert modelzoo.plan(model, init).parameters == 124_439_808 + 12 * 7_087_872


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize("commented", [False, True], ids=["by default", "as its comment says"])
def test_keys_order_and_shapes_are_those_of_transformers(name, commented):
    comment, overrides = comment_of(name)
    given = overrides if commented else []
    model = modelzoo.build(compose(f"model={name}", *given)[0], device="meta")
    with torch.device("meta"):
        reference = TWINS[name].make(**{key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", " ".join(given))})
    assert layout(model) == layout(reference)
    assert count(model) == count(reference)
    millions = re.search(r"(Medium|Large), (\d+)M", comment)
    if commented and millions:
        assert round(count(model) / 10**6) == int(millions[2])


def test_the_line_in_llama_s_comment_plans_eight_billion_parameters(tmp_path):
    comment = comment_of("llama")[0].replace("\\\n#", "")
    line = re.search(r"python run\.py (.*)", comment)
    assert line is not None
    done = subprocess.run(
        [sys.executable, str(CONF.parent / "run.py"), *line[1].split()],
        cwd=tmp_path,
        env={**os.environ, "COLUMNS": "120"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert "8,030,261,248 parameters (8,030,261,248 trainable, 0 frozen)" in done.stdout


# --- at small size, with the reference's weights ---------------------------------------------------------------------


def test_gpt2_computes_what_transformers_computes():
    model, reference = built("gpt2"), twin("gpt2")
    ids = tokens(61, 2, 11)
    assert_same(model, reference, lambda each: each(ids) if each is model else each(ids).logits)
    assert model.lm_head.weight is model.transformer.wte.weight


def test_bert_computes_what_transformers_computes_for_two_segments_and_padding():
    model, reference = built("bert"), twin("bert")
    ids = tokens(61, 3, 10)
    mask = torch.ones(3, 10, dtype=torch.int64)
    mask[1, 6:] = ids[1, 6:] = 0
    segments = (torch.arange(10) > 4).long().expand(3, 10)
    assert_same(
        model,
        reference,
        lambda each: each(ids, mask, segments) if each is model else each(ids, mask, segments).to_tuple(),
    )


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
def test_llama_computes_what_transformers_computes(kv_heads):
    model, reference = built("llama", kv_heads=kv_heads), twin("llama", kv_heads=kv_heads)
    ids = tokens(61, 2, 13)
    assert_same(model, reference, lambda each: each(ids) if each is model else each(ids).logits)


@pytest.mark.parametrize("training", [False, True])
def test_lstm_lm_computes_what_its_twin_computes(training):
    model, reference = built("lstm_lm").train(training), twin("lstm_lm").train(training)
    ids, state = tokens(31, 3, 7), (torch.ones(2, 3, 12), torch.zeros(2, 3, 12))
    assert_same(model, reference, lambda each: (each(ids), each(ids, state)))
    assert model.out.weight is model.embed.weight


def test_lstm_lm_goes_on_where_a_state_ends():
    model = built("lstm_lm")
    ids = tokens(31, 3, 8)
    whole, _ = model(ids)
    first, state = model(ids[:, :5])
    second, _ = model(ids[:, 5:], state)
    torch.testing.assert_close(torch.cat((first, second), 1), whole)


@pytest.mark.parametrize("training", [False, True])
def test_seq2seq_computes_what_its_twin_computes(training):
    model, reference = built("seq2seq").train(training), twin("seq2seq").train(training)
    source, target = tokens(31, 3, 9), tokens(31, 3, 6, seed=1)
    source[1, 5:] = 0
    assert_same(model, reference, lambda each: each(source, target))
    assert model.out.weight is model.embed.weight


def test_seq2seq_sees_neither_padding_nor_the_future():
    model = built("seq2seq")
    source, target = tokens(31, 2, 9), tokens(31, 2, 6, seed=1)
    padded = torch.cat((source, torch.zeros(2, 4, dtype=torch.int64)), 1)
    changed = target.clone()
    changed[:, 4:] = (changed[:, 4:] + 1) % 31
    with torch.no_grad():
        output = model(source, target)
        torch.testing.assert_close(model(padded, target), output)
        torch.testing.assert_close(model(source, changed)[:, :4], output[:, :4])
        assert not torch.allclose(model(source, changed)[:, 4:], output[:, 4:])


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("k", [1, 2, 5])
def test_mixture_of_experts_computes_what_its_twin_computes(k, training):
    model = built("mixture_of_experts", k=k).train(training)
    reference = twin("mixture_of_experts", k=k).train(training)
    x = torch.randn(4, 7, 12, generator=torch.Generator().manual_seed(3))
    assert_same(model, reference, lambda each: each(x))


@pytest.mark.parametrize("k", [1, 2, 5])
def test_mixture_of_experts_is_the_sum_of_all_experts_where_those_not_chosen_weigh_nothing(k):
    model = built("mixture_of_experts", k=k)
    x = torch.randn(4, 7, 12)
    with torch.no_grad():
        scores = model.gate(x)
        lowest = scores.sort(dim=-1, descending=True).values[..., k - 1 : k]
        weights = scores.masked_fill(scores < lowest, float("-inf")).softmax(dim=-1)
        every = torch.stack([expert(x) for expert in model.experts], dim=-1)
        torch.testing.assert_close(model(x), (every * weights.unsqueeze(-2)).sum(dim=-1))


def test_mixture_of_experts_computes_each_token_by_k_experts_alone():
    model = built("mixture_of_experts")
    counted = []
    for expert in model.experts:
        expert.register_forward_pre_hook(lambda _, inputs: counted.append(len(inputs[0])))
    model(torch.randn(4, 7, 12))
    assert sum(counted) == 2 * 4 * 7


# --- as published ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TWINS)
def test_every_rule_of_a_model_s_own_init_acts_at_its_default_size(name):
    plan = modelzoo.plan(*compose(f"model={name}", f"init={name}"))
    assert plan.warnings == ()


@pytest.mark.parametrize("name", TWINS)
def test_another_init_acts_too(name):
    model, init = compose(f"model={name}", "init=constant", *TWINS[name].overrides)
    assert "constant(value=1)" in {each.fill for each in modelzoo.plan(model, init).tensors}


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("gpt2", {"vocab": 500, "dim": 64, "layers": 6, "heads": 4, "context": 40}),
        ("llama", {"vocab": 500, "dim": 64, "layers": 6, "heads": 4, "kv_heads": 2, "width": 100}),
    ],
)
def test_tensors_start_with_the_spread_that_transformers_gives_them(name, args):
    torch.manual_seed(0)
    wanted = TWINS[name].make(**args).state_dict()
    model, init = compose(f"model={name}", f"init={name}", *(f"model.args.{key}={v}" for key, v in args.items()))
    for key, value in modelzoo.build(model, init).state_dict().items():
        if value.std() == 0:
            assert torch.equal(value, wanted[key]), key
        else:
            torch.testing.assert_close(value.std(), wanted[key].std(), rtol=0.08, atol=0)
            assert abs(value.mean()) < 6 * value.std() / value.numel() ** 0.5


def test_bert_starts_within_two_standard_deviations():
    model, init = compose("model=bert", "init=bert", "model.args.layers=2", "model.args.dim=96")
    for name, value in modelzoo.build(model, init).state_dict().items():
        if name.endswith("bias") or "LayerNorm" in name:
            assert torch.equal(value, torch.full_like(value, name.endswith("LayerNorm.weight")))
        elif value.numel() > 1000:
            assert 0.039 < value.abs().max() <= 0.04
            assert value.std().item() == pytest.approx(0.8796 * 0.02, rel=0.03)  # a normal's, cut at 2


def test_seq2seq_and_the_mixture_start_as_their_papers_say():
    model = modelzoo.build(*compose("model=seq2seq", "init=seq2seq", "model.args.layers=1", "model.args.vocab=1000"))
    assert model.out.weight.std().item() == pytest.approx(512**-0.5, rel=0.02)
    bound = (6 / (512 + 2048)) ** 0.5
    assert 0.99 * bound < model.encoder[0].linear1.weight.abs().max() <= bound
    mixture = modelzoo.build(*compose("model=mixture_of_experts", "init=mixture_of_experts"))
    assert not mixture.gate.weight.any()
    assert not mixture.noise.weight.any()
    assert mixture.experts[0][0].weight.any()


def test_lstm_lm_starts_uniform_everywhere():
    model = modelzoo.build(*compose("model=lstm_lm", "init=lstm_lm", *TWINS["lstm_lm"].overrides))
    values = torch.cat([each.detach().flatten() for each in model.parameters()])
    assert 0.049 < values.abs().max() <= 0.05
    assert values.std().item() == pytest.approx(0.1 / 12**0.5, rel=0.05)


@pytest.mark.parametrize("name", TWINS)
def test_the_comment_of_a_file_names_the_year_of_its_paper(name):
    assert re.match(r"# .*\(.*\b(19|20)\d\d\)", comment_of(name)[0])
