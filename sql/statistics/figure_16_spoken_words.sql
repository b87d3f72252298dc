-- ---
-- title: The words that are said in the most clips, by language (the word clouds of Figure 16)
-- description: >
--   At most 500 words of a language, of the eleven languages with the most words. A clip counts once for a word. Words
--   that say nothing (the, of) are among them: the report leaves them out. Scripts without spaces are divided into two
--   characters in a row.
-- ---
with of_languages as (
    select language, word, total_rows, sum(total_rows) over (partition by language) as of_language
    from written_word_totals
    where kind = 'speech' and language is not null
),

ranked as (
    select
        language,
        word,
        total_rows as clips,
        dense_rank() over (order by of_language desc, language) as language_rank,
        row_number() over (partition by language order by total_rows desc, word) as word_rank
    from of_languages
)

select language, word, clips
from ranked
where language_rank <= 11 and word_rank <= 500
order by language_rank, word_rank
