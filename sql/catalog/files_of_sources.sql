-- Where the bytes of the sources $source_ids are: the file itself, or the download.
select source_id, uri as file
from sources
where kind = 'file' and source_id in (select unnest($source_ids))
union all
select source_id, path as file
from downloads
where source_id in (select unnest($source_ids))
