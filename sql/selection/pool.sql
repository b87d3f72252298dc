-- The pool of every subset: clips with a caption and at least one frame, except those of copies of benchmark videos.
select
    clips.*,
    clips.end_seconds - clips.start_seconds as seconds,
    clip_captions.caption,
    clip_captions.word_count,
    clip_captions.nouns,
    clip_captions.verbs
from clips
inner join clip_captions on clips.clip_id = clip_captions.clip_id
where clip_captions.caption <> '' and clips.clip_id in (select clip_id from frames)
    and clips.video_id not in (select key from attempts where stage = 'fingerprints' and error_class = 'InBenchmark')
