"""Reckons what a training step of a generator takes, by running the networks without numbers (torch's device "meta").

Nothing of an image model but its configuration is needed. What is counted are the weights, the arithmetic of both
passes, and the tensors that the backward pass keeps, as torch's own hooks report them. What libraries take for
workspaces, and what fragmentation loses, is not in it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode
from transformers import CLIPTextConfig, CLIPTextModel

from internvid.generation.autoencoder import ImageModelAutoencoder, PatchAutoencoder
from internvid.generation.checkpoint import new_generator
from internvid.generation.model import CLOSED, VideoDenoiser, set_trained
from internvid.generation.recipe import GenerationRecipe
from internvid.hub import HubModel

SHARE_OF_MEMORY = 0.8  # of a GPU's: the rest is for workspaces of libraries and for fragmentation
ADAM_BYTES = 8  # of a trained weight: two moments in float32
FLOAT32_BYTES, BFLOAT16_BYTES = 4, 2

# Stable Diffusion 1.x, where the configuration is not `diffusers`' default.
STABLE_DIFFUSION_UNET = {"cross_attention_dim": 768}
STABLE_DIFFUSION_AUTOENCODER: dict[str, Any] = {
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "block_out_channels": [128, 256, 512, 512],
    "layers_per_block": 2,
}
STABLE_DIFFUSION_TEXT: dict[str, Any] = {
    "vocab_size": 49_408,
    "hidden_size": 768,
    "intermediate_size": 3_072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "max_position_embeddings": 77,
}


@dataclass(frozen=True)
class TrainingReckoning:
    """What a step on one GPU takes.

    videos: of the batch. parameters: by part. trained: with gradients. weights_bytes: of all parts, in float32, and of
    copies in bfloat16 where it computes so. average_bytes: of the moving average. state_bytes: gradients and the
    optimiser's moments. kept_bytes: what the forward pass of one video keeps. recomputed_bytes: the most that a block
    keeps while it is computed again; 0 where all is kept. flops: of one video, both passes and what is computed again;
    a multiply-add is two. encoding_flops: of one video's latents, once.
    """

    videos: int
    frames: int
    parameters: dict[str, int]
    trained: int
    weights_bytes: int
    average_bytes: int
    state_bytes: int
    kept_bytes: int
    recomputed_bytes: int
    flops: float
    encoding_flops: float

    @property
    def fixed_bytes(self) -> int:
        return self.weights_bytes + self.average_bytes + self.state_bytes

    def memory_bytes(self, videos: int) -> int:
        """Returns what so many videos at once take."""
        return self.fixed_bytes + videos * (self.kept_bytes + self.recomputed_bytes)

    def fitting_videos(self, memory_bytes: float) -> int:
        """Returns how many videos at once fit into a GPU's memory; 0 where not even one does."""
        return max(0, int((memory_bytes - self.fixed_bytes) // (self.kept_bytes + self.recomputed_bytes)))


@dataclass(frozen=True)
class Networks:
    """The parts of a generator without numbers, and what one video is for them."""

    autoencoder: PatchAutoencoder | ImageModelAutoencoder
    text_tower: CLIPTextModel
    denoiser: VideoDenoiser
    latent_shape: tuple[int, int, int, int]

    @property
    def parts(self) -> dict[str, nn.Module]:
        return {"autoencoder": self.autoencoder, "text tower": self.text_tower, "denoiser": self.denoiser.unet}


def reckoned_training(
    recipe: GenerationRecipe, *, is_on_gpu: bool = True, vocabulary: int | None = None
) -> TrainingReckoning:
    """Returns a step of the recipe on one GPU; is_on_gpu: else on a CPU, which keeps all and computes in float32.

    Without an image model the sizes are those of Stable Diffusion 1.x. vocabulary: tokens of a new model's text tower;
    None: as many as its recipe allows. Raises OSError or ValueError for a folder that is no Stable Diffusion.
    """
    networks = _networks(recipe, vocabulary)
    in_bfloat16 = is_on_gpu and recipe.precision == "bfloat16"
    networks.autoencoder.requires_grad_(False)
    networks.text_tower.requires_grad_(recipe.image_model is None)
    set_trained(networks.denoiser, recipe.trained)
    trained_parts = nn.ModuleList([networks.denoiser, networks.text_tower])
    # All three parts are in memory, but the autoencoder computes before the first step alone.
    weights = {name: sum(p.numel() for p in part.parameters()) for name, part in networks.parts.items()}
    buffers = sum(b.nbytes for part in networks.parts.values() for b in part.buffers())
    copied = sum(p.numel() for p in trained_parts.parameters()) if in_bfloat16 else 0
    trained = sum(p.numel() for p in trained_parts.parameters() if p.requires_grad)
    with FlopCounterMode(display=False) as encoding:
        side = recipe.image_size
        pixels = torch.zeros(recipe.frames, 3, side, side, device="meta")
        networks.autoencoder.latents(pixels)
    if in_bfloat16:
        trained_parts.to(torch.bfloat16)
    whole_bytes, block_bytes, flops = _passes(networks, recomputes=False)
    kept_bytes = whole_bytes
    if is_on_gpu:
        kept_bytes, _, flops = _passes(networks, recomputes=True)
    return TrainingReckoning(
        videos=recipe.denoiser.batch_size,
        frames=recipe.frames,
        parameters=weights,
        trained=trained,
        weights_bytes=FLOAT32_BYTES * sum(weights.values()) + buffers + BFLOAT16_BYTES * copied,
        average_bytes=FLOAT32_BYTES * trained,
        state_bytes=(FLOAT32_BYTES + ADAM_BYTES) * trained,
        kept_bytes=kept_bytes,
        recomputed_bytes=block_bytes if is_on_gpu else 0,
        flops=float(flops),
        encoding_flops=float(encoding.get_total_flops()),
    )


def _networks(recipe: GenerationRecipe, vocabulary: int | None) -> Networks:
    if recipe.image_model is None:
        generator = new_generator(recipe, [])
        assert recipe.new_image_model is not None, "a recipe has an image model or the sizes of one"
        tokens = vocabulary or recipe.new_image_model.vocab_size
        generator.text_tower.resize_token_embeddings(tokens, mean_resizing=False)
        generator.to("meta")
        return Networks(generator.autoencoder, generator.text_tower, generator.denoiser, generator.latent_shape)
    unet, autoencoder, text = _configurations(recipe.image_model)
    with torch.device("meta"):
        encoder = ImageModelAutoencoder(AutoencoderKL.from_config(autoencoder))
        tower = CLIPTextModel(CLIPTextConfig(**text))
        denoiser = VideoDenoiser(UNet2DConditionModel.from_config(unet), recipe.frames, gate=CLOSED)
    side = recipe.image_size // encoder.pixels_per_latent
    return Networks(encoder, tower, denoiser, (recipe.frames, encoder.channels, side, side))


def _configurations(image_model: str) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Returns those of denoiser, autoencoder and text tower. Raises OSError where the folder lacks one."""
    if not image_model:
        return STABLE_DIFFUSION_UNET, STABLE_DIFFUSION_AUTOENCODER, STABLE_DIFFUSION_TEXT
    folder = HubModel(image_model).files
    if folder is None:
        raise FileNotFoundError(f"{image_model} is neither a folder nor on this machine: download it first")
    unet, autoencoder, text = (
        json.loads((Path(folder) / part / "config.json").read_text(encoding="utf-8"))
        for part in ("unet", "vae", "text_encoder")
    )
    return unet, autoencoder, text


def _passes(networks: Networks, *, recomputes: bool) -> tuple[int, int, int]:
    """Runs one video forward and backward. Returns the bytes that the forward pass keeps, the most that one block of
    them keeps, and the arithmetic. recomputes: blocks keep their inputs alone, and are computed again.
    """
    unet, tower = networks.denoiser.unet.train(), networks.text_tower.train()
    if recomputes:
        unet.enable_gradient_checkpointing()
    dtype = next(unet.parameters()).dtype
    tokens = torch.zeros(1, tower.config.max_position_embeddings, dtype=torch.int64, device="meta")
    latents = torch.zeros(1, *networks.latent_shape, dtype=dtype, device="meta")
    times = torch.zeros(1, dtype=torch.int64, device="meta")
    parameters = [*unet.parameters(), *tower.parameters()]
    with FlopCounterMode(display=False) as counter, _Kept(parameters, _blocks(unet)) as kept:
        text = tower(tokens).last_hidden_state.to(dtype)
        networks.denoiser(latents, times, text).float().square().mean().backward()
    for parameter in parameters:
        parameter.grad = None
    return kept.total, max(kept.of_block.values(), default=0), counter.get_total_flops()


def _blocks(unet: nn.Module) -> list[nn.Module]:
    """Returns the blocks that are computed again by themselves."""
    return [module for module in unet.modules() if type(module).__name__ in ("ResnetBlock2D", "VideoBlock")]


class _Kept(TorchFunctionMode):
    """Counts the bytes that passes keep for their backward pass, each memory once: of all, and of each block.

    Of attention its inputs and its output are counted, and not its scores: on a GPU no kernel keeps them.
    """

    def __init__(self, parameters: Sequence[Tensor], blocks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.total = 0
        self.of_block: dict[int, int] = {}
        self._known = {parameter.untyped_storage()._cdata for parameter in parameters}
        self._holders: list[Tensor] = []  # so that no memory is another's before the end
        self._in_attention = False
        self._block: int | None = None
        self._handles = [
            handle
            for number, block in enumerate(blocks)
            for handle in (
                block.register_forward_pre_hook(lambda module, inputs, number=number: self._enter(number)),
                block.register_forward_hook(lambda module, inputs, output: self._enter(None)),
            )
        ]
        self._hooks = torch.autograd.graph.saved_tensors_hooks(self._save, lambda tensor: tensor)

    def __enter__(self) -> _Kept:
        self._hooks.__enter__()
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._hooks.__exit__(*error)
        for handle in self._handles:
            handle.remove()

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is not functional.scaled_dot_product_attention:
            return function(*args, **(kwargs or {}))
        self._in_attention = True
        try:
            output = function(*args, **(kwargs or {}))
        finally:
            self._in_attention = False
        for tensor in (*args[:3], output):
            if tensor.requires_grad:
                self._note(tensor)
        return output

    def _enter(self, block: int | None) -> None:
        self._block = block

    def _save(self, tensor: Tensor) -> Tensor:
        if not self._in_attention:
            self._note(tensor)
        return tensor

    def _note(self, tensor: Tensor) -> None:
        memory = tensor.untyped_storage()
        if memory._cdata in self._known:
            return
        self._known.add(memory._cdata)
        self._holders.append(tensor)
        self.total += memory.nbytes()
        if self._block is not None:
            self.of_block[self._block] = self.of_block.get(self._block, 0) + memory.nbytes()
