-- ---
-- title: The fifty verbs in the most captions
-- description: >
--   A caption counts once for a verb however often it contains it; share is of all captions.
-- ---
select
    word as verb,
    total_rows as captions,
    total_rows / nullif((select sum(total_rows) from caption_totals), 0) as share
from word_totals
where part = 'verb'
order by captions desc, verb
limit 50
