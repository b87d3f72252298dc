"""The paper's video denoiser: the denoiser of a text-to-image latent diffusion model, inflated to video.

What stays `diffusers`' own, because it is the same thing:

* 3x3 convolutions that become 1x3x3: they are applied to each frame by itself, so frames are rows of the batch;
* cross-attention to the text and the MLP, each frame by itself;
* the multi-head attention and the sinusoidal positions that the temporal attention consists of.

What is ours, because `diffusers` has something else (its motion modules do not begin as the identity and have an MLP of
their own, and its cross-frame attention reads the first frame):

* sparse spatio-temporal attention in place of spatial self-attention: queries of a frame, keys and values of the frame
  before and of the frame itself; the first frame stands in for the one before it;
* temporal attention at the end of each block, with an output of zeros at the beginning.

The paper lets each frame read the same text. Then "to the left" says the same to the first frame as to the last, and
where a figure is in a frame can only come from what deeper layers make of both. Our addition is `TextOfFrames`: before
cross-attention an MLP reads each token together with the number of the frame, and adds to the token. Its output is
zeros where an image model begins.

The paper does not say what the first step does to a pretrained image model: with the keys of two different frames it
would already generate other pictures. Our addition is one learnt number for each block, `gate`: attention is
own + gate · (both - own), where `own` reads the frame alone and `both` is the paper's. 0 at the beginning gives exactly
what the image model gives, frame by frame; 1 is the paper's, from which models with random weights begin.

A new image model may know a frame by its number as well (`class_embed_type`), which is embedded like the time of
diffusion and reaches all its blocks, and may read where in the picture it is (`places`), which convolutions otherwise
have to infer from the edges. Stable Diffusion has neither.

Names of parameters: those of the image model are kept, but for `.spatial.` in the blocks that were wrapped.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.attention_processor import Attention
from diffusers.models.embeddings import SinusoidalPositionalEmbedding, get_timestep_embedding
from torch import Tensor, nn
from torch.nn import functional

SPATIAL = "spatial."  # in names of parameters that the image model has too
TEXT_OF_FRAMES = "text_of_frames"
CLOSED, OPEN = 0.0, 1.0
# Numbers of frames are spread over the times that the embeddings of `diffusers` are made for: neighbours then differ.
TIMES = 1000


class SparseSpatioTemporalAttention(nn.Module):
    """What computes a block's self-attention: a processor of `diffusers`' `Attention`, whose matrices it uses."""

    def __init__(self, frames: int, gate: float) -> None:
        super().__init__()
        self.frames = frames
        self.gate = nn.Parameter(torch.tensor(gate))

    def forward(self, attention: Attention, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """hidden_states: [b·t, l, c]. Returns the same shape."""
        query, key, value = (
            project(hidden_states).unflatten(-1, (attention.heads, -1)).transpose(1, 2)  # [b·t, heads, l, c / heads]
            for project in (attention.to_q, attention.to_k, attention.to_v)
        )
        own = functional.scaled_dot_product_attention(query, key, value)
        keys, values = (torch.cat([self._before(each), each], dim=2) for each in (key, value))
        both = functional.scaled_dot_product_attention(query, keys, values)
        mixed = own + self.gate.to(own.dtype) * (both - own)
        projected = attention.to_out[0](mixed.transpose(1, 2).flatten(2))
        return attention.to_out[1](projected)

    def _before(self, states: Tensor) -> Tensor:
        """Returns for each frame the states of the one before it; for the first its own."""
        by_frame = states.unflatten(0, (-1, self.frames))
        return torch.cat([by_frame[:, :1], by_frame[:, :-1]], dim=1).flatten(0, 1)


class TemporalAttention(nn.Module):
    """Attention over the frames, at each place by itself; it adds nothing before it is trained."""

    def __init__(self, width: int, heads: int, head_width: int, frames: int) -> None:
        super().__init__()
        self.frames = frames
        self.norm = nn.LayerNorm(width)
        self.position = SinusoidalPositionalEmbedding(width, max_seq_length=frames)
        self.attention = Attention(query_dim=width, heads=heads, dim_head=head_width)
        nn.init.zeros_(self.attention.to_out[0].weight)
        nn.init.zeros_(self.attention.to_out[0].bias)

    def forward(self, hidden_states: Tensor) -> Tensor:
        """hidden_states: [b·t, l, c]. Returns the same shape."""
        by_place = hidden_states.unflatten(0, (-1, self.frames)).transpose(1, 2)  # [b, l, t, c]
        rows = by_place.flatten(0, 1)
        attended = self.attention(self.position(self.norm(rows)))
        return (rows + attended).view(by_place.shape).transpose(1, 2).flatten(0, 1)


class VideoBlock(nn.Module):
    """A block of the image model, with sparse spatio-temporal attention in it, and temporal attention after it."""

    def __init__(self, block: BasicTransformerBlock, frames: int, gate: float) -> None:
        super().__init__()
        block.attn1.set_processor(SparseSpatioTemporalAttention(frames, gate))
        self.spatial = block
        self.temporal = TemporalAttention(block.dim, block.num_attention_heads, block.attention_head_dim, frames)

    def forward(self, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return self.temporal(self.spatial(hidden_states, *args, **kwargs))


# Channels of `places`: sine and cosine of three frequencies along height and width.
PLACE_CHANNELS = 12


def places(height: int, width: int) -> Tensor:
    """Returns [PLACE_CHANNELS, height, width]: where in the picture a latent is."""
    angles = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    return torch.stack(
        [wave(k * torch.pi / 2 * along) for along in angles for k in (1, 2, 3) for wave in (torch.sin, torch.cos)]
    )


def frame_times(frames: int) -> Tensor:
    """Returns [frames]: the number of each frame on the scale of times of diffusion."""
    return torch.arange(frames) * (TIMES / frames)


class TextOfFrames(nn.Module):
    """What each frame reads of a text: its tokens, each changed by an MLP that knows the token and the frame's number.

    gate: CLOSED: all frames read the text as it is, until this is trained.
    """

    embedded: Tensor

    def __init__(self, width: int, frames: int, gate: float) -> None:
        super().__init__()
        self.register_buffer("embedded", get_timestep_embedding(frame_times(frames), width), persistent=False)
        self.norm = nn.LayerNorm(width)
        self.hidden = nn.Linear(2 * width, 4 * width)
        self.out = nn.Linear(4 * width, width)
        if gate == CLOSED:
            nn.init.zeros_(self.out.weight)
            nn.init.zeros_(self.out.bias)

    def forward(self, text: Tensor) -> Tensor:
        """text: [b, tokens, width]. Returns [b·t, tokens, width]."""
        frames, width = self.embedded.shape
        shape = (len(text), frames, text.shape[1], width)
        tokens = self.norm(text)[:, None].expand(shape)
        numbers = self.embedded.to(tokens.dtype)[None, :, None].expand(shape)
        changes = self.out(functional.gelu(self.hidden(torch.cat([tokens, numbers], dim=-1))))
        return (text[:, None] + changes).flatten(0, 1)


class VideoDenoiser(nn.Module):
    """An image model's denoiser, inflated to videos of so many frames. It changes the given network in place.

    gate: of the attention to the frame before, and of what a frame's number does to the text: CLOSED for pretrained
    weights, OPEN for random ones.
    Raises ValueError for a network that has no transformer blocks, or of another kind.
    """

    def __init__(self, image_denoiser: UNet2DConditionModel, frames: int, *, gate: float) -> None:
        super().__init__()
        self.frames = frames
        self.unet = image_denoiser
        blocks = [
            (module, number)
            for module in image_denoiser.modules()
            if isinstance(module, nn.ModuleList)
            for number, block in enumerate(module)
            if isinstance(block, BasicTransformerBlock)
        ]
        if not blocks:
            raise ValueError("this denoiser has no transformer blocks: it reads no text, or is no Stable Diffusion")
        for blocks_of_layer, number in blocks:
            blocks_of_layer[number] = VideoBlock(blocks_of_layer[number], frames, gate)
        config = image_denoiser.config
        # It belongs to the network that was given: its weights are saved and listed together.
        image_denoiser.text_of_frames = TextOfFrames(config.encoder_hid_dim or config.cross_attention_dim, frames, gate)

    def forward(self, latents: Tensor, timesteps: Tensor, text: Tensor) -> Tensor:
        """Predicts noise or velocity. latents: [b, t, c, h, w]. timesteps: [b]. text: [b, tokens, width]."""
        numbers = frame_times(self.frames).to(latents.device).repeat(len(latents))
        rows = latents.flatten(0, 1)
        if self.unet.config.in_channels == rows.shape[1] + PLACE_CHANNELS:
            where = places(*rows.shape[2:]).to(rows)
            rows = torch.cat([rows, where.expand(len(rows), -1, -1, -1)], dim=1)
        rows = self.unet(
            rows,
            timesteps.repeat_interleave(self.frames),
            self.unet.text_of_frames(text),
            class_labels=numbers if self.unet.config.class_embed_type == "timestep" else None,
        ).sample
        return rows.view(latents.shape)


@dataclass(frozen=True)
class ListedParameter:
    """A parameter of the inflated denoiser. image_name: its name in the image model; None: it was added."""

    name: str
    shape: tuple[int, ...]
    image_name: str | None


def listed_parameters(denoiser: VideoDenoiser) -> Iterator[ListedParameter]:
    """Yields every parameter, in the order of the network: each is either the image model's or was added."""
    for name, parameter in denoiser.unet.named_parameters():
        is_added = (
            ".temporal." in name or name.endswith("attn1.processor.gate") or name.startswith(f"{TEXT_OF_FRAMES}.")
        )
        yield ListedParameter(name, tuple(parameter.shape), None if is_added else name.replace(SPATIAL, ""))


def set_trained(denoiser: VideoDenoiser, trained: str) -> None:
    """Sets which parameters are trained: all, or those that were added."""
    parameters = dict(denoiser.unet.named_parameters())
    for listed in listed_parameters(denoiser):
        parameters[listed.name].requires_grad_(trained == "all" or listed.image_name is None)
