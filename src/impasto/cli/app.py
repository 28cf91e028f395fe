"""The program ``impasto``: it imports the command and turns errors into one sentence."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from pathlib import Path
from typing import Any

import click

from impasto.base import files, own_process
from impasto.base.errors import ImpastoError, bug, reason
from impasto.cli.streams import standard_streams

EXIT_BAD_INPUT = 2
EXIT_BUG = 1
EXIT_INTERRUPTED = 130

DEFAULT_COMMAND = "stylize"
OPTION_WORDS = ("help", "version")
"""Options that may be given without dashes."""
COMMANDS = {  # each is imported when it is used, because importing torch takes seconds
    "stylize": "Make a stylized image (the word may be left out).",
    "video": "Stylize a film, without flicker.",
    "live": "Stylize a camera, a screen or a stream live.",
    "studio": "Serve a web page to make pictures in, and a REST API.",
    "learn": "Train a network to paint in the style of a painting.",
    "texture": "Synthesize a texture in a painting's style, without a photo.",
    "reconstruct": "Reconstruct an image from the features of some layers.",
    "evaluate": "Measure a stylized picture: style, content, palette, roughness, border.",
    "compare": "Run several methods on the same pair: table, curves, sheet, report.",
    "report": "Write a page about a run: pictures, settings, losses, machine.",
    "inspect": "Show the network's layers, statistics and Gram matrices.",
    "classify": "Classify a picture with VGG-19's ImageNet classes.",
    "models": "List, check, fetch and remove network weights.",
    "styles": "List the styles, and manage your library.",
    "methods": "List the methods and their settings.",
    "presets": "List and explain the presets.",
    "doctor": "Describe this machine and installation for a bug report.",
}


class Commands(click.Group):
    """The group of all commands.

    ``impasto CONTENT STYLE`` means ``impasto stylize CONTENT STYLE``.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"impasto.cli.commands.{cmd_name}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        group_options = {"--help", "-h", "--version"}
        if len(args) == 1 and args[0] in OPTION_WORDS and not files.exists(Path(args[0])):
            args = [f"--{args[0]}"]
        if args and args[0] not in group_options and args[0] not in COMMANDS:
            args = [DEFAULT_COMMAND, *args]
        return super().parse_args(ctx, args)

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_usage("impasto", "CONTENT STYLE [STYLE ...] [-o OUT] [OPTIONS]")
        formatter.write_usage("impasto", "COMMAND [ARGS] [OPTIONS]", prefix="   or: ")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands, and the options of the default command."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))
        default = self.get_command(ctx, DEFAULT_COMMAND)
        assert default is not None
        default.format_options(ctx, formatter)


@click.group(
    cls=Commands,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="impasto", message="impasto %(version)s")
def app() -> None:
    """Neural style transfer: a photo and a painting become a new picture."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit.

    The exit code is 0 for success, 1 for a bug, 2 for bad input or a failed run, with one sentence
    on standard error, and 130 for an interrupted run.
    """
    own_process.configure()
    with standard_streams():
        sys.exit(_run(sys.argv[1:] if arguments is None else arguments))


def _run(arguments: list[str]) -> int:
    """Run a command. Returns the exit code."""
    debug = "--debug" in arguments
    code: Any
    try:
        code = app.main(args=arguments, prog_name="impasto", standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()
    except (click.exceptions.NoArgsIsHelpError, click.exceptions.Exit) as done:
        if isinstance(done, click.exceptions.NoArgsIsHelpError):
            click.echo(done.ctx.get_help() if done.ctx else "")
        code = getattr(done, "exit_code", 0) if isinstance(done, click.exceptions.Exit) else 0
    except click.ClickException as error:
        code = _explain(error.format_message(), debug)
    except ImpastoError as error:
        code = _explain(str(error), debug)
    except (KeyboardInterrupt, click.Abort):
        code = EXIT_INTERRUPTED
        click.echo("impasto: stopped before there was a picture", err=True)
    except BrokenPipeError:  # the reader of our output has closed it
        code = EXIT_BUG
    except OSError as error:
        code = _explain(_about_file(error), debug)
    except Exception as error:
        if is_out_of_memory(error):
            code = _explain("this machine ran out of memory; try a smaller --size", debug)
        else:
            hint = "" if debug else "; --debug shows where"
            _explain(f"{bug(error)}{hint}", debug)
            code = EXIT_BUG
    return code if isinstance(code, int) else 0


def is_out_of_memory(error: Exception) -> bool:
    """Return whether memory ran out, by the error's message: torch may not be imported."""
    words = ("allocate memory", "out of memory", "not enough memory")
    return isinstance(error, MemoryError) or any(word in str(error) for word in words)


def _about_file(error: OSError) -> str:
    """Return a sentence about a file that the operating system refuses."""
    name = error.filename if error.filename is not None else "a file"
    name = os.fsdecode(name) if isinstance(name, (str, bytes)) else name
    return f"{name} can't be read or written: {reason(error)}"


def _explain(sentence: str, debug: bool) -> int:
    """Print a sentence about an error. Returns the exit code."""
    if debug:
        traceback.print_exc()
    click.echo(f"impasto: {' '.join(sentence.split())}", err=True)
    return EXIT_BAD_INPUT
