-- ---
-- title: Videos by category, as their site states it
-- description: >
--   category: null where none is stated, as of a file that was not downloaded. A video with several counts for each.
-- ---
with stated as (
    select ingest_batch, source_id, unnest(list_distinct(categories)) as category
    from downloads
)

select stated.category, count(*) as total_rows
from raw_videos
left join stated using (ingest_batch, source_id)
group by all
