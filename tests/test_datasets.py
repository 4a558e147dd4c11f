"""The corpus: what a set labels, what it does not, and rows that must stay together.

The sets themselves lie outside the project; small files of the same shape stand for them.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from policy.taxonomy import TEXT_CATEGORIES
from training.datasets import OWN, load
from training.errors import DatasetError
from training.grouping import canonical, near_duplicates

HEADERS = {
    "convabuse/ConvAbuseEMNLPtrain.csv": (
        "conv_id,user,Annotator1_is_abuse.1,Annotator1_is_abuse.0,Annotator1_is_abuse.-1,"
        "Annotator1_is_abuse.-2,Annotator1_is_abuse.-3,Annotator1_sexist,Annotator1_racist,"
        "Annotator1_homophobic,Annotator1_transphobic,Annotator1_sex_harassment"
    ),
    "davidson/labeled_data.csv": "count,hate_speech,offensive_language,neither,class,tweet",
    "discord_chat/non_toxic.csv": "content,rating",
    "edos/edos_labelled_aggregated.csv": "text,label_sexist,label_category",
    "hatemoji_build/train.csv": "entry_id,text,type,label_gold,matched_id",
    "jigsaw/jigsaw_multilabel.csv": (
        "src,toxic,severe_toxic,obscene,threat,insult,identity_hate,comment_text"
    ),
    "stormfront/all_sentences.csv": "id,label,text",
    "youtube_spam/Youtube01-Psy.csv": "CONTENT,label",
    "sms_spam/SMSSpamCollection.tsv": "label\ttext",
}
ROWS = {
    "convabuse/ConvAbuseEMNLPtrain.csv": [
        "1,what a nice day for a walk,1,0,0,0,0,0,0,0,0,0",
        "1,come to my room tonight baby,0,0,0,1,0,0,0,0,0,1",
    ],
    "davidson/labeled_data.csv": ["3,0,0,3,2,the train is late again today"],
    "discord_chat/non_toxic.csv": ["looks like rain,0", "marked by a tool,1"],
    "edos/edos_labelled_aggregated.csv": [
        "[USER] they should all be beaten,sexist,1. threats",
        "I went to the [URL] market,not sexist,none",
    ],
    "hatemoji_build/train.csv": [
        "0,I love these people,none,0,1",
        "1,get rid of these people,threateninglanguage,1,0",
    ],
    "jigsaw/jigsaw_multilabel.csv": [
        "jigsaw_furkan,1,0,1,0,1,0,you are a damned fool go away",
        'jigsaw_predibase,1,0,1,0,1,0,"You are a damned fool, go away!"',
        "jigsaw_predibase,0,0,0,0,0,0,please add a source to the article",
    ],
    "stormfront/all_sentences.csv": ["9_1,noHate,we met in the park", "9_2,relation,and then"],
    "youtube_spam/Youtube01-Psy.csv": ["subscribe to my channel,1"],
    "sms_spam/SMSSpamCollection.tsv": ["ham\tSee you at six", "spam\tWIN a prize call 0800"],
}
EMPTY = {
    "convabuse/ConvAbuseEMNLPvalid.csv": "convabuse/ConvAbuseEMNLPtrain.csv",
    "hatemoji_build/validation.csv": "hatemoji_build/train.csv",
    "hatemoji_build/test.csv": "hatemoji_build/train.csv",
    "youtube_spam/Youtube02-KatyPerry.csv": "youtube_spam/Youtube01-Psy.csv",
    "youtube_spam/Youtube03-LMFAO.csv": "youtube_spam/Youtube01-Psy.csv",
    "youtube_spam/Youtube04-Eminem.csv": "youtube_spam/Youtube01-Psy.csv",
}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    sums = []
    for name in [*ROWS, *EMPTY]:
        lines = [HEADERS[EMPTY.get(name, name)], *ROWS.get(name, [])]
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(lines) + "\n")
        sums.append(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {name}")
    (tmp_path / "SHA256SUMS").write_text("\n".join(sums) + "\n")
    return tmp_path


# A mark a category in the order of TEXT_CATEGORIES: 1 and 0 labels, ? unknown, - presumed not.
LABELS = {
    "You are a damned fool, go away!": "010--",
    "please add a source to the article": "0000-",
    "the train is late again today": "00---",
    "@user they should all be beaten": "1?1--",
    "I went to the  market": "0?---",
    "I love these people": "0?---",
    "get rid of these people": "1?1--",
    "we met in the park": "0?---",
    "what a nice day for a walk": "00-0-",
    "come to my room tonight baby": "01-1-",
    "looks like rain": "00000",
    "See you at six": "----0",
    "WIN a prize call 0800": "----1",
    "subscribe to my channel": "----1",
}


def test_what_each_set_labels(data: Path) -> None:
    corpus = load(data)
    found = {}
    for row, text in enumerate(corpus.texts):
        marks = zip(corpus.targets[row], corpus.presumed[row], strict=True)
        found[text] = "".join(
            ("-" if presumed else "?") if np.isnan(target) else str(int(target))
            for target, presumed in marks
        )
    assert found == LABELS
    assert corpus.targets.shape == (len(corpus.texts), len(TEXT_CATEGORIES))


def test_what_people_have_labelled_here_is_part_of_the_corpus(data: Path) -> None:
    before = load(data)
    rows = [
        {"content_id": "1", "text": "buy this now", "truth": "spam"},
        {"content_id": "2", "text": "hello there", "truth": ""},
        {"content_id": "3", "text": "I do not want to live", "truth": "self_harm"},
    ]
    (data / "own").mkdir()
    (data / OWN).write_text(json.dumps(rows))
    corpus = load(data)
    own = {corpus.texts[row]: row for row in np.flatnonzero(corpus.sources == "own")}
    known = {text: corpus.targets[row].tolist() for text, row in own.items()}
    spam = TEXT_CATEGORIES.index("spam")
    assert known["buy this now"][spam] == 1
    assert known["hello there"] == [0] * len(TEXT_CATEGORIES)
    assert np.isnan(known["I do not want to live"]).all()  # no category of the text models
    assert len(corpus.texts) == len(before.texts) + 3
    assert corpus.files[-1].path == OWN
    (data / OWN).write_text("[]")  # nobody has labelled anything yet
    assert load(data).texts == before.texts


def _own(data: Path, *rows: dict[str, object]) -> dict[str, list[float]]:
    """What the corpus takes of labels given here: targets by text."""
    (data / "own").mkdir(exist_ok=True)
    (data / OWN).write_text(json.dumps(rows))
    corpus = load(data)
    own = np.flatnonzero(corpus.sources == "own")
    return {corpus.texts[row]: corpus.targets[row].tolist() for row in own}


@pytest.mark.parametrize(
    ("source", "votes", "agreeing", "taken"),
    [
        ("review", 1, 1, True),
        ("review", 3, 2, True),
        ("review", 2, 1, False),  # the last of two who disagree
        ("review", 5, 1, False),  # one against four, but the last
        ("golden", 5, 1, True),
    ],
)
def test_what_people_disagree_on_is_left_out(
    data: Path, source: str, votes: int, agreeing: int, taken: bool
) -> None:
    row = {"text": "a b", "truth": "", "label_source": source, "votes": votes, "agreeing": agreeing}
    assert bool(_own(data, row)) is taken


def test_of_one_text_in_many_contents_most_labels_decide(data: Path) -> None:
    def said(text: str, *truths: str) -> list[dict[str, object]]:
        return [{"text": text, "truth": truth} for truth in truths]

    found = _own(data, *said("Buy now!", "", "spam", "spam"), *said("oh well", "", "hate"))
    assert set(found) == {"Buy now!"}
    assert found["Buy now!"][TEXT_CATEGORIES.index("spam")] == 1


def test_own_labels_move_no_row_of_the_sets_to_another_split(data: Path) -> None:
    comment = "please add a source to the article"
    before = load(data)
    assert before.splits[before.texts.index(comment)] == "train"
    # A near duplicate with a key that comes first, and that alone would be drawn for the test.
    _own(data, {"text": f"do {comment}", "truth": ""})
    after = load(data)
    places = [after.texts.index(text) for text in (comment, f"do {comment}")]
    assert len(set(after.groups[places].tolist())) == 1
    assert after.splits[places].tolist() == ["train", "train"]


def test_two_copies_of_a_comment_are_one_row_in_its_own_spelling(data: Path) -> None:
    assert [text for text in load(data).texts if "damned fool" in text] == [
        "You are a damned fool, go away!"
    ]


def test_the_same_rows_and_splits_every_time(data: Path) -> None:
    one, two = load(data), load(data)
    assert one.texts == two.texts
    assert one.splits.tolist() == two.splits.tolist()
    assert set(one.splits) <= {"train", "validation", "test"}


def test_no_group_straddles_splits(data: Path) -> None:
    corpus = load(data)
    for group in set(corpus.groups.tolist()):
        assert len(set(corpus.splits[corpus.groups == group])) == 1
    pair = [corpus.texts.index(text) for text in ("I love these people", "get rid of these people")]
    assert len(set(corpus.groups[pair].tolist())) == 1, "a matched pair"


def test_a_changed_file_is_refused_by_name(data: Path) -> None:
    (data / "discord_chat/non_toxic.csv").write_text("content,rating\nhi,0\n")
    with pytest.raises(DatasetError, match="discord_chat"):
        load(data)


def test_a_missing_directory_is_said(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="not a data directory"):
        load(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("one", "two", "together"),
    [
        ("Hello there!", "hello  THERE", True),  # only case, space and punctuation differ
        ("call 0800 123", "call 0900 456", True),  # digits are all alike
        ("the quick brown fox jumps over the dog", "the quick brown fox jumps over the cat", True),
        ("the quick brown fox jumps over the dog", "we had a long talk about the weather", False),
        ("yes", "no", False),  # short texts are near only when canonically equal
    ],
)
def test_near_duplicates(one: str, two: str, together: bool) -> None:
    texts = [one, two]
    groups = near_duplicates([canonical(text) for text in texts], texts, ["", ""])
    assert (groups[0] == groups[1]) is np.bool_(together)


def test_links_group_rows() -> None:
    texts = ["alpha", "beta", "gamma"]
    assert near_duplicates(texts, texts, ["x", "", "x"]).tolist() == [0, 1, 0]
