-- ---
-- title: The fifty nouns in the most captions
-- description: >
--   A caption counts once for a noun however often it contains it; share is of all captions.
-- ---
select noun, count(*) as captions, count(*) / nullif((select count(*) from clip_captions), 0) as share
from (select clip_id, unnest(list_distinct(nouns)) as noun from clip_captions)
group by noun
order by captions desc, noun
limit 50
