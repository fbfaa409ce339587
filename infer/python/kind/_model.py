"""Models and what they do with arrays."""

from __future__ import annotations

import ctypes
import json
import operator
import os
import sys
import threading
import warnings
import weakref
from typing import Any, Callable, NamedTuple, Optional, Union

import numpy as np

from . import _native

_SAMPLES = {np.dtype(np.uint8): 8, np.dtype(np.uint16): 16, np.dtype(np.float32): _native.FLOATS}
_FUSIONS = {"none": 0, "official": 1, "auto": 2}
_AUTO, _RATIO, _TARGET_MEAN = range(3)


class Light(NamedTuple):
    """The light that a picture was given."""

    ratio: float  #: what adjustment was given
    strength: float  #: of the automatic light: 1, less for bright pictures, 0 if nothing had to be done


class Parts(NamedTuple):
    """What decomposition makes of a picture of h rows and w columns."""

    reflectance: np.ndarray  #: (h, w, 3), float32, 0 to 1
    illumination: np.ndarray  #: (h, w), float32, 0 to 1


def _shape_text(array: np.ndarray) -> str:
    return f"{array.dtype} of shape {array.shape}"


def _checked(name: str, array: Any, channels: tuple[int, ...]) -> np.ndarray:
    """An array that can be a picture with so many channels; gray may have two axes."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{name}: expected a numpy array, got {type(array).__name__}; use numpy.asarray")
    if array.dtype not in _SAMPLES:
        raise TypeError(
            f"{name}: expected uint8, uint16 or float32 in the machine's byte order, got {array.dtype}; "
            "convert it, for example with astype(numpy.float32)"
        )
    fits = array.ndim == 2 and 1 in channels or array.ndim == 3 and array.shape[2] in channels
    if not fits:
        wanted = (["(h, w)"] if 1 in channels else []) + [f"(h, w, {c})" for c in channels]
        hint = ""
        if array.ndim == 3 and array.shape[0] in channels:
            hint = "; channels come last: numpy.moveaxis(array, 0, -1)"
        raise ValueError(f"{name}: expected a shape like {', '.join(wanted)}, got {array.shape}{hint}")
    if array.size == 0:
        raise ValueError(f"{name}: expected at least one pixel, got the shape {array.shape}")
    return array


def _rows_are_packed(array: np.ndarray) -> bool:
    """Whether each row lies in one piece, and the rows do not overlap; strides of axes of one element say nothing."""
    step = array.itemsize
    for axis in range(array.ndim - 1, 0, -1):
        if array.shape[axis] > 1 and array.strides[axis] != step:
            return False
        step *= array.shape[axis]
    return array.shape[0] == 1 or abs(array.strides[0]) >= step


def _view(array: np.ndarray) -> _native.Picture:
    """The picture in the array's own memory, which must live as long."""
    h, w = array.shape[:2]
    channels = array.shape[2] if array.ndim == 3 else 1
    row = array.strides[0] if h > 1 else w * channels * array.itemsize
    return _native.Picture(array.ctypes.data, row, w, h, channels, _SAMPLES[array.dtype])


def _source(name: str, array: Any, channels: tuple[int, ...]) -> np.ndarray:
    """The array itself where the library can read it, else a copy."""
    array = _checked(name, array, channels)
    return array if _rows_are_packed(array) else np.ascontiguousarray(array)


def _warn_of_bytes(image: np.ndarray) -> None:
    """Floats of 0 to 255 would become white: said at the line that calls kind."""
    if image.dtype == np.float32 and image.max() > 16:
        depth, frame = 1, sys._getframe()
        while frame.f_back and frame.f_code.co_filename == __file__:
            depth, frame = depth + 1, frame.f_back
        warnings.warn(
            f"image: float32 means 0 to 1 and values beyond count as 1, but its largest is {image.max():g}; "
            "divide by 255 (or 65535), or keep it uint8 (or uint16)",
            stacklevel=depth,
        )


def _target(out: Optional[np.ndarray], shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    if out is None:
        return np.empty(shape, dtype)
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out: expected a numpy array, got {type(out).__name__}")
    if out.shape != shape or out.dtype != dtype:
        raise ValueError(f"out: expected {np.dtype(dtype)} of shape {shape}, got {_shape_text(out)}")
    if not out.flags.writeable:
        raise ValueError("out: expected an array that may be written")
    if not _rows_are_packed(out):
        raise ValueError(f"out: expected rows without gaps between pixels, got strides {out.strides}")
    return out


def _map(name: str, array: Any, channels: tuple[int, ...]) -> np.ndarray:
    array = _source(name, array, channels)
    if array.dtype != np.float32:
        raise TypeError(f"{name}: expected float32, got {array.dtype}")
    return array


def _thread_count(threads: int) -> int:
    count = operator.index(threads)
    if not 0 <= count <= 1024:
        raise ValueError(f"threads: expected 0 to 1024, got {count}")
    return count


class Model:
    """The nets of a model file. It does not change; any number of threads may use it at once.

    Arrays are pictures of h rows and w columns, (h, w) or (h, w, 1) gray, (h, w, 2) gray and alpha, (h, w, 3) red, green,
    blue, (h, w, 4) with alpha, sRGB-encoded: uint8, uint16 or float32 in 0 to 1 (values beyond count as 0 or 1; NaN is a
    ValueError). Rows may have any distance, also a negative one; other strides cost a copy. `threads` is the number of
    threads of a call, 0 for all processors. All functions release the GIL while they work.
    """

    def __init__(self, path: Union[str, os.PathLike, None] = None) -> None:
        """As Model.load(path)."""
        handle = ctypes.c_void_p()
        name = None if path is None else os.fsencode(path)
        _native.check(_native.library.kind_open(name, ctypes.byref(handle)))
        self._handle = handle
        self._free = weakref.finalize(self, _native.library.kind_free, handle)

    @classmethod
    def load(cls, path: Union[str, os.PathLike, None] = None) -> "Model":
        """Reads a model file; without a path $KIND_MODEL or the shipped model. Raises KindError if that cannot be."""
        return cls(path)

    @property
    def description(self) -> dict:
        """The forms of the nets and how they are used: the metadata of the model file."""
        return json.loads(_native.library.kind_describe(self._handle))

    def enhance(
        self,
        image: np.ndarray,
        *,
        ratio: Optional[float] = None,
        target_mean: Optional[float] = None,
        stops: float = 0,
        fusion: str = "auto",
        strength: float = 1,
        denoise: float = 1,
        max_memory: int = 0,
        threads: int = 0,
        progress: Optional[Callable[[float], Any]] = None,
        out: Optional[np.ndarray] = None,
        return_light: bool = False,
    ) -> Any:
        """Brightens a picture and removes its noise, with the bits of kind-infer.

        image: a picture, see Model. The result has its shape and dtype; gray stays gray and alpha stays.
        ratio: about how many times brighter than the picture stretched to full range, above 0 and at most 100; or
        target_mean: mean of the result's red, green and blue, 0 to 1. Without either the light is chosen from the picture,
        `stops` brighter (-10 to 10).
        fusion: "auto" leaves bright parts unchanged, "none" is the product of the nets, "official" the way of the authors'
        program. strength, denoise: how much of the enhancement and of the restoration, 0 to 1.
        max_memory: bytes that the call may take; 0 for four fifths of what the machine has available.
        progress: called with the share that is done, 0 to 1, in this thread; a true result stops the work with Stopped, an
        exception is passed on.
        out: an array for the result, which may be the image itself. return_light: return (result, Light).

        Raises TypeError and ValueError for what cannot be, KindError for the rest; then nothing is written.
        """
        source = _source("image", image, (1, 2, 3, 4))
        _warn_of_bytes(image)
        result = _target(out, image.shape, image.dtype)
        if ratio is not None and target_mean is not None:
            raise ValueError("ratio and target_mean: give one of them")
        if stops and (ratio is not None or target_mean is not None):
            raise ValueError("stops: they change the light that is chosen; leave them out with ratio or target_mean")
        if fusion not in _FUSIONS:
            raise ValueError(f"fusion: expected one of {', '.join(map(repr, _FUSIONS))}, got {fusion!r}")
        max_memory = operator.index(max_memory)
        if not 0 <= max_memory < 1 << 64:
            raise ValueError(f"max_memory: expected 0 or more bytes, got {max_memory}")
        light, value = _AUTO, stops
        if ratio is not None:
            light, value = _RATIO, ratio
        elif target_mean is not None:
            light, value = _TARGET_MEAN, target_mean
        raised: list[BaseException] = []

        def call(done: float, _: Any) -> int:
            try:
                return 1 if progress(done) else 0
            except BaseException as error:  # goes on in the caller, behind the library
                raised.append(error)
                return 1

        callback = _native.PROGRESS(call) if progress else _native.PROGRESS()
        options = _native.Options(
            ctypes.sizeof(_native.Options), light, _FUSIONS[fusion], float(value), float(strength), float(denoise),
            max_memory, _thread_count(threads), 0, callback, None,
        )
        chosen = _native.Result()
        code = _native.library.kind_enhance(
            self._handle, ctypes.byref(_view(source)), ctypes.byref(_view(result)), ctypes.byref(options),
            ctypes.byref(chosen),
        )
        if raised:
            raise raised[0]
        _native.check(code, {"options: light_value": ("stops", "ratio", "target_mean")[light], "options: strength": "strength",
                             "options: denoise": "denoise", "from": "image"})
        return (result, Light(chosen.ratio, chosen.strength)) if return_light else result

    def stretch(self, image: np.ndarray, *, threads: int = 0) -> np.ndarray:
        """The picture as decomposition sees it: (h, w, 3), float32, stretched to 0..1 as the model says.

        image: gray or RGB, any dtype, see Model.
        """
        source = _source("image", image, (1, 3))
        _warn_of_bytes(image)
        result = np.empty(image.shape[:2] + (3,), np.float32)
        _native.check(
            _native.library.kind_stretch(
                self._handle, ctypes.byref(_view(source)), ctypes.byref(_view(result)), _thread_count(threads)
            ),
            {"from": "image"},
        )
        return result

    def decompose(self, image: np.ndarray, *, stretch: bool = True, threads: int = 0) -> Parts:
        """Splits a picture into reflectance (h, w, 3) and illumination (h, w), float32 in 0 to 1.

        image: gray or RGB, any dtype; with stretch=False float32 (h, w, 3), as stretch() gives it.
        """
        seen = self.stretch(image, threads=threads) if stretch else _map("image", image, (3,))
        parts = Parts(np.empty(seen.shape, np.float32), np.empty(seen.shape[:2], np.float32))
        views = [ctypes.byref(_view(array)) for array in (seen, *parts)]
        _native.check(_native.library.kind_decompose(self._handle, *views, _thread_count(threads)))
        return parts

    def restore(self, reflectance: np.ndarray, illumination: np.ndarray, *, threads: int = 0) -> np.ndarray:
        """The reflectance without noise, (h, w, 3), float32; a copy of it where the model has no restoration net.

        reflectance: (h, w, 3), illumination: (h, w), both float32.
        """
        color, light = _map("reflectance", reflectance, (3,)), _map("illumination", illumination, (1,))
        result = np.empty(color.shape, np.float32)
        views = [ctypes.byref(_view(array)) for array in (color, light, result)]
        _native.check(_native.library.kind_restore(self._handle, *views, _thread_count(threads)))
        return result

    def adjust(self, illumination: np.ndarray, ratio: float, *, threads: int = 0) -> np.ndarray:
        """The illumination brought to another light level by a ratio (above 0 and at most 100): (h, w), float32."""
        light = _map("illumination", illumination, (1,))
        result = np.empty(light.shape, np.float32)
        _native.check(
            _native.library.kind_adjust(
                self._handle, ctypes.byref(_view(light)), float(ratio), ctypes.byref(_view(result)),
                _thread_count(threads),
            )
        )
        return result


_shipped: Optional[Model] = None
_lock = threading.Lock()


def shipped_model() -> Model:
    """The model that functions use where none is given: $KIND_MODEL or the shipped one, read once."""
    global _shipped
    with _lock:
        if _shipped is None:
            _shipped = Model.load()
        return _shipped


def enhance(image: np.ndarray, model: Optional[Model] = None, **options: Any) -> Any:
    """Model.enhance() of `model`, or of the shipped one: enhance(image, ratio=3), enhance(image, target_mean=0.4), ...

    image: uint8, uint16 or float32 in 0 to 1; (h, w) gray, or (h, w, c) with 1 to 4 channels. The result has the same
    shape and dtype.
    """
    return (model or shipped_model()).enhance(image, **options)
