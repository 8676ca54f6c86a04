"""Following a chain: ``status``, ``logs``, ``cancel``, ``retry``."""

import argparse

from functions._cli import options
from functions._cli.client import Client
from functions._cli.failures import NO, YES
from functions._cli.output import result, say
from functions._cli.wait import ENDED, Answer, StepsTeller, answers, step_line


def add(subparsers: "options.Subparsers[argparse.ArgumentParser]") -> None:
    """Add these commands."""
    uuid = "an asset's UUID"
    parser = options.command(
        subparsers,
        "status",
        "show how far an asset has come, and why it stopped",
        status,
        ["polyglot status $MODEL --watch"],
    )
    parser.add_argument("asset", metavar="UUID", type=options.asset, help=uuid)
    parser.add_argument("--watch", action="store_true", help="follow it until its chain has ended")
    parser = options.command(subparsers, "logs", "print what a training printed", logs, ["polyglot logs $MODEL | tail"])
    parser.add_argument("asset", metavar="UUID", type=options.asset, help=uuid)
    parser = options.command(subparsers, "cancel", "stop a training", cancel, ["polyglot cancel $MODEL"])
    parser.add_argument("asset", metavar="UUID", type=options.asset, help=uuid)
    parser = options.command(
        subparsers,
        "retry",
        "try a rejected or failed step again",
        retry,
        ["polyglot retry $MODEL && polyglot status $MODEL --watch"],
    )
    parser.add_argument("asset", metavar="UUID", type=options.asset, help=uuid)


def status(args: argparse.Namespace) -> int:
    """Show an asset's steps; exit status 1 where its chain has failed."""
    client, path = options.connect(args), f"/v1/assets/{args.asset}/status"
    answer = _watched(client, path) if args.watch else client.get(path)
    result(args, f"{answer['kind']} {answer['id']}: {answer['state']}" if args.watch else status_text(answer), answer)
    return NO if answer["state"] in ENDED and answer["state"] != "complete" else YES


def _watched(client: Client, path: str) -> Answer:
    told = StepsTeller()
    for answer in answers(client, path):
        told.tell(answer)
        if answer["state"] in ENDED:
            if answer.get("reason"):
                say(answer["reason"])
            return answer
    raise AssertionError("the platform is asked for ever")


def status_text(answer: Answer) -> str:
    """A status for a person."""
    attempt = f", attempt {answer['attempt']}" if answer.get("attempt", 1) > 1 else ""
    lines = [f"{answer['kind']} {answer['id']}: {answer['state']}{attempt}"]
    lines += [f"  {step_line(step)}" for step in answer["steps"]]
    reason = answer.get("reason")
    if reason and all(step.get("reason") != reason for step in answer["steps"]):
        lines.append(f"  {reason}")
    lines += [f"  │ {line}" for line in answer.get("log", "").splitlines()]
    if revoked := answer.get("revoked"):
        lines.append(f"  revoked on {revoked['time'][:10]}: {revoked['reason']}")
    if answer.get("erased"):
        lines.append(f"  erased on {answer['erased'][:10]}: its files are gone, its record and evidence stay")
    lines += [f"  {key.replace('_', ' ')} {answer[key]}" for key in ("trained_model", "translation") if answer.get(key)]
    return "\n".join(lines)


def logs(args: argparse.Namespace) -> int:
    """Print a training's last lines."""
    answer = options.connect(args).get(f"/v1/assets/{args.asset}/logs")
    result(args, answer["lines"].rstrip("\n"), answer)
    return YES


def cancel(args: argparse.Namespace) -> int:
    """Ask for a training to be stopped."""
    return _ask(args, "cancel", "asked for it to be stopped")


def retry(args: argparse.Namespace) -> int:
    """Ask for a failed step to be tried again."""
    return _ask(args, "retry", "asked for another attempt")


def _ask(args: argparse.Namespace, verb: str, text: str) -> int:
    accepted = options.connect(args).post(f"/v1/assets/{args.asset}/{verb}")
    say(f"{text}; `polyglot status {args.asset} --watch` follows it")
    result(args, accepted["asset"], {"id": accepted["asset"], "request": accepted["id"]})
    return YES
