"""Adds the library to the package: pip install . with KIND_PREFIX naming where kind is installed, or KIND_LIBRARY naming
libkind.so, and KIND_MODEL a model file that goes along. Without either the package looks for an installed kind."""

import glob
import os
import pathlib
import shutil

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.dist import Distribution


def library():
    named = os.environ.get("KIND_LIBRARY")
    if named:
        if not os.path.isfile(named):
            raise SystemExit(f"KIND_LIBRARY: expected the file libkind.so.0, and {named} is none")
        return named
    prefix = os.environ.get("KIND_PREFIX")
    if not prefix:
        return None
    found = glob.glob(f"{prefix}/lib/**/libkind.so.0", recursive=True)
    if not found:
        raise SystemExit(f"KIND_PREFIX: there is no lib/**/libkind.so.0 in {prefix}")
    return found[0]


def model():
    prefix, named = os.environ.get("KIND_PREFIX"), os.environ.get("KIND_MODEL")
    if named and not os.path.isfile(named):
        raise SystemExit(f"KIND_MODEL: expected a model file, and {named} is none")
    return named or (prefix and f"{prefix}/share/kind/kind.safetensors")


class BuildWithLibrary(build_py):
    """The package becomes a prefix of its own, in which the library finds the model."""

    def run(self):
        super().run()
        package = pathlib.Path(self.build_lib) / "kind"
        for left in ("lib", "share"):  # of an earlier build
            shutil.rmtree(package / left, ignore_errors=True)
        for source, target in [(library(), "lib/libkind.so.0"), (library() and model(), "share/kind/kind.safetensors")]:
            if source:
                (package / target).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, package / target)


class DistributionWithLibrary(Distribution):
    """Of one platform alone, if the library is in it."""

    def has_ext_modules(self):
        return library() is not None


setup(cmdclass={"build_py": BuildWithLibrary}, distclass=DistributionWithLibrary)
