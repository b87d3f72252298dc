-- Total costs of each stage in all its runs, in the order in which the stages first ended.
-- processors_busy: mean number of busy cores; null if no run measured it.
select
    stage,
    count(*) as runs,
    sum(units)::bigint as units,
    sum(wall_seconds) as wall_seconds,
    sum(processor_seconds) / nullif(sum(wall_seconds) filter (processor_seconds is not null), 0) as processors_busy,
    coalesce(sum(video_seconds), 0) as video_seconds,
    coalesce(sum(frames), 0)::bigint as frames
from costs
where model = ''
group by stage
order by min(written_at), stage
