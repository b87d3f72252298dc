"""Captions by a model of `transformers` that looks at pictures and writes: BLIP, BLIP-2, GIT, Florence-2, Qwen-VL,
LLaVA and others of their classes.

Frames are read in batches of one size, so that nothing is padded or resized for the sake of its neighbours: what is
said of a frame does not depend on what it came with.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from io import BytesIO
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
from internvid.text.generation import asked_for, ends_of, taken_from

DECODERS = 4  # threads that decode JPEGs
# Models in whose class `generate` hands over to a part of them, and that part.
WRITERS = {
    "blip": "text_decoder",
    "blip-2": "language_model",
    "instructblip": "language_model",
    "instructblipvideo": "language_model",
    "kosmos-2": "text_model",
}
BY_HOUSE = {"max_new_tokens": 32, "num_beams": 1, "early_stopping": False}  # the last is of use with beams only


@dataclass(frozen=True)
class Weights:
    """A model with what prepares its input, as loaded.

    processor: None for a model that reads no text, such as a ViT with GPT-2; it has an image processor alone.
    generation: how its makers have it write.
    """

    model: Any  # PreTrainedModel: its declared types do not hold for `generate` and `forward` of all classes
    processor: Any  # ProcessorMixin or None
    image_processor: Any
    tokenizer: Any
    generation: GenerationConfig


def load(hub_model: HubModel, device: torch.device, dtype: torch.dtype | Literal["auto"]) -> Weights:
    """From its folder or the hub. Kept: asked again for the same it does not load again."""
    return _load(hub_model, hub_model.version, device, dtype)


@lru_cache(maxsize=3)  # of the coarse, the fine and the clip captioner
def _load(hub_model: HubModel, version: str, device: torch.device, dtype: torch.dtype | Literal["auto"]) -> Weights:
    """version: a folder's says when its files have changed."""
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
        tokenizer.padding_side = "left"  # it goes on where the prompt ends, so prompts end together
    return Weights(model, processor, image_processor, tokenizer, taken_from(_writer(model)))


def _processor(source: Mapping[str, Any]) -> Any:
    """Put together part by part, which AutoProcessor would do but for two things: pictures are to be resized by PIL
    wherever it runs, or captions would depend on whether torchvision is installed; and a processor of videos, which
    `transformers` makes of torchvision alone, is not needed to look at frames.
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
    """The part whose settings say how it writes."""
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
    """What a model is asked of its pictures, and how it is to answer.

    prompt: of a chat model what the user says beside the picture; of another what its caption begins with, what is
    asked, or its name for the task (Florence-2: <CAPTION>); None for none. chat: what a chat model's template reads
    beside the messages, such as enable_thinking. generation: as `generate` of transformers takes it; what it leaves
    open is as the model's makers say, except that nothing is drawn by lot, there are no beams, and after 32 tokens it
    stops.
    """

    prompt: str | None = None
    chat: Mapping[str, Any] = field(default_factory=dict)
    generation: Mapping[str, Any] = field(default_factory=dict)


class VisionLanguageCaptioner:
    """A model with a request to it. frames_per_batch: that it looks at together; where a GPU's memory does not suffice
    for them, it goes on with half as many.
    """

    def __init__(self, weights: Weights, request: Request, *, frames_per_batch: int = 16) -> None:
        """Raises ValueError for a request that cannot be made of this model."""
        self.model, self.processor, self.tokenizer = weights.model, weights.processor, weights.tokenizer
        self.image_processor = weights.image_processor
        self.request = request
        self.batches = Batches(frames_per_batch)
        self.kind: str = self.model.config.model_type
        self.is_chat = self.processor is not None and bool(self.processor.chat_template)
        self.sees_several = self.is_chat and "video_processor" in self.processor.get_attributes()
        self.generation = asked_for(weights.generation, self.tokenizer, request.generation, BY_HOUSE)
        # BLIP hands over its separator as the end, whatever the settings say.
        is_blip = self.kind == "blip"
        self.ends = {self.model.config.text_config.sep_token_id} if is_blip else ends_of(self.generation)
        reads = inspect.signature(self.model.forward).parameters
        self.not_read = {"token_type_ids"} - set(reads)  # tokenisers give them, most models refuse them
        if request.prompt is not None and self.processor is None:
            raise ValueError(f"a {self.kind} model reads no prompt")

    def caption(self, jpegs: Sequence[bytes]) -> list[FrameCaption | Exception]:
        """Of each frame, in their order; for a frame without a caption the error."""
        said: dict[int, FrameCaption | Exception] = {}
        by_size: dict[tuple[int, int], list[int]] = {}
        for place, jpeg in enumerate(jpegs):
            size = _size(jpeg)
            if isinstance(size, Exception):
                said[place] = size
            else:
                by_size.setdefault(size, []).append(place)
        for places in by_size.values():
            described = self.batches.through(self._describe, [jpegs[place] for place in places])
            said |= zip(places, described, strict=True)
        return [said[place] for place in range(len(jpegs))]

    def caption_together(self, jpegs: Sequence[bytes]) -> FrameCaption:
        """Of all the frames as one clip, in order of time.

        Raises ValueError for a model that does not know several pictures in order, and for no frames; EmptyAnswer where
        it writes nothing.
        """
        if not self.sees_several:
            raise ValueError(f"a {self.kind} model captions one picture at a time: it knows no video")
        if not jpegs:
            raise ValueError("a clip without frames cannot be captioned")
        found = _pictures(jpegs)
        for picture in found:
            if isinstance(picture, Exception):
                raise picture
        (said,) = self._write([[picture for picture in found if isinstance(picture, Image.Image)]])
        if isinstance(said, Exception):
            raise said
        return said

    def _describe(self, jpegs: Sequence[bytes]) -> list[FrameCaption | Exception]:
        """Of each frame; all are of one size."""
        found = _pictures(jpegs)
        pictures = [[picture] for picture in found if isinstance(picture, Image.Image)]
        written = iter(self._write(pictures) if pictures else ())
        return [next(written) if isinstance(picture, Image.Image) else picture for picture in found]

    @torch.inference_mode()
    def _write(self, pictures: list[list[Image.Image]]) -> list[FrameCaption | Exception]:
        """A caption of each list of pictures, or `EmptyAnswer`; each list is as long as the others."""
        read = self._read(pictures)
        start = _Start()
        tokens = self.model.generate(
            **read, generation_config=self.generation, logits_processor=LogitsProcessorList([start])
        )
        # The row begins with the prompt or with the decoder's first token, or does not: that differs by model.
        mask = read.get("attention_mask")
        prompts = [start.tokens] * len(pictures) if mask is None else mask.sum(1).tolist()
        written = tokens[:, start.tokens :].tolist()
        return [self._caption(prompt, row) for prompt, row in zip(prompts, written, strict=True)]

    def _read(self, pictures: list[list[Image.Image]]) -> BatchFeature:
        """The model's input, on its device."""
        if self.is_chat:
            text = self._chat(len(pictures[0]))
            bos = self.tokenizer.bos_token
            special = {"add_special_tokens": False} if bos and text.startswith(bos) else {}
            texts = [text] * len(pictures)
            read = self.processor(images=pictures, text=texts, padding=True, return_tensors="pt", **special)
        else:
            flat = [picture for of_one in pictures for picture in of_one]
            if self.request.prompt is None:
                read = (self.processor or self.image_processor)(images=flat, return_tensors="pt")
            else:
                texts = [self.request.prompt] * len(pictures)
                read = self.processor(images=flat, text=texts, padding=True, return_tensors="pt")
        read = BatchFeature({name: value for name, value in read.items() if name not in self.not_read})
        if self.kind == "git" and "input_ids" in read:
            for name in ("input_ids", "attention_mask"):  # its tokeniser closes the prompt that is to be gone on with
                read[name] = read[name][:, :-1]
        return read.to(self.model.device, dtype=self.model.dtype)

    def _chat(self, pictures: int) -> str:
        content: list[dict[str, str]] = [{"type": "image"}] * pictures
        if self.request.prompt is not None:
            content = [*content, {"type": "text", "text": self.request.prompt}]
        return self.processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True, **self.request.chat
        )

    def _caption(self, prompt_tokens: int, tokens: list[int]) -> FrameCaption | Exception:
        """tokens: as written, with what fills up the batch after the end."""
        end = next((index for index, token in enumerate(tokens) if token in self.ends), None)
        tokens = tokens if end is None else tokens[: end + 1]
        text = self.tokenizer.decode(tokens, skip_special_tokens=True).strip()
        if not text:
            return EmptyAnswer(f"the model wrote nothing ({len(tokens)} tokens, none of them text)")
        return FrameCaption(text, None, "truncated" if end is None else "success", prompt_tokens, len(tokens))


class _Start(LogitsProcessor):
    """Notes how many tokens there are before the first is written, and changes nothing."""

    tokens: int | None = None

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        if self.tokens is None:
            self.tokens = input_ids.shape[1]
        return scores


def _size(jpeg: bytes) -> tuple[int, int] | Exception:
    """Width and height, by the header alone."""
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
