-- Skips as an exact duplicate whose original is no longer there: those sources are to be looked at again.
select attempts.attempt_id
from attempts
left join raw_videos on attempts.related_key = raw_videos.video_id
where attempts.stage = 'raw_videos' and attempts.related_key is not null and raw_videos.video_id is null
