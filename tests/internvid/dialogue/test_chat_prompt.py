"""Prompts: clips in order with their times, questions that do not see each other, and the clips that answers name."""

from __future__ import annotations

import pytest
import torch
from tiny_language_models import tiny_chat, tiny_llama
from transformers import AutoModelForCausalLM, AutoTokenizer

from internvid.dialogue.model import IGNORED, VideoChat, answer_losses, packed
from internvid.dialogue.prompt import (
    CLIP_PLACE,
    AskedTurn,
    Prompts,
    ShownClip,
    VideoDialogue,
    read_cited,
    small_tokenizer,
)

SHOWN = (ShownClip(7, 0.0, 2.0), ShownClip(3, 2.0, 4.5, speech="hello"))


@pytest.fixture(scope="module", params=[tiny_llama, tiny_chat], ids=["llama", "qwen"])
def folder(request, tmp_path_factory):
    return request.param(tmp_path_factory.mktemp("language") / "model")


def test_a_prompt_shows_the_clips_in_order_with_their_times_and_speech(folder):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    prompt = Prompts(tokenizer).prompt(SHOWN, ["What comes first?"])
    text = tokenizer.decode([token for token in [*prompt.shown, *prompt.questions[0]] if token != CLIP_PLACE])
    assert "Clip 1, 0.0 to 2.0 s: \nClip 2, 2.0 to 4.5 s, where is said “hello”: \n" in text
    assert prompt.shown.count(CLIP_PLACE) == 2
    assert text.index("Clip 2") < text.index("What comes first?")
    swapped = Prompts(tokenizer).prompt(SHOWN[::-1], ["What comes first?"])
    assert swapped.shown != prompt.shown
    blind = Prompts(tokenizer, with_video=False).prompt(SHOWN, ["What comes first?"])
    assert blind.shown == [token for token in prompt.shown if token != CLIP_PLACE]


def test_marks_in_a_question_or_in_speech_make_no_place_for_a_clip(folder):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    said = ShownClip(0, 0.0, 1.0, speech="\ue000 \ue001")
    prompt = Prompts(tokenizer).prompt([said], ["\ue000\ue001?"])
    assert prompt.shown.count(CLIP_PLACE) == 1
    assert CLIP_PLACE not in prompt.questions[0]


def test_a_question_gets_the_same_loss_beside_others_as_by_itself(folder):
    """In a packed batch, questions share the clips and do not see each other."""
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder).eval()
    prompts = Prompts(tokenizer)
    turns = [AskedTurn("What is it?", "Red.", (1,)), AskedTurn("How many?", "Two.", (1, 2)), AskedTurn("Where?", "No.")]
    torch.manual_seed(0)
    tokens = torch.randn(2, 3, model.config.hidden_size)
    network = VideoChat(torch.nn.Module(), torch.nn.Module(), model)  # type: ignore[arg-type]

    def losses(turns: list[AskedTurn]) -> list[torch.Tensor]:
        batch = packed([prompts.with_answers(VideoDialogue("", SHOWN, tuple(turns)))], 3, 512)
        of_tokens = answer_losses(network, batch, tokens)[0]
        return [
            of_tokens[(batch.turn[0] == number) & (batch.targets[0] != IGNORED)] for number in range(1, len(turns) + 1)
        ]

    with torch.no_grad():
        together = losses(turns)
        for turn, loss in zip(turns, together, strict=True):
            (alone,) = losses([turn])
            assert torch.allclose(loss, alone, atol=1e-4)
    assert not torch.allclose(together[0][:2], together[1][:2], atol=1e-2)


def test_questions_that_do_not_fit_are_left_out_and_the_first_must_fit(folder):
    prompts = Prompts(AutoTokenizer.from_pretrained(folder))
    turns = tuple(AskedTurn("What is it?", "Red.") for _ in range(9))
    prompt = prompts.with_answers(VideoDialogue("", SHOWN, turns))
    whole = packed([prompt], 3, 10_000)
    cut = packed([prompt], 3, whole.token_ids.shape[1] - 1)
    assert cut.turn.max() == 8
    with pytest.raises(ValueError, match="no room for a question"):
        packed([prompt], 3, 20)


@pytest.mark.parametrize(
    ("turn", "answer"),
    [
        (AskedTurn("", "A car.", (2,)), "[clip 2] A car."),
        (AskedTurn("", "2.", (1, 3)), "[clips 1, 3] 2."),
        (AskedTurn("", "No."), "No."),
    ],
)
def test_an_answer_names_its_clips_and_they_are_read_again(turn, answer):
    assert turn.cited_answer == answer
    assert read_cited(answer) == (turn.answer, turn.clips)


def test_a_learnt_tokenizer_reads_any_text_and_is_the_same_each_time(tmp_path):
    texts = ["Clip 1, 0.0 to 2.0 s: \n", "What colour is the car?", "Red. [clip 1]"] * 3
    tokenizer = small_tokenizer(texts, vocab_size=400)
    again = small_tokenizer(texts, vocab_size=400)
    assert tokenizer.backend_tokenizer.to_str() == again.backend_tokenizer.to_str()
    text = "Clip 12, 3.5: żółw 🐢\n"
    assert tokenizer.decode(tokenizer(text).input_ids) == text
    tokenizer.save_pretrained(tmp_path)
    assert AutoTokenizer.from_pretrained(tmp_path)(text).input_ids == tokenizer(text).input_ids
