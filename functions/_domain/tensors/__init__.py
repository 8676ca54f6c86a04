"""The canonical tensor digest: what a model says once everything is left out that changes from one saving to the next.

A zip container carries the time of day, an archive the name it was saved under, an exporter random identifiers. So two
trainings that agree to the last bit of every weight often write different bytes. Here each file of a model is taken
apart into *parts*, tensors by name, type, shape and bytes, and whatever else decides what the model computes; each part
is one canonical JSON line, and the digest is the SHA-256 of the sorted lines. Nothing is executed or unpickled, no
framework is needed, and nothing is held whole: archives are read entry by entry, by ranges.

    {"dtype":"float32","file":"model.pt2","name":"weights/0.bias","sha256":"…","shape":[8]}

What counts, and what is left out, because it changes from one saving to the next or says nothing of the model:

.pt2
    Weights and constants by name, type, sizes, strides and bytes; the graph as sorted JSON; other entries. Not: the
    archive's own name, ``.data/`` (a serialization id), sample inputs, and of the graph ``metadata`` and
    ``guards_code`` (stack traces, paths).
TorchScript
    Storages by number and type; as bytes the code, and ``data.pkl``, which says where each storage goes. Not: the
    archive's own name, ``.data/``, ``*.debug_pkl`` (lines of source files).
.skops
    Arrays, numbered as the schema mentions them; the schema. Not: ``__id__`` and the file names made of it, which are
    addresses in the process that saved it.
.keras
    Entries as bytes, that of the weights (HDF5) too. Not: ``date_saved``, and addresses, which are numbered instead.
.npz, .npy
    Arrays by name, type, shape, order and bytes. Not: padding of the header.
SavedModel
    Variables by name, type, shape and bytes, from the checkpoint; assets. Not: ``saved_model.pb``, whose function names
    carry counters (so the graph is *not* compared), ``fingerprint.pb``, ``_CHECKPOINTABLE_OBJECT_GRAPH``, and what
    Keras lists a second time as ``_all_variables/``, in the order of a set.
ONNX
    Initializers by name, type, dimensions and bytes; nodes, inputs, outputs, functions, operator sets. Not: names and
    versions of producer and graph, which some exporters draw at random, documentation, inferred shapes.
LightGBM text
    The trees. Not: ``parameters:``, which has paths and threads of the machine.
XGBoost, and any other file
    The file. Of any other zip archive its entries, whatever their order, times and compression.

A JSON document above ``parts.JSON_BOUND`` counts as its bytes. Files beside the model, such as ``samples.npz``, count
as well. A path or a name counts as much as the bytes.

    >>> digest_of([part("labels.txt", b"cat")]) == digest_of([part("labels.txt", b"cat")])
    True
"""

from functions._domain.tensors.distance import Distance, distance
from functions._domain.tensors.parts import Part, digest_of, part
from functions._domain.tensors.reading import read

__all__ = ["Distance", "Part", "digest_of", "distance", "part", "read"]
