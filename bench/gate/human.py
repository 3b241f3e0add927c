"""How often the checks that need no reference flag answers that people gave and that are fine.

`human.txt` names 200 of the trivia questions, by their line. They were drawn by a seed from the half that the gate was
not made from, and read one by one: rows whose answer is wrong, or no answer to the question as it stands, are left out.
"""

from pathlib import Path

from questions import trivia

from tamiz.gate.scorer import GateScorer
from tamiz.scoring import Scorer

LINES = Path(__file__).with_name("human.txt")


def flagged(scorer: Scorer) -> list[tuple[str, str, tuple[str, ...]]]:
    """Give (question, answer, reasons) of each fine answer that is flagged without a reference."""
    rows = trivia()
    found = []
    for line in LINES.read_text(encoding="ascii").split():
        question, answer, _ = rows[int(line) - 1]
        score = scorer.score(answer, None, question)
        if score.value is not None:
            found.append((question, answer, score.reasons))
    return found


def main() -> None:
    for scorer in (GateScorer(), GateScorer(vectors=True)):
        found = flagged(scorer)
        print(f"{scorer.name}: {len(found)} of 200 flagged ({len(found) / 200:.1%})")
        for question, answer, reasons in found:
            print(f"  {answer!r} to {question!r}: {'; '.join(reasons)}")


if __name__ == "__main__":
    main()
