"""The ViCLIP network: CLIP with an image tower that attends to the patches of all frames jointly.

Sizes are in `config`, reading and writing of weights in `weights`, the loss in `loss`.

Shapes: b clips, t frames, n patches per frame, l = n·t video tokens, k kept tokens, w width of a tower, d width of
the joint embedding. Video tokens are in n-major, t-minor order: the token of patch i in frame j has index i·t + j.
Parameters have the names and shapes of the released checkpoints.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from internvid.viclip.config import Activation, ViCLIPConfig

MIN_TEMPERATURE = 0.01  # similarities are scaled by 100 at most; the paper starts there

# What the backward pass computes again instead of keeping it, with the additional computation for it: nothing; the
# activations of the MLPs (element by element, next to nothing); the MLPs up to them (a ninth of a step, and half of the
# memory); whole blocks (a third of a step, and nearly all of the memory).
Recompute = Literal["nothing", "activations", "mlp", "blocks"]

# Standard deviation of the spatial and temporal embeddings of a model that is trained from scratch: the same size as
# the patch embeddings. CLIP's 0.09 and zeros suit pretrained towers; with them benchmarks/learning.py needed more steps
# to learn motion.
POSITION_STD = 0.5


def random_keep(
    config: ViCLIPConfig, *, batch: int, frames: int, mask_ratio: float, generator: torch.Generator
) -> Tensor:
    """Draws the video tokens that masking keeps: [batch, k] int64 in ascending order, uniformly at random.

    k = l - int(mask_ratio·l). The result is on the generator's device.
    Raises ValueError unless 0 <= mask_ratio < 1.
    """
    if not 0 <= mask_ratio < 1:
        raise ValueError(f"a mask ratio of {mask_ratio} is not in 0 <= ratio < 1")
    tokens = config.patches_per_frame * frames
    kept_tokens = tokens - int(mask_ratio * tokens)
    sort_keys = torch.rand(batch, tokens, generator=generator, device=generator.device)
    return sort_keys.topk(kept_tokens, sorted=False).indices.sort().values


def path_scales(random_values: Tensor, drop_path: float) -> Tensor:
    """Returns the factors of stochastic depth: [b, 2 · layers], for each block's attention and MLP.

    A dropped branch has the factor 0; the others are scaled up to keep the mean. The drop rate rises linearly from 0
    in the first block to `drop_path` in the last.
    random_values: [b, 2 · layers] in 0..1, drawn by the caller, so that they do not depend on how a batch is divided.
    """
    layers = random_values.shape[1] // 2
    rates = torch.arange(layers, device=random_values.device) * (drop_path / max(layers - 1, 1))
    rates = rates.repeat_interleave(2)
    return (random_values >= rates) / (1 - rates)


def patches_of(video: Tensor, patch_size: int, keep: Tensor | None) -> Tensor:
    """Cuts videos into patches: [b, k, 3, p, p], in the order of the tokens, of any dtype.

    video: [b, t, 3, h, w]. keep: [b, k] int64, token indices from `random_keep`; None: all.
    """
    p = patch_size
    patches = video.unflatten(4, (-1, p)).unflatten(3, (-1, p))  # [b, t, 3, rows, p, columns, p]
    patches = patches.permute(0, 3, 5, 1, 2, 4, 6)  # [b, rows, columns, t, 3, p, p], nothing copied yet
    if keep is None:
        return patches.flatten(1, 3)  # [b, l, 3, p, p]
    columns, frames = patches.shape[2:4]
    clip = torch.arange(len(video), device=keep.device)[:, None]
    patch, frame = keep // frames, keep % frames
    return patches[clip, patch // columns, patch % columns, frame]  # [b, k, 3, p, p]


class ViCLIP(nn.Module):
    """The two towers and the temperature. Embeddings are not normalised: the loss and the encoder do that."""

    def __init__(self, config: ViCLIPConfig, *, temperature: float = MIN_TEMPERATURE) -> None:
        super().__init__()
        self.config = config
        self.temp = nn.Parameter(torch.tensor(float(temperature)))
        self.vision_encoder = VisionEncoder(config)
        self.text_encoder = TextEncoder(config)

    def recompute(self, what: Recompute) -> None:
        """Sets what the backward pass computes again, for both towers."""
        for tower in (self.vision_encoder, self.text_encoder):
            tower.transformer.recompute = what

    def forward(self, video: Tensor, token_ids: Tensor, *, keep: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Returns both embeddings and the temperature in one call, as data-parallel wrappers require."""
        return self.encode_video(video, keep=keep), self.encode_text(token_ids), self.temperature

    def encode_video(self, video: Tensor, *, keep: Tensor | None = None, path_scales: Tensor | None = None) -> Tensor:
        """Returns the embeddings of videos, [b, d].

        video: [b, t, 3, h, w] float, normalised. keep: [b, k] int64, token indices from `random_keep`; None: all.
        path_scales: [b, 2 · layers], from `path_scales`; None: no drop path.
        Raises ValueError for an image size that is not the config's.
        """
        side = self.config.image_size
        if video.ndim != 5 or video.shape[2:] != (3, side, side):
            raise ValueError(f"video of shape {list(video.shape)}, not [batch, frames, 3, {side}, {side}]")
        patches = patches_of(video, self.config.patch_size, keep)
        return self.encode_patches(patches, frames=video.shape[1], keep=keep, path_scales=path_scales)

    def encode_patches(
        self, patches: Tensor, *, frames: int, keep: Tensor | None = None, path_scales: Tensor | None = None
    ) -> Tensor:
        """Returns the embeddings of videos, [b, d], of which only the kept patches are given.

        patches: [b, k, 3, p, p] float, normalised, from `patches_of`. frames: number of the video's frames.
        keep, path_scales: as for `encode_video`.
        """
        return self.vision_encoder(patches, frames, keep, path_scales)

    def encode_text(self, token_ids: Tensor) -> Tensor:
        """Returns the embeddings of texts, [b, d].

        token_ids: [b, tokens] int64, at most context_length tokens; the end token has the largest id. Tokens after the
        end token have no effect and can be cut off. Raises ValueError for longer texts.
        """
        return self.text_encoder(token_ids)

    @property
    def temperature(self) -> Tensor:
        """Returns the divisor of similarities: the parameter, clamped in place to at least MIN_TEMPERATURE."""
        # Through .data: reading it twice within a step must not invalidate the graph of the first read. The parameter
        # itself is clamped, not the returned value, because the gradient would be zero below the bound.
        self.temp.data.clamp_(min=MIN_TEMPERATURE)
        return self.temp


class VisionEncoder(nn.Module):
    def __init__(self, config: ViCLIPConfig) -> None:
        super().__init__()
        width = config.vision_width
        self.config = config
        self.conv1 = PatchEmbedding(width, config.patch_size)
        self.class_embedding = nn.Parameter(torch.empty(width))
        self.positional_embedding = nn.Parameter(torch.empty(1 + config.patches_per_frame, width))
        self.temporal_positional_embedding = nn.Parameter(torch.empty(1, config.frames, width))
        self.ln_pre = nn.LayerNorm(width)
        self.transformer = Transformer(
            width,
            config.vision_heads,
            config.vision_layers,
            norm=nn.LayerNorm,
            causal=False,
            activation=config.activation,
        )
        self.ln_post = nn.LayerNorm(width)
        self.proj = nn.Parameter(torch.empty(width, config.embed_dim))
        for parameter in (self.class_embedding, self.proj):
            nn.init.normal_(parameter, std=width**-0.5)
        for parameter in (self.positional_embedding, self.temporal_positional_embedding):
            nn.init.normal_(parameter, std=POSITION_STD)

    def forward(self, patches: Tensor, frames: int, keep: Tensor | None, path_scales: Tensor | None) -> Tensor:
        x = self.embedded(patches, frames, keep)
        x = self.transformer(x, results=1, path_scales=path_scales)  # [b, 1, w]: the class token only
        return self.ln_post(x[:, 0]) @ self.proj  # [b, d]

    def space_time_tokens(self, patches: Tensor, frames: int, path_scales: Tensor | None = None) -> Tensor:
        """Returns the class token and the video tokens, [b, 1 + l, w], for a model that reads more than one vector.

        The class token is the last block's: its product with `proj` is the embedding. The video tokens are those before
        the last block: it is trained for the class token alone, and what it would make of the others means nothing.
        """
        x = self.transformer.before_last(self.embedded(patches, frames, None), path_scales)
        return torch.cat([self.ln_post(self.transformer.last(x, 1, path_scales)), x[:, 1:]], dim=1)

    def embedded(self, patches: Tensor, frames: int, keep: Tensor | None) -> Tensor:
        """Returns the input of the first block, [b, 1 + k, w]."""
        x = self.conv1(patches)  # [b, k, w]
        x = x + self.positions(frames, keep)
        first = self.class_embedding + self.positional_embedding[0]
        return self.ln_pre(torch.cat([first.to(x.dtype).expand(x.shape[0], 1, -1), x], dim=1))

    def positions(self, frames: int, keep: Tensor | None) -> Tensor:
        """Returns the sum of spatial and temporal embeddings: [l, w], or [b, k, w] for the kept tokens."""
        times: Tensor = self.temporal_positional_embedding
        if frames == 1:
            times = times.mean(1, keepdim=True)
        elif frames != self.config.frames:
            times = F.interpolate(times.transpose(1, 2), size=frames, mode="linear").transpose(1, 2)
        table = (self.positional_embedding[1:, None] + times).flatten(0, 1)  # [n, 1, w] + [1, t, w] -> [l, w]
        return table if keep is None else F.embedding(keep, table)


class PatchEmbedding(nn.Module):
    """A Conv3d with kernel and stride (1, patch, patch) and no bias.

    Kernel and stride are equal, so it is one matrix product of patches and weights, and dropped patches cost nothing.
    """

    def __init__(self, width: int, patch_size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width, 3, 1, patch_size, patch_size))
        nn.init.kaiming_uniform_(self.weight, a=5**0.5)  # as torch initialises convolutions, and CLIP with it

    def forward(self, patches: Tensor) -> Tensor:
        """patches: [b, k, 3, p, p]. Returns [b, k, w]."""
        return F.linear(patches.flatten(2), self.weight.flatten(1))


class TextEncoder(nn.Module):
    def __init__(self, config: ViCLIPConfig) -> None:
        super().__init__()
        width = config.text_width
        self.token_embedding = nn.Embedding(config.vocab_size, width)
        self.positional_embedding = nn.Parameter(torch.empty(config.context_length, width))
        self.transformer = Transformer(
            width,
            config.text_heads,
            config.text_layers,
            norm=Float32LayerNorm,
            causal=True,
            activation=config.activation,
        )
        self.ln_final = Float32LayerNorm(width)
        self.text_projection = nn.Parameter(torch.empty(width, config.embed_dim))
        nn.init.normal_(self.token_embedding.weight, std=0.02)
        nn.init.normal_(self.positional_embedding, std=0.01)
        nn.init.normal_(self.text_projection, std=width**-0.5)

    def forward(self, token_ids: Tensor) -> Tensor:
        return self.pooled(self.states(token_ids), token_ids)

    def states(self, token_ids: Tensor) -> Tensor:
        """Returns what the last block makes of each token, [b, tokens, w]."""
        tokens, max_tokens = token_ids.shape[1], len(self.positional_embedding)
        if tokens > max_tokens:
            raise ValueError(f"texts of {tokens} tokens are too long: the model reads at most {max_tokens}")
        return self.transformer(self.token_embedding(token_ids) + self.positional_embedding[:tokens])

    def pooled(self, states: Tensor, token_ids: Tensor) -> Tensor:
        """Returns the embeddings, [b, d]. states: from `states`."""
        ends = token_ids.argmax(dim=1)  # the end token has the largest id
        x = states[torch.arange(states.shape[0], device=states.device), ends]  # [b, w]
        return self.ln_final(x) @ self.text_projection


class Transformer(nn.Module):
    """Residual blocks with CLIP's initialisation: the size of the residual stream does not grow with the depth.

    recompute: what the backward pass computes again.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        layers: int,
        *,
        norm: type[nn.LayerNorm],
        causal: bool,
        activation: Activation = "quick_gelu",
    ) -> None:
        super().__init__()
        self.recompute: Recompute = "nothing"
        output_std = width**-0.5 * (2 * layers) ** -0.5
        self.resblocks = nn.ModuleList(Block(width, heads, norm, causal, output_std, activation) for _ in range(layers))

    def forward(self, x: Tensor, *, results: int | None = None, path_scales: Tensor | None = None) -> Tensor:
        """Returns [b, results, w].

        x: [b, l, w]. results: number of leading tokens to compute in the last block; None: all.
        path_scales: [b, 2 · layers].
        """
        return self.last(self.before_last(x, path_scales), results, path_scales)

    def before_last(self, x: Tensor, path_scales: Tensor | None = None) -> Tensor:
        """Returns the input of the last block, [b, l, w]."""
        for layer in range(len(self.resblocks) - 1):
            x = self._block(layer, x, None, path_scales)
        return x

    def last(self, x: Tensor, results: int | None = None, path_scales: Tensor | None = None) -> Tensor:
        """Returns the output of the last block, [b, results, w]."""
        return self._block(len(self.resblocks) - 1, x, results, path_scales)

    def _block(self, layer: int, x: Tensor, results: int | None, path_scales: Tensor | None) -> Tensor:
        recompute = self.recompute if torch.is_grad_enabled() else "nothing"
        scales = None if path_scales is None else path_scales[:, 2 * layer : 2 * layer + 2]
        block = self.resblocks[layer]
        if recompute == "blocks":
            return recomputed(block, x, results, scales)
        return block(x, results, scales, recompute)


class Block(nn.Module):
    """A pre-norm transformer block. output_std: initial standard deviation of the output projections' weights."""

    def __init__(
        self,
        width: int,
        heads: int,
        norm: type[nn.LayerNorm],
        causal: bool,
        output_std: float,
        activation: Activation = "quick_gelu",
    ) -> None:
        super().__init__()
        self.ln_1 = norm(width)
        self.attn = Attention(width, heads, causal, output_std)
        self.ln_2 = norm(width)
        self.mlp = Mlp(width, output_std, activation)

    def forward(
        self,
        x: Tensor,
        results: int | None = None,
        scales: Tensor | None = None,
        recompute: Recompute = "nothing",
    ) -> Tensor:
        """Returns [b, results, w]: the first `results` tokens. The other tokens serve as keys and values only.

        x: [b, l, w]. scales: [b, 2], factors of the attention branch and of the MLP branch.
        """
        x = x[:, :results] + scaled(self.attn(self.ln_1(x), results), scales, 0)
        change = recomputed(self._mlp, x) if recompute == "mlp" else self._mlp(x, recompute == "activations")
        return x + scaled(change, scales, 1)

    def _mlp(self, x: Tensor, recompute_activations: bool = False) -> Tensor:
        return self.mlp(self.ln_2(x), recompute_activations)


def recomputed(function: Callable[..., Tensor], *inputs: object) -> Tensor:
    """Calls the function; its backward pass computes it again from the inputs instead of keeping what it needs."""
    # Nothing in the network draws random numbers: drop path gets its own.
    return checkpoint(function, *inputs, use_reentrant=False, preserve_rng_state=False)


def scaled(change: Tensor, scales: Tensor | None, column: int) -> Tensor:
    return change if scales is None else change * scales[:, column, None, None].to(change.dtype)


class Attention(nn.Module):
    """Multi-head self-attention with the parameters of nn.MultiheadAttention."""

    def __init__(self, width: int, heads: int, causal: bool, output_std: float) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        nn.init.normal_(self.in_proj_weight, std=width**-0.5)
        nn.init.normal_(self.out_proj.weight, std=output_std)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, x: Tensor, results: int | None = None) -> Tensor:
        """x: [b, l, w]. Returns [b, results, w]."""
        if results is None:
            q, k, v = F.linear(x, self.in_proj_weight, self.in_proj_bias).chunk(3, dim=2)  # [b, l, w] each
        else:
            width = x.shape[2]
            q = F.linear(x[:, :results], self.in_proj_weight[:width], self.in_proj_bias[:width])
            k, v = F.linear(x, self.in_proj_weight[width:], self.in_proj_bias[width:]).chunk(2, dim=2)
        q, k, v = (y.unflatten(2, (self.heads, -1)).transpose(1, 2) for y in (q, k, v))  # [b, heads, l, w / heads]
        y = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        return self.out_proj(y.transpose(1, 2).flatten(2))


QUICK_GELU = 1.702


class Mlp(nn.Module):
    """Two linear maps with QuickGELU, x·sigmoid(1.702·x), or GELU between them.

    QuickGELU is computed as silu(1.702·x) / 1.702, which keeps one tensor for the backward pass instead of two and
    makes fewer passes over memory. In place: the original tensors are not needed afterwards.
    """

    def __init__(self, width: int, output_std: float, activation: Activation = "quick_gelu") -> None:
        super().__init__()
        self.activation = activation
        self.c_fc = nn.Linear(width, 4 * width)
        self.c_proj = nn.Linear(4 * width, width)
        nn.init.normal_(self.c_fc.weight, std=(2 * width) ** -0.5)
        nn.init.normal_(self.c_proj.weight, std=output_std)
        nn.init.zeros_(self.c_fc.bias)
        nn.init.zeros_(self.c_proj.bias)

    def forward(self, x: Tensor, recompute_activations: bool = False) -> Tensor:
        """recompute_activations: keep one tensor of the hidden width for the backward pass instead of two."""
        hidden = self.c_fc(x.flatten(0, 1))  # [b·l, 4w]: in place on a view would cost a copy
        if self.activation == "gelu":
            change = recomputed(self._gelu, hidden) if recompute_activations else self._gelu(hidden)
        elif recompute_activations:
            change = recomputed(self._activated, hidden)
        else:
            change = self.c_proj(F.silu(hidden.mul_(QUICK_GELU)).mul_(1 / QUICK_GELU))
        return change.view_as(x)

    def _gelu(self, hidden: Tensor) -> Tensor:
        return self.c_proj(F.gelu(hidden))

    def _activated(self, hidden: Tensor) -> Tensor:
        return self.c_proj(F.silu(hidden * QUICK_GELU).mul_(1 / QUICK_GELU))


class Float32LayerNorm(nn.LayerNorm):
    """Layer norm that computes in float32 and returns the dtype of its input."""

    def forward(self, x: Tensor) -> Tensor:
        y = F.layer_norm(x.float(), self.normalized_shape, self.weight.float(), self.bias.float(), self.eps)
        return y.to(x.dtype)
