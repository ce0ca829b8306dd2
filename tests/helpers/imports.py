"""Imports the models of a library that is installed, one after the other, and says how it went; run by hand.

python -m tests.helpers.imports torchvision [NAME...]
"""

from __future__ import annotations

import contextlib
import inspect
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

import modelzoo
from modelzoo.importing.written import text

Case = tuple[str, Callable[[], nn.Module], tuple[Any, ...], dict[str, Any]]


def torchvision_models() -> Iterator[Case]:
    """All models of torchvision that take tensors: of images, of videos, and of pairs of images."""
    with contextlib.suppress(ImportError):
        import tvstub  # noqa: F401  # a build without its C++ part lacks two operators
    import torchvision

    models = torchvision.models
    for name in models.list_models():
        kind = models.get_model_builder(name).__module__
        if "detection" in kind or "quantization" in kind:
            continue
        size = 299 if name == "inception_v3" else 224 if name.startswith(("vit", "maxvit", "swin")) else 64
        given: tuple[Any, ...] = (torch.randn(1, 3, size, size),)
        if ".video" in kind:
            size = 224 if "mvit" in name or "s3d" in name else 64
            given = (torch.randn(1, 3, 16 if "mvit" in name or "s3d" in name else 8, size, size),)
        if "optical_flow" in kind:
            given = (torch.rand(1, 3, 128, 128), torch.rand(1, 3, 128, 128))
        plain = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
        if "segmentation" in kind:
            plain = {"weights_backbone": None}
        yield name, lambda name=name, plain=plain: models.get_model(name, weights=None, **plain), given, {}


def timm_models() -> Iterator[Case]:
    """The smallest model of each family of timm."""
    with contextlib.suppress(ImportError):
        import tvstub  # noqa: F401
    import timm

    families: dict[str, str] = {}
    for name in timm.list_models():
        family = timm.models.model_entrypoint(name).__module__.rpartition(".")[2]
        if family not in families or _rank(name) < _rank(families[family]):
            families[family] = name
    for name in families.values():
        size = timm.models.get_pretrained_cfg(name)
        size = size.input_size[-1] if size is not None else 224
        yield name, lambda name=name: timm.create_model(name, pretrained=False), (torch.randn(1, 3, size, size),), {}


def _rank(name: str) -> tuple[bool, bool, int, str]:
    """Small models come first."""
    small = any(each in name for each in ("tiny", "_t", "small", "nano", "femto", "atto", "_s", "_b0", "18", "_xs"))
    return any(each in name for each in ("test_", "large", "huge")), not small, len(name), name


TINY = {
    "hidden_size": 32, "d_model": 32, "dim": 32, "n_embd": 32, "embed_dim": 32, "embedding_size": 32, "emb_dim": 32,
    "num_hidden_layers": 2, "n_layer": 2, "n_layers": 2, "num_layers": 2, "encoder_layers": 2, "decoder_layers": 2,
    "num_attention_heads": 4, "n_head": 4, "n_heads": 4, "num_heads": 4, "encoder_attention_heads": 4,
    "decoder_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 64, "ffn_dim": 64, "d_ff": 64,
    "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "hidden_dim": 64, "d_kv": 8, "head_dim": 8, "vocab_size": 99,
    "max_position_embeddings": 64, "n_positions": 64, "n_ctx": 64, "image_size": 32, "patch_size": 8,
    "pad_token_id": 0, "use_cache": False, "num_local_experts": 4, "num_experts": 4, "word_embed_proj_dim": 32,
    "moe_intermediate_size": 32, "ffn_hidden_size": 64, "n_inner": 64, "dff": 64, "attention_window": 8,
}  # fmt: skip

PADDED = ("roberta", "camembert", "xlm", "data2vec", "esm", "mpnet", "bart", "marian", "pegasus", "t5", "blender", "xmod",
          "ibert", "switch", "led", "m2m")  # fmt: skip
"""Those that need the number of a token for padding."""

PLAIN = ("convnext", "convnextv2", "levit", "regnet", "resnet", "swin", "swinv2")
"""Those that say their sizes stage by stage, and are taken as they are."""

LEFT = {"falcon": ("head_dim",), "funnel": ("num_hidden_layers",), "nemotron": ("head_dim",)}
"""What is left as it is, by the name of the model."""

TYPES = """
albert bart bert bert-generation big_bird biogpt blenderbot bloom camembert codegen convbert convnext convnextv2 cohere
ctrl cvt data2vec-text deberta deberta-v2 deit dinov2 distilbert dpr electra ernie esm falcon fnet focalnet funnel gemma
gemma2 gemma3_text glm glm4 gpt2 gpt_bigcode gpt_neo gpt_neox gptj granite helium hubert ibert layoutlm led levit llama
luke m2m_100 marian mbart megatron-bert mistral mixtral mobilebert mobilenet_v1 mobilenet_v2 mobilevit mpnet mpt mt5
nemotron nystromformer olmo olmo2 olmoe opt pegasus persimmon phi phi3 plbart poolformer pvt pvt_v2 qwen2 qwen2_moe
qwen3 regnet rembert resnet roberta roc_bert roformer segformer squeezebert stablelm starcoder2 swin swinv2 switch_transformers
t5 umt5 vit vit_mae vit_msn wav2vec2 xglm xlm xlm-roberta xlnet xmod yolos
""".split()


def transformers_models() -> Iterator[Case]:
    """Models of transformers, tiny."""
    with contextlib.suppress(ImportError):
        import tvstub  # noqa: F401  # which the images of transformers ask of torchvision, where that is there
    import transformers
    from transformers import AutoModel
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    transformers.logging.set_verbosity_error()
    for name in TYPES:
        if name not in CONFIG_MAPPING:
            continue

        def make(name: str = name) -> nn.Module:
            config = CONFIG_MAPPING[name]()
            for key, value in ({} if name in PLAIN else TINY).items():
                if isinstance(getattr(config, key, None), int) and key not in LEFT.get(name, ()):
                    setattr(config, key, value)
            for key in ("rotary_dim", "num_experts_per_tok"):
                if isinstance(getattr(config, key, None), int):
                    setattr(config, key, 2)
            if not any(each in name for each in PADDED):
                config.pad_token_id = None
            if getattr(config, "layer_types", None) and hasattr(config, "num_hidden_layers"):
                config.layer_types = config.layer_types[: config.num_hidden_layers]
            return AutoModel.from_config(config)

        config = CONFIG_MAPPING[name]()
        keywords: dict[str, Any] = {}
        if hasattr(config, "image_size") or hasattr(config, "num_channels"):
            size = 32 if isinstance(getattr(config, "image_size", None), int) else 64
            size = 224 if name in PLAIN else size
            keywords["pixel_values"] = torch.randn(1, 3, size, size)
        elif hasattr(config, "conv_kernel") and hasattr(config, "feat_extract_norm"):
            keywords["input_values"] = torch.randn(1, 4000)
        else:
            keywords["input_ids"] = torch.randint(3, 90, (2, 8))
            if getattr(config, "is_encoder_decoder", False):
                keywords["decoder_input_ids"] = torch.randint(3, 90, (2, 6))
        yield name, make, (), keywords


LIBRARIES = {"torchvision": torchvision_models, "timm": timm_models, "transformers": transformers_models}


def classes_of(model: nn.Module) -> int:
    """How many lines the classes of a model have that torch does not have."""
    found = {type(each) for each in model.modules() if not type(each).__module__.startswith("torch.")}
    return sum(len(lines_of(cls)) for cls in found)


def lines_of(cls: type) -> list[str]:
    """The source of a class, if there is one."""
    with contextlib.suppress(OSError, TypeError):
        return inspect.getsource(cls).splitlines()
    return []


def main(library: str, *names: str) -> None:
    """Imports, and prints a line for each model."""
    warnings.simplefilter("ignore")
    count = good = 0
    ratios = []
    for name, make, inputs, keywords in LIBRARIES[library]():
        if names and name not in names:
            continue
        count += 1
        torch.manual_seed(0)
        try:
            model = make().eval()
            start = time.process_time()
            with torch.no_grad():
                model(*inputs, **keywords)
            forward = time.process_time() - start
        except Exception as error:
            print(f"{name:32} cannot run: {type(error).__name__} {str(error)[:100]}", flush=True)
            continue
        start = time.process_time()
        try:
            found = text(modelzoo.from_module(model, inputs, keywords=keywords))
        except modelzoo.ConfigError as error:
            print(f"{name:32} REFUSED {len(error.problems)}: {' '.join(str(error).split())[:300]}", flush=True)
        except Exception as error:
            print(f"{name:32} FAILED {type(error).__name__}: {str(error)[:300]}", flush=True)
        else:
            good += 1
            lines, by_hand = len(found.splitlines()), classes_of(model)
            ratios.append(lines / max(by_hand, 1))
            spent = time.process_time() - start
            print(f"{name:32} ok {lines:4} lines, {by_hand:4} by hand, {forward:6.2f} s and {spent:6.2f} s", flush=True)
    print(f"{good} of {count}; lines per line by hand {sum(ratios) / max(len(ratios), 1):.2f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
