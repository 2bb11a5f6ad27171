"""SSM documents: validate files, show what a node would be given, run one on this machine or on one node."""

from pathlib import Path
from typing import Annotated, Optional

import typer

from reconciler.cli.command_line import from_files
from reconciler.cli.document_run import run_document
from reconciler.cli.exits import Exit
from reconciler.cli.options import FormatOption
from reconciler.cli.output import Format, colour, say, say_json, shown
from reconciler.cli.problems import ProblemFormat, errors_among, problems_json, say_problems

documents = typer.Typer(help="SSM documents.", no_args_is_help=True, rich_markup_mode=None)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(documents, name="document")
    documents.command("run")(run_document)


@documents.command("validate")
def validate_documents(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Documents, or folders of them.")],
    output: Annotated[
        ProblemFormat, typer.Option("--format", help="text, json, or github (annotations).")
    ] = ProblemFormat.TEXT,
) -> int:
    """Report every mistake in SSM documents, errors and lints apart: file, line, column, value met, remedy.

    Runs and fetches nothing. Lints alone leave the exit code at 0.

    Examples:
      reconciler document validate documents/Motd.yaml
      reconciler document validate documents --format github
    """
    from reconciler.daemon.documents import judge_documents

    judged = list(judge_documents(files))
    problems = [problem for one in judged for problem in one.problems]
    errors = errors_among(problems)
    if output is ProblemFormat.JSON:
        say_json(
            {
                "valid": not errors,
                "documents": [{"file": one.file, "accepted": one.document is not None} for one in judged],
                "problems": problems_json(problems),
            }
        )
    say_problems(problems, output)
    if output is ProblemFormat.TEXT:
        accepted = sum(one.document is not None for one in judged)
        lints = len(problems) - len(errors)
        say(f"{accepted} of {len(judged)} documents accepted; {len(errors)} errors, {lints} lints")
    return Exit.NO_ANSWER if errors else Exit.DONE


@documents.command("show")
def show_document(
    document: Annotated[str, typer.Argument(metavar="NAME|FILE", help="A document's name, or a file.")],
    parameters: Annotated[
        Optional[list[str]],
        typer.Option("--parameters", help='NAME=VALUE,NAME=[VALUE,VALUE], or JSON: {"commands": ["id"]}.'),
    ] = None,
    version: Annotated[str, typer.Option("--document-version", help="$DEFAULT, $LATEST or a number.")] = "$DEFAULT",
    repo: Annotated[Path, typer.Option("--repo", help="A checkout of the state repository.")] = Path(),
    output: FormatOption = Format.TEXT,
) -> int:
    """Fill in a document's parameters and show the exact scripts a node would be given. Runs nothing.

    Examples:
      reconciler document show Motd --parameters text=hello
      reconciler document show AWS-RunShellScript --parameters 'commands=["id","uptime"]'
    """
    from reconciler.daemon.documents import show_document as fill_in
    from reconciler.documents.compact_json import as_text
    from reconciler.documents.error import RenderError
    from reconciler.documents.given import given_parameters
    from reconciler.errors import UsageError

    try:
        given = given_parameters(from_files(parameters, "--parameters"))
    except RenderError as exc:
        raise UsageError(str(exc)) from exc
    filled = fill_in(document, version, given, repo)
    if output is Format.JSON:
        say_json(filled.as_json())
        return Exit.DONE
    say(shown(f"{filled.document.name}, version {filled.document.version}, sha256 {filled.document.digest}"))
    for name, parameter in filled.document.parameters.items():
        say(shown(f"  {name} ({parameter.type}): {as_text(filled.values[name])}", 2000))
    for fetched in filled.rendered.fetched:
        say(
            shown(
                f"downloads {filled.masked(fetched.source)} (a pass or a plan fetches it; this command does not)", 1000
            )
        )
    for step in filled.rendered.steps:
        say(
            colour(
                shown(f"step {filled.masked(step.name)}: {step.action}, at most {int(step.timeout.total_seconds())} s"),
                "1",
            )
        )
        if step.skip is not None or step.fail is not None:
            said = f"  skipped: {step.skip}" if step.skip is not None else f"  fails: {step.fail}"
            say(shown(filled.masked(said), 1000))
        for line in filled.masked((step.script or b"").decode("utf-8", "replace")).splitlines():
            say(f"  | {shown(line, 10_000)}")
    return Exit.DONE
