"""A generator of videos with all its parts, and its checkpoint: a flat folder with all that is needed to sample.

model.safetensors     autoencoder, text tower, and the inflated denoiser (its average over the steps of training)
config.json           recipe, and the configuration of each part
tokenizer.json, …     as `transformers` writes a tokenizer
receipt.json          how the checkpoint was trained
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import AutoTokenizer, CLIPTextConfig, CLIPTextModel

from internvid.dialogue.prompt import small_tokenizer
from internvid.generation.autoencoder import ImageModelAutoencoder, PatchAutoencoder
from internvid.generation.model import CLOSED, OPEN, PLACE_CHANNELS, VideoDenoiser
from internvid.generation.recipe import GenerationRecipe
from internvid.hub import HubModel
from internvid.networks.saved_weights import files_digest, load_weights, save_weights, weights_digest
from internvid.report.whole_file import whole_file
from internvid.viclip.weights import load_into

WEIGHTS, CONFIG, RECEIPT = "model.safetensors", "config.json", "receipt.json"


@dataclass
class Generator:
    """A generator's parts. scheduler: the noise of each step of diffusion, and what the denoiser predicts of it."""

    recipe: GenerationRecipe
    autoencoder: PatchAutoencoder | ImageModelAutoencoder
    text_tower: CLIPTextModel
    denoiser: VideoDenoiser
    tokenizer: Any
    scheduler: DDPMScheduler
    receipt: dict[str, Any] = field(default_factory=dict)

    @property
    def device(self) -> torch.device:
        return next(self.denoiser.parameters()).device

    @property
    def parts(self) -> dict[str, nn.Module]:
        """The networks by their name in a checkpoint."""
        return {"autoencoder": self.autoencoder, "text_tower": self.text_tower, "denoiser": self.denoiser.unet}

    @property
    def latent_shape(self) -> tuple[int, int, int, int]:
        """Frames, channels, height and width of a video's latents."""
        side = self.recipe.image_size // self.autoencoder.pixels_per_latent
        return (self.recipe.frames, self.autoencoder.channels, side, side)

    def to(self, device: str | torch.device) -> Generator:
        for part in (self.autoencoder, self.text_tower, self.denoiser):
            part.to(device)
        return self

    def eval(self) -> Generator:
        for part in (self.autoencoder, self.text_tower, self.denoiser):
            part.eval()
        return self

    def texts(self, captions: Sequence[str]) -> Tensor:
        """Returns what the denoiser reads of each caption, [b, tokens, width]."""
        ids = self.tokenizer(
            list(captions),
            padding="max_length",
            max_length=self.text_tower.config.max_position_embeddings,
            truncation=True,
            return_tensors="pt",
        ).input_ids
        return self.text_tower(ids.to(self.device)).last_hidden_state

    def pixels(self, videos: Tensor) -> Tensor:
        """uint8 frames -> the autoencoder's input, from -1 to 1, on the device."""
        return videos.to(self.device).to(torch.float32) / 127.5 - 1

    @torch.no_grad()
    def encoded(self, frames: Tensor) -> Tensor:
        """Returns the latents of frames: [n, 3, h, w] uint8 -> [n, c, h, w]."""
        return self.autoencoder.latents(self.pixels(frames))

    @torch.no_grad()
    def decoded(self, latents: Tensor) -> Tensor:
        """Returns the frames of latents: [n, c, h, w] -> [n, 3, h, w] uint8."""
        return ((self.autoencoder.pixels(latents) + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def new_generator(recipe: GenerationRecipe, captions: Iterable[str]) -> Generator:
    """Returns a generator before training: from the recipe's image model, or with random weights, which depend on the
    recipe's seed alone, and a vocabulary from the captions. A linear autoencoder is still to be fitted.

    Raises OSError or ValueError for a folder that is no Stable Diffusion, or lacks weights.
    """
    if recipe.image_model is not None:
        return _from_image_model(recipe)
    sizes = recipe.new_image_model
    assert sizes is not None, "a recipe has an image model or the sizes of one"
    tokenizer = small_tokenizer(captions, vocab_size=sizes.vocab_size)
    levels, layers = len(sizes.denoiser_widths), sizes.denoiser_layers
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        text_tower = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=len(tokenizer),
                hidden_size=sizes.text_width,
                intermediate_size=4 * sizes.text_width,
                num_hidden_layers=sizes.text_layers,
                num_attention_heads=sizes.heads,
                max_position_embeddings=sizes.context,
                pad_token_id=tokenizer.pad_token_id,
                bos_token_id=None,
                eos_token_id=tokenizer.eos_token_id,
            )
        )
        unet = UNet2DConditionModel(
            sample_size=recipe.image_size // sizes.patch,
            in_channels=sizes.latent_channels + PLACE_CHANNELS,
            out_channels=sizes.latent_channels,
            # Attention on the lower levels alone: at the highest it takes half of the time.
            down_block_types=("DownBlock2D", *("CrossAttnDownBlock2D",) * (levels - 1)),
            up_block_types=(*("CrossAttnUpBlock2D",) * (levels - 1), "UpBlock2D"),
            block_out_channels=sizes.denoiser_widths,
            layers_per_block=layers,
            cross_attention_dim=sizes.text_width,
            attention_head_dim=sizes.heads,  # as in Stable Diffusion's configuration: their number
            norm_num_groups=sizes.norm_groups,
            # All blocks know the text, and not those with cross-attention alone: a new model learns it sooner.
            addition_embed_type="text",
            resnet_time_scale_shift="scale_shift",  # not added alone: what text and number say is to change places
            class_embed_type="timestep",  # of a frame its number: see `VideoDenoiser`
            addition_embed_type_num_heads=sizes.heads,
        )
        denoiser = VideoDenoiser(unet, recipe.frames, gate=OPEN)
    noise = DDPMScheduler(beta_schedule="squaredcos_cap_v2", prediction_type=recipe.prediction)
    scheduler = with_noise_shift(noise, recipe.noise_shift)
    autoencoder = PatchAutoencoder(sizes.patch, sizes.latent_channels)
    return Generator(recipe, autoencoder, text_tower, denoiser, tokenizer, scheduler)


def _from_image_model(recipe: GenerationRecipe) -> Generator:
    if not recipe.image_model:
        raise ValueError(f"the recipe {recipe.name} needs a text-to-image model: set INTERNVID_IMAGE_MODEL")
    model = HubModel(recipe.image_model)
    if model.files is None:
        raise FileNotFoundError(f"{recipe.image_model} is neither a folder nor on this machine: download it first")
    folder = str(model.files)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        unet = _loaded(UNet2DConditionModel, folder, "unet")
        autoencoder = ImageModelAutoencoder(_loaded(AutoencoderKL, folder, "vae"))
        text_tower, information = CLIPTextModel.from_pretrained(
            folder, subfolder="text_encoder", use_safetensors=True, output_loading_info=True
        )
        _require_all(folder, "text_encoder", information["missing_keys"])
        denoiser = VideoDenoiser(unet, recipe.frames, gate=CLOSED)
    tokenizer = AutoTokenizer.from_pretrained(folder, subfolder="tokenizer", trust_remote_code=False)
    noise = DDPMScheduler.load_config(folder, subfolder="scheduler")
    scheduler = DDPMScheduler.from_config(noise, prediction_type=recipe.prediction)
    scheduler = with_noise_shift(scheduler, recipe.noise_shift)
    return Generator(recipe, autoencoder, text_tower.float(), denoiser, tokenizer, scheduler)


def with_noise_shift(scheduler: DDPMScheduler, shift: float) -> DDPMScheduler:
    """Returns the schedule with each ratio of signal to noise divided by the square of `shift`."""
    if shift == 1:
        return scheduler
    kept = scheduler.alphas_cumprod.double()
    kept = kept / (kept + (1 - kept) * shift**2)
    betas = 1 - kept / torch.cat([torch.ones(1, dtype=kept.dtype), kept[:-1]])
    return DDPMScheduler.from_config(scheduler.config, trained_betas=betas.tolist())


def _loaded(kind: Any, folder: str, part: str) -> Any:
    """Loads a part by the names of its weights, in float32. Raises ValueError for one that lacks weights."""
    loaded, information = kind.from_pretrained(
        folder, subfolder=part, use_safetensors=True, output_loading_info=True, torch_dtype=torch.float32
    )
    _require_all(folder, part, information["missing_keys"])
    return loaded


def _require_all(folder: str, part: str, missing: Iterable[str]) -> None:
    if names := sorted(missing):
        raise ValueError(f"{folder}/{part} lacks {len(names)} weights: {', '.join(names[:5])}")


def all_weights(generator: Generator) -> dict[str, Tensor]:
    """Returns the weights of a checkpoint, by name."""
    return {
        f"{part}.{name}": value
        for part, network in generator.parts.items()
        for name, value in network.state_dict().items()
    }


def save_generator(folder: Path, generator: Generator, weights: Mapping[str, Tensor] | None = None) -> Path:
    """Writes the checkpoint's files, the weights last. weights: in place of those of the same name.

    If a save over an older checkpoint is interrupted, loading raises an error.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "recipe": asdict(generator.recipe),
        "autoencoder": _autoencoder_config(generator.autoencoder),
        "text_tower": generator.text_tower.config.to_diff_dict(),
        "denoiser": dict(generator.denoiser.unet.config),
        "scheduler": dict(generator.scheduler.config),
    }
    generator.tokenizer.save_pretrained(folder)
    for name, content in ((CONFIG, config), (RECEIPT, generator.receipt)):
        with whole_file(folder / name) as file:
            file.write(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    named = {**all_weights(generator), **(weights or {})}
    save_weights(folder / WEIGHTS, named, belongs_to=files_digest(folder / CONFIG), mode_of=folder / CONFIG)
    return folder


def _autoencoder_config(autoencoder: PatchAutoencoder | ImageModelAutoencoder) -> dict[str, Any]:
    if isinstance(autoencoder, PatchAutoencoder):
        return {"patch": autoencoder.pixels_per_latent, "channels": autoencoder.channels}
    return dict(autoencoder.network.config)


def _autoencoder(config: Mapping[str, Any]) -> PatchAutoencoder | ImageModelAutoencoder:
    if "patch" in config:
        return PatchAutoencoder(**config)
    return ImageModelAutoencoder(AutoencoderKL.from_config(config))


def load_generator(folder: Path, device: str | torch.device = "cpu") -> Generator:
    """Loads a folder that `save_generator` wrote, in evaluation mode.

    Raises FileNotFoundError for missing files, and ValueError for invalid ones.
    """
    folder = Path(folder)
    for name in (WEIGHTS, CONFIG):
        if not (folder / name).exists():
            raise FileNotFoundError(
                f"{folder / name} is missing: this is no checkpoint of a generator, or a part of one"
            )
    weights = load_weights(folder / WEIGHTS, belongs_to=files_digest(folder / CONFIG))
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    recipe = GenerationRecipe.from_dict(config["recipe"])
    receipt = json.loads((folder / RECEIPT).read_text(encoding="utf-8"))
    with torch.random.fork_rng(devices=[]):
        generator = Generator(
            recipe,
            _autoencoder(config["autoencoder"]),
            CLIPTextModel(CLIPTextConfig(**config["text_tower"])),
            VideoDenoiser(UNet2DConditionModel.from_config(config["denoiser"]), recipe.frames, gate=CLOSED),
            AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False),
            DDPMScheduler.from_config(config["scheduler"]),
            receipt,
        )
    for part, network in generator.parts.items():
        prefix = f"{part}."
        try:
            load_into(network, {n.removeprefix(prefix): v for n, v in weights.items() if n.startswith(prefix)})
        except ValueError as error:
            raise ValueError(f"{folder / WEIGHTS}: {part}: {error}") from error
    return generator.to(device).eval()


def generator_digest(folder: Path) -> str:
    """Returns a hash (32 hex digits) of what decides a checkpoint's videos: weights, configuration and vocabulary.

    Weights are hashed by name, type, shape and value, independent of the file's layout.
    """
    vocabulary = sorted(path for path in Path(folder).iterdir() if path.name not in (WEIGHTS, RECEIPT))
    return weights_digest(load_file(folder / WEIGHTS), beside=files_digest(*vocabulary))
