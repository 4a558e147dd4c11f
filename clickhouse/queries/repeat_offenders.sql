-- repeat_offenders: Which authors violate again and again?
--
-- One row an author with at least `blocks` blocked posts in the window. A video counts once, whatever the
-- number of its frames.
--
-- Parameters:
--   since   DateTime64(3, 'UTC')  = newest - 28 days  first moment, UTC
--   until   DateTime64(3, 'UTC')  = newest            end, not included
--   blocks  UInt32                = 3                 at least this many blocked posts
--   rows    UInt32                = 50                how many
--
-- Sample:
--   user_id  blocked  decisions  blocked_share  categories                communities  first_blocked        last_blocked         account_created
--   u4       9        37         0.2432         [harassment, hate, spam]  2            2026-11-04 13:10:17  2026-11-15 14:35:11  2026-10-25 20:05:31
--   u33      7        30         0.2333         [harassment, hate, spam]  3            2026-11-06 10:11:07  2026-11-15 14:11:07  2026-11-01 11:38:52
--   u8       7        21         0.3333         [harassment, hate, spam]  3            2026-11-07 00:06:35  2026-11-15 20:57:58  2026-10-31 02:02:20

WITH offenders AS
    (
        SELECT
            user_id,
            count()                         AS blocked,
            arraySort(groupUniqArray(category))  AS categories,
            uniqExact(community)            AS communities,
            min(created_at)                 AS first_blocked,
            max(created_at)                 AS last_blocked,
            max(author_created_at)          AS account_created
        FROM moderation.flagged_logs FINAL
        WHERE created_at >= {since:DateTime64(3, 'UTC')} AND created_at < {until:DateTime64(3, 'UTC')}
            AND action = 'block'
            AND final AND mode = 'live'
            -- The verdict on a video has no row in content: it stays, and its frames go.
            AND content_id NOT IN
            (
                SELECT content_id
                FROM moderation.content
                WHERE kind = 'video_frame' AND action = 'block'
                    AND created_at >= {since:DateTime64(3, 'UTC')} AND created_at < {until:DateTime64(3, 'UTC')}
            )
        GROUP BY user_id
        HAVING blocked >= {blocks:UInt32}
        ORDER BY blocked DESC, user_id
        LIMIT {rows:UInt32}
    )
SELECT
    user_id,
    blocked,
    decisions,
    round(blocked / decisions, 4)  AS blocked_share,
    categories,
    communities,
    first_blocked,
    last_blocked,
    account_created
FROM offenders
INNER JOIN
(
    SELECT user_id, count() AS decisions
    FROM moderation.author_posts FINAL
    WHERE user_id IN (SELECT user_id FROM offenders)
        AND created_at >= {since:DateTime64(3, 'UTC')} AND created_at < {until:DateTime64(3, 'UTC')}
        AND content_id NOT IN
        (
            SELECT content_id
            FROM moderation.content
            WHERE kind = 'video_frame' AND author_id IN (SELECT user_id FROM offenders)
                AND created_at >= {since:DateTime64(3, 'UTC')} AND created_at < {until:DateTime64(3, 'UTC')}
        )
    GROUP BY user_id
) AS everything USING (user_id)
ORDER BY blocked DESC, user_id
SETTINGS do_not_merge_across_partitions_select_final = 1
