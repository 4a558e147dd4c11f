"""The registry: which artefact of each model is in use, and which were before.

A model in use is the built-in one until another is promoted. Promoted ones lie in a directory that
a deployment sets: `NAME/VERSION/` holds the artefact, `NAME/history.json` what was promoted when.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from models.image.classifier import model_file
from models.text.cascade import PARTS
from models.trial import TrialError, compare, try_out

MODELS: Final = Path(__file__).parent
BUILT_IN: Final = {
    "text": MODELS / "text",
    "fusion": MODELS / "fusion" / "lightgbm",
    "image": MODELS / "image" / "nsfw",
}
"""What decides together is promoted together: `text` is all text models and the gates between."""
_VERSION_DIGITS: Final = 12
_VERSION: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""It names a directory."""


class RegistryError(ValueError):
    """A model cannot be promoted or taken back; the text says why and what to do."""


@dataclass(frozen=True)
class Promotion:
    """A model that was put in use."""

    version: str
    promoted_at: str
    """ISO 8601, UTC."""


class Registry:
    """The models in use. Without a directory these are the built-in ones, and none is promoted."""

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory

    def current(self, name: str) -> Path:
        """Directory of the artefact in use.

        Raises RegistryError for an unknown name, and when a promoted artefact is gone or changed.
        """
        history = self.history(name)
        if not history:
            return BUILT_IN[name]
        directory = self._home(name) / history[-1].version
        verify(directory, parts=_parts(name))
        return directory

    def history(self, name: str) -> list[Promotion]:
        """What was promoted and not taken back, the oldest first.

        Raises RegistryError for an unknown name, and when the list cannot be read.
        """
        if name not in BUILT_IN:
            raise RegistryError(f"no model is called {name}: {', '.join(BUILT_IN)}")
        if self._directory is None:
            return []
        path = self._home(name) / "history.json"
        try:
            return [Promotion(**entry) for entry in json.loads(path.read_text("utf-8"))]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise RegistryError(
                f"{path}: {error.strerror}; BREAKWATER_MODELS names a directory"
            ) from None
        except (TypeError, ValueError) as error:
            raise RegistryError(
                f"{path} is no list of promotions ({error}): restore it, or move it away to go back"
                " to the built-in model"
            ) from None

    def promote(self, name: str, candidate: Path, *, even_if_worse: bool = False) -> Promotion:
        """Copy `candidate` into the registry and put it in use.

        Raises RegistryError when a card is missing, an artefact is not the one of its card, the
        model does not work, or, unless `even_if_worse`, its card has lower figures than the card of
        the model in use.
        """
        with self._alone(name):
            history = self.history(name)
            parts = _parts(name)
            version = verify(candidate, parts=parts)
            if history and history[-1].version == version:
                raise RegistryError(f"{name} {version} is in use already")
            in_use = self._home(name) / history[-1].version if history else BUILT_IN[name]
            try:
                try_out(name, candidate)
                if not even_if_worse:
                    compare(candidate, in_use, parts)
            except TrialError as error:
                raise RegistryError(f"{candidate} is refused: {error}") from None
            self._keep(self._home(name) / version, candidate, parts)
            promotion = Promotion(version, datetime.now(UTC).isoformat(timespec="seconds"))
            self._write(name, [*history, promotion])
        return promotion

    def rollback(self, name: str) -> Path:
        """Take back the last promotion; the directory of what is in use then.

        Those before it that are gone or changed are taken back as well. Raises RegistryError when
        the built-in model is in use.
        """
        history = self.history(name)
        if not history:
            raise RegistryError(f"{name}: the built-in model is in use, nothing to take back")
        with self._alone(name):
            left = self.history(name)[:-1]
            while left and not _stands(self._home(name) / left[-1].version, _parts(name)):
                left.pop()
            self._write(name, left)
        return self.current(name)

    @contextmanager
    def _alone(self, name: str) -> Iterator[None]:
        """Other processes that change what is in use wait: one of two promotions would be lost."""
        self.history(name)  # refuses an unknown name before a directory is made for it
        home = self._home(name)
        home.mkdir(parents=True, exist_ok=True)
        with (home / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @staticmethod
    def _keep(kept: Path, candidate: Path, parts: tuple[str, ...]) -> None:
        """Copies `candidate` to `kept`, where it may lie already since an earlier promotion."""
        if _stands(kept, parts):
            cards = [
                [(directory / part / "card.json").read_bytes() for part in parts]
                for directory in (kept, candidate)
            ]
            if cards[0] != cards[1]:
                raise RegistryError(f"{kept} holds another model of the same version")
            return
        arriving = kept.with_name(f"{kept.name}.new")
        for left_over in (arriving, kept):
            shutil.rmtree(left_over, ignore_errors=True)
        shutil.copytree(candidate, arriving, ignore=shutil.ignore_patterns("*.py", "__*"))
        arriving.replace(kept)

    def _home(self, name: str) -> Path:
        if self._directory is None:
            raise RegistryError("set BREAKWATER_MODELS to the directory of promoted models")
        return self._directory / name

    def _write(self, name: str, history: list[Promotion]) -> None:
        path = self._home(name) / "history.json"
        # Whoever reads meanwhile finds the old list or the new one, never half of one.
        path.with_suffix(".new").write_text(json.dumps([asdict(one) for one in history]) + "\n")
        path.with_suffix(".new").replace(path)


def verify(directory: Path, *, parts: tuple[str, ...] = (".",)) -> str:
    """Version of the artefacts in `directory`: of its card, or twelve digits over those of parts.

    Raises RegistryError when a card is missing or broken, or an artefact differs from its card.
    """
    versions = [_verified(directory / part) for part in parts]
    if len(versions) == 1:
        return versions[0]
    fitted_to = directory / "cascade.json"
    if not fitted_to.is_file():
        raise RegistryError(f"{fitted_to} is missing: `breakwater models train text` writes it")
    fitted = json.loads(fitted_to.read_text("utf-8")).get("models")
    if fitted != versions:
        raise RegistryError(f"{fitted_to} was fitted to the models {fitted}, not to {versions}")
    whole = hashlib.sha256("".join(versions).encode() + fitted_to.read_bytes())
    return whole.hexdigest()[:_VERSION_DIGITS]


def _verified(directory: Path) -> str:
    """Version of the card in `directory`, whose artefacts are what it says."""
    card_file = directory / "card.json"
    try:
        card: dict[str, Any] = json.loads(card_file.read_text("utf-8"))
        version = str(card["version"])
        wanted: dict[str, str] = card.get("artefacts") or {card["file"]: card["sha256"]}
        found = {name: _digest(model_file(directory, name)) for name in wanted}
    except OSError as error:
        raise RegistryError(f"{error.filename or card_file}: {error.strerror or error}") from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RegistryError(f"{card_file} is no card of a model: {error}") from None
    changed = [name for name, digest in wanted.items() if found[name] != digest]
    if changed:
        raise RegistryError(f"{directory}: {', '.join(changed)} differs from what card.json says")
    if not _VERSION.fullmatch(version):
        raise RegistryError(f"{card_file}: the version {version!r} cannot name a directory")
    return version


def _stands(directory: Path, parts: tuple[str, ...]) -> bool:
    """Whether the artefacts in `directory` are there and what their cards say."""
    try:
        verify(directory, parts=parts)
    except RegistryError:
        return False
    return True


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _parts(name: str) -> tuple[str, ...]:
    return PARTS if name == "text" else (".",)
