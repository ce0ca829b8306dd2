"""The catalog: what it holds, what it refuses, and that nothing in it changes a tensor that was there before."""

from __future__ import annotations

import builtins
import importlib.metadata
import inspect
import math
import os
import pathlib
import subprocess
import sys
import warnings
from typing import Any

import pytest
import torch
from torch import nn

from modelzoo.catalog import arguments as catalog
from modelzoo.catalog import layers, registry
from modelzoo.catalog.arguments import problem_with, problem_with_all
from modelzoo.catalog.functions import (
    ATTRIBUTES,
    DTYPES,
    FORBIDDEN_KEYWORDS,
    FUNCTIONS,
    METHODS,
    Function,
    find_function,
    function_names,
    register_function,
)
from modelzoo.catalog.layers import LAYERS, find_layer

GOLDEN = pathlib.Path(__file__).parents[1] / "golden" / "catalog.txt"

# The arguments that a layer cannot do without, where they are not the same for all.
SAMPLES: dict[str, dict[str, Any]] = {
    "AdaptiveLogSoftmaxWithLoss": {"in_features": 64, "n_classes": 10, "cutoffs": (2, 5)},
    "Bilinear": {"in1_features": 2, "in2_features": 3, "out_features": 4},
    "CrossMapLRN2d": {"size": 2},
    "Embedding": {"num_embeddings": 4, "embedding_dim": 3},
    "EmbeddingBag": {"num_embeddings": 4, "embedding_dim": 3},
    "Fold": {"output_size": (4, 4), "kernel_size": (2, 2)},
    "FractionalMaxPool2d": {"kernel_size": 2, "output_ratio": 0.5},
    "FractionalMaxPool3d": {"kernel_size": 2, "output_ratio": (0.5, 0.5, 0.5)},
    "GroupNorm": {"num_groups": 2, "num_channels": 4},
    "LinearCrossEntropyLoss": {"in_features": 4, "num_classes": 3},
    "LocalResponseNorm": {"size": 2},
    "MultiheadAttention": {"embed_dim": 4, "num_heads": 2},
    "PixelShuffle": {"upscale_factor": 2},
    "PixelUnshuffle": {"downscale_factor": 2},
    "RMSNorm": {"normalized_shape": (4,)},
    "LayerNorm": {"normalized_shape": 4},
    "Threshold": {"threshold": 0.1, "value": 20},
    "TransformerDecoderLayer": {"d_model": 4, "nhead": 2},
    "TransformerEncoderLayer": {"d_model": 4, "nhead": 2},
    "Transformer": {"d_model": 4, "nhead": 2, "batch_first": True},
    "Unflatten": {"dim": 1, "unflattened_size": (2, -1)},
    "Upsample": {"scale_factor": 2},
    "UpsamplingBilinear2d": {"size": (2, 2)},
    "UpsamplingNearest2d": {"scale_factor": (2.0, 2.0)},
}
COMMON: dict[str, Any] = {
    "in_features": 4,
    "out_features": 3,
    "num_features": 4,
    "in_channels": 4,
    "out_channels": 2,
    "kernel_size": 3,
    "input_size": 4,
    "hidden_size": 3,
    "output_size": 2,
    "padding": 1,
    "value": 0.5,
    "norm_type": 2,
    "groups": 2,
}
PLAIN_LAYERS = [
    layer
    for layer in LAYERS.values()
    if layer.name
    not in ("Sequential", "ModuleList", "ModuleDict", "Identity", "TransformerEncoder", "TransformerDecoder")
]


def layer_named(name: str) -> layers.Layer:
    layer = find_layer(name)
    assert layer is not None
    return layer


def given_at_least(name: str) -> dict[str, Any]:
    required = [each.name for each in LAYERS[name].signature.values() if each.default is each.empty]
    return SAMPLES.get(name) or {each: COMMON[each] for each in required}


# --- the list ------------------------------------------------------------------------------------------------------


VERSION = ".".join(torch.__version__.split(".")[:2])


def listing() -> str:
    def shown(each: inspect.Parameter) -> str:
        return str(each.replace(annotation=each.empty))

    def signature(layer: layers.Layer) -> str:
        parts, keywords = [], False
        for each in layer.signature.values():
            if each.kind is each.KEYWORD_ONLY and not keywords:
                keywords = True
                parts.append("*")
            parts.append(shown(each))
        return f"{layer.name}({', '.join(parts)})"

    def function(each: Function) -> str:
        limit = f"/{each.positional}" if each.positional is not None else ""
        return each.name + limit + " creates" * each.creates + " number" * each.number

    def method(name: str) -> str:
        return name if METHODS[name] is None else f"{name}/{METHODS[name]}"

    sections = {
        "layers": map(signature, LAYERS.values()),
        "not layers": (f"{name}: {why}" for name, why in layers.EXCLUDED.items()),
        "functions": map(function, FUNCTIONS.values()),
        "methods": map(method, METHODS),
        "attributes": ATTRIBUTES,
        "dtypes": DTYPES,
        "refused keywords": FORBIDDEN_KEYWORDS,
    }
    head = f"The catalog with torch {VERSION}\n\n"
    return head + "\n".join("\n".join([f"# {title}", *sorted(lines), ""]) for title, lines in sections.items())


def test_the_catalog_is_the_frozen_listing() -> None:
    found = listing()
    if os.environ.get("MODELZOO_GOLDEN"):
        GOLDEN.write_text(found)
    golden = GOLDEN.read_text()
    if found.splitlines()[0] != golden.splitlines()[0]:
        pytest.skip(f"arguments differ between versions of torch: {golden.splitlines()[0]!r}, and here is {VERSION}")
    how = "regenerate with: MODELZOO_GOLDEN=1 python -m pytest tests/catalog/test_catalog.py"
    assert found == golden, how


def test_every_class_of_torch_nn_is_in_the_catalog_or_excluded_with_a_reason() -> None:
    classes = {name for name, value in vars(nn).items() if inspect.isclass(value)}
    assert classes - LAYERS.keys() - layers.EXCLUDED.keys() == set()


def test_nothing_is_both_in_the_catalog_and_excluded() -> None:
    assert LAYERS.keys() & layers.EXCLUDED.keys() == set()


def test_every_layer_of_the_catalog_is_a_class_of_modules() -> None:
    assert [layer.name for layer in LAYERS.values() if not issubclass(layer.cls, nn.Module)] == []


@pytest.mark.parametrize("table", [LAYERS, layers.EXCLUDED, FUNCTIONS, METHODS, DTYPES, catalog.ARGUMENTS])
def test_a_table_cannot_be_changed(table: Any) -> None:
    with pytest.raises(TypeError, match="does not support item assignment"):
        table["Linear"] = None


@pytest.mark.parametrize("name", ["Linear", "torch.nn.Linear", "torch.nn.modules.linear.Linear"])
def test_a_layer_has_three_names(name: str) -> None:
    assert layer_named(name).cls is nn.Linear


@pytest.mark.parametrize(
    "name",
    [
        "",
        "torch.nn.functional.importlib",
        "torch.nn.Module",
        "torch.nn.modules.module.Module",
        "torch.load",
        "os.system",
        "DataParallel",
        "LazyLinear",
        "torch.nn.parallel.DataParallel",
        "torch.nn.utils.parametrize.ParametrizationList",
        "torch.nn.Linear.__init__",
        "L\u0456near",  # a Cyrillic letter
        " Linear",
        "linear",
    ],
)
def test_what_is_not_listed_does_not_exist(name: str) -> None:
    assert find_layer(name) is None


def test_a_lookup_imports_nothing() -> None:
    before = set(sys.modules)
    for name in ("Linear", "antigravity.x", "torch.utils.collect_env.run", "torch.nn.Linaer"):
        find_layer(name)
    assert set(sys.modules) - before == set()


def test_importing_the_catalog_imports_nothing_that_torch_has_not() -> None:
    program = (
        "import sys, torch, importlib.metadata; before = set(sys.modules); import modelzoo.catalog.arguments;"
        "print(*sorted(name for name in set(sys.modules) - before if name.split('.')[0] != 'modelzoo'))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


# --- arguments of layers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
def test_every_argument_has_a_check_and_the_defaults_of_torch_pass(layer: layers.Layer) -> None:
    for argument in layer.signature.values():
        check = catalog.check_of(layer, argument.name)
        if argument.default is not argument.empty and argument.name != "modules":
            assert check.fits(argument.default), argument


def test_every_check_is_used() -> None:
    used = {argument for layer in LAYERS.values() for argument in layer.signature}
    assert catalog.ARGUMENTS.keys() - used == set()
    everywhere = {(layer.name, argument) for layer in LAYERS.values() for argument in layer.signature}
    assert catalog.EXCEPTIONS.keys() - everywhere == set()
    for names, arguments, _, _ in catalog.RELATIONS:
        for name in names.split():
            assert set(arguments.split()) <= set(LAYERS[name].signature), name


@pytest.mark.parametrize("layer", PLAIN_LAYERS, ids=lambda layer: layer.name)
def test_torch_takes_every_argument_that_the_catalog_offers(layer: layers.Layer) -> None:
    required = given_at_least(layer.name)
    assert problem_with_all(layer, required) == []
    defaults = {each.name: each.default for each in layer.signature.values() if each.default is not each.empty}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layer.cls(**(defaults | required))


@pytest.mark.parametrize("layer", PLAIN_LAYERS, ids=lambda layer: layer.name)
def test_a_position_means_the_same_argument_as_in_torch(layer: layers.Layer) -> None:
    arguments = {each.name: each.default for each in layer.signature.values() if each.kind is not each.KEYWORD_ONLY}
    arguments |= {name: value for name, value in given_at_least(layer.name).items() if name in arguments}
    keywords = {name: value for name, value in given_at_least(layer.name).items() if name not in arguments}

    def facts(module: nn.Module) -> dict[str, str]:
        return {name: str(value) for name, value in vars(module).items() if name[0] != "_"} | {"": repr(module)}

    torch.manual_seed(0)
    by_name = layer.cls(**arguments, **keywords)
    torch.manual_seed(0)
    by_position = layer.cls(*arguments.values(), **keywords)
    assert facts(by_position) == facts(by_name)


WITHHELD = {
    "BatchNorm1d": ["device", "dtype"],
    "BCELoss": ["weight", "size_average", "reduce"],
    "Embedding": ["_weight", "_freeze", "device", "dtype"],
    "FractionalMaxPool2d": ["_random_samples"],
    "Hardtanh": ["min_value", "max_value"],
    "Transformer": ["custom_encoder", "custom_decoder", "device", "dtype"],
}


@pytest.mark.parametrize("name", WITHHELD)
def test_devices_tensors_callables_and_private_arguments_are_withheld(name: str) -> None:
    torchs = list(inspect.signature(getattr(nn, name)).parameters)
    assert [each for each in torchs if each not in LAYERS[name].signature] == WITHHELD[name]


def test_no_layer_takes_a_device_a_dtype_or_something_private() -> None:
    for layer in LAYERS.values():
        assert [each for each in layer.signature if each in ("device", "dtype") or each.startswith("_")] == []


def test_an_argument_behind_a_withheld_one_is_given_by_name() -> None:
    kinds = {name: each.kind for name, each in LAYERS["BatchNorm2d"].signature.items()}
    assert kinds["track_running_stats"] is inspect.Parameter.POSITIONAL_OR_KEYWORD
    assert kinds["bias"] is inspect.Parameter.KEYWORD_ONLY


def test_an_rnn_has_its_nonlinearity_where_torch_has_it() -> None:
    assert list(LAYERS["RNN"].signature)[:5] == ["input_size", "hidden_size", "num_layers", "nonlinearity", "bias"]
    module = nn.RNN(4, 3, 1, "relu", False)
    assert (module.nonlinearity, module.bias) == ("relu", False)


def test_an_activation_is_a_text() -> None:
    assert LAYERS["TransformerEncoderLayer"].signature["activation"].default == "relu"
    assert problem_with(LAYERS["TransformerEncoderLayer"], "activation", "gelu") is None
    assert problem_with(LAYERS["TransformerEncoderLayer"], "activation", nn.functional.gelu) is not None


BAD = [
    ("Linear", "in_features", -3, "must be a positive integer, not -3"),
    ("Linear", "in_features", 0, "must be a positive integer, not 0"),
    ("Linear", "in_features", True, "must be a positive integer, not true"),
    ("Linear", "in_features", 2.0, "must be a positive integer, not 2.0"),
    ("Linear", "in_features", "2", "must be a positive integer, not '2'"),
    ("Linear", "in_features", None, "must be a positive integer, not null"),
    ("Linear", "in_features", [2], "must be a positive integer, not [2]"),
    ("Linear", "in_features", 2**48 + 1, "must be at most 281474976710656, not 281474976710657"),
    ("Linear", "bias", "no", "must be true or false, not 'no'"),
    ("Linear", "bias", 1, "must be true or false, not 1"),
    ("Linear", "bias", None, "must be true or false, not null"),
    ("Dropout", "p", math.nan, "must be a number from 0 to 1, not nan"),
    ("Dropout", "p", 1.5, "must be a number from 0 to 1, not 1.5"),
    ("Dropout", "p", True, "must be a number from 0 to 1, not true"),
    ("Conv2d", "kernel_size", 0, "must be a positive integer or a list of 2, not 0"),
    ("Conv2d", "kernel_size", [3], "must be a positive integer or a list of 2, not [3]"),
    ("Conv2d", "kernel_size", (3, True), "must be a positive integer or a list of 2, not [3, true]"),
    ("Conv2d", "stride", 0, "must be a positive integer or a list of 2, not 0"),
    ("Conv2d", "padding", "all", "must be an integer from 0 or a list of 2 or one of 'same', 'valid'; not 'all'"),
    ("Conv2d", "padding", -1, "must be an integer from 0 or a list of 2 or one of 'same', 'valid'; not -1"),
    ("ConvTranspose2d", "padding", "same", "must be an integer from 0 or a list of 2, not 'same'"),
    ("Conv2d", "groups", 0, "must be a positive integer, not 0"),
    (
        "Conv2d",
        "padding_mode",
        "x",
        "must be one of 'zeros', 'reflect', 'replicate', 'circular'; not 'x'",
    ),
    ("ConvTranspose2d", "padding_mode", "reflect", "must be one of 'zeros'; not 'reflect'"),
    ("ConstantPad2d", "value", math.inf, "must be a finite number, not inf"),
    ("ConstantPad2d", "value", 10**400, "must be a finite number, not an integer of 1329 bits"),
    ("ConstantPad2d", "padding", [1, 1], "must be an integer or a list of 4, not [1, 1]"),
    ("LayerNorm", "eps", -1e-5, "must be a number from 0, not -1e-05"),
    ("LayerNorm", "normalized_shape", [], "must be a positive integer or a list of them, not []"),
    ("LSTM", "num_layers", 100_000_000, "must be an integer from 1 to 1000, not 100000000"),
    ("Transformer", "num_encoder_layers", 1_001, "must be an integer from 1 to 1000, not 1001"),
    ("LPPool2d", "norm_type", 0, "must be a positive number, not 0"),
    ("Embedding", "max_norm", 1.0, "must be left out (it changes the weight in every forward), not 1.0"),
    ("Unflatten", "unflattened_size", 4, "must be a list, each an integer from -1, not 4"),
    ("TransformerEncoder", "encoder_layer", "x", "must be a layer, not 'x'"),
    ("FractionalMaxPool2d", "output_ratio", 0, "must be a number between 0 and 1 or a list of 2 or null, not 0"),
    ("AdaptiveAvgPool1d", "output_size", [None], "must be a positive integer or a list of 1, not [null]"),
    ("FractionalMaxPool2d", "output_ratio", 1, "must be a number between 0 and 1 or a list of 2 or null, not 1"),
    ("MSELoss", "reduction", "all", "must be one of 'none', 'mean', 'sum'; not 'all'"),
    ("GELU", "approximate", "x" * 1000, f"must be one of 'none', 'tanh'; not '{'x' * 59}..."),
]


@pytest.mark.parametrize(("name", "argument", "value", "problem"), BAD)
def test_a_bad_value_is_refused_in_a_sentence(name: str, argument: str, value: object, problem: str) -> None:
    assert problem_with(LAYERS[name], argument, value) == problem


def test_an_integer_that_python_does_not_print_is_described() -> None:
    found = problem_with(LAYERS["Linear"], "in_features", 10**5000)
    assert found == "must be at most 281474976710656, not an integer of 16610 bits"


@pytest.mark.parametrize("value", [True, -7, math.nan, math.inf, "no", [], {}, 10**400, object()])
def test_no_argument_of_a_plain_layer_takes_every_kind_of_value(value: object) -> None:
    """Each of these values is wrong for nearly all arguments; those that take it are known."""
    takes = {
        (layer.name, argument)
        for layer in PLAIN_LAYERS
        for argument in layer.signature
        if problem_with(layer, argument, value) is None
    }
    flags = {key for key in takes if catalog.check_of(LAYERS[key[0]], key[1]).fits(False)}
    numbers = {key for key in takes if catalog.check_of(LAYERS[key[0]], key[1]).fits(-8)}
    assert takes - flags - numbers == ({("LinearCrossEntropyLoss", "out_features")} if value == [] else set())
    assert type(value) is bool or not flags
    assert value == -7 or not numbers


GOOD = [
    ("Conv2d", "kernel_size", [3, 5]),
    ("Conv2d", "kernel_size", (3, 5)),
    ("Conv2d", "padding", "same"),
    ("Conv2d", "padding", [0, 1]),
    ("MaxPool2d", "stride", None),
    ("AdaptiveAvgPool2d", "output_size", (None, 7)),
    ("AdaptiveMaxPool1d", "output_size", [7]),
    ("KLDivLoss", "reduction", "batchmean"),
    ("BatchNorm2d", "momentum", None),
    ("LayerNorm", "normalized_shape", [8, 8]),
    ("Dropout", "p", 0),
    ("ReLU", "inplace", True),
    ("ZeroPad2d", "padding", (-1, 1, 0, 0)),
    ("Embedding", "padding_idx", -1),
    ("Embedding", "max_norm", None),
    ("MultiheadAttention", "kdim", None),
    ("Softmax", "dim", -1),
]


@pytest.mark.parametrize(("name", "argument", "value"), GOOD)
def test_a_good_value_passes_and_torch_takes_it(name: str, argument: str, value: object) -> None:
    assert problem_with(LAYERS[name], argument, value) is None
    LAYERS[name].cls(**(given_at_least(name) | {argument: value}))


X4 = torch.zeros(1, 4, 8, 8)
TOGETHER: list[tuple[str, dict[str, Any], str, str, list[torch.Tensor]]] = [
    (
        "Conv2d",
        {"in_channels": 6, "out_channels": 8, "kernel_size": 3, "groups": 4},
        "groups",
        "must divide in_channels=6, but is 4",
        [],
    ),
    (
        "ConvTranspose2d",
        {"in_channels": 8, "out_channels": 6, "kernel_size": 3, "groups": 4},
        "groups",
        "must divide out_channels=6, but is 4",
        [],
    ),
    (
        "Conv2d",
        {"in_channels": 4, "out_channels": 4, "kernel_size": 3, "padding": "same", "stride": 2},
        "padding",
        "must be a number where stride=2, not 'same'",
        [],
    ),
    (
        "ConvTranspose2d",
        {"in_channels": 4, "out_channels": 4, "kernel_size": 3, "output_padding": 2, "stride": 2},
        "output_padding",
        "must be smaller than stride=2 or dilation=1, but is 2",
        [X4],
    ),
    (
        "MaxPool2d",
        {"kernel_size": 3, "padding": [1, 2]},
        "padding",
        "must be at most half of kernel_size=3, but is [1, 2]",
        [X4],
    ),
    ("Upsample", {}, "size", "or scale_factor must be given, and not both", [X4]),
    ("FractionalMaxPool2d", {"kernel_size": 2}, "output_size", "or output_ratio must be given, and not both", []),
    ("GroupNorm", {"num_groups": 3, "num_channels": 4}, "num_groups", "must divide num_channels=4, but is 3", []),
    ("MultiheadAttention", {"embed_dim": 10, "num_heads": 3}, "num_heads", "must divide embed_dim=10, but is 3", []),
    ("TransformerEncoderLayer", {"d_model": 10, "nhead": 3}, "nhead", "must divide d_model=10, but is 3", []),
    ("Transformer", {"d_model": 10}, "nhead", "must divide d_model=10, but is 8", []),
    (
        "LSTM",
        {"input_size": 2, "hidden_size": 4, "proj_size": 4},
        "proj_size",
        "must be smaller than hidden_size=4, but is 4",
        [],
    ),
    (
        "Embedding",
        {"num_embeddings": 4, "embedding_dim": 2, "padding_idx": 4},
        "padding_idx",
        "must be an index below num_embeddings=4, not 4",
        [],
    ),
    ("Hardtanh", {"min_val": 2}, "min_val", "must be smaller than max_val=1.0, but is 2", []),
    ("RReLU", {"lower": 2}, "lower", "must be at most upper=0.3333333333333333, but is 2", [X4]),
    (
        "AdaptiveLogSoftmaxWithLoss",
        {"in_features": 4, "n_classes": 5, "cutoffs": [3, 2]},
        "cutoffs",
        "must increase and stay below n_classes=5, but is [3, 2]",
        [],
    ),
    (
        "Unflatten",
        {"dim": 1, "unflattened_size": (-1, -1)},
        "unflattened_size",
        "must hold positive integers and at most one -1, but is [-1, -1]",
        [X4],
    ),
]


@pytest.mark.parametrize(("name", "arguments", "argument", "problem", "inputs"), TOGETHER)
def test_arguments_that_do_not_go_together_are_named_and_torch_refuses_them_too(
    name: str, arguments: dict[str, Any], argument: str, problem: str, inputs: list[torch.Tensor]
) -> None:
    assert problem_with_all(LAYERS[name], arguments) == [(argument, problem)]
    with pytest.raises((ValueError, RuntimeError, AssertionError, TypeError)):
        LAYERS[name].cls(**arguments)(*inputs)


def test_every_relation_has_an_example() -> None:
    shown = {(name, argument) for name, _, argument, _, _ in TOGETHER}
    missing = [
        arguments
        for names, arguments, _, _ in catalog.RELATIONS
        if not any((name, arguments.split()[0]) in shown for name in names.split())
    ]
    assert missing == []


def test_a_wrong_argument_is_not_blamed_twice() -> None:
    found = problem_with_all(LAYERS["GroupNorm"], {"num_groups": 0, "num_channels": 4})
    assert found == [("num_groups", "must be a positive integer, not 0")]


def test_a_size_that_is_left_out_is_not_judged() -> None:
    assert problem_with_all(LAYERS["GroupNorm"], {"num_groups": 3}) == []


def test_an_unknown_argument_is_the_callers_mistake() -> None:
    with pytest.raises(KeyError, match="in_feature"):
        problem_with(LAYERS["Linear"], "in_feature", 2)


def test_an_identity_takes_what_it_is_given_as_in_torch() -> None:
    assert problem_with_all(LAYERS["Identity"], {"in_features": 3}) == []


@pytest.mark.parametrize(
    ("name", "argument", "takes"),
    [
        ("Sequential", "args", True),
        ("ModuleList", "modules", True),
        ("ModuleDict", "modules", True),
        ("TransformerEncoder", "encoder_layer", True),
        ("TransformerDecoder", "norm", True),
        ("TransformerDecoder", "num_layers", False),
        ("Linear", "bias", False),
    ],
)
def test_it_is_known_which_arguments_are_layers(name: str, argument: str, takes: bool) -> None:
    assert catalog.takes_layer(LAYERS[name], argument) is takes


# --- functions and methods -----------------------------------------------------------------------------------------

CALLS = """
abs(x) max(x) min(x) round(x) sum(x) ceil(x) cos(x) exp(x) floor(x) log(x) log2(x) prod(x) sin(x) sqrt(x) tan(x)
bool(n) float(n) int(n) len(x) arange(3) eye(2) full((2,),1.0) linspace(0,1,3) ones(2) rand(2) randint(0,3,(2,))
randn(2) randperm(3) tensor([1,2]) tril_indices(2,2) triu_indices(2,2) zeros(2) full_like(x,1.0) ones_like(x)
rand_like(x) randn_like(x) zeros_like(x) broadcast_to(v,(2,4)) cat([x,y]) chunk(x,2) diag(v) diag_embed(x)
diagonal(x) flatten(x) flip(x,(0,)) meshgrid(v,v,indexing='ij') movedim(x,0,1) narrow(x,0,0,1) permute(x,(1,0))
repeat_interleave(x,2) reshape(x,(2,8)) roll(x,1) split(x,2) squeeze(x) stack([x,y]) tile(x,(2,))
transpose(x,0,1) tril(x) triu(x) unbind(x) unflatten(x,0,(2,2)) unsqueeze(x,0) view_as_complex(x.view(4,2,2))
view_as_real(polar(x,y)) argmax(x) argmin(x) argsort(x) gather(x,0,i) index_add(x,0,k,y) index_select(x,0,k)
masked_fill(x,m,0.0) masked_select(x,m) multinomial(x,2) bernoulli(x) nonzero(x) scatter(x,0,i,y)
scatter_add(x,0,i,y) sort(x) take_along_dim(x,i,0) topk(x,2) where(m,x,y) addmm(x,x,y) baddbmm(b,b,b) bmm(b,b)
cdist(x,y) cross(c,c,1) dot(v,v) einsum('ij,jk->ik',x,y) kron(x,y) matmul(x,y) mm(x,y) mv(x,v) outer(v,v)
tensordot(x,y,1) acos(x) asin(x) atan(x) atan2(x,y) clamp(x,0,1) cosh(x) erf(x) expm1(x) fmod(x,2) isfinite(x)
isinf(x) isnan(x) lerp(x,y,0.5) log10(x) log1p(x) logaddexp(x,y) logical_and(m,m) logical_not(m) logical_or(m,m)
logical_xor(m,m) maximum(x,y) minimum(x,y) nan_to_num(x) polar(x,y) pow(x,2) reciprocal(x) remainder(x,2)
rsqrt(x) sigmoid(x) sign(x) sinh(x) square(x) tanh(x) trunc(x) all(m) amax(x) amin(x) any(m) bincount(k)
count_nonzero(x) cummax(x,0) cumprod(x,0) cumsum(x,0) logsumexp(x,0) mean(x) median(x) norm(x) std(x) var(x)
celu(x) elu(x) gelu(x) glu(x) gumbel_softmax(x) hardsigmoid(x) hardswish(x) hardtanh(x) leaky_relu(x)
log_softmax(x,0) logsigmoid(x) mish(x) prelu(x,v) relu(x) relu6(x) selu(x) silu(x) softmax(x,0) softplus(x)
softsign(x) tanhshrink(x) threshold(x,0.1,1.0) alpha_dropout(x,0.5,True) dropout(x,0.5,True)
dropout1d(b,0.5,True) dropout2d(p2,0.5,True) dropout3d(p3,0.5,True) group_norm(b,2) layer_norm(x,(4,))
local_response_norm(b,2) normalize(x) rms_norm(x,(4,)) bilinear(x,y,b) embedding(k,x) linear(x,y,v) one_hot(k)
scaled_dot_product_attention(b,b,b) conv1d(b,b) conv2d(p2,p2) conv3d(p3,p3) conv_transpose1d(b,b)
conv_transpose2d(p2,p2) conv_transpose3d(p3,p3) fold(b,(3,3),(2,2)) unfold(p2,(2,2)) adaptive_avg_pool1d(b,2)
adaptive_avg_pool2d(p2,2) adaptive_avg_pool3d(p3,2) adaptive_max_pool1d(b,2) adaptive_max_pool2d(p2,2)
adaptive_max_pool3d(p3,2) avg_pool1d(b,2) avg_pool2d(p2,2) avg_pool3d(p3,2) max_pool1d(b,2) max_pool2d(p2,2)
max_pool3d(p3,2) affine_grid(a,(1,1,2,2),False) channel_shuffle(p2,2) grid_sample(p2,g,align_corners=False)
interpolate(p2,scale_factor=2) pad(x,(1,1)) pixel_shuffle(p2,2) pixel_unshuffle(p2,2) binary_cross_entropy(x,y)
binary_cross_entropy_with_logits(x,y) cosine_similarity(x,y) cross_entropy(x,k) huber_loss(x,y)
kl_div(x,y,reduction='batchmean') l1_loss(x,y) mse_loss(x,y) nll_loss(x,k) pairwise_distance(x,y)
smooth_l1_loss(x,y) fft(x) fft2(x) fftn(x) ifft(x) ifft2(x) ifftn(x) rfft(x) rfft2(x) rfftn(x) irfft(x) irfft2(x)
irfftn(x) fftshift(x) ifftshift(x) fftfreq(4) rfftfreq(4) complex(x,y) angle(x) conj(x) searchsorted(v,x)
bucketize(x,v) addcmul(x,y,y) diff(x) tensor_split(x,2)
"""

METHOD_CALLS = """
chunk(2) contiguous() diagonal() expand(4,4) expand_as(y) flatten() flip(0) gather(0,i) index_select(0,k)
movedim(0,1) narrow(0,0,1) permute(1,0) repeat(2,1) repeat_interleave(2) reshape(2,8) reshape_as(y) roll(1)
select(0,1) split(2) squeeze() t() transpose(0,1) tril() triu() unbind() unflatten(0,(2,2)) unfold(0,2,1)
unsqueeze(0) view(2,8) view_as(y) all() amax() amin() any() argmax() argmin() argsort() cumprod(0) cumsum(0)
logsumexp(0) max() mean() median() min() norm() prod() softmax(0) log_softmax(0) sort() std() sum() topk(2)
var() abs() clamp(0,1) cos() exp() floor() ceil() isfinite() isinf() isnan() log() masked_fill(m,0)
masked_select(m) maximum(y) minimum(y) neg() nonzero() pow(2) reciprocal() relu() round() rsqrt() scatter(0,i,y)
scatter_add(0,i,y) sigmoid() sign() sin() sqrt() square() tanh() eq(y) ge(y) gt(y) le(y) logical_and(m)
logical_not() logical_or(m) lt(y) ne(y) add(y) div(y) matmul(y) mm(y) mul(y) sub(y) bfloat16() bool() double()
float() half() int() long() type_as(y) to(y) clone() detach() new_full((2,),1.0) new_ones(2) new_zeros(2) dim()
is_complex() is_floating_point() numel() size() angle() conj() index_add(0,k,y)
"""


def samples() -> dict[str, Any]:
    """Tensors of all kinds; each holds numbers between 0 and 1, or indices below 4."""
    torch.manual_seed(0)
    return {
        "n": torch.tensor(1.0),
        "v": torch.rand(4),
        "x": torch.rand(4, 4),
        "y": torch.rand(4, 4),
        "b": torch.rand(4, 4, 4),
        "c": torch.rand(2, 3),
        "a": torch.rand(1, 2, 3),
        "p2": torch.rand(4, 4, 4, 4),
        "p3": torch.rand(4, 4, 4, 4, 4),
        "g": torch.rand(4, 2, 2, 2),
        "i": torch.randint(4, (4, 4)),
        "k": torch.arange(4),
        "m": torch.rand(4, 4) > 0.5,
    }


def run_and_compare(call: str, functions: dict[str, Any]) -> None:
    """Runs a call twice on tensors that need gradients as a trap for in-place changes, and looks at them after."""
    values, before = samples(), samples()
    eval(call, {**functions, **values})
    for name, value in values.items():
        assert torch.equal(value, before[name]), name
        assert value._version == 0, name


def name_of(call: str) -> str:
    return call.partition("(")[0]


def test_every_function_and_method_has_a_sample_call() -> None:
    assert {name_of(call) for call in CALLS.split()} == set(FUNCTIONS)
    not_on_matrices = {"item", "dot", "bmm"}
    assert {name_of(call) for call in METHOD_CALLS.split()} == set(METHODS) - not_on_matrices


@pytest.mark.parametrize("call", CALLS.split())
def test_a_function_changes_none_of_its_arguments(call: str) -> None:
    run_and_compare(call, {name: function.call for name, function in FUNCTIONS.items()})


@pytest.mark.parametrize("call", [*(f"x.{call}" for call in METHOD_CALLS.split()), "n.item()", "v.dot(v)", "b.bmm(b)"])
def test_a_method_changes_none_of_its_arguments(call: str) -> None:
    run_and_compare(call, {})


@pytest.mark.parametrize("name", sorted({*FUNCTIONS, *METHODS} - {"to"}))
def test_the_operators_of_torch_behind_a_name_write_only_to_out(name: str) -> None:
    named = [name, f"fft_{name}"]
    for schema in [one for each in named for one in torch._C._jit_get_schemas_for_operator(f"aten::{each}")]:
        first = schema.arguments[:1]
        if any(each.name == "self" and str(each.type).startswith("List[") for each in first):
            continue  # a method of TorchScript's own lists
        written = [each.name for each in schema.arguments if each.alias_info is not None and each.alias_info.is_write]
        placed = [each.name for each in schema.arguments if not each.kwarg_only]
        assert not {*written, *FORBIDDEN_KEYWORDS} & {*placed}, schema


PYTHON_FUNCTIONS = [each for each in FUNCTIONS.values() if inspect.isfunction(each.call)]


@pytest.mark.parametrize("function", PYTHON_FUNCTIONS, ids=lambda each: each.name)
def test_no_position_reaches_a_refused_argument(function: Function) -> None:
    parameters = inspect.signature(function.call).parameters.values()
    positional = [each.name for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD][: function.positional]
    refused = FORBIDDEN_KEYWORDS | {"size_average", "_stacklevel", "_random_samples"}
    assert [each for each in positional if each in refused] == []


@pytest.mark.parametrize("name", ["relu", "dropout", "normalize", "embedding", "tensordot", "norm"])
def test_a_position_further_would_reach_a_refused_argument(name: str) -> None:
    limit = FUNCTIONS[name].positional
    assert limit is not None
    parameters = list(inspect.signature(FUNCTIONS[name].call).parameters)
    assert parameters[limit] in FORBIDDEN_KEYWORDS


@pytest.mark.parametrize("function", [each for each in FUNCTIONS.values() if each.creates], ids=lambda each: each.name)
def test_a_function_that_creates_takes_a_device(function: Function) -> None:
    call = next(each for each in CALLS.split() if name_of(each) == function.name)
    made = eval(f"{call[:-1]}, device='meta')", {function.name: function.call})
    assert made.device.type == "meta"


def test_a_function_that_does_not_create_makes_its_result_where_its_argument_is() -> None:
    for name in ("full_like", "ones_like", "rand_like", "randn_like", "zeros_like"):
        arguments = [torch.zeros(2, device="meta"), *[1.0] * (name == "full_like")]
        assert FUNCTIONS[name].call(*arguments).device.type == "meta"


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("abs", (-2,)),
        ("ceil", (1.5,)),
        ("cos", (0.5,)),
        ("exp", (0.5,)),
        ("floor", (-1.5,)),
        ("log", (8, 2)),
        ("log2", (8,)),
        ("max", (1, 2, 3)),
        ("max", ([1, 2],)),
        ("min", (1, 2)),
        ("prod", ([2, 3],)),
        ("round", (2.567, 1)),
        ("round", (2.5,)),
        ("sin", (0.5,)),
        ("sqrt", (2,)),
        ("sum", ([1, 2],)),
        ("tan", (0.5,)),
    ],
)
def test_a_function_of_numbers_is_pythons(name: str, numbers: tuple[Any, ...]) -> None:
    pythons = getattr(builtins, name, None) or getattr(math, name)
    found = FUNCTIONS[name].call(*numbers)
    assert (found, type(found)) == (pythons(*numbers), type(pythons(*numbers)))


@pytest.mark.parametrize(
    "name",
    ["abs", "ceil", "cos", "exp", "floor", "log", "log2", "max", "min", "prod", "round", "sin", "sqrt", "sum", "tan"],
)
def test_a_function_of_a_tensor_is_torchs(name: str) -> None:
    x = torch.tensor([[0.2, 2.5], [3.5, 0.7]])
    assert torch.equal(FUNCTIONS[name].call(x), getattr(torch, name)(x))


def test_a_dimension_is_for_tensors() -> None:
    assert torch.equal(FUNCTIONS["sum"].call(torch.ones(2, 3), dim=1), torch.tensor([3.0, 3.0]))
    with pytest.raises(TypeError, match=r"^max\(\) of numbers takes no argument 'key'$"):
        FUNCTIONS["max"].call([1, 2], key=abs)


@pytest.mark.parametrize(
    "name",
    [
        "batch_norm",
        "instance_norm",
        "as_strided",
        "empty",
        "from_file",
        "load",
        "save",
        "compile",
        "vmap",
        "map",
        "apply",
        "relu_",
        "set_",
        "resize",
    ],
)
def test_what_changes_loads_or_calls_is_no_function(name: str) -> None:
    assert find_function(name) is None


@pytest.mark.parametrize(
    "name",
    [
        "zero_",
        "data",
        "numpy",
        "tolist",
        "apply_",
        "map_",
        "register_hook",
        "backward",
        "requires_grad_",
        "set_",
        "resize",
        "resize_",
        "cpu",
        "cuda",
        "share_memory_",
        "storage",
        "untyped_storage",
        "as_strided",
        "__class__",
        "__dict__",
        "grad",
        "grad_fn",
        "device",
        "type",
        "data_ptr",
        "index_put_",
    ],
)
def test_what_changes_or_moves_a_tensor_is_no_method_and_no_attribute(name: str) -> None:
    assert name not in {*METHODS, *ATTRIBUTES}


def test_no_method_has_the_name_of_a_change() -> None:
    assert [name for name in METHODS if name.startswith("_") or name.endswith("_")] == []


def test_the_methods_that_layers_have_too_are_the_known_five() -> None:
    shared = {name for layer in LAYERS.values() for name in METHODS if callable(getattr(layer.cls, name, None))}
    assert shared == {"bfloat16", "double", "float", "half", "to"}


def test_every_method_is_one_and_no_attribute_is_callable() -> None:
    x = torch.zeros(2, 2, dtype=torch.complex64)
    assert all(callable(getattr(x, name)) for name in METHODS)
    assert not any(callable(getattr(x, name)) for name in ATTRIBUTES)


def test_a_dtype_is_named_as_torch_names_it() -> None:
    assert {str(dtype) for dtype in DTYPES.values()} == {f"torch.{name}" for name in DTYPES}


# --- a user's own --------------------------------------------------------------------------------------------------


class TestRegistering:
    def test_a_registered_layer_is_found_by_its_name(self) -> None:
        @layers.register_layer
        class Scale(nn.Module):
            def __init__(self, dim: int, device: Any = None, bias: bool = True) -> None:
                super().__init__()

        layer = layer_named("Scale")
        assert layer.cls is Scale
        assert layer.registered
        assert list(layer.signature) == ["dim", "bias"]
        assert layers.layer_names()[-1] == "Scale"
        assert problem_with_all(layer, {"dim": "wide"}) == [("dim", "must be an integer, not 'wide'")]

    def test_a_layer_may_be_registered_under_another_name(self) -> None:
        layers.register_layer(nn.Linear, name="Dense")
        assert list(layer_named("Dense").signature) == ["in_features", "out_features", "bias"]

    def test_a_registered_layer_without_a_constructor_takes_no_arguments(self) -> None:
        @layers.register_layer
        class Plain(nn.Module):
            pass

        assert dict(layer_named("Plain").signature) == {}

    def test_a_registered_function_is_found_by_its_name(self) -> None:
        @register_function(number=True)
        def double(x: float) -> float:
            return 2 * x

        function = find_function("double")
        assert function == Function(name="double", call=double, number=True)
        assert function_names()[-1] == "double"

    @pytest.mark.parametrize("name", ["Linear", "Sequential"])
    def test_a_layer_name_of_torch_is_taken(self, name: str) -> None:
        with pytest.raises(ValueError, match=rf"^the name '{name}' is taken by another layer: write name=\.\.\.$"):
            layers.register_layer(nn.ReLU, name=name)

    def test_a_name_is_taken_once(self) -> None:
        layers.register_layer(nn.ReLU, name="Mine")
        with pytest.raises(ValueError, match=r"^the name 'Mine' is taken by another layer: write name=\.\.\.$"):
            layers.register_layer(nn.ReLU, name="Mine")

    @pytest.mark.parametrize("name", ["relu", "range", "training", "len"])
    def test_a_function_name_of_the_language_is_taken(self, name: str) -> None:
        with pytest.raises(ValueError, match=rf"^the name '{name}' is taken by another function: write name=\.\.\.$"):
            register_function(torch.relu, name=name)

    @pytest.mark.parametrize("name", ["a.b", "1a", "a-b", "for", "L\u0456near", "a" * 65, "a\n"])
    def test_a_name_is_letters_digits_and_underscores(self, name: str) -> None:
        with pytest.raises(
            ValueError, match=r"^a layer needs a name of letters, digits and '_', at most 64 of them, not "
        ):
            layers.register_layer(nn.ReLU, name=name)

    @pytest.mark.parametrize("value", [3, torch.relu, nn.ReLU(), dict])
    def test_only_classes_of_modules_are_layers(self, value: Any) -> None:
        with pytest.raises(TypeError, match=r"^a layer is a class derived from torch\.nn\.Module, not "):
            layers.register_layer(value)

    def test_only_what_can_be_called_is_a_function(self) -> None:
        with pytest.raises(TypeError, match=r"^a function is something to call, not 3$"):
            register_function(3)  # type: ignore[call-overload]


class Entry:
    """An entry point of an installed package."""

    name, value = "example", "example.zoo:register"

    def __init__(self, call: Any) -> None:
        self.call = call

    def load(self) -> Any:
        return self.call


class TestEntryPoints:
    def install(self, monkeypatch: pytest.MonkeyPatch, call: Any) -> list[str]:
        asked: list[str] = []

        def entry_points(*, group: str) -> list[Entry]:
            asked.append(group)
            return [Entry(call)]

        monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)
        monkeypatch.setattr(registry, "_entry_points_loaded", False)
        return asked

    def test_a_name_that_is_not_found_loads_installed_packages_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        asked = self.install(monkeypatch, lambda: layers.register_layer(nn.ReLU, name="Installed"))
        assert (find_layer("Linear"), asked) == (LAYERS["Linear"], [])
        assert layer_named("Installed").cls is nn.ReLU
        assert asked == ["modelzoo"]
        assert find_layer("Nowhere") is None
        assert asked == ["modelzoo"]

    def test_a_path_never_loads_them(self, monkeypatch: pytest.MonkeyPatch) -> None:
        asked = self.install(monkeypatch, lambda: None)
        assert find_layer("os.system") is None
        assert asked == []

    def test_a_function_that_is_not_found_loads_them_too(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.install(monkeypatch, lambda: register_function(torch.relu, name="rectify"))
        assert find_function("rectify") is not None

    def test_one_that_fails_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.install(monkeypatch, lambda: 1 / 0)
        expected = "^the entry point 'example = example.zoo:register' of the group modelzoo failed: division by zero$"
        with pytest.raises(ImportError, match=expected) as caught:
            find_layer("Nowhere")
        assert isinstance(caught.value.__cause__, ZeroDivisionError)
