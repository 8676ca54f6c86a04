"""The names of Kubernetes objects that are the same in every tenant's namespace, and that several parts must agree on.

What differs between tenants is what these objects hold: one ConfigMap, the Secret with the S3 credentials, and one
Secret for each role's keys.

>>> key_secret("trainer")
'polyglot-key-trainer'
"""

SETTINGS = "polyglot"
"""The tenant's ConfigMap; its keys are the settings' names."""

FORWARD_SETTINGS = "polyglot-forward"
"""The ConfigMap of ``forward``, which serves all tenants from a namespace of its own."""

S3_SECRET, S3_SECRET_KEYS = "polyglot-s3", ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
"""The Secret with the credentials of the tenant's bucket, and what it holds."""

S3_ERASE_SECRET = "polyglot-s3-erase"  # noqa: S105 - its name
"""The Secret with those of ``erase``, which alone may delete below ``assets/`` where the bucket's policy says so."""

KEYS_FOLDER = "/var/run/polyglot/keys"
"""Where a signing function finds its role's two key files."""

PUBLIC_KEYS = "polyglot-keys"
"""The ConfigMap with the public halves of the roles' keys, from which ``polyglot ledger appoint`` takes them."""

KEYS_ACCOUNT = "keys"
"""The service account of the Job that makes the roles' keys where a tenant's namespace is new."""

BROKER = "polyglot"

RUN_LABEL, RUN_TRAINS, RUN_ANNOUNCES = "polyglot.io/run", "trains", "announces"
"""The label of a run's pods: the one with the training container, and the one that posts ``training.finished``."""

GPU, GPU_NODE_LABEL = "nvidia.com/gpu", "accelerator"
"""The resource that is a GPU, and the label of nodes that have some; its value is the accelerator's name."""

STORAGE_LABEL = "polyglot.io/storage"
"""The label, ``"true"``, of a namespace whose pods are the object store."""

RUN_ACCOUNT, RUN_EXECUTOR = "run", "run-executor"
"""Service accounts of a run's pods (no rights, no token) and of Argo's executor in them (reports results)."""


def key_secret(role: str) -> str:
    """The Secret with a role's keys, mounted only into the function that signs with them."""
    return f"polyglot-key-{role}"


def key_files(role: str) -> tuple[str, str]:
    """The names of a role's key files, which are the keys of its Secret."""
    return f"{role}.ledger.key", f"{role}.statement.pem"


def public_key_files(role: str) -> tuple[str, str]:
    """What ``PUBLIC_KEYS`` holds of a role: its account, and its P-256 public key in PEM."""
    return f"{role}.account", f"{role}.statement.pub.pem"
