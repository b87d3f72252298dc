-- Counts, at each of $scales: captions that are missing without an attempt, captions without a frame, captions with
-- another clip or video than their frame has, and captions under a wrong key.
-- Frames of clips that came with a caption need no captions.
with captioned as (
    select annotation_id from annotations where caption is not null
),

expected as (
    select frame_id || '/coarse' as frame_caption_id
    from frames
    where
        is_middle
        and list_contains($scales, 'coarse')
        and (annotation_id is null or annotation_id not in (select annotation_id from captioned))
    union all
    select frame_id || '/fine'
    from frames
    where
        is_fine
        and list_contains($scales, 'fine')
        and (annotation_id is null or annotation_id not in (select annotation_id from captioned))
    union all
    select clip_id || '/clip'
    from clips
    where
        list_contains($scales, 'clip')
        and (annotation_id is null or annotation_id not in (select annotation_id from captioned))
)

select
    (
        select count(*)
        from expected
        where
            frame_caption_id not in (select frame_caption_id from frame_captions)
            and frame_caption_id not in (select key from attempts where stage = 'frame_captions')
    ) as frames_without_caption,
    (
        select count(*) from frame_captions where frame_caption_id not in (select frame_caption_id from expected)
    ) as captions_without_frame,
    (
        select count(*)
        from frame_captions
        inner join frames on frame_captions.frame_id = frames.frame_id
        where frame_captions.clip_id <> frames.clip_id or frame_captions.video_id <> frames.video_id
    ) as captions_of_another_clip,
    (
        select count(*)
        from frame_captions
        where frame_caption_id <> coalesce(frame_id, clip_id) || '/' || scale
    ) as captions_under_another_key
