-- ---
-- title: Rows of each table, and when it last changed
-- ---
with known (position, table_name) as (
    values
        (1, 'sources'), (2, 'raw_videos'), (3, 'clips'), (4, 'frames'), (5, 'frame_captions'), (6, 'clip_captions'),
        (7, 'clip_embeddings'), (8, 'caption_embeddings'), (9, 'clip_scores'), (10, 'attempts')
),

latest as (
    select table_name, max(last_written_at) as last_written_at from latest_writes group by table_name
)

select table_name, coalesce(total_rows, 0) as row_count, last_written_at
from known
left join table_totals using (table_name)
left join latest using (table_name)
order by position
