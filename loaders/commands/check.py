"""`touchpoint check`: is this catalogue right?"""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

if TYPE_CHECKING:
    from engine.catalogue.model import Catalogue

DEMO_CATALOGUE = Path(__file__).parent.parent / "demo/catalogue"


def loaded(folder: Path) -> "Catalogue":
    """Return the catalogue of a folder; raises CatalogueErrors."""
    from loaders.catalogue.load import load_catalogue

    return load_catalogue(folder, now_us=time.time_ns() // 1000)


@click.command(
    epilog="""Examples:

    touchpoint check my-catalogue

    touchpoint check my-catalogue --json | jq '.problems[].file'
    """
)
@click.argument("folder", type=click.Path(path_type=Path), default=DEMO_CATALOGUE, metavar="[FOLDER]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object: what is there, or every mistake.")
def check(folder: Path, as_json: bool) -> None:
    """Check a catalogue, the folder of *.yaml files (the demo's when none is named), and report all mistakes at once.

    Each mistake is a line `file:line:column: what was expected, what it was, what to do`. Exit code 1 when there is any.
    """
    from loaders.catalogue.problems import CatalogueErrors

    try:
        catalogue = loaded(folder)
    except CatalogueErrors as errors:
        if as_json:
            problems = [
                {name: getattr(problem, name) for name in ("file", "line", "column", "what", "was", "do")}
                for problem in errors.problems
            ]
            click.echo(json.dumps({"ok": False, "problems": problems, "more": errors.more}))
        else:
            click.echo(str(errors), err=True)
        raise SystemExit(1) from None
    found = {
        name: len(getattr(catalogue, name))
        for name in ("labels", "attributes", "triggers", "channels", "products", "offers", "campaigns")
    }
    if as_json:
        click.echo(json.dumps({"ok": True, "catalogue": catalogue.id, **found}))
    else:
        click.echo(f"{catalogue.id} is right: " + ", ".join(f"{count} {name}" for name, count in found.items()))
