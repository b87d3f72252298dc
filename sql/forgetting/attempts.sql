-- Attempts of the sources and videos, and attempts that name one of them: as the original of a copy, as an imported
-- span, or in the text of a stage whose inputs are lists, subsets or models.
-- Reads: $source_ids, $video_ids (16 characters, the prefix of their rows' keys), $per_video (stages whose inputs are
-- sources, videos and their parts), $texts (ids and URLs).
select attempt_id, key, stage, related_key
from attempts
where
    key in (select unnest($source_ids))
    or left(key, 16) in (select unnest($video_ids))
    or related_key in (select unnest($video_ids))
    or (
        stage not in (select unnest($per_video))
        and (
            key in (select annotation_id from annotations where source_id in (select unnest($source_ids)))
            or exists (
                select 1
                from (select unnest($texts) as text) as texts
                where contains(concat_ws(' ', attempts.key, attempts.label, attempts.message), texts.text)
            )
        )
    )
