-- Total costs of each model in all runs of a stage. device: where the model ran last.
select
    stage,
    model,
    arg_max(device, written_at) as device,
    sum(units)::bigint as units,
    sum(model_seconds) as model_seconds,
    coalesce(sum(video_seconds), 0) as video_seconds,
    coalesce(sum(frames), 0)::bigint as frames,
    coalesce(sum(prompt_tokens), 0)::bigint as prompt_tokens,
    coalesce(sum(output_tokens), 0)::bigint as output_tokens
from costs
where model <> ''
group by stage, model
order by stage, min(written_at), model
