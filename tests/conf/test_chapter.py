"""The course chapter: every model of `conf/model` against its hand-written twin, every file of `conf/init` exactly."""

from __future__ import annotations

import copy
import os
import pickle
import re
import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import nn

import modelzoo
from tests.helpers.composing import CONF, compose
from tests.helpers.twins import TWINS

ROOT = CONF.parent

INPUT = {
    "sequential": (2, 20),
    "mlp": (2, 20),
    "fixed_hidden": (2, 20),
    "nested": (2, 20),
    "chimera": (2, 20),
    "regression": (2, 4),
    "rgnet": (2, 4),
    "shared": (2, 4),
}
OUTPUT = {
    "sequential": (2, 10),
    "mlp": (2, 10),
    "fixed_hidden": (),
    "nested": (2, 16),
    "chimera": (),
    "regression": (2, 1),
    "rgnet": (2, 1),
    "shared": (2, 1),
}
PARAMETERS = {
    "sequential": 7_946,
    "mlp": 7_946,
    "fixed_hidden": 420,
    "nested": 3_952,
    "chimera": 3_952 + 340 + 420,
    "regression": 49,
    "rgnet": 309,
    "shared": 121,
}
KEYS = {
    "sequential": "0.weight 0.bias 2.weight 2.bias",
    "mlp": "hidden.weight hidden.bias out.weight out.bias",
    "fixed_hidden": "rand_weight linear.weight linear.bias",
    "nested": "net.0.weight net.0.bias net.2.weight net.2.bias linear.weight linear.bias",
    "chimera": (
        "0.net.0.weight 0.net.0.bias 0.net.2.weight 0.net.2.bias 0.linear.weight 0.linear.bias "
        "1.weight 1.bias 2.rand_weight 2.linear.weight 2.linear.bias"
    ),
    "regression": "0.weight 0.bias 2.weight 2.bias",
    "rgnet": (
        "0.block0.0.weight 0.block0.0.bias 0.block0.2.weight 0.block0.2.bias "
        "0.block1.0.weight 0.block1.0.bias 0.block1.2.weight 0.block1.2.bias "
        "0.block2.0.weight 0.block2.0.bias 0.block2.2.weight 0.block2.2.bias "
        "0.block3.0.weight 0.block3.0.bias 0.block3.2.weight 0.block3.2.bias "
        "1.weight 1.bias"
    ),
    "shared": "0.weight 0.bias 2.weight 2.bias 4.weight 4.bias 6.weight 6.bias",
}
MODELS = tuple(KEYS)

BY_TYPE = ("default", "normal", "constant", "xavier", "threshold")
APPLIES = {
    "sequential": (*BY_TYPE, "per_layer", "direct"),
    "mlp": BY_TYPE,
    "fixed_hidden": BY_TYPE,
    "nested": BY_TYPE,
    "chimera": BY_TYPE,
    "regression": (*BY_TYPE, "per_layer", "direct"),
    "rgnet": BY_TYPE,
    "shared": (*BY_TYPE, "per_layer", "direct"),
}
PAIRS = [(model, init) for model, inits in APPLIES.items() for init in inits]
WITH_LAYERS_0_AND_2 = [model for model, inits in APPLIES.items() if "direct" in inits]
WITHOUT_THEM = [(model, init) for model in MODELS for init in ("per_layer", "direct") if init not in APPLIES[model]]


def build(model: str, init: str = "default", **options: Any) -> Any:
    return modelzoo.build(compose(f"model={model}")[0], compose(f"init={init}")[1], **options)


def twin_of(name: str, model: nn.Module, dtype: torch.dtype = torch.float32) -> Any:
    """The hand-written model with the built one's values."""
    twin = TWINS[name]().to(dtype)
    twin.load_state_dict(model.state_dict(), strict=True)
    return twin


def several_inputs(name: str, dtype: torch.dtype = torch.float32) -> list[torch.Tensor]:
    """The shape of the example, another batch size, zeros, small and large values."""
    rows, columns = INPUT[name]
    generator = torch.Generator().manual_seed(7)
    draws = [torch.randn(size, columns, generator=generator, dtype=dtype) for size in (rows, 5, rows, rows)]
    return [draws[0], draws[1], torch.zeros(rows, columns, dtype=dtype), draws[2] * 1e-4, draws[3] * 1e4]


def linears(model: nn.Module) -> dict[str, nn.Linear]:
    return {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear)}


def identical(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Whether two tensors have the same dtype, shape and values; NaN equals NaN."""
    same_kind = a.dtype == b.dtype and a.shape == b.shape
    return same_kind and torch.allclose(a, b, rtol=0, atol=0, equal_nan=True)


# -- every model ------------------------------------------------------------------------------------------------------


def test_the_tables_above_name_the_same_models_and_files_that_exist():
    assert set(MODELS) == set(TWINS) == set(INPUT) == set(OUTPUT) == set(PARAMETERS) == set(APPLIES)
    assert set(MODELS) <= {file.stem for file in (CONF / "model").glob("*.yaml")}
    assert {init for inits in APPLIES.values() for init in inits} <= {
        file.stem for file in (CONF / "init").glob("*.yaml")
    }


@pytest.mark.parametrize(
    "file", sorted((CONF / "model").glob("*.yaml")) + sorted((CONF / "init").glob("*.yaml")), ids=str
)
def test_a_config_starts_with_a_line_that_says_what_it_shows(file):
    first = file.read_text(encoding="utf-8").splitlines()[0]
    assert re.fullmatch(r"# .{20,}", first)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_gives_the_outputs_of_its_twin_bit_for_bit(name):
    model = build(name)
    twin = twin_of(name, model)
    for x in several_inputs(name):
        assert identical(model(x), twin(x))


@pytest.mark.parametrize("name", MODELS)
def test_a_model_gives_the_gradients_of_its_twin_bit_for_bit(name):
    model = build(name)
    twin = twin_of(name, model)
    x = several_inputs(name)[0]
    assert all(parameter.grad is None for parameter in model.parameters())
    model(x).sum().backward()
    twin(x).sum().backward()
    grads = {key: parameter.grad for key, parameter in model.named_parameters()}
    expected = {key: parameter.grad for key, parameter in twin.named_parameters()}
    assert list(grads) == list(expected)
    assert all(identical(grads[key], expected[key]) for key in expected)


@pytest.mark.parametrize("name", MODELS)
def test_the_keys_of_the_state_dict_stand_in_the_order_of_the_twin(name):
    keys = list(build(name).state_dict())
    assert keys == KEYS[name].split()
    assert keys == list(TWINS[name]().state_dict())


@pytest.mark.parametrize("name", MODELS)
def test_modules_and_parameters_have_the_names_of_the_twin(name):
    model, twin = build(name), TWINS[name]()
    assert [key for key, _ in model.named_modules()] == [key for key, _ in twin.named_modules()]
    assert [key for key, _ in model.named_parameters()] == [key for key, _ in twin.named_parameters()]
    assert [key for key, _ in model.named_buffers()] == [key for key, _ in twin.named_buffers()]


@pytest.mark.parametrize("name", MODELS)
def test_a_model_has_the_parameters_the_chapter_counts(name):
    model = build(name)
    plan = modelzoo.plan(compose(f"model={name}")[0])
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == PARAMETERS[name]
    assert (plan.parameters, plan.trainable) == (PARAMETERS[name], PARAMETERS[name])


@pytest.mark.parametrize("name", MODELS)
def test_the_output_has_the_shape_the_chapter_shows(name):
    (declared,) = modelzoo.plan(compose(f"model={name}")[0]).inputs
    assert (declared.name, tuple(declared.shape)) == ("x", INPUT[name])
    assert tuple(build(name)(torch.ones(INPUT[name])).shape) == OUTPUT[name]


@pytest.mark.parametrize("name", MODELS)
def test_a_model_comes_in_training_mode_as_torch_makes_them(name):
    assert all(module.training for module in build(name).modules())


@pytest.mark.parametrize("name", MODELS)
def test_a_model_in_double_precision_is_its_twin_in_double_precision(name):
    model = build(name, dtype="float64")
    twin = twin_of(name, model, torch.float64)
    assert {tensor.dtype for tensor in model.state_dict().values()} == {torch.float64}
    for x in several_inputs(name, torch.float64):
        assert identical(model(x), twin(x))


@pytest.mark.parametrize("name", ["sequential", "nested", "chimera", "regression", "rgnet", "shared"])
def test_a_block_without_a_forward_is_an_nn_sequential(name):
    assert isinstance(build(name), nn.Sequential)


@pytest.mark.parametrize("name", ["mlp", "fixed_hidden"])
def test_a_block_with_a_forward_is_a_module_of_its_own(name):
    model = build(name)
    assert isinstance(model, nn.Module)
    assert not isinstance(model, nn.Sequential)


@pytest.mark.parametrize(("name", "init"), PAIRS)
def test_every_init_that_applies_builds_and_every_rule_of_it_is_used(name, init):
    model, rules = compose(f"model={name}", f"init={init}")
    assert modelzoo.plan(model, rules).warnings == ()
    built = modelzoo.build(model, rules)
    assert all(tensor.isfinite().all() for tensor in built.state_dict().values())
    assert tuple(built(torch.ones(INPUT[name])).shape) == OUTPUT[name]


@pytest.mark.parametrize(("name", "init"), WITHOUT_THEM)
def test_a_rule_whose_name_fits_nothing_is_refused(name, init):
    with pytest.raises(modelzoo.ConfigError) as caught:
        build(name, init)
    assert "0.weight" in str(caught.value)


# -- one model at a time ----------------------------------------------------------------------------------------------


def test_mlp_calls_no_relu_module():
    assert [type(child) for child in build("mlp").children()] == [nn.Linear, nn.Linear]


def test_the_sizes_of_a_model_follow_its_args():
    model, _ = compose("model=nested", "model.args.width=8", "model.args.dim=5")
    shapes = {key: tuple(tensor.shape) for key, tensor in modelzoo.build(model).state_dict().items()}
    assert shapes == {
        "net.0.weight": (8, 5),
        "net.0.bias": (8,),
        "net.2.weight": (4, 8),
        "net.2.bias": (4,),
        "linear.weight": (16, 4),
        "linear.bias": (16,),
    }


def test_a_layer_is_swapped_by_its_name():
    model, _ = compose("model=nested", "model.layers.linear='Linear(half, 3, bias=False)'")
    built = modelzoo.build(model)
    assert list(built.state_dict())[-2:] == ["net.2.bias", "linear.weight"]
    assert tuple(built(torch.ones(2, 20)).shape) == (2, 3)


def test_fixed_hidden_keeps_its_constant_out_of_training_and_in_the_state_dict():
    model = build("fixed_hidden")
    assert [key for key, _ in model.named_parameters()] == ["linear.weight", "linear.bias"]
    constant = model.state_dict()["rand_weight"]
    assert tuple(constant.shape) == (20, 20)
    assert not model.rand_weight.requires_grad
    assert 0 <= constant.min() < 0.1
    assert 0.9 < constant.max() < 1
    before = constant.clone()
    optimiser = torch.optim.SGD(model.parameters(), lr=1.0)
    model(torch.ones(2, 20)).backward()
    optimiser.step()
    assert model.rand_weight.grad is None
    assert torch.equal(model.rand_weight, before)


def test_fixed_hidden_calls_its_one_layer_twice():
    model = build("fixed_hidden")
    calls = []
    model.linear.register_forward_hook(lambda module, args, output: calls.append(tuple(output.shape)))
    model(torch.ones(2, 20))
    assert calls == [(2, 20), (2, 20)]


def test_fixed_hidden_takes_its_loop_for_large_inputs():
    model = build("fixed_hidden")
    twin = twin_of("fixed_hidden", model)
    x = torch.ones(2, 20) * 1e4
    with torch.no_grad():
        halved = twin.before_loop(x)
        times = 0
        while halved.abs().sum() > 1:
            halved, times = halved / 2, times + 1
        assert times > 5
        assert torch.equal(model(x), halved.sum())


def test_fixed_hidden_leaves_its_loop_out_for_outputs_that_are_small_already():
    model = build("fixed_hidden")
    with torch.no_grad():
        model.linear.weight.mul_(1e-3)
        model.linear.bias.fill_(1e-3)
        twin = twin_of("fixed_hidden", model)
        x = torch.ones(2, 20)
        assert twin.before_loop(x).abs().sum() < 1
        assert torch.equal(model(x), twin.before_loop(x).sum())


@pytest.mark.parametrize("where", [(0, 0), (1, 19)])
def test_fixed_hidden_ends_with_nan_for_an_infinite_input(where):
    model = build("fixed_hidden")
    x = torch.ones(2, 20)
    x[where] = torch.inf
    assert model(x).isnan()
    assert twin_of("fixed_hidden", model)(x).isnan()


def test_a_loop_whose_condition_stays_true_ends_and_names_its_line():
    config, _ = compose("model=fixed_hidden")
    config["forward"] = config["forward"].replace("> 1:", ">= 0:")
    model = modelzoo.build(config)
    expected = r"this loop did not end after 10,000 steps: while x\.abs\(\)\.sum\(\) >= 0: \(line 4 of .+\)"
    with pytest.raises(RuntimeError, match=expected), torch.no_grad():
        model(torch.ones(2, 20))


def test_a_run_whose_loop_does_not_end_names_the_line_in_the_yaml(tmp_path):
    text = (CONF / "model" / "fixed_hidden.yaml").read_text(encoding="utf-8").replace("> 1:", ">= 0:")
    line = next(number for number, each in enumerate(text.splitlines(), 1) if "while" in each)
    file = tmp_path / "conf" / "model" / "endless.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(text, encoding="utf-8")
    run = subprocess.run(
        [sys.executable, str(ROOT / "run.py"), "model=endless", "max_steps=50"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 1
    assert f"conf/model/endless.yaml:{line}:" in run.stderr
    assert "did not end after 50 steps" in run.stderr
    assert "Traceback" not in run.stderr


def test_the_inner_block_of_nested_is_an_nn_sequential_too():
    model = build("nested")
    assert type(model.net) is nn.Sequential
    assert [type(layer) for layer in model.net] == [nn.Linear, nn.ReLU, nn.Linear, nn.ReLU]


def test_a_part_of_chimera_is_the_model_of_its_file():
    model = build("chimera")
    nested, fixed = build("nested"), build("fixed_hidden")
    nested.load_state_dict(model[0].state_dict(), strict=True)
    fixed.load_state_dict(model[2].state_dict(), strict=True)
    x = torch.linspace(-1, 1, 40).view(2, 20)
    assert torch.equal(model(x), fixed(model[1](nested(x))))


def test_the_last_part_of_chimera_is_swapped_from_the_command_line():
    config, _ = compose("model=chimera", "model@model.blocks.FixedHiddenMLP=sequential")
    model = modelzoo.build(config)
    keys = list(model.state_dict())
    assert keys[-6:] == ["1.weight", "1.bias", "2.0.weight", "2.0.bias", "2.2.weight", "2.2.bias"]
    assert tuple(model(torch.ones(2, 20)).shape) == (2, 10)


def test_the_first_part_of_chimera_is_swapped_from_the_command_line():
    config, _ = compose("model=chimera", "model@model.blocks.NestMLP=mlp", "model.blocks.NestMLP.args.classes=16")
    model = modelzoo.build(config)
    assert list(model.state_dict())[:4] == ["0.hidden.weight", "0.hidden.bias", "0.out.weight", "0.out.bias"]
    assert tuple(model(torch.ones(2, 20)).shape) == ()


def test_regression_has_no_gradient_before_a_backward_pass_and_one_for_each_parameter_after():
    model = build("regression")
    assert [p.grad for p in model.parameters()] == [None] * 4
    model(torch.ones(2, 4)).sum().backward()
    assert [tuple(p.grad.shape) for p in model.parameters()] == [(8, 4), (8,), (1, 8), (1,)]


def test_rgnet_reaches_a_copy_by_name_and_by_index():
    model = build("rgnet")
    assert model[0][1][0].bias is model.get_parameter("0.block1.0.bias")
    assert model[0].block1 is model[0][1]
    assert [name for name, _ in model[0].named_children()] == ["block0", "block1", "block2", "block3"]
    assert type(model[0]) is type(model[0][1]) is nn.Sequential


def test_the_copies_of_rgnet_share_nothing():
    model = build("rgnet")
    weights = [block[0].weight for block in model[0]]
    assert len({weight.data_ptr() for weight in weights}) == 4
    assert not any(torch.equal(a, b) for a in weights for b in weights if a is not b)


def test_the_number_of_copies_of_rgnet_is_an_arg():
    config, _ = compose("model=rgnet", "model.args.depth=2")
    assert sum(p.numel() for p in modelzoo.build(config).parameters()) == 2 * 76 + 5


# -- the shared layer -------------------------------------------------------------------------------------------------


def assert_shared(model: Any) -> None:
    """Positions 2 and 4 hold one layer, and a change through one is seen through the other."""
    assert model[2] is model[4]
    assert model[2] is not model[0]
    with torch.no_grad():
        model[2].weight[0, 0] = 100
    assert model[4].weight[0, 0] == 100
    assert len(list(model.parameters())) == 6


def test_shared_holds_one_layer_in_two_places():
    assert_shared(build("shared"))


def test_a_reference_may_write_its_index_as_text():
    config, _ = compose("model=shared")
    config["layers"][4] = {"_ref_": "2"}
    by_text, by_number = modelzoo.build(config), build("shared")
    assert_shared(copy.deepcopy(by_text))
    assert all(torch.equal(a, b) for a, b in zip(by_text.parameters(), by_number.parameters(), strict=True))


def test_a_gradient_reaches_the_shared_layer_from_both_places():
    model = build("shared")
    separate = TWINS["shared"]()
    separate[4] = nn.Linear(8, 8)
    separate.load_state_dict(model.state_dict(), strict=True)
    x = several_inputs("shared")[0]
    model(x).sum().backward()
    separate(x).sum().backward()
    assert separate[4].weight.grad.any()
    torch.testing.assert_close(model[2].weight.grad, separate[2].weight.grad + separate[4].weight.grad)


def test_shared_stays_shared_after_its_state_is_saved_and_loaded(tmp_path):
    model = build("shared", seed=1)
    torch.save(model.state_dict(), tmp_path / "state.pt")
    other = build("shared", seed=2)
    assert not torch.equal(other[2].weight, model[2].weight)
    other.load_state_dict(torch.load(tmp_path / "state.pt"), strict=True)
    assert all(torch.equal(a, b) for a, b in zip(other.parameters(), model.parameters(), strict=True))
    assert_shared(other)


def test_shared_stays_shared_after_a_deepcopy():
    model = build("shared")
    copied = copy.deepcopy(model)
    assert copied[2] is not model[2]
    assert_shared(copied)
    assert model[2].weight[0, 0] != 100


def test_shared_stays_shared_after_a_move_to_another_dtype():
    model = build("shared").to(torch.float64)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float64}
    assert_shared(model)


# -- copies -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_a_deepcopy_computes_the_same_and_shares_no_tensor(name):
    model = build(name)
    copied = copy.deepcopy(model)
    x = several_inputs(name)[0]
    assert identical(copied(x), model(x))
    state = model.state_dict()
    assert all(tensor.data_ptr() != state[key].data_ptr() for key, tensor in copied.state_dict().items())


@pytest.mark.parametrize("name", MODELS)
def test_a_state_dict_moves_between_two_builds(name):
    model, other = build(name, seed=1), build(name, seed=2)
    x = several_inputs(name)[0]
    assert not identical(other(x), model(x))
    other.load_state_dict(model.state_dict(), strict=True)
    assert identical(other(x), model(x))


ELSEWHERE = """
import pickle, sys, torch
folder, threads = sys.argv[1:]
torch.set_num_threads(int(threads))  # the number of threads decides the last bits of a product
with open(f"{folder}/models.pickle", "rb") as file:
    models = pickle.load(file)
inputs = torch.load(f"{folder}/inputs.pt")
outputs = {name: [model(x) for x in inputs[name]] for name, model in models.items()}
torch.save(outputs, f"{folder}/outputs.pt")
with torch.no_grad():
    models["shared"][2].weight[0, 0] = 100
print(models["shared"][2] is models["shared"][4], models["shared"][4].weight[0, 0].item())
"""


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """Every model pickled here and run in another process: (models, its outputs, what it printed)."""
    folder = tmp_path_factory.mktemp("elsewhere")
    models = {name: build(name) for name in MODELS}
    (folder / "models.pickle").write_bytes(pickle.dumps(models))
    torch.save({name: several_inputs(name) for name in MODELS}, folder / "inputs.pt")
    run = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, str(folder), str(torch.get_num_threads())],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    return models, torch.load(folder / "outputs.pt"), run.stdout.split()


@pytest.mark.parametrize("name", MODELS)
def test_a_pickled_model_computes_the_same_in_another_process(name, elsewhere):
    models, outputs, _ = elsewhere
    for x, output in zip(several_inputs(name), outputs[name], strict=True):
        assert identical(output.detach(), models[name](x).detach())


def test_shared_stays_shared_after_a_pickle_is_loaded_in_another_process(elsewhere):
    assert elsewhere[2] == ["True", "100.0"]


# -- initialisation ---------------------------------------------------------------------------------------------------


def xavier_bound(weight: torch.Tensor) -> float:
    """The limit of the uniform distribution of Glorot and Bengio (2010), equation 16."""
    fan_out, fan_in = weight.shape
    return (6 / (fan_in + fan_out)) ** 0.5


def assert_uniform(values: torch.Tensor, low: float, high: float) -> None:
    """Many draws from U(low, high): inside it, filling it, with its mean and its standard deviation."""
    width = high - low
    assert low <= values.min() < low + 0.02 * width
    assert high - 0.02 * width < values.max() <= high
    assert abs(values.mean() - (low + high) / 2) < 0.02 * width
    assert abs(values.std() - width / 12**0.5) < 0.02 * width


def test_default_draws_what_torch_draws():
    model = build("sequential", "default")
    for layer in linears(model).values():
        bound = layer.in_features**-0.5
        assert_uniform(layer.weight.detach(), -bound, bound)
        assert layer.bias.abs().max() <= bound
        assert len(layer.bias.unique()) > layer.out_features // 2


def test_default_is_what_a_model_without_rules_gets():
    with_empty_rules, without = build("sequential", "default"), modelzoo.build(compose("model=sequential")[0])
    assert all(torch.equal(a, b) for a, b in zip(with_empty_rules.parameters(), without.parameters(), strict=True))


def test_normal_draws_weights_with_a_deviation_of_a_hundredth():
    for layer in linears(build("sequential", "normal")).values():
        weight = layer.weight.detach()
        assert abs(weight.mean()) < 0.001
        assert abs(weight.std() - 0.01) < 0.0005
        within_one_deviation = (weight.abs() < 0.01).float().mean()
        assert abs(within_one_deviation - 0.6827) < 0.03
        assert weight.abs().max() > 0.03


def test_the_deviation_of_normal_is_swept_by_its_key():
    model, init = compose("model=sequential", "init=normal", "init.weights.fill.std=0.1")
    wide, narrow = modelzoo.build(model, init), build("sequential", "normal")
    torch.testing.assert_close(wide[0].weight, narrow[0].weight * 10)


@pytest.mark.parametrize("name", MODELS)
def test_normal_zeroes_every_bias(name):
    assert not any(layer.bias.any() for layer in linears(build(name, "normal")).values())


@pytest.mark.parametrize("name", MODELS)
def test_constant_makes_every_weight_one_and_every_bias_zero(name):
    for layer in linears(build(name, "constant")).values():
        assert torch.equal(layer.weight, torch.ones_like(layer.weight))
        assert torch.equal(layer.bias, torch.zeros_like(layer.bias))


@pytest.mark.parametrize("init", BY_TYPE)
def test_no_rule_by_type_touches_the_constant_of_fixed_hidden(init):
    assert torch.equal(build("fixed_hidden", init).rand_weight, build("fixed_hidden").rand_weight)


def test_xavier_draws_weights_uniformly_within_the_bound_of_each_layer():
    for layer in linears(build("sequential", "xavier")).values():
        bound = xavier_bound(layer.weight)
        assert_uniform(layer.weight.detach(), -bound, bound)


@pytest.mark.parametrize("name", MODELS)
def test_xavier_holds_its_bound_everywhere_and_leaves_the_biases_to_torch(name):
    xavier, default = linears(build(name, "xavier")), linears(build(name))
    for key, layer in xavier.items():
        assert layer.weight.abs().max() <= xavier_bound(layer.weight)
        assert not torch.equal(layer.weight, default[key].weight)
        assert torch.equal(layer.bias, default[key].bias)


@pytest.mark.parametrize("name", WITH_LAYERS_0_AND_2)
def test_per_layer_fills_layer_0_with_xavier_and_layer_2_with_42_and_nothing_else(name):
    model, default, xavier = build(name, "per_layer"), build(name), build(name, "xavier")
    state, expected = model.state_dict(), default.state_dict()
    expected["0.weight"] = xavier[0].weight
    for key in {"2.weight", "4.weight"} & set(expected):
        expected[key] = torch.full_like(expected[key], 42)
    assert list(state) == list(expected)
    assert [key for key in state if not torch.equal(state[key], expected[key])] == []


@pytest.mark.parametrize("name", MODELS)
def test_threshold_leaves_no_magnitude_between_0_and_5(name):
    for layer in linears(build(name, "threshold")).values():
        magnitudes = layer.weight.abs()
        assert not ((magnitudes > 0) & (magnitudes < 5)).any()
        assert magnitudes.max() <= 10


def test_threshold_is_the_uniform_draw_with_its_small_values_zeroed():
    model, _ = compose("model=sequential")
    rules = {"weights": {"layer": "Linear", "param": "weight", "fill": "uniform(-10, 10)"}}
    plain, cut = modelzoo.build(model, rules), build("sequential", "threshold")
    for layer, expected in ((cut[0], plain[0]), (cut[2], plain[2])):
        assert_uniform(expected.weight.detach(), -10, 10)
        assert torch.equal(layer.weight, torch.where(expected.weight.abs() < 5, 0, expected.weight))
        assert torch.equal(layer.bias, expected.bias)
        assert 0.45 < (layer.weight == 0).float().mean() < 0.55


@pytest.mark.parametrize("name", WITH_LAYERS_0_AND_2)
@pytest.mark.parametrize("seed", [0, 1])
def test_direct_adds_1_to_layer_0_and_sets_its_first_element_to_42(name, seed):
    changed = build(name, "direct", seed=seed).state_dict()
    expected = {key: tensor.clone() for key, tensor in build(name, seed=seed).state_dict().items()}
    expected["0.weight"] += 1
    expected["0.weight"][0, 0] = 42
    assert [key for key in expected if not torch.equal(changed[key], expected[key])] == []


# -- randomness -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "init"), PAIRS)
def test_the_same_seed_gives_the_same_values(name, init):
    first, second = build(name, init, seed=3).state_dict(), build(name, init, seed=3).state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("name", MODELS)
def test_another_seed_gives_other_values_to_every_tensor(name):
    first, second = build(name, seed=3).state_dict(), build(name, seed=4).state_dict()
    assert [key for key in first if torch.equal(first[key], second[key])] == []


@pytest.mark.parametrize("name", MODELS)
def test_building_neither_reads_nor_moves_the_global_generator(name):
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first = build(name).state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(1)
    second = build(name).state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)


def inserted(layers: dict[str, Any], before: str, new: dict[str, Any]) -> dict[str, Any]:
    """The mapping with more layers in front of one of its own."""
    result: dict[str, Any] = {}
    for key, value in layers.items():
        if key == before:
            result.update(new)
        result[key] = value
    return result


@pytest.mark.parametrize("init", BY_TYPE)
@pytest.mark.parametrize(
    ("name", "before", "size", "forward"),
    [
        ("nested", "net", 20, None),
        ("nested", "linear", 32, None),
        ("mlp", "hidden", 20, "out(relu(hidden(extra(x))))"),
        ("mlp", "out", 256, "out(relu(extra(hidden(x))))"),
    ],
)
def test_another_layer_inserted_leaves_all_others_unchanged(init, name, before, size, forward):
    config, rules = compose(f"model={name}", f"init={init}")
    config["layers"] = inserted(config["layers"], before, {"extra": f"Linear({size}, {size})"})
    if forward:
        config["forward"] = forward
    with_extra, without = modelzoo.build(config, rules).state_dict(), build(name, init).state_dict()
    assert set(with_extra) - set(without) == {"extra.weight", "extra.bias"}
    assert [key for key in without if not torch.equal(with_extra[key], without[key])] == []
