"""The images that Services run: one for each set of extras, and the Containerfile that builds it.

An image's name in the manifests has no registry and no tag: whoever applies them says which build of it is meant:
``polyglot deploy`` by what ``building`` wrote down, kustomize by ``images:``.
"""

from collections.abc import Mapping, Sequence
from string import Template

from functions.declaration import Function, Variant

PREFIX = "polyglot-"
PLAIN = "plain"
LEDGER = "ledger"
TELEMETRY = "telemetry"
BASE = "python:3.11-slim"
"""What images are built upon where nothing else is asked for: Python 3.11 or later, with pip."""

SLIM = (
    r"find botocore/data -mindepth 1 -maxdepth 1 -type d ! -name s3 ! -name sts -exec rm -r {} +",
    "rm -rf kubernetes/aio Crypto/SelfTest triton torch/include",
)
"""Run in an image's site-packages.

``sts`` stays: some clusters give pods their S3 credentials by way of it. Triton makes kernels for ``torch.compile``,
which exporting is not; builds of PyTorch without CUDA do not bring it either.
"""

JOINED = " \\\n && "

CONTAINERFILE = Template("""\
# polyglot-$image runs: $services
# Built in the repository's root by `make images`, or by buildah, podman or docker itself:
#   buildah build --layers --file knative/images/$image.Containerfile --tag polyglot-$image .
ARG BASE=$base

FROM $${BASE} AS packages
# pip's own settings, all optional: --build-arg PIP_EXTRA_INDEX_URL=<an index with CPU builds of PyTorch>
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG PIP_FIND_LINKS
WORKDIR /build
COPY pyproject.toml constraints.txt ./
# The packages alone, with our own left empty, so that a change of our code does not install them again.
RUN mkdir functions && touch functions/__init__.py README.md \\
 && python3 -m venv --without-pip /opt/polyglot \\
 && python3 -m pip --python /opt/polyglot/bin/python --disable-pip-version-check install --quiet --no-compile \\
    --constraint constraints.txt '.$extras' \\
 && rm -r /opt/polyglot/lib/python3*/site-packages/functions \\
 && echo /opt/polyglot/app > "$$(echo /opt/polyglot/lib/python3*/site-packages)/polyglot.pth"
# What no function loads: botocore's descriptions of other services, a second client, tests, a compiler and its headers.
RUN cd /opt/polyglot/lib/python3*/site-packages \\
 && $slim
# Bytecode that is never checked against time stamps, which copying changes. Some packages hold templates and code for
# other Pythons that do not compile; nothing imports those.
RUN /opt/polyglot/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/polyglot/lib || true

FROM $${BASE}
COPY --from=packages /opt/polyglot /opt/polyglot
COPY functions /opt/polyglot/app/functions
RUN /opt/polyglot/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/polyglot/app
# HOME is the one place that can be written to.
ENV PATH=/opt/polyglot/bin:$$PATH \\
    HOME=/tmp \\
    PYTHONDONTWRITEBYTECODE=1 \\
    PYTHONUNBUFFERED=1 \\
    FUNCTION_SOURCE=/opt/polyglot/app/functions/_runtime/main.py \\
    THREADS=8
WORKDIR /tmp
USER 65532:65532
ENTRYPOINT []
CMD ["python", "-P", "-m", "functions._runtime.serve"]
""")


def image_of(function: Function, variant: Variant | None = None) -> str:
    """The image of a Service."""
    return PREFIX + _kind(function, variant)


def containerfiles(functions: Sequence[Function]) -> Mapping[str, str]:
    """The Containerfile of each image, by the image's name without its prefix."""
    used: dict[str, list[str]] = {}
    for function in functions:
        for name, variant in function.builds:
            used.setdefault(_kind(function, variant), []).append(name)
    return {
        image: CONTAINERFILE.substitute(
            image=image, services=", ".join(services), extras=_extras(image), slim=JOINED.join(SLIM), base=BASE
        )
        for image, services in sorted(used.items())
    }


def _kind(function: Function, variant: Variant | None) -> str:
    return (variant.extra if variant else function.extra) or PLAIN


def _extras(image: str) -> str:
    """The extras of pyproject.toml, as pip takes them: an image that is not the plain one can use the ledger.

    Telemetry is in all of them, 13 MB, so that a setting is enough to see what a running platform does.
    """
    extras = [] if image == PLAIN else [LEDGER] if image == LEDGER else [LEDGER, image]
    return f"[{','.join([*extras, TELEMETRY])}]"
