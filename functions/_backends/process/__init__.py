"""The process trainer: runs one's own training scripts as child processes, the embedded default of ``ports.Engine``.

engine    ProcessEngine, the port: starts supervisors and reads what they left
folder    the state of one run on disk, which is all that engine and supervisor share
__main__  starts the supervisor: ``python -I -m functions._backends.process RUNFOLDER``, settings on stdin
supervisor  one training from staging to its announcement
surroundings  what the script is given: command, environment, packages
training  the child itself and its limits
log       what it printed, bounded

What every engine does alike is in ``functions._backends.runs``.

>>> engine = ProcessEngine(Path("polyglot-data"), {"POLYGLOT_S3_URL": "http://127.0.0.1:9000"})  # doctest: +SKIP
"""

from functions._backends.process.engine import ProcessEngine

__all__ = ["ProcessEngine"]
