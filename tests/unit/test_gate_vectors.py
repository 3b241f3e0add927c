import pytest

from tamiz.errors import UsageError
from tamiz.gate import vectors
from tamiz.gate.pair import Pair
from tamiz.gate.scorer import FLAGGED, GateScorer
from tamiz.gate.text import Text

pytest.importorskip("wordllama")


def test_words_of_like_meaning_are_near() -> None:
    """What the letters do not show, the vectors do: a synonym is nearer than another word."""
    question, reference = Text("What did he buy?"), Text("He bought an automobile")
    near = vectors.features(Pair(question, Text("He bought a car"), reference))
    far = vectors.features(Pair(question, Text("He bought a cake"), reference))
    recall = vectors.FEATURES.index("vector.recall")
    assert near[recall] > far[recall] + 0.1


def test_the_same_text_is_nearest() -> None:
    text = Text("The tilt of the axis")
    measured = dict(zip(vectors.FEATURES, vectors.features(Pair(Text("Why?"), text, text)), strict=True))
    assert measured["vector.whole"] == pytest.approx(1.0, abs=1e-5)
    assert measured["vector.recall"] == pytest.approx(1.0, abs=1e-5)


def test_what_the_question_says_is_taken_away() -> None:
    """Two answers that are alike only in what the question says are not alike beyond it."""
    question, reference = Text("What colour is the sky over the sea?"), Text("The sky over the sea is blue")
    named = vectors.FEATURES
    same = dict(
        zip(named, vectors.features(Pair(question, Text("The sky over the sea is azure"), reference)), strict=True)
    )
    other = dict(
        zip(named, vectors.features(Pair(question, Text("The sky over the sea is empty"), reference)), strict=True)
    )
    assert same["vector.text_beyond"] > other["vector.text_beyond"]
    assert other["vector.text_beyond"] < other["vector.text"]


def test_a_word_from_elsewhere_is_far_from_all() -> None:
    question, reference = Text("What do cats eat?"), Text("Cats eat mice and fish")
    at = vectors.FEATURES.index("vector.farthest")
    near = vectors.features(Pair(question, Text("Kittens eat rats"), reference))
    far = vectors.features(Pair(question, Text("Parliament voted"), reference))
    assert near[at] > far[at]


def test_texts_without_topic_words_are_near_nothing() -> None:
    assert vectors.features(Pair(Text(""), Text("the of"), Text(""))) == (0.0,) * len(vectors.FEATURES)


def test_the_scorer_with_vectors_keeps_the_same_promises() -> None:
    scorer = GateScorer(vectors=True)
    assert scorer.name == "gate-vectors"
    good = scorer.score("It is Paris.", "Paris", "What is the capital of France?")
    bad = scorer.score("I'm sorry, I can't help with that.", "Paris", "What is the capital of France?")
    assert good.value is not None
    assert bad.value is not None
    assert bad.value < FLAGGED <= good.value
    assert good == scorer.score("It is Paris.", "Paris", "What is the capital of France?")


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors.load.cache_clear()
    monkeypatch.setattr(vectors, "find_spec", lambda name: None if name == "wordllama" else object())
    with pytest.raises(UsageError, match=r"pip install 'tamiz\[gate\]'"):
        GateScorer(vectors=True)
    vectors.load.cache_clear()
