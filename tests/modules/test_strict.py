"""Meta refuses what the CPU refuses: every layer of the catalog, on inputs that fit and on many that do not."""

import pytest
import torch
from torch import nn

from modelzoo.catalog.layers import LAYERS
from modelzoo.catalog.sizes import expands
from modelzoo.modules.failures import depends_on_data, lacks_kernel
from modelzoo.modules.strict import Strict

I64 = torch.int64


def square(rank, size=8):
    return [2, 3, *[size] * rank]


INPUTS = {
    "Identity()": [[2, 4]],
    "Flatten()": [[2, 3, 4]],
    "Unflatten(1, (2, 3))": [[2, 6]],
    "Linear(4, 5)": [[2, 4]],
    "Bilinear(3, 4, 5)": [[2, 3], [2, 4]],
    "Embedding(5, 4)": [([2, 3], I64)],
    "EmbeddingBag(5, 4)": [([2, 3], I64)],
    **{f"Conv{n}d(3, 4, 3)": [square(n)] for n in (1, 2, 3)},
    **{f"ConvTranspose{n}d(3, 4, 3)": [square(n)] for n in (1, 2, 3)},
    "ConvTranspose2d(4, 6, 3, groups=2)": [[2, 4, 8, 8]],
    **{f"{name}(4, 6)": [[5, 2, 4]] for name in ("RNN", "LSTM", "GRU")},
    **{f"{name}Cell(4, 6)": [[2, 4]] for name in ("RNN", "LSTM", "GRU")},
    "MultiheadAttention(6, 2, kdim=3, vdim=4)": [[5, 2, 6], [5, 2, 3], [5, 2, 4]],
    "Transformer(6, 2, 1, 1, 8)": [[5, 2, 6], [4, 2, 6]],
    "TransformerEncoderLayer(6, 2, 8)": [[5, 2, 6]],
    "TransformerDecoderLayer(6, 2, 8)": [[5, 2, 6], [5, 2, 6]],
    "TransformerEncoder(nn.TransformerEncoderLayer(6, 2, 8), 1)": [[5, 2, 6]],
    "TransformerDecoder(nn.TransformerDecoderLayer(6, 2, 8), 1)": [[5, 2, 6], [5, 2, 6]],
    **{f"BatchNorm{n}d(3)": [square(n)] for n in (1, 2, 3)},
    **{f"InstanceNorm{n}d(3)": [square(n)] for n in (1, 2, 3)},
    "LayerNorm(4)": [[2, 4]],
    "RMSNorm(4)": [[2, 4]],
    "GroupNorm(2, 4)": [[2, 4, 3]],
    "LocalResponseNorm(2)": [[2, 4, 5, 5]],
    "CrossMapLRN2d(2)": [[2, 4, 5, 5]],
    **{
        f"{name}()": [[2, 4]]
        for name in (
            "CELU ELU GELU GLU Hardshrink Hardsigmoid Hardswish Hardtanh LeakyReLU LogSigmoid Mish PReLU RReLU ReLU "
            "ReLU6 SELU SiLU Sigmoid Softplus Softshrink Softsign Tanh Tanhshrink Dropout AlphaDropout "
            "FeatureAlphaDropout"
        ).split()
    },
    **{f"{name}(2)": [[2, 4, 3]] for name in ("Softmax", "LogSoftmax", "Softmin")},
    "Softmax2d()": [[2, 3, 4, 4]],
    "Threshold(0.1, 20)": [[2, 4]],
    **{f"Dropout{n}d()": [square(n)] for n in (1, 2, 3)},
    **{f"{kind}Pool{n}d(2)": [square(n)] for n in (1, 2, 3) for kind in ("Avg", "Max", "AdaptiveAvg", "AdaptiveMax")},
    **{f"FractionalMaxPool{n}d(2, output_size=3)": [square(n)] for n in (2, 3)},
    **{f"LPPool{n}d(2, 2)": [square(n)] for n in (1, 2, 3)},
    **{f"MaxUnpool{n}d(2)": [square(n, 4), (square(n, 4), I64)] for n in (1, 2, 3)},
    **{f"{k}Pad{n}d(1)": [square(n, 4)] for n in (1, 2, 3) for k in ("Circular", "Reflection", "Replication", "Zero")},
    **{f"ConstantPad{n}d(1, 0.5)": [square(n, 4)] for n in (1, 2, 3)},
    "Fold((4, 5), (2, 2))": [[2, 12, 12]],
    "Unfold((2, 2))": [[2, 3, 4, 4]],
    "PixelShuffle(2)": [[2, 4, 3, 3]],
    "PixelUnshuffle(2)": [[2, 3, 4, 4]],
    "ChannelShuffle(2)": [[2, 4, 3, 3]],
    "Upsample(scale_factor=2)": [[2, 3, 4, 4]],
    "Upsample(scale_factor=2, mode='trilinear')": [[2, 3, 4, 4, 4]],
    "UpsamplingBilinear2d(scale_factor=2)": [[2, 3, 4, 4]],
    "UpsamplingNearest2d(scale_factor=2)": [[2, 3, 4, 4]],
    **{f"{name}()": [[2, 3], [2, 3]] for name in ("CosineSimilarity", "PairwiseDistance")},
    "AdaptiveLogSoftmaxWithLoss(6, 20, [5, 10])": [[2, 6], ([2], I64)],
    "CTCLoss()": [[5, 2, 4], ([2, 3], I64), ([2], I64), ([2], I64)],
    "CosineEmbeddingLoss()": [[2, 3], [2, 3], [2]],
    **{f"{name}()": [[2, 3, 4, 4], ([2, 4, 4], I64)] for name in ("CrossEntropyLoss", "NLLLoss")},
    "MultiLabelMarginLoss()": [[2, 3], ([2, 3], I64)],
    "MultiMarginLoss()": [[2, 3], ([2], I64)],
    "LinearCrossEntropyLoss(4, 6)": [[2, 4], ([2], I64)],
    **{f"{name}()": [[2, 3], [2, 3], [2, 3]] for name in ("GaussianNLLLoss", "TripletMarginLoss")},
    "MarginRankingLoss()": [[2], [2], [2]],
    **{
        f"{name}Loss()": [[2, 3], [2, 3]]
        for name in (
            "BCE BCEWithLogits HingeEmbedding Huber KLDiv L1 MSE MultiLabelSoftMargin PoissonNLL SmoothL1 SoftMargin"
        ).split()
    },
}
HERE = {
    text: inputs for text, inputs in INPUTS.items() if hasattr(nn, text.partition("(")[0])
}  # an older torch has less
KNOWN = {
    ("MaxPool1d", "dtype"),  # without gradients the CPU takes another kernel, for floats only
    ("Fold", "dtype"),  # the piece on which it is tried has not the size that is its argument
    *((name, "empty") for name in ("PixelUnshuffle", "Upsample", "UpsamplingNearest2d")),  # a mistake in torch
}


def variants(inputs):
    """What fits; then each input with another size, rank or dtype."""
    inputs = [each if isinstance(each, tuple) else (each, torch.float32) for each in inputs]
    yield "", inputs
    for index, (shape, dtype) in enumerate(inputs):
        other = [
            *(("shape", [*shape[:at], size, *shape[at + 1 :]], dtype) for at in range(len(shape)) for size in (1, 6)),
            *(("empty", [*shape[:at], 0, *shape[at + 1 :]], dtype) for at in range(len(shape))),
            *(("shape", each, dtype) for each in ([], shape[1:], [2, *shape], [*shape, 2], [1] * 6)),
            *(("dtype", shape, each) for each in (I64, torch.bool, torch.float64, torch.bfloat16) if each is not dtype),
        ]
        for kind, *changed in other:
            yield kind, [*inputs[:index], tuple(changed), *inputs[index + 1 :]]


def outcome(layer, inputs, device):
    try:
        return None, layer(*[torch.zeros(shape, dtype=dtype, device=device) for shape, dtype in inputs])
    except Exception as error:
        return error, None


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("text", HERE)
def test_a_layer_takes_on_meta_what_it_takes_on_the_cpu_and_nothing_else(text):
    name = text.partition("(")[0]
    layer, on_meta = eval(f"nn.{text}").eval(), eval(f"nn.{text}").eval().to("meta")
    apart = []
    for kind, inputs in variants(HERE[text]):
        with torch.no_grad():
            refused, output = outcome(layer, inputs, "cpu")
            with Strict():
                refused_on_meta, output_on_meta = outcome(on_meta, inputs, "meta")
        if lacks_kernel(refused) or depends_on_data(refused_on_meta) or (name, kind) in KNOWN:
            continue
        same = refused or not isinstance(output, torch.Tensor) or output.shape == output_on_meta.shape
        if bool(refused) != bool(refused_on_meta) or not same:
            apart.append((inputs, refused, refused_on_meta))
    assert not apart


def test_every_layer_is_tried():
    containers = {"Sequential", "ModuleList", "ModuleDict"}
    assert {text.partition("(")[0] for text in HERE} | containers == set(LAYERS)


X, Y, B = (torch.zeros(shape, device="meta") for shape in ([4, 3], [3, 5], [2, 4, 3]))
I = torch.zeros(3, dtype=I64, device="meta")  # noqa: E741


@pytest.mark.parametrize(
    "call",
    [
        lambda: X.softmax(2),
        lambda: X.sort(2),
        lambda: X.argsort(-3),
        lambda: X.index_select(1, I[None]),
        lambda: X.index_select(1, X[0]),
        lambda: torch.index_add(X, 0, I, Y[:, :2]),
        lambda: torch.multinomial(X, 4),
        lambda: torch.addmm(X @ Y, X, Y[:, :1]),
        lambda: nn.functional.linear(X[:1], X[:1], X),
        lambda: nn.functional.conv_transpose1d(B, B[:, :3]),
        lambda: nn.functional.soft_margin_loss(X[:1], X),
        lambda: X @ Y.double(),
        lambda: X.long().std(),
        lambda: torch.sigmoid(X > 0) - (X > 0).softmax(1),
        lambda: nn.functional.gelu(X.long()),
        lambda: torch.relu(X > 0),
        lambda: X[:0].max(),
        lambda: torch.bernoulli(X, 3),
        lambda: torch.bernoulli(X, -1),
        lambda: torch.multinomial(X, 0),
        lambda: nn.functional.smooth_l1_loss(X, X, beta=-1),
        lambda: nn.functional.celu(X, 0),
    ],
)
def test_a_function_refuses_on_meta_what_it_refuses_on_the_cpu(call):
    call()
    with pytest.raises((RuntimeError, IndexError, ZeroDivisionError)), Strict():
        call()


@pytest.mark.parametrize(
    "call",
    [
        lambda: X.softmax(-1) + X[..., None].sort(2)[0].mean(),
        lambda: X.index_select(1, I) @ Y,
        lambda: torch.index_add(X, 0, I, Y[:, :3]),
        lambda: torch.multinomial(X, 3) + torch.multinomial(X, 9, replacement=True)[:, :3],
        lambda: torch.addmm(X[:, :1], X, Y) + torch.addmm(I.float()[:1], X, Y),
        lambda: nn.functional.conv_transpose1d(B, B[0, :, None]),
        lambda: X * I + (X > 0) + X.double() + X.long(),
        lambda: nn.functional.embedding(I, X)[:0].sum(),
        lambda: X.half() @ Y.half() + X.new_zeros(0, 4).half().sum(),
        lambda: nn.functional.one_hot(I, 4).float(),
        lambda: torch.bernoulli(torch.bernoulli(X, 1), 0) + nn.functional.celu(X, -1),
        lambda: nn.functional.smooth_l1_loss(X, X, beta=0),
    ],
)
def test_what_the_cpu_takes_passes_on_meta(call):
    with Strict():
        assert call().is_meta


def test_a_wrong_operation_is_refused_each_time():
    with Strict():
        for _ in range(2):
            with pytest.raises(RuntimeError, match="dtype"):
                X @ Y.double()


@pytest.mark.parametrize(
    ("shape", "wanted"), [((), (2,)), ((3, 1), (2, 3, 4)), ((2,), (1,)), ((2, 3), (3,)), ((0,), (1,))]
)
def test_a_shape_expands_as_in_torch(shape, wanted):
    try:
        torch.zeros(shape).expand(wanted)
    except RuntimeError:
        assert not expands(shape, wanted)
    else:
        assert expands(shape, wanted)


def test_the_largest_tensor_on_meta_is_told_and_a_view_is_no_larger_than_what_it_is_of():
    told = []
    with Strict(largest=told.append):
        x = torch.zeros(2**14, 1, device="meta")
        x.expand(2**14, 2**20).t()
        (x @ x.T).relu()
        torch.zeros(2**29, device="meta").to(torch.float64)
    assert told == [2**31, 2**32]  # of float32, and of float64
