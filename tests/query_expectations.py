"""What each query of the library should answer, computed with pandas from the same history.

Each function is called as its query, takes the frames and the parameters, and gives the rows.
"""

from __future__ import annotations

import re
from itertools import combinations, pairwise
from types import SimpleNamespace
from zlib import crc32

import msgspec
import pandas as pd
from store_samples import END, History

from events.reason import deciding_signal


def frames(made: History) -> SimpleNamespace:
    """The history as data frames; `logs` are the live decisions, `shadows` the others."""
    truth = _truth(made)

    def logs(judgements):
        rows = []
        for judgement in judgements:
            content, decision = judgement.content, judgement.decision
            signal = deciding_signal(decision)
            rows.append(
                {
                    "content_id": content.content_id,
                    "user_id": decision.author_id,
                    "community": decision.community,
                    "kind": decision.kind,
                    "action": decision.action,
                    "category": decision.category,
                    "scores": decision.scores,
                    "rule": signal.rule if signal else "",
                    "stage": signal.stage if signal else "",
                    "rules": list(dict.fromkeys(s.rule for s in decision.signals)),
                    "policy_version": decision.policy_version,
                    "ruleset_version": decision.ruleset_version,
                    "at": _ms(decision.created_at),
                    "decided_at": _ms(decision.decided_at),
                    "latency": decision.latency_ms,
                    "born": content.author_created_at,
                    "language": content.language,
                    "text": content.text,
                    "truth": truth.get(content.content_id),
                    "models": decision.model_versions,
                    "top": max(decision.scores.values()),
                }
            )
        return pd.DataFrame(rows)

    outputs = pd.DataFrame(
        {
            "content_id": j.content.content_id, "model": o.model, "version": o.version,
            "says": o.prediction, "confidence": o.confidence, "text": j.content.text,
            "truth": truth.get(j.content.content_id),
        }
        for j in made.judgements
        for o in j.outputs
    )  # fmt: skip
    labels = pd.DataFrame(
        {
            "content_id": x.content_id, "reviewer": x.reviewer_id, "label": x.category,
            "action": x.action, "at": x.labeled_at, "id": x.label_id,
        }
        for x in made.labels
    )  # fmt: skip
    return SimpleNamespace(
        logs=logs(made.judgements),
        shadows=logs(made.shadows),
        outputs=outputs,
        labels=labels,
        appeals=pd.DataFrame(msgspec.structs.asdict(appeal) for appeal in made.appeals),
        letters=made.letters,
        made=made,
    )


def _ms(at):
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


def _truth(made):
    """The last label of each content."""
    last = {}
    for label in sorted(made.labels, key=lambda each: each.labeled_at):
        last[label.content_id] = label.category
    return last


def _ratio(part, whole, digits=4):
    return round(part / whole, digits) if whole else None


def _hours(series):
    """The upper median of time differences, in hours of whole seconds."""
    seconds = sorted(int(each.total_seconds()) for each in series)
    return round(seconds[len(seconds) // 2] / 3600, 2) if seconds else None


def cohort_audit(data, _):
    rows = []
    born = data.logs.dropna(subset="born").groupby("user_id").born.first()
    since = END - pd.Timedelta(days=28)
    for user, at in born[born >= since].items():
        own = data.logs[data.logs.user_id == user]
        counts = [int((own.action == action).sum()) for action in ("allow", "review", "block")]
        commonest = ("allow", "review", "block")[counts.index(max(counts))]
        bad = own[own.action != "allow"]["at"]
        hours = None
        if len(bad):
            # The engine's dateDiff counts the seconds' borders that lie between.
            hours = round((int(bad.min().timestamp()) - int(at.timestamp())) / 3600, 2)
        rows.append((user, _ms(at), len(own), *counts, commonest, hours))
    return sorted(rows, key=lambda row: (-row[5], -row[4], row[0]))


def false_positives(data, _):
    flagged = data.outputs[(data.outputs.says != "") & data.outputs.truth.notna()].copy()
    flagged["step"] = flagged.confidence.clip(upper=0.9999).map(lambda c: int(c * 10) / 10)
    rows = []
    for key, group in flagged.groupby(["model", "version", "says", "step"]):
        wrong = int((group.truth == "").sum())
        other = int(((group.truth != "") & (group.truth != group.says)).sum())
        rows.append((*key, len(group), wrong, other, _ratio(wrong, len(group))))
    return rows


def false_positive_examples(data, params):
    wrong = data.outputs[(data.outputs.says != "") & (data.outputs.truth == "")]
    best = sorted(
        (-round(row.confidence, 4), row.content_id, row.model, row) for row in wrong.itertuples()
    )[: int(params["rows"])]
    return [
        (r.content_id, 0, r.model, r.version, r.says, round(r.confidence, 4), r.text)
        for *_, r in best
    ]


def precision_recall_by_threshold(data, params):
    labelled = data.logs[data.logs.truth.notna()]
    scores = labelled.scores.map(lambda s: s[params["category"]])
    positive = labelled.truth == params["category"]
    rows = []
    for step in range(1, 20):
        threshold = round(step / 20, 4)
        flagged = scores >= threshold
        hits, missed = int((flagged & positive).sum()), int((~flagged & positive).sum())
        rows.append(
            (threshold, int(flagged.sum()), hits, int(flagged.sum()) - hits, missed, hits + missed,
             _ratio(hits, int(flagged.sum())), _ratio(hits, hits + missed))
        )  # fmt: skip
    return rows


def what_if_threshold(data, params):
    category, threshold = params["category"], float(params["threshold"])
    logs = data.logs
    now = (logs.action == "block") & (logs.category == category)
    then = logs.scores.map(lambda s: s[category]) >= threshold
    concerned = (logs.action != "block") | (logs.category == category)
    rows = []
    for change, mask in (
        ("newly blocked", ~now & then), ("released", now & ~then), ("stays blocked", now & then),
    ):  # fmt: skip
        part = logs[mask & concerned]
        if len(part):
            labelled = part[part.truth.notna()]
            rows.append(
                (change, len(part), part.user_id.nunique(), len(labelled),
                 int((labelled.truth != "").sum()))
            )  # fmt: skip
    return rows


def spike_investigation(data, params):
    bad = data.logs[data.logs.action != "allow"].copy()
    bad["hour"] = bad["at"].dt.floor("h")
    hours = 28 * 24
    rows = []
    for (category, community), segment in bad.groupby(["category", "community"]):
        counts = segment.groupby("hour").size()
        filled = sorted([0] * (hours - len(counts)) + list(counts))
        median = filled[hours // 2]
        for hour, group in segment.groupby("hour"):
            changed = []
            first = data.logs[data.logs.policy_version == "p2"]["at"].min()
            if hour - pd.Timedelta(hours=5) <= first < hour + pd.Timedelta(hours=1):
                changed = ["policy p2"]
            rows.append((hour, category, community, len(group), group.user_id.nunique(), median,
                         len(group) - median, changed))  # fmt: skip
    rows.sort(key=lambda row: (-row[6], row[0], row[1], row[2]))
    return rows[: int(params["rows"])]


def version_changes(data, _):
    rows = []
    named = [("policy", v) for v in ("p1", "p2")] + [
        ("rules", "r1"),
        ("text-fast", "3"),
        ("fusion", "1"),
    ]
    for kind, version in named:
        own = data.logs[data.logs.policy_version == version] if kind == "policy" else data.logs
        rows.append((kind, version, own["at"].min(), own["at"].max(), len(own),
                     _ratio(int((own.action != "allow").sum()), len(own))))  # fmt: skip
    rows.sort(key=lambda row: (row[0], row[1]))
    return sorted(rows, key=lambda row: row[2], reverse=True)


def surge_z_scores(data, params):
    width, past, least = int(params["minutes"]) * 60, int(params["past"]), float(params["least_z"])
    since = int((END - pd.Timedelta(days=28)).timestamp()) // width
    bad = data.logs[data.logs.action != "allow"].copy()
    bad["bucket"] = bad["at"].map(lambda at: int(at.timestamp()) // width)
    rows = []
    for (category, community), segment in bad.groupby(["category", "community"]):
        counts = segment.groupby("bucket").size()
        for bucket, group in segment.groupby("bucket"):
            span = min(past, bucket - since)
            before = [int(counts.get(b, 0)) for b in range(bucket - span, bucket)]
            mean = sum(before) / span
            variance = sum(b * b for b in before) / span - mean**2
            z = (len(group) - mean) / max(1, mean**0.5, max(0, variance) ** 0.5)
            if round(z, 2) >= least:
                start = pd.Timestamp(bucket * width, unit="s", tz="UTC")
                found = start, category, community, len(group), group.user_id.nunique()
                rows.append((*found, round(mean, 3), round(max(0.0, variance), 3), round(z, 2)))
    return sorted(rows, key=lambda row: (-row[7], row[0], row[1], row[2]))


def top_clusters(data, params):
    bad = data.logs[data.logs.action != "allow"].copy()

    def cluster(text):
        link = re.search(r"https?://(?:www\.)?([^/\s:?#]+)", text.lower())
        letters = re.sub(r"[^a-z]+", " ", text.lower()).strip()[:40]
        return f"link {link[1]}" if link else f"text {letters}"

    bad["cluster"] = bad.text.map(cluster)
    rows = []
    for name, group in bad.groupby("cluster"):
        rows.append((name, len(group), group.user_id.nunique(), group.category.mode()[0],
                     sorted(group.community.unique()), group["at"].min(), group["at"].max(),
                     group.content_id.min()))  # fmt: skip
    return sorted(rows, key=lambda row: (-row[1], row[0]))[: int(params["rows"])]


def repeat_offenders(data, params):
    rows = []
    for user, own in data.logs.groupby("user_id"):
        blocked = own[own.action == "block"]
        if len(blocked) >= int(params["blocks"]):
            born = own.born.iloc[0]
            born = pd.Timestamp(0, tz="UTC") if pd.isna(born) else _ms(born)
            rows.append((user, len(blocked), len(own), _ratio(len(blocked), len(own)),
                         sorted(blocked.category.unique()), blocked.community.nunique(),
                         blocked["at"].min(), blocked["at"].max(), born))  # fmt: skip
    return sorted(rows, key=lambda row: (-row[1], row[0]))[: int(params["rows"])]


def appeals_by_policy(data, _):
    rows = []
    for key, group in data.appeals.groupby(["category", "policy_version"]):
        n = {state: int((group.state == state).sum()) for state in ("granted", "denied", "open")}
        done = group[group.state != "open"]
        waits = [
            pd.Timedelta(seconds=int(b.timestamp()) - int(a.timestamp()))
            for a, b in zip(done.appealed_at, done.resolved_at, strict=True)
        ]
        rows.append((*key, len(group), n["granted"], n["denied"], n["open"],
                     _ratio(n["granted"], len(done)), _hours(waits)))  # fmt: skip
    return rows


def reviewer_agreement(data, _):
    rows = []
    answers = data.labels.pivot_table(
        index="content_id", columns="reviewer", values="label", aggfunc="last"
    )
    for one, other in combinations(sorted(answers.columns), 2):
        both = answers[[one, other]].dropna()
        n, agreed = len(both), int((both[one] == both[other]).sum())
        names = set(both[one]) | set(both[other])
        chance = (
            sum(int((both[one] == x).sum()) * int((both[other] == x).sum()) for x in names) / n**2
        )
        rows.append((one, other, n, agreed, _ratio(agreed, n), chance,
                     round((agreed / n - chance) / (1 - chance), 4)))  # fmt: skip
    return sorted(rows, key=lambda row: (row[6], row[0], row[1]))


def reviewer_speed(data, _):
    rows = []
    decided = dict(zip(data.logs.content_id, data.logs.decided_at, strict=True))
    for reviewer, own in data.labels.groupby("reviewer"):
        times = sorted(zip(own["at"], own["id"], strict=True))
        pauses = sorted((b[0] - a[0]).total_seconds() for a, b in pairwise(times))
        pauses = [p for p in pauses if 0 < p <= 1800]
        waits = [
            pd.Timedelta(seconds=int(at.timestamp()) - int(decided[content].timestamp()))
            for content, at in zip(own.content_id, own["at"], strict=True)
        ]
        rows.append((reviewer, len(own), own["at"].dt.date.nunique(),
                     round(pauses[len(pauses) // 2], 1), _hours(waits)))  # fmt: skip
    return sorted(rows, key=lambda row: (-row[1], row[0]))


def review_share_by_day(data, _):
    return [
        (day, len(own), int((own.action == "review").sum()), int((own.action == "block").sum()),
         _ratio(int((own.action == "review").sum()), len(own)))
        for day, own in data.logs.groupby(data.logs["at"].dt.date)
    ]  # fmt: skip


def volume_by_hour(data, _):
    return [
        (hour, *(int((own.action == a).sum()) for a in ("allow", "review", "block")),
         own.user_id.nunique())
        for hour, own in data.logs.groupby(data.logs["at"].dt.floor("h"))
    ]  # fmt: skip


def latency_by_stage(data, _):
    waits = {"whole": [judgement.decision.latency_ms for judgement in data.made.judgements]}
    for judgement in data.made.judgements:
        if crc32(judgement.content.content_id.encode()) % 16 == 0:
            for stage, milliseconds in judgement.stage_ms.items():
                waits.setdefault(stage, []).append(milliseconds)
    rows = [
        (stage, len(each), *(pd.Series(each).quantile(q) for q in (0.5, 0.95, 0.99)), max(each))
        for stage, each in waits.items()
    ]
    return sorted(rows, key=lambda row: -row[2])


def confusion_by_day(data, _):
    labelled = data.logs[data.logs.truth.notna()]
    grouped = labelled.groupby([labelled["at"].dt.date, "category", "truth"]).size()
    return [(*key, int(n)) for key, n in grouped.items()]


def model_versions_compared(data, _):
    rows = []
    for key, own in data.outputs.groupby(["model", "version"]):
        seen = own[own.truth.notna()]
        hits = int(((seen.says != "") & (seen.truth != "")).sum())
        rows.append((*key, len(own), _ratio(int((own.says != "").sum()), len(own)),
                     round(own.confidence.mean(), 4), len(seen),
                     _ratio(hits, int((seen.says != "").sum())),
                     _ratio(hits, int((seen.truth != "").sum()))))  # fmt: skip
    return rows


def community_outliers(data, _):
    overall = (data.logs.action != "allow").mean()
    rows = []
    for community, own in data.logs.groupby("community"):
        n, bad = len(own), int((own.action != "allow").sum())
        z = (bad - n * overall) / (n * overall * (1 - overall)) ** 0.5
        rows.append((community, n, bad, _ratio(bad, n), round(overall, 4), round(z, 2)))
    return sorted(rows, key=lambda row: (-abs(row[5]), row[0]))


def evasion_trend(data, _):
    hits = data.logs.explode("rules").dropna(subset="rules")
    hits = hits[hits.rules.str.startswith("obfuscation.")].copy()
    rows = []
    for (day, rule), own in hits.groupby([hits["at"].dt.date, "rules"]):
        rows.append((day, rule.removeprefix("obfuscation."), len(own), own.user_id.nunique(),
                     round((own.action != "allow").mean(), 4)))  # fmt: skip
    return sorted(rows, key=lambda row: (row[0], -row[2], row[1]))


def rule_efficacy(data, _):
    hits = data.logs.explode("rules").dropna(subset="rules")
    rows = []
    for rule, own in hits.groupby("rules"):
        seen = own[own.truth.notna()]
        decided = own.rule == rule
        rows.append((rule, len(own), int(decided.sum()), int((own.action == "block").sum()),
                     int((decided & (own.action == "review")).sum()), len(seen),
                     _ratio(int((seen.truth != "").sum()), len(seen)),
                     int(((seen.truth == "") & (seen.action == "block")).sum()),
                     own["at"].max()))  # fmt: skip
    return sorted(rows, key=lambda row: (-row[1], row[0]))


def rule_changes(data, _):
    rows = []
    for change in data.made.changes:
        made = change.ruleset_version
        logs = data.logs
        under = logs[(logs.ruleset_version == made) | (logs.policy_version == made)]
        share = _ratio(int((under.action != "allow").sum()), len(under))
        rows += [
            (change.changed_at, change.push, change.action, file.file, file.entries,
             " ".join(file.rules), change.author, change.reason, file.expires,
             change.ruleset_version, len(under), share)
            for file in change.files
        ]  # fmt: skip
    return sorted(rows, key=lambda row: (-row[1], row[3]))


def dead_letters_by_producer(data, _):
    letters = pd.DataFrame(
        {
            "source": f"{x.source.topic}/{x.source.partition}" if x.source.topic else x.source.file,
            "stage": x.stage, "kind": re.sub(r"(^|[^\w-])[0-9]+\b", r"\1N", x.error),
            "at": x.failed_at,
        }
        for x in data.letters
    )  # fmt: skip
    rows = [
        (*key, len(own), own["at"].min(), own["at"].max())
        for key, own in letters.groupby(["source", "stage", "kind"])
    ]
    return sorted(rows, key=lambda row: (-row[3], row[:3]))


def over_moderation(data, _):
    restored = {}
    for appeal in data.appeals[data.appeals.state == "granted"].itertuples():
        restored[appeal.content_id] = appeal.resolved_at
    for content_id, own in data.labels.sort_values("at").groupby("content_id"):
        if own.action.iloc[-1] == "allow":
            at = own["at"].iloc[-1]
            restored[content_id] = min(at, restored.get(content_id, at))
    rows = []
    blocked = data.logs[data.logs.action == "block"]
    for key, own in blocked.groupby(["category", "rule"]):
        back = own[own.content_id.isin(list(restored))]
        waits = [
            pd.Timedelta(seconds=int(restored[c].timestamp()) - int(at.timestamp()))
            for c, at in zip(back.content_id, back.decided_at, strict=True)
        ]
        rows.append((*key, len(own), len(back), _ratio(len(back), len(own)), _hours(waits)))
    return sorted(rows, key=lambda row: (-row[3], -row[2], row[0], row[1]))


def language_mix(data, _):
    rows = []
    for language, own in data.logs.groupby("language"):
        bad = int((own.action != "allow").sum())
        rows.append(
            (language, len(own), _ratio(len(own), len(data.logs)), bad, _ratio(bad, len(own)))
        )
    return sorted(rows, key=lambda row: (-row[1], row[0]))


def shadow_against_live(data, _):
    both = data.logs.merge(data.shadows, on="content_id", suffixes=("", "_shadow"))
    grouped = both.groupby(["action", "category", "action_shadow", "category_shadow"]).size()
    order = {"allow": 1, "review": 2, "block": 3}
    same = (both.action == both.action_shadow) & (both.category == both.category_shadow)
    alike = int(same.sum())
    rows = [
        (*key, int(n), _ratio(n, len(both)), _ratio(alike, len(both))) for key, n in grouped.items()
    ]
    return sorted(rows, key=lambda r: (-r[4], order[r[0]], r[1], order[r[2]], r[3]))


def shadow_newly_blocked(data, params):
    both = data.logs.merge(data.shadows, on="content_id", suffixes=("", "_shadow"))
    newly = both[(both.action_shadow == "block") & (both.action != "block")]
    rows = []
    for user, own in newly.groupby("user_id"):
        last = own.sort_values(["at", "content_id"]).iloc[-1]
        score = last.scores_shadow.get(last.category_shadow, 0.0)
        rows.append(
            (user, len(own), int((own.action == "review").sum()),
             sorted(set(own.category_shadow)), last.content_id, last.rule_shadow,
             round(score, 4), last.text)
        )  # fmt: skip
    return sorted(rows, key=lambda row: (-row[1], row[0]))[: int(params["rows"])]


def repeated_contents(data, _):
    sent = pd.DataFrame(
        (d.content_id, 0, _ms(d.created_at), d.author_id)
        for d in (judgement.decision for judgement in data.made.resent)
    )
    rows = []
    for key, own in sent.groupby([0, 1]):
        days = own[2].dt.date.nunique()
        if days > 1:
            rows.append((*key, days, own[2].min(), own[2].max(), sorted(set(own[3]))))
    return sorted(rows, key=lambda row: (-row[2], row[0]))


def labelled_dataset(data, _):
    rows = []
    logs = data.logs.set_index("content_id")
    for content_id, own in data.labels.sort_values("at").groupby("content_id"):
        content = logs.loc[content_id]
        last = own.iloc[-1]
        rows.append((content_id, 0, content.text, content.language, content.community, content.kind,
                     last.label, last.action, "review", last["at"], len(own),
                     int((own.label == last.label).sum())))  # fmt: skip
    return rows


def author_history(data, params):
    own = data.logs[data.logs.user_id == params["user_id"]].sort_values("at", ascending=False)
    return [
        (r.at, r.content_id, 0, r.community, r.kind, r.action, r.category, round(r.top, 4))
        for r in own.itertuples()
    ]


def content_history(data, params):
    content_id = params["content_id"]
    made = data.made
    rows = [
        (_ms(j.decision.decided_at), f"{j.decision.mode} decision", j.decision.action)
        for j in made.judgements + made.shadows
        if j.content.content_id == content_id
    ]
    rows += [
        (x.labeled_at, "review label", x.action) for x in made.labels if x.content_id == content_id
    ]
    rows += [
        (_ms(x.reported_at), "user report", "") for x in made.reports if x.content_id == content_id
    ]
    for appeal in made.appeals:
        if appeal.content_id == content_id:
            rows.append((_ms(appeal.appealed_at), "appeal", "open"))
            if appeal.resolved_at is not None:
                rows.append((_ms(appeal.resolved_at), "appeal", appeal.state))
    return sorted(rows)


def text_search(data, params):
    word = re.compile(rf"(?<![a-z0-9]){params['word'].lower()}(?![a-z0-9])")
    found = data.logs[data.logs.text.map(lambda text: bool(word.search(text.lower())))]
    return [
        (r.at, r.content_id, 0, r.user_id, r.community, r.action, r.text)
        for r in found.sort_values("at", ascending=False).itertuples()
    ]


def missed_violations(data, params):
    drawn = data.logs[(data.logs.action == "allow") & data.logs.truth.notna()]
    drawn = drawn[[crc32(i.encode()) < float(params["sample"]) * 2**32 for i in drawn.content_id]]
    allowed, n = int((data.logs.action == "allow").sum()), len(drawn)
    rows = []
    for category in {"any", *drawn.truth} - {""}:
        mask = drawn.truth != "" if category == "any" else drawn.truth == category
        found = int(mask.sum())
        interval = proportion_confint(found, n)
        share = found / n
        rows.append((category, allowed, n, found, share, *interval, round(share * allowed)))
    return sorted(rows, key=lambda row: (-row[3], row[0]))


def proportion_confint(found, n):
    """The shares at which `found` of `n` are 1.96 standard deviations away."""
    p, z = found / n, 1.96
    # (p - q)^2 = z^2 q (1 - q) / n, solved for q.
    a, b, c = 1 + z * z / n, -(2 * p + z * z / n), p * p
    root = (b * b - 4 * a * c) ** 0.5
    return (-b - root) / (2 * a), (-b + root) / (2 * a)


def reports_by_category(data, _):
    logs = data.logs.set_index("content_id")
    told = pd.DataFrame(msgspec.structs.asdict(report) for report in data.made.reports)
    rows = []
    for category, own in told.groupby("category"):
        about = logs.loc[sorted(set(own.content_id))]
        bad, seen = about.action != "allow", about.truth.notna()
        right = seen & (about.truth != "")
        rows.append((category, len(own), len(about), own.reporter_id.nunique(), int(bad.sum()),
                     int(seen.sum()), int(right.sum()), _ratio(int(right.sum()), int(seen.sum())),
                     int((right & ~bad).sum())))  # fmt: skip
    return rows
