"""The embedded ledger node: ``anvil`` on a folder, as a child, with zero gas price and a chain id of its own.

    >>> chain = start(Path("data/chain"), Path("data/logs"), say=print)  # doctest: +SKIP
    >>> chain.url, chain.chain_id                                         # doctest: +SKIP
    ('http://127.0.0.1:40124', 1094795585)

The folder holds ``chain-id``, ``state.json``, which anvil writes over itself every second, and ``state.kept.json``, the
last whole copy of it. A ``kill -9`` loses up to the last second, or, in the middle of anvil's writing, what came after
the copy: the platform carries every stored authorization again, to the same addresses.
"""

import http.client
import json
import os
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from functions._domain.errors import Unavailable
from functions._runtime.local import child, loopback

# Blocks so large that none is ever half full: from half full on, EIP-1559 raises the base fee, and gas is free no more.
_GAS_LIMIT = 2**53 - 1
_STATES = 64
_ATTEMPTS = 3


class UnavailableAnvil(Unavailable):
    """The node's program is not installed."""


@dataclass(frozen=True)
class Chain:
    """A running node: its JSON-RPC endpoint, its chain id, its process."""

    url: str
    chain_id: int
    folder: Path
    child: child.Child

    def keep(self) -> bool:
        """Copy the state on disk aside if it is whole; called now and then, because anvil writes it in place."""
        return _keep(self.folder)

    def stop(self) -> None:
        """End it; anvil writes its state once more."""
        self.child.stop()
        self.keep()


def start(
    folder: Path,
    logs: Path,
    say: Callable[[str], None],
    block_time: float | None = None,
    patience: float = 15.0,
) -> Chain:
    """Start the node on the state in ``folder``, mining each transaction at once, or every ``block_time`` seconds.

    ``say`` is told where a damaged state had to be left behind.

    Raises:
        UnavailableAnvil: the program is not there.
        UnavailablePart: it does not come up.
    """
    program = find_anvil()
    folder.mkdir(parents=True, exist_ok=True)
    _mend(folder, say)
    chain_id = _chain_id(folder)
    for attempt in range(_ATTEMPTS):
        port = loopback.free_port()
        argv = [str(program), *_arguments(folder, chain_id, port, block_time)]
        started = child.start("the chain", argv, logs / "chain.log", child.plain_environment())
        chain = Chain(f"http://{loopback.HOST}:{port}", chain_id, folder, started)
        if _answers(chain, patience):
            return chain
        chain.child.stop()
        # Somebody may have taken the port meanwhile; anything else fails in the same way again.
        if attempt == _ATTEMPTS - 1 or "in use" not in chain.child.tail():
            break
    raise chain.child.failure()


def find_anvil() -> Path:
    """The node's own binary: ``POLYGLOT_ANVIL``, or what npm put below ``contracts/``. Raises UnavailableAnvil.

    The package's ``anvil`` command is a script that starts the binary and would not die with us.
    """
    given = os.environ.get("POLYGLOT_ANVIL")
    if given:
        if not Path(given).is_file():
            raise UnavailableAnvil(f"POLYGLOT_ANVIL names {given}, and there is no such file")
        return Path(given)
    modules = Path(__file__).parents[3] / "contracts" / "node_modules" / "@foundry-rs"
    for binary in sorted(modules.glob("anvil-*/bin/anvil*")):
        return binary
    raise UnavailableAnvil(f"no anvil below {modules}: run `make setup`, or set POLYGLOT_ANVIL, or POLYGLOT_RPC_URL")


def ask(url: str, method: str, *parameters: object, timeout: float = 5.0) -> object:
    """One JSON-RPC call; the answer's ``result``. Raises OSError where nothing sensible answers."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=timeout)
    question = {"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}
    try:
        connection.request("POST", "/", json.dumps(question), {"Content-Type": "application/json"})
        return json.loads(connection.getresponse().read())["result"]
    except (http.client.HTTPException, ValueError, KeyError) as error:
        raise OSError(f"{method} at {url}: {error!r}") from error
    finally:
        connection.close()


def _arguments(folder: Path, chain_id: int, port: int, block_time: float | None) -> list[str]:
    settings = {
        "--host": loopback.HOST,
        "--port": port,
        "--chain-id": chain_id,
        "--hardfork": "london",
        "--gas-price": 0,
        "--block-base-fee-per-gas": 0,
        "--gas-limit": _GAS_LIMIT,
        "--accounts": 0,
        "--order": "fifo",
        # States of old blocks are not kept on disk (no --preserve-historical-states: 400 contracts would cost a quarter
        # of a core, idle), and few in memory: from 500 on anvil spills them to files, 1.3 GB for 3,000 transactions,
        # each of which then takes 40 ms. Blocks, receipts and logs stay, so `eth_getLogs` from 0 finds everything.
        "--prune-history": _STATES,
        "--state": folder / "state.json",
        "--state-interval": 1,
        **({} if block_time is None else {"--block-time": block_time}),
    }
    flags = ["--disable-min-priority-fee", "--no-cors", "--quiet"]
    return [*flags, *(str(part) for setting in settings.items() for part in setting)]


def _answers(chain: Chain, patience: float) -> bool:
    end = time.monotonic() + patience
    while chain.child.alive and time.monotonic() < end:
        with suppress(OSError):
            # The id tells it from another node that was given the same port.
            if ask(chain.url, "eth_chainId") == hex(chain.chain_id):
                return True
        time.sleep(0.01)
    return False


def _chain_id(folder: Path) -> int:
    """The folder's own chain id, so that a signature for one platform is none for another."""
    path = folder / "chain-id"
    if not path.exists():
        _write(path, f"{secrets.randbelow(2**30) + 2**30}\n".encode())
    return int(path.read_text())


def _mend(folder: Path, say: Callable[[str], None]) -> None:
    """Leave a state that anvil can read, or none."""
    state, kept = folder / "state.json", folder / "state.kept.json"
    if state.exists() and is_whole(state.read_bytes()):
        _keep(folder)
        return
    if not state.exists() and not kept.exists():
        return
    if state.exists():
        state.replace(folder / "state.damaged.json")
    if kept.exists() and is_whole(kept.read_bytes()):
        _write(state, kept.read_bytes())
        say("The chain's state was damaged by a sudden end: going on from an older copy.")
    else:
        say("The chain's state was damaged by a sudden end: starting an empty chain.")


def _keep(folder: Path) -> bool:
    """Copy ``state.json`` where it has changed and is whole; False where there is nothing to copy."""
    state, kept = folder / "state.json", folder / "state.kept.json"
    if not state.exists():
        return False
    written = state.read_bytes()
    if kept.exists() and kept.read_bytes() == written:
        return True
    if not is_whole(written):
        return False
    _write(kept, written)
    return True


def is_whole(state: bytes) -> bool:
    """Whether these bytes are a state that anvil wrote to its end."""
    try:
        return "block" in json.loads(state)
    except (ValueError, TypeError):
        return False


def _write(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all."""
    draft = path.with_name(path.name + ".draft")
    with draft.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
