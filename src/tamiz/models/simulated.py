"""A simulated LLM: latency, faults and answer quality from a seed. No network, and the same result every time."""

import math
import struct
from hashlib import blake2b
from statistics import NormalDist
from typing import Final

import msgspec

from tamiz.clock import Clock
from tamiz.errors import Failed, FailureKind, UsageError
from tamiz.models.base import Reply, Simulator
from tamiz.scoring import forms
from tamiz.units import seconds

__all__ = ["Profile", "SimulatedModel", "parse_profile"]

_GOOD: Final = ("{}", "{}.", "It is {}.", "The answer: {}")
_BAD: Final = (
    "Nobody knows for certain.",
    "Opinions differ, ask a specialist.",
    "Probably something else entirely.",
    "Purple elephants usually decide that.",
)
_NORMAL: Final = NormalDist()


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """How the simulated model behaves: the parameters of its URL."""

    latency: float = 0.0
    """Median seconds a call."""
    spread: float = 0.0
    """Sigma of the log-normal latency; 0 is a constant one."""
    overload: float = 0.0
    """Share of calls that fail as overload; likewise below."""
    quota: float = 0.0
    timeout: float = 0.0
    invalid: float = 0.0
    fatal: float = 0.0
    reset: float = 1.0
    """Seconds after which a refused quota is stated to be back."""
    quality: float = 1.0
    """Share of answers that say what the reference says; the others share no words with it on purpose."""
    omit: float = 0.0
    """Largest share of the reference's words that such an answer leaves out; how many it is, is drawn each time."""
    seed: int = 0


_RATES: Final = ("overload", "quota", "timeout", "invalid", "fatal")
_DURATIONS: Final = ("latency", "reset")


def parse_profile(parameters: dict[str, str]) -> Profile:
    """Read the parameters of a `simulated:` URL, all of them text.

    Raises `UsageError` naming the parameter where one is unknown, not a number or out of range.
    """
    values: dict[str, float | int] = {}
    for name, text in parameters.items():
        if name not in Profile.__struct_fields__:
            known = ", ".join(Profile.__struct_fields__)
            raise UsageError(f"simulated: has no parameter {name!r}; it takes {known}")
        values[name] = _value(name, text)
    profile = msgspec.convert(values, Profile)
    total = math.fsum(getattr(profile, rate) for rate in _RATES)  # a plain sum of 0.2, 0.4, 0.3 and 0.1 is above 1
    if total > 1:
        raise UsageError(f"simulated: the fault rates add up to {total:g}; they share the calls, so at most 1")
    return profile


def _value(name: str, text: str) -> float | int:
    if name in _DURATIONS:
        return seconds(text, f"simulated: {name}")
    try:
        value = int(text) if name == "seed" else float(text)
    except ValueError:
        raise UsageError(f"simulated: {name}={text!r} is not a number") from None
    if name in (*_RATES, "quality", "omit") and not 0 <= value <= 1:
        raise UsageError(f"simulated: {name}={text} is a share: between 0 and 1")
    if not math.isfinite(value) or (name == "spread" and value < 0):
        raise UsageError(f"simulated: {name}={text} is out of range: 0 or more")
    return value


class SimulatedModel(Simulator):
    """Plays an LLM.

    What it does depends on the seed, the question, the attempt and the retry, and on nothing else: two runs give the
    same outcomes whatever their concurrency and order.
    """

    def __init__(self, name: str, profile: Profile, clock: Clock, timeout: float = math.inf) -> None:
        """Make it; a call that would take more than `timeout` seconds is given up then, as one to a server is."""
        self.name = name
        self._profile = profile
        self._clock = clock
        self._timeout = timeout

    async def simulate(self, question: str, best_answer: str | None, attempt: int, retry: int) -> Reply:
        """Take the time of a call, then fail or answer as the draws say."""
        profile = self._profile
        identity = f"{profile.seed}\x00{question}\x00{best_answer or ''}\x00{attempt}"
        wait, fault, _, _ = _draws(f"{identity}\x00{retry}")
        if profile.latency:
            latency = self._latency(wait)
            await self._clock.sleep(min(latency, self._timeout))
            if latency > self._timeout:
                raise Failed(FailureKind.TIMEOUT, f"no answer from the simulated model in {self._timeout:g} s")
        for rate in _RATES:
            share = getattr(profile, rate)
            if fault < share:
                raise self._failure(FailureKind(rate))
            fault -= share
        missing, _, right, wording = _draws(identity)  # the same answer, however many calls failed before it
        first = next(iter(forms(best_answer)), None)
        said = first and _without(first, missing * profile.omit)
        text = self._answer(question, said, right < profile.quality, wording)
        return Reply(
            text=text, model="simulated", prompt_tokens=len(question) // 4 + 1, completion_tokens=len(text) // 4 + 1
        )

    async def close(self) -> None:
        """Hold nothing, free nothing."""

    def _latency(self, draw: float) -> float:
        if not self._profile.spread:
            return self._profile.latency
        # inv_cdf is defined inside (0, 1)
        return self._profile.latency * math.exp(
            self._profile.spread * _NORMAL.inv_cdf(min(max(draw, 1e-12), 1 - 1e-12))
        )

    def _failure(self, kind: FailureKind) -> Failed:
        retry_at = self._clock.time() + self._profile.reset if kind is FailureKind.QUOTA else None
        return Failed(kind, f"simulated {kind}", retry_at=retry_at)

    @staticmethod
    def _answer(question: str, best_answer: str | None, right: bool, wording: float) -> str:  # noqa: FBT001 - two kinds
        if not right:
            return _BAD[int(wording * len(_BAD))]
        return _GOOD[int(wording * len(_GOOD))].format(best_answer or f"a simulated answer to {question!r}")


def _without(reference: str, share: float) -> str:
    """Give a text without the last so many of its words; one stays."""
    words = reference.split(" ")
    return " ".join(words[: max(len(words) - int(share * (len(words) + 1)), 1)]) if share else reference


def _draws(identity: str) -> tuple[float, float, float, float]:
    """Give four numbers uniform in [0, 1) that depend on the identity alone, each of 32 bits."""
    digest = blake2b(identity.encode("utf-8", "surrogatepass"), digest_size=16).digest()
    first, second, third, fourth = _FOUR_WORDS.unpack(digest)
    return first / 2**32, second / 2**32, third / 2**32, fourth / 2**32


_FOUR_WORDS: Final = struct.Struct(">4L")
