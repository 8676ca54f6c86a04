"""Registering: ``dataset register``, ``image push``, ``model register``, ``model import``."""

import argparse
import re
from pathlib import Path
from uuid import UUID, uuid4

from functions._cli import options
from functions._cli.client import Client
from functions._cli.failures import YES, Failed
from functions._cli.output import counted, result, say
from functions._domain.errors import RejectedContent, RejectedRequest

NIL = UUID(int=0)
_NAME = re.compile(r"[^A-Za-z0-9 ._-]+")


def add(subparsers: "options.Subparsers[argparse.ArgumentParser]") -> None:
    """Add these commands."""
    _add_dataset(options.group(subparsers, "dataset", "register a dataset"))
    _add_image(options.group(subparsers, "image", "push a training image folder"))
    models = options.group(subparsers, "model", "register a model to be trained, or import one")
    _add_model(models)
    _add_import(models)


def _add_dataset(subparsers: "options.Subparsers[argparse.ArgumentParser]") -> None:
    parser = options.command(
        subparsers,
        "register",
        "upload a folder or file and register it as a dataset",
        register_dataset,
        [
            "polyglot dataset register ./digits --name digits --licence CC-BY-4.0 --wait",
            "polyglot dataset register measurements.csv",
        ],
    )
    parser.add_argument("path", metavar="PATH", type=Path, help="the folder or file")
    parser.add_argument("--name", help="a name to find it by (default: the folder's or file's own)")
    parser.add_argument("--licence", metavar="SPDX", help="its licence, as an SPDX expression")
    parser.add_argument(
        "--allow-image",
        metavar="DIGEST",
        action="append",
        default=[],
        help="let only this image train on it (sha256:…; may be repeated)",
    )
    parser.add_argument("--wait", action="store_true", help="wait until the ledger has it, and check its digest")


def _add_image(subparsers: "options.Subparsers[argparse.ArgumentParser]") -> None:
    parser = options.command(
        subparsers,
        "push",
        "push an image folder (Containerfile, train.py, requirements.txt); prints its digest",
        push_image,
        ["polyglot image push examples/digits/image"],
    )
    parser.add_argument("path", metavar="DIR", type=Path, help="the folder")


def _add_model(subparsers: "options.Subparsers[argparse.ArgumentParser]") -> None:
    parser = options.command(
        subparsers,
        "register",
        "register a model: the platform trains and translates it",
        register_model,
        [
            "polyglot model register --dataset $DATASET --image ./image --hyperparameter epochs=3 --wait",
            "polyglot model register --dataset train=$A --dataset validation=$B \\",
            "    --image registry.example/trainer@sha256:… --cpu 4 --memory 8G --deadline 2h",
        ],
    )
    parser.add_argument(
        "--dataset",
        metavar="[CHANNEL=]UUID",
        type=options.channel,
        action="append",
        required=True,
        help="a dataset and the channel it comes by (default channel: train; may be repeated)",
    )
    parser.add_argument(
        "--image", required=True, metavar="NAME@sha256:…|DIR", help="the training image, or an image folder"
    )
    parser.add_argument(
        "--command",
        metavar="ARG",
        action="append",
        help="the container's command (may be repeated; default: train; an ARG that begins with - as --command=-x)",
    )
    parser.add_argument(
        "--hyperparameter", metavar="K=V", type=options.setting, action="append", default=[], help="may be repeated"
    )
    parser.add_argument("--cpu", type=int, metavar="N", help="processors (default 1)")
    parser.add_argument("--memory", type=options.size, metavar="SIZE", help="such as 512M or 8G (default 2G)")
    parser.add_argument("--gpu", type=int, metavar="N", help="GPUs (default 0)")
    parser.add_argument("--deadline", type=options.duration, metavar="T", help="such as 30m or 2h (default 1h)")
    parser.add_argument("--name", help="a name to find it by")
    parser.add_argument("--wait", action="store_true", help="wait until it is trained and translated")


def _add_import(subparsers: "options.Subparsers[argparse.ArgumentParser]") -> None:
    parser = options.command(
        subparsers,
        "import",
        "upload a model that was trained elsewhere",
        import_model,
        [
            "polyglot model import model.pt2 --name classifier --wait",
            "polyglot model import ./model --signature model.sig --signer-key signer.pem --wait",
        ],
    )
    parser.add_argument("path", metavar="PATH", type=Path, help="the folder or file")
    parser.add_argument("--dataset", metavar="UUID", type=options.asset, help="the dataset it is said to be trained on")
    parser.add_argument("--name", help="a name to find it by (default: the folder's or file's own)")
    parser.add_argument(
        "--signature",
        metavar="FILE",
        type=Path,
        help="an OpenSSF model signature of these files (model_signing sign key)",
    )
    parser.add_argument("--signer-key", metavar="PEM", type=Path, help="the public key that the signature must be of")
    parser.add_argument("--wait", action="store_true", help="wait until it is on the ledger and translated")


def register_dataset(args: argparse.Namespace) -> int:
    """Upload and register a dataset."""
    body = {"name": args.name or name_of(args.path), "licence": args.licence, "allow_images": args.allow_image}
    return _register_upload(args, "dataset", "/v1/datasets", body)


def import_model(args: argparse.Namespace) -> int:
    """Upload and register a model trained elsewhere."""
    signed = {"signature": args.signature, "public_key": args.signer_key}
    texts = {name: path.read_text() for name, path in signed.items() if path}
    body = {"name": args.name or name_of(args.path), "dataset": args.dataset, **texts}
    return _register_upload(args, "trained-model", "/v1/trained-models", body)


def _register_upload(args: argparse.Namespace, kind: str, route: str, body: dict[str, object]) -> int:
    from functions._cli.receipts import confirm, tell_made
    from functions._cli.upload import upload
    from functions._cli.wait import chain_completed

    client = options.connect(args)
    body = {key: value for key, value in body.items() if value}
    _check(kind, {"upload": NIL, **body})
    uploaded = upload(client, kind, args.path)
    say(f"uploaded {counted(uploaded.files, uploaded.size)}, inventory {uploaded.inventory_digest}")
    accepted = uploaded.register(client, route, {"upload": uploaded.id, **body})
    asset, document = accepted["asset"], {"id": accepted["asset"], "request": accepted["id"], "kind": kind}
    if not args.wait:
        say(f"submitted {asset}; `polyglot status {asset} --watch` follows it")
        result(args, asset, document | {"status": "submitted", "inventory_digest": uploaded.inventory_digest})
        return YES
    chain_completed(client, accepted["id"])
    receipt = confirm(client, asset, uploaded.inventory_digest)
    say(f"registered {asset} at {receipt['contract']}")
    if kind == "trained-model":
        document |= tell_made(client, asset)
    result(args, asset, document | {"status": "registered", "receipt": receipt})
    return YES


def push_image(args: argparse.Namespace) -> int:
    """Push an image folder and print its digest."""
    from functions._cli.images import push

    digest = push(options.connect(args), args.path)
    result(args, digest, {"digest": digest})
    return YES


def register_model(args: argparse.Namespace) -> int:
    """Register a model; with ``--wait``, wait until it is trained and translated."""
    from functions._cli.receipts import confirm, tell_made
    from functions._cli.wait import chain_completed
    from functions._domain.inventory import digest_of_lines

    body = model_body(args)
    _check("model", {"image": f"sha256:{NIL.int:064x}", **body})
    client = options.connect(args)
    body["image"] = _pinned(client, args.image)
    accepted = client.post("/v1/models", body, key=str(uuid4()))
    asset, document = accepted["asset"], {"id": accepted["asset"], "request": accepted["id"], "kind": "model"}
    if not args.wait:
        say(f"submitted {asset}; `polyglot status {asset} --watch` follows it")
        result(args, asset, document | {"status": "submitted"})
        return YES
    say(f"model {asset}")
    chain_completed(client, accepted["id"])
    # A model is its record and has no files of its own: its inventory is the empty one.
    document |= {"receipt": confirm(client, asset, digest_of_lines([]))} | tell_made(client, asset)
    if not document.get("trained_model"):
        raise Failed(f"{asset} is complete but has no trained model; `polyglot status {asset}` tells more")
    result(args, asset, document | {"status": "complete"})
    return YES


def model_body(args: argparse.Namespace) -> dict[str, object]:
    """The body that ``model register`` describes, apart from the image; what was not given is left out."""
    resources = {key: getattr(args, key) for key in ("cpu", "memory", "gpu") if getattr(args, key) is not None}
    body: dict[str, object] = {
        "datasets": options.distinct(args.dataset, "channel"),
        "command": args.command,
        "hyperparameters": options.distinct(args.hyperparameter, "hyper-parameter"),
        "resources": resources,
        "deadline": args.deadline,
        "name": args.name,
    }
    return {key: value for key, value in body.items() if value not in (None, {}, [])}


def _check(kind: str, body: dict[str, object]) -> None:
    """Refuse here what the platform would refuse after everything was sent. Raises RejectedRequest."""
    from pydantic import BaseModel, ValidationError

    from functions._domain import requests

    models: dict[str, type[BaseModel]] = {
        "dataset": requests.DatasetBody,
        "trained-model": requests.TrainedModelBody,
        "model": requests.ModelBody,
    }
    try:
        models[kind].model_validate(body)
    except ValidationError as error:
        found = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}, found {one['input']!r}" for one in error.errors()]
        raise RejectedRequest("; ".join(found)) from error


def _pinned(client: Client, image: str) -> str:
    from functions._cli.images import push

    if re.fullmatch(r"(\S+@)?sha256:[0-9a-f]{64}", image):
        return image
    if Path(image).is_dir():
        digest = push(client, Path(image))
        say(f"image {digest}")
        return digest
    raise RejectedRequest(
        f"{image!r} is neither a folder nor a pinned image: expected NAME@sha256:<64 hex digits> "
        "(docker inspect --format '{{index .RepoDigests 0}}' shows it), or an image folder"
    )


def name_of(path: Path) -> str:
    """The name of an asset that was given none: the folder's or file's own, as far as names allow."""
    if not path.exists():
        raise RejectedContent(f"{path} does not exist")
    return _NAME.sub("-", path.resolve().name).lstrip("._- ")[:200]
