-- text_search: Which content contains a word, and what was decided?
--
-- The newest first, whole words, ASCII letters in any case. The text is user content; allowed text is
-- kept for 30 days.
--
-- Parameters:
--   since  DateTime64(3, 'UTC')  = newest - 28 days  first moment, UTC
--   until  DateTime64(3, 'UTC')  = newest            end, not included
--   word   String                                    letters and digits, without spaces
--   rows   UInt32                = 50                how many
--
-- Sample:
--   created_at           content_id  revision  author_id  community  action  text
--   2026-11-16 23:02:42  c02992      0         u20        pets       review  harassment words number 46
--   2026-11-16 17:26:44  c02931      0         u4         music      review  harassment words number 17
--   2026-11-16 16:53:01  c02925      0         u106       news       review  harassment words number 85

SELECT
    created_at,
    content_id,
    revision,
    author_id,
    community,
    action,
    text
FROM moderation.content
WHERE created_at >= {since:DateTime64(3, 'UTC')} AND created_at < {until:DateTime64(3, 'UTC')}
    AND hasToken(lower(text), lower({word:String}))
-- In the order of the table, so that reading ends with the day that fills the rows. The newest row of an
-- identity comes first: no FINAL is needed, of which reading backwards is not capable.
ORDER BY toYYYYMMDD(created_at) DESC, created_at DESC, content_id, revision, version DESC
LIMIT 1 BY content_id, revision
LIMIT {rows:UInt32}
