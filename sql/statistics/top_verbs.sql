-- ---
-- title: The fifty verbs in the most captions
-- description: >
--   A caption counts once for a verb however often it contains it; share is of all captions.
-- ---
select verb, count(*) as captions, count(*) / nullif((select count(*) from clip_captions), 0) as share
from (select clip_id, unnest(list_distinct(verbs)) as verb from clip_captions)
group by verb
order by captions desc, verb
limit 50
