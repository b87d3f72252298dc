-- What transcripts works on: every clip, with the cues of which it may hold words: those that reach into it by more than
-- an edge (EDGE_SECONDS in internvid/speech/division.py). Speech in English does not depend on the translator.
with said as (
    select
        clips.clip_id,
        string_agg(speech.digest, ',' order by speech.cue_id) as inputs,
        min(speech.language) as language
    from clips
    inner join speech
        on clips.video_id = speech.video_id
        and clips.start_seconds <= speech.end_seconds - least(0.05, (speech.end_seconds - speech.start_seconds) / 2)
        and clips.end_seconds > speech.start_seconds + least(0.05, (speech.end_seconds - speech.start_seconds) / 2)
    group by clips.clip_id
),

silent as (
    select
        key as video_id,
        case when outcome = 'failed' then 'what is said in its video could not be read' else message end as reason
    from attempts
    where stage = 'speech'
)

select
    clips.clip_id as unit,
    clips.ingest_batch as partition,
    clips.clip_id as label,
    case when said.inputs is null or said.language = 'en' then 'english' else 'other' end as variant,
    coalesce(said.inputs, silent.reason, '') as inputs,
    case when said.inputs is null then coalesce(silent.reason, 'no speech in it') end as skip
from clips
left join said using (clip_id)
left join silent on clips.video_id = silent.video_id
