-- shadow_newly_blocked: Who would be blocked by what is in shadow, and is not now?
--
-- One row an author, the most affected first, with the newest content as an example. The text is user
-- content; it is empty once its retention has ended.
--
-- Parameters:
--   since     DateTime64(3, 'UTC')  = newest - 7 days  first moment, UTC
--   until     DateTime64(3, 'UTC')  = newest           end, not included
--   category  String                = ''               what shadow blocks for, empty for all
--   rows      UInt32                = 50               how many
--
-- Sample:
--   user_id  newly_blocked  reviewed_now  categories  content_id  rule       score   text
--   u16      3              1             ['spam']    c02917      scam-link  0.7214  buy 2917 at https://www.deal-7.example/x
--   u4       2              2             ['hate']    c02807      slur-1     0.6611  hate words number 17
--   u101     1              0             ['spam']    c02777                 0.1023  a day at the lake

WITH
    would AS
    (
        SELECT content_id, revision, user_id, created_at, category, rule
        FROM moderation.flagged_logs FINAL
        WHERE created_at >= {since:DateTime64(3, 'UTC')} AND created_at < {until:DateTime64(3, 'UTC')}
            AND final AND mode = 'shadow' AND action = 'block'
            AND ({category:String} = '' OR category = {category:String})
    ),
    live AS
    (
        SELECT content_id, revision, toString(action) AS done
        FROM moderation.flagged_logs FINAL
        WHERE created_at >= {since:DateTime64(3, 'UTC')} AND created_at < {until:DateTime64(3, 'UTC')}
            AND final AND mode = 'live' AND action != 'allow'
    ),
    authors AS
    (
        SELECT
            user_id,
            count()                               AS newly_blocked,
            countIf(live.done = 'review')         AS reviewed_now,
            arraySort(groupUniqArray(category))   AS categories,
            max((created_at, content_id, revision, rule, category)) AS newest
        FROM would
        -- What has no row among the flagged was allowed.
        LEFT JOIN live USING (content_id, revision)
        WHERE live.done != 'block'
        GROUP BY user_id
        ORDER BY newly_blocked DESC, user_id
        LIMIT {rows:UInt32}
    ),
    scored AS
    (
        SELECT content_id, revision, scores
        FROM moderation.moderation_logs FINAL
        WHERE (toYYYYMMDD(created_at), content_id) IN (SELECT toYYYYMMDD(newest.1), newest.2 FROM authors)
            AND mode = 'shadow'
    ),
    texts AS
    (
        SELECT content_id, revision, text
        FROM moderation.content FINAL
        WHERE (toYYYYMMDD(created_at), content_id) IN (SELECT toYYYYMMDD(newest.1), newest.2 FROM authors)
    )
SELECT
    user_id,
    newly_blocked,
    reviewed_now,
    categories,
    newest.2                            AS content_id,
    newest.4                            AS rule,
    round(toFloat64(scored.scores[newest.5]), 4) AS score,
    texts.text                          AS text
FROM authors
LEFT JOIN scored ON scored.content_id = newest.2 AND scored.revision = newest.3
LEFT JOIN texts ON texts.content_id = newest.2 AND texts.revision = newest.3
ORDER BY newly_blocked DESC, user_id
SETTINGS do_not_merge_across_partitions_select_final = 1
