"""The one decode: bytes of a topic or a line of a file to a message, every bound checked."""

from __future__ import annotations

import json
import re
from typing import Final, Generic, TypeVar

import msgspec

from events.messages import MAX_MESSAGE_BYTES, Appeal, Content, Label, UserReport
from events.records import ScoreRequest

T = TypeVar("T", Content, Label, UserReport, Appeal, ScoreRequest)

_LONE_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_LONGEST_REASON: Final = 500


class DecodeError(ValueError):
    """The bytes are not a valid message; the text says what the producer has to change."""


class Decoder(Generic[T]):
    """Decodes messages of one type and counts the unknown fields it left out in `unknown_fields`.

    >>> Decoder(Content)(b'{"content_id": "1"}')
    Traceback (most recent call last):
    events.decode.DecodeError: Object missing required field `created_at`
    """

    def __init__(self, message_type: type[T]) -> None:
        self.unknown_fields = 0
        self._messages: msgspec.json.Decoder[T] = msgspec.json.Decoder(message_type)
        self._keys = msgspec.json.Decoder(dict[str, msgspec.Raw])
        self._known = frozenset(f.encode_name for f in msgspec.structs.fields(message_type))

    def __call__(self, raw: bytes) -> T:
        """The message in `raw`.

        Raises:
            DecodeError: it is too large, is not UTF-8, is not JSON, or breaks a bound.
        """
        if len(raw) > MAX_MESSAGE_BYTES:
            raise DecodeError(f"{len(raw)} bytes long, at most {MAX_MESSAGE_BYTES} are taken")
        if raw.startswith(b"\xef\xbb\xbf"):
            raise DecodeError("starts with a byte order mark: send UTF-8 without one")
        return self._decode(raw, repaired=False)

    def _decode(self, raw: bytes, *, repaired: bool) -> T:
        try:
            message = self._messages.decode(raw)
            keys = self._keys.decode(raw)
            if not self._known.issuperset(keys):
                self.unknown_fields += len(keys.keys() - self._known)
        except msgspec.ValidationError as error:
            raise DecodeError(_shortened(str(error))) from None
        except msgspec.DecodeError as error:
            if not repaired and _LONE_SURROGATE.search(raw):
                return self._decode(_without_lone_surrogates(raw), repaired=True)
            raise DecodeError(f"not JSON: {error}") from None
        except UnicodeDecodeError as error:
            raise DecodeError(f"not UTF-8: {error.reason} in a string") from None
        except RecursionError:
            raise DecodeError("nested too deeply") from None
        return message


def _without_lone_surrogates(raw: bytes) -> bytes:
    r"""JSON can escape half a surrogate pair (`"\ud83d"`), UTF-8 cannot: it becomes U+FFFD."""
    try:
        text = json.dumps(json.loads(raw, parse_constant=_refuse), ensure_ascii=False)
    except (ValueError, RecursionError) as error:
        raise DecodeError(f"not JSON: {error}") from None
    return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text).encode()


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a number of JSON")


def _shortened(reason: str) -> str:
    """A reason may quote a whole value, which may be nearly the whole message."""
    if len(reason) <= _LONGEST_REASON:
        return reason
    return f"{reason[: _LONGEST_REASON // 2]} … {reason[-_LONGEST_REASON // 4 :]}"
