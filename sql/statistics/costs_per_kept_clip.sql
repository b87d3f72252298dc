-- ---
-- title: What a kept clip cost, by stage
-- description: >
--   All that was spent so far, also on inputs that failed, on rows that were computed again and on clips that are gone,
--   divided by the clips that are kept: cut here or imported, and without any flag. hours: of the wall. bytes: of rows,
--   before compression.
-- ---
with kept as (
    select sum(total_rows)::bigint as clips from clip_totals where len(flags) = 0
),

spent as (
    select
        stage,
        sum(wall_seconds::decimal(38, 6))::double as wall_seconds,
        sum(processor_seconds::decimal(38, 6))::double as processor_seconds,
        sum(bytes_written)::bigint as bytes,
        min(written_at) as first_at
    from costs
    where model = ''
    group by stage
),

of_models as (
    select stage, sum(coalesce(prompt_tokens, 0) + coalesce(output_tokens, 0))::bigint as tokens
    from costs
    where model <> ''
    group by stage
)

select
    spent.stage,
    spent.wall_seconds / 3600 as hours,
    kept.clips as kept_clips,
    spent.wall_seconds / nullif(kept.clips, 0) as wall_seconds_per_clip,
    spent.processor_seconds / nullif(kept.clips, 0) as processor_seconds_per_clip,
    of_models.tokens / nullif(kept.clips, 0) as tokens_per_clip,
    spent.bytes / nullif(kept.clips, 0) as bytes_per_clip
from spent
cross join kept
left join of_models using (stage)
order by spent.first_at, spent.stage
