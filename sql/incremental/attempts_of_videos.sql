-- Attempts of the stage $stage at parts of the videos $video_ids: their keys begin with the video's.
select attempt_id
from attempts
where stage = $stage and split_part(key, '/', 1) in (select unnest($video_ids))
