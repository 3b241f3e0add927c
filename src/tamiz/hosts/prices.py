"""What tokens cost, by the prices that the user gave."""

from collections.abc import Mapping

import msgspec

from tamiz.hosts.results import Totals
from tamiz.hosts.spending import Usage
from tamiz.messages import Source
from tamiz.settings import Price

__all__ = ["Cost", "cost_of"]

_PER: int = 1_000_000


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """Dollars."""

    spent: float
    saved: float
    """What the questions would have cost that needed no call, had each cost what the others did on average."""
    unpriced: tuple[str, ...] = ()
    """Models without a price; what they cost is not in the sums."""


def cost_of(usage: Mapping[str, Usage], prices: Mapping[str, Price], totals: Totals) -> Cost | None:
    """Add up what models were used for; `None` where none of them has a price.

    A price goes by what `--model` says (`openai:gpt-4o-mini`) or by the model's name in it (`gpt-4o-mini`).
    """
    known = {model: _price(model, prices) for model in usage}
    if all(price is None for price in known.values()):
        return None
    spent = sum(
        (usage[model].prompt_tokens * price.input + usage[model].completion_tokens * price.output) / _PER
        for model, price in known.items()
        if price is not None
    )
    asked = totals.sources.get(Source.MODEL, 0)
    unpriced = tuple(sorted(model for model, price in known.items() if price is None))
    return Cost(spent=spent, saved=spent / asked * totals.saved if asked else 0.0, unpriced=unpriced)


def _price(model: str, prices: Mapping[str, Price]) -> Price | None:
    name = model.rpartition("#")[2] if "#" in model else model.partition(":")[2]
    return prices.get(model) or prices.get(name)
