-- ---
-- title: Language
-- description: That is spoken in the clip; "unknown" where something is said in no language that is known.
-- place: 2
-- values: languages
-- ---
select numbered.number, coalesce(transcripts.language, 'unknown') as value
from numbered
inner join transcripts using (clip_id)
where transcripts.text <> ''
