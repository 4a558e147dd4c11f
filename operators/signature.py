"""What the contents of one campaign share: the domain they link to, or the wording they repeat.

A link names a campaign best; near-duplicate texts share a minwise hash of their word
triples (Broder, "On the resemblance and containment of documents", 1997): two texts get the same
signature with a probability equal to the share of triples they have in common, so the bulk of a
campaign with a name or number changed in each copy lands in one cluster.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from hashlib import blake2b
from typing import Final
from zlib import crc32

MAX_TEXT: Final = 2_000
"""Code points of a text that are looked at: enough to tell campaigns apart, bounded for hostile
ones.
"""

# A link's beginning, then its host and path in a slice of bounded length: no repeat can run away.
_LINK = re.compile(r"https?://|www\.", re.IGNORECASE)
_HOST = re.compile(r"(?:[^\s/@]{1,64}@)?([\w.-]{3,253})(?::\d{1,5})?(/[\w-]{1,64})?")
_WHOLE_LINK = re.compile(r"(?:https?://|www\.)\S+", re.IGNORECASE)  # one repeat at its end: linear
_WORD = re.compile(r"\w+")  # one class, one repeat: linear

# Second-level labels under which a country's registry sells names (the common part of
# publicsuffix.org).
_SECOND_LEVEL: Final = frozenset(
    ("ac", "co", "com", "edu", "gob", "gov", "go", "gr", "id", "me", "mil", "ne", "net", "nom",
     "or", "org", "sch"),
)  # fmt: skip
# Hosts whose customers own the subdomain: the subdomain is the campaign, not the host.
_SUBDOMAIN_HOSTS: Final = frozenset(
    ("appspot.com", "azurewebsites.net", "blogspot.com", "cloudfront.net", "firebaseapp.com",
     "github.io", "gitlab.io", "glitch.me", "herokuapp.com", "netlify.app", "ngrok.io", "pages.dev",
     "repl.co", "surge.sh", "tumblr.com", "vercel.app", "web.app", "webflow.io", "weebly.com",
     "wixsite.com", "wordpress.com", "workers.dev"),
)  # fmt: skip
# Hosts whose customers own the first part of the path.
_PATH_HOSTS: Final = frozenset(
    ("bit.ly", "cutt.ly", "discord.gg", "goo.gl", "is.gd", "linktr.ee", "rb.gy", "shorturl.at",
     "t.co", "t.me", "telegram.me", "tiny.cc", "tinyurl.com", "wa.me"),
)  # fmt: skip


def registrable_domain(host: str) -> str:
    """The part of `host` that somebody registered: `a.b.example.co.uk` gives `example.co.uk`.

    An approximation of the public suffix list: country registries' usual second levels and the
    hosts that give their customers subdomains. Lower case; IP addresses and single labels stay as
    they are.
    """
    labels = [label for label in host.lower().strip(".").split(".") if label]
    if len(labels) < 3 or labels[-1].isdigit():
        return ".".join(labels)
    if ".".join(labels[-2:]) in _SUBDOMAIN_HOSTS:
        return ".".join(labels[-3:])
    country = len(labels[-1]) == 2 and labels[-2] in _SECOND_LEVEL
    return ".".join(labels[-3:] if country else labels[-2:])


def link_domain(text: str) -> str:
    """The registrable domain of the first link of `text`, "" without one.

    For shorteners and messengers, where many owners share a domain, the first part of the path is
    kept with it: `t.me/name`.
    """
    start = _LINK.search(text[:MAX_TEXT])
    link = _HOST.match(text[start.end() : start.end() + 400]) if start is not None else None
    if link is None:
        return ""
    domain = registrable_domain(link.group(1))
    return domain + (link.group(2) or "") if domain in _PATH_HOSTS else domain


def text_cluster(text: str) -> str:
    """The near-duplicate cluster of `text`: `text:` and 8 hex digits, "" where there is no word.

    Links, case, width, punctuation, numbers and repeated spaces do not count. Under three words the
    whole text is the cluster.
    """
    folded = unicodedata.normalize("NFKC", _WHOLE_LINK.sub(" ", text[:MAX_TEXT])).casefold()
    words = ["0" if word.isdigit() else word for word in _WORD.findall(folded)]
    if not words:
        return ""
    spans = (" ".join(words[i : i + 3]) for i in range(max(1, len(words) - 2)))
    # CRC-32 is linear, so near texts would order alike: an odd multiplier breaks the order.
    smallest = min(
        crc32(span.encode("utf-8", "replace")) * 0x9E3779B1 & 0xFFFFFFFF for span in spans
    )
    return f"text:{smallest:08x}"


def signatures(text: str, images: Sequence[bytes | str] = ()) -> tuple[str, ...]:
    """What links this content to others of its campaign, the most telling first.

    The domain of its first link and the near-duplicate cluster of its text; without either, the
    digest of its first image (bytes, or the URI). Each has at most 128 characters.
    """
    found = [name for name in (link_domain(text), text_cluster(text)) if name]
    if not found and images:
        first = images[0]
        raw = first if isinstance(first, bytes) else first.encode("utf-8", "surrogatepass")
        found = [f"image:{blake2b(raw, digest_size=8).hexdigest()}"]
    return tuple(name[:128] for name in found)
