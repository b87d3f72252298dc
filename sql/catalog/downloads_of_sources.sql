-- Downloads of the sources $source_ids, with the shorter side of the video in pixels if it was probed.
select
    downloads.*,
    least(raw_videos.display_width, raw_videos.display_height) as short_side
from downloads
left join raw_videos using (source_id)
where downloads.source_id in (select unnest($source_ids))
