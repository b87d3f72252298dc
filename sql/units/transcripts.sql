-- What transcripts works on: every clip in which something is said, with the cues of which it may hold words: those that
-- reach into it by more than an edge (EDGE_SECONDS in internvid/speech/division.py). Speech in English does not depend on
-- the translator. A clip in which nothing is said is no input; why there is no speech in a video is told by `speech`.
select
    clips.clip_id as unit,
    any_value(clips.ingest_batch) as partition,
    clips.clip_id as label,
    case min(speech.language) when 'en' then 'english' else 'other' end as variant,
    string_agg(speech.digest, ',' order by speech.cue_id) as inputs,
    null::varchar as skip
from clips
inner join speech
    on clips.video_id = speech.video_id
    and clips.start_seconds <= speech.end_seconds - least(0.05, (speech.end_seconds - speech.start_seconds) / 2)
    and clips.end_seconds > speech.start_seconds + least(0.05, (speech.end_seconds - speech.start_seconds) / 2)
group by clips.clip_id
