"""Findings about conditions: those that never match, on no trigger or on one of the campaign's, and terms that decide nothing."""

from collections.abc import Iterator

from engine.catalogue.model import Campaign
from engine.cel.conditions import Condition, Term
from engine.dtypes.condition import FIXED, LABELS_ALL, LABELS_NONE, PROGRAM, RANGE, RANGE_DOUBLE, ZONE_SLOT
from engine.lint.finding import Finding, Subject
from engine.lint.intervals import is_subset
from engine.lint.regions import Regions, values_of

DEAD_CONDITION = "dead_condition"
DEAD_ON_TRIGGER = "dead_on_trigger"
IDLE_TERM = "idle_term"
ONLY_KNOWN_TERM = "only_known_term"
_EXCLUDED = {1: " cannot be true", 2: " cannot both be true"}


def condition_findings(regions: Regions) -> Iterator[Finding]:
    """Yield what can be proved of each campaign's condition."""
    for campaign, condition in conditions_of(regions):
        region = regions.of(condition)
        if regions.is_empty(region):
            yield _dead(regions, campaign, condition)
            continue
        yield from _dead_on_triggers(regions, campaign, region.known)
        yield from _idle_terms(regions, campaign, condition)


def conditions_of(regions: Regions) -> Iterator[tuple[Campaign, Condition]]:
    """Yield each campaign that has a condition with it, by id."""
    rulebook = regions.rulebook
    campaigns = sorted(rulebook.catalogue.campaigns, key=lambda campaign: campaign.id)
    for campaign, number in zip(campaigns, rulebook.campaign_conditions, strict=True):
        if number >= 0:
            yield campaign, rulebook.conditions.conditions[number]


def never_matches(regions: Regions) -> set[str]:
    """Return the ids of campaigns whose condition never matches."""
    return {c.id for c, condition in conditions_of(regions) if regions.is_empty(regions.of(condition))}


def _dead(regions: Regions, campaign: Campaign, condition: Condition) -> Finding:
    terms = _culprits(regions, condition)
    region = regions.of(condition, terms)
    labels = [name for n, name in enumerate(regions.rulebook.schema.labels) if region.has & region.lacks & 1 << n]
    if labels:
        because = " and ".join(f"label {name} is asked for and ruled out" for name in labels)
    else:
        because = " and ".join(f"`{_short(term.source)}`" for term in terms) + _EXCLUDED.get(
            len(terms), " exclude each other"
        )
    ranges = [_declared(regions, term) for term in terms if term.slot in regions.declared and term.kind == RANGE]
    return Finding(
        DEAD_CONDITION,
        Subject("campaign", campaign.id, "condition", terms[-1].source if len(terms) == 1 else ""),
        "the condition never matches, so the campaign never makes an offer",
        because + "".join(f"; {text}" for text in dict.fromkeys(ranges)),
        "mend the condition, or take the campaign out",
    )


def _culprits(regions: Regions, condition: Condition) -> list[Term]:
    """Return terms that exclude each other, as few as can be left: without any one of them the rest could be true."""
    terms = list(condition.terms)
    for term in condition.terms:
        rest = [other for other in terms if other is not term]
        if regions.is_empty(regions.of(condition, rest)):
            terms = rest
    return terms


def _declared(regions: Regions, term: Term) -> str:
    slot = regions.rulebook.schema.slots[term.slot]
    ((low, high),) = regions.declared[term.slot]
    scale = 10**slot.scale
    return f"{slot.name} is declared from {low / scale:g} to {high / scale:g}"


def _dead_on_triggers(regions: Regions, campaign: Campaign, known: set[int]) -> Iterator[Finding]:
    """Yield the triggers that do not have a field whose value the condition needs: a request with another field is refused."""
    schema, catalogue = regions.rulebook.schema, regions.rulebook.catalogue
    first = len(catalogue.attributes) + 2
    needed = [schema.slots[slot].name for slot in sorted(known) if slot != ZONE_SLOT and slot >= first]
    fields = {trigger.id: {f"trigger.{field.id}" for field in trigger.fields} for trigger in catalogue.triggers}
    for trigger in campaign.triggers:
        missing = [name for name in needed if name not in fields[trigger]]
        if missing:
            yield Finding(
                DEAD_ON_TRIGGER,
                Subject("campaign", campaign.id, "triggers", trigger),
                f"on trigger {trigger} the condition never matches",
                f"it needs {', '.join(missing)}, which {trigger} does not have",
                "take the trigger out of the campaign, or make a campaign of its own for it",
            )


def _idle_terms(regions: Regions, campaign: Campaign, condition: Condition) -> Iterator[Finding]:
    """Yield terms that are true whenever the others are; each is left out before the next is looked at, so that all may go together."""
    terms = list(condition.terms)
    for term in reversed(condition.terms):
        if term.kind in (LABELS_ALL, LABELS_NONE):
            continue
        rest = [other for other in terms if other is not term]
        subject = Subject("campaign", campaign.id, "condition", term.source)
        if regions.follows(regions.of(condition, rest), condition, term):
            terms = rest
            others = [other.source for other in rest if _tells_of(other, term)]
            because = f"it follows from `{_short(' && '.join(others))}`" if others else "it is true for everybody"
            yield Finding(IDLE_TERM, subject, f"`{_short(term.source)}` decides nothing", because, "take it out")
        elif term.kind in (RANGE, RANGE_DOUBLE) and _covers_all(regions, term):
            name = regions.rulebook.schema.slots[term.slot].name
            yield Finding(
                ONLY_KNOWN_TERM,
                subject,
                f"`{_short(term.source)}` only says that {name} is known",
                f"it is true of every value that {name} can have",
                f"write has({name}) if that is meant, or mend the number",
            )


def _covers_all(regions: Regions, term: Term) -> bool:
    bounds = regions.bounds.get(term.slot)
    return bounds is not None and is_subset(bounds, values_of(term))


def _tells_of(other: Term, term: Term) -> bool:
    if term.kind == FIXED:
        return False
    if term.kind == PROGRAM:
        return other.kind == PROGRAM and other.source == term.source
    return other.slot == term.slot and other.kind not in (LABELS_ALL, LABELS_NONE, FIXED, PROGRAM)


def _short(text: str) -> str:
    return text if len(text) <= 100 else f"{text[:97]}..."
