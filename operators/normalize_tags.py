"""Tags of HTML inside words (`ki<b></b>ll`), which nobody sees where a post is shown."""

from __future__ import annotations

import re
from typing import Final

from operators.normalize_draft import Draft

TAG_SIGN: Final = r"[A-Za-z]<[!/A-Za-z]"
"""A sign (RE2) of a tag in a word."""
_INLINE: Final = "a|abbr|b|bdi|big|code|em|font|i|mark|s|small|span|strong|sub|sup|tt|u|wbr"
"""Of a tag that begins a line or a block, the letters around it are two words."""
_TAGS: Final = re.compile(
    rf"(?i)(?<=[a-z])(?:</?(?:{_INLINE})(?:\s[^<>]{{0,200}})?/?>|<!--[^<>]{{0,200}}-->){{1,8}}"
    r"(?=[a-z])"
)


def undo_tags(draft: Draft) -> int:
    """Takes tags and comments out of words; returns how many characters of them."""
    if "<" not in draft.text:
        return 0
    return draft.apply((*found.span(), "") for found in _TAGS.finditer(draft.text))
