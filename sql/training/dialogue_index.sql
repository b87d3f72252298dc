-- The dialogues whose videos have clips to train on, in order: their turns, and of those clips the position in the index
-- of clips, the span, and what is said.
with shown as (
    select
        dialogues.dialogue_id,
        indexed.clip_id,
        indexed.position,
        clips.start_seconds,
        clips.end_seconds,
        coalesce(transcripts.english, transcripts.text, '') as speech
    from dialogues
    inner join clips on dialogues.video_id = clips.video_id and list_contains(dialogues.clip_ids, clips.clip_id)
    inner join indexed on clips.clip_id = indexed.clip_id
    left join transcripts on clips.clip_id = transcripts.clip_id
)

select
    dialogues.dialogue_id,
    any_value(dialogues.turns) as turns,
    list(
        {
            'clip_id': shown.clip_id,
            'position': shown.position,
            'start_seconds': shown.start_seconds,
            'end_seconds': shown.end_seconds,
            'speech': shown.speech
        }
        order by shown.start_seconds, shown.clip_id
    ) as shown
from dialogues
inner join shown on dialogues.dialogue_id = shown.dialogue_id
group by dialogues.dialogue_id
order by dialogues.dialogue_id
