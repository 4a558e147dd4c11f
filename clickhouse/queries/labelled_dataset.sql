-- labelled_dataset: Which labelled texts can a model be trained on?
--
-- One row a labelled content with its text, for `--format parquet` or `json`. truth is the golden label,
-- without one the last answer; votes and agreeing tell how many people answered and how many so. Content
-- whose text is gone or that has images is left out.
--
-- Parameters:
--   since  DateTime64(3, 'UTC')  = newest - 3650 days  labels from here on, UTC
--   until  DateTime64(3, 'UTC')  = now                 end, not included
--
-- Sample:
--   content_id  revision  text                  language  community  kind  truth  wanted_action  label_source  labeled_at           votes  agreeing
--   c00000      0         fine words number 89  ''        music      post  ''     allow          review        2026-11-03 04:06:08  2      2
--   c00003      0         fine words number 45  de        news       post  ''     allow          review        2026-11-03 01:20:28  1      1
--   c00007      0         fine words number 54  de        music      post  ''     allow          review        2026-11-03 05:29:11  2      2

WITH answers AS
    (
        SELECT
            content_id,
            revision,
            argMax((said, asked, by), (by = 'golden', at))  AS best,
            best.1                                           AS truth,
            best.2                                           AS wanted_action,
            best.3                                           AS label_source,
            max(at)                                          AS labeled_at,
            count()                                          AS votes,
            countEqual(groupArray(said), truth)              AS agreeing
        FROM
        (
            -- Nobody votes twice: the golden or the last answer of each reviewer.
            SELECT
                content_id,
                revision,
                argMax((answer, action, source, labeled_at), (source = 'golden', labeled_at)) AS given,
                given.1 AS said, given.2 AS asked, given.3 AS by, given.4 AS at
            FROM moderation.label_answers
            WHERE labeled_at >= {since:DateTime64(3, 'UTC')} AND labeled_at < {until:DateTime64(3, 'UTC')}
            GROUP BY content_id, revision, reviewer_id
        )
        GROUP BY content_id, revision
    )
SELECT
    content_id,
    revision,
    text,
    language,
    community,
    kind,
    truth,
    wanted_action,
    label_source,
    labeled_at,
    votes,
    agreeing
FROM moderation.labelled_content FINAL
INNER JOIN answers USING (content_id, revision)
WHERE text != ''
    -- People may have judged the picture: of the words beside it that says nothing.
    AND (content_id, revision) NOT IN
    (
        SELECT content_id, revision
        FROM moderation.content
        WHERE notEmpty(image_ids) AND content_id IN (SELECT content_id FROM moderation.labelled_content)
    )
ORDER BY content_id, revision
SETTINGS do_not_merge_across_partitions_select_final = 1
