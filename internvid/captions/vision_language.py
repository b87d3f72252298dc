"""Captions frames with image-text-to-text models of `transformers`: BLIP, BLIP-2, GIT, Florence-2, Qwen-VL, LLaVA and
others of their classes.

Frames are batched by size, so that none is padded or resized to fit its neighbours: the caption of a frame does not
depend on the other frames of its batch.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from io import BytesIO
from threading import Lock
from typing import Any, Literal

import torch
import transformers
from PIL import Image
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModelForImageTextToText,
    AutoProcessor,
    AutoTokenizer,
    BatchFeature,
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    ProcessorMixin,
)

from internvid.batches import Batches
from internvid.captions.measured import FrameCaption
from internvid.hub import HubModel
from internvid.text.generated import EmptyAnswer
from internvid.text.generation import end_tokens, generation_config, take_generation_config

DECODERS = 4  # threads that decode JPEGs
# Model types whose `generate` delegates to a part of the model, and the name of that part.
WRITERS = {
    "blip": "text_decoder",
    "blip-2": "language_model",
    "instructblip": "language_model",
    "instructblipvideo": "language_model",
    "kosmos-2": "text_model",
}
# `early_stopping` has a meaning with beams only.
DEFAULT_GENERATION = {"max_new_tokens": 32, "num_beams": 1, "early_stopping": False}


@dataclass(frozen=True)
class Weights:
    """A loaded model with the processors that prepare its input.

    processor: None for a model that reads no text, such as a ViT with GPT-2, which has an image processor alone.
    generation: the settings that its makers published.
    """

    model: Any  # PreTrainedModel: its declared types do not hold for `generate` and `forward` of all classes
    processor: Any  # ProcessorMixin or None
    image_processor: Any
    tokenizer: Any
    generation: GenerationConfig


def load(hub_model: HubModel, device: torch.device, dtype: torch.dtype | Literal["auto"]) -> Weights:
    """Loads a model from its folder or the hub. The last three are cached."""
    return _load(hub_model, hub_model.version, device, dtype)


@lru_cache(maxsize=3)  # of the coarse, the fine and the clip captioner
def _load(hub_model: HubModel, version: str, device: torch.device, dtype: torch.dtype | Literal["auto"]) -> Weights:
    """Loads a model. version: part of the cache's key, because a folder's files may change."""
    source = hub_model.source
    processor = _processor(source)
    if processor is None:
        image_processor = AutoImageProcessor.from_pretrained(**source, backend="pil")
        tokenizer = AutoTokenizer.from_pretrained(**source)
    else:
        image_processor, tokenizer = processor.image_processor, processor.tokenizer
    model: Any = AutoModelForImageTextToText.from_pretrained(**source, dtype=dtype)
    model.to(device).eval()
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    if not model.config.is_encoder_decoder:
        tokenizer.padding_side = "left"  # the model continues where the prompt ends, so prompts must end together
    return Weights(model, processor, image_processor, tokenizer, take_generation_config(_writer(model)))


def _processor(source: Mapping[str, Any]) -> Any:
    """Builds the model's processor part by part; None for a model without one.

    It differs from AutoProcessor's in two points. PIL resizes pictures everywhere: otherwise captions would depend on
    whether torchvision is installed. And there is no video processor, which needs torchvision, because frames are
    given as pictures.
    """
    settings, _ = ProcessorMixin.get_processor_dict(**source)
    named = getattr(transformers, settings.get("processor_class") or "", None)
    kind: Any = named or transformers.PROCESSOR_MAPPING.get(type(AutoConfig.from_pretrained(**source)), None)
    if kind is None:
        return None
    makers = {
        "image_processor": lambda: AutoImageProcessor.from_pretrained(**source, backend="pil"),
        "tokenizer": lambda: AutoTokenizer.from_pretrained(**source),
        "video_processor": lambda: None,
    }
    parts = kind.get_attributes()
    if not set(parts) <= set(makers):
        return AutoProcessor.from_pretrained(**source)
    return _without_video(kind).from_args_and_dict([makers[part]() for part in parts], settings)


def _writer(model: Any) -> Any:
    """The part of the model whose settings apply to generation."""
    kind = model.config.model_type
    return getattr(model, WRITERS[kind]) if kind in WRITERS else model


def _without_video(kind: Any) -> Any:
    class OfPictures(kind):
        def check_argument_for_proper_class(self, argument_name: str, argument: Any) -> Any:
            if argument_name == "video_processor":
                return type(None)
            return super().check_argument_for_proper_class(argument_name, argument)

    return OfPictures


@dataclass(frozen=True)
class Request:
    """The prompt and the generation settings for a model.

    prompt: for a chat model the user's text beside the picture; for another model the beginning of the caption, a
    question, or its name for the task (Florence-2: <CAPTION>); None for no prompt. chat: further arguments of a chat
    model's template, such as enable_thinking. generation: arguments of `generate` of transformers. Settings that it
    does not name are those of the model's makers, except that nothing is sampled at random, there are no beams, and a
    caption stops after 32 tokens.
    """

    prompt: str | None = None
    chat: Mapping[str, Any] = field(default_factory=dict)
    generation: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Prepared:
    """Frames whose captions the model can write. errors: of each frame, None where it was decoded.

    pictures: number of decoded frames. read: the model's input; None without decoded frames.
    """

    errors: list[Exception | None]
    pictures: int
    read: BatchFeature | None


class VisionLanguageCaptioner:
    """Captions frames with one model and one request.

    frames_per_batch: frames in a forward pass; halved where the GPU's memory does not suffice.
    """

    def __init__(self, weights: Weights, request: Request, *, frames_per_batch: int = 16) -> None:
        """Raises ValueError for a request that this model cannot take."""
        self.model, self.processor, self.tokenizer = weights.model, weights.processor, weights.tokenizer
        self.image_processor = weights.image_processor
        self.request = request
        self.batches = Batches(frames_per_batch)
        self.tokenising = Lock()
        self.kind: str = self.model.config.model_type
        self.is_chat = self.processor is not None and bool(self.processor.chat_template)
        self.sees_several = self.is_chat and "video_processor" in self.processor.get_attributes()
        self.generation = generation_config(weights.generation, self.tokenizer, request.generation, DEFAULT_GENERATION)
        # BLIP passes its separator as the end token, whatever the settings say.
        is_blip = self.kind == "blip"
        self.ends = {self.model.config.text_config.sep_token_id} if is_blip else end_tokens(self.generation)
        reads = inspect.signature(self.model.forward).parameters
        self.not_read = {"token_type_ids"} - set(reads)  # tokenisers give them, most models refuse them
        if request.prompt is not None and self.processor is None:
            raise ValueError(f"a {self.kind} model reads no prompt")

    def caption(self, jpegs: Sequence[bytes]) -> list[FrameCaption | Exception]:
        """Captions each frame, in their order; the result is the error for a frame without a caption."""
        captions: dict[int, FrameCaption | Exception] = {}
        places_by_size: dict[tuple[int, int], list[int]] = {}
        for place, jpeg in enumerate(jpegs):
            size = _size(jpeg)
            if isinstance(size, Exception):
                captions[place] = size
            else:
                places_by_size.setdefault(size, []).append(place)
        for places in places_by_size.values():
            size_captions = self.batches.map_prepared(
                self._prepared, self._described, [jpegs[place] for place in places]
            )
            captions |= zip(places, size_captions, strict=True)
        return [captions[place] for place in range(len(jpegs))]

    def caption_together(self, jpegs: Sequence[bytes]) -> FrameCaption:
        """Captions all frames, in order of time, as one clip.

        Raises ValueError for a model that reads one picture at a time and for no frames, EmptyAnswer where the model
        writes nothing.
        """
        if not self.sees_several:
            raise ValueError(f"a {self.kind} model captions one picture at a time: it knows no video")
        if not jpegs:
            raise ValueError("a clip without frames cannot be captioned")
        pictures = _pictures(jpegs)
        for picture in pictures:
            if isinstance(picture, Exception):
                raise picture
        together = [picture for picture in pictures if isinstance(picture, Image.Image)]
        (caption,) = self._write(self._read([together]), 1)
        if isinstance(caption, Exception):
            raise caption
        return caption

    def _prepared(self, jpegs: Sequence[bytes]) -> _Prepared:
        """Decodes frames of one size and prepares the model's input. Runs in a thread, while the model writes."""
        decoded = _pictures(jpegs)
        errors = [picture if isinstance(picture, Exception) else None for picture in decoded]
        pictures = [[picture] for picture in decoded if isinstance(picture, Image.Image)]
        return _Prepared(errors, len(pictures), self._read(pictures) if pictures else None)

    def _described(self, prepared: _Prepared) -> list[FrameCaption | Exception]:
        """Returns the caption of each frame, or its error."""
        captions = iter(() if prepared.read is None else self._write(prepared.read, prepared.pictures))
        return [next(captions) if error is None else error for error in prepared.errors]

    @torch.inference_mode()
    def _write(self, read: BatchFeature, rows: int) -> list[FrameCaption | Exception]:
        """Writes a caption of each row of the model's input, or returns `EmptyAnswer`."""
        read = read.to(self.model.device, dtype=self.model.dtype)
        start = _Start()
        tokens = self.model.generate(
            **read, generation_config=self.generation, logits_processor=LogitsProcessorList([start])
        )
        # Whether a row begins with the prompt or with the decoder's first token differs by model.
        mask = read.get("attention_mask")
        prompts = [start.tokens] * rows if mask is None else mask.sum(1).tolist()
        written = tokens[:, start.tokens :].tolist()
        return [self._caption(prompt, row) for prompt, row in zip(prompts, written, strict=True)]

    def _read(self, pictures: list[list[Image.Image]]) -> BatchFeature:
        """Prepares the model's input, on the CPU. pictures: for each row; all rows have equally many."""
        # A tokeniser changes its settings for a call, and must not be used by two threads meanwhile.
        with self.tokenising:
            return self._read_alone(pictures)

    def _read_alone(self, pictures: list[list[Image.Image]]) -> BatchFeature:
        if self.is_chat:
            text = self._chat(len(pictures[0]))
            bos = self.tokenizer.bos_token
            special = {"add_special_tokens": False} if bos and text.startswith(bos) else {}
            texts = [text] * len(pictures)
            read = self.processor(images=pictures, text=texts, padding=True, return_tensors="pt", **special)
        else:
            flat = [picture for frame_pictures in pictures for picture in frame_pictures]
            if self.request.prompt is None:
                read = (self.processor or self.image_processor)(images=flat, return_tensors="pt")
            else:
                texts = [self.request.prompt] * len(pictures)
                read = self.processor(images=flat, text=texts, padding=True, return_tensors="pt")
        read = BatchFeature({name: value for name, value in read.items() if name not in self.not_read})
        if self.kind == "git" and "input_ids" in read:
            for name in (
                "input_ids",
                "attention_mask",
            ):  # its tokeniser ends the prompt, which the model has to continue
                read[name] = read[name][:, :-1]
        return read

    def _chat(self, pictures: int) -> str:
        content: list[dict[str, str]] = [{"type": "image"}] * pictures
        if self.request.prompt is not None:
            content = [*content, {"type": "text", "text": self.request.prompt}]
        return self.processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True, **self.request.chat
        )

    def _caption(self, prompt_tokens: int, tokens: list[int]) -> FrameCaption | Exception:
        """Decodes a caption. tokens: as written, with the padding after the end token."""
        end = next((index for index, token in enumerate(tokens) if token in self.ends), None)
        tokens = tokens if end is None else tokens[: end + 1]
        with self.tokenising:
            text = self.tokenizer.decode(tokens, skip_special_tokens=True).strip()
        if not text:
            return EmptyAnswer(f"the model wrote nothing ({len(tokens)} tokens, none of them text)")
        return FrameCaption(text, None, "truncated" if end is None else "success", prompt_tokens, len(tokens))


class _Start(LogitsProcessor):
    """Records the number of tokens before the first written one, and leaves the scores unchanged."""

    tokens: int | None = None

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        if self.tokens is None:
            self.tokens = input_ids.shape[1]
        return scores


def _size(jpeg: bytes) -> tuple[int, int] | Exception:
    """Reads width and height from the header."""
    try:
        with Image.open(BytesIO(jpeg), formats=["JPEG"]) as picture:
            return picture.size
    except Exception as error:  # noqa: BLE001 - the boundary: whatever a frame raises is that frame's
        return _unreadable(jpeg, error)


def _pictures(jpegs: Sequence[bytes]) -> list[Image.Image | Exception]:
    with ThreadPoolExecutor(DECODERS) as decoders:
        return list(decoders.map(_picture, jpegs))


def _picture(jpeg: bytes) -> Image.Image | Exception:
    try:
        with Image.open(BytesIO(jpeg), formats=["JPEG"]) as picture:
            return picture.convert("RGB")
    except Exception as error:  # noqa: BLE001 - as above
        return _unreadable(jpeg, error)


def _unreadable(jpeg: bytes, error: Exception) -> ValueError:
    return ValueError(f"not a readable JPEG ({len(jpeg)} bytes): {error}")
