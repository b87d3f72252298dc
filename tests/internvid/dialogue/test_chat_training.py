"""Training a chat, with new language models and with tiny folders of the real classes; resuming; checkpoints."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from small_chats import ColouredVideos, small_recipe, small_viclip, with_folder
from tiny_language_models import tiny_chat, tiny_llama

from internvid.dialogue.answering import Answerer
from internvid.dialogue.checkpoint import chat_digest, load_chat
from internvid.dialogue.recipe import ChatRecipe
from internvid.dialogue.training import train_chat


@pytest.fixture(scope="module")
def dialogues() -> ColouredVideos:
    return ColouredVideos()


class Killed(Exception):
    """Stands for a kill in the middle of training."""


def killed_and_resumed(recipe: ChatRecipe, dialogues: ColouredVideos, folder: Path, step: int) -> Path:
    def kill(row: dict) -> None:
        if row["step"] == step:
            raise Killed

    with pytest.raises(Killed):
        train_chat(recipe, dialogues, small_viclip(), folder=folder, log=kill, save_every_seconds=0.0)
    steps: list[int] = []
    result = train_chat(recipe, dialogues, small_viclip(), folder=folder, log=lambda row: steps.append(row["step"]))
    assert steps[0] == step, "it goes on from its last saved state"
    lines = (folder / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(result.steps))
    return result.checkpoint


@pytest.mark.parametrize("step", [2, 8], ids=["killed while aligning", "killed while tuning"])
def test_a_killed_training_ends_with_the_same_weights(dialogues, tmp_path, step):
    whole = train_chat(small_recipe(), dialogues, small_viclip(), folder=tmp_path / "whole")
    resumed = killed_and_resumed(small_recipe(), dialogues, tmp_path / "killed", step)
    assert chat_digest(resumed) == chat_digest(whole.checkpoint)


def test_a_batch_in_slices_gives_the_same_gradients_but_for_rounding(dialogues, tmp_path):
    losses: dict[int | None, list[float]] = {}
    for at_once in (None, 1, 3):
        rows: list[dict] = []
        folder = tmp_path / str(at_once)
        train_chat(small_recipe(), dialogues, small_viclip(), folder=folder, log=rows.append, max_sequences=at_once)
        losses[at_once] = [value for row in rows for value in (row["loss"], row["gradient_norm"])]
    assert losses[1] == pytest.approx(losses[None], rel=1e-3)
    assert losses[3] == pytest.approx(losses[None], rel=1e-3)


def test_a_chat_learns_what_it_is_shown(dialogues, tmp_path):
    tune = replace(small_recipe().tune, epochs=120)
    losses: list[float] = []
    result = train_chat(
        small_recipe(align=None, tune=tune),
        dialogues,
        small_viclip(),
        folder=tmp_path,
        log=lambda row: losses.append(row["loss"]),
    )
    assert losses[-1] < 0.2 * losses[0]
    answerer = Answerer(load_chat(result.checkpoint), dialogues.clips, max_new_tokens=12)
    for position in range(3):
        expected = [(turn.answer, turn.clips) for turn in dialogues.dialogue(position).turns]
        given = answerer.answer(dialogues.shown(position), ["What comes first?", "What comes last?"])
        assert [(answer.text, answer.clips) for answer in given] == expected
        first, last = dialogues.shown(position)
        (swapped,) = answerer.answer((last, first), ["What comes first?"])
        assert swapped.text == expected[1][0], "the order of the clips is part of the prompt"
        options = ["red.", "green.", "blue.", "white."]
        scores = answerer.likelihoods(dialogues.shown(position), "What comes first?", options)
        assert options[scores.index(max(scores))] == expected[0][0]


FOLDERS = {"llama": tiny_llama, "qwen with a chat template": tiny_chat}


@pytest.fixture(scope="module", params=FOLDERS)
def language_model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return FOLDERS[request.param](tmp_path_factory.mktemp("language") / "model")


def test_a_folder_is_trained_by_lora_and_resumed_and_answers(language_model, dialogues, tmp_path):
    recipe = with_folder(language_model)
    whole = train_chat(recipe, dialogues, small_viclip(), folder=tmp_path / "whole")
    resumed = killed_and_resumed(recipe, dialogues, tmp_path / "killed", 8)
    assert chat_digest(resumed) == chat_digest(whole.checkpoint)

    names = load_file(whole.checkpoint / "model.safetensors").keys()
    of_language = [name for name in names if name.startswith("language_model.")]
    assert of_language
    assert all("lora_" in name for name in of_language), "the folder's own weights are not copied"
    loaded = load_chat(whole.checkpoint)
    changed = [value for name, value in loaded.model.language_model.named_parameters() if "lora_B" in name]
    assert any(value.abs().max() > 0 for value in changed), "LoRA begins without effect, and was trained"
    (answer,) = Answerer(loaded, dialogues.clips, max_new_tokens=4).answer(dialogues.shown(0), ["What comes first?"])
    assert answer.output_tokens > 0


def test_a_frozen_folder_stays_as_it_is_and_the_projector_learns(language_model, dialogues, tmp_path):
    recipe = with_folder(language_model, trained="frozen", lora=None)
    losses: list[float] = []
    result = train_chat(recipe, dialogues, small_viclip(), folder=tmp_path, log=lambda row: losses.append(row["loss"]))
    assert not any("language_model" in name for name in load_file(result.checkpoint / "model.safetensors"))
    aligned = losses[:6]
    assert aligned[-1] < aligned[0]


def test_a_chat_of_another_language_model_is_refused(dialogues, tmp_path):
    folder = tiny_llama(tmp_path / "model")
    result = train_chat(with_folder(folder), dialogues, small_viclip(), folder=tmp_path / "training")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "rms_norm_eps": 1e-3}))
    with pytest.raises(ValueError, match="was trained with the language model"):
        load_chat(result.checkpoint)


def test_what_is_not_finite_ends_the_training_and_names_its_dialogues(dialogues, tmp_path):
    vision = small_viclip()
    with torch.no_grad():
        vision.model.vision_encoder.ln_post.weight.fill_(math.inf)
    with pytest.raises(FloatingPointError, match=r"step 0 \(align\).*dialogues: \d"):
        train_chat(small_recipe(), dialogues, vision, folder=tmp_path)
    assert not (tmp_path / "checkpoint").exists()


def test_the_folder_of_another_training_is_refused(dialogues, tmp_path):
    train_chat(small_recipe(), dialogues, small_viclip(), folder=tmp_path)
    with pytest.raises(ValueError, match="the training of other clips"):
        train_chat(small_recipe(), ColouredVideos(3), small_viclip(), folder=tmp_path)
    with pytest.raises(ValueError, match="the training of other recipe"):
        train_chat(small_recipe(seed=1), dialogues, small_viclip(), folder=tmp_path)


def test_a_checkpoint_that_was_cut_short_is_refused(dialogues, tmp_path):
    result = train_chat(small_recipe(align=None), dialogues, small_viclip(), folder=tmp_path)
    config = result.checkpoint / "config.json"
    config.write_text(config.read_text().replace('"seed": 42', '"seed": 43'))
    with pytest.raises(ValueError, match="of two checkpoints"):
        load_chat(result.checkpoint)
    (result.checkpoint / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"model\.safetensors is missing"):
        load_chat(result.checkpoint)
