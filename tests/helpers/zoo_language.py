"""The sequence models of transformers, and others written by hand in ordinary PyTorch, to compare the built ones with.

Each takes the args of the config that it is the twin of, under the same names and with the same defaults.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import BertConfig, BertModel, GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM


def gpt2(
    vocab: int = 50257,
    context: int = 1024,
    dim: int = 768,
    layers: int = 12,
    heads: int = 12,
    p: float = 0.1,
    **options: Any,
) -> GPT2LMHeadModel:
    config = GPT2Config(
        vocab_size=vocab,
        n_positions=context,
        n_embd=dim,
        n_layer=layers,
        n_head=heads,
        embd_pdrop=p,
        attn_pdrop=p,
        resid_pdrop=p,
        bos_token_id=0,
        eos_token_id=0,
        use_cache=False,
        **options,
    )
    return GPT2LMHeadModel(config)


def bert(
    vocab: int = 30522,
    context: int = 512,
    segments: int = 2,
    dim: int = 768,
    layers: int = 12,
    heads: int = 12,
    p: float = 0.1,
    **options: Any,
) -> BertModel:
    config = BertConfig(
        vocab_size=vocab,
        max_position_embeddings=context,
        type_vocab_size=segments,
        hidden_size=dim,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * dim,
        hidden_dropout_prob=p,
        attention_probs_dropout_prob=p,
        **options,
    )
    return BertModel(config)


def llama(
    vocab: int = 1000,
    dim: int = 64,
    layers: int = 2,
    heads: int = 8,
    kv_heads: int = 2,
    width: int = 224,
    theta: float = 500_000,
    **options: Any,
) -> LlamaForCausalLM:
    config = LlamaConfig(
        vocab_size=vocab,
        hidden_size=dim,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        intermediate_size=width,
        rope_parameters={"rope_type": "default", "rope_theta": float(theta)},
        rms_norm_eps=1e-5,
        use_cache=False,
        **options,
    )
    return LlamaForCausalLM(config)


class LSTMLanguageModel(nn.Module):
    def __init__(self, vocab: int = 10000, dim: int = 650, layers: int = 2, p: float = 0.5) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocab, dim)
        self.drop = nn.Dropout(p)
        self.lstm = nn.LSTM(dim, dim, num_layers=layers, dropout=p, batch_first=True)
        self.out = nn.Linear(dim, vocab)
        self.out.weight = self.embed.weight

    def forward(
        self, tokens: Tensor, state: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        embedded = self.drop(self.embed(tokens))
        hidden, state = self.lstm(embedded, state)
        return self.out(self.drop(hidden)), state


class Seq2Seq(nn.Module):
    """The masks are added to the scores here, and the positions computed one by one."""

    positions: Tensor

    def __init__(
        self,
        vocab: int = 37000,
        context: int = 512,
        dim: int = 512,
        layers: int = 6,
        heads: int = 8,
        width: int = 2048,
        p: float = 0.1,
        pad: int = 0,
    ) -> None:
        super().__init__()
        self.dim, self.pad = dim, pad
        self.embed = nn.Embedding(vocab, dim)
        self.drop = nn.Dropout(p)
        self.encoder = nn.ModuleList(
            nn.TransformerEncoderLayer(dim, heads, width, p, batch_first=True) for _ in range(layers)
        )
        self.decoder = nn.ModuleList(
            nn.TransformerDecoderLayer(dim, heads, width, p, batch_first=True) for _ in range(layers)
        )
        self.out = nn.Linear(dim, vocab, bias=False)
        self.out.weight = self.embed.weight
        table = torch.empty(context, dim)
        for position in range(context):
            for pair in range(dim // 2):
                angle = position / 10000 ** (2 * pair / dim)
                table[position, 2 * pair] = math.sin(angle)
                table[position, 2 * pair + 1] = math.cos(angle)
        self.register_buffer("positions", table, persistent=False)

    def embedded(self, tokens: Tensor) -> Tensor:
        return self.drop(math.sqrt(self.dim) * self.embed(tokens) + self.positions[: tokens.shape[1]])

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        padding = torch.zeros(source.shape).masked_fill(source == self.pad, -math.inf)
        later = nn.Transformer.generate_square_subsequent_mask(target.shape[1])
        x, y = self.embedded(source), self.embedded(target)
        for layer in self.encoder:
            x = layer(x, src_key_padding_mask=padding)
        for layer in self.decoder:
            y = layer(y, x, tgt_mask=later, memory_key_padding_mask=padding)
        return self.out(y)


class MixtureOfExperts(nn.Module):
    def __init__(self, dim: int = 32, width: int = 64, n: int = 8, k: int = 2) -> None:
        super().__init__()
        self.k = k
        self.gate = nn.Linear(dim, n, bias=False)
        self.noise = nn.Linear(dim, n, bias=False)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(dim, width), nn.ReLU(), nn.Linear(width, dim)) for _ in range(n)
        )

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.view(-1, x.shape[-1])
        scores = self.gate(tokens)
        if self.training:
            scores = scores + torch.randn_like(scores) * functional.softplus(self.noise(tokens))
        best, chosen = torch.topk(scores, self.k, dim=-1)
        weights = best.softmax(dim=-1)
        result = torch.zeros_like(tokens)
        for number, expert in enumerate(self.experts):
            token, rank = (chosen == number).nonzero(as_tuple=True)
            result.index_add_(0, token, expert(tokens[token]) * weights[token, rank].unsqueeze(-1))
        return result.view(x.shape)


def tokens(vocab: int, *shape: int, seed: int = 0) -> Tensor:
    """Without 0, which is padding."""
    return torch.randint(1, vocab, shape, generator=torch.Generator().manual_seed(seed))


@dataclass(frozen=True, kw_only=True)
class Twin:
    """What a config is compared with.

    Attributes:
        make: takes the args of the config.
        small: args of a small one.
        inputs: example inputs for these args.
    """

    make: Callable[..., nn.Module]
    small: dict[str, Any]
    inputs: Callable[..., tuple[Tensor, ...]]

    @property
    def overrides(self) -> list[str]:
        """The small args as they are typed."""
        return [f"model.args.{name}={value}" for name, value in self.small.items()]


TWINS: dict[str, Twin] = {
    "gpt2": Twin(
        make=gpt2,
        small={"vocab": 61, "context": 16, "dim": 24, "layers": 3, "heads": 4},
        inputs=lambda vocab=50257, **_: (tokens(vocab, 2, 11),),
    ),
    "bert": Twin(
        make=bert,
        small={"vocab": 61, "context": 16, "dim": 24, "layers": 3, "heads": 4},
        inputs=lambda vocab=30522, **_: (
            tokens(vocab, 3, 10),
            torch.ones(3, 10, dtype=torch.int64),
            torch.zeros(3, 10, dtype=torch.int64),
        ),
    ),
    "llama": Twin(
        make=llama,
        small={"vocab": 61, "dim": 24, "layers": 3, "heads": 4, "kv_heads": 2, "width": 40},
        inputs=lambda vocab=1000, **_: (tokens(vocab, 2, 13),),
    ),
    "seq2seq": Twin(
        make=Seq2Seq,
        small={"vocab": 31, "context": 16, "dim": 16, "layers": 2, "heads": 4, "width": 24},
        inputs=lambda vocab=37000, **_: (tokens(vocab, 3, 9), tokens(vocab, 3, 6, seed=1)),
    ),
    "lstm_lm": Twin(
        make=LSTMLanguageModel,
        small={"vocab": 31, "dim": 12, "layers": 2},
        inputs=lambda vocab=10000, **_: (tokens(vocab, 3, 7),),
    ),
    "mixture_of_experts": Twin(
        make=MixtureOfExperts,
        small={"dim": 12, "width": 20, "n": 5, "k": 2},
        inputs=lambda dim=32, **_: (torch.randn(4, 7, dim, generator=torch.Generator().manual_seed(0)),),
    ),
}
"""The twin of each sequence model in `conf/model`."""
