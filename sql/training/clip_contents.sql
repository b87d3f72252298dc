-- A hash of each clip with its frames and its caption: a model that is trained on the clip depends on it.
-- Reads captioned (training/captioned_pictures).
select clips.clip_id, md5(concat_ws('|', clips.digest, captioned.pictures_digest, captioned.caption_digest)) as content
from clips
inner join captioned on clips.clip_id = captioned.clip_id
