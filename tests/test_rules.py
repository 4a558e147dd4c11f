"""Rule files: what is taken, what is refused and how the refusal reads."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy.compiled import MAX_RULES_A_TEXT, MAX_SPANS, CompiledRules
from policy.errors import PolicyError
from policy.pattern import MAX_PATTERN, MAX_REPEAT, check_pattern, compile_re2, required_pieces
from policy.rules import RuleSet, load_rules, parse_rules


def rule_file(*rules: str) -> str:
    return "rules:\n" + "".join(f"  - {{{rule}}}\n" for rule in rules)


def ruleset(*rules: str) -> RuleSet:
    return parse_rules({"t.yaml": rule_file(*rules)})


def matched(rules: RuleSet, text: str) -> dict[str, tuple[tuple[int, int], ...]]:
    compiled = CompiledRules(rules)
    return {
        match.rule.id: match.spans
        for form in compiled.forms()
        for match in compiled.match(text, form)
    }


GOOD = "id: a, category: spam, score: 0.5, pattern: 'free money'"


# The format


@pytest.mark.parametrize(
    ("what", "text", "reason"),
    [
        ("no YAML", "rules:\n- ]", "t.yaml:2: not YAML: did not find expected"),
        ("a list", "[]", "t.yaml: one key `rules`"),
        ("empty", "", "t.yaml: one key `rules`"),
        ("another key beside", "rules: []\nrule: []", "t.yaml: one key `rules`"),
        ("nested beyond reason", "[" * 5000, ": not YAML"),
        ("a rule that is a word", "rules: [spam]", "t.yaml: rule '1': Expected `object`"),
        ("a hint of csam", rule_file(GOOD.replace("spam", "csam, role: hint")), "rule 'a': role:"),
        ("no such role", rule_file(GOOD + ", role: clue"), "rule 'a': role: Invalid enum"),
        ("an unknown key", rule_file(GOOD + ", patern: x"), "rule 'a': Object contains unknown"),
        ("no score", rule_file("id: a, category: spam, pattern: x"), "rule 'a': Object missing"),
        ("score above 1", rule_file(GOOD.replace("0.5", "1.5")), "rule 'a': score: Expected"),
        ("an id with a blank", rule_file(GOOD.replace("id: a", "id: a b")), "rule 'a b': id:"),
        ("no such category", rule_file(GOOD.replace("spam", "spma")), "category: 'spma' is not"),
        ("no such action", rule_file(GOOD + ", action: blok"), "rule 'a': action:"),
        ("no pattern", rule_file("id: a, category: spam, score: 1"), "`pattern` or `keywords`"),
        ("both", rule_file(GOOD + ", keywords: [xy]"), "`pattern` or `keywords`"),
        ("a keyword that is a number", rule_file(
            "id: a, category: spam, score: 1, keywords: [ab, 419]"), "keywords[1]: Expected `str`"),
        ("expiry without a zone", rule_file(GOOD + ", expires: 2027-01-01T00:00:00"), "expires:"),
        ("twice the same id", rule_file(GOOD, GOOD), "rule 'a': t.yaml has a rule with the same"),
        ("a rule without its dash", "rules:\n- {id: a, score: 1,\n  pattern: xy,\n  id: b}",
         "t.yaml:4: not YAML: id is given twice"),
        ("rules twice", "rules: []\nrules: []", "t.yaml:2: not YAML: rules is given twice"),
        ("a pattern cut off", rule_file(GOOD.replace("free", "(free")), "pattern: does not comp"),
    ],
)  # fmt: skip
def test_a_broken_file_is_refused_with_its_place(what: str, text: str, reason: str) -> None:
    with pytest.raises(PolicyError) as refused:
        parse_rules({"t.yaml": text})
    assert reason in str(refused.value), what
    assert "\n" not in str(refused.value)


def test_on_and_no_are_words_not_booleans() -> None:
    rules = ruleset("id: a, category: spam, score: 1, keywords: [no, off], on: original")
    assert rules.rules[0].on == "original"
    assert rules.rules[0].keywords == ("no", "off")


def test_equal_texts_have_equal_versions_and_any_change_another() -> None:
    one = parse_rules({"t.yaml": rule_file(GOOD)})
    assert one.version == parse_rules({"t.yaml": rule_file(GOOD)}).version
    assert one.version != parse_rules({"t.yaml": rule_file(GOOD) + "#"}).version
    assert one.version != parse_rules({"u.yaml": rule_file(GOOD)}).version


def test_a_set_knows_which_of_its_rules_are_treated_otherwise() -> None:
    hint, asks, quiet = (
        f"{GOOD.replace('id: a', f'id: {name}')}, {kind}"
        for name, kind in (("h", "role: hint"), ("r", "action: review"), ("s", "mode: shadow"))
    )
    rules = ruleset(GOOD, hint, asks, quiet)
    assert (rules.hints, rules.review_rules, rules.in_shadow) == ({"h"}, {"r"}, True)
    assert not ruleset(GOOD, hint, asks).in_shadow


def test_a_directory_without_rules_says_what_to_do(tmp_path) -> None:
    with pytest.raises(PolicyError, match="BREAKWATER_POLICY names a directory with rules/"):
        load_rules(tmp_path)
    (tmp_path / "rules").mkdir()
    assert load_rules(tmp_path).rules == ()


def test_an_unreadable_file_is_named(tmp_path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "bad.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(PolicyError, match=r"bad\.yaml: cannot be read"):
        load_rules(tmp_path)


# Patterns


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("(a+)+$", "catastrophic"),
        (r"(?:\w+\s?)*!", "catastrophic"),
        ("free.*money", "open-ended gap"),
        (r"\S+@spam", "open-ended gap"),
        ("[^x]+y", "open-ended gap"),
        (r"a[\s\S]*b", "open-ended gap"),
        (r"a[\w\W]+b", "open-ended gap"),
        (r"a[^\d]{3,}b", "open-ended gap"),
        (r"a\PL+b", "open-ended gap"),
        (r"a(?:.|\n)*b", "open-ended gap"),
        ("a(.)*b", "open-ended gap"),
        ("a(?:.){0,}b", "open-ended gap"),
        ("a(?:.{3,40})*b", "open-ended gap"),
        ("a((?:x|(?P<any>.)))+b", "open-ended gap"),
        ("x?", "matches the empty string"),
        (r"\b", "matches the empty string"),
        ("a|", "matches the empty string"),
        (r"(a)\1", "does not compile"),
        ("(?=a)b", "does not compile"),
        ("a{0,9}{0,9}", "does not compile"),
        (f"a{{{MAX_REPEAT + 1}}}", f"repeats {MAX_REPEAT + 1} times"),
        ("(?:a{1,50}b){9}", "repeats 450 times"),
        ("x" * (MAX_PATTERN + 1), "characters"),
    ],
)
def test_a_pattern_that_could_explode_is_refused(pattern: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        check_pattern(pattern)


@pytest.mark.parametrize(
    "pattern",
    [r"\bfoo\b", "a.{0,200}b", r"(?:\w+ ){0,3}x", r"\d+", f"a{{{MAX_REPEAT}}}", "x" * MAX_PATTERN,
     r"[]a]+x", r"\(\(\(", r"[[:alpha:]]+b", r"\p{Cyrillic}+a", "héllo", r"(?:[\w .,-])+@",
     r"(?:\w\W)+x", r"\pL+x", r"\Q.*\E", "(" * 400 + "a" + ")+" * 1 + ")" * 399],
)  # fmt: skip
def test_an_honest_pattern_is_taken(pattern: str) -> None:
    check_pattern(pattern)


@pytest.mark.parametrize(
    ("pattern", "pieces"),
    [
        ("abc.{0,9}de", ["abc"]),
        ("abc(?: x)?de|ghi", ["abc", "ghi"]),
        (r"\babc\b.{0,9}\bd\b", [r"\babc\b"]),
        ("(?:a|bcd).{0,9}ef", ["ef"]),  # the shortest alternative counts
        (r"a\d{7}.{0,9}bcd", ["bcd"]),  # letters tell more than digits
        (r"\bzebra farms?\b", ["zebra farm"]),
        (r"\bzebras?\b", [r"\bzebras?\b"]),  # a short word alone would be in too many texts
        (r"\bzebrafarm+y", [r"zebrafar"]),
        (r"\bzebra\.com\b", [r"zebra\.com"]),
        (r"\x7aebra farm", ["ebra farm"]),  # an escape is one character
        (r"\x{7a}ebra farm", ["ebra farm"]),
        (r"\172ebra farm", ["ebra farm"]),
        (r"\pLebra farm", ["ebra farm"]),
        (r"\Qzebra (farm\E.{0,9}c", [r"c"]),
        ("^.{0,9}1", ["1"]),
        (r"\b(?:elephants|crocodiles) (?:a|b)", ["elephants", "crocodiles"]),
        (r"\b(?:elephants|crocodiles?)", [r"\b(?:elephants|crocodiles?)"]),
        ("abc", ["abc"]),
        ("(?i)abc.{0,9}def", ["(?i)abc.{0,9}def"]),
        ("(?:abc.{0,9}def)", ["(?:abc.{0,9}def)"]),
    ],
)
def test_a_pattern_is_cut_to_what_must_be_there(pattern: str, pieces: list[str]) -> None:
    assert required_pieces(pattern) == pieces


# The long ones are of a length to be looked for alone.
ATOM = st.sampled_from(
    [
        "ab",
        "b",
        "c",
        "abcaabca",
        "é",
        r"\b",
        r"\w",
        "[ab]",
        "[^a]",
        " ",
        "b?",
        "a+",
        ".",
        r"\x61",
        r"\x{e9}",
        r"\xe9",
        r"\141",
        r"\pL",
        r"\PL",
        r"\Qab|(\E",
        r"\Qab",
        r"\x61bcaabcaa",
        r"\141bcaabcaa",
        r"\pLbcaabcaa",
    ]
)
GAP = st.sampled_from(
    ["(?:abcéabca|bbbbbbbb)", ".{0,3}", "(?:ab )?", "(?:b|c)+", "(?:a|bc)", "(?:a.{0,2}b)", "$"]
)
HAYSTACK = st.lists(
    st.sampled_from(["abcaabca", "abcaabcaa", "abcÉABCA", "bbbbbbbb", "a", "b"])
).map("".join)
PATTERN = st.lists(
    st.lists(ATOM | GAP, min_size=1, max_size=5).map("".join), min_size=1, max_size=3
).map("|".join)


@settings(max_examples=300)
@given(PATTERN, st.lists(st.text("abcéAÉ \n", max_size=12) | HAYSTACK, min_size=1, max_size=8))
def test_the_compiled_set_finds_whatever_re2_finds(pattern: str, texts: list[str]) -> None:
    try:
        compiled = CompiledRules(ruleset(f"id: a, category: spam, score: 1, pattern: '{pattern}'"))
    except PolicyError:
        return
    for text in texts:
        expected = compile_re2(pattern).search(text)
        found = compiled.match(text)
        assert bool(found) == bool(expected)
        if expected:
            assert found[0].spans[0] == expected.span()


# Matching


@pytest.mark.parametrize(
    ("what", "keyword", "text", "spans"),
    [
        ("a word", "scam", "a scam!", ((2, 6),)),
        ("any case", "scam", "SCAM", ((0, 4),)),
        ("inside a word", "scam", "scammer", ()),
        ("behind a digit", "scam", "4scam", ()),
        ("inside and then alone", "ass", "class ass", ((6, 9),)),
        ("beside a letter with an accent", "na", "naïf", ()),
        ("a phrase", "free money", "get free money now", ((4, 14),)),
        ("punctuation at the edge", "c++", "c++11 and c++", ((0, 3), (10, 13))),
        ("no spaces between words", "詐欺", "これは詐欺です", ((3, 5),)),
        ("behind characters of four bytes", "scam", "😀😀 scam", ((3, 7),)),
        ("a regular expression's signs", "a.c", "abc a.c", ((4, 7),)),
    ],
)
def test_a_keyword_stands_alone(what: str, keyword: str, text: str, spans) -> None:
    rules = ruleset(f"id: a, category: spam, score: 1, keywords: ['{keyword}']")
    assert matched(rules, text).get("a", ()) == spans, what


def test_spans_are_bounded_however_often_a_rule_matches() -> None:
    rules = ruleset(GOOD, "id: k, category: spam, score: 1, keywords: [zz]")
    found = matched(rules, "free money zz " * 4000)
    assert len(found["a"]) == len(found["k"]) == MAX_SPANS


def test_rules_of_one_text_are_bounded_and_the_highest_scores_stay() -> None:
    rules = ruleset(
        *(f"id: r{n}, category: spam, score: {n / 100}, pattern: abc" for n in range(100))
    )
    found = matched(rules, "abc")
    assert len(found) == MAX_RULES_A_TEXT
    assert "r99" in found
    assert "r0" not in found


def test_a_flood_of_keyword_occurrences_is_given_up() -> None:
    rules = ruleset("id: k, category: spam, score: 1, keywords: [zz]")
    with pytest.raises(OverflowError):
        CompiledRules(rules).match("z" * 60_000)


def test_a_lone_surrogate_moves_no_position() -> None:
    assert matched(ruleset(GOOD), "\ud800 free money") == {"a": ((2, 12),)}


def test_a_changed_file_is_compiled_beside_the_others() -> None:
    base = rule_file(GOOD)
    first = CompiledRules(parse_rules({"base.yaml": base}))
    urgent = rule_file("id: b, category: spam, score: 1, pattern: urgent")
    second = CompiledRules(parse_rules({"base.yaml": base, "u.yaml": urgent}), first)
    assert second.layers[0] is first.layers[0]
    assert {match.rule.id for match in second.match("urgent free money")} == {"a", "b"}
    more = rule_file("id: c, category: spam, score: 1, pattern: more")
    beside = CompiledRules(
        parse_rules({"base.yaml": base, "u.yaml": urgent, "v.yaml": more}), second
    )
    assert [layer is kept for layer, kept in zip(beside.layers, second.layers, strict=False)] == [
        True,
        True,
    ]
    third = CompiledRules(parse_rules({"u.yaml": urgent}), beside)
    assert len(third.layers) == 2
    assert {match.rule.id for match in third.match("urgent free money")} == {"b"}
    assert {match.rule.id for match in first.match("urgent free money")} == {"a"}


def test_a_pattern_that_only_hyperscan_refuses_is_named() -> None:
    rules = ruleset(GOOD, "id: anchor, category: spam, score: 1, pattern: 'ab$cd'")
    with pytest.raises(PolicyError, match=r"t\.yaml: rule 'anchor' does not compile"):
        CompiledRules(rules)


def test_a_text_that_may_match_nearly_every_rule_is_given_up() -> None:
    many = (f"id: r{n}, category: spam, score: 0.5, pattern: abc" for n in range(1001))
    with pytest.raises(OverflowError):
        CompiledRules(ruleset(*many)).match("abc")
