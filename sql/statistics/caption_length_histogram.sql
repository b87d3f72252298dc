-- ---
-- title: Captions of clips by number of words
-- description: >
--   The last step, 100, holds all longer captions. Lengths that no caption has have no row. Captions of imported spans,
--   and those in scripts that write no spaces, are left out.
-- ---
select
    least(word_count, 100) as words,
    sum(total_rows)::bigint as captions,
    sum(total_rows) / sum(sum(total_rows)) over () as share
from caption_totals
where not is_imported and word_count is not null
group by words
order by words
