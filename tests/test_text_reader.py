"""How much of a picture full of text is read: what a worker has the time for, and it says so."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from models.image.ocr import MAX_CHARACTERS, Reading, TextReader


class Engine:
    """Finds lines of given heights and widths; reads each as its number and words."""

    def __init__(self, lines: list[tuple[int, int]], words: str = "", score: float = 0.9) -> None:
        self._lines = [
            np.full((height, width, 3), n, np.uint8) for n, (height, width) in enumerate(lines)
        ]
        self._words, self._score = words, score
        self.read: list[int] = []

    def preprocess_img(self, pixels):
        return pixels, {}

    def detect_and_crop(self, pixels, record):
        return self._lines, None

    def recognize_txt(self, lines):
        self.read = [int(line[0, 0, 0]) for line in lines]
        texts = [f"{number}{self._words}" for number in self.read]
        return SimpleNamespace(txts=texts, scores=[self._score] * len(texts))


@pytest.mark.parametrize(
    ("what", "lines", "read"),
    [
        ("some, from top to bottom", [(20, 200), (40, 200), (30, 300)], [0, 1, 2]),
        ("words, which cost as much as a short line", [(20, 40)] * 100, [*range(25)]),
        ("lines across the picture", [(16, 960)] * 60, [0, 1]),
        ("a headline at the foot of a full page", [*[(16, 960)] * 60, (90, 900)], [0, 1, 60]),
        ("a line that is too long, among others", [(12, 2_100), (10, 100)], [1]),
        ("one that is too long", [(10, 2_000)], []),
        ("none", [], []),
    ],
)
def test_the_tallest_lines_are_read_as_far_as_the_time_goes(what, lines, read) -> None:
    reader, engine = TextReader(), Engine(lines)
    reader._engine = engine
    expected = Reading(" ".join(map(str, read)), whole=len(read) == len(lines))
    assert reader.read(Image.new("RGB", (8, 8))) == expected, what
    assert engine.read == read


@pytest.mark.parametrize(
    ("words", "score", "expected"),
    [
        ("x" * MAX_CHARACTERS, 0.9, Reading("0" + "x" * (MAX_CHARACTERS - 1), whole=False)),
        ("", 0.4, Reading("")),
    ],
    ids=["too many characters", "not sure what they are"],
)
def test_what_is_left_out(words, score, expected) -> None:
    reader = TextReader()
    reader._engine = Engine([(20, 200)], words, score)
    assert reader.read(Image.new("RGB", (8, 8))) == expected
