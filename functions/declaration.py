"""THE declaration: every function once, as data. Nothing about a function is said a second time anywhere.

From it come the embedded platform's routing and subscriptions, the OpenAPI document, the manifests in ``knative/``, and
the images to build. Handlers are dotted strings, so that reading the declaration imports none of them.

    >>> by_name("translate").consumes[0].type
    'io.polyglot.contract.deployed.v1'
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from functions._domain import cluster
from functions._domain.events import TYPE

Access = Literal["anyone", "reader", "publisher", "operator"]


PAGE_LIMIT = 8 << 20
"""The most bytes of a body that lists up to a thousand files, or holds somebody's signature of as many."""

TOKEN_LIMIT = 16 << 10
"""The most characters of a bearer token."""

EVENT_LIMIT = 1 << 20
"""The most bytes of an event, which says where to look and holds no data."""


@dataclass(frozen=True)
class Route:
    """One HTTP operation: who may call it, what it takes, what it answers.

    ``body`` and ``answer`` are pydantic models in ``functions._domain.requests`` and ``functions._domain.answers``.

    Attributes:
        access: the least role that may call it.
        limit: the most bytes of its body; no more are ever read.
        detail: what its summary does not say.
    """

    method: str
    path: str
    handler: str
    access: Access
    summary: str
    answer: str
    status: int = 200
    body: str | None = None
    query: tuple[tuple[str, str], ...] = ()
    limit: int = 64 << 10
    detail: str = ""


@dataclass(frozen=True)
class Consumed:
    """An event type a function subscribes to, with exact attribute filters as a Knative Trigger has them.

    ``by_variants`` says that each of the function's variants takes it, with its own filter added, and not the function.
    """

    name: str
    filter: Mapping[str, str] = field(default_factory=dict)
    by_variants: bool = False

    @property
    def type(self) -> str:
        """The CloudEvents type."""
        return TYPE.format(self.name)


@dataclass(frozen=True)
class Variant:
    """One build of a function: an extra filter, an extra to install, hardware it needs, instead of the function's own.

    Attributes:
        memory: more than the translator's own limit, so that a model that is too large ends with a reason and not with
            the pod.
        gpu: whole GPUs; the Service then asks for a node whose label ``accelerator`` is its filter's.
        concurrency: requests at once in one instance, where that is another number than the function's.
        cpu: the most it uses, where that is more than the function's.
    """

    suffix: str
    filter: Mapping[str, str]
    extra: str
    memory: str
    gpu: int = 0
    scratch: str = "16Gi"
    concurrency: int = 0
    cpu: str = ""


@dataclass(frozen=True)
class Function:
    """One function: one folder, one Knative Service (for each variant), one file of tests.

    Attributes:
        extra: what its image installs beside the plain packages and ``ledger``; without one its image is the plain one.
        concurrency: requests at once in one instance.
        max_scale: instances at once of each Service.
        timeout: seconds for one request, its cold start included.
        cpu: the most it uses; a twentieth of it is reserved.
        memory: what it uses at most, all of it reserved.
        scratch: the most it has below ``/tmp`` at once, in all its requests.
        bucket_secret: the Secret with the credentials by which it opens the tenant's bucket.
        engine: what it may do with runs on the engine; only such a function can talk to Kubernetes.
        notices: the handler for plain S3 ``Records`` notifications and Ceph's CloudEvents.
        schedule: when the timer calls it on a cluster, as cron; seldom enough to be at zero in between.
        scope: a tenant has one of each, apart from those that a cluster has once, for all its tenants.
    """

    name: str
    summary: str
    routes: tuple[Route, ...] = ()
    handler: str | None = None
    consumes: tuple[Consumed, ...] = ()
    produces: tuple[str, ...] = ()
    variants: tuple[Variant, ...] = ()
    role: str | None = None
    extra: str | None = "ledger"
    concurrency: int = 8
    max_scale: int = 10
    timeout: int = 300
    cpu: str = "1"
    memory: str = "512Mi"
    scratch: str = "256Mi"
    bucket_secret: str = cluster.S3_SECRET
    engine: Literal["", "reads", "changes"] = ""
    notices: str | None = None
    sink: Literal["", "dead-letter", "timer"] = ""
    schedule: str = ""
    scope: Literal["tenant", "cluster"] = "tenant"

    @property
    def builds(self) -> tuple[tuple[str, Variant | None], ...]:
        """The Services it becomes: its own name, unless its variants take everything, and one for each variant."""
        own = not self.variants or not all(one.by_variants for one in self.consumes)
        of_variants = ((f"{self.name}-{variant.suffix}", variant) for variant in self.variants)
        return (*(((self.name, None),) if own else ()), *of_variants)

    @property
    def services(self) -> tuple[str, ...]:
        """The names of its Services."""
        return tuple(name for name, _ in self.builds)

    def of(self, service: str) -> "Function":
        """The function as one of its Services has it."""
        variant = dict(self.builds)[service]
        if variant is None:
            return self
        return replace(self, concurrency=variant.concurrency or self.concurrency, cpu=variant.cpu or self.cpu)


_REQUESTS = "functions._domain.requests"
_ANSWERS = "functions._domain.answers"
_ACCEPTED = f"{_ANSWERS}:Accepted"


def _write(
    path: str, handler: str, summary: str, body: str | None, access: Access = "publisher", limit: int = Route.limit
) -> Route:
    return Route(
        "POST",
        path,
        f"functions.register.handler:{handler}",
        access,
        summary,
        _ACCEPTED,
        202,
        body and f"{_REQUESTS}:{body}",
        limit=limit,
    )


def _read(path: str, handler: str, summary: str, answer: str, *query: tuple[str, str]) -> Route:
    return Route(
        "GET", path, f"functions.retrieve.handler:{handler}", "reader", summary, f"{_ANSWERS}:{answer}", query=query
    )


TRANSLATORS = (
    Variant("torch", {"framework": "torch", "accelerator": "none"}, "torch", "5Gi"),
    Variant("torch-gpu", {"framework": "torch", "accelerator": "nvidia"}, "torch-gpu", "8Gi", gpu=1),
    Variant("tensorflow", {"framework": "tensorflow", "accelerator": "none"}, "tensorflow", "5Gi"),
    Variant("keras", {"framework": "keras", "accelerator": "none"}, "keras", "5Gi"),
    Variant("jax", {"framework": "jax", "accelerator": "none"}, "jax", "5Gi"),
    Variant("sklearn", {"framework": "sklearn", "accelerator": "none"}, "sklearn", "5Gi"),
    Variant("xgboost", {"framework": "xgboost", "accelerator": "none"}, "xgboost", "5Gi"),
    Variant("lightgbm", {"framework": "lightgbm", "accelerator": "none"}, "lightgbm", "5Gi"),
    Variant("onnx", {"framework": "onnx", "accelerator": "none"}, "onnx", "5Gi"),
)
"""The builds of ``translate``; whoever measures again, ``verify``, has one for each that needs no GPU."""

FUNCTIONS: tuple[Function, ...] = (
    Function(
        "register",
        "Accepts what is asked, presigns uploads, announces.",
        routes=(
            _write("/v1/uploads", "open_upload", "Open an asset for uploading its files", "UploadBody"),
            Route(
                "POST",
                "/v1/uploads/{id}/files",
                "functions.register.handler:add_files",
                "publisher",
                "Presign one page of files",
                f"{_ANSWERS}:PresignedFiles",
                200,
                f"{_REQUESTS}:FilesBody",
                limit=PAGE_LIMIT,
            ),
            Route(
                "POST",
                "/v1/uploads/{id}/complete",
                "functions.register.handler:complete_files",
                "publisher",
                "Make objects of uploaded parts",
                f"{_ANSWERS}:CompletedFiles",
                200,
                f"{_REQUESTS}:CompleteBody",
                limit=PAGE_LIMIT,
            ),
            Route(
                "POST",
                "/v1/images",
                "functions.register.handler:push_image",
                "publisher",
                "Push an image folder: answers where its files go",
                f"{_ANSWERS}:PushedImage",
                200,
                f"{_REQUESTS}:ImageBody",
                limit=PAGE_LIMIT,
            ),
            _write("/v1/datasets", "register_dataset", "Register an uploaded dataset", "DatasetBody"),
            _write(
                "/v1/models",
                "register_model",
                "Register a model: it is trained and translated",
                "ModelBody",
                limit=1 << 20,
            ),
            _write(
                "/v1/trained-models",
                "import_model",
                "Import a model trained elsewhere",
                "TrainedModelBody",
                limit=PAGE_LIMIT,
            ),
            _write("/v1/translations", "request_translation", "Ask for a translation to ONNX", "TranslationBody"),
            _write(
                "/v1/verifications",
                "request_verification",
                "Ask for claims to be verified",
                "VerificationBody",
                "reader",
            ),
            _write("/v1/assets/{id}/retry", "retry", "Try a rejected or failed step again", None),
            _write("/v1/assets/{id}/cancel", "cancel", "Stop a training", None),
            _write(
                "/v1/assets/{id}/revoke", "revoke", "Revoke an asset on the ledger, with a reason", "RevocationBody"
            ),
            _write("/v1/assets/{id}/erase", "erase", "Remove the files of a revoked asset", None),
            Route(
                "POST",
                "/v1/gc",
                "functions.register.handler:clear_away",
                "operator",
                "Remove abandoned uploads and the copies that finished runs staged",
                f"{_ANSWERS}:CleaningAnswer",
                202,
                query=(("after", "Go on after this, the `next` of an earlier answer"),),
            ),
            Route(
                "POST",
                "/v1/tokens",
                "functions.register.handler:create_token",
                "operator",
                "Make an API token",
                f"{_ANSWERS}:IssuedTokenAnswer",
                201,
                f"{_REQUESTS}:TokenBody",
                detail="It is shown in this answer and never again, so the same Idempotency-Key does not ask for the "
                "same thing once: a key that made a token before is refused with 422, which names that token.",
            ),
            Route(
                "GET",
                "/v1/tokens",
                "functions.register.handler:list_tokens",
                "operator",
                "Every API token, without itself",
                f"{_ANSWERS}:TokenList",
            ),
            Route(
                "POST",
                "/v1/tokens/{id}/revoke",
                "functions.register.handler:revoke_token",
                "operator",
                "Have an API token count no more",
                f"{_ANSWERS}:TokenAnswer",
                detail="Functions that saw it less than ten seconds ago take it until then.",
            ),
        ),
        produces=(
            "asset.submitted",
            "translation.requested",
            "verification.requested",
            "reproduction.requested",
            "cancellation.requested",
            "revocation.requested",
            "revocation.authorized",
            "erasure.requested",
            "asset.registered",
            "contract.deployed",
        ),
        concurrency=32,
        memory="256Mi",
    ),
    Function(
        "ingest",
        "Digests uploaded files in their final place and seals the asset; signs revocations.",
        handler="functions.ingest.handler:handle",
        consumes=(Consumed("asset.submitted"), Consumed("revocation.requested")),
        produces=("asset.registered", "revocation.authorized"),
        role="registrar",
        notices="functions.ingest.handler:notice",
        concurrency=4,
        timeout=600,
    ),
    Function(
        "deploy",
        "Carries authorizations to the ledger; the only sender of transactions.",
        handler="functions.deploy.handler:handle",
        consumes=(Consumed("asset.registered"), Consumed("evidence.authorized"), Consumed("revocation.authorized")),
        produces=(
            "contract.deployed",
            "evidence.recorded",
            "asset.revoked",
            "asset.submitted",
            "training.finished",
            "revocation.requested",
        ),
        concurrency=20,
        timeout=120,
    ),
    Function(
        "train",
        "Submits a model's training run, or that of a trained model once more.",
        handler="functions.train.handler:handle",
        consumes=(
            Consumed("contract.deployed", {"assetkind": "model"}),
            Consumed("reproduction.requested"),
            Consumed("cancellation.requested"),
        ),
        produces=("training.started", "training.failed"),
        extra="argo",
        engine="changes",
        concurrency=4,
        timeout=120,
    ),
    Function(
        "collect",
        "Promotes and seals the outputs of a finished run.",
        handler="functions.collect.handler:handle",
        consumes=(Consumed("training.finished"),),
        produces=(
            "asset.registered",
            "training.failed",
            "contract.deployed",
            "reproduction.finished",
            "reproduction.requested",
        ),
        role="trainer",
        extra="argo",
        engine="changes",
        concurrency=2,
        timeout=600,
    ),
    Function(
        "translate",
        "Exports a trained model to ONNX, measures equivalence, seals.",
        handler="functions.translate.handler:handle",
        consumes=(
            Consumed("contract.deployed", {"assetkind": "trained-model"}, by_variants=True),
            Consumed("translation.requested", by_variants=True),
        ),
        produces=("asset.registered",),
        variants=TRANSLATORS,
        role="translator",
        concurrency=1,
        max_scale=4,
        timeout=600,
        cpu="2",
    ),
    Function(
        "verify",
        "Checks a claim from the bytes and the ledger, and signs what it found.",
        handler="functions.verify.handler:handle",
        consumes=(
            Consumed("verification.requested", {"claim": "integrity"}),
            Consumed("verification.requested", {"claim": "provenance"}),
            Consumed("reproduction.finished"),
            Consumed("verification.requested", {"claim": "equivalence"}, by_variants=True),
        ),
        produces=("evidence.authorized",),
        variants=tuple(replace(one, concurrency=1, cpu="2") for one in TRANSLATORS if not one.gpu),
        role="verifier",
        concurrency=4,
        timeout=600,
    ),
    Function(
        "erase",
        "Removes the files of revoked assets, and what nothing needs any more.",
        handler="functions.erase.handler:handle",
        consumes=(Consumed("erasure.requested"),),
        bucket_secret=cluster.S3_ERASE_SECRET,
        concurrency=2,
        timeout=600,
    ),
    Function(
        "retrieve",
        "Reads: assets, status, contracts, lineage, files.",
        routes=(
            _read("/v1/requests/{id}", "get_request", "What became of a request", "RequestAnswer"),
            _read(
                "/v1/assets",
                "list_assets",
                "All assets, oldest first",
                "AssetList",
                ("kind", "Only this kind"),
                ("name", "Only this name"),
            ),
            _read("/v1/assets/{id}", "get_asset", "An asset's record and contract", "AssetAnswer"),
            _read(
                "/v1/assets/{id}/status", "get_status", "How far an asset has come, and why it stopped", "StatusAnswer"
            ),
            _read("/v1/assets/{id}/contract", "get_contract", "What the ledger says of an asset", "ContractAnswer"),
            _read(
                "/v1/assets/{id}/lineage", "get_lineage", "An asset with its ancestors and descendants", "LineageAnswer"
            ),
            _read(
                "/v1/assets/{id}/evidence",
                "get_evidence",
                "All that is needed to check an asset elsewhere, apart from inventories",
                "EvidenceAnswer",
            ),
            _read("/v1/assets/{id}/logs", "get_logs", "What a training printed", "LogsAnswer"),
            Route(
                "GET",
                "/v1/assets/{id}/files/{path}",
                "functions.retrieve.handler:get_file",
                "reader",
                "Redirects to one file's bytes; without a path, to the inventory",
                f"{_ANSWERS}:Redirected",
                307,
            ),
        ),
        extra="argo",
        engine="reads",
        concurrency=32,
        memory="256Mi",
    ),
    Function(
        "reconcile",
        "Finds steps that are missing and announces them.",
        routes=(
            Route(
                "POST",
                "/v1/reconcile",
                "functions.reconcile.handler:reconcile",
                "operator",
                "Sweep what is open now",
                f"{_ANSWERS}:SweepAnswer",
                200,
                query=(("all", "Also every finished asset"),),
            ),
        ),
        handler="functions.reconcile.handler:handle",
        produces=(
            "asset.submitted",
            "asset.registered",
            "contract.deployed",
            "training.finished",
            "evidence.authorized",
            "translation.requested",
            "verification.requested",
            "revocation.requested",
            "revocation.authorized",
            "erasure.requested",
            "reproduction.requested",
            "reproduction.finished",
        ),
        concurrency=1,
        max_scale=1,
        timeout=600,
        sink="timer",
        schedule="*/5 * * * *",
    ),
    Function(
        "bury",
        "Takes dead letters and marks what they were about.",
        handler="functions.bury.handler:handle",
        extra=None,
        concurrency=4,
        timeout=60,
        memory="256Mi",
        sink="dead-letter",
    ),
    Function(
        "forward",
        "Tells tenants' Brokers of uploads, where one webhook of a store serves all buckets.",
        produces=("asset.submitted",),
        extra=None,
        notices="functions.forward.handler:notice",
        concurrency=32,
        memory="256Mi",
        scope="cluster",
    ),
)

OUTSIDE_PRODUCERS: Mapping[str, str] = {"training.finished": "the run itself, source /tenants/<tenant>/runs/<run>"}
"""Event types that something other than a function produces too."""

RETRIES, BACKOFF = 10, 0.2
"""How a Broker delivers: ``RETRIES`` more attempts after the first, the n-th after ``BACKOFF`` * 2^(n-1) seconds."""

INFORMATIVE: frozenset[str] = frozenset({"training.started", "training.failed", "evidence.recorded", "asset.revoked"})
"""Event types that need no subscriber."""


def by_name(name: str) -> Function:
    """The function of this name, or the one that has a Service of this name. Raises KeyError."""
    for function in FUNCTIONS:
        if name in function.services:
            return function.of(name)
        if name == function.name:
            return function
    raise KeyError(f"no function {name!r}; there are {', '.join(function.name for function in FUNCTIONS)}")


def translates(framework: str, accelerator: str) -> bool:
    """Whether some translate variant takes models of this framework on this accelerator."""
    return _has_variant("translate", framework, accelerator)


def measures(framework: str, accelerator: str) -> bool:
    """Whether some verify variant measures translations of models of this framework on this accelerator."""
    return _has_variant("verify", framework, accelerator)


def _has_variant(function: str, framework: str, accelerator: str) -> bool:
    wanted = {"framework": framework, "accelerator": accelerator}
    found = next(one for one in FUNCTIONS if one.name == function)
    return any(variant.filter == wanted for variant in found.variants)


@dataclass(frozen=True)
class Subscription:
    """What a Knative Trigger says: events with these attributes go to this Service."""

    name: str
    service: str
    function: Function
    filter: Mapping[str, str]


def subscriptions(functions: Iterable[Function] = FUNCTIONS) -> tuple[Subscription, ...]:
    """Every Trigger of the platform, one for each consumed type and variant."""
    found = []
    for function in functions:
        for consumed in function.consumes:
            for service, variant in function.builds:
                if consumed.by_variants != (variant is not None):
                    continue
                filters = {"type": consumed.type, **consumed.filter, **(variant.filter if variant else {})}
                label = "-".join(
                    [service, consumed.name.replace(".", "-"), *(consumed.filter[key] for key in consumed.filter)]
                )
                found.append(Subscription(label, service, function.of(service), filters))
    return tuple(found)
