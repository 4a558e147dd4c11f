-- repeated_contents: Which contents were sent again with another day's created_at?
--
-- Such a repeat is a row of its own in every table that is ordered by day, once the job has forgotten
-- the first (after a day), and is counted twice. An empty answer is what one wants; else their producer
-- should send created_at as it was.
--
-- Parameters:
--   since  DateTime64(3, 'UTC')  = newest - 7 days  first moment, UTC
--   until  DateTime64(3, 'UTC')  = newest           end, not included
--   rows   UInt32                = 50               how many
--
-- Sample:
--   content_id  revision  days  first_created        last_created         user_ids
--   r1          0         3     2026-09-10 12:00:00  2026-09-12 12:00:00  [s1, s2]
--   r2          0         2     2026-09-10 12:00:00  2026-09-11 12:00:00  [s2]

WITH repeated AS
    (
        -- Hashes rather than ids, of which there are as many as contents.
        SELECT cityHash64(content_id, revision) AS identity
        FROM moderation.moderation_logs
        WHERE created_at >= {since:DateTime64(3, 'UTC')} AND created_at < {until:DateTime64(3, 'UTC')}
            AND final AND mode = 'live'
        GROUP BY identity
        HAVING min(toDate(created_at)) != max(toDate(created_at))
    )
SELECT
    content_id,
    revision,
    uniqExact(toDate(created_at))       AS days,
    min(created_at)                     AS first_created,
    max(created_at)                     AS last_created,
    arraySort(groupUniqArray(user_id))  AS user_ids
FROM moderation.moderation_logs
WHERE created_at >= {since:DateTime64(3, 'UTC')} AND created_at < {until:DateTime64(3, 'UTC')}
    AND final AND mode = 'live'
    AND cityHash64(content_id, revision) IN (SELECT identity FROM repeated)
GROUP BY content_id, revision
HAVING days > 1
ORDER BY days DESC, content_id, revision
LIMIT {rows:UInt32}
