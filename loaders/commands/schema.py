"""`touchpoint schema`: the JSON Schema of a catalogue's files."""

import json
from pathlib import Path

import rich_click as click


@click.command(
    epilog="""Examples:

    touchpoint schema > catalogue.schema.json

    touchpoint schema --output catalogue.schema.json
    """
)
@click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False), help="File to write instead of standard output."
)
def schema(output: Path | None) -> None:
    """Print the JSON Schema of the catalogue's files, for editors that complete and check YAML."""
    from loaders.catalogue.schema import catalogue_schema

    text = json.dumps(catalogue_schema(), indent=2, ensure_ascii=False)
    if output is None:
        click.echo(text)
        return
    try:
        output.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"{output}: cannot be written: {error.strerror}") from None
