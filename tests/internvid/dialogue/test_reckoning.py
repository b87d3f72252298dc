"""What a training step takes by reckoning, against what real networks keep and how many weights they have."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from small_chats import ColouredVideos, small_recipe, small_viclip, with_folder
from tiny_language_models import tiny_chat, tiny_llama
from transformers import AutoModelForCausalLM

from internvid.dialogue.recipe import CHAT_RECIPES
from internvid.dialogue.reckoning import fitting_sequences, kept_by_passes, language_config_of, reckoned_phases
from internvid.dialogue.training import train_chat


def test_the_counted_weights_are_those_of_a_trained_checkpoint(tmp_path):
    result = train_chat(small_recipe(align=None), ColouredVideos(), small_viclip(), folder=tmp_path)
    stored = load_file(result.checkpoint / "model.safetensors")
    recipe = small_recipe(align=None)
    vocabulary = stored["language_model.model.embed_tokens.weight"].shape[0]
    config = language_config_of(recipe)
    config.vocab_size = vocabulary
    (step,) = reckoned_phases(recipe, small_viclip().model.config, config)
    assert step.parameters == sum(value.numel() for value in stored.values())
    assert step.trained == sum(value.numel() for name, value in stored.items() if not name.startswith("vision."))
    assert step.state_bytes == 12 * step.trained


def test_what_is_kept_is_what_a_real_network_keeps():
    config = language_config_of(CHAT_RECIPES["chat-tiny"])
    kept = []
    for device in ("meta", "cpu"):
        with torch.device(device):
            model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
            inputs = torch.zeros(1, 301, config.hidden_size, requires_grad=True)
            kept.append(kept_by_passes(model, inputs))
    assert kept[0] == pytest.approx(kept[1], rel=0.01)


@pytest.mark.parametrize("folder", [tiny_llama, tiny_chat], ids=["llama", "qwen"])
def test_a_frozen_language_model_has_no_gradients_but_lora_has(folder, tmp_path):
    recipe = with_folder(folder(tmp_path / "language_model"))
    align, tune = reckoned_phases(recipe, small_viclip().model.config, language_config_of(recipe))
    assert align.trained < tune.trained < tune.parameters
    assert align.parameters == tune.parameters
    assert align.state_bytes < tune.state_bytes


def test_memory_grows_with_the_sequences_and_says_how_many_fit():
    recipe = small_recipe()
    config, vision = language_config_of(recipe), small_viclip().model.config
    single = reckoned_phases(recipe, vision, config, sequences=1)
    several = reckoned_phases(recipe, vision, config, sequences=5)
    assert [step.kept_bytes for step in several] == [5 * step.kept_bytes for step in single]
    assert [step.flops for step in several] == [5 * step.flops for step in single]
    assert fitting_sequences(single, max(step.memory_bytes for step in several)) == 5
    assert fitting_sequences(single, 1) == 0
    half = reckoned_phases(replace(recipe, max_tokens=128), vision, config, sequences=1)
    assert half[0].kept_bytes < 0.6 * single[0].kept_bytes


def test_a_recipe_without_a_language_model_asks_for_one():
    with pytest.raises(ValueError, match="set INTERNVID_LANGUAGE_MODEL"):
        language_config_of(CHAT_RECIPES["videochat"])
