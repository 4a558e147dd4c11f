-- top_clusters: Which links and repeated texts are behind the violations?
--
-- Moderated content grouped by the domain of its first link, or without a link by the first 40 letters
-- of its text with everything but letters dropped: digits and codes vary within a wave; what has neither
-- is left out. communities: three of them at most. The cluster is user content.
--
-- Parameters:
--   since     DateTime64(3, 'UTC')  = newest - 7 days  first moment, UTC
--   until     DateTime64(3, 'UTC')  = newest           end, not included
--   category  String                = ''               one category, empty for all
--   rows      UInt32                = 20               how many
--
-- Sample:
--   cluster                 contents  authors  commonest_category  communities          first_posted         last_posted          example
--   link deal-0.example     145       81       spam                [music, news, pets]  2026-11-03 11:47:13  2026-11-16 18:51:50  c00091
--   link deal-1.example     142       84       spam                [music, news, pets]  2026-11-03 03:31:05  2026-11-16 21:36:17  c00010
--   text hate words number  140       79       hate                [music, news, pets]  2026-11-03 02:22:41  2026-11-16 22:27:20  c00006

WITH
    moderated AS
    (
        SELECT content_id, revision, category
        FROM moderation.flagged_logs FINAL
        WHERE created_at >= {since:DateTime64(3, 'UTC')} AND created_at < {until:DateTime64(3, 'UTC')}
            AND action != 'allow'
            AND final AND mode = 'live'
            AND ({category:String} = '' OR category = {category:String})
    )
SELECT
    cluster,
    count()                           AS contents,
    uniqExact(author_id)              AS authors,
    topK(1)(category)[1]              AS commonest_category,
    arraySort(groupUniqArray(3)(community)) AS communities,
    min(created_at)                   AS first_posted,
    max(created_at)                   AS last_posted,
    min(content_id)                   AS example
FROM moderation.content FINAL
INNER JOIN moderated USING (content_id, revision)
WHERE created_at >= {since:DateTime64(3, 'UTC')} AND created_at < {until:DateTime64(3, 'UTC')}
    AND cluster NOT IN ('', 'text ')
GROUP BY cluster
ORDER BY contents DESC, cluster
LIMIT {rows:UInt32}
SETTINGS do_not_merge_across_partitions_select_final = 1
