"""The two towers of a checkpoint as networks of their own: bytes and token ids in, vectors of length one out."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from internvid.viclip.checkpoint import Checkpoint
from internvid.viclip.model import patches_of

VIDEO_INPUT, TEXT_INPUT, OUTPUT = "pixels", "token_ids", "vectors"


class VideoTower(nn.Module):
    """Normalises frames and embeds them, as `internvid.viclip.encoder.Encoder` does."""

    mean: Tensor
    std: Tensor

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__()
        preprocessing = checkpoint.preprocessing
        self.patch_size = checkpoint.model.config.patch_size
        self.encoder = checkpoint.model.vision_encoder.eval()
        self.register_buffer("mean", torch.tensor(preprocessing.mean)[:, None, None] * 255)
        self.register_buffer("std", torch.tensor(preprocessing.std)[:, None, None] * 255)

    def forward(self, pixels: Tensor) -> Tensor:
        """pixels: [clips, frames, 3, side, side] uint8 RGB. Returns [clips, d]."""
        patches = patches_of((pixels.float() - self.mean) / self.std, self.patch_size, None)
        return functional.normalize(self.encoder(patches, pixels.shape[1], None, None), dim=1)


class TextTower(nn.Module):
    """Embeds token ids."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__()
        self.encoder = checkpoint.model.text_encoder.eval()

    def forward(self, token_ids: Tensor) -> Tensor:
        """token_ids: [texts, context_length] int64. Returns [texts, d]."""
        return functional.normalize(self.encoder(token_ids), dim=1)
