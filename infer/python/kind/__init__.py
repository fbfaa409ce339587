"""Low-light enhancement by the method KinD, for numpy arrays.

    import kind, numpy
    bright = kind.enhance(picture)                        # uint8, uint16 or float32; the light is chosen
    bright = kind.enhance(picture, ratio=3, fusion="none")
    model = kind.Model.load("model.safetensors")
    reflectance, illumination = model.decompose(picture)  # the nets one by one
    run = kind.read_run("runs/lol")                       # metrics of training
"""

from ._model import Light, Model, Parts, enhance, shipped_model
from ._native import KindError, Stopped, library as _library
from ._runs import Metrics, Run, read_run

__version__: str = _library.kind_version().decode()
__all__ = [
    "KindError", "Light", "Metrics", "Model", "Parts", "Run", "Stopped", "enhance", "read_run", "shipped_model",
]
