-- What each model took in each run of a stage. device: where it ran.
select
    stage,
    model,
    device,
    units,
    model_seconds,
    coalesce(processor_seconds, 0) as processor_seconds,
    coalesce(video_seconds, 0) as video_seconds,
    coalesce(frames, 0)::bigint as frames,
    coalesce(prompt_tokens, 0)::bigint as prompt_tokens,
    coalesce(output_tokens, 0)::bigint as output_tokens
from costs
where model <> '' and units > 0
order by written_at, cost_id
