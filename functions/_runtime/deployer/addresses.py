"""Where the functions of a deployed platform are: what ``POLYGLOT_URL`` has to be."""

from collections.abc import Sequence

from functions._runtime.manifests.files import Manifest
from functions.declaration import Function


def template(services: Sequence[Manifest], functions: Sequence[Function]) -> str:
    """The addresses of all functions with routes, as one: ``http://{function}.acme.example.org``.

    A Service's host is the cluster's to choose (``domain-template`` in Knative's ConfigMap ``config-network``). Empty
    where one is not known yet, or where no one template fits all.
    """
    urls = {one["metadata"]["name"]: str((one.get("status") or {}).get("url") or "") for one in services}
    names = [function.name for function in functions if function.routes]
    found = {urls.get(name, "").replace(name, "{function}", 1) for name in names}
    (only,) = found if len(found) == 1 else ("",)
    return only if "{function}" in only else ""
