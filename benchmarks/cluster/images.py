"""What each image adds to its base: a pod of it counts the files below ``/opt/polyglot``, where all of it lies.

Counted as a layer holds them, uncompressed: a header of 512 bytes for each entry, and content in blocks of 512 bytes.
"""

import time
from collections.abc import Sequence

from benchmarks.cluster.site import Site
from benchmarks.cluster.sizes import Sizes
from benchmarks.table import Row
from functions._domain.errors import Unavailable
from functions._runtime.manifests.files import Manifest

PLAIN = ("polyglot-plain", "polyglot-ledger", "polyglot-argo")
"""Those without a framework: each runs plain functions."""

MOST = 250
PATIENCE = 300.0
COUNT = """\
import os
size, seen = 0, set()
for folder, _, names in os.walk("/opt/polyglot"):
    size += 512
    for name in names:
        about = os.lstat(os.path.join(folder, name))
        again = about.st_nlink > 1 and about.st_ino in seen
        seen.add(about.st_ino)
        size += 512 + (0 if again or os.path.islink(os.path.join(folder, name)) else -(-about.st_size // 512) * 512)
print(size)
"""


def rows(site: Site, _sizes: Sizes) -> list[Row]:
    """A row for each image that was built; the target is for those of plain functions."""
    names: dict[str, list[str]] = {}
    for name in sorted(site.images, key=_order):
        if name.startswith("polyglot-"):
            names.setdefault(site.images[name], []).append(name)  # one build may stand in for another
    return [_row(same, counted(site, same[0])) for same in names.values()]


def _order(name: str) -> tuple[bool, str]:
    return name not in PLAIN, name


def _row(names: Sequence[str], size: int) -> Row:
    megabytes, promised = size / 1e6, names[0] in PLAIN
    return Row(
        f"image {' and '.join(names)}, over its base",
        f"{megabytes:.0f} MB",
        "",
        "",
        f"under {MOST} MB" if promised else "",
        megabytes < MOST if promised else None,
        samples={"ours": [megabytes]},
    )


def counted(site: Site, name: str) -> int:
    """The bytes of an image's own layers. Raises Unavailable where its pod does not end well."""
    pod = f"benchmark-size-{name}"
    site.cluster.delete("v1", "Pod", pod)
    site.cluster.create(_pod(pod, site.images[name]))
    try:
        end = time.monotonic() + PATIENCE
        while (phase := _phase(site, pod)) not in ("Succeeded", "Failed"):
            if time.monotonic() > end:
                raise Unavailable(f"the pod {pod} is {phase} after {PATIENCE:.0f} s")
            time.sleep(0.5)
        said = site.cluster.log(pod, "count", previous=False, lines=20)
        if phase == "Failed":
            raise Unavailable(f"the pod {pod} failed: {said}")
        return int(said)
    finally:
        site.cluster.delete("v1", "Pod", pod)


def _phase(site: Site, pod: str) -> str:
    return str(((site.cluster.get("v1", "Pod", pod) or {}).get("status") or {}).get("phase", "not there"))


def _pod(name: str, image: str) -> Manifest:
    container = {"name": "count", "image": image, "command": ["python", "-c", COUNT]}
    spec = {"restartPolicy": "Never", "automountServiceAccountToken": False, "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
