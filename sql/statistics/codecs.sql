-- ---
-- title: Videos by codec, container and pixel format
-- description: >
--   One row for each kind and name. share: of all videos. A video without sound has the audio codec "none".
-- ---
with named as (
    select
        total_rows,
        unnest([
            {'position': 1, 'kind': 'video', 'name': coalesce(video_codec, 'unknown')},
            {'position': 2, 'kind': 'audio', 'name': coalesce(audio_codec, 'none')},
            {'position': 3, 'kind': 'container', 'name': coalesce(container, 'unknown')},
            {'position': 4, 'kind': 'pixel format', 'name': coalesce(pixel_format, 'unknown')}
        ]) as property
    from video_totals
)

select
    property.kind as kind,
    property.name as name,
    sum(total_rows)::bigint as videos,
    sum(total_rows) / nullif((select sum(total_rows) from video_totals), 0) as share
from named
group by property.position, property.kind, property.name
order by property.position, videos desc, name
