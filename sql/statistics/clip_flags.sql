-- ---
-- title: Clips that a subset may want to leave out, by flag
-- description: >
--   A clip may carry several flags, so the shares need not sum to one; "none" are the clips without any.
-- ---
with known (position, flag) as (
    values (1, 'none'), (2, 'too_short'), (3, 'too_long'), (4, 'still'), (5, 'wild'), (6, 'black')
),
flagged as (
    select clip_id, end_seconds - start_seconds as seconds, unnest(flags) as flag from clips
    union all
    select clip_id, end_seconds - start_seconds, 'none' from clips where coalesce(len(flags), 0) = 0
)
select
    flag,
    count(clip_id) as clips,
    count(clip_id) / nullif((select count(*) from clips), 0) as share,
    coalesce(sum(seconds), 0) / 3600 as hours
from known full join flagged using (flag)
group by flag
order by coalesce(min(position), 99), flag
