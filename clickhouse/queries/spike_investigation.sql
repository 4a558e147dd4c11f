-- spike_investigation: Which hours and segments stand out, and did a version change before?
--
-- One row an hour, category and community, those with the greatest excess of moderated posts over the
-- segment's median hour first. changed_before: versions of policy, rules or models that first decided
-- within six hours before the end of that hour and not in the week before the window; those of the first
-- hour with decisions are no change.
--
-- Parameters:
--   since     DateTime64(3, 'UTC')  = newest - 7 days  first moment, UTC
--   until     DateTime64(3, 'UTC')  = newest           end, not included
--   category  String                = ''               one category, empty for all
--   rows      UInt32                = 20               how many
--
-- Sample:
--   hour                 category    community  moderated  authors  usual  excess  changed_before
--   2026-11-15 14:00:00  spam        news       139        81       0      139     [policy p2]
--   2026-11-06 13:00:00  harassment  music      2          2        0      2       []
--   2026-11-07 04:00:00  spam        news       2          2        0      2       []

WITH
    versions AS
    (
        SELECT version, min(seen_at) AS first_seen
        FROM
        (
            SELECT
                min(first_seen) AS seen_at,
                arrayConcat(
                    [concat('policy ', policy_version), concat('rules ', ruleset_version)],
                    arrayMap(model -> concat(model.1, ' ', model.2), JSONExtractKeysAndValues(models, 'String'))
                ) AS in_force
            FROM moderation.versions_by_hour
            -- What decides again after a pause, as a model that is seldom asked, is not new.
            WHERE hour >= {since:DateTime64(3, 'UTC')} - INTERVAL 7 DAY
                AND hour < {until:DateTime64(3, 'UTC')}
                AND mode = 'live'
            GROUP BY policy_version, ruleset_version, models
        )
        ARRAY JOIN in_force AS version
        GROUP BY version
        QUALIFY first_seen >= min(first_seen) OVER () + INTERVAL 1 HOUR
    ),
    hourly AS
    (
        SELECT
            toStartOfHour(created_at)  AS hour,
            category,
            community,
            count()                    AS moderated,
            uniqExact(user_id)         AS authors
        FROM moderation.flagged_logs FINAL
        WHERE created_at >= {since:DateTime64(3, 'UTC')} AND created_at < {until:DateTime64(3, 'UTC')}
            AND action != 'allow'
            AND final AND mode = 'live'
            AND ({category:String} = '' OR category = {category:String})
        GROUP BY hour, category, community
    ),
    hours AS
    (
        -- Hours that the window touches: it need not begin or end on one.
        SELECT
            {until:DateTime64(3, 'UTC')} - INTERVAL 1 MILLISECOND        AS last,
            dateDiff('hour', {since:DateTime64(3, 'UTC')}, last) + 1     AS count
    ),
    usual AS
    (
        -- Hours without any are zeros of the median, though no row stands for them.
        SELECT category, community, arraySort(groupArray(moderated)) AS counts,
            toInt64((SELECT count FROM hours)) - toInt64(length(counts)) AS zeros,
            intDiv((SELECT count FROM hours), 2) AS middle,
            if(middle < zeros, 0, counts[middle - zeros + 1]) AS median
        FROM hourly
        GROUP BY category, community
    )
SELECT
    hour,
    category,
    community,
    moderated,
    authors,
    median                        AS usual,
    toInt64(moderated) - toInt64(median) AS excess,
    arraySort(arrayMap(seen -> seen.1, arrayFilter(
        seen -> seen.2 < hour + INTERVAL 1 HOUR AND seen.2 >= hour - INTERVAL 5 HOUR,
        (SELECT groupArray((version, first_seen)) FROM versions)
    ))) AS changed_before
FROM hourly
INNER JOIN usual USING (category, community)
ORDER BY excess DESC, hour, category, community
LIMIT {rows:UInt32}
SETTINGS do_not_merge_across_partitions_select_final = 1
