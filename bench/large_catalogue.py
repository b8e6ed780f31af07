"""Large catalogues as YAML files: so many offers in so many campaigns, each campaign with a condition of its own.

A condition has five terms, three labels and two ranges. Every offer has content on three channels in two languages, two of these texts with a
variable; caps of every scope, quiet hours, a cool-down and consent by purpose are there too.
"""

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Final

LABELS: Final = 256
ATTRIBUTES: Final = 16
CATEGORIES: Final = 24
OFFERS_PER_FILE: Final = 500
CAMPAIGNS_PER_FILE: Final = 1_000
TRIGGERS: Final = ("desk_open", "app_open", "data_usage", "recharge")
CHANNELS: Final = ("desk", "app", "sms")

_WHOLE: Final = """\
catalogue: large
policy_version: "1"
country: {name: Somewhere, zones: [America/Chicago, America/New_York], home_zone: America/Chicago}
languages: [en, es]
control: {salt: "1", universal_share: 0.01}
channels:
  - {id: desk, kind: pull, class: screen, max_offers: 6, hold: 15m, inbound_exempt: true}
  - {id: app, kind: pull, class: screen, max_offers: 3, hold: 5m, inbound_exempt: true, content_chars_max: 140}
  - {id: sms, kind: push, class: message, max_offers: 1, queue_deadline: 2h, content_chars_max: 160}
triggers:
  - {id: desk_open, moment: service, placement: true}
  - {id: app_open, moment: service, placement: true}
  - {id: data_usage, moment: abnormal, fields: {used_mb: {type: double, unit: MB}}}
  - {id: recharge, moment: service, fields: {amount: {type: double, unit: USD}}}
contact_policy:
  purposes: [{id: marketing, basis: opt_in}, {id: service, basis: opt_out}]
  quiet_hours: [{id: nights, classes: [message], from: "21:00", to: "09:00"}]
  caps:
    - {id: sms_week, scope: channel, target: sms, per: subscriber, counts: handed_off, window: {rolling: 7d}, limit: 3}
    - {id: all_week, scope: all, per: subscriber, counts: seen, window: {calendar: week}, limit: 60}
    - {id: offer_month, scope: offer, per: subscriber, counts: seen, window: {rolling: 30d}, limit: 4}
    - {id: category_week, scope: category, per: subscriber, counts: decided, window: {rolling: 7d}, limit: 10}
  cool_down: {after_refusal: 30d, refusal_scope: category, after_not_now: 1d}
  reoffer: {after_acceptance: never}
"""


def catalogue_files(offers: int, campaigns: int, seed: int) -> Iterator[tuple[str, str]]:
    """Yield (file name, YAML) of a catalogue; at most 65,535 of either, and the same for the same numbers."""
    rng = Random(f"{offers} {campaigns} {seed}")
    yield "catalogue.yaml", _WHOLE
    yield "subscribers.yaml", _subscribers()
    products = max(1, offers // 20)
    yield "products.yaml", "products:\n" + "".join(_product(number) for number in range(products))
    for first in range(0, offers, OFFERS_PER_FILE):
        numbers = range(first, min(first + OFFERS_PER_FILE, offers))
        text = "offers:\n" + "".join(_offer(rng, number, products) for number in numbers)
        yield f"offers_{first:05}.yaml", text
    for first in range(0, campaigns, CAMPAIGNS_PER_FILE):
        numbers = range(first, min(first + CAMPAIGNS_PER_FILE, campaigns))
        text = "campaigns:\n" + "".join(_campaign(rng, number, campaigns, offers) for number in numbers)
        yield f"campaigns_{first:05}.yaml", text


def write_catalogue(folder: Path, offers: int, campaigns: int, seed: int) -> None:
    """Write the files into a folder, which is made."""
    folder.mkdir(parents=True)
    for name, text in catalogue_files(offers, campaigns, seed):
        (folder / name).write_text(text, encoding="utf-8")


def _subscribers() -> str:
    labels = "".join(f"  - {{id: label_{n:03}, family: basic, kind: static}}\n" for n in range(LABELS))
    ranges = "".join(f"  - {{id: value_{n:02}, type: int, min: 0, max: 1000}}\n" for n in range(ATTRIBUTES - 1))
    return f"labels:\n{labels}attributes:\n{ranges}  - {{id: first_name, type: string}}\n"


def _product(number: int) -> str:
    name = f"{{en: Product {number}, es: Producto {number}}}"
    category = f"category_{number % CATEGORIES:02}"
    return f"  - {{id: product_{number:05}, name: {name}, price: {number % 90}.90, category: {category}}}\n"


def _offer(rng: Random, number: int, products: int) -> str:
    worth = f"value: {rng.randint(1, 500) / 10}, propensity: {rng.randint(1, 400) / 1_000}"
    gigabytes, price = rng.randint(1, 99), f"{rng.randint(1, 90)}.90"
    return (
        f"  - id: offer_{number:05}\n"
        f"    product: product_{number % products:05}\n"
        f"    {worth.replace(', ', chr(10) + '    ')}\n"
        "    content:\n"
        f'      desk: {{en: "{gigabytes} GB extra for ${price}.", es: "{gigabytes} GB extra por ${price}."}}\n'
        f'      app: {{en: "Running low? {gigabytes} GB for ${price}.", es: "¿Pocos datos? {gigabytes} GB por ${price}."}}\n'
        f'      sms: {{en: "{{{{subscriber.first_name|Hello}}}}, {gigabytes} GB for ${price}. Reply YES.",'
        f' es: "{{{{subscriber.first_name|Hola}}}}, {gigabytes} GB por ${price}. Responde SI."}}\n'
    )


def _campaign(rng: Random, number: int, campaigns: int, offers: int) -> str:
    made = [f"offer_{offer:05}" for offer in range(number, offers, campaigns)]
    triggers = sorted(rng.sample(TRIGGERS, 2))
    return (
        f"  - id: campaign_{number:05}\n"
        "    state: live\n"
        f"    triggers: [{', '.join(triggers)}]\n"
        f"    channels: [{', '.join(CHANNELS)}]\n"
        f"    purpose: {rng.choice(('marketing', 'service'))}\n"
        f"    offers: [{', '.join(made) or f'offer_{number % offers:05}'}]\n"
        f"    condition: '{condition(rng)}'\n"
    )


def condition(rng: Random) -> str:
    """Return CEL of five terms: two labels that must be there, one that must not, and two ranges."""
    one, two, three = (f'"label_{n:03}" in subscriber.labels' for n in rng.sample(range(LABELS), 3))
    low, high = (f"subscriber.value_{n:02}" for n in rng.sample(range(ATTRIBUTES - 1), 2))
    return f"{one} && {two} && !({three}) && {low} >= {rng.randint(0, 600)} && {high} < {rng.randint(200, 1_000)}"
