"""The stages, made from the settings: the same ones for every host."""

import random
from collections.abc import Callable, Sequence

import msgspec

from tamiz.cache import BoundedCache, make_cache
from tamiz.clock import Clock
from tamiz.effects import Stage
from tamiz.models.fleet import Fleet
from tamiz.policy import Policy
from tamiz.prompt import PromptTemplate
from tamiz.scoring import Scorer
from tamiz.settings import Settings
from tamiz.stages.generate import Generate
from tamiz.stages.intake import Intake
from tamiz.stages.judge import Judge
from tamiz.stages.persist import Persist
from tamiz.stages.retry import Backoff, Retry
from tamiz.store.base import Answers, Claims

__all__ = ["STAGES", "Flow", "make_flow"]

STAGES = ("intake", "generate", "retry", "judge", "persist")


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """Stages by name, and those parts of them that others make use of; `None` where the stage is not among them."""

    stages: dict[str, Stage]
    policy: Policy
    cache: BoundedCache | None = None
    intake: Intake | None = None
    generate: Generate | None = None
    judge: Judge | None = None


def make_flow(
    settings: Settings,
    *,
    names: Sequence[str],
    fleet: Fleet | None,
    template: PromptTemplate,
    scorer: Scorer,
    clock: Clock,
    answers: Answers,
    claims: Claims,
    jitter: Callable[[], float] | None = None,
) -> Flow:
    """Make the stages of these names; `generate` needs a fleet. `jitter` gives numbers in [0, 1); `None`: unseeded."""
    policy = Policy(threshold=settings.threshold, attempts=settings.attempts, unscored=settings.unscored)
    parts: dict[str, Stage] = {}
    cache = intake = generate = judge = None
    if "intake" in names:
        cache = make_cache(settings.cache_policy, settings.cache_size, settings.cache_ttl, clock)
        parts["intake"] = intake = Intake(cache, answers, claims, policy)
    if "generate" in names and fleet is not None:
        system, longest = settings.system or "", settings.max_answer_tokens
        generate = Generate(fleet, template.render, clock, settings.seed, system=system, max_tokens=longest)
        parts["generate"] = generate
    if "retry" in names:
        draw = jitter or random.Random().random  # noqa: S311 - jitter
        backoff = Backoff(base=settings.backoff, cap=settings.backoff_cap)
        parts["retry"] = Retry(retries=settings.retries, fleet=fleet, clock=clock, random=draw, backoff=backoff)
    if "judge" in names:
        parts["judge"] = judge = Judge(scorer, policy)
    if "persist" in names:
        parts["persist"] = Persist()
    stages = {name: parts[name] for name in names if name in parts}
    return Flow(stages=stages, policy=policy, cache=cache, intake=intake, generate=generate, judge=judge)
