"""What is undone, what stays, and that every string comes through with a way back."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
from bytewax.dataflow import Dataflow
from bytewax.operators import flat_map_batch as op_flat_map_batch
from bytewax.operators import input as op_input
from bytewax.operators import output as op_output
from bytewax.testing import TestingSink, TestingSource, run_main
from hypothesis import given, settings
from hypothesis import strategies as st

from events.messages import Content, Position
from operators.item import Item
from operators.normalize import (
    CHANGED_LEVEL,
    NO_OBFUSCATION,
    Normalizer,
    find_suspicious,
    normalize,
)
from operators.normalize_draft import MAX_LOOKED_AT

UNDONE = {
    "h4te w0m3n": "hate women",  # leet inside words
    "57up1d 4ll": "stupid all",  # leet at the edges, by the lexicon
    "a$$ sh!t $hit": "ass shit shit",  # signs for letters
    "h.a.t.e": "hate",  # broken by dots
    "h_a_t_e s-t-u-p-i-d": "hate stupid",  # by dashes and underscores
    "h a t e": "hate",  # by blanks
    "h a t e !": "hate!",  # before an exclamation mark
    "i h a t e y o u": "i hate you",  # several words in a row
    "you are a s t u p i d person": "you are a stupid person",  # the article goes free
    "st.upid": "stupid",  # one break
    "h😀a😀t😀e stu🔥pid": "hate stupid",  # emoji between letters
    "k,i,l,l k:i:l:l: (k+i+l+l) k=i=l=l": "kill kill: (kill) kill",  # by signs of lists
    "k, i, l, l, y, o, u": "kill you",
    "ki<b></b>ll k<i class=x>i</i>l<!-- -->l <B>ki</b><wbr/>ll": "kill kill <B>kill",  # tags
    "soooo killll hateeee": "so kill hate",  # drawn out
    "hаtе wоmеn": "hate women",  # Cyrillic letters in Latin words
    "ʜᴀᴛᴇ": "hate",  # small capitals
    "𝐡𝐚𝐭𝐞 ｈａｔｅ Ⓗⓐⓣⓔ": "hate hate Hate",  # compatibility forms
    "h\u200ba\u2060t\u00ade": "hate",  # invisible characters
    "go \u202eflesruoy llik\u202c!": "go kill yourself!",  # shown backwards
    "\u202eetah\nyou \u202detah\u202c": "hate you etah",  # to the end of the line
    "\u202eשלום etah": "שלום etah",  # what is written from right to left stays in its order
    "noʎ ʞɔnɟ, llᴉʞ": "kill ,fuck you",  # upside down, and so from right to left
    "noʎ\nʞɔnɟ": "fuck you",  # over lines
    "hey: ʞıll ʎonɹsǝlɟ!": "hey: kill yourself!",  # or not
    "h\u20dda\u20e0t\u0488e \U0001d159": "hate ",  # marks around a letter, a note nobody sees
    "🇭 🇦 🇹 🇪 🇲🇪🇳": "HATE MEN",  # letters of flags that are none
    "ᕼᗩTE ᔕTᑌᑭIᗪ": "HATE STUPID",  # Canadian syllabics
    "ni.gger? st.upid/ a.s.s?": "nigger? stupid/ ass?",  # no addresses, though they end like one
    "you f@ggot...die f@ggot.You": "you faggot...die faggot.You",  # nor are these of mail
    "h̶a̶t̷e̸": "hate",  # strikes through
    "z̷̢̛̗̦̎͝a̸͚̋l": "zal",  # piled-up marks
    "&#104;ate &lt;b&gt; &amp;amp;lt;": "hate <b> <",  # entities, nested too
    "&#0000000104;&#x000000061;te": "hate",  # with more digits than it takes
    "m0️⃣ron": "moron",  # a keycap
    "🇫🇺🇨🇰 🇰🇮🇱🇱": "FUCK KILL",  # in pairs, not all of which are flags
    "fùçk yöü, ïdìöt": "fuck you, idiot",  # marks on letters
    "fùùùck": "fuck",  # drawn out
    "kïll yöü ände süch scüm": "kill you ände such scum",  # one in five spells no word
    "ƒųçķ ṯḣḙm": "fuck them",  # of any language
    "k\u0308ill": "kill",  # added to letters
    "kill  all \t cops": "kill all cops",  # wide gaps
    "claim your prize\r\nhttps://bit.ly/x": "claim your prize https://bit.ly/x",  # line breaks
    "kill\u2003\u1680all\u2028cops\x85\f!": "kill all cops !",  # whatever the blanks
    "y o u\n\nh   a   t   e": "you hate",  # spelled out over lines, with wide gaps
    "h a t e   x z q": "hate x z q",  # a gap that parts what is spelled out
    "a wh*re, k*ll yours*lf": "a whore, kill yourself",  # masked: rude words, and the only ones
    "F**K y*u b***h": "FUCK y*u bitch",  # by several stars; of short words it could be any
    "sh#t f%ck wh@re b¡tch s--t": "shit fuck whore bitch shit",  # by other signs
    "c-nt k_ll dumb-totally-f*cked": "cunt kill dumb-totally-fucked",
    "k🔪ll b⭐️tch": "kill bitch",  # by pictures, of one code point or two
    "(f*ck) _f*ck_ *f*ck*": "(fuck) _fuck_ *fuck*",  # what stands around stays
    "b[i]tch nig(g)er idea(l)s": "bitch nigger idea(l)s",  # by brackets
    "fu cking nig ger! su\tck": "fucking nig ger! suck",  # a blank, where no half is a word
    "fck you, FCKING Btches! kcuf-you fuq": "fuck you, FUCKING Bitches! fuck-you fuck",
    "biiitttccchhh": "bitch",  # drawn out all over
    "fvck this MOTHERFVCKER, v*agra": "fuck this MOTHERFUCKER, viagra",  # v for u
}

STAYS = [
    "plain words, and punctuation. Really?",
    "mp3 ps5 covid19 100k 5am 1st 2nd 1080p",  # names and units
    "1.2.3.4 10:30 3-4 555-1234",  # numbers
    "bob@site.com user@host https://a.b/c3po?d=4ll www.h4te.org",  # addresses
    "b0b@site.com, (B0B.SMITH@mail.site.com). h4.te/x h4.te?x",
    "🇺🇸🇬🇧 🇺🇸 🇫🇷",  # flags
    "hi!there wow!that",  # a missing blank
    "well-being and/or co-op e.g. i.e. a.m.",  # real hyphens and abbreviations
    "for (i=0; i<n; i++) a[i] = b+c; x_1 = f(y)",  # code
    "a*b = c*d, f*g, s*x, pi*r*r; int*ptr; f(*args, **kwargs) ls *.py src/*.md",  # formulas, code
    "a,b,c,d i, j, k, l x+y+z a+b=c+d h=a,t=e k1=v1;k2=v2 d,i,e",  # lists, formulas
    "FCKH8 afck fckx @fck_me fck.com kcufs2",  # names
    "a<br>b hate<p>men List<String>of i<j a <b>bold</b> word",  # tags between words
    "*really* **very** un*frigging*believable M*A*S*H 5* hotel, from £9* (*terms apply)",
    "the man who re did it, por n veces, je wilt, s hit, dum bled",  # halves that are words
    "a[i]t f(x)y (s)he book(s) [t]he",  # brackets
    "jede*r Student*innen, wom*n, wh*le, c#d C# F#m C++",  # stars and signs of no word, or of many
    "x-ray t-shirt s-sorry d-day re-use b-but x_max s_id 50%off",  # dashes in words
    "c0#nt AVGVSTVS CHVRCHES BVLGARI HVAC SVM lvl DVDs",  # letters that are meant
    "/ˈkʌlə/ /ʎɔs/ [ʌpsəlʌ] ∀ x ∀ z",  # upside down in no word
    "A B C D",  # no word in it
    "O K !",  # too short to be spelled out
    "kkk www III viii",  # three letters that are meant
    "Привет, мир. Это текст",  # wholly of another script
    "γειά σου κόσμε",
    "kadın çocuğu Łódź café naïve Übermut người được",  # Latin orthographies
    "tôi bị cúm hôm nay",  # of a language with marks: two in four spell no English word
    "Gästehaus zu kïll",  # one in two
    "می\u200cخواهم",  # a joiner that is part of the spelling
    "love❤you 👨\u200d👩\u200d👧",  # emoji between words, emoji of several
]

ANY = st.text(st.characters(codec=None), max_size=60) | st.text(
    st.sampled_from("a4@$ .-_&;#amplt\u200b\u0336аеһ😀\ud800\u202eéA1!x\n\t\u2028"), max_size=40
)


@pytest.mark.parametrize(("text", "expected"), UNDONE.items())
def test_tricks_are_undone(text: str, expected: str) -> None:
    assert normalize([text])[0].text == expected


@pytest.mark.parametrize("text", STAYS)
def test_meaning_stays(text: str) -> None:
    assert normalize([text])[0].text == text


@pytest.mark.parametrize(
    ("text", "word", "original"),
    [
        ("so h.a.t.e it", "hate", "h.a.t.e"),
        ("so h a t e it", "hate", "h a t e"),
        ("i &#104;ate it", "hate", "&#104;ate"),
        ("a h\u200bate\u200b", "hate", "h\u200bate\u200b"),
        ("x hаtе", "hate", "hаtе"),
        ("sooo stuuupid", "stupid", "stuuupid"),
        ("\u200bgo \u202eflesruoy llik\u202c!", "kill", "\u202eflesruoy llik\u202c"),
        ("so  i\n\nhate it", "hate", "hate"),
        ("so  i\nhate \n it", "hate it", "hate \n it"),
        ("so  i h4te \n it", "hate it", "h4te \n it"),
    ],
)
def test_a_span_leads_back_to_what_was_written(text: str, word: str, original: str) -> None:
    normalized = normalize([text])[0]
    at = normalized.text.index(word)
    start, end = normalized.original_span(at, at + len(word))
    assert text[start:end] == original


@settings(max_examples=400)
@given(ANY)
def test_any_string_comes_through_once_and_for_all(text: str) -> None:
    normalized = normalize([text])[0]
    assert normalize([normalized.text])[0].text == normalized.text
    normalized.text.encode()


@given(st.lists(ANY | st.text(st.sampled_from("a\"b .-&#;'\u20193!@$\n"), max_size=8)))
def test_a_text_is_suspicious_whatever_its_neighbours_in_the_batch(texts: list[str]) -> None:
    alone = {at for at, text in enumerate(texts) if find_suspicious([text])}
    assert find_suspicious(texts) == alone


@given(ANY)
def test_origins_rise_and_stay_within_the_original(text: str) -> None:
    normalized = normalize([text])[0]
    if normalized.origins is None:
        assert normalized.text == text
        return
    assert len(normalized.origins) == len(normalized.text) + 1
    assert list(normalized.origins) == sorted(normalized.origins)
    assert normalized.origins[-1] == len(text)
    for start in range(len(normalized.text)):
        a, b = normalized.original_span(start, start + 1)
        assert 0 <= a < b <= len(text)


@pytest.mark.parametrize(
    "unit",
    [
        "a",
        "a4",
        "a ",
        "a.",
        "0",
        "\u0336",
        "e\u0301",
        "😀",
        "a😀",
        "\u202e",
        "а",
        "aа",
        "&amp;",
        "\ud800",
        "$",
        "@",  # perhaps the beginning of many addresses
        "1",  # perhaps a word in leet, were there a letter
        "!_",  # letters of one spelling, or breaks in it
        "f@g.",  # perhaps an address, perhaps a word
        "\u202ea",  # each backwards to the end of the line
        "a \n",  # spelled out, over lines
        "1l1l ",  # many ways to read it
        "a*",  # one masked word, or many
        "f❗️ck ",
        "a(b)",
        "fu ck ",
        "ki lx ",
        "aaabbbaaabbbaaa ",
        "ʞɔnɟ ",
        "ɐ",
        "ɐ.",
        "v",
        "🇰 ",
        "k,",
        "k, ",
        "k<b>",
        "k<b ",
        "k<!--",
    ],
)
def test_time_is_linear_on_hostile_text(unit: str) -> None:
    def seconds(size: int) -> float:
        # What stands first is the sign that opens the slow way to the rest.
        text = ("b-b-" + unit * size)[:size]
        started = time.process_time()
        normalize([text])
        return time.process_time() - started

    small, large = min(seconds(8192) for _ in range(3)), seconds(65536)
    # Eight times the text, with room for noise; a quadratic step would take 64 times as long.
    assert large < 24 * small + 0.2


def test_blanks_are_no_obfuscation() -> None:
    texts = ["two  words\n\nand more", "two  words\n\nand Müller"]
    assert [each.obfuscation for each in normalize(texts)] == [NO_OBFUSCATION] * 2


@pytest.mark.parametrize(("word", "undone"), [("h4te", "hate"), ("h-a-t-e", "hate")])
def test_odd_words_are_undone_up_to_a_budget_for_a_text(word: str, undone: str) -> None:
    fitting = MAX_LOOKED_AT // len(word)
    (short, long) = normalize([f"{word}, " * (fitting // 2), f"{word}, " * (fitting * 8)])
    assert short.text == f"{undone}, " * (fitting // 2)
    assert long.text.startswith(f"{undone}, " * (fitting // 2))
    assert long.text.endswith(f"{word}, " * (fitting * 6))


def test_every_leet_word_of_a_token_is_undone() -> None:
    # As many as there are passes, and more: none was left for a text that is normalized again.
    assert normalize(["h4te&" * 20])[0].text == "hate&" * 20


def _item(text: str) -> Item:
    now = datetime(2026, 11, 21, tzinfo=UTC)
    return Item(Content("c", now, "a", text=text), Position(), 0.0)


def test_obfuscation_is_told_by_signals_without_a_category() -> None:
    (item,) = Normalizer()([_item("h\u200bа4te")])
    assert {s.rule for s in item.signals} == {
        "obfuscation.changed",
        "obfuscation.mixed_scripts",
        "obfuscation.invisible",
    }
    assert all(s.category == "" and s.stage == "normalize" for s in item.signals)


def test_a_little_change_is_no_obfuscation() -> None:
    text = "what a looong and otherwise quite ordinary sentence this is"
    (item,) = Normalizer()([_item(text)])
    assert item.normalized is not None
    assert item.normalized.obfuscation.changed < CHANGED_LEVEL
    assert item.signals == []


@pytest.mark.parametrize("batch_size", [1, 2, 1000])
def test_the_stage_runs_in_a_flow(batch_size: int) -> None:
    items = [_item(text) for text in list(UNDONE) * 60]
    seen: list[Item] = []
    flow = Dataflow("test")
    stream = op_input("in", flow, TestingSource(items, batch_size=batch_size))
    op_output("out", op_flat_map_batch("text", stream, Normalizer()), TestingSink(seen))
    run_main(flow)
    assert [i.normalized.text for i in seen if i.normalized] == list(UNDONE.values()) * 60
