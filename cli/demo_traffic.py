"""A generated day of traffic: everyday talk with a daily rhythm, some violations, two attacks.

Everything is drawn from a seed, so a day is the same each time. What was planted is returned with
each post, so that the demo can say what was found of it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from events.messages import Content

_COMMUNITIES = ("cooking", "football", "gaming", "music", "travel", "news", "pets", "books")
RHYTHM = (5, 3, 2, 2, 2, 3, 5, 8, 11, 12, 12, 13, 14, 13, 13, 13, 14, 15, 17, 19, 20, 18, 13, 8)
"""Posts by hour of the day, relative: asleep at four, busiest in the evening."""
_AUTHORS = 6000

_TOPICS = {
    "cooking": ("the lentil soup", "sourdough", "my mother's curry", "this pan", "the squash"),
    "football": ("the first half", "our keeper", "the free kick", "away games", "our coach"),
    "gaming": ("the new patch", "this boss", "ranked mode", "the soundtrack", "the map"),
    "music": ("the live album", "her voice", "that bass line", "the encore", "the b-side"),
    "travel": ("the night train", "Lisbon in May", "the ferry", "the old town", "that hostel"),
    "news": ("the council vote", "the bus strike", "the new library", "the budget", "the storm"),
    "pets": ("my cat", "our old dog", "the rescue puppy", "the vet", "this leash"),
    "books": ("the second chapter", "that ending", "the translation", "her novel", "the plot"),
}  # fmt: skip
_TALK = (
    "Has anyone tried {topic}? Looking for tips.",
    "I really enjoyed {topic} this {when}.",
    "{topic} was better than I expected, honestly.",
    "Not sure about {topic}, what do you all think?",
    "Thanks for the advice on {topic}, it worked!",
    "{topic} again... I could talk about it all day",
    "Could someone explain {topic} to a beginner?",
    "We spent the {when} on {topic} and have no regrets.",
    "Unpopular opinion: {topic} is overrated. Still love this place though.",
    "My sister recommended {topic}, and she was right.",
    "Photo from this {when}: {topic}. What a day.",
    "I disagree about {topic}, but you make a good point.",
    "Lost track of time with {topic} last {when}, so good",
    "Is {topic} worth it? Asking for a friend.",
)
_WHEN = ("morning", "evening", "weekend", "afternoon", "week", "night")
_TAILS = (
    "",
    "",
    "",
    " :)",
    " What a week.",
    " Any thoughts?",
    " Cheers!",
    " Have a good one.",
    " lol",
)

_SPAM = (
    "Earn ${sum} a week from home, message me on telegram @{handle}",
    "FREE followers and likes, 100% real, visit http://{site}/promo",
    "Limited offer!!! buy cheap meds without prescription http://{site}",
    "Congratulations you have won a gift card, claim now at http://{site}/claim",
    "Invest ${sum} in bitcoin today and get double back, whatsapp +1 555 0{number}",
)
_SITES = ("best-likes4u.biz", "pharma-deal.click", "giftcard-win.xyz", "quickcash.loan")
_HARASSMENT = (
    "You are a pathetic idiot and everyone here hates you",
    "shut up you stupid moron, nobody wants your garbage opinion",
    "what a worthless loser, go cry somewhere else you clown",
    "you are the dumbest piece of trash on this site, get lost",
)
_THREATS = (
    "I know where you live and I am going to kill you",
    "I will find you and beat you until you can't walk",
    "watch your back, I'm going to hurt you and your family",
)
_HATE = (
    "{group} are vermin and should be thrown out of this country",
    "I hate {group}, they are all subhuman filth",
    "all {group} are disgusting animals, get rid of them",
)
_GROUPS = ("immigrants", "muslims", "jews", "gay people", "women", "black people")
_ATTACK_SPAM = (
    "{hype} Claim your {sum} dollar airdrop before midnight: https://{sub}coin-giveaway.top/{code}",
    "{hype} Elon doubles every deposit today only, go to https://{sub}coin-giveaway.top/{code}",
    "{hype} I just got paid ${sum}, free crypto here https://{sub}coin-giveaway.top/{code}",
)
_HYPE = ("WOW", "Guys!", "no joke,", "Hurry!!", "It really works:", "omg")
_BRIGADE = (
    "@riverfox you pathetic {insult}, delete your account, nobody wants you here",
    "riverfox is a lying {insult}, everybody report this worthless trash",
    "hey @riverfox, you disgusting {insult}, get out of our community",
    "imagine being as stupid as @riverfox, what a {insult}",
)
_INSULTS = ("loser", "idiot", "moron", "clown", "scumbag", "piece of garbage")


@dataclass(frozen=True)
class Planted:
    """A post and the violation that was planted in it, "" for none."""

    content: Content
    category: str


@dataclass(frozen=True)
class Attack:
    """A wave of posts: when, how many, from how many accounts, where."""

    name: str
    category: str
    start_hour: float
    minutes: int
    posts: int
    accounts: int
    community: str


ATTACKS = (
    Attack("link spam for coin-giveaway.top", "spam", 13.4, 25, 700, 180, "news"),
    Attack("brigading of @riverfox", "harassment", 19.8, 30, 500, 140, "gaming"),
)


def yesterday() -> datetime:
    """The last midnight but one, UTC: the store forgets allowed texts after 30 days."""
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)


def day_of_traffic(day: datetime, posts: int = 50_000, seed: int = 7) -> list[Planted]:
    """`posts` posts from `day` (midnight UTC) on for 24 hours, in the order of time.

    About five in a hundred violate, the posts of `ATTACKS` among them.
    """
    rng = random.Random(seed)  # noqa: S311 (a repeatable day, not a secret)
    attacks = [
        planted for attack in ATTACKS for planted in _attack(rng, day, attack, posts / 50_000)
    ]
    everyday = list(_everyday(rng, day, posts - len(attacks)))
    return sorted(everyday + attacks, key=lambda planted: planted.content.created_at)


def _everyday(rng: random.Random, day: datetime, posts: int) -> Iterator[Planted]:
    hours = rng.choices(range(24), weights=RHYTHM, k=posts)
    for number, hour in enumerate(hours):
        at = day + timedelta(hours=hour, seconds=rng.uniform(0, 3600))
        # Few authors write much, many write little.
        author = int(_AUTHORS * rng.random() ** 2)
        community = rng.choice(_COMMUNITIES)
        text, category = _text(rng, community)
        # An author's age is drawn from their name: the same in every post.
        age = timedelta(days=random.Random(author).expovariate(1 / 500), hours=24)  # noqa: S311
        content = _post(rng, f"post-{number}", at, f"user-{author}", community, text, day - age)
        yield Planted(content, category)


def _text(rng: random.Random, community: str) -> tuple[str, str]:
    chance = rng.random()
    if chance < 0.972:
        talk = rng.choice(_TALK).format(
            topic=rng.choice(_TOPICS[community]), when=rng.choice(_WHEN)
        )
        return talk[0].upper() + talk[1:] + rng.choice(_TAILS), ""
    if chance < 0.985:
        spam = rng.choice(_SPAM).format(
            sum=rng.randrange(200, 9000, 50),
            handle=f"cash_{rng.randrange(1000)}",
            site=rng.choice(_SITES),
            number=rng.randrange(100, 999),
        )
        return spam, "spam"
    if chance < 0.994:
        return rng.choice(_HARASSMENT), "harassment"
    if chance < 0.998:
        return rng.choice(_HATE).format(group=rng.choice(_GROUPS)), "hate"
    return rng.choice(_THREATS), "threat"


def _attack(rng: random.Random, day: datetime, attack: Attack, scale: float) -> Iterator[Planted]:
    posts, accounts = int(attack.posts * scale), max(1, int(attack.accounts * scale))
    templates = _ATTACK_SPAM if attack.category == "spam" else _BRIGADE
    for number in range(posts):
        # A wave rises fast and ebbs slowly.
        at = day + timedelta(
            hours=attack.start_hour, minutes=attack.minutes * rng.betavariate(1.5, 2.5)
        )
        text = rng.choice(templates).format(
            hype=rng.choice(_HYPE), sum=rng.randrange(100, 5000, 50),
            sub=rng.choice(("", "www.", "app.")), code=f"{rng.randrange(16**6):06x}",
            insult=rng.choice(_INSULTS),
        )  # fmt: skip
        author = f"{attack.category}-account-{rng.randrange(accounts)}"
        joined = day - timedelta(days=random.Random(author).uniform(0.1, 6))  # noqa: S311
        content_id = f"{attack.category}-wave-{number}"
        content = _post(rng, content_id, at, author, attack.community, text, joined)
        yield Planted(content, attack.category)


def _post(
    rng: random.Random,
    content_id: str,
    at: datetime,
    author: str,
    community: str,
    text: str,
    author_created_at: datetime,
) -> Content:
    return Content(
        content_id=content_id,
        created_at=at,
        author_id=author,
        author_created_at=author_created_at,
        kind=rng.choice(("post", "comment", "comment", "message")),
        community=community,
        text=text,
        language="en",
    )
