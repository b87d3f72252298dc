-- ---
-- title: Captions of clips, and their speech by language, by each word that they hold
-- description: >
--   kind: caption or speech. language: of speech, as in transcripts; null of captions. A text counts once for a word.
--   Words are in small letters, as they stand: dogs is another word than dog. Scripts that write no spaces are divided
--   into two characters in a row, as search divides them. A word of more than 40 characters is none.
-- ---
with written as (
    select 'caption' as kind, null::varchar as language, lower(caption) as text from clip_captions
    union all
    select 'speech' as kind, language, lower(text) as text from transcripts
),

divided as (
    select
        kind,
        language,
        case
            when regexp_matches(text, '[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}]')
                then flatten(
                    list_transform(
                        regexp_extract_all(
                            regexp_replace(
                                text,
                                '([\p{Han}\p{Hiragana}\p{Katakana}ー\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}]+)',
                                ' \1 ',
                                'g'
                            ),
                            '[\p{L}\p{M}\p{N}ー]+'
                        ),
                        lambda token: if(
                            regexp_matches(
                                token,
                                '[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}]'
                            ),
                            list_transform(range(1, length(token)), lambda place: substr(token, place, 2)),
                            [token]
                        )
                    )
                )
            else regexp_extract_all(text, '[\p{L}\p{M}\p{N}]+(?:[''’-][\p{L}\p{M}\p{N}]+)*')
        end as words
    from written
)

select kind, language, word, count(*) as total_rows
from (select kind, language, unnest(list_distinct(words)) as word from divided)
where length(word) <= 40
group by all
