"""Architectures as torchvision, timm and transformers publish them, to compare the files in `tests/architectures` with.

Each is made by its library's own class: at its published size, and at a small one by other arguments of that class.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

FILES = Path(__file__).resolve().parents[1] / "architectures"


@dataclass(frozen=True, kw_only=True)
class Published:
    """An architecture: what makes it at its published size and small, and which args of its file say the same."""

    full: Callable[[], nn.Module]
    small: Callable[[], nn.Module]
    args: dict[str, Any]
    inputs: Callable[[], dict[str, Tensor]]
    output: Callable[[Any], Any] = field(default=lambda answer: answer)


def library(name: str) -> Any:
    """A module of a library that the tests may have or not."""
    _import_torchvision()
    return pytest.importorskip(name)


@functools.cache
def _import_torchvision() -> torch.library.Library | None:
    """Imports torchvision, which the other two import if it is there.

    Beside a torch for the CPU its wheel is not imported before torch knows two operators, which it compiles for CUDA and
    no classifier calls.
    """
    try:
        importlib.import_module("torchvision")
    except ImportError:
        return None
    except RuntimeError:
        own = torch.library.Library("torchvision", "FRAGMENT")
        for name in ("nms", "qnms"):
            own.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        importlib.import_module("torchvision")
        return own
    return None


def tokens(*shape: int, below: int = 50, above: int = 2) -> Tensor:
    return torch.randint(above, below, shape, generator=torch.Generator().manual_seed(1))


def numbers(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def mask(lengths: list[int], longest: int) -> Tensor:
    """One where there is a token, zero behind it."""
    return (torch.arange(longest) < torch.tensor(lengths)[:, None]).long()


def of_transformers(model: str, config: str, **options: Any) -> nn.Module:
    """A model of transformers that keeps nothing for the next token."""
    module, _, name = model.rpartition(".")
    made = getattr(library("transformers"), config)(**{"use_cache": False, **options})
    return getattr(importlib.import_module(f"transformers.{module}" if module else "transformers"), name)(made)


def of_timm(name: str, **options: Any) -> nn.Module:
    return library("timm").create_model(name, **options)


def roberta(**options: Any) -> nn.Module:
    published = {"vocab_size": 50265, "max_position_embeddings": 514, "type_vocab_size": 1, "layer_norm_eps": 1e-5}
    return of_transformers("RobertaForMaskedLM", "RobertaConfig", **{**published, "pad_token_id": 1, **options})


def qwen2(**options: Any) -> nn.Module:
    published = {
        "hidden_size": 896,
        "intermediate_size": 4864,
        "num_hidden_layers": 24,
        "num_attention_heads": 14,
        "num_key_value_heads": 2,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e6},
        "tie_word_embeddings": True,
    }
    return of_transformers("Qwen2ForCausalLM", "Qwen2Config", **{**published, **options})


def t5(**options: Any) -> nn.Module:
    return of_transformers("T5ForConditionalGeneration", "T5Config", attn_implementation="eager", **options)


def detr_encoder(**options: Any) -> nn.Module:
    return of_transformers("models.detr.modeling_detr.DetrEncoder", "DetrConfig", **options)


def mamba(**options: Any) -> nn.Module:
    return of_transformers("MambaForCausalLM", "MambaConfig", **{"num_hidden_layers": 24, **options})


def vilt(**options: Any) -> nn.Module:
    return of_transformers("ViltModel", "ViltConfig", **options)


def small_efficientnet() -> nn.Module:
    efficientnet = library("torchvision.models.efficientnet")
    fused, other = efficientnet.FusedMBConvConfig, efficientnet.MBConvConfig
    stages = [
        fused(1, 3, 1, 8, 8, 1),
        fused(4, 3, 2, 8, 16, 2),
        fused(4, 3, 2, 16, 16, 1),
        other(4, 3, 2, 16, 24, 2),
        other(6, 3, 1, 24, 24, 1),
        other(6, 3, 2, 24, 32, 1),
    ]
    norm = functools.partial(nn.BatchNorm2d, eps=1e-3)
    return efficientnet.EfficientNet(stages, dropout=0.2, last_channel=32, num_classes=10, norm_layer=norm)


PUBLISHED = {
    "roberta": Published(
        full=roberta,
        small=lambda: roberta(
            vocab_size=50,
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=64,
            max_position_embeddings=20,
        ),
        args={"vocab": 50, "context": 20, "dim": 16, "layers": 2, "heads": 4},
        inputs=lambda: {
            "input_ids": torch.where(mask([5, 7], 7).bool(), tokens(2, 7), 1),
            "attention_mask": mask([5, 7], 7),
        },
        output=lambda answer: answer.logits,
    ),
    "qwen2": Published(
        full=qwen2,
        small=lambda: qwen2(
            vocab_size=50,
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=40,
        ),
        args={"vocab": 50, "dim": 16, "layers": 2, "heads": 4, "kv_heads": 2, "width": 40},
        inputs=lambda: {"input_ids": tokens(2, 7)},
        output=lambda answer: answer.logits,
    ),
    "t5": Published(
        full=t5,
        small=lambda: t5(
            vocab_size=50,
            d_model=16,
            d_kv=4,
            d_ff=32,
            num_layers=2,
            num_heads=4,
            relative_attention_num_buckets=8,
            relative_attention_max_distance=6,
        ),
        args={"vocab": 50, "dim": 16, "size": 4, "width": 32, "layers": 2, "heads": 4, "buckets": 8, "distance": 6},
        inputs=lambda: {
            "input_ids": tokens(2, 9),
            "attention_mask": mask([5, 9], 9),
            "decoder_input_ids": tokens(2, 6),
        },
        output=lambda answer: answer.logits,
    ),
    "detr_encoder": Published(
        full=detr_encoder,
        small=lambda: detr_encoder(d_model=16, encoder_layers=2, encoder_attention_heads=4, encoder_ffn_dim=24),
        args={"dim": 16, "depth": 2, "heads": 4, "width": 24},
        inputs=lambda: {
            "inputs_embeds": numbers(2, 6, 16),
            "attention_mask": mask([4, 6], 6),
            "spatial_position_embeddings": numbers(1, 6, 16),
        },
        output=lambda answer: answer.last_hidden_state,
    ),
    "efficientnet_v2_s": Published(
        full=lambda: library("torchvision.models").efficientnet_v2_s(),
        small=small_efficientnet,
        args={"dims": [8, 8, 16, 16, 24, 24, 32], "depths": [1, 2, 1, 2, 1, 1], "last": 32, "classes": 10},
        inputs=lambda: {"x": numbers(4, 3, 64, 64)},
    ),
    "vit_h_14": Published(
        full=lambda: library("torchvision.models").vit_h_14(),
        small=lambda: library("torchvision.models").VisionTransformer(28, 14, 2, 4, 16, 32, num_classes=10),
        args={"image": 28, "dim": 16, "depth": 2, "num_heads": 4, "width": 32, "classes": 10},
        inputs=lambda: {"x": numbers(2, 3, 28, 28)},
    ),
    "pvt_v2_b0": Published(
        full=lambda: of_timm("pvt_v2_b0"),
        small=lambda: of_timm(
            "pvt_v2_b0", depths=(1, 2, 1, 1), embed_dims=(8, 16, 20, 24), num_heads=(1, 2, 5, 8), num_classes=10
        ),
        args={"depths": [1, 2, 1, 1], "dims": [8, 16, 20, 24], "classes": 10},
        inputs=lambda: {"x": numbers(2, 3, 64, 64)},
    ),
    "twins_svt_small": Published(
        full=lambda: of_timm("twins_svt_small"),
        small=lambda: of_timm(
            "twins_svt_small",
            depths=(2, 1, 1, 2),
            embed_dims=[8, 16, 24, 32],
            num_heads=[2, 4, 4, 8],
            num_classes=10,
        ),
        args={"depths": [2, 1, 1, 2], "dims": [8, 16, 24, 32], "heads": [2, 4, 4, 8], "classes": 10},
        inputs=lambda: {"x": numbers(2, 3, 64, 96)},
    ),
    "maxvit_t": Published(
        full=lambda: library("torchvision.models").maxvit_t(),
        small=lambda: library("torchvision.models").MaxVit((56, 56), 8, 7, [16, 24], [2, 1], 8, 0.2, num_classes=10),
        args={"first": 8, "dims": [16, 24], "depths": [2, 1], "size": 8, "classes": 10},
        inputs=lambda: {"x": numbers(2, 3, 56, 56)},
    ),
    "mamba": Published(
        full=mamba,
        small=lambda: mamba(vocab_size=50, hidden_size=16, num_hidden_layers=2, state_size=4, time_step_rank=1),
        args={"vocab": 50, "dim": 16, "depth": 2, "state": 4},
        inputs=lambda: {"input_ids": tokens(2, 7)},
        output=lambda answer: answer.logits,
    ),
    "vilt": Published(
        full=vilt,
        small=lambda: vilt(
            vocab_size=50,
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=24,
            image_size=32,
            patch_size=8,
            max_position_embeddings=12,
        ),
        args={"vocab": 50, "context": 12, "image": 32, "patch": 8, "dim": 16, "depth": 2, "heads": 4, "width": 24},
        inputs=lambda: {
            "input_ids": tokens(2, 7),
            "attention_mask": mask([5, 7], 7),
            "token_type_ids": tokens(2, 7, below=2, above=0),
            "pixel_values": numbers(2, 3, 32, 32),
            "pixel_mask": torch.stack([torch.ones(32, 32).long(), mask([24] * 16 + [0] * 16, 32)]),
        },
        output=lambda answer: (answer.last_hidden_state, answer.pooler_output),
    ),
    "tresnet_m": Published(
        full=lambda: of_timm("tresnet_m"),
        small=lambda: of_timm("tresnet_m", layers=[1, 2, 2, 1], width_factor=0.125, num_classes=10),
        args={"depths": [1, 2, 2, 1], "width": 8, "classes": 10},
        inputs=lambda: {"x": numbers(2, 3, 96, 96)},
    ),
}


def reference(name: str) -> nn.Module:
    """The library's small model, with values that nothing starts with, so that nothing hides behind ones and zeros."""
    torch.manual_seed(0)
    model = PUBLISHED[name].small()
    for key, tensor in model.state_dict().items():
        if key.endswith("running_var"):
            tensor.uniform_(0.5, 1.5)
        elif tensor.is_floating_point():
            tensor.normal_(0.0, 0.3)
    return model
