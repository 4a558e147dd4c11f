"""`breakwater hash`: the reference libraries' hashes, a row a file, and exit codes."""

import hashlib
import json
from pathlib import Path

import imagehash
import pytest
import typer
from image_files import FORMATS, PHOTO, encoded
from PIL import Image
from typer.testing import CliRunner

from cli.hash import hash_command, hash_files

REFERENCE = json.loads((Path(__file__).parent / "pdq_reference.json").read_text())

app = typer.Typer()
app.command()(hash_command)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_row_is_what_the_bare_libraries_say(kind, tmp_path):
    file = tmp_path / "picture"
    file.write_bytes(FORMATS[kind])
    (row,) = hash_files([file])

    image = Image.open(file)
    expected = REFERENCE["formats"][kind]
    assert row == {
        "file": str(file),
        "md5": hashlib.md5(FORMATS[kind]).hexdigest(),
        "pdq": expected["pdq"],
        "pdq_quality": expected["quality"],
        "phash": str(imagehash.phash(image)),
    }


def test_the_exif_orientation_is_not_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    rows = []
    for name, options in (("plain", {}), ("turned", {"exif": exif})):
        (tmp_path / name).write_bytes(encoded(PHOTO, "JPEG", **options))
        rows += hash_files([tmp_path / name])
    assert rows[0]["pdq"] == rows[1]["pdq"]


class TestCommand:
    def run(self, *files):
        result = CliRunner().invoke(app, [str(file) for file in files])
        return result.exit_code, [json.loads(line) for line in result.stdout.splitlines()]

    @pytest.fixture
    def good(self, tmp_path):
        file = tmp_path / "good.png"
        file.write_bytes(FORMATS["PNG"])
        return file

    def test_one_row_a_file_in_order(self, good):
        code, rows = self.run(good, good)
        assert code == 0
        assert [row["file"] for row in rows] == [str(good)] * 2

    def test_a_bad_file_costs_only_its_own_row(self, good, tmp_path):
        bad = tmp_path / "bad.png"
        bad.write_bytes(b"no picture")
        code, rows = self.run(bad, tmp_path / "missing", tmp_path, good)
        assert code == 1
        assert rows[0] == {
            "file": str(bad),
            "md5": hashlib.md5(b"no picture").hexdigest(),
            "error": "unknown_format",
        }
        assert [row["md5"] for row in rows[1:3]] == ["", ""]
        assert all(row["error"] for row in rows[1:3])
        assert rows[3]["pdq_quality"] == 100

    def test_without_files_it_says_how_to_use_it(self):
        assert self.run()[0] == 2
