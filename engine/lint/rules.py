"""The rules of lint: how grave each is, and what it says, in full."""

from typing import Final, NamedTuple

from engine.lint.cap_rules import CAP_OF_NOTHING, CAP_SETTLED, CAP_STOPS_ALL
from engine.lint.condition_rules import DEAD_CONDITION, DEAD_ON_TRIGGER, IDLE_TERM, ONLY_KNOWN_TERM
from engine.lint.dominance import NEVER_WINS
from engine.lint.finding import Severity
from engine.lint.offer_rules import PERIODS_APART, UNSEEN_CONTENT, UNUSED_OFFER
from engine.lint.quiet_rules import DAY_NEVER_QUIET, PUSH_NEVER_QUIET, QUIET_GAP, QUIET_OF_NOTHING, QUIET_SETTLED


class Rule(NamedTuple):
    """A rule: its severity, and what it means and rests on."""

    severity: Severity
    explanation: str


RULES: Final[dict[str, Rule]] = {
    DEAD_CONDITION: Rule(
        Severity.ERROR,
        "A campaign's condition can never be true: a label is asked for and ruled out, ranges of one attribute exclude each other or lie beyond its "
        "declared min and max, texts contradict each other, or a value must be known and unknown. Only what is plain from labels, comparisons with "
        "constants, texts and has() is judged; arithmetic, ||, ?: and times of day are taken to be possible.",
    ),
    DEAD_ON_TRIGGER: Rule(
        Severity.WARNING,
        "A campaign answers a trigger that does not have a field whose value its condition needs, so that on this trigger it never matches. A request "
        "with a field that its trigger does not have is refused.",
    ),
    IDLE_TERM: Rule(
        Severity.NOTE,
        "A term of a condition is true whenever the others are, such as tenure > 6 beside tenure > 12, or has(x) beside x > 1. The condition means "
        "the same without it. All terms that are named may go together.",
    ),
    ONLY_KNOWN_TERM: Rule(
        Severity.NOTE,
        "A comparison is true of every value in the attribute's declared range, so all that it asks is that the value is known.",
    ),
    NEVER_WINS: Rule(
        Severity.WARNING,
        "An offer of a campaign is never made: on each of its triggers and channels another candidate, whose condition holds whenever its own does, "
        "comes before it with certainty and takes its seat, because they share an exclusive group or product, or because as many such candidates of "
        "different groups as the channel shows offers come first. It is only said when nothing can stop those alone: no control group of another "
        "campaign, no cool-down, re-offer rule or cap that covers them and not it, no narrower period, no other purpose. Equal scores are nobody's "
        "win: a hash of the subscriber decides there.",
    ),
    UNUSED_OFFER: Rule(Severity.WARNING, "No campaign has the offer, in whatever state."),
    UNSEEN_CONTENT: Rule(
        Severity.NOTE, "An offer has content for a channel that no campaign with this offer uses, in whatever state."
    ),
    PERIODS_APART: Rule(
        Severity.ERROR, "A campaign's period and its offer's have no instant in common, so it never makes the offer."
    ),
    CAP_OF_NOTHING: Rule(
        Severity.WARNING,
        "A cap covers no offer that any campaign makes, or only such as are exempt from caps, so it stops nothing.",
    ),
    CAP_SETTLED: Rule(
        Severity.NOTE,
        "Whatever the cap would stop, another one stops too: it covers all that this one covers, counts the same event in a window that holds this "
        "one's, and its limit is not larger. Contacts are taken to have been made under this catalogue.",
    ),
    CAP_STOPS_ALL: Rule(
        Severity.NOTE, "The cap's limit is 0, so it stops all that it covers, always. That may be meant, as a switch."
    ),
    PUSH_NEVER_QUIET: Rule(
        Severity.WARNING,
        "No quiet hours name the class of a push channel, so messages on it are sent at any hour of any day.",
    ),
    DAY_NEVER_QUIET: Rule(
        Severity.WARNING,
        "A class of channels has quiet hours, but none that begin on some day of the week, or on holidays: a public holiday is matched only by "
        "quiet hours that list `holiday`.",
    ),
    QUIET_GAP: Rule(
        Severity.WARNING,
        "Between two quiet times of a class lie a few minutes (fewer than --gap-minutes, 60 unless told) in which messages may be sent.",
    ),
    QUIET_SETTLED: Rule(
        Severity.NOTE,
        "Every minute of a window of quiet hours is quiet by other windows too, on each of its days and classes.",
    ),
    QUIET_OF_NOTHING: Rule(
        Severity.NOTE,
        "Quiet hours name only classes whose channels are all exempt from quiet hours, so they stop nothing.",
    ),
}
