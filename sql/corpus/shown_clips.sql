-- The first $clips of the clips $clip_ids that have a middle frame, with caption and speech where there are any, in order
-- of video and time.
with shown as (
    select clips.*
    from clips
    inner join frames on clips.clip_id = frames.clip_id and frames.is_middle
    where list_contains($clip_ids, clips.clip_id)
    order by list_position($clip_ids, clips.clip_id)
    limit $clips
)

select
    shown.clip_id,
    shown.start_seconds,
    shown.end_seconds,
    shown.flags,
    raw_videos.source,
    clip_captions.caption,
    clip_captions.model,
    transcripts.text as speech,
    transcripts.language,
    transcripts.english,
    transcripts.why_no_english
from shown
inner join raw_videos using (video_id)
left join clip_captions on shown.clip_id = clip_captions.clip_id
left join transcripts on shown.clip_id = transcripts.clip_id
order by shown.video_id, shown.clip_index
