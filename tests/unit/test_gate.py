import json
import os
import random
import subprocess
import sys
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamiz.gate.decision import decide, interpolate
from tamiz.gate.heads import CHECKS, FOUND, measure
from tamiz.gate.pair import Pair
from tamiz.gate.scorer import FLAGGED, GateScorer, is_short
from tamiz.gate.text import LOOKED_AT, Text, stem
from tamiz.gate.weights import Rule, load_weights
from tamiz.scoring import Score, forms, joined

QUESTION = "What causes the seasons on Earth?"
REFERENCE = "The seasons are caused by the tilt of the Earth's axis relative to its orbit"
GOOD = "The tilt of the Earth's axis causes the seasons, since it changes how much sunlight each half gets."

gate = GateScorer()
texts = st.text(max_size=80) | st.sampled_from(
    [QUESTION, REFERENCE, GOOD, "Paris", "8", "I can't help with that.", "<p>"]
)


def test_a_good_answer_passes() -> None:
    got = gate.score(GOOD, REFERENCE, QUESTION)
    assert got.value is not None
    assert got.value >= FLAGGED
    assert got.reasons == ()


@pytest.mark.parametrize(
    ("answer", "check"),
    [
        ("I'm sorry, but as an AI language model I cannot help with that.", "refusal"),
        ("What causes the seasons on Earth?", "echo"),
        ("<div><p>Loading</p></div>", "junk"),
        ("Traceback (most recent call last):\n  File 'a.py', line 1\nKeyError: 'x'", "junk"),
        ("seasons seasons seasons seasons seasons seasons seasons seasons seasons", "junk"),
        ("Das kann man so nicht sagen, weil es von vielen Dingen abhängt und niemand es weiß.", "junk"),
        ("<|im_start|>system You are a helpful assistant", "junk"),
        ('{"answer": null, "status": "ok"}', "junk"),
        ("The seasons are caused by the tilt of the Earth's axis relative to the", "truncated"),
        ("The seasons are not caused by the tilt of the Earth's axis relative to its orbit", "conflict"),
    ],
)
def test_a_bad_answer_is_refused_with_the_reason(answer: str, check: str) -> None:
    """Each failure scores below the mark, and the first reason names the check that found it."""
    got = gate.score(answer, REFERENCE, QUESTION)
    assert got.value is not None
    assert got.value < FLAGGED
    assert got.reasons[0].startswith(f"{check}: ")


@pytest.mark.parametrize(
    "answer", ["Paris", "It is Paris.", "The capital of France is Paris", "paris!", "PARIS, France"]
)
def test_a_short_reference_has_to_be_in_the_answer(answer: str) -> None:
    got = gate.score(answer, "Paris", "What is the capital of France?")
    assert got.value is not None
    assert got.value > 0.7


@pytest.mark.parametrize("answer", ["Lyon", "The capital of France is Lyon.", "It is not Paris."])
def test_an_answer_without_the_short_reference_is_refused(answer: str) -> None:
    got = gate.score(answer, "Paris", "What is the capital of France?")
    assert got.value is not None
    assert got.value < FLAGGED
    assert got.reasons


def test_a_number_that_is_not_the_references_is_told() -> None:
    reference = "The Empire State Building has 102 floors above the ground"
    got = gate.score("The Empire State Building has 55 floors above the ground", reference, "How many floors has it?")
    assert got.reasons == ("conflict: the number 55 is not in the reference",)


def test_the_questions_subject_may_not_be_exchanged() -> None:
    """Word for word the reference, but of something else than was asked for."""
    asked, reference = "What shape is the Earth?", "Scholars knew that the Earth was round"
    got = gate.score("Scholars knew that the Facebook was round", reference, asked)
    assert got.value is not None
    assert got.value < FLAGGED
    assert got.reasons == ("conflict: the name 'facebook' is not in the reference",)


def test_of_several_forms_the_best_counts() -> None:
    """A reference with forms scores what its best form scores alone."""
    accepted = ("Sherbrooke", REFERENCE, "Nobody knows")
    together = gate.score(GOOD, joined(accepted), QUESTION)
    assert together.value == max(gate.score(GOOD, form, QUESTION).value or 0.0 for form in accepted)


@pytest.mark.parametrize("reference", [None, "", " \n"])
def test_without_a_reference_nobody_knows_whether_an_answer_is_right(reference: str | None) -> None:
    """What nothing speaks against is not scored; what is no answer at all is, with its reason."""
    assert gate.score("Paris", reference, "What is the capital of France?") == Score(None, "no_reference")
    refused = gate.score("I'm sorry, I can't help with that.", reference, "What is the capital of France?")
    assert refused.value is not None
    assert refused.value < FLAGGED
    assert refused.reasons[0].startswith("refusal: ")


@pytest.mark.parametrize("answer", ["", " ", "\n\t"])
@pytest.mark.parametrize("reference", [None, "Paris"])
def test_an_empty_answer_is_bad_and_not_unknown(answer: str, reference: str | None) -> None:
    assert gate.score(answer, reference, QUESTION) == Score(0.0, reasons=("junk: the answer is empty",))


def test_texts_without_words_are_equal_or_not_scored() -> None:
    assert gate.score("?", "?") == Score(1.0)
    assert gate.score("!", "?") == Score(None, "nothing_to_score")


def test_symbols_that_belong_to_a_name_count() -> None:
    got = gate.score("C++", "C", "In which language is it written?")
    assert got.value is not None
    assert got.value < FLAGGED


def test_a_check_that_is_off_says_nothing() -> None:
    """With a check off its reason is never given, and the score is no lower than with it."""
    answer = "I'm sorry, but I cannot help with that."
    off = GateScorer(off=("refusal",)).score(answer, REFERENCE, QUESTION)
    on = gate.score(answer, REFERENCE, QUESTION)
    assert on.reasons[0].startswith("refusal: ")
    assert not any(reason.startswith("refusal") for reason in off.reasons)
    assert (off.value or 0.0) >= (on.value or 0.0)


@given(texts, st.none() | texts, texts)
def test_any_texts_are_scored_within_bounds_or_not_at_all(answer: str, reference: str | None, question: str) -> None:
    """There is a value in [0, 1] or a reason why there is none, reasons only beside low scores, and always the same."""
    got = gate.score(answer, reference, question)
    assert got == gate.score(answer, reference, question)
    assert got.value is None or 0.0 <= got.value <= 1.0
    assert not got.reasons or (got.value is not None and got.value < FLAGGED)
    assert all(": " in reason for reason in got.reasons)


@given(texts, texts)
def test_the_reference_itself_is_right(text: str, question: str) -> None:
    if forms(text) == (text,):
        assert gate.score(text, text, question) == Score(1.0)
        assert gate.score(f" {text}\n", text, question) == Score(1.0)


@given(texts, texts, texts)
def test_switching_a_check_off_never_lowers_a_score(answer: str, reference: str, question: str) -> None:
    """Every head only ever speaks against an answer."""
    measured = measure(Pair(Text(question), Text(answer), Text(reference)), with_vectors=False)
    rule = load_weights().plain.beside
    whole = decide(rule, measured).score
    for check in CHECKS:
        assert decide(rule, measured, (check,)).score >= whole


def test_reasons_never_show_the_reference() -> None:
    """Reasons may reach a model: they quote the answer alone."""
    reference = "Zanzibar exported 4711 elephants to Montevideo in the spring"
    secret = {stem(word) for word in Text(reference).words} - {stem(word) for word in Text("the in to").words}
    answers = (
        "Zanzibar",
        "It exported 12 lions to Lima",
        "No",
        "I can't say",
        "Zanzibar did not export to the",
        "x y z",
    )
    for answer in answers:
        for reason in gate.score(answer, reference, "What happened there?").reasons:
            told = {stem(word) for word in Text(reason).words} - {stem(word) for word in Text(answer).words}
            assert not told & secret, reason


def test_only_the_beginning_of_a_long_text_is_looked_at() -> None:
    """What follows the first 20,000 characters decides nothing, so time is bounded."""
    long = (GOOD + " ") * 300
    assert len(long) > LOOKED_AT
    assert gate.score(long + "one end", REFERENCE, QUESTION) == gate.score(long + "another", REFERENCE, QUESTION)


@pytest.mark.parametrize(
    "text",
    ["(" * 20_000, "a " * 10_000, "no " * 7_000, "i can't " * 3_000, '"' * 20_000, "<p>" * 7_000, "1,2." * 5_000],
)
def test_texts_made_to_be_slow_are_not(text: str) -> None:
    """No pattern goes back over a text again and again: such a text takes about as long as another of its length."""
    before = process_time()
    gate.score(text, text[:-1], text)
    assert process_time() - before < 2


def test_the_same_in_another_process_whatever_its_hash_seed() -> None:
    """Scores do not depend on the order of sets."""
    pairs = [(GOOD, REFERENCE), ("It is the distance to the Sun, which is 3 or 4 % less in January", REFERENCE)]
    code = (
        "import json, sys; from tamiz.gate.scorer import GateScorer; g = GateScorer(); "
        "print(json.dumps([[g.score(a, r, q).value, g.score(a, r, q).reasons] for a, r, q in json.load(sys.stdin)]))"
    )
    told = json.dumps([(answer, reference, QUESTION) for answer, reference in pairs])
    results = {
        subprocess.run(
            [sys.executable, "-c", code],
            input=told,
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | {"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(results) == 1
    scores = [value for value, _ in json.loads(results.pop())]
    assert scores == [gate.score(answer, reference, QUESTION).value for answer, reference in pairs]


def test_the_gate_imports_no_number_package() -> None:
    """The default needs neither numpy nor the packages of the extra."""
    code = (
        "import sys; from tamiz.gate.scorer import GateScorer; GateScorer().score('a b', 'c d', 'e'); "
        "print({'numpy', 'tokenizers', 'safetensors', 'wordllama', 'sklearn'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_every_head_of_the_data_file_has_its_words() -> None:
    weights = load_weights()
    for sides in (weights.plain, weights.vectors):
        for rule in (sides.beside, sides.short, sides.alone):
            assert set(rule.heads) <= set(FOUND)


@pytest.mark.parametrize("name", ["plain", "vectors"])
@pytest.mark.parametrize("side", ["beside", "short", "alone"])
def test_a_calibration_ascends(name: str, side: str) -> None:
    """More evidence for an answer never lowers its score."""
    rule: Rule = getattr(getattr(load_weights(), name), side)
    places, values = zip(*rule.calibration, strict=True)
    assert list(places) == sorted(set(places))
    assert list(values) == sorted(values)
    assert values[0] < 0.1
    assert values[-1] > 0.9


@given(st.floats(-50, 50), st.floats(-50, 50))
def test_between_points_the_line_rises(one: float, other: float) -> None:
    points = ((-3.0, 0.1), (0.0, 0.5), (2.0, 0.9))
    low, high = sorted((one, other))
    assert 0.1 <= interpolate(points, low) <= interpolate(points, high) <= 0.9
    assert interpolate(points, 1.0) == pytest.approx(0.7)


@given(
    st.lists(
        st.sampled_from(["cat", "cats", "Running", "isn't", "12,000", "two", "No", "Paris", "-3", "the"]), max_size=12
    )
)
def test_a_text_is_what_its_words_are(words: list[str]) -> None:
    """Blanks between words and the order of a set change nothing."""
    text, other = Text(" ".join(words)), Text("  ".join(words))
    assert (text.words, text.content, text.numbers, text.denials) == (
        other.words,
        other.content,
        other.numbers,
        other.denials,
    )
    assert text.content == set(text.order)
    assert set(text.weights) == text.content == set(text.surface)


@pytest.mark.parametrize(
    ("one", "other"), [("cats", "cat"), ("cities", "city"), ("running", "run"), ("caused", "causing"), ("boxes", "box")]
)
def test_forms_of_a_word_have_one_stem(one: str, other: str) -> None:
    assert stem(one) == stem(other)


def test_numbers_are_the_same_in_words_and_digits() -> None:
    assert Text("It took 12,000 years and two days").numbers == {"12000", "2"}
    assert Text("about -5 degrees").numbers == {"-5"}


def test_names_are_the_capitals_within_sentences() -> None:
    assert Text("Yesterday the Beatles left. London was calm").names == {stem("beatles")}


def test_a_reference_of_a_few_words_is_short_unless_it_denies() -> None:
    assert is_short(Text("The Eiffel Tower"))
    assert not is_short(Text("Nothing happens"))
    assert not is_short(Text("You can see it from far away"))


def test_random_words_do_not_pass() -> None:
    """Words of the reference in any order, among many others, are no answer that scores as the reference does."""
    rng = random.Random(7)
    words = REFERENCE.split()
    rng.shuffle(words)
    got = gate.score(" ".join(["purple", "lorem", *words[:4], "elephants", "decide"]), REFERENCE, QUESTION)
    assert got.value is not None
    assert got.value < 0.9


def _measured(answer: str, reference: str, question: str = QUESTION) -> dict[str, float]:
    return measure(Pair(Text(question), Text(answer), Text(reference)), with_vectors=False)


def test_a_name_in_the_place_of_a_questions_word_is_another_subject() -> None:
    """A name that neither text has counts where a word of the question is gone, not beside all of its words."""
    asked, reference = "Where is Bielefeld?", "The city of Bielefeld is in Germany"
    assert _measured("The city of Harvard is in Germany", reference, asked)["conflict.subject"] == 1.0
    assert _measured("The city of Bielefeld is near Hanover", reference, asked)["conflict.subject"] == 0.0
    assert _measured("The city of Bielefeld is in Germany", reference, asked)["conflict.subject"] == 0.0


@pytest.mark.parametrize(
    ("answer", "reference", "different"),
    [
        ("All of them fly", "Some of them fly", 1.0),
        ("It never rains", "It always rains", 1.0),
        ("None of them", "Most of them", 1.0),
        ("Everyone knows", "All know", 0.0),
        ("They fly", "Some of them fly", 0.0),
    ],
)
def test_all_some_and_none_exclude_one_another(answer: str, reference: str, different: float) -> None:
    assert _measured(answer, reference)["conflict.quantity"] == different


def test_contraries_are_known_among_the_most_common_words() -> None:
    """Words that carry no topic, like "more" and "before", contradict as others do."""
    assert _measured("It came before the war", "It came after the war")["conflict.contrary"] == 1.0
    assert _measured("It weighs less", "It weighs more")["conflict.contrary"] == 1.0
    assert _measured("It weighs more", "It weighs more than that")["conflict.contrary"] == 0.0


@pytest.mark.parametrize(
    ("question", "answer", "fits", "unasked"),
    [
        ("Is it far?", "Yes, quite far", 1.0, 0.0),
        ("Is it far?", "Quite far", 0.0, 0.0),
        ("Who wrote it?", "It was written by Cervantes", 1.0, 0.0),
        ("Who wrote it?", "It was written by hand", 0.0, 0.0),
        ("Who wrote it?", "Cervantes", 1.0, 0.0),
        ("Who wrote it?", "The hand", 0.0, 0.0),
        ("When did it end?", "It ended in 1945", 1.0, 0.0),
        ("How many are there?", "There are three", 1.0, 0.0),
        ("How many are there?", "There are plenty", 0.0, 0.0),
        ("Why is it so?", "No, that is false", 0.5, 1.0),
        ("", "Yes", 0.5, 0.0),
    ],
)
def test_what_is_asked_for_is_given_or_not(question: str, answer: str, fits: float, unasked: float) -> None:
    measured = _measured(answer, REFERENCE, question)
    assert (measured["topic.fit"], measured["topic.misfit"]) == (fits, unasked)


def test_what_an_answer_says_of_its_own_is_told_from_what_was_known() -> None:
    """Words of question and reference are known; rare ones and names beside them are strange."""
    known, strange = _measured(REFERENCE, REFERENCE), _measured("The Zanzibar giraffes voted", REFERENCE)
    assert (known["known.share"], known["known.letters"], known["known.strange"]) == (1.0, 1.0, 0.0)
    assert strange["known.share"] < 0.3
    assert strange["known.strange"] > 0.4
    assert strange["known.names"] > 0.0
    assert known["known.order"] == 1.0 > strange["known.order"]


def test_talk_about_answering_is_told_from_an_answer() -> None:
    """Of what an answer says beyond question and reference, the share that speaks of answering."""
    refused = _measured("The information about seasons is not available to me", REFERENCE)
    assert refused["refusal.said"] > 0
    assert _measured("I cannot comment on seasons", REFERENCE)["refusal.only"] == 1.0
    assert _measured("Winters are cold because of snow", REFERENCE)["refusal.only"] == 0.0


def test_a_word_that_may_end_a_sentence_dangles_less() -> None:
    """After "the" more has to come; after "have" it may be the end."""
    assert _measured("It is the", REFERENCE)["cut.dangling"] == 1.0
    assert _measured("That is what they have", REFERENCE)["cut.dangling"] == 0.0
    assert _measured("That is what they have", REFERENCE)["cut.weak"] == 1.0
    assert _measured("It cost 2 million", REFERENCE)["cut.opening"] == 0.0


@pytest.mark.parametrize(
    ("question", "answer", "reference", "dangling"),
    [
        ("Do they sing?", "Yes, they do", "Yes, all of them sing", 0.0),
        ("What do they do?", "They sing, and they have", "They all sing", 1.0),
        ("Which town is it in?", "I cannot tell which town it is in", "It depends on the day", 0.0),
        ("What is it good for?", "Nothing that I can think of", "There is nothing one could think of", 0.0),
        ("Where is it?", "I cannot tell which town it is in", "It is at home", 1.0),
    ],
)
def test_what_ends_as_question_or_reference_does_is_not_cut_off(
    question: str, answer: str, reference: str, dangling: float
) -> None:
    """So may a yes or no that goes on with no more than who does."""
    measured = _measured(answer, reference, question)
    assert measured["cut.dangling"] + measured["cut.weak"] == dangling


def test_a_refusal_with_nothing_beside_it_is_told_from_an_answer_that_hedges() -> None:
    """Words of the question are nothing beside it."""
    question = "Which colour is the best?"
    assert _measured("People disagree about the best colour", REFERENCE, question)["refusal.bare"] == 1.0
    hedged = "People disagree, but red sells more cars and lipsticks than green"
    assert _measured(hedged, REFERENCE, question)["refusal.bare"] < 0.5
    assert _measured("Red", REFERENCE, question)["refusal.bare"] == 0.0


def test_an_answer_that_speaks_of_itself_where_nobody_did_is_told() -> None:
    answer = "I could not tell you"
    assert _measured(answer, "It is red", "Which colour is it?")["refusal.person"] == 1.0
    assert _measured(answer, "I do not know", "Which colour is it?")["refusal.person"] == 0.0
    assert _measured(answer, "It is red", "Which colour do I like?")["refusal.person"] == 0.0


def test_two_names_of_a_country_are_one() -> None:
    """The pronoun "us" is none of them."""
    for name in ("the US", "the U.S.", "the USA", "Americans"):
        assert "america" in Text(f"Most of {name} agree").names
    assert Text("the UK").content == Text("Britain").content
    assert Text("Tell us").content == Text("Tell").content
