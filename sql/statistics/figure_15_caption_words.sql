-- ---
-- title: The thousand words in the most captions (the word cloud of Figure 15)
-- description: >
--   As they are written, in small letters. A caption counts once for a word. part: noun or verb where the word is also
--   a lemma that is tagged more often as that than as the other. Words that say nothing (the, of) are among them: the
--   report leaves them out.
-- ---
with lemma as (
    select word, arg_max(part, {'captions': total_rows, 'part': part}) as part from word_totals group by word
),

ranked as (
    select word, total_rows
    from written_word_totals
    where kind = 'caption'
    order by total_rows desc, word
    limit 1000
)

select
    ranked.word,
    lemma.part,
    ranked.total_rows as captions,
    ranked.total_rows / nullif((select sum(total_rows) from caption_totals), 0) as share
from ranked
left join lemma using (word)
order by captions desc, word
