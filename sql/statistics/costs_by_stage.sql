-- ---
-- title: Time, frames and tokens by stage and model
-- description: >
--   model: empty in the row of the complete stage. frames: decoded from video, or read by the model.
-- ---
with spent as (
    select
        stage,
        model,
        sum(units)::bigint as inputs,
        sum(wall_seconds::decimal(38, 6))::double as wall_seconds,
        sum(model_seconds::decimal(38, 6))::double as model_seconds,
        sum(frames)::bigint as frames,
        sum(prompt_tokens)::bigint as prompt_tokens,
        sum(output_tokens)::bigint as output_tokens,
        arg_max(device, written_at) as device,
        min(min(written_at)) over (partition by stage) as first_at
    from costs
    group by stage, model
)

select
    stage,
    model,
    inputs,
    wall_seconds,
    model_seconds,
    frames / nullif(coalesce(wall_seconds, model_seconds), 0) as frames_per_second,
    prompt_tokens,
    output_tokens,
    device
from spent
where frames > 0 or model = '' or model_seconds > 0
order by first_at, stage, model
