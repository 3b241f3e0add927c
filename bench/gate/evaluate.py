"""`make bench-gate`: measures the gate, and `tfidf` beside it, on questions that it was not made from.

The areas are those under the ROC curve: the chance that a good answer scores above a bad one. Intervals are of 95 %, by
drawing the questions anew 500 times. The good answers are the right answers of TruthfulQA but the reference itself, one
by one. `plain` is the scorer `gate`, `vectors` is `gate-vectors`.
"""

import subprocess
import sys
from collections.abc import Callable, Sequence
from statistics import median
from time import process_time

import numpy as np
from cases import Row, equal_pairs, rows_of
from kinds import KINDS, as_statement
from numpy.typing import NDArray
from questions import Asked, draw, held_out, short_questions
from sklearn.metrics import roc_auc_score

from tamiz.gate.decision import decide
from tamiz.gate.heads import measure
from tamiz.gate.pair import Pair
from tamiz.gate.scorer import GateScorer, is_short
from tamiz.gate.text import Text
from tamiz.gate.weights import Sides, load_weights
from tamiz.scoring import Scorer, TfidfScorer, joined

DRAWS = 500
SHORT_QUESTIONS = 400
Values = NDArray[np.float64]

TASKS = (
    ("another question's answer", "mismatch", None, 0.985),
    ("refusal, phrases not seen", "refusal", None, 0.98),
    ("echo: all forms", "echo", None, 0.95),
    ("echo: verbatim", "echo", ("verbatim",), 0.95),
    ("echo: as a statement", "echo", ("statement",), 0.95),
    ("echo: with filler", "echo", ("with filler", "statement with filler"), 0.95),
    ("junk of kinds not trained on", "junk", None, 0.97),
    ("truncated at any character", "truncated", None, 0.90),
    ("reference turned round: all", "flipped", None, 0.95),
    ("reference turned round: negation", "flipped", ("negation",), 0.95),
    ("reference turned round: number", "flipped", ("number",), 0.95),
    ("reference turned round: entity", "flipped", ("entity",), 0.95),
)
ALONE = (
    ("refusal", "refusal", 0.95),
    ("junk", "junk", 0.95),
    ("echo", "echo", 0.95),
    ("off topic: another question's answer", "mismatch", 0.95),
    ("truncated", "truncated", None),
)


class Scored:
    """Rows with their scores by one scorer."""

    def __init__(self, rows: Sequence[Row], values: Sequence[float]) -> None:
        self.values = np.array(values)
        self.groups = np.array([row.group for row in rows])
        self.kinds = np.array([row.kind for row in rows])
        self.how = np.array([row.how for row in rows])

    def which(self, kind: str, how: Sequence[str] | None = None) -> NDArray[np.bool_]:
        chosen: NDArray[np.bool_] = self.kinds == kind
        return chosen if how is None else chosen & np.isin(self.how, how)


def area(good: Values, bad: Values) -> float:
    return float(roc_auc_score(np.r_[np.ones(len(good)), np.zeros(len(bad))], np.r_[good, bad]))


def by_question(groups: NDArray[np.int_], measured: Callable[[NDArray[np.int_]], float]) -> tuple[float, float]:
    """Give the 95 % interval of a figure by drawing questions anew; `measured` takes the numbers of rows."""
    rng = np.random.default_rng(2024)
    numbers = np.unique(groups)
    of = {number: np.flatnonzero(groups == number) for number in numbers}
    figures = [measured(np.concatenate([of[n] for n in rng.choice(numbers, len(numbers))])) for _ in range(DRAWS)]
    low, high = np.quantile([figure for figure in figures if not np.isnan(figure)], (0.025, 0.975))
    return float(low), float(high)


def area_of(scored: Scored, kind: str, how: Sequence[str] | None) -> str:
    """Give the area for one kind of bad answer, with its interval."""
    good, bad = scored.which("good", ("short",)), scored.which(kind, how)

    def measured(rows: NDArray[np.int_]) -> float:
        goods, bads = scored.values[rows[good[rows]]], scored.values[rows[bad[rows]]]
        return area(goods, bads) if len(goods) and len(bads) else float("nan")

    everything = np.arange(len(scored.values))
    low, high = by_question(scored.groups, measured)
    return f"{measured(everything):.3f} ({low:.3f}-{high:.3f})"


def scores(scorer: Scorer, rows: Sequence[Row], references: Sequence[str | None] | None = None) -> list[float]:
    """Score rows; what could not be scored counts as 0.0 here, for every scorer alike."""
    others: Sequence[str | None] = [row.reference for row in rows] if references is None else references
    return [scorer.score(row.answer, other, row.question).value or 0.0 for row, other in zip(rows, others, strict=True)]


def scores_alone(sides: Sides, rows: Sequence[Row], *, with_vectors: bool) -> list[float]:
    """Score rows without their references, and those as well that the scorer would leave unscored."""
    return [
        decide(sides.alone, measure(Pair(Text(row.question), Text(row.answer), None), with_vectors=with_vectors)).score
        for row in rows
    ]


def won(values: Values, chosen: Sequence[tuple[int, int, int]]) -> str:
    """Give the share of pairs in which the right answer scores higher, a draw a half, with its interval."""
    table = np.array(chosen)
    wins = (values[table[:, 1]] > values[table[:, 2]]) + 0.5 * (values[table[:, 1]] == values[table[:, 2]])
    low, high = by_question(table[:, 0], lambda rows: float(wins[rows].mean()))
    return f"{wins.mean():.3f} ({low:.3f}-{high:.3f})"


def shuffled(rows: Sequence[Row]) -> list[str]:
    """Give each row another question's reference, the same to all rows of a question."""
    references = sorted({(row.group, row.reference) for row in rows})
    order = sorted(references, key=lambda each: draw("floor", each[1]))
    given = {group: other for (group, _), (_, other) in zip(order, [*order[1:], order[0]], strict=True)}
    return [given[row.group] for row in rows]


def listed(rows: Sequence[Row], asked: Sequence[Asked]) -> list[str | None]:
    """Give each row all accepted forms of its reference but the answer itself."""
    return [joined([row.reference, *(form for form in asked[row.group].right if form != row.answer)]) for row in rows]


def table(title: str, head: str, lines: Sequence[str]) -> None:
    print(f"\n### {title}\n\n{head}\n{'|---' * (head.count('|') - 1)}|", *lines, sep="\n", flush=True)


def caught(scored: Scored) -> list[str]:
    """Tell what is caught where 5 % of the good answers are lost."""
    good = scored.which("good")
    line = np.quantile(scored.values[good], 0.05)
    told = [f"{np.mean(scored.values[scored.which('good', (how,))] < line):.1%}" for how in ("short", "long")]
    kinds: tuple[tuple[str, Sequence[str] | None], ...] = (
        ("refusal", None),
        ("junk", None),
        ("echo", ("verbatim",)),
        ("echo", None),
        ("mismatch", None),
        ("truncated", None),
        ("flipped", None),
        ("wrong", None),
    )
    return [f"{line:.2f}", *told, *(f"{np.mean(scored.values[scored.which(*each)] < line):.0%}" for each in kinds)]


def reliability(scored: Scored) -> list[tuple[float, float, float]]:
    """Give (mean score, share of good answers, share of all) of ten classes; half good, the bad of all kinds alike."""
    weights = np.zeros(len(scored.values))
    for kind in ("good", *KINDS):
        chosen = scored.which(kind)
        weights[chosen] = (0.5 if kind == "good" else 0.5 / len(KINDS)) / chosen.sum()
    classes = np.minimum((scored.values * 10).astype(int), 9)
    told = []
    for each in range(10):
        chosen = classes == each
        if (total := weights[chosen].sum()) > 0:
            mean = float(np.average(scored.values[chosen], weights=weights[chosen]))
            told.append((mean, float(weights[chosen & (scored.kinds == "good")].sum() / total), float(total)))
    return told


def speed(scorer: Scorer, rows: Sequence[Row]) -> str:
    """Measure milliseconds of processor time a pair, and pairs a second of it: the median of five rounds."""
    rounds = []
    for _ in range(5):
        start = process_time()
        for row in rows:
            scorer.score(row.answer, row.reference, row.question)
        rounds.append((process_time() - start) / len(rows))
    return f"{1000 * median(rounds):.2f} ms | {1 / median(rounds):,.0f}/s"


def import_time(statement: str) -> float:
    """Measure what a statement adds to starting Python with what tamiz imports anyway, in milliseconds."""
    code = (
        "import tamiz.scoring, tamiz.errors, pathlib, time; s = time.process_time(); "
        f"{statement}; print(time.process_time() - s)"
    )
    runs = [
        float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)
        for _ in range(7)
    ]
    return 1000 * median(runs)


def main() -> None:
    asked = held_out()
    rows = rows_of(asked, "apart")
    scorers: dict[str, Scorer] = {"tfidf": TfidfScorer(), "plain": GateScorer(), "vectors": GateScorer(vectors=True)}
    scored = {name: Scored(rows, scores(scorer, rows)) for name, scorer in scorers.items()}
    print(f"{len(asked)} held-out questions, {len(rows):,} answers")
    head = "| task | tfidf | plain | vectors | wanted |"
    lines = [
        f"| {title} | " + " | ".join(area_of(each, kind, how) for each in scored.values()) + f" | {wanted} |"
        for title, kind, how, wanted in TASKS
    ]
    chosen = equal_pairs(rows)
    lines.append(
        f"| plausible wrong answer, {len(chosen):,} pairs of equal polarity | "
        + " | ".join(won(each.values, chosen) for each in scored.values())
        + " | 0.75 |"
    )
    others = shuffled(rows)
    lines.append(
        "| the same with shuffled references (the floor) | "
        + " | ".join(won(np.array(scores(scorer, rows, others)), chosen) for scorer in scorers.values())
        + " | |"
    )
    forms = listed(rows, asked)
    by_forms = {name: Scored(rows, scores(scorer, rows, forms)) for name, scorer in scorers.items()}
    lines += [
        f"| {title}, all forms given | "
        + " | ".join(area_of(each, kind, None) for each in by_forms.values())
        + f" | {wanted} |"
        for title, kind, wanted in (("another question's answer", "mismatch", 0.985), ("truncated", "truncated", 0.9))
    ]
    lines.append(
        "| plausible wrong answer, all forms given | "
        + " | ".join(won(each.values, chosen) for each in by_forms.values())
        + " | 0.75 |"
    )
    table("Beside the reference", head, lines)

    weights = load_weights()
    alone = {
        "plain": Scored(rows, scores_alone(weights.plain, rows, with_vectors=False)),
        "vectors": Scored(rows, scores_alone(weights.vectors, rows, with_vectors=True)),
    }
    table(
        "Without a reference",
        "| task | plain | vectors | wanted |",
        [
            f"| {title} | " + " | ".join(area_of(each, kind, None) for each in alone.values()) + f" | {wanted or ''} |"
            for title, kind, wanted in ALONE
        ],
    )
    table(
        "Caught where 5 % of the good answers are lost",
        "| scorer | at | short lost | long lost | refused | junk | verbatim | any echo | mismatch | truncated | turned "
        "| wrong |",
        [f"| {name} | " + " | ".join(caught(each)) + " |" for name, each in scored.items()],
    )
    brief = short_questions("apart", SHORT_QUESTIONS, as_statement)
    brief_rows = [row for row in rows_of(brief, "apart") if is_short(Text(row.reference))]
    brief_scored = {name: Scored(brief_rows, scores(scorer, brief_rows)) for name, scorer in scorers.items()}
    table(
        f"References of a few words: {SHORT_QUESTIONS} trivia questions",
        "| kind | tfidf | plain | vectors |",
        [
            f"| {kind} | " + " | ".join(area_of(each, kind, None) for each in brief_scored.values()) + " |"
            for kind in KINDS
        ],
    )
    for name in ("plain", "vectors"):
        table(
            f"Reliability: {name}",
            "| score | right | share of all |",
            [f"| {mean:.2f} | {right:.2f} | {share:.2f} |" for mean, right, share in reliability(scored[name])],
        )
    table(
        "Speed, one core",
        "| scorer | a pair | pairs |",
        [f"| {name} | {speed(scorer, rows[::4])} |" for name, scorer in scorers.items()],
    )
    print(f"\nimport of the gate adds {import_time('import tamiz.gate.scorer'):.1f} ms; reading its data ", end="")
    print(f"{import_time('import tamiz.gate.scorer as g; g.GateScorer().score(chr(65), chr(66))'):.1f} ms with it")


if __name__ == "__main__":
    main()
