-- Units of clips and frames: every stored video, to be cut; and again every video with annotations, for their spans.
-- Units depend on the bytes alone, so a file that was moved, renamed or touched is hashed again but not decoded again;
-- and spans that are imported later do not change the clips between cuts.
with annotated as (
    select source_id, string_agg(annotation_id || '=' || digest, ',' order by annotation_id) as inputs
    from annotations
    where source_id in (select source_id from raw_videos)
    group by source_id
)

select
    video_id as unit,
    ingest_batch as partition,
    path as label,
    '' as variant,
    sha256 as inputs,
    null::varchar as skip
from raw_videos
union all
select
    raw_videos.video_id || '/imported' as unit,
    raw_videos.ingest_batch as partition,
    raw_videos.path as label,
    'imported' as variant,
    raw_videos.sha256 || ',' || annotated.inputs as inputs,
    null::varchar as skip
from raw_videos
inner join annotated using (source_id)
