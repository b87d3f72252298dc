"""What the training of a generator reads of its clips: their latents, computed once and kept in files.

A clip whose frames cannot be read (a broken file, one that is gone, a decoder that died) is left out of the training:
it is written to a list, and only where too many are unreadable does the training end.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
from safetensors.torch import load_file, save
from torch import Tensor

from internvid.generation.autoencoder import PatchAutoencoder
from internvid.generation.checkpoint import Generator
from internvid.generation.kept_arrays import KeptArray
from internvid.generation.unreadable import UNREADABLE, UnreadableClip, unreadable_clips
from internvid.viclip.clips import Clips
from internvid.viclip.frame_choice import middle_frames
from internvid.viclip.preprocessing import Preprocessing
from internvid.viclip.ranks import Ranks
from internvid.viclip.saved_state import atomic_file
from internvid.video.probe import UnreadableVideo

LATENTS_CACHE, AUTOENCODER_CACHE = "latents.cache", "autoencoder.cache"
CLIPS_PER_SAVE = 4
CLIPS_TO_FIT = 256  # a linear autoencoder to
# More than this share, and at least so many clips, are not the fault of single files: a disk may be away.
MAX_UNREADABLE_SHARE, MIN_UNREADABLE = 0.2, 20

# (position of the clip, positions of its frames)
Pick = tuple[int, Sequence[int]]
# (clips, picks) -> the frames of each pick in order, [t, h, w, 3] uint8 RGB, or its error.
ReadClips = Callable[[Clips, Iterable[Pick]], Iterator[np.ndarray | Exception]]


def read_in_process(clips: Clips, picks: Iterable[Pick]) -> Iterator[np.ndarray | Exception]:
    """Yields the frames of each pick, or its error. Decodes in this process: for trusted files only."""
    for pick in picks:
        try:
            (frames,) = clips.frames([pick])
        except (UnreadableVideo, OSError) as error:
            yield error
        else:
            yield frames


class TooManyUnreadable(ValueError):
    """So many clips cannot be read that their files are probably not at fault."""


class PreparedClips:
    """What a training reads of its clips, each computed once and kept in a file by the first rank."""

    def __init__(
        self, generator: Generator, clips: Clips, folder: Path, ranks: Ranks, *, made_of: str, read: ReadClips
    ) -> None:
        recipe = generator.recipe
        self.generator, self.clips, self.ranks, self.read = generator, clips, ranks, read
        self.preprocessing = Preprocessing(image_size=recipe.image_size, fit=recipe.fit)
        self.unreadable_path, self.autoencoder_path = folder / UNREADABLE, folder / AUTOENCODER_CACHE
        self.latents = KeptArray(
            folder / LATENTS_CACHE,
            clips=len(clips),
            row_shape=generator.latent_shape,
            dtype=np.float32,
            made_of=made_of,
        )

    def prepare(self, note: Callable[[str], object]) -> None:
        """Fits a linear autoencoder, and keeps latents. The first rank does it, and the others read its files.

        Raises TooManyUnreadable.
        """
        if self.ranks.first:
            self._keep_autoencoder()
        self.ranks.barrier()
        if isinstance(self.generator.autoencoder, PatchAutoencoder):
            self.generator.autoencoder.load_state_dict(load_file(self.autoencoder_path))
        if self.ranks.first:
            self._keep_latents(note)
        self.ranks.barrier()
        self.unreadable = [clip.position for clip in unreadable_clips(self.unreadable_path)]
        self.readable = np.delete(np.arange(len(self.clips)), self.unreadable)

    def _keep_autoencoder(self) -> None:
        """Fits a linear autoencoder to frames of clips from all over the data; another one stays as it is.

        A training that goes on keeps what was fitted: its latents were made by it, and its clips may be gone by now.
        """
        autoencoder = self.generator.autoencoder
        if not isinstance(autoencoder, PatchAutoencoder) or (self.latents.filled and self.autoencoder_path.exists()):
            return
        count = min(CLIPS_TO_FIT, len(self.clips))
        positions = [number * len(self.clips) // count for number in range(count)]
        errors: list[Exception] = []
        readable = _readable(self._decoded(positions), errors)
        if (first := next(readable, None)) is None:
            error = f"{type(errors[0]).__name__}: {errors[0]}"
            raise TooManyUnreadable(f"not one of {count:,} clips from all over the data can be read: {error}")
        autoencoder.fit(self.generator.pixels(video) for video in chain([first], readable))
        with atomic_file(self.autoencoder_path) as file:
            file.write(save(autoencoder.state_dict()))

    def _keep_latents(self, note: Callable[[str], object]) -> None:
        """Decodes and encodes each clip's frames, unless their latents are in the file."""
        if (filled := self.latents.filled) == len(self.clips):
            return
        began = time.monotonic()
        self._keep_unreadable(before=filled)
        try:
            self.latents.fill(self._encoded, rows_per_save=CLIPS_PER_SAVE)
        except TooManyUnreadable:
            self.latents.remove()  # the next try reads all clips again
            raise
        note(f"latents of {len(self.clips) - filled:,} clips in {time.monotonic() - began:.0f} s")

    def _keep_unreadable(self, *, before: int) -> None:
        """Removes from the list what was read after the latents were saved, for it is read again."""
        kept = [clip for clip in unreadable_clips(self.unreadable_path) if clip.position < before]
        with atomic_file(self.unreadable_path) as file:
            file.write("".join(clip.line for clip in kept).encode())

    def _encoded(self, first: int) -> Iterator[np.ndarray]:
        """Yields the latents of each clip from the first on, [t, c, h, w]; of one that cannot be read no numbers.

        A clip is encoded by itself: so its latents do not depend on its neighbours. Raises TooManyUnreadable.
        """
        unreadable = sum(1 for _ in unreadable_clips(self.unreadable_path))
        for position, video in enumerate(self._decoded(range(first, len(self.clips))), first):
            if not isinstance(video, Exception):
                yield self.generator.encoded(video).cpu().numpy()
                continue
            (clip_id,) = self.clips.clip_ids([position])
            clip = UnreadableClip(position, clip_id, type(video).__name__, str(video))
            with self.unreadable_path.open("a", encoding="utf-8") as file:
                file.write(clip.line)
            unreadable += 1
            self._require_few(unreadable, clip)
            yield np.full(self.latents.shape[1:], np.nan, self.latents.dtype)  # a batch with it would end the training

    def _require_few(self, unreadable: int, last: UnreadableClip) -> None:
        is_many = unreadable >= MIN_UNREADABLE and unreadable > MAX_UNREADABLE_SHARE * len(self.clips)
        if is_many or unreadable == len(self.clips):
            raise TooManyUnreadable(
                f"{unreadable:,} of {len(self.clips):,} clips cannot be read (limit {MAX_UNREADABLE_SHARE:.0%}), so "
                "single files are probably not at fault: see whether the folder of the videos is there, and train "
                f"again. {last.clip_id}: {last.error_class}: {last.message}"
            )

    def _decoded(self, positions: Iterable[int]) -> Iterator[Tensor | Exception]:
        """Yields frames from all over each clip, [t, 3, h, w] uint8: the middle ones of equal parts; or the error."""
        frames = self.generator.recipe.frames
        picks = ((at, middle_frames(int(self.clips.frame_counts[at]), frames)) for at in positions)
        for video in self.read(self.clips, picks):
            yield video if isinstance(video, Exception) else self.preprocessing.pixels([video])[0]


def _readable(videos: Iterable[Tensor | Exception], errors: list[Exception]) -> Iterator[Tensor]:
    """Yields the videos; their errors are added to the list."""
    for video in videos:
        if isinstance(video, Exception):
            errors.append(video)
        else:
            yield video
