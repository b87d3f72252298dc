-- The dialogues about the videos of a subset, in order, with the clips that the subset has of each video.
with chosen as (
    select video_id, any_value(split) as split, list(clip_id order by clip_id) as clips_of_subset
    from subsets
    group by video_id
)

select
    dialogues.dialogue_id,
    dialogues.start_seconds,
    dialogues.end_seconds,
    dialogues.clip_ids,
    dialogues.turns,
    dialogues.model,
    raw_videos.source,
    chosen.split,
    chosen.clips_of_subset
from dialogues
inner join chosen on dialogues.video_id = chosen.video_id
inner join raw_videos on dialogues.video_id = raw_videos.video_id
order by dialogues.dialogue_id
