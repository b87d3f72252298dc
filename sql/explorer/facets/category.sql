-- ---
-- title: Category
-- description: As its site states it; a video may have several.
-- place: 3
-- ---
with stated as (
    select source_id, unnest(list_distinct(categories)) as category
    from downloads
)

select numbered.number, stated.category as value
from numbered
inner join raw_videos using (video_id)
inner join stated using (source_id)
