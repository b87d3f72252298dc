"""The network against numbers that the reference implementation gave, and what it promises beyond them."""

import json
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from internvid.viclip.config import B16, L14, ViCLIPConfig
from internvid.viclip.model import Recompute, ViCLIP, patches_of, path_scales, random_keep

GOLDEN = Path(__file__).resolve().parents[2] / "golden"

SMALL = ViCLIPConfig(
    image_size=32,
    patch_size=8,
    vision_width=32,
    vision_layers=3,
    vision_heads=2,
    text_width=24,
    text_layers=2,
    text_heads=2,
    embed_dim=16,
    vocab_size=50,
    context_length=12,
    frames=4,
)
TOKENS = SMALL.patches_per_frame * SMALL.frames


@pytest.fixture
def model() -> ViCLIP:
    """Random weights, those of time included, which start at nought otherwise."""
    torch.manual_seed(0)
    viclip = ViCLIP(SMALL)
    torch.nn.init.normal_(viclip.vision_encoder.temporal_positional_embedding, std=0.5)
    return viclip


@pytest.fixture
def video() -> Tensor:
    return torch.randn(3, SMALL.frames, 3, 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def token_ids() -> Tensor:
    return torch.tensor([[1, 7, 9, 49, 0, 0], [1, 3, 49, 0, 0, 0], [1, 2, 4, 8, 16, 49]])


@pytest.fixture(scope="module")
def golden() -> tuple[ViCLIP, dict[str, Tensor]]:
    sizes = json.loads((GOLDEN / "viclip_tiny_config.json").read_text())
    config = ViCLIPConfig(
        image_size=sizes["input_resolution"],
        frames=sizes["num_frames"],
        **{name: sizes[name] for name in ViCLIPConfig.__dataclass_fields__ if name in sizes},
    )
    model = ViCLIP(config).eval()
    model.load_state_dict(load_file(GOLDEN / "viclip_tiny_state_dict.safetensors"))
    return model, load_file(GOLDEN / "viclip_tiny_io.safetensors")


def largest_difference(left: Tensor, right: Tensor) -> float:
    assert left.shape == right.shape
    return (left - right).abs().max().item()


def test_videos_texts_and_single_frames_are_embedded_as_the_reference_does(golden):
    model, numbers = golden
    with torch.inference_mode():
        video = model.encode_video(numbers["video"])
        frame = model.encode_video(numbers["video"][:, :1])
        text = model.encode_text(numbers["token_ids"])
    assert largest_difference(video, numbers["video_embedding"]) < 1e-5
    assert largest_difference(frame, numbers["video_embedding_first_frame_only"]) < 1e-5
    assert largest_difference(text, numbers["text_embedding"]) < 1e-5


@pytest.mark.parametrize(("config", "name"), [(B16, "viclip_b16"), (L14, "viclip_l14")])
def test_parameters_have_the_names_and_shapes_of_the_released_checkpoints(config, name):
    with torch.device("meta"):
        model = ViCLIP(config)
    shapes = {key: list(value.shape) for key, value in model.state_dict().items()}
    assert shapes == json.loads((GOLDEN / f"{name}_shapes.json").read_text())


@pytest.mark.parametrize("mask_ratio", [0, 0.75])
def test_the_vision_tower_equals_one_of_torchs_own_layers_over_all_tokens_kept(model, video, mask_ratio):
    tower, width = model.vision_encoder, SMALL.vision_width
    x = F.conv3d(video.transpose(1, 2), tower.conv1.weight, stride=(1, 8, 8))  # [b, w, t, rows, columns]
    x = x.flatten(3) + tower.positional_embedding[1:].T[:, None] + tower.temporal_positional_embedding[0].T[..., None]
    x = x.permute(0, 3, 2, 1).flatten(1, 2)  # [b, n·t, w], n major
    keep = random_keep(SMALL, batch=3, frames=4, mask_ratio=mask_ratio, generator=torch.Generator().manual_seed(4))
    x = torch.stack([clip[tokens] for clip, tokens in zip(x, keep, strict=True)])
    x = torch.cat([(tower.class_embedding + tower.positional_embedding[0]).expand(len(x), 1, width), x], 1)
    x = tower.ln_pre(x)
    for block in tower.transformer.resblocks:
        attention = torch.nn.MultiheadAttention(width, SMALL.vision_heads, batch_first=True)
        attention.load_state_dict(block.attn.state_dict())
        normed = block.ln_1(x)
        x = x + attention(normed, normed, normed, need_weights=False)[0]
        hidden = block.mlp.c_fc(block.ln_2(x))
        x = x + block.mlp.c_proj(hidden * torch.sigmoid(1.702 * hidden))
    expected = tower.ln_post(x)[:, 0] @ tower.proj
    embeddings = model.encode_video(video, keep=keep if mask_ratio else None)
    assert largest_difference(embeddings, expected) < 1e-5


def test_keeping_every_token_equals_no_masking(model, video):
    every = torch.arange(TOKENS).expand(len(video), -1)
    assert largest_difference(model.encode_video(video, keep=every), model.encode_video(video)) < 1e-6


def test_a_dropped_patch_has_no_say_and_a_kept_one_has(model, video):
    keep = random_keep(SMALL, batch=3, frames=4, mask_ratio=0.75, generator=torch.Generator().manual_seed(2))
    before = model.encode_video(video, keep=keep)
    for clip in range(len(video)):
        for token in range(TOKENS):
            patch, frame = divmod(token, SMALL.frames)
            row, column = divmod(patch, SMALL.image_size // SMALL.patch_size)
            if token not in keep[clip]:
                video[clip, frame, :, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8] = 1e3
    assert torch.equal(model.encode_video(video, keep=keep), before)

    patch, frame = divmod(int(keep[0, 0]), SMALL.frames)
    row, column = divmod(patch, SMALL.image_size // SMALL.patch_size)
    video[0, frame, :, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8] += 1
    changed = (model.encode_video(video, keep=keep) - before).abs().amax(1)
    assert (changed > 1e-3).tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("config", "ratio", "kept"),
    [(B16, 0.9, 157), (L14, 0.9, 205), (B16, 0.5, 784), (SMALL, 0.0, TOKENS), (SMALL, 0.999, 1)],
)
def test_as_many_tokens_are_kept_as_the_paper_keeps_each_once_in_rising_order(config, ratio, kept):
    generator = torch.Generator().manual_seed(0)
    keep = random_keep(config, batch=5, frames=config.frames, mask_ratio=ratio, generator=generator)
    assert keep.shape == (5, kept)
    assert keep.dtype == torch.int64
    assert (keep.diff(dim=1) > 0).all()
    assert keep.min() >= 0
    assert keep.max() < config.patches_per_frame * config.frames


def test_every_token_is_kept_equally_often():
    draws, ratio = 20_000, 0.75
    keep = random_keep(SMALL, batch=draws, frames=4, mask_ratio=ratio, generator=torch.Generator().manual_seed(3))
    share = keep.flatten().bincount(minlength=TOKENS) / draws
    standard_error = (ratio * (1 - ratio) / draws) ** 0.5
    assert (share - (1 - ratio)).abs().max() < 4.5 * standard_error  # 64 tokens: 1 test in 2,300 would fail by chance


def test_one_seed_keeps_the_same_tokens_and_another_others():
    def draw(seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        return random_keep(SMALL, batch=2, frames=4, mask_ratio=0.5, generator=generator)

    assert torch.equal(draw(1), draw(1))
    assert not torch.equal(draw(1), draw(2))


@pytest.mark.parametrize("ratio", [-0.1, 1.0])
def test_a_ratio_that_leaves_nothing_is_refused(ratio):
    with pytest.raises(ValueError, match="mask ratio"):
        random_keep(SMALL, batch=1, frames=4, mask_ratio=ratio, generator=torch.Generator())


def test_places_in_time_are_interpolated_for_other_frame_counts(model):
    rows = torch.arange(4.0)[None, :, None].expand(1, 4, SMALL.vision_width)
    model.vision_encoder.temporal_positional_embedding.data = rows.clone()
    model.vision_encoder.positional_embedding.data.zero_()

    def times(frames: int) -> list[float]:
        places = model.vision_encoder.positions(frames, None).unflatten(0, (-1, frames))  # [n, t, w]
        assert torch.equal(places, places[:1, :, :1].expand_as(places))
        return places[0, :, 0].tolist()

    assert times(4) == [0, 1, 2, 3]
    assert times(1) == [1.5]
    assert times(2) == [0.5, 2.5]  # middles of halves, as frames are
    assert times(8) == pytest.approx([0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3])


def test_the_order_of_frames_matters(model, video):
    assert largest_difference(model.encode_video(video), model.encode_video(video.flip(1))) > 1e-3


@pytest.mark.parametrize("shape", [(2, 4, 3, 32, 16), (2, 3, 32, 32), (2, 4, 1, 32, 32)])
def test_a_video_of_another_shape_is_refused(model, shape):
    with pytest.raises(ValueError, match="not \\[batch, frames, 3, 32, 32\\]"):
        model.encode_video(torch.zeros(shape))


def test_what_follows_the_end_of_a_text_makes_no_difference_and_what_precedes_it_does(model, token_ids):
    before = model.encode_text(token_ids)
    assert largest_difference(model.encode_text(token_ids[:2, :4]), before[:2]) < 1e-6
    padded_otherwise = token_ids.clone()
    padded_otherwise[0, 5] = 5
    padded_otherwise[1, 1] = 5
    changed = (model.encode_text(padded_otherwise) - before).abs().amax(1)
    assert (changed > 1e-3).tolist() == [False, True, False]
    with pytest.raises(ValueError, match="13 tokens"):
        model.encode_text(torch.ones(1, 13, dtype=torch.int64))


def gradients(model: ViCLIP, video: Tensor, token_ids: Tensor, keep: Tensor | None = None) -> dict[str, Tensor]:
    model.zero_grad()
    scales = path_scales(torch.rand(len(video), 6, generator=torch.Generator().manual_seed(5)), 0.5)
    videos, texts = model.encode_video(video, keep=keep, path_scales=scales), model.encode_text(token_ids)
    temperature = model.temperature
    (F.normalize(videos) @ F.normalize(texts).T / temperature).log_softmax(1).diag().sum().backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


def test_every_parameter_learns(model, video, token_ids):
    keep = random_keep(SMALL, batch=3, frames=4, mask_ratio=0.5, generator=torch.Generator().manual_seed(0))
    assert all(gradient.abs().max() > 0 for gradient in gradients(model, video, token_ids, keep).values())


@pytest.mark.parametrize("what", ["activations", "mlp", "blocks"])
def test_whatever_is_recomputed_the_gradients_are_the_same(model, video, token_ids, what):
    recomputing, plain = ViCLIP(SMALL), ViCLIP(SMALL)
    for copy in (recomputing, plain):
        copy.load_state_dict(model.state_dict())
    recomputing.recompute(what)
    keep = random_keep(SMALL, batch=3, frames=4, mask_ratio=0.5, generator=torch.Generator().manual_seed(0))
    recomputed = gradients(recomputing, video, token_ids, keep)
    for name, gradient in gradients(plain, video, token_ids, keep).items():
        torch.testing.assert_close(recomputed[name], gradient, rtol=1e-5, atol=1e-6, msg=name)


def test_what_is_recomputed_is_not_kept_and_activations_cost_no_matrix_product(video):
    kept_bytes, operations = {}, {}
    for what in get_args(Recompute):
        model = ViCLIP(replace(SMALL, vision_layers=6))
        model.recompute(what)
        kept: dict[int, int] = {}

        def keep(tensor: Tensor, kept: dict[int, int] = kept) -> Tensor:
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            vectors = model.encode_video(video)
        kept_bytes[what] = sum(kept.values())
        with FlopCounterMode(display=False) as counter:
            vectors.sum().backward()
        operations[what] = counter.get_total_flops()
    assert kept_bytes["nothing"] > kept_bytes["activations"] > kept_bytes["mlp"] > kept_bytes["blocks"]
    assert kept_bytes["mlp"] < 0.6 * kept_bytes["nothing"]
    assert operations["nothing"] == operations["activations"] < operations["mlp"] < operations["blocks"]


def test_the_kept_patches_alone_are_enough(model, video):
    keep = random_keep(SMALL, batch=3, frames=4, mask_ratio=0.5, generator=torch.Generator().manual_seed(0))
    patches = patches_of(video, SMALL.patch_size, keep)
    assert patches.shape == (3, keep.shape[1], 3, SMALL.patch_size, SMALL.patch_size)
    assert torch.equal(model.encode_patches(patches, frames=4, keep=keep), model.encode_video(video, keep=keep))


def test_paths_are_dropped_ever_more_often_with_depth_and_their_mean_is_the_undropped(model, video):
    random_values = torch.rand(20_000, 6, generator=torch.Generator().manual_seed(0))
    scales = path_scales(random_values, 0.5)
    assert [sorted(column.unique().tolist()) for column in scales.T] == [
        *2 * [[1]],
        *2 * [[0, pytest.approx(4 / 3)]],
        *2 * [[0, 2]],
    ]
    torch.testing.assert_close(scales.mean(0), torch.ones(6), rtol=0, atol=0.02)
    assert torch.equal(path_scales(random_values, 0.0), torch.ones_like(random_values))

    undropped = model.encode_video(video)
    assert torch.equal(model.encode_video(video, path_scales=torch.ones(len(video), 6)), undropped)
    scales_of_clips = torch.ones(len(video), 6)
    scales_of_clips[1, 5] = 0
    dropped = model.encode_video(video, path_scales=scales_of_clips)
    assert torch.equal(dropped[[0, 2]], undropped[[0, 2]])
    assert not torch.equal(dropped[1], undropped[1])
    # With nothing added by any block, the stream passes as it was embedded.
    vision = model.vision_encoder
    without_blocks = model.encode_video(video, path_scales=torch.zeros(len(video), 6))
    first = vision.ln_pre(vision.class_embedding + vision.positional_embedding[0])
    torch.testing.assert_close(without_blocks, (vision.ln_post(first) @ vision.proj).expand_as(without_blocks))


def test_the_temperature_stops_at_its_lowest_and_can_rise_from_there():
    model = ViCLIP(SMALL, temperature=0.002)
    first, second = model.temperature, model.temperature
    assert first.item() == pytest.approx(0.01)
    (1 / first).backward()
    assert second.grad.item() == pytest.approx(-10_000)
    model.temp.data.fill_(0.07)
    assert model.temperature.item() == pytest.approx(0.07)


def test_a_fresh_model_starts_as_clip_does_but_for_place_and_time():
    torch.manual_seed(0)
    config = replace(SMALL, vision_width=256, vision_layers=2, text_width=128, text_layers=8, vocab_size=500)
    weights = ViCLIP(config).state_dict()
    vision, text = "vision_encoder", "text_encoder"
    expected = {
        f"{vision}.positional_embedding": 0.5,
        f"{vision}.proj": 256**-0.5,
        f"{vision}.conv1.weight": (3 * 3 * 8 * 8) ** -0.5,
        f"{vision}.temporal_positional_embedding": 0.5,
        f"{vision}.transformer.resblocks.1.attn.in_proj_weight": 256**-0.5,
        f"{vision}.transformer.resblocks.1.attn.out_proj.weight": 256**-0.5 / 2,
        f"{vision}.transformer.resblocks.1.mlp.c_fc.weight": 512**-0.5,
        f"{vision}.transformer.resblocks.1.mlp.c_proj.weight": 256**-0.5 / 2,
        f"{text}.token_embedding.weight": 0.02,
        f"{text}.positional_embedding": 0.01,
        f"{text}.text_projection": 128**-0.5,
        f"{text}.transformer.resblocks.7.attn.out_proj.weight": 128**-0.5 / 4,
    }
    assert {name: weights[name].std().item() for name in expected} == pytest.approx(expected, rel=0.1)


@pytest.mark.filterwarnings("error::UserWarning")
def test_bfloat16_stays_close_to_float32(model, video, token_ids):
    keep = random_keep(SMALL, batch=3, frames=4, mask_ratio=0.5, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        exact = torch.cat(model(video, token_ids, keep=keep)[:2])
        with torch.autocast("cpu", torch.bfloat16):
            rounded = torch.cat(model(video, token_ids, keep=keep)[:2])
    assert rounded.dtype == torch.bfloat16
    assert F.cosine_similarity(exact, rounded.float()).min() > 0.995
