"""A small operator for the server's tests: every field type, both kinds of channel, a control group, caps, two languages, 60 customers."""

import datetime
from pathlib import Path
from typing import Final, NamedTuple

from engine.base.keys import create_secret
from engine.base.schema import base_schema_of
from engine.rulebook import compile_rulebook, save_rulebook
from loaders.base.build import build_base
from loaders.base.mapping import read_mapping
from loaders.catalogue.load import load_catalogue

NOW: Final = datetime.datetime.now(datetime.UTC).replace(microsecond=0)

CATALOGUE: Final = """
catalogue: test_operator
policy_version: "1"
country: {name: United States, zones: [America/Chicago, America/New_York], home_zone: America/Chicago}
languages: [en, es]
ranking: {priority_first: true, factors: [propensity, value, lever]}
labels:
  - {id: heavy_data, family: consumption, kind: dynamic, max_age: 7d}
  - {id: vip, family: business, kind: static}
attributes:
  - {id: balance, type: decimal, scale: 2, min: -1000, max: 10000, unit: USD}
  - {id: first_name, type: string}
  - {id: score, type: double}
  - {id: tenure_months, type: int, min: 0, max: 1200, unit: months}
triggers:
  - {id: desk_open, moment: service, placement: true}
  - {id: quiet_corner, moment: service, placement: true}
  - id: usage
    moment: abnormal
    fields:
      used_mb: {type: double, unit: MB}
      app: {type: string}
      calls: {type: int}
      roaming: {type: bool}
      since: {type: timestamp}
      lasted: {type: duration}
channels:
  - {id: desk, kind: pull, class: screen, max_offers: 6, hold: 15m, inbound_exempt: true}
  - {id: sms, kind: push, class: message, max_offers: 1, queue_deadline: 2h, defer_quiet_hours: true, content_chars_max: 160}
products:
  - {id: data_a, name: {en: Data A, es: Datos A}, price: 9.90, category: data, exclusive_group: main}
  - {id: data_b, name: {en: Data B, es: Datos B}, price: 19.90, category: data, exclusive_group: main}
  - {id: film, name: {en: Film, es: Cine}, price: 3.00, category: video}
  - {id: music, name: {en: Music}, price: 2.00, category: audio}
offers:
  - id: a_half
    product: data_a
    value: 4.5
    priority: 5
    propensity: 0.08
    content:
      desk: {en: "{{subscriber.first_name|You}}: {{offer.name}} at {{offer.price}}", es: "{{subscriber.first_name|Usted}}: {{offer.name}} por {{offer.price}}"}
      sms: {en: "{{subscriber.first_name|Hello}}, {{trigger.used_mb|much}} MB in {{trigger.app|an app}} for {{trigger.lasted|long}}", es: "Hola"}
    script:
      desk: {en: "Offer {{offer.name}}.", es: "Ofrezca {{offer.name}}."}
  - {id: b_half, product: data_b, value: 6, priority: 4, propensity: 0.05, content: {desk: {en: "{{offer.name}}"}}}
  - {id: film_month, product: film, value: 2, priority: 3, propensity: 0.1, content: {desk: {en: "Film {{subscriber.balance|0}}"}}}
  - {id: music_month, product: music, value: 1, priority: 2, propensity: 0.1, content: {desk: {en: "Music ♫"}}}
  - {id: held_back, product: music, value: 9, priority: 9, propensity: 0.9, content: {desk: {en: "never"}}}
campaigns:
  - {id: data, state: live, triggers: [desk_open, usage], channels: [desk, sms], purpose: service, offers: [a_half]}
  - {id: data_b, state: live, triggers: [desk_open, usage], channels: [desk], purpose: service, offers: [b_half]}
  - {id: extras, state: live, triggers: [desk_open], channels: [desk], purpose: service, offers: [film_month, music_month],
     condition: '"vip" in subscriber.labels || subscriber.tenure_months > 12'}
  - {id: measured, state: live, triggers: [desk_open], channels: [desk], purpose: service, offers: [held_back], control_share: 1.0}
  - {id: typed, state: live, triggers: [usage], channels: [desk], purpose: service, offers: [film_month],
     condition: 'trigger.used_mb > 900.0 && trigger.app == "vidéo" && trigger.calls == 3 && trigger.roaming && trigger.lasted > duration("90s")'}
contact_policy:
  purposes: [{id: marketing, basis: opt_in}, {id: service, basis: opt_out}]
  caps:
    - {id: film_week, scope: offer, target: film_month, per: subscriber, counts: accepted, window: {rolling: 7d}, limit: 1}
  cool_down: {after_refusal: 30d, refusal_scope: offer, after_not_now: 1d, not_now_scope: offer}
  reoffer: {after_acceptance: never, scope: offer}
"""

MAPPING: Final = """
key: {column: msisdn, kind: msisdn, region: US}
columns: {heavy: bool, vip: bool, tenure: int, balance: {type: decimal, scale: 2}, score: double}
bool: {true: ["1"], false: ["0"]}
attributes: {first_name: name, tenure_months: tenure, balance: balance, score: score}
labels: {heavy_data: heavy, vip: vip}
zone: {column: zone}
language: {column: language}
consent:
  service/sms: {column: sms, granted: ["yes"], refused: ["no"]}
"""

CUSTOMERS: Final = 60
NAMES: Final = ("Ada", "Björk", "Çelik", "Дмитрий", "美咲", "🌻 Ann")
SPANISH: Final = 1
"""Customers n with n % 6 == SPANISH speak Spanish."""


class Operator(NamedTuple):
    """Where the operator's parts are; the names are those of the server's settings."""

    folder: Path
    rulebook: Path
    base: Path
    key_secret_file: Path


def msisdn(number: int) -> str:
    """Return the key of customer `number`, 0 to CUSTOMERS - 1, in E.164."""
    return f"+1312555{number:04d}"


def write_operator(folder: Path, catalogue: str = CATALOGUE, customers: int = CUSTOMERS) -> Operator:
    """Build the operator's rulebook and base of so many customers under `folder`."""
    made = Operator(folder, folder / "rulebook", folder / "base", folder / "key-secret")
    source = folder / "catalogue"
    source.mkdir()
    (source / "all.yaml").write_text(catalogue)
    loaded = load_catalogue(source, now_us=int(NOW.timestamp()) * 1_000_000)
    save_rulebook(compile_rulebook(loaded), made.rulebook)
    (folder / "mapping.yaml").write_text(MAPPING)
    table = folder / "customers.csv"
    rows = ["msisdn,name,heavy,vip,tenure,balance,score,zone,language,sms"]
    for n in range(customers):
        language = "es" if n % len(NAMES) == SPANISH else "en"
        consent = "no" if n % 10 == 9 else "yes"
        rows.append(
            f"{msisdn(n)},{NAMES[n % len(NAMES)]},{n % 2},{n % 3 // 2},{n},{n}.{n % 100:02d},{n / 7},America/Chicago,{language},{consent}"
        )
    table.write_text("\n".join(rows) + "\n", encoding="utf-8")
    schema = base_schema_of(loaded)
    secret = create_secret(made.key_secret_file)
    as_of_us = int((NOW - datetime.timedelta(days=1)).timestamp()) * 1_000_000
    report = build_base(
        table, read_mapping(folder / "mapping.yaml", schema), schema, secret, made.base, as_of_us=as_of_us
    )
    assert report.rows_kept == customers, report
    return made
