"""The C library libkind (kind.h) by ctypes. Its calls run without the GIL."""

from __future__ import annotations

import ctypes
import os
import pathlib
import sysconfig
from typing import Mapping

OK, INVALID, FAILED, NO_MEMORY, STOPPED = range(5)
FLOATS = 32

PROGRESS = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_double, ctypes.c_void_p)


class Picture(ctypes.Structure):
    """kind_picture"""

    _fields_ = [
        ("pixels", ctypes.c_void_p),
        ("row_bytes", ctypes.c_ssize_t),
        ("width", ctypes.c_int32),
        ("height", ctypes.c_int32),
        ("channels", ctypes.c_int32),
        ("samples", ctypes.c_int32),
    ]


class Options(ctypes.Structure):
    """kind_options"""

    _fields_ = [
        ("size", ctypes.c_size_t),
        ("light", ctypes.c_int32),
        ("fusion", ctypes.c_int32),
        ("light_value", ctypes.c_double),
        ("strength", ctypes.c_double),
        ("denoise", ctypes.c_double),
        ("max_memory", ctypes.c_uint64),
        ("threads", ctypes.c_int32),
        ("reserved", ctypes.c_int32),
        ("progress", PROGRESS),
        ("user", ctypes.c_void_p),
    ]


class Result(ctypes.Structure):
    """kind_result"""

    _fields_ = [("ratio", ctypes.c_double), ("strength", ctypes.c_double)]


class KindError(RuntimeError):
    """A failure of the library, in its own words: a model that cannot be read, a limit of memory that is too low."""


class Stopped(KindError):
    """The work was stopped, because `progress` returned a true value."""


def _places() -> list[str]:
    """Where the library may be: what the environment says, then next to this package, then where the loader looks."""
    if os.environ.get("KIND_LIBRARY"):
        return [os.environ["KIND_LIBRARY"]]
    package = pathlib.Path(__file__).resolve().parent
    name = "libkind.so.0"
    libraries = package.parents[2]  # PREFIX/lib of PREFIX/lib/python3/dist-packages/kind
    near = [package / "lib" / name, libraries / name]
    multiarch = sysconfig.get_config_var("MULTIARCH")
    if multiarch:
        near.append(libraries / multiarch / name)
    return [str(path) for path in near if path.exists()] + [name]


def _load() -> ctypes.CDLL:
    errors = []
    for place in _places():
        try:
            return ctypes.CDLL(place)
        except OSError as error:
            errors.append(str(error))
    raise ImportError(
        "kind: the library libkind.so.0 cannot be loaded ("
        + "; ".join(errors)
        + "); install kind, or name the library by the environment variable KIND_LIBRARY"
    )


def _declare(library: ctypes.CDLL) -> ctypes.CDLL:
    model, picture = ctypes.c_void_p, ctypes.POINTER(Picture)
    library.kind_version.restype = ctypes.c_char_p
    library.kind_last_error.restype = ctypes.c_char_p
    library.kind_open.argtypes = [ctypes.c_char_p, ctypes.POINTER(model)]
    library.kind_free.argtypes = [model]
    library.kind_free.restype = None
    library.kind_enhance.argtypes = [model, picture, picture, ctypes.POINTER(Options), ctypes.POINTER(Result)]
    try:
        library.kind_describe.argtypes = [model]
    except AttributeError:
        raise ImportError(
            f"kind: libkind {library.kind_version().decode()} is older than this package; install the one of this version"
        ) from None
    library.kind_describe.restype = ctypes.c_char_p
    library.kind_stretch.argtypes = [model, picture, picture, ctypes.c_int32]
    library.kind_decompose.argtypes = [model, picture, picture, picture, ctypes.c_int32]
    library.kind_restore.argtypes = [model, picture, picture, picture, ctypes.c_int32]
    library.kind_adjust.argtypes = [model, picture, ctypes.c_double, picture, ctypes.c_int32]
    return library


library = _declare(_load())


def check(code: int, names: Mapping[str, str] = {}) -> None:
    """Raises the exception that belongs to the return value of a call of this thread. names: what messages begin with in
    C, and what the caller knows it as."""
    if code == OK:
        return
    message = library.kind_last_error().decode("utf-8", "replace")
    for prefix, name in names.items():  # of the field as C calls it
        if message.startswith(prefix + ":"):
            message = name + message[len(prefix):]
    if code == INVALID:
        raise ValueError(message)
    if code == NO_MEMORY:
        raise MemoryError(message)
    raise (Stopped if code == STOPPED else KindError)(message)
