"""What leaves a loader of training samples: bytes of the kept patches, whoever makes them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from internvid.data import generators_of_row
from internvid.viclip.clips import InMemoryClip, InMemoryClips
from internvid.viclip.config import L14, ViCLIPConfig
from internvid.viclip.model import patches_of
from internvid.viclip.preprocessing import Preprocessing
from internvid.viclip.recipe import Phase, Recipe
from internvid.viclip.samples import (
    Samples,
    Slice,
    SliceRows,
    Uploads,
    batches_with_samples,
    empty_slice,
)
from internvid.viclip.sampling import Plan
from internvid.viclip.tokenizer import Tokenizer

MODEL = ViCLIPConfig(32, 8, 32, 2, 1, 32, 1, 1, 32, vocab_size=600, context_length=24, frames=4)
PHASE = Phase("p", 0.5, 1e-3, epochs=1, warmup_epochs=0, batch_size=20)
RECIPE = Recipe("r", MODEL, (PHASE,), None, False, None, frames=4, crop_scale=(1.0, 1.0), horizontal_flip=False)


@pytest.fixture(scope="module")
def clips() -> InMemoryClips:
    rng = np.random.default_rng(0)
    return InMemoryClips(
        [
            InMemoryClip(
                f"c{number}", f"v{number}", "word " * (number % 5), rng.integers(0, 256, (4, 32, 32, 3), np.uint8)
            )
            for number in range(20)
        ]
    )


def loaded(clips: InMemoryClips, recipe: Recipe, *, slices: int = 1, workers: int = 0, all_tokens: bool = False):
    tokenizer = Tokenizer.trained_on(["word"] * 9, vocab_size=600, context_length=24)
    ((batch, loaded_slices),) = batches_with_samples(
        Samples(clips, recipe, tokenizer, all_tokens=all_tokens),
        Plan(recipe, clips.video_numbers),
        first_step=0,
        rank=0,
        ranks=1,
        slices={0: slices},
        workers=workers,
        pin_memory=False,
    )
    return batch, loaded_slices


@pytest.mark.parametrize(("mask_ratio", "megabytes"), [(0.9, 0.2), (0.0, 1.3)])
def test_a_sample_of_the_papers_model_is_small(mask_ratio, megabytes):
    recipe = replace(RECIPE, model=L14, frames=8)
    assert 0 < empty_slice(recipe, 10, mask_ratio).nbytes / 10 < megabytes * 1e6


def test_patches_are_the_bytes_of_the_kept_tokens_in_the_rows_of_the_batch(clips):
    batch, (slice_,) = loaded(clips, RECIPE)
    assert slice_.patches.dtype == torch.uint8
    tokens = MODEL.patches_per_frame * 4
    assert slice_.patches.shape == (20, tokens // 2, 3, 8, 8)
    assert slice_.keep is not None
    for row, clip in enumerate(batch.clips):
        crop = Preprocessing(32).augmented(
            clips.clips[clip].frames,
            crop_scale=(1.0, 1.0),
            flip=False,
            generator=generators_of_row(RECIPE.seed, 0, row)[1],
        )
        assert torch.equal(slice_.patches[row], patches_of(crop[None], 8, slice_.keep[row : row + 1])[0])


def test_slices_hold_the_rows_that_one_slice_holds(clips):
    recipe = replace(RECIPE, horizontal_flip=True, crop_scale=(0.5, 1.0))
    _, (whole,) = loaded(clips, recipe)
    _, parts = loaded(clips, recipe, slices=3)
    assert [len(part) for part in parts] == [6, 7, 7]
    for name in ("patches", "keep", "path_chances"):
        assert torch.equal(torch.cat([getattr(part, name) for part in parts]), getattr(whole, name)), name


def test_texts_are_cut_to_a_multiple_of_eight_tokens_or_not_at_all(clips):
    _, (cut,) = loaded(clips, RECIPE)
    _, (whole,) = loaded(clips, RECIPE, all_tokens=True)
    assert (cut.token_ids.shape[1], whole.token_ids.shape[1]) == (8, 24)
    assert torch.equal(whole.token_ids[:, :8], cut.token_ids)
    assert not whole.token_ids[:, 8:].any()


@pytest.mark.slow
def test_a_worker_makes_the_same_slices_in_shared_memory(clips):
    _, here = loaded(clips, RECIPE, slices=2)
    _, there = loaded(clips, RECIPE, slices=2, workers=1)
    for left, right in zip(here, there, strict=True):
        assert right.patches.is_shared()
        for name, tensor in vars(left).items():
            assert torch.equal(tensor, getattr(right, name)), name


def test_uploads_yield_every_slice_once_and_begin_the_next_one_first(clips):
    begun = []

    class Watched(Uploads):
        def begin(self, slice_: Slice):
            begun.append(int(slice_.patches[0, 0, 0, 0, 0]))
            return super().begin(slice_)

    slices = [
        empty_slice(RECIPE, 1, 0.0).each(lambda tensor, number=number: tensor.fill_(number)) for number in range(3)
    ]
    uploads = Watched(torch.device("cpu"))
    seen = []
    for slice_ in uploads.each(slices, uploads.begin(slices[0])):
        seen.append((int(slice_.token_ids[0, 0]), len(begun)))
    assert seen == [(0, 2), (1, 3), (2, 3)]
    assert begun == [0, 1, 2]


def test_samples_depend_on_the_row_and_not_on_how_many_are_read_together(clips):
    samples = Samples(clips, RECIPE, Tokenizer.trained_on(["word"] * 9, vocab_size=600, context_length=24))
    positions = np.arange(20)
    together = samples[SliceRows(3, 0.5, 0, positions)]
    alone = samples[SliceRows(3, 0.5, 17, positions[17:18])]  # in the second read of the slice
    assert torch.equal(together.patches[17], alone.patches[0])
    assert torch.equal(together.path_chances[17], alone.path_chances[0])
