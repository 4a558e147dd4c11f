-- cohort_audit: How do new accounts behave, and how soon are they first moderated?
--
-- One row an account, of a sample of the accounts that were made in the window (the same sample each
-- time). hours_to_first_moderation: from the making of the account to its first post that was not
-- allowed; empty when all were allowed.
--
-- Parameters:
--   since     DateTime64(3, 'UTC')  = newest - 7 days  accounts made from here on, UTC
--   until     DateTime64(3, 'UTC')  = newest           end, not included
--   accounts  UInt32                = 100              how many accounts
--
-- Sample:
--   user_id  account_created      decisions  allowed  reviewed  blocked  commonest_action  hours_to_first_moderation
--   u4       2026-10-25 20:05:31  37         23       5         9        allow             208.72
--   u33      2026-11-01 11:38:52  30         22       1         7        allow             118.54
--   u8       2026-10-31 02:02:20  21         13       1         7        allow             166.07

WITH cohort AS
    (
        SELECT user_id, created_at AS account_created
        FROM moderation.users FINAL
        WHERE created_at >= {since:DateTime64(3, 'UTC')} AND created_at < {until:DateTime64(3, 'UTC')}
        ORDER BY cityHash64(user_id)
        LIMIT {accounts:UInt32}
    )
SELECT
    user_id,
    any(cohort.account_created)  AS account_created,
    count()                      AS decisions,
    countIf(action = 'allow')    AS allowed,
    countIf(action = 'review')   AS reviewed,
    countIf(action = 'block')    AS blocked,
    ['allow', 'review', 'block'][
        indexOf([allowed, reviewed, blocked], greatest(allowed, reviewed, blocked))
    ]                            AS commonest_action,
    if(
        allowed < decisions,
        round(dateDiff('second', account_created, minIf(created_at, action != 'allow')) / 3600, 2),
        NULL
    )                            AS hours_to_first_moderation
FROM moderation.moderation_logs FINAL
INNER JOIN cohort USING (user_id)
PREWHERE user_id IN (SELECT user_id FROM cohort)
WHERE created_at >= {since:DateTime64(3, 'UTC')}
    AND final AND mode = 'live'
GROUP BY user_id
ORDER BY blocked DESC, reviewed DESC, user_id
SETTINGS do_not_merge_across_partitions_select_final = 1
