"""Checkpoints as they occur: each is loaded with one line, and the model then computes what its reference computes."""

from __future__ import annotations

import copy
import json
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy
import pytest
import safetensors.torch
import torch
import transformers
from torch import Tensor, nn

import modelzoo
from modelzoo.config.compose import compose
from modelzoo.weights import loading
from modelzoo.weights.request import parsed
from tests.helpers import zoo_language, zoo_vision

MLP = {"inputs": {"x": [2, 4]}, "layers": {"fc": "Linear(4, 8)", "bn": "BatchNorm1d(8)", "head": "Linear(8, 3)"}}


def library(name: str) -> Any:
    """A module of torchvision or of timm, where these are installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name)


class Reference(nn.Module):
    """The same as `MLP`, as PyTorch code."""

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.fc, self.bn, self.head = nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.bn(self.fc(x)))


@pytest.fixture
def reference() -> nn.Module:
    return moved(Reference())


def moved(module: nn.Module) -> Any:
    """With values that nothing starts with."""
    generator = torch.Generator().manual_seed(0)
    for name, tensor in module.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 2, generator=generator)
        elif tensor.is_floating_point():
            tensor.add_(torch.randn(tensor.shape, generator=generator) * 0.1)
    return module.eval()


def built(*overrides: str) -> nn.Module:
    """What a command line builds and loads."""
    config = compose([*overrides])
    model = modelzoo.build(config.model)
    loading.load(model, parsed(config.options["load"]))
    return model.eval()


def loaded(path: Path, **options: Any) -> nn.Module:
    model = modelzoo.build(MLP)
    loading.load(model, parsed({"file": path, **options}))
    return model.eval()


def small(name: str) -> tuple[str, ...]:
    """The overrides that make a shipped model small."""
    twins = zoo_vision.TWINS if name in zoo_vision.TWINS else zoo_language.TWINS
    return (f"model={name}", *twins[name].overrides)


def output(module: nn.Module, *inputs: Tensor) -> Tensor:
    with torch.no_grad():
        found = module(*inputs)
    if isinstance(found, Tensor):
        return found
    if isinstance(found, tuple):
        return found[0]
    return found.logits if "logits" in found else found.last_hidden_state


def equal(model: nn.Module, reference: nn.Module, *inputs: Tensor, within: float = 1e-5) -> None:
    torch.testing.assert_close(output(model, *inputs), output(reference, *inputs), rtol=within, atol=within)


X = torch.linspace(-1, 1, 8).view(2, 4)


# --- libraries -------------------------------------------------------------------------------------------------------


def test_torchvision_s_resnet18_is_loaded_as_torch_saves_it(tmp_path: Path) -> None:
    reference = moved(library("torchvision.models").resnet18(num_classes=10))
    torch.save(reference.state_dict(), tmp_path / "resnet18.pth")
    model = built("model=resnet18", "model.args.classes=10", f"load={tmp_path}/resnet18.pth")
    equal(model, reference, torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)))


def test_torchvision_s_vit_is_loaded(tmp_path: Path) -> None:
    make = library("torchvision.models").VisionTransformer
    reference = moved(make(24, 8, num_layers=3, num_heads=4, hidden_dim=32, mlp_dim=48, num_classes=10))
    safetensors.torch.save_file(reference.state_dict(), tmp_path / "vit.safetensors")
    equal(built(*small("vit_b_16"), f"load={tmp_path}/vit.safetensors"), reference, torch.randn(2, 3, 24, 24))


def test_torchvision_s_vgg_is_loaded(tmp_path: Path) -> None:
    twin = zoo_vision.TWINS["vgg16"]
    make = library("torchvision.models.vgg")
    reference = moved(make.VGG(make.make_layers([4, "M", 6, 6, "M", 8, "M", 10, 10, 10, "M", 12, "M"]), num_classes=10))
    reference.classifier = moved(twin.make(**twin.small)).classifier  # the library has one of 100 million parameters
    torch.save(reference.state_dict(), tmp_path / "vgg.pth")
    equal(built(*small("vgg16"), f"load={tmp_path}/vgg.pth"), reference, torch.randn(*twin.image))


def test_timm_s_vit_is_loaded_with_its_names(tmp_path: Path) -> None:
    make = library("timm.models.vision_transformer").VisionTransformer
    reference = moved(make(24, 8, embed_dim=32, depth=3, num_heads=4, mlp_ratio=1.5, num_classes=10))
    safetensors.torch.save_file(reference.state_dict(), tmp_path / "vit.safetensors")
    model = built(*small("vit_b_16"), f"load={tmp_path}/vit.safetensors", "load/names=timm_vit")
    equal(model, reference, torch.randn(2, 3, 24, 24))


def test_timm_s_vgg_is_loaded_with_its_names_and_its_convolutions_as_linear_layers(tmp_path: Path) -> None:
    make = library("timm.models.vgg").VGG
    reference = moved(make([4, "M", 6, 6, "M", 8, "M", 10, 10, 10, "M", 12, "M"], num_classes=10))
    torch.save(reference.state_dict(), tmp_path / "vgg.pth")
    model = built(*small("vgg16"), "model.args.hidden=4096", f"load={tmp_path}/vgg.pth", "load/names=timm_vgg")
    equal(model, reference, torch.randn(1, 3, 224, 224), within=1e-4)


def test_timm_s_resnet18_is_loaded_without_names(tmp_path: Path) -> None:
    reference = moved(library("timm.models.resnet").resnet18(num_classes=10))
    torch.save({"epoch": 3, "arch": "resnet18", "state_dict": reference.state_dict()}, tmp_path / "last.pth.tar")
    model = built("model=resnet18", "model.args.classes=10", f"load={tmp_path}/last.pth.tar")
    equal(model, reference, torch.randn(2, 3, 64, 64))


@pytest.mark.parametrize("bottlenecks", [False, True])
def test_transformers_resnet_is_loaded_with_its_names(bottlenecks: bool, tmp_path: Path) -> None:
    name = "resnet50" if bottlenecks else "resnet18"
    args = zoo_vision.TWINS[name].small
    config = transformers.ResNetConfig(
        embedding_size=args["stem"],
        hidden_sizes=args["dims"],
        depths=args["depths"],
        layer_type="bottleneck" if bottlenecks else "basic",
        num_labels=10,
    )
    reference = moved(transformers.ResNetForImageClassification(config))
    reference.save_pretrained(tmp_path)
    overrides = (*small(name), f"load={tmp_path}/model.safetensors", "load/names=huggingface_resnet")
    equal(built(*overrides), reference, torch.randn(2, 3, 64, 40))


def test_transformers_vit_is_loaded_with_its_names_and_its_queries_keys_and_values_joined(tmp_path: Path) -> None:
    config = transformers.ViTConfig(
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=48,
        image_size=24,
        patch_size=8,
        num_labels=10,
        layer_norm_eps=1e-6,
    )
    reference = moved(transformers.ViTForImageClassification(config))
    for name in ("saved", "live"):  # transformers saves other names than its layers have
        folder = tmp_path / name
        folder.mkdir()
        if name == "saved":
            reference.save_pretrained(folder)
        else:
            safetensors.torch.save_file(reference.state_dict(), folder / "model.safetensors")
        model = built(*small("vit_b_16"), f"load={folder}/model.safetensors", "load/names=huggingface_vit")
        equal(model, reference, torch.randn(2, 3, 24, 24))


def gpt2() -> Any:
    return moved(zoo_language.gpt2(**zoo_language.TWINS["gpt2"].small))


TOKENS = torch.arange(22).view(2, 11)


@pytest.mark.parametrize("names", [(), ("load/names=huggingface_gpt2",)])
def test_gpt2_as_it_is_published_is_loaded_without_its_masks(names: tuple[str, ...], tmp_path: Path) -> None:
    reference = gpt2()
    masks = {f"h.{index}.attn.bias": torch.ones(16, 16).tril().view(1, 1, 16, 16) for index in range(3)}
    masks |= {f"h.{index}.attn.masked_bias": torch.tensor(-1e4) for index in range(3)}
    safetensors.torch.save_file({**reference.transformer.state_dict(), **masks}, tmp_path / "model.safetensors")
    equal(built(*small("gpt2"), f"load={tmp_path}/model.safetensors", *names), reference, TOKENS)


@pytest.mark.parametrize("shards", ["pytorch_model.bin.index.json", "model.safetensors.index.json"])
def test_gpt2_in_shards_is_loaded_by_their_index(shards: str, tmp_path: Path) -> None:
    reference = gpt2()
    if shards.startswith("model"):
        reference.save_pretrained(tmp_path, max_shard_size="20KB")
    else:
        state = {name: each for name, each in reference.state_dict().items() if name != "lm_head.weight"}
        for number, name in enumerate(state):
            torch.save({name: state[name]}, tmp_path / f"pytorch_model-{number}.bin")
        files = {name: f"pytorch_model-{number}.bin" for number, name in enumerate(state)}
        (tmp_path / shards).write_text(json.dumps({"weight_map": files}))
    equal(built(*small("gpt2"), f"load={tmp_path}/{shards}"), reference, TOKENS)


def test_bert_before_its_pretraining_heads_is_loaded_with_its_names(tmp_path: Path) -> None:
    args = zoo_language.TWINS["bert"].small
    config = zoo_language.bert(**args).config
    reference = moved(transformers.BertForPreTraining(config))
    state = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): each.clone()
        for name, each in reference.state_dict().items()
    }
    safetensors.torch.save_file(
        {**state, "bert.embeddings.position_ids": torch.arange(16)[None]}, tmp_path / "x.safetensors"
    )
    model = built(*small("bert"), f"load={tmp_path}/x.safetensors", "load/names=huggingface_bert")
    inputs = zoo_language.TWINS["bert"].inputs(vocab=61)
    equal(model, reference.bert, *inputs)


def test_llama_is_loaded_without_its_rotary_frequencies(tmp_path: Path) -> None:
    reference = moved(zoo_language.llama(**zoo_language.TWINS["llama"].small))
    frequencies = {f"model.layers.{index}.self_attn.rotary_emb.inv_freq": torch.ones(3) for index in range(3)}
    torch.save({**reference.state_dict(), **frequencies}, tmp_path / "pytorch_model.bin")
    model = built(*small("llama"), f"load={tmp_path}/pytorch_model.bin", "load/names=huggingface_llama")
    equal(model, reference, TOKENS)


def test_matrices_that_phi3_has_in_one_are_split(tmp_path: Path) -> None:
    args = zoo_language.TWINS["llama"].small
    config = transformers.Phi3Config(
        vocab_size=args["vocab"],
        hidden_size=args["dim"],
        intermediate_size=args["width"],
        num_hidden_layers=args["layers"],
        num_attention_heads=args["heads"],
        num_key_value_heads=args["kv_heads"],
        rope_parameters={"rope_type": "default", "rope_theta": 500_000.0},
        pad_token_id=0,
        bos_token_id=0,
        eos_token_id=0,
        use_cache=False,
    )
    reference = moved(transformers.Phi3ForCausalLM(config))
    safetensors.torch.save_file(reference.state_dict(), tmp_path / "phi3.safetensors")
    model = built(*small("llama"), f"load={tmp_path}/phi3.safetensors", "load/names=huggingface_llama")
    equal(model, reference, TOKENS)


# --- trainers and wrappers -------------------------------------------------------------------------------------------


def compiled(module: nn.Module) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.compile(module)


def torch_saved(what: Any, path: Path) -> Path:
    torch.save(what, path)
    return path


def test_what_data_parallel_around_a_compiled_module_saves_is_loaded(reference: nn.Module, tmp_path: Path) -> None:
    wrapped = nn.DataParallel(compiled(reference))
    assert "module._orig_mod.fc.weight" in wrapped.state_dict()
    equal(loaded(torch_saved(wrapped.state_dict(), tmp_path / "x.pt")), reference, X)


def test_a_part_that_was_compiled_is_loaded(reference: nn.Module, tmp_path: Path) -> None:
    whole = copy.deepcopy(reference)
    whole.fc = compiled(whole.fc)
    assert "fc._orig_mod.weight" in whole.state_dict()
    equal(loaded(torch_saved(whole.state_dict(), tmp_path / "x.pt")), reference, X)


@pytest.mark.parametrize("prefix", ["model.", "teacher.backbone.", "module.model.", "_fsdp_wrapped_module."])
def test_names_that_all_begin_with_the_same_are_loaded(prefix: str, reference: nn.Module, tmp_path: Path) -> None:
    state = {prefix + name: each for name, each in reference.state_dict().items()}
    equal(loaded(torch_saved({"state_dict": state}, tmp_path / "x.pt")), reference, X)


def test_what_lightning_saves_is_loaded(reference: nn.Module, tmp_path: Path) -> None:
    optimizer = torch.optim.Adam(reference.parameters())
    output = reference(X).sum()
    output.backward()
    optimizer.step()
    checkpoint = {
        "epoch": 3,
        "global_step": 100,
        "pytorch-lightning_version": "2.5.0",
        "state_dict": {f"model.{name}": each for name, each in reference.state_dict().items()},
        "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": {"ready": 3}}}},
        "callbacks": {"ModelCheckpoint{'monitor': 'loss'}": {"best_model_score": torch.tensor(0.1)}},
        "optimizer_states": [optimizer.state_dict()],
        "lr_schedulers": [],
        "hparams_name": "kwargs",
        "hyper_parameters": {"lr": 0.1},
    }
    equal(loaded(torch_saved(checkpoint, tmp_path / "last.ckpt")), reference, X)


def test_an_average_of_weights_is_loaded_without_its_counter(reference: nn.Module, tmp_path: Path) -> None:
    averaged = torch.optim.swa_utils.AveragedModel(reference)
    averaged.update_parameters(reference)
    assert "n_averaged" in averaged.state_dict()
    equal(loaded(torch_saved(averaged.state_dict(), tmp_path / "x.pt")), reference, X)


def test_a_key_chooses_between_a_model_and_its_average(reference: nn.Module, tmp_path: Path) -> None:
    other = moved(Reference())
    other.fc.weight.data.mul_(2)
    path = torch_saved({"model": other.state_dict(), "ema": reference.state_dict(), "optimizer": {}}, tmp_path / "x.pt")
    equal(loaded(path, key="ema"), reference, X)
    equal(loaded(path, key="model"), other, X)
    with pytest.raises(modelzoo.ConfigError) as error:
        loaded(path)
    assert str(error.value) == f"{path}\n  This file holds weights under 'model' and 'ema'. Type which: load.key=model"


def test_a_part_of_a_checkpoint_is_loaded_by_its_key(reference: nn.Module, tmp_path: Path) -> None:
    state = {
        f"{part}.net.{name}": each for part in ("student", "teacher") for name, each in reference.state_dict().items()
    }
    state = {name: each * (2 if name.startswith("student") else 1) for name, each in state.items()}
    equal(loaded(torch_saved(state, tmp_path / "x.pt"), key="teacher.net"), reference, X)


@pytest.mark.parametrize("key", ["", "model"])
def test_a_folder_of_torch_distributed_is_loaded(key: str, reference: nn.Module, tmp_path: Path) -> None:
    from torch.distributed import checkpoint

    state = reference.state_dict()
    optimizer = torch.optim.Adam(reference.parameters())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        content = {"model": state, "optimizer": optimizer.state_dict(), "step": 3} if key else state
        checkpoint.save(content, checkpoint_id=tmp_path / "step-100")
    equal(loaded(tmp_path / "step-100"), reference, X)


def test_arrays_of_numpy_are_loaded(reference: nn.Module, tmp_path: Path) -> None:
    arrays = {name: each.numpy() for name, each in reference.state_dict().items()}
    numpy.savez(tmp_path / "x.npz", **arrays)
    equal(loaded(tmp_path / "x.npz"), reference, X)
    numpy.savez_compressed(tmp_path / "y.npz", **arrays)
    equal(loaded(tmp_path / "y.npz"), reference, X)


def test_weights_in_half_precision_are_widened(reference: nn.Module, tmp_path: Path) -> None:
    half = copy.deepcopy(reference).half()
    model = loaded(torch_saved(half.state_dict(), tmp_path / "x.pt"))
    assert model.fc.weight.dtype == torch.float32
    equal(model, half.float(), X)


def test_a_head_of_21_classes_is_left_out_and_starts_as_the_ledger_says(tmp_path: Path) -> None:
    reference = moved(Reference(classes=21))
    fresh = modelzoo.build(MLP)
    model = loaded(torch_saved(reference.state_dict(), tmp_path / "x.pt"), skip="head.*")
    assert torch.equal(model.head.weight, fresh.head.weight)
    assert torch.equal(model.fc.weight, reference.fc.weight)


def test_a_file_of_the_format_before_torch_1_6_is_loaded(reference: nn.Module, tmp_path: Path) -> None:
    torch.save(reference.state_dict(), tmp_path / "x.pth", _use_new_zipfile_serialization=False)
    equal(loaded(tmp_path / "x.pth"), reference, X)


def test_a_whole_module_is_loaded_in_order_of_its_layers_whatever_they_are_called(tmp_path: Path) -> None:
    reference = moved(nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 3)))
    for save, name in ((torch.save, "x.pt"), (safetensors.torch.save_file, "x.safetensors")):
        save(reference.state_dict(), tmp_path / name)
        equal(loaded(tmp_path / name, match="order"), reference, X)


def test_a_matrix_stored_the_other_way_round_and_in_one_with_others_is_turned_and_split(tmp_path: Path) -> None:
    config = {
        "inputs": {"x": [2, 4]},
        "layers": {"q": "Linear(4, 8)", "k": "Linear(4, 2)", "v": "Linear(4, 2)"},
        "forward": "return q(x), k(x), v(x)",
    }
    fused = nn.Linear(4, 12)
    stored = {"attn.c_attn.weight": fused.weight.detach().t().contiguous(), "attn.c_attn.bias": fused.bias.detach()}
    safetensors.torch.save_file(stored, tmp_path / "x.safetensors")
    model = modelzoo.build(config)
    option = {
        "file": tmp_path / "x.safetensors",
        "transpose": ["*.c_attn.weight"],
        "split": {r"attn\.c_attn\.(weight|bias)": [r"q.\1", r"k.\1", r"v.\1"]},
    }
    loading.load(model, parsed(option))
    torch.testing.assert_close(torch.cat(model(X), 1), fused(X))


@pytest.mark.parametrize("save", [torch.save, partial(safetensors.torch.save_file)])
def test_only_what_is_named_is_loaded(save: Callable[..., object], reference: nn.Module, tmp_path: Path) -> None:
    fresh = modelzoo.build(MLP)
    save(reference.state_dict(), tmp_path / ("x.pt" if save is torch.save else "x.safetensors"))
    (path,) = tmp_path.iterdir()
    model = loaded(path, only=["fc.*"])
    assert torch.equal(model.fc.weight, reference.fc.weight)
    assert torch.equal(model.head.weight, fresh.head.weight)
