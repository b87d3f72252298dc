-- The captioned clips of the videos $video_ids, in order of video and time: those that were cut here; imported spans
-- where a video has no others.
with captioned as (
    select
        clips.*,
        clip_captions.caption,
        clip_captions.model as caption_model,
        coalesce(transcripts.english, transcripts.text) as speech
    from clips
    inner join clip_captions on clips.clip_id = clip_captions.clip_id
    left join transcripts on clips.clip_id = transcripts.clip_id
    where clips.video_id in (select unnest($video_ids))
)

select
    video_id,
    clip_id,
    start_seconds,
    end_seconds,
    boundary,
    caption,
    caption_model,
    speech,
    motion,
    stillness,
    blackness,
    pan_x,
    pan_y,
    zoom,
    moving_share,
    mover_x,
    mover_y
from captioned
qualify annotation_id is null or bool_and(annotation_id is not null) over (partition by video_id)
order by video_id, start_seconds, clip_id
