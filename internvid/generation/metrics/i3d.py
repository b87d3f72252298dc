"""I3D (Carreira and Zisserman, 2017): Inception-v1 with its filters inflated over time, of 400 classes of Kinetics.

Parameters have the names of the files of weights for PyTorch that are passed on (`i3d_pretrained_400.pt`,
`rgb_imagenet.pt`). Padding is TensorFlow's: as much as gives ceil(size / stride) outputs, the odd element at the end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

CLASSES = 400
SIDE = 224  # pixels of a frame
MIN_FRAMES = 9  # fewer are one step of time before the last pooling, which takes two

Size = tuple[int, int, int]  # of time, height and width

# Module -> channels: in, then of the branches 1x1; 1x1 and 3x3; 1x1 and 3x3; pooled and 1x1.
_MIXED: dict[str, tuple[int, tuple[int, int, int, int, int, int]]] = {
    "Mixed_3b": (192, (64, 96, 128, 16, 32, 32)),
    "Mixed_3c": (256, (128, 128, 192, 32, 96, 64)),
    "Mixed_4b": (480, (192, 96, 208, 16, 48, 64)),
    "Mixed_4c": (512, (160, 112, 224, 24, 64, 64)),
    "Mixed_4d": (512, (128, 128, 256, 24, 64, 64)),
    "Mixed_4e": (512, (112, 144, 288, 32, 64, 64)),
    "Mixed_4f": (528, (256, 160, 320, 32, 128, 128)),
    "Mixed_5b": (832, (256, 160, 320, 32, 128, 128)),
    "Mixed_5c": (832, (384, 192, 384, 48, 128, 128)),
}


def _padded(video: Tensor, kernel: Size, stride: Size) -> Tensor:
    padding: list[int] = []
    for size, width, step in reversed(list(zip(video.shape[2:], kernel, stride, strict=True))):
        missing = max((-(-size // step) - 1) * step + width - size, 0)
        padding += [missing // 2, missing - missing // 2]
    return functional.pad(video, padding)


class Unit(nn.Module):
    """A convolution with batch normalisation and ReLU; the last one of the network has a bias instead of both."""

    def __init__(self, inputs: int, outputs: int, kernel: Size, stride: Size = (1, 1, 1), *, is_last: bool = False):
        super().__init__()
        self.kernel, self.stride = kernel, stride
        self.conv3d = nn.Conv3d(inputs, outputs, kernel, stride, bias=is_last)
        self.bn = None if is_last else nn.BatchNorm3d(outputs, eps=1e-3)

    def forward(self, video: Tensor) -> Tensor:
        out = self.conv3d(_padded(video, self.kernel, self.stride))
        return out if self.bn is None else torch.relu(self.bn(out))


class Pool(nn.Module):
    """A maximum over places. Padding is zeros, as of the published network, whose inputs are at least 0 here."""

    def __init__(self, kernel: Size, stride: Size):
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, video: Tensor) -> Tensor:
        return functional.max_pool3d(_padded(video, self.kernel, self.stride), self.kernel, self.stride)


class Mixed(nn.Module):
    """Four branches, whose channels are joined."""

    def __init__(self, inputs: int, channels: Sequence[int]):
        super().__init__()
        point, cube = (1, 1, 1), (3, 3, 3)
        self.b0 = Unit(inputs, channels[0], point)
        self.b1a, self.b1b = Unit(inputs, channels[1], point), Unit(channels[1], channels[2], cube)
        self.b2a, self.b2b = Unit(inputs, channels[3], point), Unit(channels[3], channels[4], cube)
        self.b3a, self.b3b = Pool(cube, point), Unit(inputs, channels[5], point)

    def forward(self, video: Tensor) -> Tensor:
        branches = self.b0(video), self.b1b(self.b1a(video)), self.b2b(self.b2a(video)), self.b3b(self.b3a(video))
        return torch.cat(branches, dim=1)


class I3D(nn.Module):
    """Returns the scores of classes before softmax, the mean over time, [n, 400].

    Input: [n, 3, frames, 224, 224] float, RGB in -1..1, at least MIN_FRAMES frames.
    """

    def __init__(self) -> None:
        super().__init__()
        layers: dict[str, nn.Module] = {
            "Conv3d_1a_7x7": Unit(3, 64, (7, 7, 7), (2, 2, 2)),
            "MaxPool3d_2a_3x3": Pool((1, 3, 3), (1, 2, 2)),
            "Conv3d_2b_1x1": Unit(64, 64, (1, 1, 1)),
            "Conv3d_2c_3x3": Unit(64, 192, (3, 3, 3)),
            "MaxPool3d_3a_3x3": Pool((1, 3, 3), (1, 2, 2)),
            **{name: Mixed(*_MIXED[name]) for name in ("Mixed_3b", "Mixed_3c")},
            "MaxPool3d_4a_3x3": Pool((3, 3, 3), (2, 2, 2)),
            **{name: Mixed(*_MIXED[name]) for name in _MIXED if name.startswith("Mixed_4")},
            "MaxPool3d_5a_2x2": Pool((2, 2, 2), (2, 2, 2)),
            **{name: Mixed(*_MIXED[name]) for name in ("Mixed_5b", "Mixed_5c")},
        }
        self.order = tuple(layers)
        for name, layer in layers.items():
            self.add_module(name, layer)
        self.logits = Unit(1024, CLASSES, (1, 1, 1), is_last=True)

    def forward(self, video: Tensor) -> Tensor:
        for name in self.order:
            video = self.get_submodule(name)(video)
        pooled = functional.avg_pool3d(video, (2, 7, 7), stride=1)
        return self.logits(pooled).flatten(2).mean(dim=2)


def i3d_of(weights: Mapping[str, Tensor]) -> I3D:
    """Returns the network with these weights, in evaluation mode. Raises ValueError naming what does not fit."""
    with torch.device("meta"):
        network = I3D()
    given = {name: value for name, value in weights.items() if not name.endswith("num_batches_tracked")}
    expected = {name: v for name, v in network.state_dict().items() if not name.endswith("num_batches_tracked")}
    if given.keys() != expected.keys():
        different = sorted(given.keys() ^ expected.keys())
        raise ValueError(f"these are not the weights of I3D with 400 classes: {', '.join(different[:5])}")
    for name, value in given.items():
        if value.shape != expected[name].shape:
            raise ValueError(f"{name} is {list(value.shape)}, not {list(expected[name].shape)} as in I3D")
    network = network.to_empty(device="cpu")
    network.load_state_dict(given, strict=False)
    return network.eval()
