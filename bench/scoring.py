"""How many pairs a second the `tfidf` scorer takes, beside scikit-learn on the same pairs in the same run."""

import random
from collections.abc import Callable
from statistics import median
from time import perf_counter

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics.pairwise import cosine_similarity

from tamiz.scoring import TfidfScorer

ROUNDS = 7
PAIRS = 300
REQUIRED_RATIO = 50.0

Pair = tuple[str, str]


def make_pairs() -> list[Pair]:
    """Generate seeded pairs: a reference of 1 to 40 words, and an answer of half of them and 5 to 100 others.

    Words come by Zipf's law from a vocabulary of 5,000, so that long texts repeat themselves as real ones do.
    """
    rng = random.Random(2024)
    vocabulary = ["".join(rng.choices("etaoinshrdlucmfw", k=rng.randint(2, 10))) for _ in range(5_000)]
    weights = [1 / rank for rank in range(1, len(vocabulary) + 1)]
    pairs = []
    for _ in range(PAIRS):
        reference = rng.choices(vocabulary, weights, k=rng.randint(1, 40))
        answer = rng.sample(reference, k=len(reference) // 2) + rng.choices(vocabulary, weights, k=rng.randint(5, 100))
        rng.shuffle(answer)
        pairs.append((" ".join(answer).capitalize() + ".", " ".join(reference).capitalize() + "."))
    return pairs


def ours(pairs: list[Pair]) -> list[float]:
    scorer = TfidfScorer()
    return [scorer.score(answer, reference).value or 0.0 for answer, reference in pairs]


def theirs(pairs: list[Pair]) -> list[float]:
    vectors = (TfidfVectorizer().fit_transform(pair) for pair in pairs)
    return [float(cosine_similarity(matrix)[0, 1]) for matrix in vectors]


def rate(score: Callable[[list[Pair]], list[float]], pairs: list[Pair], repeats: int) -> float:
    """Measure pairs a second."""
    start = perf_counter()
    for _ in range(repeats):
        score(pairs)
    return repeats * len(pairs) / (perf_counter() - start)


def measure() -> list[tuple[str, str, str, float, float]]:
    """Give one row: what, ours as text, theirs as text, ratio, required ratio; medians of interleaved rounds."""
    pairs = make_pairs()
    assert all(abs(a - b) <= 1e-12 for a, b in zip(ours(pairs), theirs(pairs), strict=True))
    rates = [(rate(ours, pairs, 20), rate(theirs, pairs, 1)) for _ in range(ROUNDS)]
    mine, other = median(a for a, _ in rates), median(b for _, b in rates)
    ratio = median(a / b for a, b in rates)
    return [("TF-IDF score of a pair, beside scikit-learn", f"{mine:,.0f}/s", f"{other:,.0f}/s", ratio, REQUIRED_RATIO)]


if __name__ == "__main__":
    for what, mine, other, ratio, _ in measure():
        print(f"{what}, {mine}, {other}, {ratio:.0f}x")
