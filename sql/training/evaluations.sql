-- Each metric of each checkpoint of the lake, the newest training first; $benchmark: null for all benchmarks.
select
    evaluations.checkpoint_id,
    evaluations.model,
    evaluations.benchmark,
    evaluations.split,
    evaluations.protocol,
    evaluations.metric,
    evaluations.value,
    evaluations.unit,
    evaluations.chance,
    evaluations.published,
    evaluations.items,
    evaluations.named,
    evaluations.data_digest,
    evaluations.written_at
from evaluations
left join checkpoints using (checkpoint_id)
where $benchmark is null or evaluations.benchmark = $benchmark
order by checkpoints.written_at desc, evaluations.checkpoint_id, evaluations.benchmark, evaluations.metric
