-- ---
-- title: Words of a clip's caption in the paper's buckets (Figure 4b)
-- description: >
--   A bucket holds its lower bound and not its upper one. The paper gives 11 % above 20 words, split 4 and 7 % without
--   saying which is which: those two are null. Captions of imported spans are left out.
-- ---
with bucket (position, bucket, from_words, to_words, paper_share, paper_share_up_to_here) as (
    values
        (1, '0–10', 0, 10, 0.34, 0.34),
        (2, '10–20', 10, 20, 0.55, 0.89),
        (3, '20–30', 20, 30, null, null),
        (4, '>30', 30, 'infinity'::double, null, 1)
),

counted as (
    select position, bucket, paper_share, paper_share_up_to_here, coalesce(sum(total_rows), 0)::bigint as captions
    from bucket
    left join caption_totals on word_count >= from_words and word_count < to_words and not is_imported
    group by all
)

select
    position,
    bucket,
    captions,
    captions / nullif(sum(captions) over (), 0) as share,
    sum(captions) over (order by position) / nullif(sum(captions) over (), 0) as share_up_to_here,
    paper_share::double as paper_share,
    paper_share_up_to_here::double as paper_share_up_to_here
from counted
order by position
