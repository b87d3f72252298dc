"""Interleaved documents: where clips and texts stand, what is dropped, and the two forms of one document."""

import random

import pytest

from internvid.interleaved.documents import (
    END_OF_CLIP,
    VIDEO,
    Document,
    DocumentClip,
    as_dicts,
    document_of,
    stream_of,
)


def clips(number: int, *, speech: str | None = None, video: str = "v") -> list[DocumentClip]:
    return [
        DocumentClip(
            clip_id=f"{video}_{index}",
            video_id=video,
            uri=f"file:///{video}.mp4",
            start_seconds=float(index),
            end_seconds=index + 1.0,
            frame_id=f"{video}_{index}_m",
            frame_seconds=index + 0.5,
            caption=f"caption {index}",
            speech=speech and f"{speech} {index}",
        )
        for index in range(number)
    ]


def whole(document: Document) -> None:
    """Checks what is true of every document."""
    assert len(document.texts) == len(document.images)
    assert all((text is None) != (image is None) for text, image in zip(document.texts, document.images, strict=True))
    for clip in document.clips:
        assert clip.image_index is None or document.images[clip.image_index] == clip.clip_id
    places = [
        index
        for clip in document.clips
        for index in (clip.image_index, clip.text_index, clip.speech_index)
        if index is not None
    ]
    assert places == list(range(len(document.texts)))


def test_a_clip_stands_as_its_video_then_its_caption_then_what_is_said():
    document = document_of(clips(2, speech="words"), with_speech=True, drop=0, seed=1)
    whole(document)
    assert document.texts == [None, "caption 0", "words 0", None, "caption 1", "words 1"]
    assert document.images == ["v_0", None, None, "v_1", None, None]
    assert document_of(clips(2, speech="words"), with_speech=False, drop=0, seed=1).texts == [
        *(None, "caption 0"),
        *(None, "caption 1"),
    ]


def test_the_videos_of_three_clips_in_ten_are_dropped_and_their_texts_stay():
    document = document_of(clips(5_000), with_speech=False, drop=0.3, seed=42)
    whole(document)
    assert document.dropped / 5_000 == pytest.approx(0.3, abs=0.02)
    assert [text for text in document.texts if text] == [f"caption {index}" for index in range(5_000)]


def test_what_is_dropped_depends_on_the_seed_and_each_clip_alone():
    def dropped(chosen: list[DocumentClip], seed: int) -> set[str]:
        document = document_of(chosen, with_speech=False, drop=0.5, seed=seed)
        return {clip.clip_id for clip in document.clips if clip.image_index is None}

    every = clips(200)
    fifty = random.Random(0).sample(every, 50)
    assert dropped(fifty, 7) == dropped(every, 7) & {clip.clip_id for clip in fifty}
    assert dropped(every, 7) != dropped(every, 8)


def test_of_each_video_one_clip_keeps_it_where_all_would_be_dropped():
    document = document_of(clips(4), with_speech=False, drop=1.0, seed=3)
    whole(document)
    assert document.dropped == 3
    pair = document_of([*clips(4), *clips(2, video="w")], with_speech=False, drop=1.0, seed=3)
    assert [image for image in pair.images if image] == [*filter(None, document.images), pair.images[-2] or "w_0"]
    assert pair.dropped == 4
    assert document_of(clips(1), with_speech=False, drop=1.0, seed=3).dropped == 0


def test_the_stream_has_a_mark_for_each_video_that_stands_and_the_videos_in_their_order():
    made = clips(3, speech="words")
    made[1] = DocumentClip(**{**vars(made[1]), "caption": f"a screen that shows {VIDEO}"})
    document = document_of(made, with_speech=True, drop=0.5, seed=1)
    kept = [clip for clip in document.clips if clip.image_index is not None]
    assert 0 < len(kept) < 3, "the seed drops one at least"
    text, videos = stream_of(document.texts, as_dicts(document.clips))
    assert [video["clip_id"] for video in videos] == [clip.clip_id for clip in kept]
    assert text.count(VIDEO) == len(kept)
    assert text.count(END_OF_CLIP) == 3
    parts = text.split(END_OF_CLIP)[:-1]
    assert [part.startswith(VIDEO) for part in parts] == [clip.image_index is not None for clip in document.clips]
    assert parts[2].removeprefix(VIDEO) == "caption 2 words 2"
