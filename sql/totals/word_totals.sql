-- ---
-- title: Captions of clips by noun and verb
-- description: >
--   part: noun or verb. A caption counts once for a word: its nouns and verbs are distinct.
-- ---
select 'noun' as part, word, count(*) as total_rows
from (select unnest(nouns) as word from clip_captions)
group by word
union all
select 'verb' as part, word, count(*) as total_rows
from (select unnest(verbs) as word from clip_captions)
group by word
