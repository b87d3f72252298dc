-- Where the bytes of the sources $source_ids are: the file itself, or the download; and where else a file is stored.
-- The stored video is that of the file as long as their sizes are the same.
select sources.source_id, sources.uri as file, raw_videos.path as stored
from sources
left join raw_videos using (source_id, size_bytes)
where sources.kind = 'file' and sources.source_id in (select unnest($source_ids))
union all
select source_id, path as file, null::varchar as stored
from downloads
where source_id in (select unnest($source_ids))
