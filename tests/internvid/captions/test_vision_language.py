"""Captions by tiny random models of each class, loaded from folders."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from tiny_captioners import CLASSES, WORDS

from internvid.captions.measured import FrameCaption
from internvid.captions.vision_language import Request, VisionLanguageCaptioner, Weights, _writer, load
from internvid.hub import HubModel
from internvid.text.generated import EmptyAnswer

PROMPTS = {"florence_2": "<CAPTION>", "vit_gpt2": None}
VIDEO_MODELS = {"qwen_2_5_vl", "qwen_3_vl"}
SIZES = ((64, 48), (48, 64), (64, 48), (96, 32), (64, 48), (48, 64), (64, 48), (64, 48))
Captioner = Callable[..., VisionLanguageCaptioner]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Weights]:
    """weights("blip"): the model's weights, made once and then loaded from its folder."""
    folder = tmp_path_factory.mktemp("models")

    def made(name: str) -> Weights:
        if not (folder / name).is_dir():
            CLASSES[name](folder / name)
        return load(HubModel(str(folder / name)), torch.device("cpu"), torch.float32)

    return made


@pytest.fixture(scope="module")
def captioner(weights: Callable[[str], Weights]) -> Captioner:
    """captioner("blip", frames_per_batch=3, prompt="a photo"): a captioner with at most eight new tokens."""

    def made(name: str, *, frames_per_batch: int = 16, max_new_tokens: int = 8, **request) -> VisionLanguageCaptioner:
        generation = {"max_new_tokens": max_new_tokens, **request.pop("generation", {})}
        return VisionLanguageCaptioner(
            weights(name), Request(**request, generation=generation), frames_per_batch=frames_per_batch
        )

    return made


@pytest.fixture(scope="module")
def jpegs() -> list[bytes]:
    """Pictures of several sizes, each of another colour, with something in it."""
    return [_jpeg(seed, size) for seed, size in enumerate(SIZES)]


def _jpeg(seed: int, size: tuple[int, int]) -> bytes:
    rng = np.random.default_rng(seed)
    pixels = np.full((size[1], size[0], 3), rng.integers(0, 256, 3), np.uint8)
    top, left = rng.integers(0, min(size) // 2, 2)
    pixels[top : top + 20, left : left + 20] = rng.integers(0, 256, 3)
    encoded = BytesIO()
    Image.fromarray(pixels).save(encoded, "JPEG", quality=92)
    return encoded.getvalue()


def _picture(jpeg: bytes) -> Image.Image:
    return Image.open(BytesIO(jpeg)).convert("RGB")


@pytest.mark.parametrize("name", CLASSES)
def test_every_class_captions_a_frame_the_same_in_any_batch(name, captioner, jpegs):
    prompt = PROMPTS.get(name, "a photo of")
    together = captioner(name, frames_per_batch=3, prompt=prompt).caption(jpegs)
    alone = captioner(name, prompt=prompt)
    assert together == [caption for jpeg in jpegs for caption in alone.caption([jpeg])]
    assert all(isinstance(caption, FrameCaption) for caption in together)
    assert len({caption.caption for caption in together}) > len(jpegs) // 2, "it looks at the pictures"
    assert {word for caption in together for word in caption.caption.split()} <= set(WORDS), (
        "no prompt, no special tokens"
    )


@pytest.mark.parametrize("name", sorted(set(CLASSES) - {"florence_2", "vit_gpt2"}))
def test_a_prompt_changes_captions_and_is_not_needed(name, captioner, jpegs):
    captions = captioner(name).caption(jpegs[:2])
    assert all(caption.caption for caption in captions)
    assert captions != captioner(name, prompt="a red table").caption(jpegs[:2])


# --- what transformers would do ----------------------------------------------------------------------------------


def transformers_tokens(weights: Weights, jpeg: bytes, text: str | None, **more: object) -> list[int]:
    """The tokens that the model gives for one picture, as its documentation shows."""
    given = {} if text is None else {"text": text}
    read = weights.processor(images=_picture(jpeg), **given, return_tensors="pt", **more)
    writer = _writer(weights.model)
    ours, writer.generation_config = writer.generation_config, weights.generation  # as it is when it has been loaded
    try:
        with torch.inference_mode():
            return weights.model.generate(**read, max_new_tokens=8, do_sample=False, num_beams=1)[0].tolist()
    finally:
        writer.generation_config = ours


@pytest.mark.parametrize(
    ("name", "prompt", "before"),
    [
        ("blip", None, 1),  # its first token
        ("blip", "a photo of", 4),
        ("blip_2", None, 5),  # its queries, and its first token
        ("blip_2", "a photo of", 7),
        ("git", None, 1),
    ],
)
def test_captions_are_what_transformers_gives_without_prompt(name, prompt, before, weights, captioner, jpegs):
    tokens = transformers_tokens(weights(name), jpegs[0], prompt)
    expected = weights(name).tokenizer.decode(tokens[before:], skip_special_tokens=True)
    (caption,) = captioner(name, prompt=prompt).caption(jpegs[:1])
    assert caption.caption == expected


def test_git_goes_on_from_its_prompt_instead_of_after_its_end(weights, captioner, jpegs):
    tokens = transformers_tokens(weights("git"), jpegs[0], None)
    first_word = weights("git").tokenizer.decode(tokens[1:2])
    (whole,) = captioner("git").caption(jpegs[:1])
    (rest,) = captioner("git", prompt=first_word, max_new_tokens=7).caption(jpegs[:1])
    assert whole.caption == f"{first_word} {rest.caption}"


def test_a_chat_model_is_asked_through_its_template(weights, captioner, jpegs):
    loaded = weights("qwen_2_5_vl")
    text = "<|im_start|>user <|vision_start|> <|image_pad|> <|vision_end|> a photo <|im_end|> <|im_start|>assistant"
    expected = transformers_tokens(loaded, jpegs[0], text)
    prompt_tokens = loaded.processor(images=_picture(jpegs[0]), text=text, return_tensors="pt").input_ids.shape[1]
    (caption,) = captioner("qwen_2_5_vl", prompt="a photo").caption(jpegs[:1])
    assert caption.caption == loaded.tokenizer.decode(expected[prompt_tokens:], skip_special_tokens=True)
    assert caption.prompt_tokens == prompt_tokens > 20, "the picture's tokens are among them"
    thinking = captioner("qwen_2_5_vl", prompt="a photo", chat={"enable_thinking": True}).caption(jpegs[:1])
    assert thinking[0].prompt_tokens == prompt_tokens + 1


def test_florence_reads_the_task_that_its_token_names(captioner, jpegs):
    tasks = ("<CAPTION>", "<DETAILED_CAPTION>")
    captions = [captioner("florence_2", prompt=task).caption(jpegs[:1])[0] for task in tasks]
    questions = ("What does the image describe?", "Describe in detail what is shown in the image.")
    around = 65 + 2  # the picture's tokens, as the tiny model's settings have it; the first and the last
    assert [caption.prompt_tokens - around for caption in captions] == [
        question.count(" ") + 1 for question in questions
    ]


# --- how captions end --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CLASSES)
def test_a_caption_that_reaches_the_limit_is_truncated_and_one_that_ends_is_not(name, captioner, jpegs):
    asked = {"prompt": PROMPTS.get(name)}
    (stopped,) = captioner(name, **asked, max_new_tokens=3).caption(jpegs[:1])
    assert (stopped.status, stopped.output_tokens) == ("truncated", 3)

    soon = {"exponential_decay_length_penalty": (2, 1e9)}  # from the third token on the end is what it likes best
    ended = captioner(name, **asked, generation=soon).caption(jpegs)
    assert {caption.status for caption in ended} == {"success"}
    assert all(caption.output_tokens <= 4 for caption in ended)


def test_a_model_that_writes_nothing_gives_an_error_for_each_frame(weights, captioner, jpegs):
    end = captioner("blip_2").generation.eos_token_id
    suppressed = [token for token in range(len(weights("blip_2").tokenizer)) if token != end]
    errors = captioner("blip_2", generation={"suppress_tokens": suppressed}).caption(jpegs[:2])
    assert [type(error) for error in errors] == [EmptyAnswer, EmptyAnswer]
    assert "wrote nothing" in str(errors[0])


def test_beams_are_had_for_the_asking(captioner, jpegs):
    greedy = captioner("blip").caption(jpegs)
    searched = captioner("blip", generation={"num_beams": 3}).caption(jpegs)
    assert searched != greedy
    assert searched == [
        caption for jpeg in jpegs for caption in captioner("blip", generation={"num_beams": 3}).caption([jpeg])
    ]


# --- what goes wrong ---------------------------------------------------------------------------------------------


def test_frames_that_cannot_be_read_fail_alone_and_the_others_keep_their_places(captioner, jpegs):
    whole = captioner("blip").caption(jpegs[:4])
    captions = captioner("blip").caption([jpegs[0], b"", jpegs[1], b"no picture", jpegs[2], jpegs[3][:400], jpegs[3]])
    failed = {1: "0 bytes", 3: "10 bytes", 5: "400 bytes"}
    assert [captions[place] for place in (0, 2, 4, 6)] == whole
    for place, size in failed.items():
        assert isinstance(captions[place], ValueError)
        assert size in str(captions[place])


def test_where_memory_does_not_suffice_it_goes_on_in_halves_and_stays_with_them(captioner, jpegs):
    expected = captioner("blip").caption(jpegs)
    asked = captioner("blip")
    seen: list[int] = []

    def only_two_fit(module: torch.nn.Module, args: tuple, given: dict) -> None:
        seen.append(len(given["pixel_values"]))
        if seen[-1] > 2:
            raise torch.OutOfMemoryError

    hook = asked.model.vision_model.register_forward_pre_hook(only_two_fit, with_kwargs=True)
    try:
        assert asked.caption(jpegs) == expected  # of one size there are five, two and one
        assert seen == [5, 2, 2, 1, 2, 1]
        seen.clear()
        assert asked.caption(jpegs) == expected
        assert seen == [2, 2, 1, 2, 1]
    finally:
        hook.remove()


def test_a_frame_that_does_not_fit_alone_is_its_own_failure(captioner, jpegs):
    asked = captioner("blip")

    def bright_ones_do_not_fit(module: torch.nn.Module, args: tuple, given: dict) -> None:
        if (given["pixel_values"].mean(dim=(1, 2, 3)) > 0.5).any():
            raise torch.OutOfMemoryError

    means = [asked.image_processor(_picture(jpeg), return_tensors="pt").pixel_values.mean() for jpeg in jpegs]
    assert {bool(mean > 0.5) for mean in means} == {True, False}
    expected = asked.caption(jpegs)
    hook = asked.model.vision_model.register_forward_pre_hook(bright_ones_do_not_fit, with_kwargs=True)
    try:
        for mean, caption, result in zip(means, expected, asked.caption(jpegs), strict=True):
            assert isinstance(result, torch.OutOfMemoryError) if mean > 0.5 else result == caption
    finally:
        hook.remove()


def test_requests_that_cannot_be_made_are_refused(captioner):
    for name, request, message in (
        ("vit_gpt2", {"prompt": "a photo"}, "reads no prompt"),
        ("blip", {"generation": {"num_beems": 3}}, "num_beems"),
        ("blip", {"generation": {"num_beams": 2, "num_return_sequences": 2}}, "one answer"),
    ):
        with pytest.raises(ValueError, match=message):
            captioner(name, **request)


# --- several pictures at once ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(VIDEO_MODELS))
def test_models_that_know_video_caption_frames_together(name, captioner, jpegs):
    asked = captioner(name, prompt="a photo")
    frames = [jpegs[0], jpegs[2], jpegs[4]]
    caption = asked.caption_together(frames)
    (first_caption,) = asked.caption(frames[:1])
    pictures = (
        first_caption.prompt_tokens - captioner(name, prompt="a photo").caption_together(frames[:1]).prompt_tokens
    )
    assert pictures == 0, "one frame is asked about alike"
    assert caption.prompt_tokens > 2 * first_caption.prompt_tokens
    assert caption != asked.caption_together(frames[::-1]), "their order matters"
    with pytest.raises(ValueError, match="not a readable JPEG"):
        asked.caption_together([*frames, b"no picture"])
    with pytest.raises(ValueError, match="without frames"):
        asked.caption_together([])


@pytest.mark.parametrize("name", sorted(set(CLASSES) - VIDEO_MODELS))
def test_models_of_one_picture_refuse_several(name, captioner, jpegs):
    with pytest.raises(ValueError, match="one picture at a time"):
        captioner(name).caption_together(jpegs[:2])


# --- loading -----------------------------------------------------------------------------------------------------


def test_pictures_are_resized_by_pil_wherever_it_runs(weights):
    for name in CLASSES:
        assert type(weights(name).image_processor).__name__.endswith("Pil")
    assert transformers.utils.is_torchvision_available() is False, "or this test says little"


def test_half_precision_works_for_every_class(tmp_path: Path, jpegs):
    for name, made in CLASSES.items():
        loaded = load(HubModel(str(made(tmp_path / name))), torch.device("cpu"), torch.bfloat16)
        request = Request(prompt=PROMPTS.get(name), generation={"max_new_tokens": 4})
        captions = VisionLanguageCaptioner(loaded, request).caption(jpegs[:2])
        assert all(isinstance(caption, FrameCaption) for caption in captions), name
