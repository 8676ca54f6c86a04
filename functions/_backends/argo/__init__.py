"""Training on Argo Workflows (https://argo-workflows.readthedocs.io), the engine of a cluster.

A run is a Workflow named after it, so submitting it twice starts one. Its pod has three containers of its own:

    stage   (init, ours)       fetches the inputs, verifies every byte, notes the machine and the isolation in force
    train   (the user's image) no credentials, no token, read-only root; its results stay in volumes of the pod
    keep    (ours)             starts when ``train`` has ended well: checks the results and stages them in the bucket

and when it has ended, however it did, a second pod, ``announce``, posts ``training.finished``.

Argo's own upload of artifacts is not used: it follows symbolic links in the container that holds the store's
credentials, so a training could have them copied to where they are read. ``keep`` refuses links. It is listed before
``train``: all containers share the volume with Argo's executor, which each runs first, and a kubelet starts containers
in their order, so the executor that ``keep`` runs is loaded before a training could replace it.

    engine    ArgoEngine, the port
    workflow  a run as a Workflow, built with Hera
    state     what a Workflow and its pods tell of a run
    api       the Kubernetes API, as far as it is needed
    pod       what our containers do
    __main__  their entry: ``python -I -m functions._backends.argo stage|keep|announce``
"""

from functions._backends.argo.engine import ArgoEngine

__all__ = ["ArgoEngine"]
