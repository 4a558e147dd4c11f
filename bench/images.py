"""What matching of images finds: `python -m bench.images [--pictures N] [--no-rates]`.

Writes bench/RESULTS-images.md, with the rates of bench/image_rates.py and bench/hash_index.py.
Pictures come from `training.pictures`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import imagehash
import numpy as np
from numpy.typing import NDArray

from bench import hash_index
from bench.image_changes import CHANGES, Picture
from bench.image_rates import rate_table
from bench.machine import machine
from models.image.hashes import PDQ_MIN_QUALITY, pdq, pdq_variants, phash
from operators.image_hash import PDQ_DISTANCE, PHASH_DISTANCE
from training.pictures import picture

RESULTS: Final = Path(__file__).parent / "RESULTS-images.md"
PHASH_DISTANCES: Final = (4, PHASH_DISTANCE, 8, 10, 12)

NOTES: Final = f"""PDQ sees the whole picture and is lost at a shift of 1 %: crops that are
neither around the middle nor from one side are left to pHash. A caption bar is missed where the
picture goes on in the bar's colour (charts, pages, white skies). pHash is matched at
{PHASH_DISTANCE}, the widest distance at which no two different pictures of an earlier set met; it
is not looked up inside bars, where a pair met at 4.
Undoing crops from one side brings different pictures nearer: the nearest pair, two of one kind, was
at 66 without it."""


def nearest(hashes: NDArray[np.uint8], listed: NDArray[np.uint8]) -> int:
    return int(np.bitwise_count(hashes ^ listed).sum(axis=-1).min())


def recall(pictures: Sequence[Picture]) -> list[str]:
    """Share of changed pictures whose hash is within the distance of the reference hash."""
    listed = [
        (pdq(one, exact=True)[0][0], np.packbits(imagehash.phash(one).hash)) for one in pictures
    ]
    columns = " | ".join(f"pHash ≤ {distance}" for distance in PHASH_DISTANCES)
    lines = [
        f"| change | PDQ ≤ {PDQ_DISTANCE}, as looked up | its own PDQ alone | {columns} |",
        "|---" * (3 + len(PHASH_DISTANCES)) + "|",
    ]
    for name, change in CHANGES.items():
        near = []
        for one, (pdq_listed, phash_listed) in zip(pictures, listed, strict=True):
            changed = change(one)
            own = nearest(pdq(changed)[0], pdq_listed)
            # What is found by its own hash needs no variant.
            found = own <= PDQ_DISTANCE or (
                nearest(pdq_variants(changed), pdq_listed) <= PDQ_DISTANCE
            )
            near.append((found, own, nearest(phash(changed), phash_listed)))
        distances = np.array(near)
        shares = [distances[:, 0].mean(), (distances[:, 1] <= PDQ_DISTANCE).mean()]
        shares += [(distances[:, 2] <= distance).mean() for distance in PHASH_DISTANCES]
        lines.append(f"| {name} | " + " | ".join(f"{100 * share:.1f} %" for share in shares) + " |")
        print(lines[-1], flush=True)
    return lines


def false_matches(pictures: Sequence[Picture]) -> list[str]:
    """Pairs of a picture looked up and a different one listed within the distance."""
    lines = ["| hash | pairs | within the distance | nearest pair |", "|---|---|---|---|"]
    for name, looked_up, distances in (
        ("PDQ", [np.concatenate([pdq(one)[0], pdq_variants(one)]) for one in pictures],
         (PDQ_DISTANCE,)),
        ("pHash", [phash(one) for one in pictures], PHASH_DISTANCES),
    ):  # fmt: skip
        listed = np.stack([hashes[0] for hashes in looked_up])
        pairs = np.concatenate([
            np.bitwise_count(hashes[:, None] ^ np.delete(listed, number, axis=0))
            .sum(axis=-1).min(axis=0)
            for number, hashes in enumerate(looked_up)
        ])  # fmt: skip
        for distance in distances:
            within = int((pairs <= distance).sum())
            lines.append(f"| {name} ≤ {distance} | {len(pairs)} | {within} | {pairs.min()} |")
    print(*lines, sep="\n", flush=True)
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=232)
    parser.add_argument("--no-rates", action="store_true")
    parser.add_argument("--entries", type=int, default=10_000_000, help="of the index")
    arguments = parser.parse_args()
    # What is tuned was tuned on the first 64.
    drawn = [picture(64 + number) for number in range(arguments.pictures)]
    kept = [one for one in drawn if pdq(one)[1] >= PDQ_MIN_QUALITY]
    how = f"`python -m bench.images --pictures {arguments.pictures}`, {datetime.now(UTC):%Y-%m-%d}"
    what = (
        f"{len(kept)} different pictures (of {len(drawn)}; the others have a PDQ quality under "
        f"{PDQ_MIN_QUALITY} and are never matched). Listed: the reference libraries' hashes of the "
        "picture; looked up: ours of the changed one, in eight orientations, PDQ with the variants "
        "of `pdq_variants`: crops to 95 % around the middle or from one side undone, bars and "
        "margins taken off, small pictures enlarged."
    )
    sections = [
        "# Images",
        f"{how}, one of {machine()}.",
        "## Found after a change",
        what,
        "\n".join(recall(kept)),
        "## Different pictures mistaken for each other",
        "\n".join(false_matches(kept)),
        NOTES,
    ]
    if not arguments.no_rates:
        sections += [
            "## Rates, a second of processor time",
            rate_table(),
            "## The index",
            hash_index.report(arguments.entries),
        ]
    RESULTS.write_text("\n\n".join(sections) + "\n")


if __name__ == "__main__":
    main()
