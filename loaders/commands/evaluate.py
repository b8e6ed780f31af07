"""`touchpoint eval`: CEL expressions, by the same lowering, tables and kernels as serving."""

import json
import sys
from collections.abc import Iterator
from typing import Any, BinaryIO

import rich_click as click


@click.command(
    name="eval",
    epilog="""Examples:

    touchpoint eval 'subscriber.tenure_months > 12' --var subscriber.tenure_months:int=18

    touchpoint eval 'trigger.stayed >= duration("90m")' --var trigger.stayed:duration=2h --json

    echo '{"expr": "a / b", "vars": {"a": "int", "b": "int"}, "row": {"a": "7", "b": 0}}' | touchpoint eval --jsonl
    """,
)
@click.argument("expression", required=False)
@click.option(
    "--var",
    "variables",
    multiple=True,
    metavar="NAME:TYPE[=VALUE]",
    help="A name, its type (bool, int, double, string, timestamp, duration) and its value; without a value it is missing.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the answer as one line of JSON.")
@click.option(
    "--jsonl",
    is_flag=True,
    help="Read expressions from standard input, one JSON object a line; write one answer a line.",
)
def evaluate(expression: str | None, variables: tuple[str, ...], as_json: bool, jsonl: bool) -> None:
    """Evaluate one CEL expression against one row; exit code 1 when it is refused or fails.

    With --jsonl, lines are {"expr", "vars": {name: type}, "row": {name: value}}, answers {"value"}, {"unknown": [names]}, {"refused": why} or
    {"error": why}, and the exit code is 0.
    """
    if jsonl == (expression is not None) or (jsonl and variables):
        raise click.UsageError(
            "give either an EXPRESSION (with --var for its names), or --jsonl and lines on standard input"
        )
    if jsonl:
        _each_line()
    else:
        assert expression is not None
        _one(expression, variables, as_json)


def _each_line() -> None:
    from engine.cel.evaluate import evaluate_rows

    sys.stdout.reconfigure(encoding="utf-8", line_buffering=False)  # type: ignore[union-attr]
    for answer in evaluate_rows(_lines(sys.stdin.buffer)):
        sys.stdout.write(answer + "\n")


def _lines(stream: BinaryIO) -> Iterator[str]:
    for raw in stream:
        try:
            yield raw.decode()
        except UnicodeDecodeError:
            yield "(this line is not UTF-8)"


def _one(expression: str, variables: tuple[str, ...], as_json: bool) -> None:
    from engine.cel.evaluate import evaluate_one

    types: dict[str, str] = {}
    row: dict[str, Any] = {}
    for text in variables:
        name, kind, value = _variable(text)
        if name in types:
            raise click.BadParameter(f"{name} is given twice", param_hint="--var")
        types[name] = kind
        row[name] = value
    answer = evaluate_one(expression, types, row)
    if as_json:
        click.echo(json.dumps(answer, ensure_ascii=False))
    elif "value" in answer:
        click.echo(json.dumps(answer["value"], ensure_ascii=False))
    elif "unknown" in answer:
        click.echo(f"unknown, for want of {', '.join(answer['unknown'])}")
    else:
        raise click.ClickException(str(answer.get("refused") or f"the expression fails: {answer.get('error')}"))
    if "value" not in answer and "unknown" not in answer:
        raise SystemExit(1)


def _variable(text: str) -> tuple[str, str, Any]:
    declared, equals, value = text.partition("=")
    name, colon, kind = declared.partition(":")
    if not name or not colon:
        raise click.BadParameter(f"expected NAME:TYPE or NAME:TYPE=VALUE, was {text!r}", param_hint="--var")
    if not equals:
        return name, kind, None
    if kind == "bool":
        if value not in ("true", "false"):
            raise click.BadParameter(f"{name}: expected true or false, was {value!r}", param_hint="--var")
        return name, kind, value == "true"
    return name, kind, value
