-- confusion_by_day: What did the job decide and people say, day by day?
--
-- The confusion matrix of each day over labelled content; empty stands for no violation. The day is
-- that of the post.
--
-- Parameters:
--   since  DateTime64(3, 'UTC')  = newest - 28 days  first moment, UTC
--   until  DateTime64(3, 'UTC')  = newest            end, not included
--
-- Sample:
--   day         decided  truth  contents
--   2026-11-03  ''       ''     40
--   2026-11-03  ''       hate   5
--   2026-11-03  ''       spam   1

WITH labels AS
    (
        SELECT content_id, revision, argMax(answer, (source = 'golden', labeled_at)) AS truth
        FROM moderation.label_answers
        -- A label follows its post; a day for clocks that differ.
        WHERE labeled_at >= {since:DateTime64(3, 'UTC')} - INTERVAL 1 DAY
        GROUP BY content_id, revision
    )
SELECT
    toDate(created_at)  AS day,
    category            AS decided,
    truth,
    count()             AS contents
FROM moderation.labelled_logs FINAL
INNER JOIN labels USING (content_id, revision)
WHERE created_at >= {since:DateTime64(3, 'UTC')} AND created_at < {until:DateTime64(3, 'UTC')}
    AND final AND mode = 'live'
GROUP BY day, decided, truth
ORDER BY day, decided, truth
SETTINGS do_not_merge_across_partitions_select_final = 1
