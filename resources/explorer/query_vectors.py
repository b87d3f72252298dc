"""Vectors of what is asked for, by the active checkpoint: of a text, and of a picture.

The model is loaded in a thread beside the pages. Until it is there, a search is by words alone, and says so.
"""

from __future__ import annotations

import io
import logging
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from resources.explorer.view import LakeView
from resources.incremental.faults import ModelUnavailable
from resources.models.aligner import ActiveCheckpoint, Aligner, padded

Key = TypeVar("Key")
Value = TypeVar("Value")

_LOGGER = logging.getLogger(__name__)

TEXTS_KEPT = 512
PICTURES_KEPT = 64
MAX_PIXELS = 64_000_000
KEPT_WIDTH = 480  # pixels of an uploaded picture as it is shown again
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF")


class NoVectors(RuntimeError):
    """Nothing can be compared by vectors now. The message says why."""


@dataclass(frozen=True)
class Picture:
    """An uploaded picture. jpeg: for showing it again."""

    vector: np.ndarray
    jpeg: bytes


class QueryVectors:
    """Vectors of texts and pictures, of which the last ones are kept."""

    def __init__(self, aligner: Aligner) -> None:
        self._aligner = aligner
        self._lock = threading.Lock()  # of what is kept
        self._working = threading.Lock()  # the model works on one thing at a time
        self._loaded: ActiveCheckpoint | None = None
        self._loading: ActiveCheckpoint | None = None
        self._problem: dict[ActiveCheckpoint, str] = {}
        self._texts: OrderedDict[tuple[str, str], np.ndarray] = OrderedDict()
        self._pictures: OrderedDict[str, Picture] = OrderedDict()

    def of_text(self, view: LakeView, text: str) -> tuple[np.ndarray, float]:
        """Returns the text's vector, and the weight of its ranking beside one by words. Raises NoVectors."""
        active = self._ready(view)
        key = (active.digest, text)
        vector = self._kept(self._texts, key)
        if vector is None:
            with self._working:
                vector = self._aligner.text_vector(view, active, text)
            self._keep(self._texts, key, vector, TEXTS_KEPT)
        return vector, self._aligner.vector_weight(view, active)

    def weight(self, view: LakeView) -> float:
        """Returns the weight of a ranking by the active model's vectors beside others; 0 where none is active."""
        return self._aligner.active_weight(view)

    def take_picture(self, view: LakeView, file: bytes) -> str:
        """Makes and keeps the vector of a picture. Returns the name it is kept by. Raises NoVectors, and ValueError for
        what is no picture.
        """
        import hashlib

        active = self._ready(view)
        pixels, jpeg = _decoded(file)
        with self._working:
            vector = padded(self._aligner.encoder(view, active).encode_videos([pixels[None]])[0])
        name = hashlib.sha256(file + active.digest.encode()).hexdigest()[:16]
        self._keep(self._pictures, name, Picture(vector, jpeg), PICTURES_KEPT)
        return name

    def picture(self, name: str) -> Picture | None:
        """Returns a picture that was taken; None where it is no longer kept."""
        return self._kept(self._pictures, name)

    def start(self, view: LakeView) -> None:
        """Begins to load the model, if there is one."""
        try:
            self._ready(view)
        except NoVectors:
            return

    def _ready(self, view: LakeView) -> ActiveCheckpoint:
        active = self._aligner.active(view)
        if active is None:
            raise NoVectors("no model is active in this lake")
        with self._lock:
            if self._loaded == active:
                return active
            if active in self._problem:
                raise NoVectors(self._problem[active])
            if self._loading != active:
                self._loading = active
                threading.Thread(target=self._load, args=(view, active), daemon=True, name="query vectors").start()
        raise NoVectors(f"the model {active.checkpoint_id} is being loaded")

    def _load(self, view: LakeView, active: ActiveCheckpoint) -> None:
        try:
            with self._working:
                self._aligner.encoder(view, active).encode_texts(["a clip"])
        except (ModelUnavailable, OSError, ImportError, RuntimeError) as error:
            _LOGGER.warning("search is by words alone: %s", error)
            with self._lock:
                self._problem[active] = str(error)
            return
        with self._lock:
            self._loaded = active

    def _kept(self, kept: OrderedDict[Key, Value], key: Key) -> Value | None:
        with self._lock:
            if key in kept:
                kept.move_to_end(key)
            return kept.get(key)

    def _keep(self, kept: OrderedDict[Key, Value], key: Key, value: Value, most: int) -> None:
        with self._lock:
            kept[key] = value
            while len(kept) > most:
                kept.popitem(last=False)


def _decoded(file: bytes) -> tuple[np.ndarray, bytes]:
    """Returns the picture's pixels, [height, width, 3] uint8, and it as a JPEG. Raises ValueError for no picture."""
    from PIL import Image, ImageOps

    try:
        with Image.open(io.BytesIO(file), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ValueError(f"a picture may have {MAX_PIXELS / 1e6:.0f} million pixels")
            upright = ImageOps.exif_transpose(image.convert("RGB"))
            upright.thumbnail((1024, 1024))
            pixels = np.asarray(upright)
            upright.thumbnail((KEPT_WIDTH, KEPT_WIDTH))
            jpeg = io.BytesIO()
            upright.save(jpeg, "JPEG", quality=85)
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError("this is no picture that can be read: give a JPEG, PNG or WebP") from error
    return pixels, jpeg.getvalue()
