"""The vision models of the zoo: parameters, names, outputs and gradients against hand-written twins, initialisation."""

from __future__ import annotations

import functools
import inspect
import math
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor, nn

import modelzoo
from tests.helpers import zoo_vision
from tests.helpers.composing import CONF, compose
from tests.helpers.zoo_vision import TWINS

NAMES = tuple(TWINS)
CLASSIFIERS = tuple(name for name in NAMES if name not in ("unet", "vae"))
EXACT = {"rtol": 0.0, "atol": 0.0}
ROUNDED = {"rtol": 1e-4, "atol": 1e-5}

PUBLISHED = {
    "alexnet": {"features.0.weight": (64, 3, 11, 11), "features.10.bias": (256,), "classifier.1.weight": (4096, 9216)},
    "vgg16": {"features.28.weight": (512, 512, 3, 3), "classifier.6.weight": (1000, 4096)},
    "resnet18": {
        "conv1.weight": (64, 3, 7, 7),
        "layer1.0.bn2.running_mean": (64,),
        "layer2.0.downsample.0.weight": (128, 64, 1, 1),
        "layer4.1.bn2.num_batches_tracked": (),
        "fc.weight": (1000, 512),
    },
    "resnet50": {
        "layer1.0.downsample.0.weight": (256, 64, 1, 1),
        "layer3.5.conv2.weight": (256, 256, 3, 3),
        "layer4.2.bn3.bias": (2048,),
        "fc.weight": (1000, 2048),
    },
    "mobilenet_v2": {
        "features.0.0.weight": (32, 3, 3, 3),
        "features.1.conv.1.weight": (16, 32, 1, 1),
        "features.2.conv.1.0.weight": (96, 1, 3, 3),
        "features.17.conv.3.weight": (320,),
        "features.18.1.running_var": (1280,),
        "classifier.1.weight": (1000, 1280),
    },
    "densenet121": {
        "features.conv0.weight": (64, 3, 7, 7),
        "features.denseblock1.denselayer1.norm1.weight": (64,),
        "features.denseblock3.denselayer24.conv2.weight": (32, 128, 3, 3),
        "features.transition2.conv.weight": (256, 512, 1, 1),
        "features.norm5.weight": (1024,),
        "classifier.weight": (1000, 1024),
    },
    "vit_b_16": {
        "class_token": (1, 1, 768),
        "conv_proj.weight": (768, 3, 16, 16),
        "encoder.pos_embedding": (1, 197, 768),
        "encoder.layers.encoder_layer_0.self_attention.in_proj_weight": (2304, 768),
        "encoder.layers.encoder_layer_11.mlp.3.weight": (768, 3072),
        "encoder.ln.bias": (768,),
        "heads.head.weight": (1000, 768),
    },
}
"""A few entries of the state dicts that torchvision publishes."""


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@functools.cache
def planned(name: str) -> modelzoo.Plan:
    """The plan at full size, with the published initialisation."""
    return modelzoo.plan(*compose(f"model={name}", f"init={TWINS[name].init}"))


def shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def pair(name: str) -> tuple[nn.Module, nn.Module]:
    """The twin at its small size with values that nothing starts with, and the built model that loaded them."""
    torch.manual_seed(0)
    twin = TWINS[name].make(**TWINS[name].small)
    for key, tensor in twin.state_dict().items():
        if key.endswith("running_var"):
            tensor.uniform_(0.5, 2)
        elif tensor.is_floating_point() and tensor.ndim < 2:
            tensor.add_(torch.randn(tensor.shape) * 0.1)
    model = modelzoo.build(compose(f"model={name}", *TWINS[name].overrides)[0])
    model.load_state_dict(twin.state_dict(), strict=True)
    return twin, model


def image(name: str) -> Tensor:
    return torch.rand(TWINS[name].image, generator=torch.Generator().manual_seed(7))


def tensors(output: Any) -> Iterator[Tensor]:
    yield from output if isinstance(output, tuple) else (output,)


def computed(model: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """Everything a step computes: outputs, the gradients of the input and the parameters, and the buffers after it."""
    x = x.clone().requires_grad_()
    torch.manual_seed(1)
    outputs = list(tensors(model(x)))
    sum((each * torch.linspace(-1, 1, each.numel()).view_as(each)).sum() for each in outputs).backward()
    found = {f"output {index}": each.detach() for index, each in enumerate(outputs)} | {"gradient of x": x.grad}
    found |= {f"gradient of {name}": each.grad for name, each in model.named_parameters()}
    return found | dict(model.named_buffers())


# -- full size --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_model_has_the_published_number_of_parameters(name: str) -> None:
    assert planned(name).parameters == TWINS[name].parameters
    assert planned(name).notes == ()


@pytest.mark.parametrize("name", NAMES)
def test_a_state_dict_has_the_keys_and_shapes_of_the_twin_in_its_order(name: str) -> None:
    model = modelzoo.build(compose(f"model={name}")[0], device="meta")
    with torch.device("meta"):
        twin = TWINS[name].make()
    assert list(shapes(model).items()) == list(shapes(twin).items())
    assert [key for key, _ in model.named_parameters()] == [key for key, _ in twin.named_parameters()]


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_state_dict_has_keys_that_torchvision_publishes(name: str) -> None:
    found = {each.name: each.shape for each in planned(name).tensors}
    assert {key: found.get(key) for key in PUBLISHED[name]} == PUBLISHED[name]


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_classifier_gives_one_score_for_each_class_of_its_example_image(name: str) -> None:
    assert planned(name).modules[0].output == (1, 10 if name == "lenet" else 1000)


def test_the_operations_of_resnet50_are_the_published_four_billion_multiplications() -> None:
    flops = planned("resnet50").flops
    assert flops is not None
    assert flops / 2 == pytest.approx(4.09e9, rel=0.005)


# -- small size -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("training", [False, True], ids=["evaluation", "training"])
@pytest.mark.parametrize("name", NAMES)
def test_outputs_gradients_and_buffers_are_those_of_the_twin(name: str, training: bool) -> None:
    twin, model = pair(name)
    twin.train(training)
    model.train(training)
    got, expected = computed(model, image(name)), computed(twin, image(name))
    assert list(got) == list(expected)
    tolerance = EXACT if TWINS[name].exact else ROUNDED
    for key, each in expected.items():
        torch.testing.assert_close(got[key], each, **tolerance, msg=lambda what, key=key: f"{key}: {what}")


@pytest.mark.parametrize("name", NAMES)
def test_the_output_depends_on_every_parameter(name: str) -> None:
    """A branch whose weights do nothing would agree with any twin."""
    model = pair(name)[1].eval()
    found = computed(model, image(name))
    assert [key for key, each in found.items() if key.startswith("gradient") and not bool(each.abs().sum() > 0)] == []


def test_batch_normalisation_learns_the_same_statistics_over_several_batches() -> None:
    twin, model = pair("resnet18")
    for seed in range(3):
        x = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(seed))
        twin(x), model(x)
    before = pair("resnet18")[0].state_dict()
    changed = [key for key, each in twin.state_dict().items() if not torch.equal(each, before[key])]
    assert len(changed) == 3 * sum(isinstance(each, nn.BatchNorm2d) for each in twin.modules())
    for key in changed:
        torch.testing.assert_close(model.state_dict()[key], twin.state_dict()[key], **EXACT)


@pytest.mark.parametrize("size", [(8, 8), (10, 26), (34, 28), (46, 16)], ids=str)
def test_unet_returns_an_image_of_any_even_size(size: tuple[int, int]) -> None:
    model = modelzoo.build(compose("model=unet", "model.args.width=4", "model.args.depth=3")[0])
    assert model(torch.rand(1, 1, *size)).shape == (1, 2, *size)


def test_vae_draws_a_new_code_each_time_and_its_divergence_is_that_of_torch() -> None:
    model = pair("vae")[1].eval()
    x = image("vae")
    (first, divergence), (second, same) = model(x), model(x)
    assert not torch.equal(first, second)
    assert torch.equal(divergence, same)
    h = model.encoder(x)
    code = torch.distributions.Normal(model.mean(h), (model.log_variance(h) / 2).exp())
    expected = torch.distributions.kl_divergence(code, torch.distributions.Normal(0.0, 1.0)).sum(1)
    torch.testing.assert_close(divergence, expected)


def test_resnet50_swaps_its_block_from_the_command_line() -> None:
    config, _ = compose("model=resnet50", "model.args.block=BasicBlock", "model.args.dims=[64,128,256,512]")
    model = modelzoo.build(config, device="meta")
    assert sum(each.numel() for each in model.parameters()) == 21_797_672  # a ResNet-34


@pytest.mark.parametrize(
    ("name", "overrides", "published"),
    [
        ("vgg16", ["model.args.depths=[1,1,2,2,2]"], 132_863_336),
        ("vgg16", ["model.args.depths=[2,2,4,4,4]"], 143_667_240),
        ("resnet18", ["model.args.depths=[3,4,6,3]"], 21_797_672),
        ("resnet50", ["model.args.depths=[3,4,23,3]"], 44_549_160),
        ("resnet50", ["model.args.depths=[3,8,36,3]"], 60_192_808),
        ("densenet121", ["model.args.depths=[6,12,32,32]"], 14_149_480),
        ("densenet121", ["model.args.depths=[6,12,48,32]"], 20_013_928),
        ("vit_b_16", ["model.args.patch=32"], 88_224_232),
        ("vit_b_16", ["model.args.dim=1024", "model.args.depth=24", "model.args.num_heads=16"], 304_326_632),
    ],
)
def test_the_larger_sizes_that_a_comment_names_have_the_published_parameters(
    name: str, overrides: list[str], published: int
) -> None:
    comment = (CONF / "model" / f"{name}.yaml").read_text(encoding="utf-8").splitlines()[2]
    assert f", {published / 1e6:.0f}M: {' '.join(overrides)}" in comment
    model = modelzoo.build(compose(f"model={name}", *overrides)[0], device="meta")
    assert sum(each.numel() for each in model.parameters()) == published


# -- initialisation ---------------------------------------------------------------------------------------------------


def fan_in(shape: tuple[int, ...]) -> int:
    return math.prod(shape[1:])


def fan_out(shape: tuple[int, ...]) -> int:
    return shape[0] * math.prod(shape[2:])


def expected(init: str, name: str, owner: str, shape: tuple[int, ...]) -> tuple[float, float] | None:
    """The mean and standard deviation that the source of an initialisation names for a tensor; None for torch's own."""
    matrix = len(shape) > 1
    if init == "lenet" and matrix:
        return 0, 2.4 / fan_in(shape) / math.sqrt(3)
    if init == "alexnet":
        ones = ("features.3.bias", "features.8.bias", "features.10.bias", "classifier.1.bias", "classifier.4.bias")
        return (0, 0.01) if matrix else (float(name in ones), 0)
    if init == "vae":
        return 0, 0.1
    if init == "vit":
        if name in ("class_token", "conv_proj.bias", "heads.head.weight", "heads.head.bias"):
            return 0, 0
        special = {"encoder.pos_embedding": 0.02, "conv_proj.weight": 1 / math.sqrt(fan_in(shape)) if matrix else 0}
        if ".mlp." in name:
            return 0, math.sqrt(2 / sum(shape)) if matrix else 1e-6
        return (0, special[name]) if name in special else None
    if "Norm" in owner:
        return float(name.endswith("weight")), 0
    if owner == "ConvTranspose2d" and matrix:
        return 0, math.sqrt(2 / shape[0])
    if owner == "Conv2d" and matrix:
        return 0, math.sqrt(2 / (fan_in(shape) if init in ("densenet", "unet") else fan_out(shape)))
    if owner == "Linear" and init in ("vgg", "mobilenet"):
        return 0, 0.01 if matrix else 0
    return (0, 0) if init in ("vgg", "densenet") and not matrix else None


@pytest.mark.parametrize("name", NAMES)
def test_the_published_initialisation_has_its_means_and_standard_deviations(name: str) -> None:
    twin = TWINS[name]
    config, rules = compose(f"model={name}", f"init={twin.init}", *twin.overrides)
    plan, model = modelzoo.plan(config, rules), modelzoo.build(config, rules)
    assert plan.warnings == ()
    ruled = {each.name for each in plan.tensors if each.rule.startswith("init.")}
    found = {each.name: expected(twin.init, each.name, each.owner, each.shape) for each in plan.tensors}
    parameters = dict(model.named_parameters())
    assert ruled == {each for each in parameters if found[each] is not None}
    for each in ruled:
        value, (mean, std) = parameters[each].detach(), found[each] or (0, 0)
        count = value.numel()
        assert abs(value.mean().item() - mean) <= 6 * std / math.sqrt(count), each
        if count >= 64:
            assert value.std().item() == pytest.approx(std, rel=5 / math.sqrt(2 * count) + 1e-6), each


def test_the_uniform_initialisation_of_lenet_stays_within_its_bounds_and_reaches_them() -> None:
    model = modelzoo.build(*compose("model=lenet", "init=lenet"))
    largest = {name: each.abs().max().item() * fan_in(tuple(each.shape)) for name, each in model.named_parameters()}
    assert all(2.2 < largest[f"{layer}.weight"] <= 2.4001 for layer in ("c1", "c3", "c5", "f6", "output"))


@pytest.mark.parametrize("name", NAMES)
def test_the_first_image_gives_finite_outputs_with_the_published_initialisation(name: str) -> None:
    model = modelzoo.build(*compose(f"model={name}", f"init={TWINS[name].init}", *TWINS[name].overrides))
    assert all(bool(each.isfinite().all()) for each in tensors(model(image(name))))


# -- files ------------------------------------------------------------------------------------------------------------


def code_lines(text: str) -> int:
    lines = (line.strip() for line in text.splitlines())
    return sum(bool(line) and not line.startswith("#") for line in lines)


@pytest.mark.parametrize("name", NAMES)
def test_a_config_is_no_longer_than_its_twin(name: str) -> None:
    with torch.device("meta"):
        twin = TWINS[name].make()
    parts = {type(each) for each in twin.modules() if type(each).__module__ == zoo_vision.__name__}
    written = {inspect.getsource(each) for each in (*parts, TWINS[name].make)}
    config = (CONF / "model" / f"{name}.yaml").read_text(encoding="utf-8")
    assert code_lines(config) <= code_lines("\n".join(written))


def test_resnet18_fits_in_fifty_readable_lines() -> None:
    lines = (CONF / "model" / "resnet18.yaml").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 50
    assert max(map(len, lines)) <= 120


@pytest.mark.parametrize("name", NAMES)
def test_a_config_leaves_its_initialisation_to_the_init_group(name: str) -> None:
    config = (CONF / "model" / f"{name}.yaml").read_text(encoding="utf-8")
    assert "_init_" not in config
    assert yaml.safe_load(config)["args"]


def test_the_main_job_runs_a_model_of_the_zoo(tmp_path: Any) -> None:
    done = subprocess.run(
        [sys.executable, str(CONF.parent / "run.py"), "model=mobilenet_v2", "init=mobilenet", "threads=1"],
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "3,504,872 parameters" in done.stdout
    assert "output  [1, 1000]  float32  finite" in done.stdout
