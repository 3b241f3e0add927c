"""Refusals and hedging: an answer that speaks of itself, of its asker or of not knowing, instead of answering."""

import re
from typing import Final

from tamiz.gate.pair import Pair
from tamiz.gate.text import Text, stem

__all__ = ["FEATURES", "features", "found", "sayings"]

FEATURES: Final = (
    "refusal.said",
    "refusal.hedged",
    "refusal.talk",
    "refusal.self",
    "refusal.rest",
    "refusal.to_you",
    "refusal.only",
    "refusal.alone",
    "refusal.expected",
    "refusal.bare",
    "refusal.person",
)

_BE: Final = r"(?:am|'m|are|'re|was|were|is|'s|been|be)"
_NOT: Final = r"(?:not|n't|never|no longer)"
_ACT: Final = (
    r"(?:answer|help|assist|provide|say|tell|comment|discuss|respond|reply|know|verify|determine|share|offer|"
    r"speak|talk|"
    r"advise|recommend|predict|confirm|give|access|process|fulfil|fulfill|comply|engage|support|look|understand|"
    r"browse|"
    r"generate|create|make|find|see|judge|express|take|address|handle|do that|do this|be of|be sure|be certain|"
    r"go into)"
)
_STRONG: Final = re.compile(
    rf"""
    \b(?:as|being|since\ i\ am|i\ am|i'm|just|only|merely)\ (?:\w+\ ){{0,2}}(?:an?\ )?(?:\w+\ ){{0,2}}
        (?:ai|a\.i\.|language\ model|llm|chat\ ?bot|assistant|artificial\ intelligence|computer\ program|machine|
        bot)\b
    | \b(?:i|we)\ ?(?:\w+\ ){{0,2}}(?:ca|could|wo|would|do|did|am|are|was|have|has|ha|
        should)\ ?{_NOT}\ (?:\w+\ ){{0,4}}?{_ACT}\b
    | \b(?:i|we)\ (?:\w+\ ){{0,2}}(?:cannot|can't|couldn't|won't|wouldn't|don't|didn't|haven't|
        hadn't)\ (?:\w+\ ){{0,4}}?{_ACT}\b
    | \b(?:i|we)\ ?{_BE}\ (?:\w+\ )?(?:unable|not\ (?:\w+\ )?(?:able|allowed|permitted|sure|certain|aware|familiar|
        comfortable|
        qualified|authori[sz]ed|supposed|equipped|trained|designed|programmed|in\ a\ position))\b
    | \b(?:i|we)\ (?:\w+\ ){{0,3}}(?:decline|refuse|lack|pass\ on|apologi[sz]e|abstain|refrain|regret)\b
    | \b(?:i|we)(?:'d|\ would)?\ (?:\w+\ )?(?:rather|prefer)\ (?:\w+\ )?(?:not|neutral|stay|avoid|leave)\b
    | \b(?:i|we)\ (?:have|hold|possess|got)\ (?:\w+\ )?(?:no|neither)\b
    | \b(?:i|we)\ (?:do\ not|don't|did\ not|didn't|haven't|have\ not)\ (?:\w+\ )?(?:have|been|hold|possess|given|
        received)\b
    | \b(?:i'm|i\ am|we're|we\ are)?\ ?(?:so\ |very\ |really\ |terribly\ )?sorry\b
    | \bmy\ (?:\w+\ )?(?:apologies|knowledge|training|guidelines|programming|capabilities|abilities|expertise|
        policy|policies|
        database|limitations|purpose|instructions)\b
    | \b(?:outside|beyond|out\ of|exceeds?)\ (?:\w+\ ){{0,3}}(?:my|our|what\ i|scope|the\ scope)\b
    | \b(?:against|violates?|under)\ (?:\w+\ ){{0,2}}(?:guidelines|policy|policies|rules|terms|principles)\b
    | \bno\ (?:comment|idea|clue)\b
    | \b(?:un|not\ (?:\w+\ )?|n't\ (?:\w+\ )?)comfortable\b
    | \b(?:i|we)\ (?:\w+\ )?(?:cannot|can't|do\ not|don't|won't|will\ not|only)\ (?:\w+\ )?(?:offer|feel|cover|
        handle|deal|do)\b
    | \b(?:not|n't|never)\ (?:\w+\ ){{0,3}}(?:to|for|by|with)\ (?:me|us)\b
    | \b(?:request|question|query|inquiry|answer|response|information)s?\ (?:\w+\ ){{0,3}}?(?:cannot|can't|
        could\ not|couldn't|is\ not|
        isn't|are\ not)\ (?:be\ )?(?:completed|given|answered|processed|fulfilled|handled|provided|found|available|
        determined)\b
    | \bno\ (?:\w+\ )?(?:answer|response|information)\ (?:can|could|is|was|will)\b
    | \b(?:i|we)\ (?:was|were|am|are)\ (?:\w+\ )?(?:made|built|designed|trained|created|programmed|meant)\b
    | \b(?:let\ us|let's)\ (?:\w+\ )?(?:talk|speak|move|change|discuss)\b
    | \b(?:this|that|it)\ (?:is|would\ be|isn't)\ (?:\w+\ ){{0,3}}(?:something|question|topic|
        request)\ (?:\w+\ ){{0,3}}i\b
    | \b(?:answering|discussing|commenting|responding)\ (?:\w+\ ){{0,3}}(?:would|is|might|could)\b
    | \b(?:in|un)appropriate\ (?:\w+\ ){{0,2}}(?:to|for|question|request|topic)\b
    """,
    re.VERBOSE,
)
_HEDGE: Final = re.compile(
    r"""
    \bit\ (?:all\ |really\ |just\ |simply\ )?depends\b
    | \b(?:hard|difficult|impossible|tricky|tough|not\ possible|not\ easy)\ (?:\w+\ ){0,2}(?:to\ )(?:\w+\ )?(?:say|
        tell|know|answer|
        determine|judge|pin)\b
    | \b(?:no\ one|nobody|no-one|none\ of\ us)\ (?:\w+\ ){0,3}(?:knows?|certain|sure|say|tell|agree)\b
    | \bno\ (?:\w+\ )?(?:simple|clear|single|definite|definitive|easy|straightforward|right|one|
        universal)\ (?:\w+\ )?answer\b
    | \b(?:opinions?|views|answers|experts|people)\ (?:\w+\ ){0,3}(?:differ|vary|varies|disagree|divided)\b
    | \bmany\ (?:\w+\ )?(?:factors|opinions|views|perspectives|possibilities)\b
    | \b(?:could|can|would|please)\ (?:you\ )?(?:please\ |kindly\ )?(?:clarify|specify|provide|rephrase|elaborate|
        consult|give\ me|share|
        tell\ me|try\ again|ask|contact|explain\ what)\b
    | \b(?:more|additional|further|enough|sufficient|any)\ (?:context|information|details?|info|data)\b
    | \b(?:consult|consulting|ask|contact|speak\ (?:to|with)|talk\ to|seek|see)\ (?:\w+\ ){0,3}(?:experts?|
        professionals?|doctors?|lawyers?|
        specialists?|advice|someone|attorney|advisor|physician)\b
    | \b(?:too\ (?:vague|broad|general)|unclear\ what|what\ (?:exactly\ )?(?:do\ )?you\ (?:mean|want|are\ asking))\b
    | \bnot\ (?:\w+\ )?(?:sure|certain)\b | \buncertain\b
    | \bno\ (?:\w+\ )?way\ (?:to|of)\ (?:know|tell|say)
    | \bwho\ (?:can|could|knows?)\b\ ?(?:say|tell|know)?
    | \b(?:know|knows)\ (?:nothing|little|too\ little)\b
    """,
    re.VERBOSE,
)
TALK: Final = frozenset(
    "answer answers answering ask asked asking question questions request requests query inquiry help helpful assist "
    "assistance information provide provided providing context clarify details topic topics subject matter "
    "discuss comment "
    "comments opinion opinions personal sorry apologize apologies unfortunately regrettably sadly afraid ai model "
    "language "
    "assistant chatbot program data training trained knowledge cutoff guidelines policy expert experts professional "
    "specialist advice consult recommend unable decline refuse respectfully inconvenience respond responding "
    "response "
    "comfortable inappropriate appropriate capabilities capable access verify confirm certain certainty sure "
    "specific "
    "regarding concerning understand mean prefer neutral view views vague meaningful determine simple real-time time "
    "idea say tell talk know please kindly however enough lack means possible impossible difficult factors "
    "depends".split()
)
_SELF: Final = frozenset("i i'm i'd i've i'll me my myself we our us you your you're".split())
_PERSON: Final = frozenset("i i'm i'd i've i'll me my myself we we're we'd we've we'll our".split())


def features(pair: Pair) -> tuple[float, ...]:
    """Tell how much a pair looks like a refusal; see `FEATURES`."""
    answer = pair.answer
    words = answer.words
    count = len(words) or 1
    lower = answer.raw.lower().replace("\u2019", "'")
    strong = min(3, len(_STRONG.findall(lower)))
    hedged = min(3, len(_HEDGE.findall(lower)))
    rest = [word for word in answer.order if word not in pair.question.content and word not in _TALK_STEMS]
    to_you = any(word in {"you", "your"} for word in pair.question.words[:3])
    return (
        float(strong > 0) + 0.3 * (strong > 1),
        float(hedged > 0) + 0.3 * (hedged > 1),
        sum(word in TALK for word in words) / count,
        sum(word in _SELF for word in words) / count,
        min(len(rest), 12) / 12,
        float(strong > 0) * to_you,
        _only(pair),
        float(not rest),
        0.0 if pair.reference is None else float(bool(sayings(pair.reference))),
        _bare(pair, lower) if strong or hedged else 0.0,
        float(_speaks(answer) and not any(map(_speaks, (pair.question, pair.reference)))),
    )


def _speaks(text: Text | None) -> bool:
    """Tell whether a text speaks of who says it."""
    return text is not None and not _PERSON.isdisjoint(text.words)


def _only(pair: Pair) -> float:
    """Give the share of talk about answering in what an answer says beyond question and reference; 0 of nothing."""
    known = pair.question.content | (pair.reference.content if pair.reference else frozenset())
    beyond = [word for word in pair.answer.order if word not in known]
    return sum(word in _TALK_STEMS for word in beyond) / len(beyond) if beyond else 0.0


def _bare(pair: Pair, lower: str) -> float:
    """Tell how little stands beside what refuses and the question's words: 1 for nothing, 0 for four words or more."""
    left = Text(_HEDGE.sub(" ", _STRONG.sub(" ", lower)))
    beside = left.content - pair.question.content - _TALK_STEMS
    return max(0.0, 1 - len(beside) / 4)


def sayings(text: Text) -> list[str]:
    """Give what of a text refuses or hedges, as it is written."""
    lower = text.raw.lower().replace("\u2019", "'")
    return [
        text.raw[match.start() : match.end()].strip()
        for pattern in (_STRONG, _HEDGE)
        if (match := pattern.search(lower))
    ]


def found(pair: Pair) -> str:
    """Say what was found, in words."""
    said = sayings(pair.answer)
    return f"refusal: {said[0]!r}" if said else "refusal: it speaks of the question and gives no answer"


_TALK_STEMS: Final = frozenset(map(stem, TALK))
