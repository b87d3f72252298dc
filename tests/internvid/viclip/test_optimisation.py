import math

import pytest
import torch

from internvid.viclip.optimisation import (
    adamw,
    clear_key_gradients,
    key_biases,
    layer_groups,
    learning_rate,
    set_learning_rate,
)
from internvid.viclip.recipe import Phase
from internvid.viclip.recipes import RECIPES
from internvid.viclip.sampling import phase_plans

# 10 warm-up steps of 110, then a second phase without a warm-up.
PLANS = phase_plans(
    [
        Phase("first", 0.9, 4e-4, epochs=11, warmup_epochs=1, batch_size=10),
        Phase("second", 0.0, 1e-5, epochs=1, warmup_epochs=0, batch_size=10, learning_rate_floor=0.1),
    ],
    clips=100,
)


@pytest.mark.parametrize(
    ("phase", "step", "share"),
    [
        (0, 0, 0.01),  # the floor, as 0/10 is below it
        (0, 1, 0.1),
        (0, 9, 0.9),
        (0, 10, 1.0),
        (0, 35, 0.5 * (1 + math.cos(math.pi / 4))),
        (0, 60, 0.5),
        (0, 109, 0.01),
        (1, 110, 1.0),
        (1, 115, 0.5),
        (1, 119, 0.1),
    ],
)
def test_the_learning_rate_warms_up_then_falls_as_a_cosine_to_its_floor(phase, step, share):
    plan = PLANS[phase]
    assert learning_rate(plan, step) == pytest.approx(plan.phase.learning_rate * share, rel=1e-12)


def test_biases_norms_embeddings_and_the_temperature_do_not_decay_and_the_rest_does():
    model = _tiny()
    model.text_encoder.requires_grad_(False)
    optimiser = adamw(model, RECIPES["viclip-l14"])
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    decay = {
        names[id(parameter)]: group["weight_decay"] for group in optimiser.param_groups for parameter in group["params"]
    }
    assert set(decay) == {name for name in names.values() if not name.startswith("text_encoder.")}
    block = "vision_encoder.transformer.resblocks.0."
    matrices = ("attn.in_proj_weight", "attn.out_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")
    assert {name for name, value in decay.items() if value} == {
        "vision_encoder.conv1.weight",
        "vision_encoder.proj",
        *(block + matrix for matrix in matrices),
    }
    assert set(decay.values()) == {0.0, 0.2}
    assert [group["betas"] for group in optimiser.param_groups] == [(0.9, 0.98)] * 2


def test_word_embeddings_decay_and_text_positions_do_not():
    model = _tiny()
    decayed = {id(parameter) for parameter in adamw(model, RECIPES["viclip-tiny"]).param_groups[0]["params"]}
    assert id(model.text_encoder.token_embedding.weight) in decayed
    assert id(model.text_encoder.text_projection) in decayed
    assert id(model.text_encoder.positional_embedding) not in decayed


def test_only_rounding_is_cleared_with_the_gradient_of_the_keys_bias():
    model = _tiny().double()
    video, text = torch.randn(3, 2, 3, 32, 32).double(), torch.tensor([[5, 3, 8, 0], [5, 8, 0, 0], [5, 2, 1, 8]])
    (model.encode_video(video) * model.encode_text(text)).sum().backward()
    gradients = [bias.grad for bias in key_biases(model)]
    before = [gradient.clone() for gradient in gradients]
    clear_key_gradients(key_biases(model))
    assert len(before) == 2
    for gradient, cleared in zip(before, gradients, strict=True):
        width = len(gradient) // 3
        torch.testing.assert_close(cleared, gradient, rtol=0, atol=1e-15 * gradient.abs().max().item() + 1e-14)
        assert (cleared == 0).nonzero().flatten().tolist() == list(range(width, 2 * width))
        assert gradient[:width].abs().min() > 1e-9  # what was left alone is no rounding


def test_all_groups_get_the_learning_rate():
    optimiser = adamw(_tiny(), RECIPES["viclip-tiny"])
    set_learning_rate(optimiser, 0.25)
    assert [group["lr"] for group in optimiser.param_groups] == [0.25, 0.25]


def test_a_block_learns_slower_than_the_next_one_and_the_embeddings_slowest():
    from internvid.viclip.config import ViCLIPConfig
    from internvid.viclip.model import ViCLIP

    config = ViCLIPConfig(32, 16, 32, 3, 2, 32, 2, 2, 16, vocab_size=9, context_length=4, frames=2)
    model = ViCLIP(config)
    groups = layer_groups(model, 0.1, layer_decay=0.5)
    optimiser = torch.optim.AdamW(groups, lr=0.0)
    set_learning_rate(optimiser, 8.0)
    names = {parameter: name for name, parameter in model.named_parameters()}
    rates = {names[parameter]: group["lr"] for group in optimiser.param_groups for parameter in group["params"]}
    decays = {names[each]: group["weight_decay"] for group in optimiser.param_groups for each in group["params"]}
    assert set(rates) == set(names.values())
    for name, rate in (
        ("temp", 8),
        ("vision_encoder.proj", 8),
        ("vision_encoder.ln_post.weight", 8),
        ("vision_encoder.transformer.resblocks.2.mlp.c_fc.weight", 4),
        ("vision_encoder.transformer.resblocks.0.ln_1.bias", 1),
        ("vision_encoder.conv1.weight", 0.5),
        ("vision_encoder.ln_pre.weight", 0.5),
        ("text_encoder.ln_final.weight", 8),
        ("text_encoder.transformer.resblocks.1.attn.in_proj_weight", 4),
        ("text_encoder.token_embedding.weight", 1),
        ("text_encoder.positional_embedding", 1),
    ):
        assert rates[name] == rate, name
    assert (decays["vision_encoder.conv1.weight"], decays["vision_encoder.positional_embedding"]) == (0.1, 0.0)


def _tiny():
    from internvid.viclip.config import ViCLIPConfig
    from internvid.viclip.model import ViCLIP

    torch.manual_seed(0)
    return ViCLIP(
        ViCLIPConfig(
            image_size=32,
            patch_size=16,
            vision_width=32,
            vision_layers=1,
            vision_heads=2,
            text_width=32,
            text_layers=1,
            text_heads=2,
            embed_dim=16,
            vocab_size=9,
            context_length=4,
            frames=2,
        )
    )
