"""Words with a part to play in English answers: what carries no topic, what denies, what counts, what is opposite."""

from typing import Final

__all__ = ["ALIASES", "CONTRARIES", "DENIALS", "NUMBERS", "OPENERS", "POLAR", "QUANTITIES", "STOP"]

STOP: Final = frozenset(
    "a about actually after all also although am an and any are around as at be because been before being both "
    "but by "
    "can could did do does doing done down during each either else etc even ever every few for from further get "
    "gets got "
    "had has have having he her here hers him his how however i if in into is it its itself just let like made "
    "make may "
    "me might more most much must my of off often on once one only or other our out over own perhaps please quite "
    "rather "
    "really same shall she should since so some still such sure than that the their them themselves then there these "
    "they thing things this those though through thus to too under until up us very via was way we well were what "
    "when "
    "where whether which while who whom whose why will with within would yes yet you your yourself that's it's i'm "
    "there's what's they're you're i'd i'll i've let's he's she's we're who's".split()
)
"""Words that say nothing of what a text is about."""

ALIASES: Final = {
    **dict.fromkeys(("usa", "u.s.a.", "american", "americans"), "america"),
    **dict.fromkeys(("uk", "u.k.", "british"), "britain"),
}
"""Names of the same country."""

DENIALS: Final = frozenset(
    "not no never none nobody nothing nowhere neither nor cannot without hardly unlikely isn't aren't wasn't weren't "
    "don't doesn't didn't can't couldn't won't wouldn't shouldn't hasn't haven't hadn't mustn't needn't ain't".split()
)
"""Words that deny what they stand with."""

OPENERS: Final = {
    "yes": 1,
    "yeah": 1,
    "correct": 1,
    "true": 1,
    "indeed": 1,
    "certainly": 1,
    "no": -1,
    "nope": -1,
    "incorrect": -1,
    "false": -1,
    "untrue": -1,
}
"""First words that answer a question of yes or no."""

NUMBERS: Final = {
    word: str(value)
    for value, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
        "seventeen "
        "eighteen nineteen twenty".split()
    )
    if word != "one"
} | {"hundred": "100", "thousand": "1000", "million": "1000000", "billion": "1000000000", "once": "1", "twice": "2"}
"""Number words; "one" is left out, being a pronoun as often."""

_OPPOSITES: Final = (
    "more less, most least, increase decrease, rise fall, higher lower, high low, larger smaller, large small, "
    "big little, "
    "bigger smaller, better worse, best worst, always never, everyone nobody, everything nothing, all none, many "
    "few, true "
    "false, legal illegal, safe dangerous, safe unsafe, healthy unhealthy, before after, up down, hot cold, warm "
    "cool, "
    "warmer cooler, early late, earlier later, first last, fast slow, faster slower, easy hard, old young, older "
    "younger, "
    "rich poor, richer poorer, strong weak, long short, longer shorter, left right, north south, east west, male "
    "female, "
    "man woman, men women, win lose, won lost, gain lose, live die, alive dead, good bad, positive negative, open "
    "closed, "
    "possible impossible, accept reject, allow forbid, allowed prohibited, allowed banned, legal banned, permitted "
    "prohibited, real fake, known unknown, same different, similar different, common rare, likely unlikely, innocent "
    "guilty, succeed fail, inside outside, above below, day night, summer winter, white black, cause prevent, "
    "helps harms, "
    "helpful harmful, improve worsen, even odd, buy sell, import export, maximum minimum, major minor, public private"
)
CONTRARIES: Final = frozenset(
    pair for each in _OPPOSITES.split(",") for one, other in [each.split()] for pair in ((one, other), (other, one))
)
"""Pairs of words that exclude one another, both ways round."""

POLAR: Final = frozenset(
    "is are was were do does did can could will would has have had should may might am isn't aren't".split()
)
"""First words of a question of yes or no."""

QUANTITIES: Final = tuple(
    frozenset(words.split())
    for words in (
        "all every always everyone everybody everything entire completely totally",
        "some sometimes several certain part partly partially few many most often usually",
        "no none never nobody nothing neither",
    )
)
"""Words for all, for some and for none."""
