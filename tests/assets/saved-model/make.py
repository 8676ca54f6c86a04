"""Made the checkpoints beside it: one SavedModel, exported by two processes; needs `pip install tensorflow-cpu`.

    python make.py first && python make.py second

Only the variables are kept: Keras numbers `_all_variables/` in the order of a set, so the two differ in nothing else.
"""

import shutil
import sys
import tempfile
from pathlib import Path

import keras
import numpy

keras.utils.set_random_seed(7)
model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(3, activation="relu"), keras.layers.Dense(2)])
model.compile("adam", "mse")
model.fit(numpy.random.rand(64, 4), numpy.random.rand(64, 2), epochs=2, verbose=0)
with tempfile.TemporaryDirectory() as folder:
    model.export(folder, verbose=False)
    target = Path(__file__).parent / sys.argv[1]
    shutil.copytree(Path(folder, "variables"), target / "variables", dirs_exist_ok=True)
