-- How the captions of two snapshots differ, in clips. Reads captions_a, captions_b.
select
    count(*) filter (where a.caption = b.caption) as same,
    count(*) filter (where a.caption <> b.caption) as different,
    count(*) filter (where b.clip_id is null) as only_a,
    count(*) filter (where a.clip_id is null) as only_b,
    avg(a.word_count) as mean_words_a,
    avg(b.word_count) as mean_words_b
from (select clip_id, caption, word_count from captions_a) as a
full join (select clip_id, caption, word_count from captions_b) as b on a.clip_id = b.clip_id
