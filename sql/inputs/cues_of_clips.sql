-- The cues that may have words within the clips $clip_ids, in order of time; the same join as units/transcripts.sql.
select
    clips.clip_id,
    clips.start_seconds as clip_start_seconds,
    clips.end_seconds as clip_end_seconds,
    speech.start_seconds,
    speech.end_seconds,
    speech.text,
    speech.language,
    speech.source,
    speech.model,
    speech.revision
from clips
inner join speech
    on clips.video_id = speech.video_id
    and clips.start_seconds <= speech.end_seconds - least(0.05, (speech.end_seconds - speech.start_seconds) / 2)
    and clips.end_seconds > speech.start_seconds + least(0.05, (speech.end_seconds - speech.start_seconds) / 2)
where clips.clip_id in (select unnest($clip_ids))
order by clips.clip_id, speech.start_seconds, speech.cue_id
