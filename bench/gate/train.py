"""Makes the data file of the gate, `src/tamiz/gate/weights.json`, from one half of the questions.

`python bench/gate/train.py`. The same input gives the same file. Each head is a logistic regression of one failure
against good answers. The shares of the one rule and its calibration come from heads that had not seen the question
(five folds by question; refusals by their phrase and junk by its kind, as they are met in ways that nobody foresaw).
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from cases import Measured, Row, measure_all, rows_of
from kinds import as_statement
from numpy.typing import NDArray
from questions import draw, made_from, short_questions
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from tamiz.gate import echo, junk, meaning, refusal, truncation, vectors
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
BESIDE: dict[str, tuple[str, ...]] = {
    "refusal": (*refusal.FEATURES, "like.letters"),
    "echo": (*echo.FEATURES, "like.recall", "like.letters_beyond"),
    "junk": (*junk.FEATURES, "like.letters", "topic.shared", "topic.letters", "topic.short"),
    "truncation": (*truncation.FEATURES, "like.recall"),
    "topic": (*meaning.LIKENESS, *meaning.TOPIC),
    "conflict": (*meaning.CONFLICTS, "like.precision", "like.recall"),
    "meaning": (*meaning.LIKENESS, *meaning.CONFLICTS),
}
ALONE: dict[str, tuple[str, ...]] = {
    "refusal": refusal.FEATURES[:-1],
    "echo": tuple(name for name in echo.FEATURES if name != "echo.missed"),
    "junk": (*junk.FEATURES, "topic.shared", "topic.letters", "topic.short"),
    "truncation": tuple(name for name in truncation.FEATURES if name != "cut.prefix"),
    "topic": meaning.TOPIC,
}
WITH_VECTORS: dict[str, tuple[str, ...]] = {
    "topic": vectors.FEATURES,
    "meaning": vectors.FEATURES[2:],
    "junk": ("vector.question",),
}
SHARES = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0)
SLOPES = (1.0, 1.5)
AREAS = {
    "refusal": 0.985,
    "echo": 0.97,
    "junk": 0.985,
    "truncated": 0.92,
    "mismatch": 0.985,
    "flipped": 0.96,
    "wrong": 0.75,
}
"""The area under the curve that is wanted for each kind."""
CAUGHT = {"refusal": 0.95, "junk": 0.95, "mismatch": 0.92, "echo": 0.92}
"""The share that is wanted to be caught where 5 % of the good answers are lost."""

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
        self.columns = {
            name: np.array([each[name] for each in measured])
            for name in sorted({n for all_ in names.values() for n in all_})
        }

    def matrix(self, head: str) -> Matrix:
        return np.stack([self.columns[name] for name in self.names[head]], axis=1)

    def fit(self, head: str, within: NDArray[np.bool_]) -> tuple[float, dict[str, float]]:
        """Fit a head: its bias and its weights."""
        chosen = within & ((self.kinds == "good") | (self.kinds == KIND_OF[head]))
        bad = self.kinds[chosen] != "good"
        # each question counts the same, whatever the number of its answers, and both kinds count the same
        groups = self.groups[chosen] * 2 + bad
        counts = np.bincount(groups)
        weights = 1 / counts[groups]
        for side in (bad, ~bad):
            weights[side] /= weights[side].sum()
        model = LogisticRegression(C=3.0, max_iter=5000).fit(
            self.matrix(head)[chosen], bad, sample_weight=weights * chosen.sum()
        )
        return float(model.intercept_[0]), dict(zip(self.names[head], map(float, model.coef_[0]), strict=True))

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


def worth(side: Side, value: Matrix) -> float:
    """Tell how well a rule does: what is missing to the areas and the catch that are wanted counts most."""
    good = value[side.counted & (side.kinds == "good")]
    line = np.quantile(good, 0.05)
    missing = total = 0.0
    for head in side.names:
        kind = KIND_OF[head]
        bad = value[side.counted & (side.kinds == kind)]
        area = float(roc_auc_score([1] * len(good) + [0] * len(bad), np.r_[good, bad]))
        total += area
        missing += max(0.0, AREAS[kind] - area)
        missing += 0.3 * max(0.0, CAUGHT.get(kind, 0.0) - float(np.mean(bad < line)))
    return 0.2 * total / len(side.names) - missing


def choose_shares(side: Side, logits: dict[str, Matrix]) -> Shares:
    """Choose shares and slopes of one head after the other, each the best beside the others, until none changes."""
    shares = dict.fromkeys(side.names, (1.0, 1.0))
    grid = [(share, slope) for share in SHARES for slope in SLOPES]
    for _ in range(5):
        before = dict(shares)
        for head in side.names:
            shares[head] = max(grid, key=lambda pair: worth(side, evidence(logits, {**shares, head: pair})))
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
    good = side.counted & (side.kinds == "good")
    for head in side.names:
        bad = side.counted & (side.kinds == KIND_OF[head])
        area = roc_auc_score([1] * good.sum() + [0] * bad.sum(), np.r_[value[good], value[bad]])
        print(f"  {KIND_OF[head]:10} {area:.3f} caught {np.mean(value[bad] < np.quantile(value[good], 0.05)):.2f}")
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

    def side(chosen: Sequence[int], *, beside: bool) -> dict[str, Any]:
        names = named(BESIDE, vectors.FEATURES) if beside else named(ALONE, vectors.ALONE)
        counted = 1 + (max(row.group for row in rows) if beside else first_short - 1)
        return rule(
            Side([rows[at] for at in chosen], [measured[at][0 if beside else 1] for at in chosen], names, counted)
        )

    return {"beside": side(long, beside=True), "short": side(short, beside=True), "alone": side(alone, beside=False)}


def main() -> None:
    asked = made_from()
    rows = rows_of(asked, "made")
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
