-- What is said in each clip, as said and in English.
select clip_id, concat_ws(' ', text, nullif(english, text)) as spoken
from transcripts
where text <> ''
