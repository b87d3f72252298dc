import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from internvid.viclip.checkpoint import Checkpoint
from internvid.viclip.clips import InMemoryClip, InMemoryClips
from internvid.viclip.config import L14, ViCLIPConfig
from internvid.viclip.encoder import MAX_VIDEOS_PER_BATCH, Encoder, clips_within
from internvid.viclip.model import ViCLIP
from internvid.viclip.preprocessing import Preprocessing
from internvid.viclip.tokenizer import Tokenizer

TEXTS = ["A red circle moves to the right.", "two dogs", "", "a blue square grows " * 9, "the red-blue square"]
CONFIG = ViCLIPConfig(
    image_size=32,
    patch_size=8,
    vision_width=64,
    vision_layers=3,
    vision_heads=4,
    text_width=48,
    text_layers=2,
    text_heads=4,
    embed_dim=24,
    vocab_size=600,
    frames=4,
)


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    torch.manual_seed(0)
    model = ViCLIP(CONFIG)
    torch.nn.init.normal_(model.vision_encoder.temporal_positional_embedding)
    return Checkpoint(model, Tokenizer.trained_on(TEXTS, vocab_size=600), Preprocessing(32))


@pytest.fixture(scope="module")
def clips() -> InMemoryClips:
    """Seven clips of 1 to 23 frames and of several sizes."""
    rng = np.random.default_rng(0)
    sizes = [(9, 40, 60), (4, 32, 32), (1, 50, 50), (23, 20, 90), (3, 64, 48), (4, 40, 60), (8, 33, 31)]
    videos = [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]
    return InMemoryClips(
        [
            InMemoryClip(f"clip {number}", f"video {number // 2}", TEXTS[number % 5], clip_frames)
            for number, clip_frames in enumerate(videos)
        ]
    )


def test_vectors_are_the_models_own_of_the_middle_frames_and_of_length_one(checkpoint, clips):
    vectors = Encoder(checkpoint).encode_clips(clips, range(7))
    assert vectors.dtype == np.float32
    assert vectors.shape == (7, 24)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    middles = {0: [0, 2, 4, 7], 1: [0, 1, 2, 3], 2: [0, 0, 0, 0], 3: [2, 7, 13, 19], 4: [0, 1, 2, 2]}
    for clip, positions in middles.items():
        frames = checkpoint.preprocessing.frames([clips.clips[clip].frames[positions]])
        with torch.no_grad():
            video = checkpoint.model.eval().encode_video(frames)[0]
        np.testing.assert_allclose(vectors[clip], video / video.norm(), atol=1e-5)


def test_a_vector_does_not_depend_on_its_batch(checkpoint, clips):
    encoder = Encoder(checkpoint)
    together = encoder.encode_clips(clips, [0, 1, 2, 3, 4, 5, 6])
    for batch_size in (1, 2, 5):
        np.testing.assert_allclose(encoder.encode_clips(clips, range(7), batch_size=batch_size), together, atol=1e-5)
    mixed = [5, 0, 5, 3]
    np.testing.assert_allclose(encoder.encode_clips(clips, np.array(mixed)), together[mixed], atol=1e-5)
    texts = encoder.encode_texts(TEXTS)
    np.testing.assert_allclose(encoder.encode_texts(TEXTS, batch_size=1), texts, atol=1e-5)
    np.testing.assert_allclose(encoder.encode_texts(TEXTS[::-1], batch_size=2), texts[::-1], atol=1e-5)
    assert np.abs(together[0] - together[5]).max() > 1e-3
    assert np.abs(texts[0] - texts[1]).max() > 1e-3


def test_videos_in_memory_have_the_vectors_that_they_have_as_clips(checkpoint, clips):
    encoder = Encoder(checkpoint)
    videos = [clip.frames for clip in clips.clips]
    for choice in ("middle", "uniform"):
        clip_vectors = encoder.encode_clips(clips, range(7), choice=choice)
        np.testing.assert_allclose(encoder.encode_videos(videos, choice=choice, batch_size=3), clip_vectors, atol=1e-5)
    assert np.abs(encoder.encode_videos(videos) - encoder.encode_videos(videos, choice="uniform"))[0].max() > 1e-3


def test_only_the_frames_of_one_batch_are_read_at_a_time_and_no_others(checkpoint, clips):
    batches_read = []

    class Watched(InMemoryClips):
        def frames(self, picks: Sequence[tuple[int, Sequence[int]]]) -> list[np.ndarray]:
            batches_read.append(list(picks))
            return super().frames(picks)

    Encoder(checkpoint).encode_clips(Watched(clips.clips), [3, 1, 2], batch_size=2, choice="uniform")
    assert batches_read == [[(3, [0, 5, 10, 15]), (1, [0, 1, 2, 3])], [(2, [0, 0, 0, 0])]]


def test_more_frames_than_the_model_was_made_for_can_be_seen(checkpoint, clips):
    video = clips.clips[3].frames
    vector = Encoder(checkpoint, frames=6).encode_videos([video])[0]
    frames = checkpoint.preprocessing.frames([video[[1, 4, 8, 12, 16, 20]]])
    with torch.no_grad():
        expected = checkpoint.model.eval().encode_video(frames)[0]
    np.testing.assert_allclose(vector, expected / expected.norm(), atol=1e-5)


def test_texts_are_prepared_as_in_training_unless_asked_otherwise(checkpoint):
    encoder = Encoder(checkpoint)
    prepared, plain = encoder.encode_texts(TEXTS), encoder.encode_texts(TEXTS, prepare=False)
    assert prepared.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(prepared, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(prepared[1:4], plain[1:4], atol=1e-6)
    assert np.abs(prepared[0] - plain[0]).max() > 1e-3
    tidy = encoder.encode_texts(["a red circle moves to the right"], prepare=False)
    np.testing.assert_allclose(prepared[:1], tidy, atol=1e-5)
    with torch.no_grad():
        embeddings = checkpoint.model.encode_text(checkpoint.tokenizer(TEXTS))
    np.testing.assert_allclose(plain, torch.nn.functional.normalize(embeddings), atol=1e-5)


def test_nothing_has_no_vectors_and_an_unknown_choice_is_told(checkpoint, clips):
    encoder = Encoder(checkpoint)
    for nothing in (encoder.encode_clips(clips, []), encoder.encode_videos([]), encoder.encode_texts([])):
        assert nothing.shape == (0, 24)
        assert nothing.dtype == np.float32
    with pytest.raises(ValueError, match="as middle or uniform, not random"):
        encoder.encode_clips(clips, [0], choice="random")


def test_batches_prepared_by_threads_have_the_same_vectors_in_the_same_order(checkpoint, clips):
    here, ahead = Encoder(checkpoint), Encoder(checkpoint)
    assert here.threads == 0  # on a CPU
    ahead.threads = 3
    for size in (1, 3):
        expected = here.encode_clips(clips, range(7), batch_size=size)
        assert np.array_equal(ahead.encode_clips(clips, range(7), batch_size=size), expected)
    assert np.array_equal(ahead.encode_texts(TEXTS, batch_size=2), here.encode_texts(TEXTS, batch_size=2))


def test_a_broken_clip_that_a_thread_reads_is_raised_where_vectors_are_asked_for(checkpoint, clips):
    class Broken(InMemoryClips):
        def frames(self, picks: Sequence[tuple[int, Sequence[int]]]) -> list[np.ndarray]:
            raise OSError("a frame that cannot be read")

    encoder = Encoder(checkpoint)
    encoder.threads = 2
    with pytest.raises(OSError, match="a frame that cannot be read"):
        encoder.encode_clips(Broken(clips.clips), range(7), batch_size=2)


def test_bfloat16_gives_nearly_the_vectors_of_float32_and_is_the_default_of_no_cpu(checkpoint, clips):
    exact, rounded = Encoder(checkpoint), Encoder(checkpoint, precision="bfloat16")
    assert (exact.precision, rounded.precision) == ("float32", "bfloat16")
    pairs = [
        (exact.encode_clips(clips, range(7)), rounded.encode_clips(clips, range(7))),
        (exact.encode_texts(TEXTS), rounded.encode_texts(TEXTS)),
    ]
    for vectors, nearly in pairs:
        assert nearly.dtype == np.float32
        assert (vectors * nearly).sum(axis=1).min() > 0.999
        assert np.abs(vectors - nearly).max() > 1e-5


def test_use_of_the_device_counts_the_time_that_frames_are_waited_for(checkpoint, clips):
    class Slow(InMemoryClips):
        def frames(self, picks: Sequence[tuple[int, Sequence[int]]]) -> list[np.ndarray]:
            time.sleep(0.1)
            return super().frames(picks)

    encoder = Encoder(checkpoint)
    began = time.perf_counter()
    encoder.encode_texts(TEXTS)
    encoder.encode_clips(Slow(clips.clips), range(4), batch_size=2)
    seconds = time.perf_counter() - began
    use = encoder.use()
    assert 4 / seconds <= use.clips_per_second <= 4 / 0.2
    assert 0.2 / seconds <= use.waiting_share <= 1
    assert use.peak_share is None  # no GPU
    assert str(replace(use, clips_per_second=1234.5, waiting_share=0.25, peak_share=0.5, memory_bytes=3 << 29)) == (
        "1,234.5 clips a second, waiting 25% of the time, 50% of the GPU's peak, 1.5 GiB"
    )


def test_as_many_clips_are_computed_together_as_the_memory_takes():
    tokens = 1 + 8 * 256
    assert clips_within(10 * tokens * 1024 * 64, L14, 8) == 10
    assert clips_within(1, L14, 8) == 1
    assert clips_within(1e15, L14, 8) == MAX_VIDEOS_PER_BATCH
