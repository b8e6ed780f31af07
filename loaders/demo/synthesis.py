"""The demo's wide table: the sample's columns as they are, and after them the columns that the sample does not have.

Every added value is a function of the row and of the customer's id alone (a hash instead of a dice), so that the table is the same on every
machine. PROVENANCE.md says which column is the sample's, which is derived and which is synthesised; a test compares the two.
"""

import csv
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from loaders.demo.places import msisdn_of, place_of

SAMPLE: Final = Path(__file__).parent / "telco_customers.csv"

Row = dict[str, str]

_NAMES: Final = {
    ("en", "Female"): "Alice Amy Carol Dana Ellen Grace Hannah Joan Kate Laura Megan Nora Paula Rachel Ruth Sarah",
    ("en", "Male"): "Adam Brian Carl David Eric Frank George Henry Ian James Kevin Mark Neil Oscar Peter Tom",
    (
        "es",
        "Female",
    ): "Ana Beatriz Carmen Daniela Elena Gabriela Isabel Julia Lucía Luisa María Paula Rosa Sofía Teresa Valeria",
    (
        "es",
        "Male",
    ): "Alberto Andrés Carlos Diego Emilio Felipe Hugo Javier Jorge José Luis Manuel Mario Pablo Rafael Tomás",
}
_HANDSETS: Final = (
    "Aria 4",
    "Aria 5",
    "Borealis 10",
    "Borealis 12 5G",
    "Cirrus X 5G",
    "Delta Mini",
    "Delta Max 5G",
    "Echo One",
)
_ALLOWANCES_MB: Final = (2_000, 5_000, 10_000, 20_000)
_STICKY: Final = ("onlinesecurity", "onlinebackup", "deviceprotection", "techsupport", "streamingtv", "streamingmovies")
_TERM_MONTHS: Final = {"Month-to-month": 0, "One year": 12, "Two year": 24}
_SPANISH_SPEAKING: Final = {"305", "210", "213", "619", "915", "505", "520", "602", "713", "512", "702", "312", "212"}
CONSENT_CHANNELS: Final = ("sms", "notification", "outbound_call", "desk", "app", "ussd")


def draw(customer: str, what: str, sides: int) -> int:
    """Return 0 to sides - 1, fixed by the customer's id and the name of what is drawn."""
    digest = hashlib.blake2b(f"{what}:{customer}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") % sides


def _chance(customer: str, what: str, percent: int) -> bool:
    return draw(customer, what, 100) < percent


def _yes(value: bool) -> str:
    return "Yes" if value else "No"


def _derived(row: Row) -> Row:
    """Return what follows from the sample's own columns."""
    tenure, term = int(row["tenure"]), _TERM_MONTHS[row["contract"]]
    sticky = (
        sum(row[column] == "Yes" for column in _STICKY)
        + (row["multiplelines"] == "Yes")
        + (row["internetservice"] != "No")
    )
    # Tenure, social circle, sticky services and contract, a point or two each.
    points = (
        min(tenure // 18, 3)
        + (row["partner"] == "Yes")
        + (row["dependents"] == "Yes")
        + min(sticky // 2, 3)
        + term // 12
    )
    return {
        "contract_months_left": str((-tenure) % term if term else 0),
        "sticky_services": str(sticky),
        "stability": "firm" if points >= 7 else "steady" if points >= 4 else "loose",
        "serves_self": _yes(row["paperlessbilling"] == "Yes" and row["paymentmethod"].endswith("(automatic)")),
    }


def _consents(customer: str) -> Row:
    """Return yes, no or nothing said for each channel; one in twelve has refused everything."""
    if draw(customer, "refuses_all", 12) == 0:
        return {f"marketing_{channel}": "no" for channel in CONSENT_CHANNELS}
    said = ("yes", "yes", "yes", "yes", "yes", "yes", "no", "")
    return {
        f"marketing_{channel}": said[draw(customer, f"consent_{channel}", len(said))] for channel in CONSENT_CHANNELS
    }


def _synthesised(row: Row, number: int) -> Row:
    """Return what the sample says nothing about."""
    customer, place = row["customerid"], place_of(number)
    language = "es" if _chance(customer, "language", 45 if place.area_code in _SPANISH_SPEAKING else 8) else "en"
    names = _NAMES[language, row["gender"]].split()
    streams = row["streamingtv"] == "Yes" or row["streamingmovies"] == "Yes"
    young = row["seniorcitizen"] == "0" and row["dependents"] == "No" and row["partner"] == "No"
    student = young and _chance(customer, "student", 25)
    handset_age = draw(customer, "handset_age", 60)
    return {
        "msisdn": msisdn_of(number),
        "first_name": names[draw(customer, "first_name", len(names))],
        "city": place.city,
        "zone": place.zone,
        "language": language,
        "birth_month": str(1 + draw(customer, "birth_month", 12)),
        "handset": _HANDSETS[draw(customer, "handset", len(_HANDSETS))],
        "handset_age_months": str(handset_age),
        "changes_handset_often": _yes(handset_age < 12 and _chance(customer, "handset_changes", 40)),
        "allowance_mb": str(_ALLOWANCES_MB[draw(customer, "allowance", len(_ALLOWANCES_MB))]),
        "student": _yes(student),
        "student_from_afar": _yes(student and _chance(customer, "from_afar", 35)),
        "heavy_data": _yes(row["internetservice"] != "No" and _chance(customer, "heavy_data", 55 if streams else 25)),
        "night_traffic": _yes(row["internetservice"] != "No" and _chance(customer, "night_traffic", 30)),
        "likes_savings": _yes(_chance(customer, "likes_savings", 45)),
        "likes_novelty": _yes(_chance(customer, "likes_novelty", 25)),
        "uses_app": _yes(_chance(customer, "uses_app", 30 if row["seniorcitizen"] == "1" else 70)),
        "uses_ussd": _yes(_chance(customer, "uses_ussd", 30)),
        **_consents(customer),
    }


def wide_rows(sample: Path = SAMPLE) -> Iterator[Row]:
    """Yield each customer of the sample with the added columns; raises ValueError for a file that is not the sample."""
    with sample.open(newline="", encoding="utf-8") as lines:
        reader = csv.DictReader(lines)
        if reader.fieldnames is None or "customerid" not in reader.fieldnames or len(reader.fieldnames) != 21:
            raise ValueError(
                f"{sample}: expected the sample's 21 columns, was {reader.fieldnames}; restore the file from the repository"
            )
        for number, row in enumerate(reader):
            yield {**row, **_derived(row), **_synthesised(row, number)}


def write_wide(target: Path, facts_as_of: str, sample: Path = SAMPLE) -> int:
    """Write the wide table as CSV, with the instant from which dynamic labels count (RFC 3339) in each row; return the number of rows."""
    rows = 0
    with target.open("w", newline="", encoding="utf-8") as lines:
        writer: csv.DictWriter[str] | None = None
        for row in wide_rows(sample):
            full = {**row, "totalcharges": row["totalcharges"].strip(), "facts_as_of": facts_as_of}
            if writer is None:
                writer = csv.DictWriter(lines, fieldnames=list(full))
                writer.writeheader()
            writer.writerow(full)
            rows += 1
    return rows
