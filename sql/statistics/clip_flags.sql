-- ---
-- title: Clips that a subset may want to leave out, by flag
-- description: >
--   A clip may carry several flags, so the shares need not sum to one; "none" are the clips without any.
-- ---
with known (position, flag) as (
    values (1, 'none'), (2, 'too_short'), (3, 'too_long'), (4, 'still'), (5, 'wild'), (6, 'black'),
        (7, 'interlaced'), (8, 'short_of_header')
),

flagged as (
    select flag, sum(total_rows)::bigint as clips, sum(total_microseconds) as microseconds
    from (
        select total_rows, total_microseconds, unnest(if(len(flags) = 0, ['none'], flags)) as flag
        from clip_totals
    )
    group by flag
)

select
    flag,
    coalesce(clips, 0) as clips,
    coalesce(clips, 0) / nullif((select sum(total_rows) from clip_totals), 0) as share,
    coalesce(microseconds, 0) / 3.6e9 as hours
from known
full join flagged using (flag)
order by coalesce(position, 99), flag
