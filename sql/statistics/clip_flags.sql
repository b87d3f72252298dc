-- ---
-- title: Clips that a subset may want to leave out, by flag
-- description: >
--   A clip may carry several flags, so the shares need not sum to one; "none" are the clips without any.
-- ---
with known (position, flag) as (
    values (1, 'none'), (2, 'too_short'), (3, 'too_long'), (4, 'still'), (5, 'wild'), (6, 'black')
),
-- Grouped before the join: the flags are few, the clips many.
flagged as (
    select flag, count(*) as clips, sum(seconds) as seconds
    from (
        select
            end_seconds - start_seconds as seconds,
            unnest(case when coalesce(len(flags), 0) = 0 then ['none'] else flags end) as flag
        from clips
    )
    group by flag
)
select
    flag,
    coalesce(clips, 0) as clips,
    coalesce(clips, 0) / nullif((select count(*) from clips), 0) as share,
    coalesce(seconds, 0) / 3600 as hours
from known full join flagged using (flag)
order by coalesce(position, 99), flag
