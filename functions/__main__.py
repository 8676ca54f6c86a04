"""The ``polyglot`` command.

    $ polyglot up
    $ . polyglot-data/env
    $ polyglot dataset register ./digits --wait

``polyglot --help`` lists all commands.
"""

import argparse
import os
import sys
from collections.abc import Sequence

from functions._cli import assets, build, evidence, follow, manifests, operate, read, verify, withdraw
from functions._cli.failures import INTERRUPTED, NO, WRONG_USE, exit_status
from functions._cli.output import say
from functions._domain.errors import PolyglotError

EPILOG = """\
start here:
  polyglot up                                       the whole platform on this machine, until Ctrl-C
  . polyglot-data/env                               in another shell: where it is
  polyglot dataset register ./data --wait           prints the dataset's UUID
  polyglot model register --dataset UUID --image ./image --wait
  polyglot verify UUID

exit status: 0 yes, 1 the check or the chain failed, 2 wrong use, 3 platform unavailable
"""


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    root = argparse.ArgumentParser(
        prog="polyglot",
        description="Share machine-learning models whose claims can be checked.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    subparsers = root.add_subparsers(metavar="COMMAND")
    for group in (operate, assets, follow, read, verify, withdraw, evidence, manifests, build):
        group.add(subparsers)
    return root


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status."""
    root = parser()
    try:
        args = root.parse_args(argv)
    except SystemExit as ending:  # argparse has said what is wrong, or shown its help
        return int(ending.code or 0)
    if not hasattr(args, "run"):
        root.print_help(sys.stderr)
        return WRONG_USE
    return _run(args)


def _run(args: argparse.Namespace) -> int:
    try:
        return int(args.run(args))
    except PolyglotError as error:
        say(f"polyglot: {error}")
        return exit_status(error)
    except KeyboardInterrupt:
        say("\npolyglot: stopped")
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has enough; Python would complain again while closing it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NO
    except OSError as error:
        say(f"polyglot: {error}")
        return NO


if __name__ == "__main__":
    sys.exit(main())
