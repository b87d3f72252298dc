-- What dialogues works on: every video with a captioned clip, resting on its clips, their captions, the captions of
-- their frames, and what is said in them. Imported spans, which overlap, count where a video has no others.
with frames_of_clips as (
    -- As text, as DuckDB writes it; by itself it takes 44 µs for a number, 25 times as long as for halves of it.
    select
        clip_id,
        concat(nullif((digests >> 1)::hugeint // 5, 0), (digests >> 1)::hugeint % 5 * 2 + (digests & 1)::hugeint)
            as digests
    from (
        -- Neither order nor length matter to it.
        select clip_id, bit_xor(md5_number(concat_ws('=', frame_caption_id, digest))) as digests
        from frame_captions
        group by clip_id
    )
),

captioned as (
    select
        clips.video_id,
        clips.clip_id,
        clips.ingest_batch,
        clips.annotation_id is not null as is_imported,
        concat_ws(
            '|', clips.digest, clip_captions.digest, frames_of_clips.digests, coalesce(transcripts.digest, '')
        ) as inputs
    from clips
    inner join clip_captions on clips.clip_id = clip_captions.clip_id
    left join frames_of_clips on clips.clip_id = frames_of_clips.clip_id
    left join transcripts on clips.clip_id = transcripts.clip_id
)

select
    captioned.video_id as unit,
    any_value(captioned.ingest_batch) as partition,
    captioned.video_id as label,
    any_value(parameters.writer) as variant,
    string_agg(captioned.inputs, ',' order by captioned.clip_id) as inputs,
    null::varchar as skip
from captioned
cross join parameters
group by captioned.video_id
