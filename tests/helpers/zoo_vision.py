"""The vision models written by hand in ordinary PyTorch, with the attribute names of torchvision and of the papers.

Each takes the args of the config that it is the twin of, under the same names.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn


class LeNet(nn.Module):
    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.c1 = nn.Conv2d(1, 6, 5)
        self.s2 = nn.AvgPool2d(2)
        self.c3 = nn.Conv2d(6, 16, 5)
        self.s4 = nn.AvgPool2d(2)
        self.c5 = nn.Conv2d(16, 120, 5)
        self.f6 = nn.Linear(120, 84)
        self.output = nn.Linear(84, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.s2(torch.tanh(self.c1(x)))
        x = self.s4(torch.tanh(self.c3(x)))
        x = torch.flatten(torch.tanh(self.c5(x)), 1)
        return self.output(torch.tanh(self.f6(x)))


class AlexNet(nn.Module):
    def __init__(self, width: int = 64, hidden: int = 4096, classes: int = 1000, p: float = 0.5) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, width, kernel_size=11, stride=4, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),
            nn.Conv2d(width, 3 * width, kernel_size=5, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),
            nn.Conv2d(3 * width, 6 * width, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(6 * width, 4 * width, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(4 * width, 4 * width, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),
        )
        self.avgpool = nn.AdaptiveAvgPool2d((6, 6))
        self.classifier = nn.Sequential(
            nn.Dropout(p),
            nn.Linear(4 * width * 6 * 6, hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(p),
            nn.Linear(hidden, hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.avgpool(self.features(x))
        return self.classifier(torch.flatten(x, 1))


class VGG16(nn.Module):
    def __init__(
        self,
        dims: Sequence[int] = (3, 64, 128, 256, 512, 512),
        depths: Sequence[int] = (2, 2, 3, 3, 3),
        hidden: int = 4096,
        classes: int = 1000,
        p: float = 0.5,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        dim, *outs = dims
        for out, depth in zip(outs, depths, strict=True):
            for _ in range(depth):
                layers += [nn.Conv2d(dim, out, kernel_size=3, padding=1), nn.ReLU(inplace=True)]
                dim = out
            layers.append(nn.MaxPool2d(kernel_size=2, stride=2))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(
            nn.Linear(dim * 7 * 7, hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(p),
            nn.Linear(hidden, hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(p),
            nn.Linear(hidden, classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.avgpool(self.features(x))
        return self.classifier(torch.flatten(x, 1))


class BasicBlock(nn.Module):
    expansion = 1

    def __init__(self, inplanes: int, planes: int, stride: int, downsample: nn.Module | None) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inplanes, planes, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(planes, planes, kernel_size=3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += x if self.downsample is None else self.downsample(x)
        return self.relu(out)


class Bottleneck(nn.Module):
    expansion = 4

    def __init__(self, inplanes: int, planes: int, stride: int, downsample: nn.Module | None) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inplanes, planes, kernel_size=1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, planes * self.expansion, kernel_size=1, bias=False)
        self.bn3 = nn.BatchNorm2d(planes * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        out += x if self.downsample is None else self.downsample(x)
        return self.relu(out)


class ResNet(nn.Module):
    def __init__(
        self, block: type[BasicBlock | Bottleneck], stem: int, dims: Sequence[int], depths: Sequence[int], classes: int
    ) -> None:
        super().__init__()
        self.inplanes = stem
        self.conv1 = nn.Conv2d(3, stem, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.layer1 = self.stage(block, dims[0] // block.expansion, depths[0], 1)
        self.layer2 = self.stage(block, dims[1] // block.expansion, depths[1], 2)
        self.layer3 = self.stage(block, dims[2] // block.expansion, depths[2], 2)
        self.layer4 = self.stage(block, dims[3] // block.expansion, depths[3], 2)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(dims[3], classes)

    def stage(self, block: type[BasicBlock | Bottleneck], planes: int, depth: int, stride: int) -> nn.Sequential:
        out = planes * block.expansion
        downsample = None
        if stride != 1 or self.inplanes != out:
            conv = nn.Conv2d(self.inplanes, out, kernel_size=1, stride=stride, bias=False)
            downsample = nn.Sequential(conv, nn.BatchNorm2d(out))
        layers = [block(self.inplanes, planes, stride, downsample)]
        self.inplanes = out
        layers += [block(out, planes, 1, None) for _ in range(1, depth)]
        return nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(torch.flatten(self.avgpool(x), 1))


def resnet18(
    stem: int = 64, dims: Sequence[int] = (64, 128, 256, 512), depths: Sequence[int] = (2, 2, 2, 2), classes: int = 1000
) -> nn.Module:
    return ResNet(BasicBlock, stem, dims, depths, classes)


def resnet50(
    stem: int = 64,
    dims: Sequence[int] = (256, 512, 1024, 2048),
    depths: Sequence[int] = (3, 4, 6, 3),
    classes: int = 1000,
) -> nn.Module:
    return ResNet(Bottleneck, stem, dims, depths, classes)


class ConvNormActivation(nn.Sequential):
    def __init__(self, dim: int, out: int, kernel_size: int, stride: int = 1, groups: int = 1) -> None:
        padding = (kernel_size - 1) // 2
        super().__init__(
            nn.Conv2d(dim, out, kernel_size, stride, padding, groups=groups, bias=False),
            nn.BatchNorm2d(out),
            nn.ReLU6(inplace=True),
        )


class InvertedResidual(nn.Module):
    def __init__(self, dim: int, out: int, stride: int, expand_ratio: int) -> None:
        super().__init__()
        hidden = dim * expand_ratio
        self.use_res_connect = stride == 1 and dim == out
        layers: list[nn.Module] = [] if expand_ratio == 1 else [ConvNormActivation(dim, hidden, 1)]
        layers += [
            ConvNormActivation(hidden, hidden, 3, stride, groups=hidden),
            nn.Conv2d(hidden, out, 1, bias=False),
            nn.BatchNorm2d(out),
        ]
        self.conv = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.use_res_connect else self.conv(x)


class MobileNetV2(nn.Module):
    def __init__(
        self,
        dims: Sequence[int] = (32, 16, 24, 32, 64, 96, 160, 320, 1280),
        depths: Sequence[int] = (1, 2, 3, 4, 3, 3, 1),
        strides: Sequence[int] = (1, 2, 2, 2, 1, 2, 1),
        expand: Sequence[int] = (1, 6, 6, 6, 6, 6, 6),
        classes: int = 1000,
        p: float = 0.2,
    ) -> None:
        super().__init__()
        first, *_, before, last = dims
        layers: list[nn.Module] = [ConvNormActivation(3, first, 3, 2)]
        dim = first
        for out, ratio, depth, stride in zip(dims[1:-1], expand, depths, strides, strict=True):
            for index in range(depth):
                layers.append(InvertedResidual(dim, out, stride if index == 0 else 1, ratio))
                dim = out
        layers.append(ConvNormActivation(before, last, 1))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Dropout(p), nn.Linear(last, classes))

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.adaptive_avg_pool2d(self.features(x), (1, 1))
        return self.classifier(torch.flatten(x, 1))


class DenseLayer(nn.Module):
    def __init__(self, dim: int, growth: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(dim)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv1 = nn.Conv2d(dim, 4 * growth, kernel_size=1, bias=False)
        self.norm2 = nn.BatchNorm2d(4 * growth)
        self.relu2 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(4 * growth, growth, kernel_size=3, padding=1, bias=False)

    def forward(self, features: list[Tensor]) -> Tensor:
        x = self.conv1(self.relu1(self.norm1(torch.cat(features, 1))))
        return self.conv2(self.relu2(self.norm2(x)))


class DenseBlock(nn.ModuleDict):
    def __init__(self, depth: int, dim: int, growth: int) -> None:
        super().__init__({f"denselayer{i + 1}": DenseLayer(dim + i * growth, growth) for i in range(depth)})

    def forward(self, x: Tensor) -> Tensor:
        features = [x]
        for layer in self.values():
            features.append(layer(features))
        return torch.cat(features, 1)


class Transition(nn.Sequential):
    def __init__(self, dim: int, out: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(dim)
        self.relu = nn.ReLU(inplace=True)
        self.conv = nn.Conv2d(dim, out, kernel_size=1, bias=False)
        self.pool = nn.AvgPool2d(kernel_size=2, stride=2)


class DenseNet(nn.Module):
    def __init__(
        self, growth: int = 32, depths: Sequence[int] = (6, 12, 24, 16), dim1: int = 64, classes: int = 1000
    ) -> None:
        super().__init__()
        self.features = nn.Sequential(
            OrderedDict(
                conv0=nn.Conv2d(3, dim1, kernel_size=7, stride=2, padding=3, bias=False),
                norm0=nn.BatchNorm2d(dim1),
                relu0=nn.ReLU(inplace=True),
                pool0=nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
            )
        )
        dim = dim1
        for index, depth in enumerate(depths, start=1):
            self.features.add_module(f"denseblock{index}", DenseBlock(depth, dim, growth))
            dim += depth * growth
            if index < len(depths):
                self.features.add_module(f"transition{index}", Transition(dim, dim // 2))
                dim //= 2
        self.features.add_module("norm5", nn.BatchNorm2d(dim))
        self.classifier = nn.Linear(dim, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.relu(self.features(x), inplace=True)
        x = nn.functional.adaptive_avg_pool2d(x, (1, 1))
        return self.classifier(torch.flatten(x, 1))


class MLPBlock(nn.Sequential):
    def __init__(self, dim: int, hidden: int, p: float) -> None:
        super().__init__(nn.Linear(dim, hidden), nn.GELU(), nn.Dropout(p), nn.Linear(hidden, dim), nn.Dropout(p))


class EncoderBlock(nn.Module):
    def __init__(self, dim: int, num_heads: int, hidden: int, p: float) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(dim, eps=1e-6)
        self.self_attention = nn.MultiheadAttention(dim, num_heads, batch_first=True)
        self.dropout = nn.Dropout(p)
        self.ln_2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = MLPBlock(dim, hidden, p)

    def forward(self, input: Tensor) -> Tensor:
        x = self.ln_1(input)
        x, _ = self.self_attention(x, x, x, need_weights=False)
        x = self.dropout(x) + input
        return x + self.mlp(self.ln_2(x))


class Encoder(nn.Module):
    def __init__(self, length: int, depth: int, dim: int, num_heads: int, hidden: int, p: float) -> None:
        super().__init__()
        self.pos_embedding = nn.Parameter(torch.empty(1, length, dim).normal_(std=0.02))
        self.dropout = nn.Dropout(p)
        blocks = OrderedDict((f"encoder_layer_{i}", EncoderBlock(dim, num_heads, hidden, p)) for i in range(depth))
        self.layers = nn.Sequential(blocks)
        self.ln = nn.LayerNorm(dim, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        return self.ln(self.layers(self.dropout(x + self.pos_embedding)))


class VisionTransformer(nn.Module):
    def __init__(
        self,
        image: int = 224,
        patch: int = 16,
        dim: int = 768,
        depth: int = 12,
        num_heads: int = 12,
        hidden: int = 3072,
        classes: int = 1000,
        p: float = 0.0,
    ) -> None:
        super().__init__()
        self.dim = dim
        self.conv_proj = nn.Conv2d(3, dim, kernel_size=patch, stride=patch)
        self.class_token = nn.Parameter(torch.randn(1, 1, dim))
        self.encoder = Encoder((image // patch) ** 2 + 1, depth, dim, num_heads, hidden, p)
        self.heads = nn.Sequential(OrderedDict(head=nn.Linear(dim, classes)))

    def forward(self, x: Tensor) -> Tensor:
        n = x.shape[0]
        x = self.conv_proj(x).reshape(n, self.dim, -1).permute(0, 2, 1)
        x = torch.cat([self.class_token.expand(n, -1, -1), x], dim=1)
        x = self.encoder(x)
        return self.heads(x[:, 0])


class Twice(nn.Sequential):
    def __init__(self, dim: int, out: int) -> None:
        super().__init__(
            nn.Conv2d(dim, out, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(out, out, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
        )


class Level(nn.Module):
    def __init__(self, dim: int, width: int, depth: int) -> None:
        super().__init__()
        self.down = Twice(dim, width)
        self.pool = nn.MaxPool2d(2)
        self.inner = Level(width, 2 * width, depth - 1) if depth > 1 else Twice(width, 2 * width)
        self.up = nn.ConvTranspose2d(2 * width, width, 2, stride=2)
        self.join = Twice(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        skip = self.down(x)
        x = self.inner(self.pool(skip))
        x = self.up(x, output_size=skip.shape[2:])
        return self.join(torch.cat([skip, x], dim=1))


class UNet(nn.Module):
    def __init__(self, channels: int = 1, width: int = 64, depth: int = 4, classes: int = 2) -> None:
        super().__init__()
        self.net = Level(channels, width, depth)
        self.out = nn.Conv2d(width, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.net(x))


class VAE(nn.Module):
    def __init__(self, dim: int = 784, width: int = 500, latent: int = 20) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(dim, width), nn.Tanh())
        self.mean = nn.Linear(width, latent)
        self.log_variance = nn.Linear(width, latent)
        self.decoder = nn.Sequential(nn.Linear(latent, width), nn.Tanh(), nn.Linear(width, dim), nn.Sigmoid())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = self.encoder(x)
        mean, log_variance = self.mean(h), self.log_variance(h)
        noise = torch.randn_like(mean)
        z = mean + torch.exp(log_variance / 2) * noise
        divergence = torch.sum(mean.pow(2) + log_variance.exp() - log_variance - 1, dim=1) / 2
        return self.decoder(z), divergence


@dataclass(frozen=True, kw_only=True)
class Twin:
    """What stands beside a file of `conf/model`.

    Attributes:
        make: the twin, from the args of the config.
        init: the file of `conf/init` with the published initialisation.
        parameters: the published number.
        small: args for tests that compute something.
        image: the shape of a batch for these.
        exact: whether both compute the same operations in the same order, so that not a bit may differ.
    """

    make: Callable[..., nn.Module]
    init: str
    parameters: int
    small: dict[str, Any] = field(default_factory=dict)
    image: tuple[int, ...]
    exact: bool = True

    @property
    def overrides(self) -> tuple[str, ...]:
        """The small args as they are typed."""
        return tuple(f"model.args.{name}={value}" for name, value in self.small.items())


TWINS: dict[str, Twin] = {
    "lenet": Twin(make=LeNet, init="lenet", parameters=61_706, image=(3, 1, 32, 32)),
    "alexnet": Twin(
        make=AlexNet,
        init="alexnet",
        parameters=61_100_840,
        small={"width": 4, "hidden": 32, "classes": 10},
        image=(3, 3, 95, 63),
    ),
    "vgg16": Twin(
        make=VGG16,
        init="vgg",
        parameters=138_357_544,
        small={"dims": [3, 4, 6, 8, 10, 12], "depths": [1, 2, 1, 3, 1], "hidden": 32, "classes": 10},
        image=(3, 3, 32, 48),
    ),
    "resnet18": Twin(
        make=resnet18,
        init="resnet",
        parameters=11_689_512,
        small={"stem": 8, "dims": [8, 16, 24, 40], "depths": [1, 2, 3, 1], "classes": 10},
        image=(3, 3, 64, 40),
    ),
    "resnet50": Twin(
        make=resnet50,
        init="resnet",
        parameters=25_557_032,
        small={"stem": 8, "dims": [32, 48, 64, 80], "depths": [2, 1, 3, 1], "classes": 10},
        image=(3, 3, 64, 40),
    ),
    "mobilenet_v2": Twin(
        make=MobileNetV2,
        init="mobilenet",
        parameters=3_504_872,
        small={"dims": [8, 4, 6, 8, 10, 12, 14, 16, 32], "depths": [1, 2, 1, 2, 1, 3, 1], "classes": 10},
        image=(3, 3, 64, 40),
    ),
    "densenet121": Twin(
        make=DenseNet,
        init="densenet",
        parameters=7_978_856,
        small={"growth": 4, "depths": [2, 3, 1, 2], "dim1": 16, "classes": 10},
        image=(3, 3, 64, 40),
        exact=False,
    ),
    "vit_b_16": Twin(
        make=VisionTransformer,
        init="vit",
        parameters=86_567_656,
        small={"image": 24, "patch": 8, "dim": 32, "depth": 3, "num_heads": 4, "hidden": 48, "classes": 10, "p": 0.2},
        image=(3, 3, 24, 24),
    ),
    "unet": Twin(
        make=UNet,
        init="unet",
        parameters=31_030_658,
        small={"channels": 2, "width": 4, "depth": 3},
        image=(2, 2, 34, 28),
    ),
    "vae": Twin(make=VAE, init="vae", parameters=815_824, small={"dim": 30, "width": 20, "latent": 4}, image=(3, 30)),
}
