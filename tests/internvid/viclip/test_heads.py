"""Heads of fine-tuned checkpoints: what they compute, how they are averaged, and that they survive saving."""

import pytest
import torch

from internvid.viclip.config import ViCLIPConfig
from internvid.viclip.fine_tuning_recipe import FINE_TUNINGS, FineTuning
from internvid.viclip.heads import ClassHead, Heads, MatchHead, MatchSizes, load_heads, save_heads
from internvid.viclip.model import ViCLIP, patches_of

CONFIG = ViCLIPConfig(32, 16, 16, 2, 2, 24, 2, 2, 8, vocab_size=20, context_length=6, frames=3)


@pytest.fixture
def match_head() -> MatchHead:
    torch.manual_seed(0)
    return MatchHead(CONFIG, MatchSizes(width=12, layers=2, heads=3)).eval()


def test_a_class_head_begins_as_the_zero_shot_classifier():
    video, prompts = torch.randn(5, 8), torch.nn.functional.normalize(torch.randn(3, 8), dim=1)
    cosines = torch.nn.functional.normalize(video, dim=1) @ prompts.T
    torch.testing.assert_close(ClassHead.zero_shot(prompts, 0.05)(video), cosines / 0.05)


def test_what_stands_after_the_end_of_a_text_has_no_effect_on_its_match_and_what_stands_before_has(match_head):
    video, text = torch.randn(2, 8, 12), torch.randn(2, 5, 12)
    token_ids = torch.tensor([[1, 5, 19, 0, 0], [1, 5, 6, 7, 19]])
    scores = match_head(video, text, token_ids)
    changed = text.clone()
    changed[0, 3:] += 1
    torch.testing.assert_close(match_head(video, changed, token_ids), scores)
    changed[0, 1] += 1
    assert match_head(video, changed, token_ids)[0] != scores[0]
    assert match_head(video.flip(0), text, token_ids)[0] != scores[0]


def test_a_match_head_reads_the_class_token_and_means_over_times_and_places(match_head):
    tokens = torch.randn(2, 1 + 4 * 3, 16)
    by_place = [tokens[:, 1 + 3 * place : 4 + 3 * place].mean(1) for place in range(4)]
    by_time = [tokens[:, 1 + time :: 3].mean(1) for time in range(3)]
    expected = match_head.video(torch.stack([tokens[:, 0], *by_place, *by_time], dim=1))
    torch.testing.assert_close(match_head.video_tokens(tokens, 3), expected)


def test_the_class_token_of_space_time_tokens_gives_the_embedding_and_states_give_the_texts():
    torch.manual_seed(0)
    model = ViCLIP(CONFIG).eval()
    video, token_ids = torch.randn(2, 3, 3, 32, 32), torch.tensor([[1, 5, 19, 0], [1, 5, 6, 19]])
    tokens = model.vision_encoder.space_time_tokens(patches_of(video, 16, None), 3)
    torch.testing.assert_close(tokens[:, 0] @ model.vision_encoder.proj, model.encode_video(video))
    states = model.text_encoder.states(token_ids)
    torch.testing.assert_close(model.text_encoder.pooled(states, token_ids), model.encode_text(token_ids))


def test_heads_survive_saving_and_an_average_ends_at_both(match_head, tmp_path):
    begun, trained = ClassHead(3, 8), ClassHead(3, 8)
    for head in (begun, trained):
        torch.nn.init.normal_(head.weight)
    save_heads(tmp_path, Heads("ucf101", ("a", "b", "c"), trained, begun))
    heads = load_heads(tmp_path, CONFIG)
    assert (heads.benchmark, heads.classes, heads.match_head) == ("ucf101", ("a", "b", "c"), None)
    assert torch.equal(heads.averaged(0).class_head.weight, begun.weight)
    assert torch.equal(heads.averaged(1).class_head.weight, trained.weight)
    torch.testing.assert_close(heads.averaged(0.25).class_head.weight, 0.75 * begun.weight + 0.25 * trained.weight)

    save_heads(tmp_path / "match", Heads("msrvtt", match_head=match_head))
    loaded = load_heads(tmp_path / "match", CONFIG).match_head
    assert all(torch.equal(value, loaded.state_dict()[name]) for name, value in match_head.state_dict().items())
    assert load_heads(tmp_path / "match", CONFIG).averaged(0.5).match_head is None
    assert load_heads(tmp_path / "nothing", CONFIG) is None
    with pytest.raises(ValueError, match="of another shape"):
        load_heads(tmp_path, ViCLIPConfig(32, 16, 16, 2, 2, 24, 2, 2, embed_dim=9, vocab_size=20))


def test_the_papers_recipes_have_its_values_by_benchmark():
    shown = {
        name: (recipe.learning_rate, recipe.epochs, recipe.max_tokens, recipe.drop_path)
        for name, recipe in FINE_TUNINGS.items()
        if recipe.task == "retrieval"
    }
    assert shown == {
        "msrvtt": (2e-5, 7, 32, 0.3),
        "lsmdc": (4e-5, 8, 96, 0.2),
        "msvd": (2e-5, 5, 64, 0.3),
        "didemo": (2e-5, 10, 64, 0.3),
        "activitynet": (4e-5, 20, 150, 0.2),
    }
    recipe = FINE_TUNINGS["msrvtt"]
    assert (recipe.frames, recipe.batch_size, recipe.weight_decay, recipe.betas) == (12, 256, 0.02, (0.9, 0.999))
    changed = recipe.changed({"epochs": "3", "horizontal_flip": "false", "crop_scale": "0.8,1"})
    assert (changed.epochs, changed.horizontal_flip, changed.crop_scale) == (3, False, (0.8, 1.0))
    assert changed.version != recipe.version
    assert FineTuning.from_dict({**vars(changed), "crop_scale": [0.8, 1.0]}) == changed
