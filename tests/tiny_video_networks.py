"""TorchScript programs with the interfaces of the Inception and I3D files that generated videos are measured with.

Their filters are random, so a feature means nothing; but it depends on all pixels, and those of a video on their order.
"""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

WIDTH, CLASSES = 12, 5


class FrameNetwork(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.filters = nn.Conv2d(3, WIDTH, 5, stride=3)
        self.classes = nn.Linear(WIDTH, CLASSES)

    def forward(self, pictures: Tensor, return_features: bool = False, no_output_bias: bool = False) -> Tensor:
        assert pictures.dtype == torch.uint8
        small = functional.interpolate(pictures.float() / 255, [48, 48], mode="bilinear")
        features = torch.relu(self.filters(small)).mean((2, 3))
        if return_features:
            return features
        scores = functional.linear(features, self.classes.weight)
        if not no_output_bias:
            scores = scores + self.classes.bias
        return torch.softmax(scores, dim=1)


class VideoNetwork(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.filters = nn.Conv3d(3, WIDTH, [3, 5, 5], stride=[1, 4, 4])

    def forward(self, video: Tensor, rescale: bool, resize: bool, return_features: bool) -> Tensor:
        assert not rescale
        assert not resize
        assert return_features
        assert float(video.min()) >= -1
        small = functional.interpolate(video, [video.size(2), 56, 56], mode="trilinear")
        return torch.relu(self.filters(small)).mean((2, 3, 4))


def _saved(network: nn.Module, path: Path) -> Path:
    torch.jit.script(network.eval()).save(str(path))
    return path


def tiny_inception(path: Path) -> Path:
    torch.manual_seed(0)
    return _saved(FrameNetwork(), path)


def tiny_i3d(path: Path) -> Path:
    torch.manual_seed(1)
    return _saved(VideoNetwork(), path)
