"""What an audit says of initialisations with planted faults: each with its tensor, its line and lines that show it."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

import modelzoo
from modelzoo.__main__ import main
from modelzoo.auditing.findings import KINDS, Finding


class Net(nn.Module):
    """A table with a row for padding, and a head; initialised well."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(6, 4, padding_idx=2)
        self.head = nn.Linear(4, 6)


class Forgotten(Net):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.empty(4))
        self.shift = nn.Parameter(torch.empty(4).fill_(0))


class Partly(Net):
    def __init__(self) -> None:
        super().__init__()
        gates = torch.empty(3, 4)
        gates[1].normal_()
        self.gates = nn.Parameter(gates)
        self.register_buffer("mask", torch.empty(4, dtype=torch.int64))


class Derived(Net):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.empty(4) * 2 + 1)


class Overwritten(Net):
    def __init__(self) -> None:
        super().__init__()
        for each in (self.embed.weight, self.head.weight):
            nn.init.normal_(each, std=0.02)


class Forget(nn.Module):
    """A bias whose second quarter is one, until the whole becomes zero."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(2, 3)
        with torch.no_grad():
            self.cell.bias_ih[3:6].fill_(1)
            self.cell.bias_ih.zero_()


class Own(Net):
    """Tensors of its own that no function writes anew."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.zeros(4))
        self.register_buffer("positions", torch.arange(6))


class Whole(Own):
    def init_weights(self) -> None:
        for each in self.parameters():
            nn.init.normal_(each)
        self.positions.copy_(torch.arange(6))


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(6, 4), nn.Linear(4, 6, bias=False)
        self.head.weight = nn.init.normal_(self.embed.weight)


class Projected(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("projection", torch.randn(3, 3).tril(), persistent=False)
        self.register_buffer("seeded", torch.randn(3, generator=torch.Generator().manual_seed(0)))


TOWER: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
SOUND: dict[str, Any] = {
    **TOWER,
    "conv_dim": [8],
    "conv_kernel": [3],
    "conv_stride": [2],
    "num_conv_pos_embedding_groups": 2,
}
SIZES: dict[str, dict[str, Any]] = {
    "Yolos": {**TOWER, "image_size": [16, 16], "patch_size": 8},
    "RegNet": {"embedding_size": 8, "hidden_sizes": [8, 8, 8, 8], "depths": [1, 1, 1, 1], "groups_width": 8},
    "Levit": {
        "hidden_sizes": [16, 16, 16],
        "num_attention_heads": [2, 2, 2],
        "depths": [1, 1, 1],
        "key_dim": [4, 4, 4],
    },
    "CLIP": {"text_config": {**TOWER, "vocab_size": 20}, "vision_config": {**TOWER, "image_size": 16, "patch_size": 8}},
    "Wav2Vec2": SOUND,
    "Hubert": SOUND,
}


def found(audit: modelzoo.Audit, *kinds: str) -> list[tuple[str, tuple[str, ...], str]]:
    return [(each.kind, each.tensors, each.owner) for each in audit.findings if not kinds or each.kind in kinds]


def line_of(code: Callable[..., Any], text: str) -> str:
    lines, first = inspect.getsourcelines(code)
    return f"test_audit.py:{first + next(place for place, line in enumerate(lines) if text in line)}"


@pytest.fixture
def fails() -> Iterator[Callable[..., bool]]:
    """Whether the lines of a finding fail, at an assertion."""
    before = torch.are_deterministic_algorithms_enabled()

    def check(finding: Finding, **names: Any) -> bool:
        assert 1 <= len(finding.reproduction) <= 3
        try:
            exec("\n".join(finding.reproduction), {"torch": torch, **names})
        except AssertionError:
            return True
        return False

    yield check
    torch.use_deterministic_algorithms(before)


FAULTS: dict[type[nn.Module], tuple[str, tuple[str, ...], str, str]] = {
    Forgotten: ("unwritten", ("scale",), "Forgotten", "torch.empty(4))"),
    Derived: ("unwritten", ("scale",), "Derived", "torch.empty(4) * 2"),
    Overwritten: ("lost", ("embed.weight",), "Embedding", "normal_"),
    Forget: ("lost", ("cell.bias_ih",), "LSTMCell", "zero_"),
    Own: ("meta", ("token",), "Own", "zeros(4)"),
    Tied: ("tie", ("embed.weight", "head.weight"), "Embedding", "normal_"),
    Projected: ("random", ("projection",), "Projected", "tril"),
}


@pytest.mark.parametrize("make", FAULTS, ids=lambda make: make.__name__)
def test_a_fault_is_named_with_its_tensor_class_and_line_and_shown(make: Any, fails: Any) -> None:
    kind, tensors, owner, text = FAULTS[make]
    [finding] = [each for each in modelzoo.audit(make).findings if each.kind == kind and each.tensors == tensors]
    assert (finding.owner, finding.where.rpartition("/")[2]) == (owner, line_of(make.__init__, text))
    assert fails(finding, make=make)


def test_what_is_drawn_and_overwritten_whole_is_named_with_both_lines(fails: Any) -> None:
    audit = modelzoo.audit(Overwritten)
    [embed, head] = [each for each in audit.findings if each.kind == "twice"]
    line = line_of(Overwritten.__init__, "normal_")
    assert (embed.tensors, head.tensors) == (("embed.weight",), ("head.weight",))
    assert head.what.startswith("'head.weight' of Linear is filled by torch/nn/modules/linear.py:")
    assert head.what.endswith(f"{line}.")
    assert fails(head, make=Overwritten)
    assert {each.name: each.writes for each in audit.tensors} == {"embed.weight": 2, "head.weight": 2, "head.bias": 1}


def test_a_row_of_padding_that_is_lost_is_told_so() -> None:
    [lost] = [each for each in modelzoo.audit(Overwritten).findings if each.kind == "lost"]
    line = line_of(Overwritten.__init__, "normal_")
    assert lost.what.startswith("row 2 of 'embed.weight' of Embedding is 0 by torch/nn/modules/sparse.py:")
    assert lost.what.endswith(f"{line} overwrites it with the whole.")
    assert lost.reproduction == ("part = make().get_parameter('embed.weight')[2]", "assert part.eq(0.0).all()")


def test_of_a_tensor_that_is_written_in_part_the_rest_is_counted(fails: Any) -> None:
    gates, mask = modelzoo.audit(Partly, meta=False).findings
    assert (gates.tensors, mask.tensors) == (("gates",), ("mask",))
    assert gates.what.endswith("is never written in 8 of 12 elements.")
    assert fails(gates, make=Partly)
    assert fails(mask, make=Partly)


@pytest.mark.parametrize(
    "make",
    [
        Net,
        Whole,
        lambda: nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.MultiheadAttention(2, 1)),
        lambda: nn.Embedding(3, 2, padding_idx=0).double(),
        lambda: nn.ParameterList([torch.full((2,), math.nan)]),
        nn.Identity,
    ],
)
def test_what_is_initialised_well_has_no_finding_but_of_time(make: Any) -> None:
    assert found(modelzoo.audit(make), *KINDS[:-1]) == []


def test_the_lines_of_a_finding_pass_once_it_is_repaired(fails: Any) -> None:
    class Repaired(Forgotten):
        def __init__(self) -> None:
            super().__init__()
            nn.init.ones_(self.scale)

    [scale] = modelzoo.audit(Forgotten, meta=False).findings
    assert not fails(scale, make=Repaired)


def test_a_module_gets_its_values_anew_as_a_copy(fails: Any) -> None:
    module = Own()
    before = [each.clone() for each in (*module.parameters(), *module.buffers())]
    token, positions = modelzoo.audit(module).findings
    assert (token.kind, token.tensors, positions.tensors) == ("meta", ("token",), ("positions",))
    assert token.what == "'token' of Own has values, and after to_empty() reset_parameters() does not."
    assert all(map(torch.equal, before, (*module.parameters(), *module.buffers())))
    assert fails(token, module=module)


def test_a_function_that_is_given_is_what_initialises(fails: Any) -> None:
    def init(module: nn.Module) -> None:
        nn.init.ones_(module.token)

    audit = modelzoo.audit(Own, init)
    assert found(audit, "meta") == [
        ("meta", ("embed.weight",), "Embedding"),
        ("meta", ("head.weight",), "Linear"),
        ("meta", ("head.bias",), "Linear"),
        ("meta", ("positions",), "Own"),
    ]
    assert all(fails(each, make=Own, init=init) for each in audit.findings if each.kind == "meta")


def test_what_cannot_be_made_on_meta_is_a_note() -> None:
    class Stepped(nn.Linear):
        def __init__(self) -> None:
            super().__init__(2, int(torch.ones(2).sum()))

    assert [each.partition(":")[0] for each in modelzoo.audit(Stepped).notes] == ["it cannot be made on meta"]


def test_a_module_that_is_handed_out_again_keeps_its_values() -> None:
    module = Own()
    audit = modelzoo.audit(lambda: module)
    assert audit.notes == ("what it makes shares tensors with what it made before, so it is not looked at on meta.",)
    assert module.token.eq(0).all()


def test_no_generator_of_random_numbers_changes() -> None:
    before = torch.get_rng_state()
    modelzoo.audit(Projected)
    assert torch.get_rng_state().equal(before)


def test_a_buffer_that_was_drawn_and_then_written_needs_no_other_module_to_compare_with() -> None:
    made = []

    def make() -> nn.Module:
        made.append(nn.BatchNorm1d(4))
        made[-1].running_mean.normal_().zero_()
        return made[-1]

    assert [each.kind for each in modelzoo.audit(make, meta=False).findings] == ["twice"]
    assert len(made) == 1


def test_what_is_laid_out_in_its_own_way_keeps_that_on_meta(fails: Any) -> None:
    class Last(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            image = torch.ones(2, 3, 4, 4).to(memory_format=torch.channels_last)
            self.register_buffer("image", image)
            self.register_buffer("less", torch.ones(3, dtype=torch.float16))

    seen = []
    findings = modelzoo.audit(Last, lambda module: seen.append(module.image)).findings
    assert seen[0].isnan().all()
    assert seen[0].is_contiguous(memory_format=torch.channels_last)
    assert [each.tensors for each in findings] == [("image",), ("less",)]
    assert all(fails(each, make=Last, init=lambda module: None) for each in findings)


def test_what_makes_no_module_is_told() -> None:
    with pytest.raises(TypeError, match=r"^audit takes what makes a module, and this makes a list\.$"):
        modelzoo.audit(list)
    with pytest.raises(TypeError, match=r"^audit takes a module or what makes one, not int\.$"):
        modelzoo.audit(1)
    with pytest.raises(modelzoo.ConfigError, match="have no size yet"):
        modelzoo.audit(lambda: nn.LazyLinear(2))


def test_no_name_is_obeyed_by_a_terminal() -> None:
    module = nn.ParameterDict({"a\x1b[2J\n": torch.ones(1)})
    assert str(modelzoo.audit(module)).count("\n") == 3
    assert "\x1b" not in str(modelzoo.audit(module))


# --- the command ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["torch.nn:Linear"], "missing 2 required positional arguments: 'in_features' and 'out_features'."),
        (["torch.nn:Identiti"], "torch.nn has no 'Identiti'. Did you mean 'Identity'?"),
        (["no.package:make"], "There is no module 'no'. Modules are found from this directory too."),
        (["torch.nn:Identity", "seed=1"], "Write a function that makes the module so, and name that."),
        (["identity"], "There is no config 'identity'."),
    ],
)
def test_what_cannot_be_audited_is_told_in_words(typed: list[str], said: str, capsys: Any) -> None:
    assert main(["audit", *typed]) == 1
    assert said in capsys.readouterr().err


def test_a_config_is_audited_as_it_is_built(capsys: Any) -> None:
    assert main(["audit", "lenet", "init=xavier"]) == 0
    assert capsys.readouterr().out == "no findings in 10 tensors\n"


# --- libraries -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "tensor"),
    [
        ("Yolos", "embeddings.cls_token"),
        ("RegNet", "encoder.stages.0.layers.0.layer.2.attention.0.bias"),
        ("Levit", "encoder.stages.0.layers.0.module.attention_biases"),
        ("CLIP", "logit_scale"),
        ("Wav2Vec2", "encoder.pos_conv_embed.conv.parametrizations.weight.original0"),
        ("Hubert", "encoder.pos_conv_embed.conv.parametrizations.weight.original0"),
    ],
)
def test_models_whose_functions_leave_a_parameter_out_are_named(kind: str, tensor: str, fails: Any) -> None:
    library = pytest.importorskip("transformers")
    config = getattr(library, f"{kind}Config")(**SIZES[kind])
    make = partial(getattr(library, f"{kind}Model"), config)
    by_name = {each.tensors[0]: each for each in modelzoo.audit(make).findings if each.kind == "meta"}
    assert fails(by_name[tensor], make=make)


def test_a_model_whose_functions_write_all_of_it_is_not_named() -> None:
    library = pytest.importorskip("transformers")
    config = library.GPT2Config(n_embd=16, n_layer=2, n_head=2, vocab_size=20)
    audit = modelzoo.audit(lambda: library.GPT2LMHeadModel(config))
    assert {each.kind for each in audit.findings} == {"twice"}
