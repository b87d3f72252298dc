"""Summaries by tiny language models of the real classes, through the provider, from their folders."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from tiny_language_models import tiny_chat, tiny_t5

from internvid.captions.summary import ClipMeasures, ClipSummary, TimedCaption
from internvid.text.generated import EmptyAnswer
from internvid.text.language_model import load
from internvid.text.written_summary import unique_captions
from resources.incremental.faults import ModelUnavailable
from resources.models.hub_summariser import HubSummariser

MEASURES = ClipMeasures(5.0, *([0.0] * 9))
FIGURE_2 = (
    ("coarse", "a person cooking some food in a frying pan."),
    ("fine", "the food is prepared and ready to be eaten"),
    ("fine", "a person cooking some food on a stove top"),
    ("fine", "a table topped with lots of food"),
    ("fine", "a person putting food in a basket"),
)
TEMPLATE = "Say in one sentence what happens:\n{captions}"
WRITE = {"max_new_tokens": 8}


@pytest.fixture(scope="module")
def t5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_t5(tmp_path_factory.mktemp("models") / "t5")


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_chat(tmp_path_factory.mktemp("models") / "chat")


def provider(folder: Path, **settings: Any) -> HubSummariser:
    if folder.name == "chat":
        settings = {"template": TEMPLATE} | settings
    return HubSummariser(weights=str(folder), **{"device": "cpu", "generation": WRITE} | settings)


def timed(*captions: str) -> list[TimedCaption]:
    return [TimedCaption(float(second), "fine", text, None, "blip") for second, text in enumerate(captions)]


def summaries(provider: HubSummariser, *clips: Sequence[TimedCaption]) -> list[ClipSummary | Exception]:
    return provider.summarise([(MEASURES, captions) for captions in clips])


@contextmanager
def what_is_read(provider: HubSummariser) -> Iterator[list[str]]:
    """The texts that the model's own layers get to see, as its tokens say them."""
    read: list[str] = []
    weights = load(provider.hub_model, provider.torch_device, provider.torch_dtype)
    prompts: set[tuple[int, ...]] = set()

    def note(_module: Any, args: tuple[Any, ...], given: dict[str, Any]) -> None:
        ids = given["input_ids"] if "input_ids" in given else args[0]
        mask = given.get("attention_mask")
        masks = [[1] * ids.shape[1]] * len(ids) if mask is None else mask[:, -ids.shape[1] :].tolist()
        for row, of_row in zip(ids.tolist(), masks, strict=True):
            tokens = tuple(token for token, is_read in zip(row, of_row, strict=True) if is_read)
            if len(tokens) > 1 and tokens not in prompts:
                prompts.add(tokens)
                read.append(weights.tokenizer.decode(tokens))

    reader = weights.model.get_encoder() if weights.model.config.is_encoder_decoder else weights.model.model
    hook = reader.register_forward_pre_hook(note, with_kwargs=True)
    try:
        yield read
    finally:
        hook.remove()


def test_figure_2_becomes_one_caption_of_what_all_five_say(t5):
    summariser = provider(t5)
    with what_is_read(summariser) as read:
        (summary,) = summaries(
            summariser, [TimedCaption(2.0, scale, text, None, "some model") for scale, text in FIGURE_2]
        )
    assert isinstance(summary, ClipSummary)
    assert summary.caption
    assert summary.evidence is None
    assert read == [
        "a person cooking some food in a frying pan. the food is prepared and ready to be eaten. a person cooking some "
        "food on a stove top. a table topped with lots of food. a person putting food in a basket.</s>"
    ]


def test_a_chat_model_reads_the_template_with_seconds_and_scales_within_its_chat_template(chat):
    summariser = provider(chat)
    captions = [TimedCaption(0.0, "fine", "a dog", None, "blip"), TimedCaption(1.5, "coarse", "a ball", None, "git")]
    with what_is_read(summariser) as read:
        (summary,) = summaries(summariser, captions)
    assert isinstance(summary, ClipSummary)
    assert read[0] == (
        "<|im_start|>user\nSay in one sentence what happens:\n0.0 s, fine: a dog\n1.5 s, coarse: a ball<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


@pytest.mark.parametrize("kind", ["t5", "chat"])
def test_many_clips_at_once_are_summarised_as_one_by_one(kind, request):
    folder = request.getfixturevalue(kind)
    clips = [timed(*(f"a dog number {number}" for number in range(count))) for count in (1, 7, 3, 12, 2, 5)]
    at_once = summaries(provider(folder, batch=4), *clips)
    one_by_one = [summaries(provider(folder, batch=1), clip)[0] for clip in clips]
    assert at_once == one_by_one
    assert len({summary.caption for summary in at_once if isinstance(summary, ClipSummary)}) > 1


@pytest.mark.parametrize("kind", ["t5", "chat"])
def test_captions_that_are_too_long_together_are_all_read_in_parts_that_are_merged(kind, request):
    summariser = provider(request.getfixturevalue(kind), context_tokens=130)
    words = ("dog", "cat", "cow", "pig", "hen", "owl", "ant", "bee", "fox", "elk")
    captions = [f"here comes one more {word}" for word in words]
    with what_is_read(summariser) as read:
        (summary,) = summaries(summariser, timed(*captions))
    assert isinstance(summary, ClipSummary)
    together = "\n".join(read)
    for caption in captions:
        assert together.count(caption) == 1
    rounds = json.loads(summary.evidence)["parts"]
    assert len(rounds) >= 1
    for parts in rounds:
        assert len(parts) > 1
        assert parts[0]["from_seconds"] == 0.0
        assert parts[-1]["to_seconds"] == 9.0
        for part in parts:
            assert part["summary"] in together
    assert summary.prompt_tokens > 130
    assert summary.output_tokens <= 8 * len(read)


def test_a_caption_that_is_too_long_by_itself_is_read_to_its_end(t5):
    words = [f"word{number}" for number in range(60)]
    summariser = provider(t5, context_tokens=100)
    with what_is_read(summariser) as read:
        (summary,) = summaries(summariser, timed(" ".join(words), "the end"))
    assert isinstance(summary, ClipSummary)
    together = " ".join(read)
    assert [word for word in words if word not in together] == []
    assert "the end" in together


def test_a_context_without_room_for_two_summaries_is_that_clips_error(t5):
    captions = timed(*(f"caption number {number}" for number in range(9)))
    summariser = provider(t5, context_tokens=24, generation={"max_new_tokens": 20})
    short, long = summaries(summariser, timed("a dog"), captions)
    assert isinstance(short, ClipSummary)
    assert isinstance(long, ValueError)
    assert "no two summaries of parts fit into the 24 tokens" in str(long)


def test_what_was_stopped_is_truncated_and_what_ended_is_not(t5):
    (stopped,) = summaries(provider(t5), timed("a dog"))
    assert (stopped.status, stopped.output_tokens) == ("truncated", 8)
    # The end becomes likelier with each token.
    ending = {"max_new_tokens": 40, "exponential_decay_length_penalty": [2, 3.0]}
    (ended,) = summaries(provider(t5, generation=ending), timed("a dog"))
    assert ended.status == "success"
    assert 2 <= ended.output_tokens < 40
    assert ended.prompt_tokens == len("a dog.") + 2  # with a space before it, and the end


def test_a_model_that_writes_nothing_is_that_clips_error(t5):
    nothing = {"max_new_tokens": 4, "forced_bos_token_id": 1}  # T5's end
    found = summaries(provider(t5, generation=nothing), timed("a dog"), [])
    assert [type(one) for one in found] == [EmptyAnswer, ValueError]


def test_the_same_caption_is_told_once_where_it_first_comes():
    captions = unique_captions(timed("A dog.", "a cat", "a  dog", " ", "a cat runs", "A cat"))
    assert [(caption.first_seconds, caption.text) for caption in captions] == [
        (0.0, "A dog."),
        (1.0, "a cat"),
        (4.0, "a cat runs"),
    ]


def test_a_chat_model_draws_nothing_by_lot(chat):
    clip = timed("a dog runs", "a ball")
    generation = {"max_new_tokens": 24}
    assert len({summaries(provider(chat, generation=generation), clip)[0].caption for _ in range(4)}) == 1


def test_the_version_says_what_decides_the_words(t5, chat):
    assert provider(t5).version == f"{provider(t5).hub_model.version}+max_new_tokens=8+captions-1"
    versions = {
        provider(folder, **settings).version
        for folder in (t5, chat)
        for settings in ({}, {"template": "{captions}?"}, {"context_tokens": 99}, {"dtype": "bfloat16"})
    }
    assert len(versions) == 8
    assert provider(t5, batch=3, device="cuda").version == provider(t5).version
    unfetched = HubSummariser(weights="nobody/has-this")
    assert unfetched.version == "nobody/has-this@main+max_new_tokens=64+captions-1"
    assert unfetched.readiness().state == "missing"
    assert provider(t5).readiness().state == "ready"
    assert (provider(t5).model, provider(t5).revision) == ("t5", provider(t5).hub_model.revision)


def test_a_model_is_loaded_once_and_again_when_its_files_change(tmp_path):
    folder = tiny_t5(tmp_path / "t5")
    first, second = provider(folder), provider(folder, batch=2)
    loaded = load(first.hub_model, first.torch_device, first.torch_dtype)
    assert load(second.hub_model, second.torch_device, second.torch_dtype) is loaded
    (folder / "generation_config.json").write_text('{"decoder_start_token_id": 0, "eos_token_id": 1}')
    third = provider(folder)
    assert load(third.hub_model, third.torch_device, third.torch_dtype) is not loaded


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"template": "no place for them"}, ValidationError, r"the template must say by \{captions\}"),
        ({"generation": {"max_new_tokens": 8, "tempo": 1}}, ModelUnavailable, "generation has no tempo"),
        ({"generation": {"num_beams": 2}}, ModelUnavailable, "generation needs max_new_tokens"),
        ({"context_tokens": 8, "template": "{captions}"}, None, ""),
    ],
    ids=["template", "unknown", "without a limit", "tiny context"],
)
def test_settings_that_cannot_be_are_refused(t5, settings, error, message):
    if error is None:
        (found,) = summaries(provider(t5, **settings), timed("a dog runs over the meadow"))
        assert isinstance(found, ValueError)
        return
    with pytest.raises(error, match=message):
        summaries(provider(t5, **settings), timed("a dog"))


def test_a_causal_model_without_room_for_a_prompt_is_refused(chat):
    with pytest.raises(ModelUnavailable, match="leaves no room for a prompt beside max_new_tokens: 8"):
        summaries(provider(chat, context_tokens=8), timed("a dog"))
