"""All rules over one rulebook."""

from engine.lint.cap_rules import cap_findings
from engine.lint.condition_rules import condition_findings
from engine.lint.dominance import dominance_findings
from engine.lint.finding import Finding
from engine.lint.offer_rules import offer_findings
from engine.lint.quiet_rules import GAP_MINUTES, quiet_findings
from engine.lint.regions import Regions
from engine.rulebook import Rulebook


def lint(rulebook: Rulebook, gap_minutes: int = GAP_MINUTES) -> list[Finding]:
    """Return every finding, rule by rule; each is certain whatever subscribers, requests and ledger there are."""
    regions = Regions(rulebook)
    return [
        *condition_findings(regions),
        *offer_findings(rulebook.catalogue),
        *dominance_findings(regions),
        *cap_findings(rulebook),
        *quiet_findings(rulebook.catalogue, gap_minutes),
    ]


def undecided(rulebook: Rulebook) -> int:
    """Return how many campaigns have a condition with a program, of which nothing is proved."""
    programs = {
        number
        for number, condition in enumerate(rulebook.conditions.conditions)
        if condition.code and any(term.count for term in condition.terms)
    }
    return sum(number in programs for number in rulebook.campaign_conditions)
