"""The loop at work: a model that answers 40 % wrong, judged by `tfidf` and by the gate, at equal numbers of calls.

2,000 questions, none of which the gate was made from: held-out ones of TruthfulQA, asked several times in turn, and
trivia with short references. Each attempt of the simulated model is right in 60 of 100 cases (another right answer
than the reference, or the reference in a sentence), else it fails in one of seven ways, each as often. An answer is
judged by `tamiz.stages.judge.judge`, the decision of every host; three attempts. Thresholds are set so that all
scorers make the same number of calls.
"""

from collections.abc import Callable

from kinds import KINDS, as_statement, make, pick
from questions import Asked, draw, held_out, short_questions

from tamiz.gate.scorer import GateScorer
from tamiz.messages import Scored
from tamiz.policy import Policy
from tamiz.scoring import Score, Scorer, TfidfScorer
from tamiz.stages.judge import Accept, Exhaust, judge

QUESTIONS = 2_000
ATTEMPTS = 3
WRONG = 0.4
CALLS = (1.4, 1.6, 1.8)
"""Calls a question at which scorers are compared; 1.6 is about what a perfect judge makes."""

Given = tuple[Asked, list[tuple[bool, str]]]


def answers() -> list[Given]:
    """Give the questions with what the model says at each attempt, and whether that is right."""
    long, short = held_out(), short_questions("apart", QUESTIONS // 2, as_statement)
    asked = [long[at % len(long)] for at in range(QUESTIONS // 2)] + short
    everything = long + short
    return [
        (each, [_answer(each, everything, number, attempt) for attempt in range(ATTEMPTS)])
        for number, each in enumerate(asked)
    ]


def _answer(asked: Asked, everything: list[Asked], number: int, attempt: int) -> tuple[bool, str]:
    key = ("loop", number, attempt)
    if draw(*key) >= WRONG:
        return True, pick(asked.right, *key, "right")
    for turn in range(20):
        kind = pick(KINDS, *key, "kind", turn)
        if made := make(kind, asked, everything, "apart", 10_000 * number + attempt):
            return False, made[int(draw(*key, "which") * len(made))][1]
    raise AssertionError(asked)


def run(
    given: list[Given], scored: dict[tuple[int, int], Score], threshold: float
) -> tuple[float, float, float, float]:
    """Give calls a question, and of all questions the shares accepted and right, accepted and wrong, refused and right.

    Refused and right: an attempt that was right was refused (its question may still be accepted with a later one).
    """
    policy = Policy(threshold=threshold, attempts=ATTEMPTS)
    calls = right = wrong = refused = 0
    for number, (_, attempts) in enumerate(given):
        best: Scored | None = None
        for attempt, (good, text) in enumerate(attempts, 1):
            calls += 1
            score = scored[number, attempt]
            one = Scored(llm_answer=text, score=score.value, reason=score.reason, attempt=attempt, model="simulated")
            verdict = judge(one, best, policy)
            if isinstance(verdict, Accept):
                right += good
                wrong += not good
                break
            refused += good
            if isinstance(verdict, Exhaust):
                break
            best = verdict.best
    count = len(given)
    return calls / count, right / count, wrong / count, refused / count


def at_calls(measured: Callable[[float], tuple[float, float, float, float]], wanted: float) -> float:
    """Find the threshold at which so many calls are made, by halving."""
    low, high = 0.0, 1.0
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if measured(middle)[0] < wanted else (low, middle)
    return (low + high) / 2


def main() -> None:
    given = answers()
    bad = sum(not good for _, each in given for good, _ in each)
    print(f"{len(given):,} questions, {bad / (ATTEMPTS * len(given)):.1%} of the attempts wrong\n")
    print("| scorer | threshold | calls a question | accepted and right | accepted and wrong | right answers refused |")
    print("|---|---|---|---|---|---|")
    scorers: tuple[Scorer, ...] = (TfidfScorer(), GateScorer(), GateScorer(vectors=True))
    for scorer in scorers:
        scored = {
            (number, attempt): scorer.score(text, asked.reference, asked.question)
            for number, (asked, each) in enumerate(given)
            for attempt, (_, text) in enumerate(each, 1)
        }
        usual = 0.3 if scorer.name == "tfidf" else 0.5
        for threshold in (usual, *(at_calls(lambda t: run(given, scored, t), calls) for calls in CALLS)):  # noqa: B023
            calls, right, wrong, refused = run(given, scored, threshold)
            print(
                f"| {scorer.name} | {threshold:.3f} | {calls:.2f} | {right:.1%} | {wrong:.1%} | {refused:.1%} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
