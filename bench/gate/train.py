"""Makes the data file of the gate, `src/tamiz/gate/weights.json`, from one half of the questions.

`python bench/gate/train.py`. The same input gives the same file. Each head is a logistic regression of one failure
against good answers. The shares of the one rule and its calibration come from heads that had not seen the question
(five folds by question; refusals by their phrase and junk by its kind, as they are met in ways that nobody foresaw).
"""

import json
from collections.abc import Sequence
from math import log
from pathlib import Path
from typing import Any

import numpy as np
from cases import Measured, Row, equal_pairs, measure_all, rows_of
from kinds import as_statement, make
from numpy.typing import NDArray
from questions import Asked, draw, made_from, short_questions
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from tamiz.gate import conflict, echo, junk, meaning, refusal, topic, truncation, vectors
from tamiz.gate.scorer import is_short
from tamiz.gate.text import Text

OUT = Path(__file__).parents[2] / "src" / "tamiz" / "gate" / "weights.json"
FOLDS = 5
SHORT = 400
"""Questions with a short reference."""
SHORT_ALONE = 300
"""Those of them that teach what short answers look like without a reference."""
KIND_OF = {
    "refusal": "refusal",
    "echo": "echo",
    "junk": "junk",
    "truncation": "truncated",
    "topic": "mismatch",
    "conflict": "flipped",
    "meaning": "wrong",
}
"""The failure that each head is made to know."""
EVERYTHING = (*meaning.LIKENESS, *meaning.KNOWN, *topic.FEATURES, *conflict.FEATURES)
BESIDE: dict[str, tuple[str, ...]] = {
    "refusal": (*refusal.FEATURES, "like.letters"),
    "echo": (*echo.FEATURES, *EVERYTHING),
    "junk": (*junk.FEATURES, "like.letters", "topic.shared", "topic.letters", "topic.short"),
    "truncation": (*truncation.FEATURES, "like.recall"),
    "topic": (*echo.FEATURES, *EVERYTHING),
    "conflict": EVERYTHING,
    "meaning": (
        *(name for name in meaning.LIKENESS if name not in {"like.shared", "like.rarest"}),
        *(name for name in conflict.FEATURES if name.endswith(("_close", "_frame"))),
    ),
}
"""What each head weighs. That of meaning sees only how an answer stands to the reference: of how it is written, or
stands to the question, it would learn the style of this file's wrong answers, which tells beside any reference."""
SHORT_BESIDE: dict[str, tuple[str, ...]] = BESIDE | {
    "echo": (*echo.FEATURES, "like.recall", "like.letters_beyond"),
    "topic": (*meaning.LIKENESS, *topic.FEATURES[:7]),
    "conflict": (*conflict.FEATURES, "like.precision", "like.recall"),
}
"""Beside a reference of a few words less is weighed: the few ways in which these answers are put would be learnt."""
ALONE: dict[str, tuple[str, ...]] = {
    "refusal": tuple(name for name in refusal.FEATURES if name != "refusal.expected"),
    "echo": tuple(name for name in echo.FEATURES if name != "echo.missed"),
    "junk": (*junk.FEATURES, "topic.shared", "topic.letters", "topic.short"),
    "truncation": tuple(name for name in truncation.FEATURES if name != "cut.prefix"),
    "topic": (*topic.FEATURES, *(name for name in echo.FEATURES if name != "echo.missed")),
}
WITH_VECTORS: dict[str, tuple[str, ...]] = {
    "topic": vectors.FEATURES,
    "meaning": vectors.MEANING,
    "junk": ("vector.question",),
}
SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 1.0, 2.0, 4.0, 8.0)
SLOPES = (0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
STARTS = (0.75, 1.0, 1.5, 2.0)
"""The slopes from which the choice begins."""
NEAR = (1.0, 0.5, 0.7, 0.85, 1.2, 1.4, 2.0)
STEEPER = (1.0, 0.8, 0.9, 1.1, 1.25)
"""What shares and slopes are multiplied by at last."""
STEEP = 0.001
"""What it costs to take logits otherwise than they are."""
REGULARISED = {"topic": 0.03}
"""`C` of those heads for which it is not 0.2, which cross-fitting prefers."""
Aims = dict[tuple[str, str | None], tuple[float, float]]
AIMS: Aims = {
    ("refusal", None): (0.986, 2.0),
    ("echo", None): (0.978, 2.0),
    ("echo", "statement"): (0.97, 1.0),
    ("echo", "with filler"): (0.975, 1.5),
    ("junk", None): (0.972, 2.0),
    ("truncated", None): (0.905, 3.0),
    ("mismatch", None): (0.985, 1.5),
    ("flipped", None): (0.965, 1.0),
    ("flipped", "negation"): (0.975, 1.0),
    ("flipped", "number"): (0.97, 1.0),
    ("flipped", "entity"): (0.964, 1.5),
}
"""The area under the curve that is aimed at beside a reference, of a kind or a way to make it, and the cost of less."""
AIMS_ALONE: Aims = {
    ("refusal", None): (0.96, 1.0),
    ("echo", None): (0.962, 1.0),
    ("junk", None): (0.955, 1.0),
    ("truncated", None): (0.88, 0.5),
    ("mismatch", None): (0.97, 3.0),
}
CAUGHT = {"refusal": 0.92, "junk": 0.9, "mismatch": 0.9, "echo": 0.8}
"""The share that is aimed at to be caught beside a reference where 5 % of the good answers are lost."""
PAIRS = 0.75
"""The share of pairs of a right and a wrong answer to a question, of equal polarity, that is aimed at in order."""

Matrix = NDArray[np.float64]


class Side:
    """Rows with what is measured of them, on one side: beside the reference, or alone."""

    def __init__(
        self, rows: Sequence[Row], measured: Sequence[dict[str, float]], names: dict[str, tuple[str, ...]], counted: int
    ) -> None:
        """Take the rows; groups below `counted` tell how well a rule does, the others only teach what is good."""
        self.names = names
        self.kinds = np.array([row.kind for row in rows])
        self.groups = np.array([row.group for row in rows])
        self.counted = self.groups < counted
        self.folds = np.array([fold_of(row) for row in rows])
        self.short = np.array([row.how == "short" for row in rows])
        self.how = np.array([row.how for row in rows])
        pairs = [pair for pair in equal_pairs(rows) if pair[0] < counted]
        self.pairs = np.array(pairs, dtype=int).reshape(-1, 3)
        # each question counts the same, whatever the number of its answers, and so does each way to turn it round
        ways = [f"{row.group} {row.kind} {row.how if row.kind == 'flipped' else ''}" for row in rows]
        keys = np.unique(ways, return_inverse=True)[1]
        self.counts = 1 / np.bincount(keys)[keys]
        self.columns = {
            name: np.array([each[name] for each in measured])
            for name in sorted({n for all_ in names.values() for n in all_})
        }

    def matrix(self, head: str) -> Matrix:
        return np.stack([self.columns[name] for name in self.names[head]], axis=1)

    def fit(self, head: str, within: NDArray[np.bool_]) -> tuple[float, dict[str, float]]:
        """Fit a head: its bias and its weights."""
        chosen = within & ((self.kinds == "good") | (self.kinds == KIND_OF[head]))
        matrix, bad, counts = self.matrix(head), self.kinds != "good", self.counts
        weights = np.where(chosen, counts, 0.0)
        for side in (bad, ~bad):
            weights[side] /= weights[side].sum()
        weights *= chosen.sum()
        if head == "meaning" and len(pairs := self.pairs[within[self.pairs[:, 1]]]):
            direction = _between(matrix, pairs)
            along = (matrix @ direction)[:, None]
            model = LogisticRegression(C=10.0).fit(along[chosen], bad[chosen], sample_weight=weights[chosen])
            bias, coefficients = model.intercept_[0], model.coef_[0, 0] * direction
        else:
            mean, spread = _scale(matrix[chosen])
            model = LogisticRegression(C=REGULARISED.get(head, 0.2), max_iter=5000).fit(
                (matrix[chosen] - mean) / spread, bad[chosen], sample_weight=weights[chosen]
            )
            coefficients = model.coef_[0] / spread
            bias = model.intercept_[0] - float(mean @ coefficients)
        return float(bias), dict(zip(self.names[head], map(float, coefficients), strict=True))

    def logits(self, head: str, bias: float, weights: dict[str, float]) -> Matrix:
        total = bias + self.matrix(head) @ np.array([weights[name] for name in self.names[head]])
        clipped: Matrix = np.clip(total, -30, 30)
        return clipped

    def crossed(self) -> dict[str, Matrix]:
        """Give each head's logits by heads that have not seen the question."""
        crossed = {head: np.zeros(len(self.kinds)) for head in self.names}
        for fold in range(FOLDS):
            tested = self.folds == fold
            for head in self.names:
                crossed[head][tested] = self.logits(head, *self.fit(head, ~tested))[tested]
        return crossed


def _scale(matrix: Matrix) -> tuple[Matrix, Matrix]:
    spread = matrix.std(axis=0)
    return matrix.mean(axis=0), np.where(spread > 0, spread, 1.0)


def _between(matrix: Matrix, pairs: NDArray[np.int_]) -> Matrix:
    """Fit what tells the wrong answer of a pair from the right one; each question counts the same."""
    _, spread = _scale(matrix)
    apart = (matrix[pairs[:, 2]] - matrix[pairs[:, 1]]) / spread
    weights = 1 / np.bincount(pairs[:, 0])[pairs[:, 0]]
    weights *= len(pairs) / weights.sum()
    model = LogisticRegression(C=0.03, fit_intercept=False, max_iter=5000).fit(
        np.r_[apart, -apart], np.repeat([1, 0], len(apart)), sample_weight=np.r_[weights, weights]
    )
    found: Matrix = model.coef_[0] / spread
    return found


Shares = dict[str, tuple[float, float]]
"""Of each head its share in the rule, and how steep its logits are taken."""


def fold_of(row: Row) -> int:
    return int(draw("fold", row.how) * FOLDS) if row.kind in {"refusal", "junk"} else row.group % FOLDS


def evidence(logits: dict[str, Matrix], shares: Shares) -> Matrix:
    odds: Matrix = np.zeros(1)
    for head, each in logits.items():
        share, slope = shares[head]
        odds = odds + share * np.exp(slope * each)
    return -np.log(np.maximum(odds, np.exp(-30)))


def aims_of(side: Side) -> Aims:
    return AIMS if "meaning" in side.names else AIMS_ALONE


def bad_of(side: Side, kind: str, how: str | None) -> NDArray[np.bool_]:
    chosen: NDArray[np.bool_] = side.counted & (side.kinds == kind)
    return chosen if how is None else chosen & (side.how == how)


def worth(side: Side, value: Matrix) -> float:
    """Tell how well a rule does: what is missing to the aims counts most."""
    good = side.counted & (side.kinds == "good")
    missing = total = 0.0
    for (kind, how), (aim, cost) in aims_of(side).items():
        area = area_of(value[good & side.short], value[bad_of(side, kind, how)])
        total += area
        missing += cost * max(0.0, aim - area)
    if aims_of(side) is AIMS:
        line = np.quantile(value[good], 0.05)
        for kind, wanted in CAUGHT.items():
            missing += 0.3 * max(0.0, wanted - float(np.mean(value[bad_of(side, kind, None)] < line)))
        missing += 0.7 * max(0.0, PAIRS - in_order(side, value))
    return 0.01 * total - missing


def told(side: Side, value: Matrix) -> list[str]:
    """Tell the areas, what is caught where 5 % of the good answers are lost, and the pairs that are in order."""
    good = side.counted & (side.kinds == "good")
    line = np.quantile(value[good], 0.05)
    lines = []
    for kind, how in aims_of(side):
        bad = value[bad_of(side, kind, how)]
        area = area_of(value[good & side.short], bad)
        lines.append(f"{how or kind} {area:.3f}, caught {np.mean(bad < line):.2f}")
    return [*lines, f"pairs {in_order(side, value):.3f}"] if aims_of(side) is AIMS else lines


def area_of(good: Matrix, bad: Matrix) -> float:
    """Give the chance that a good one has the higher value, a draw counting half."""
    ordered = np.sort(bad)
    below = np.searchsorted(ordered, good, "left") + np.searchsorted(ordered, good, "right")
    return float(below.mean() / 2 / len(bad))


def in_order(side: Side, value: Matrix) -> float:
    """Give the share of pairs in which the right answer has the higher value."""
    right, wrong = value[side.pairs[:, 1]], value[side.pairs[:, 2]]
    return float(np.mean(right > wrong) + np.mean(right == wrong) / 2)


def within(grid: Sequence[float], value: float) -> float:
    return round(min(max(value, grid[0]), grid[-1]), 3)


def choose_shares(side: Side, logits: dict[str, Matrix]) -> Shares:
    """Choose shares and slopes of one head after the other, each the best beside the others, until none changes.

    First of a grid, at last by smaller steps within it.
    """

    def good(shares: Shares) -> float:
        steep = sum(abs(log(slope)) for _, slope in shares.values())
        return worth(side, evidence(logits, shares)) - STEEP * steep

    grid = [(share, slope) for share in SHARES for slope in SLOPES]
    found: list[Shares] = []
    for slope in STARTS:
        shares = dict.fromkeys(side.names, (1.0, slope))
        for _ in range(4):
            before = dict(shares)
            for head in side.names:
                shares[head] = max(grid, key=lambda pair: good({**shares, head: pair}))
            if shares == before:
                break
        found.append(shares)
    shares = max(found, key=good)
    for _ in range(4):
        before = dict(shares)
        for head, (share, slope) in before.items():
            near = [(within(SHARES, share * more), within(SLOPES, slope * by)) for more in NEAR for by in STEEPER]
            shares[head] = max(near, key=lambda pair: good({**shares, head: pair}))
        if shares == before:
            break
    return shares


def calibrate(side: Side, value: Matrix) -> list[tuple[float, float]]:
    """Count the share of good answers at each evidence: half of all good, the others of all kinds alike."""
    kinds = ["good", *(KIND_OF[head] for head in side.names)]
    weights = np.zeros(len(value))
    for kind in kinds:
        chosen = side.counted & (side.kinds == kind)
        weights[chosen] = (0.5 if kind == "good" else 0.5 / (len(kinds) - 1)) / chosen.sum()
    value, weights, good = value[weights > 0], weights[weights > 0], (side.kinds == "good")[weights > 0]
    fitted = IsotonicRegression(y_min=0.005, y_max=0.995, out_of_bounds="clip").fit(value, good, sample_weight=weights)
    places = np.unique(np.quantile(np.repeat(value, np.ceil(weights * 1e5).astype(int)), np.linspace(0, 1, 21)))
    # between its steps the line is straight, so that no two scores are equal by chance
    window = [fitted.predict(np.linspace(p - 0.25, p + 0.25, 11)).mean() for p in places]
    rising = np.maximum.accumulate(np.array(window) + np.linspace(0, 1e-4, len(places)))
    return [(round(float(x), 3), round(float(min(y, 0.999)), 4)) for x, y in zip(places, rising, strict=True)]


def rule(side: Side) -> dict[str, Any]:
    """Make one rule."""
    crossed = side.crossed()
    shares = choose_shares(side, crossed)
    heads = {}
    for head in side.names:
        bias, weights = side.fit(head, np.ones(len(side.kinds), dtype=bool))
        share, slope = shares[head]
        heads[head] = {
            "share": share,
            "bias": round(slope * bias, 4),
            "weights": {name: round(slope * weight, 4) for name, weight in weights.items()},
        }
    value = evidence(crossed, shares)
    print(shares, f"{worth(side, value):.4f}", flush=True)
    print("  " + "; ".join(told(side, value)), flush=True)
    return {"heads": heads, "calibration": calibrate(side, value)}


def sides(rows: Sequence[Row], measured: Sequence[Measured], first_short: int, *, with_vectors: bool) -> dict[str, Any]:
    """Make the rules: beside a reference, beside a short one, alone."""

    def named(names: dict[str, tuple[str, ...]], known: Sequence[str]) -> dict[str, tuple[str, ...]]:
        if not with_vectors:
            return names
        return {
            head: (*each, *(name for name in WITH_VECTORS.get(head, ()) if name in known))
            for head, each in names.items()
        }

    brief = [is_short(Text(row.reference)) for row in rows]
    long = [at for at, row in enumerate(rows) if not brief[at]]
    short = [at for at, row in enumerate(rows) if brief[at]]
    # another question's short answer cannot be told without a reference
    alone = [
        at
        for at, row in enumerate(rows)
        if row.group < first_short or (row.kind == "good" and row.group < first_short + SHORT_ALONE)
    ]

    def side(chosen: Sequence[int], names: dict[str, tuple[str, ...]], counted: int) -> dict[str, Any]:
        beside = names is not ALONE
        known = named(names, vectors.FEATURES if beside else vectors.ALONE)
        return rule(
            Side([rows[at] for at in chosen], [measured[at][0 if beside else 1] for at in chosen], known, counted)
        )

    everyone = 1 + max(row.group for row in rows)
    return {
        "beside": side(long, BESIDE, first_short),
        "short": side(short, SHORT_BESIDE, everyone),
        "alone": side(alone, ALONE, first_short),
    }


def more(asked: Sequence[Asked]) -> list[Row]:
    """Give rows that only teach: more answers of other questions, and references turned round in more ways."""
    return [
        Row(group, kind, how, each.question, each.reference, answer)
        for group, each in enumerate(asked)
        for kind, numbers in (("mismatch", range(3, 8)), ("flipped", range(1, 4)))
        for number in numbers
        for how, answer in make(kind, each, asked, "made", number)
        if how != "negation"
    ]


def main() -> None:
    asked = made_from()
    rows = rows_of(asked, "made") + more(asked)
    rows += [
        row._replace(group=row.group + len(asked))
        for row in rows_of(short_questions("made", SHORT, as_statement), "made")
    ]
    made = {
        name: sides(rows, measure_all(rows, with_vectors=with_vectors), len(asked), with_vectors=with_vectors)
        for name, with_vectors in (("plain", False), ("vectors", True))
    }
    OUT.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
    print(f"{OUT.name}: {OUT.stat().st_size:,} bytes of {len(rows):,} rows")


if __name__ == "__main__":
    main()
