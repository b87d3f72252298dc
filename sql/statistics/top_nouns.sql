-- ---
-- title: The fifty nouns in the most captions
-- description: >
--   A caption counts once for a noun however often it contains it; share is of all captions.
-- ---
select
    word as noun,
    total_rows as captions,
    total_rows / nullif((select sum(total_rows) from caption_totals), 0) as share
from word_totals
where part = 'noun'
order by captions desc, noun
limit 50
