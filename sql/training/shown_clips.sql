-- The clips $clip_ids, or those of the videos $video_ids, in order of time: span, what is said, and the stored frames.
with chosen as (
    select clip_id, video_id, start_seconds, end_seconds
    from clips
    where clip_id in (select unnest($clip_ids)) or video_id in (select unnest($video_ids))
),

pictures as (
    select frames.clip_id, list(frames.frame_id order by frames.pts, frames.frame_id) as frame_ids
    from frames
    inner join chosen on frames.clip_id = chosen.clip_id
    group by frames.clip_id
)

select
    chosen.clip_id,
    chosen.video_id,
    chosen.start_seconds,
    chosen.end_seconds,
    coalesce(transcripts.english, transcripts.text, '') as speech,
    pictures.frame_ids
from chosen
inner join pictures on chosen.clip_id = pictures.clip_id
left join transcripts on chosen.clip_id = transcripts.clip_id
order by chosen.video_id, chosen.start_seconds, chosen.clip_id
