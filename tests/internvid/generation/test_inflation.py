"""An image model inflated to video: what it gives before training, what its attention sees, what was added."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save_file
from small_generators import small_recipe, with_image_model
from tiny_image_models import tiny_stable_diffusion

from internvid.generation.checkpoint import Generator, new_generator
from internvid.generation.model import OPEN, VideoDenoiser, listed_parameters, set_trained

FRAMES = 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_stable_diffusion(tmp_path_factory.mktemp("image_model") / "sd")


@pytest.fixture
def generator(folder: Path) -> Generator:
    return new_generator(with_image_model(folder), []).eval()


def inputs(generator: Generator) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Two videos of different frames, at two times, with two texts."""
    torch.manual_seed(1)
    latents = torch.randn(2, FRAMES, 4, 4, 4)
    return latents, torch.tensor([900, 30]), generator.texts(["a red thing", "a blue thing is there"])


@torch.no_grad()
def test_at_the_beginning_it_gives_frame_by_frame_what_the_image_model_gives(folder, generator):
    image_model = UNet2DConditionModel.from_pretrained(folder, subfolder="unet").eval()
    latents, times, text = inputs(generator)
    expected = torch.stack([image_model(latents[:, t], times, text).sample for t in range(FRAMES)], dim=1)
    assert (generator.denoiser(latents, times, text) - expected).abs().max() < 1e-5


@torch.no_grad()
def test_what_a_caption_says_to_cross_attention_depends_on_the_number_of_the_frame():
    generator = new_generator(small_recipe(), ["it moves to the left", "it moves to the right"]).eval()
    read: list[torch.Tensor] = []
    block = generator.denoiser.unet.down_blocks[1].attentions[0].transformer_blocks[0].spatial
    block.attn2.register_forward_pre_hook(
        lambda module, args, kwargs: read.append(kwargs["encoder_hidden_states"]), with_kwargs=True
    )
    latents = torch.randn(1, FRAMES, 4, 4, 4)
    for caption in ("it moves to the left", "it moves to the right"):
        generator.denoiser(latents, torch.tensor([999]), generator.texts([caption]))
    difference = read[0] - read[1]  # [t, tokens, width]: what one word changes
    assert difference.abs().max() > 1e-3
    for t in range(1, FRAMES):
        assert (difference[t] - difference[0]).abs().max() > 1e-2 * difference.abs().max(), (
            "the word says the same to all frames: none of them can go elsewhere for it"
        )


@torch.no_grad()
def test_a_new_model_reads_where_each_latent_is():
    generator = new_generator(small_recipe(), ["a red thing"]).eval()
    read: list[torch.Tensor] = []
    generator.denoiser.unet.conv_in.register_forward_pre_hook(lambda module, args: read.append(args[0]))
    latents = torch.randn(1, FRAMES, 4, 4, 4)
    given = generator.denoiser(latents, torch.tensor([999]), generator.texts(["a red thing"]))
    assert given.shape == latents.shape
    assert torch.equal(read[0][:, :4], latents[0])
    where = read[0][0, 4:].flatten(1).T  # [places, channels]
    assert all(torch.equal(frame[4:], read[0][0, 4:]) for frame in read[0])
    assert (torch.cdist(where, where) + torch.eye(len(where))).min() > 0.1, "two places look the same"


@torch.no_grad()
def test_with_an_open_gate_a_frame_sees_the_one_before_it_and_no_other(folder):
    image_model = UNet2DConditionModel.from_pretrained(folder, subfolder="unet").eval()
    attention = VideoDenoiser(image_model, FRAMES, gate=OPEN).unet.down_blocks[0].attentions[0].transformer_blocks[0]
    states = torch.randn(FRAMES, 16, 16)
    text = torch.randn(FRAMES, 3, 16)
    before = attention(states, encoder_hidden_states=text)
    for changed in range(FRAMES):
        others = states.clone()
        others[changed] = torch.randn(16, 16)
        differ = (attention(others, encoder_hidden_states=text) - before).abs().amax((1, 2)) > 1e-6
        assert differ.nonzero().flatten().tolist() == [changed, changed + 1][: FRAMES - changed]


@torch.no_grad()
def test_open_attention_is_that_over_the_keys_of_both_frames(folder):
    image_model = UNet2DConditionModel.from_pretrained(folder, subfolder="unet").eval()
    block = image_model.down_blocks[0].attentions[0].transformer_blocks[0]
    VideoDenoiser(image_model, FRAMES, gate=OPEN)
    states = torch.randn(FRAMES, 5, 16)
    given = block.attn1(states)
    for t in range(FRAMES):
        query = block.attn1.to_q(states[t])
        both = torch.cat([states[max(0, t - 1)], states[t]])
        key, value = block.attn1.to_k(both), block.attn1.to_v(both)
        heads = [
            torch.softmax(q @ k.T / q.shape[1] ** 0.5, -1) @ v
            for q, k, v in zip(query.chunk(2, 1), key.chunk(2, 1), value.chunk(2, 1), strict=True)
        ]
        torch.testing.assert_close(given[t], block.attn1.to_out[0](torch.cat(heads, 1)), atol=1e-5, rtol=1e-4)


def test_every_parameter_is_the_image_model_s_or_was_added(folder, generator):
    of_folder = load_file(folder / "unet" / "diffusion_pytorch_model.safetensors")
    listed = list(listed_parameters(generator.denoiser))
    loaded = {each.image_name: each for each in listed if each.image_name is not None}
    assert set(loaded) == set(of_folder)
    own = dict(generator.denoiser.unet.named_parameters())
    assert all(torch.equal(own[each.name], of_folder[name]) for name, each in loaded.items())
    added = {each.name.split("transformer_blocks.0.")[-1] for each in listed if each.image_name is None}
    assert added == {
        *(f"text_of_frames.{part}.{name}" for part in ("norm", "hidden", "out") for name in ("weight", "bias")),
        "spatial.attn1.processor.gate",
        *(f"temporal.norm.{name}" for name in ("weight", "bias")),
        *(f"temporal.attention.to_{name}.weight" for name in "qkv"),
        *(f"temporal.attention.to_out.0.{name}" for name in ("weight", "bias")),
    }


def test_what_was_added_learns_from_the_first_step_on(generator):
    set_trained(generator.denoiser, "added")
    latents, times, text = inputs(generator)
    generator.denoiser(latents, times, text.detach()).square().mean().backward()
    gradients = {name: parameter.grad for name, parameter in generator.denoiser.unet.named_parameters()}
    is_added = {name: any(part in name for part in ("temporal", "gate", "text_of_frames")) for name in gradients}
    assert all((gradients[name] is not None) == is_added[name] for name in gradients)
    first = ("gate", "temporal.attention.to_out.0.weight", "text_of_frames.out.weight")
    for name in (name for name in gradients if name.endswith(first)):
        assert gradients[name].abs().max() > 0, f"{name} is closed, and stays so"


def test_a_folder_that_lacks_weights_is_refused(folder, tmp_path):
    import shutil

    broken = shutil.copytree(folder, tmp_path / "broken")
    file = broken / "unet" / "diffusion_pytorch_model.safetensors"
    weights = load_file(file)
    del weights["conv_in.weight"]
    save_file(weights, file)
    with pytest.raises(ValueError, match=r"unet lacks 1 weights: conv_in\.weight"):
        new_generator(with_image_model(broken), [])
    with pytest.raises(FileNotFoundError, match="neither a folder nor on this machine"):
        new_generator(with_image_model(tmp_path / "nothing"), [])


def test_a_network_without_text_is_refused():
    from diffusers import UNet2DModel

    unet = UNet2DModel(
        sample_size=4,
        in_channels=4,
        out_channels=4,
        down_block_types=("DownBlock2D",),
        up_block_types=("UpBlock2D",),
        block_out_channels=(8,),
        norm_num_groups=4,
    )
    with pytest.raises(ValueError, match="no transformer blocks"):
        VideoDenoiser(unet, FRAMES, gate=OPEN)  # type: ignore[arg-type]
