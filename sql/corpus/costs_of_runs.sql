-- What each run of a stage took, as the estimates read it: its own time without starts and without its models, which
-- have rows of their own. Registering, publishing and sessions are runs too.
with models as (
    select
        run_id,
        stage,
        partition,
        sum(model_seconds) as wall_seconds,
        sum(processor_seconds) as processor_seconds
    from costs
    where model <> ''
    group by run_id, stage, partition
)

select
    costs.stage,
    costs.units,
    coalesce(costs.video_seconds, 0) as video_seconds,
    coalesce(costs.frames, 0)::bigint as frames,
    coalesce(costs.bytes_written, 0)::bigint as bytes_written,
    costs.wall_seconds,
    costs.processor_seconds,
    greatest(0, costs.processor_seconds - costs.start_processor_seconds - coalesce(models.processor_seconds, 0))
        as own_processor_seconds,
    costs.start_wall_seconds,
    costs.start_processor_seconds,
    costs.commit_wall_seconds,
    costs.commit_processor_seconds
from costs
left join models
    on costs.run_id = models.run_id
    and costs.stage = models.stage
    and costs.partition = models.partition
where costs.model = '' and costs.units > 0
order by costs.written_at, costs.cost_id
