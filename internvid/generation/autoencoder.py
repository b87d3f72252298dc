"""What makes latents of frames, and frames of latents: Stable Diffusion's autoencoder, or a linear one.

The linear one has no training by steps. It projects patches of pixels on their principal components: the optimum of a
linear variational autoencoder, which is known in closed form (probabilistic PCA). It suits small pictures of flat
colours, and it is there in a second where a convolutional one takes minutes of a small machine.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn
from torch.nn import functional


class ImageModelAutoencoder(nn.Module):
    """The autoencoder of an image model. Latents are the means of its distributions, scaled as the model wants them."""

    def __init__(self, network: AutoencoderKL) -> None:
        super().__init__()
        self.network = network

    @property
    def channels(self) -> int:
        return self.network.config.latent_channels

    @property
    def pixels_per_latent(self) -> int:
        """Of a side."""
        return 2 ** (len(self.network.config.block_out_channels) - 1)

    def latents(self, pixels: Tensor) -> Tensor:
        """[n, 3, h, w], from -1 to 1 -> [n, c, h / p, w / p]"""
        config = self.network.config
        return (self.network.encode(pixels).latent_dist.mean - (config.shift_factor or 0.0)) * config.scaling_factor

    def pixels(self, latents: Tensor) -> Tensor:
        config = self.network.config
        return self.network.decode(latents / config.scaling_factor + (config.shift_factor or 0.0)).sample


class PatchAutoencoder(nn.Module):
    """Latents are the principal components of patches of pixels, all scaled alike to a mean square of 1."""

    components: Tensor
    centre: Tensor
    scale: Tensor

    def __init__(self, patch: int, channels: int) -> None:
        super().__init__()
        self.pixels_per_latent, self.channels = patch, channels
        values = 3 * patch * patch
        self.register_buffer("components", torch.eye(values)[:channels].clone())
        self.register_buffer("centre", torch.zeros(values))
        self.register_buffer("scale", torch.ones(()))

    @torch.no_grad()
    def fit(self, pixels: Iterable[Tensor]) -> None:
        """Finds the components. pixels: batches of frames, [n, 3, h, w] from -1 to 1."""
        values = len(self.centre)
        count, total = 0, torch.zeros(values, dtype=torch.float64)
        products = torch.zeros(values, values, dtype=torch.float64)
        for batch in pixels:
            patches = functional.unfold(batch.cpu().double(), self.pixels_per_latent, stride=self.pixels_per_latent)
            rows = patches.transpose(1, 2).flatten(0, 1)
            count, total, products = count + len(rows), total + rows.sum(0), products + rows.T @ rows
        centre = total / count
        variances, vectors = torch.linalg.eigh(products / count - torch.outer(centre, centre))  # smallest first
        components = vectors.T.flip(0)[: self.channels]
        # A vector and its opposite are the same component: the larger values of each are made positive.
        components = components * components.gather(1, components.abs().argmax(1, keepdim=True)).sign()
        deviation = variances.flip(0)[: self.channels].clamp(min=0).mean().sqrt()
        self.components.copy_(components)
        self.centre.copy_(centre)
        self.scale.copy_(deviation.clamp(min=1e-3))

    def latents(self, pixels: Tensor) -> Tensor:
        """[n, 3, h, w], from -1 to 1 -> [n, c, h / p, w / p]"""
        patches = functional.unfold(pixels, self.pixels_per_latent, stride=self.pixels_per_latent)
        latents = self.components @ (patches - self.centre[:, None]) / self.scale
        return latents.unflatten(2, (pixels.shape[2] // self.pixels_per_latent, -1))

    def pixels(self, latents: Tensor) -> Tensor:
        patches = self.components.T @ (latents.flatten(2) * self.scale) + self.centre[:, None]
        size = (latents.shape[2] * self.pixels_per_latent, latents.shape[3] * self.pixels_per_latent)
        return functional.fold(patches, size, self.pixels_per_latent, stride=self.pixels_per_latent)
