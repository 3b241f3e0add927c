import csv
import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice, pairwise
from pathlib import Path
from time import process_time

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn import config_context
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics.pairwise import cosine_similarity

from tamiz.errors import UsageError
from tamiz.scorers import make_scorer
from tamiz.scoring import Score, Scorer, TfidfScorer, _counted, forms

DATA = Path(__file__).parents[3] / "shared" / "data"
CHUNKS = 4
TRIVIA_PAIRS = 20_000

Pair = tuple[str, str]

score = TfidfScorer().score
_vectorizer = TfidfVectorizer()
_sklearn_words = re.compile(_vectorizer.token_pattern).findall


def words(text: str) -> list[str]:
    return _sklearn_words(text.lower())


def sklearn_score(answer: str, reference: str) -> float:
    """Fit scikit-learn on the two texts."""
    return float(cosine_similarity(_vectorizer.fit_transform([answer, reference]))[0, 1])


def assert_as_sklearn(pairs: list[Pair], tolerance: float = 1e-12) -> list[float]:
    """Compare every pair that scikit-learn can score, and give the scores."""
    scores = []
    # scikit-learn is only spared checking its own arguments, which takes a fifth of its time.
    with config_context(skip_parameter_validation=True, assume_finite=True):
        for answer, reference in pairs:
            got = score(answer, reference)
            shown = f"{answer[:200]!r} beside {reference[:200]!r}"
            if words(answer) and words(reference):
                assert got.value is not None, shown
                assert abs(got.value - sklearn_score(answer, reference)) <= tolerance, shown
                scores.append(got.value)
            else:
                assert got in {Score(1.0), Score(None, "nothing_to_score"), Score(None, "no_reference")}, shown
    return scores


def trivia_pairs() -> Iterator[Pair]:
    """Pair each row's texts in turn: best answer, title and options, and the next row's."""
    with (DATA / "trivia_yahoo_format.csv").open(encoding="utf-8", newline="") as file:
        for number, (row, following) in enumerate(pairwise(csv.reader(file))):
            _, title, content, best = row
            yield (
                (best, content),
                (f"{title} {best}", content),
                (f"{best}. {title} {best}!", f"{title} {content}"),
                (f"{title} {best}", f"{following[1]} {following[3]}"),
                (best, following[3]),
                (content, following[2]),
            )[number % 6]


def truthfulqa_pairs() -> Iterator[Pair]:
    with (DATA / "truthfulqa.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            for answer in f"{row['Correct Answers']};{row['Incorrect Answers']}".split(";"):
                yield answer.strip(), row["Best Answer"]


@pytest.mark.skipif(not (DATA / "trivia_yahoo_format.csv").exists(), reason="the trivia file is not here")
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_trivia_scores_are_those_of_sklearn(chunk: int) -> None:
    """On 20,000 pairs of real questions and answers, the score is scikit-learn's to 1e-12."""
    pairs = list(islice(trivia_pairs(), chunk, TRIVIA_PAIRS, CHUNKS))
    assert len(pairs) == TRIVIA_PAIRS // CHUNKS
    scores = assert_as_sklearn(pairs)
    assert sum(0 < value < 1 for value in scores) > len(pairs) / 2


@pytest.mark.skipif(not (DATA / "truthfulqa.csv").exists(), reason="the TruthfulQA file is not here")
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_truthfulqa_scores_are_those_of_sklearn(chunk: int) -> None:
    """On every right and wrong answer of TruthfulQA against the best one, the score is scikit-learn's to 1e-12."""
    scores = assert_as_sklearn(list(islice(truthfulqa_pairs(), chunk, None, CHUNKS)))
    assert len(scores) > 1000
    assert sum(0 < value < 1 for value in scores) > len(scores) / 2


# Few different words, so that texts share and repeat them; among them capitals whose lower case is longer or depends on
# what follows, marks that end a word, ligatures, digits of other scripts, underscores, Latin-1, and what is no word.
WORDS = [
    *["the", "The", "THE", "of", "and", "Paris", "paris", "a", "I", "8", "42", "_", "__", "a_b", "x1", "don't", "--"],
    *["naïve", "NAÏVE", "ÑANDÚ", "ñandú", "ß", "ẞ", "straße", "STRASSE", "µµ", "²³", "½", "ªº", "···", "«été»"],
    *[
        "ΟΔΟΣ",
        "οδος",
        "İSTANBUL",
        "\N{LATIN SMALL LETTER DOTLESS I}",
        "ﬁ",
        "ﬁn",
        "ǅin",
        "e\u0301te\u0301",
        "हिन्दी",
        "ไทย",
    ],
    *["東京", "東京都", "🙂", "🙂ok", "\N{FULLWIDTH DIGIT FOUR}\N{FULLWIDTH DIGIT TWO}", "٤٢", "“don\u2019t”"],
    *["x\u00a0y", "ab\u0085cd", "ab\u2028cd", "ab\x1ccd", "ab\x00cd", "\ud800ab", "ab\u200dcd", "ab\u00adcd"],
]
word_texts = st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join)
texts = (word_texts | st.text(max_size=60) | st.text(st.characters(max_codepoint=255), max_size=60)).filter(
    lambda text: len(forms(text)) <= 1  # several forms are several texts
)
tokenisable = texts.filter(words)


@settings(deadline=None)
@given(texts, texts)
@example("the the the", "the")
@example("ΟΔΟΣ", "οδος")
def test_any_two_texts_score_as_sklearn(answer: str, reference: str) -> None:
    """Whatever the texts are, the score is scikit-learn's wherever both have a word, and never an invented number."""
    assert_as_sklearn([(answer, reference)])


def test_every_character_joins_or_parts_words_as_in_sklearn() -> None:
    """Every character of Unicode, between letters and alone, is read as scikit-learn reads it."""
    analyse = _vectorizer.build_analyzer()
    # Page by page: the first one lies in Latin-1 and takes the way of most European texts, the others do not.
    for page in range(0, 0x110000, 0x100):
        text = " ".join([f"aB{chr(code)}cD {chr(code)}" for code in range(page, page + 0x100)])
        assert _counted(text) == Counter(analyse(text)), hex(page)


@settings(deadline=None)
@given(texts, texts.filter(lambda text: bool(text.strip())))
def test_a_score_is_symmetric(answer: str, reference: str) -> None:
    """Answer and reference may change places, unless what becomes the reference is blank."""
    if answer.strip():
        assert score(answer, reference) == score(reference, answer)


@settings(deadline=None)
@given(texts, st.none() | texts)
def test_a_score_is_a_value_in_bounds_or_a_reason(answer: str, reference: str | None) -> None:
    """There is a value in [0, 1] exactly where there is no reason why there is none."""
    got = score(answer, reference)
    assert (got.value is None) == (got.reason in {"no_reference", "nothing_to_score"})
    assert got.value is None or 0.0 <= got.value <= 1.0


@settings(deadline=None)
@given(tokenisable, st.integers(1, 50))
def test_the_same_words_as_often_score_one(text: str, times: int) -> None:
    """A text scores 1.0 with itself, in another case and order, or any number of times over; never a hair above."""
    assert score(text, text).value == pytest.approx(1.0, abs=1e-12)
    assert score(" ".join(reversed(words(text))), text).value == pytest.approx(1.0, abs=1e-12)
    assert score(f"{text} " * times, text).value == pytest.approx(1.0, abs=1e-12)


@settings(deadline=None)
@given(tokenisable, tokenisable)
def test_texts_without_a_common_word_score_zero(answer: str, reference: str) -> None:
    """The score is 0.0 exactly where both texts have words and share none."""
    got = score(answer, reference).value
    assert (got == 0.0) == set(words(answer)).isdisjoint(words(reference))


def test_shared_words_weigh_less_than_lone_ones() -> None:
    """One word of two shared: 1 / (1 + (ln(3/2) + 1)²)."""
    assert score("red apple", "green apple").value == pytest.approx(0.33609692727625756, abs=1e-15)


@pytest.mark.parametrize("reference", [None, "", " ", "\t\n\u00a0\u2003"])
def test_without_a_reference_there_is_no_score(reference: str | None) -> None:
    """A reference of nothing or blanks leaves the answer unscored, not bad."""
    assert score("Paris", reference) == Score(None, "no_reference")
    assert score("", reference) == Score(None, "no_reference")


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        ("8", " 8\n"),
        ("A", "a"),
        ("\N{FULLWIDTH DIGIT EIGHT}", "8"),
        ("ﬁ", "FI"),
        ("ß", "SS"),
        ("c  #", "C #"),
        ("½", "1\N{FRACTION SLASH}2"),
        ("É", "e\u0301"),
    ],
)
def test_equal_texts_without_words_score_one(answer: str, reference: str) -> None:
    """Where there is nothing to weigh, texts that read the same are the same answer."""
    assert score(answer, reference) == score(reference, answer) == Score(1.0)


@pytest.mark.parametrize(
    ("answer", "reference"),
    [("8", "9"), ("", "8"), ("", "Paris"), ("8", "It is 8, or eight"), ("A", "Paris"), ("?", "!")],
)
def test_other_texts_without_words_are_not_scored(answer: str, reference: str) -> None:
    """Where there is nothing to weigh and the texts differ, nothing is known about the answer."""
    assert score(answer, reference) == Score(None, "nothing_to_score")


MEGABYTES = {
    "words": "ab " * 350_000,
    "different words": " ".join(map(str, range(100_000, 250_000))),
    "one word": "a" * 1_000_000,
    "letters": "a " * 500_000,
    "words beyond Latin-1": "東京 " * 350_000,
    "words, the last beyond Latin-1": "ab " * 350_000 + "東",
    "combining marks": "\u0300\u0327" * 500_000,
    "sigmas": "Σ\u0300" * 500_000,
    "ligatures that normalise to 18 characters": "\ufdfa " * 500_000,
    "blanks": " " * 1_000_000 + "?",
}


@pytest.mark.parametrize("kind", MEGABYTES)
@pytest.mark.parametrize("reference", ["itself", "another", "8"])
def test_a_megabyte_is_scored_in_time(kind: str, reference: str) -> None:
    """No text of 1 MB, however made, holds up the judge for seconds or scores unlike scikit-learn."""
    text = MEGABYTES[kind]
    other = {"itself": text, "another": f"{text} other"}.get(reference, reference)
    before = process_time()
    score(text, other)
    assert process_time() - before < 2
    # scikit-learn's floating sums over 150,000 words drift by some 1e-11: equal texts get 0.999999999994.
    assert_as_sklearn([(text, other)], tolerance=1e-10)


@pytest.mark.parametrize(
    ("value", "reason"),
    [(None, None), (0.5, "no_reference"), (-0.1, None), (1.0000001, None), (float("nan"), None), (float("inf"), None)],
)
def test_a_score_that_says_nothing_cannot_be_made(value: float | None, reason: str | None) -> None:
    """Neither value nor reason, both at once, or a value out of bounds: a defect of the scorer, found where it is."""
    with pytest.raises(ValueError, match="a score is"):
        Score(value, reason)


def test_a_score_survives_the_wire_and_is_checked_there() -> None:
    """What is read from elsewhere keeps the same promise."""
    for known in (Score(0.25), Score(None, "no_reference")):
        assert msgspec.json.decode(msgspec.json.encode(known), type=Score) == known
    with pytest.raises(msgspec.ValidationError, match="a score is"):
        msgspec.json.decode(b'{"value": 1.5}', type=Score)


def test_a_scorer_is_made_by_its_name() -> None:
    scorer: Scorer = make_scorer("tfidf")
    assert scorer.name == "tfidf"
    assert scorer.score("Paris", "Paris") == Score(1.0)


def test_an_unknown_scorer_is_refused_with_the_choices() -> None:
    with pytest.raises(UsageError, match=r"no scorer 'bleu'; choose from: gate, gate-vectors, tfidf"):
        make_scorer("bleu")
