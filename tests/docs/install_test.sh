#!/usr/bin/env bash
# install_test.sh SOURCE BUILD CMAKE GENERATOR CXX [pkg-config]: installs what is built, moves it, and builds the examples
# against it outside of the tree; their results are those of kind-infer. With pkg-config: the C example by what that says.
set -euo pipefail
source=$1 build=$2 cmake=$3 cxx=$5 tool=${6:-}
export CMAKE_GENERATOR=$4
if [ -n "$tool" ] && ! command -v "$tool" >/dev/null; then
  echo "skipped: $tool is not there"
  exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
unset KIND_MODEL
fail() { echo "install_test: $*" >&2; exit 1; }
same() { cmp "$1" "$2" || fail "$1 and $2 differ"; }

"$cmake" --install "$build" --prefix "$work/first" >install.log
mv first usr # nothing of it may depend on where it is
libkind=$(find "$work/usr" -name libkind.so)
photo=$source/docs/samples/dogs.jpg
usr/bin/kind-infer "$photo" -o dark.ppm --strength 0 2>/dev/null >&2 # nothing but the picture
usr/bin/kind-infer dark.ppm -o three.ppm --ratio 3 2>/dev/null >&2

if [ "$tool" = pkg-config ]; then
  PKG_CONFIG_PATH=$(dirname "$(find "$work/usr" -name kind.pc)")
  export PKG_CONFIG_PATH
  cc -std=c99 -Wall -Wextra -Wpedantic -Werror "$source/docs/examples/enhance.c" -o pc $(pkg-config --cflags --libs kind)
  LD_LIBRARY_PATH=$(dirname "$libkind") ./pc dark.ppm pc.ppm 3 2>said
  same pc.ppm three.ppm
  grep -q "^kind $(pkg-config --modversion kind): " said ||
    fail "kind.pc has another version than the library: $(cat said)"
  exit 0
fi

for program in eval infer report train weights; do
  usr/bin/kind-$program --version >/dev/null
  zcat usr/share/man/man1/kind-$program.1.gz | grep -q '^.SH OPTIONS' || fail "no manual page of kind-$program"
  bash -n usr/share/bash-completion/completions/kind-$program
  head -1 "$(find usr/share/zsh -name _kind-$program)" | grep -qx "#compdef kind-$program" || fail "no zsh completion"
done
[ "$(nm -D --defined-only "$libkind" | awk '$2 != "A" {print $3}' | sed 's/@.*//' | sort | tr '\n' ' ')" = \
  "kind_adjust kind_decompose kind_describe kind_enhance kind_free kind_last_error kind_open kind_restore kind_stretch kind_version " ] || fail "libkind shows more or less than its API"

# The Python package finds library and model where they are installed.
if /usr/bin/python3 -c 'import numpy, PIL' 2>/dev/null; then
  PYTHONPATH=$work/usr/lib/python3/dist-packages PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 -c "
import kind, numpy, PIL.Image
picture = numpy.array(PIL.Image.open('dark.ppm'))
assert (kind.enhance(picture, ratio=3) == numpy.array(PIL.Image.open('three.ppm'))).all()
" || fail "the Python package does not do what kind-infer does"
fi

usr/bin/kind-infer "$photo" -o auto.png 2>/dev/null >&2
cmp -s dark.ppm three.ppm && fail "nothing was enhanced"

# As docs/linking.md says.
"$cmake" -S "$source/docs/examples" -B examples -DCMAKE_PREFIX_PATH="$work/usr" -DCMAKE_CXX_COMPILER="$cxx" \
  >examples.log 2>&1 || { cat examples.log; fail "the examples cannot be configured"; }
"$cmake" --build examples >>examples.log 2>&1 || { cat examples.log; fail "the examples cannot be built"; }
examples/enhance-c dark.ppm c.ppm 3 2>/dev/null
same c.ppm three.ppm
examples/enhance-cpp "$photo" cpp.png 2>/dev/null
same cpp.png auto.png

examples/classifier 2>losses >right
awk '{exit !($1 > 95)}' right || fail "the classifier of docs/examples is right for $(cat right) only"

# Headers at their earlier paths.
(cd usr/include/kind && grep -rl '// moved$' . | sed 's|^\./\(.*\)$|#include "\1"|') >moved.cpp
[ "$(wc -l <moved.cpp)" -ge 10 ] || fail "the headers that moved are not at their earlier paths"
"$cxx" -std=c++20 -fsyntax-only -Iusr/include/kind moved.cpp || fail "headers at their earlier paths cannot be included"

# A project in C alone.
mkdir c-only
cat >c-only/CMakeLists.txt <<TEXT
cmake_minimum_required(VERSION 3.16)
project(c_only LANGUAGES C)
find_package(kind 0.1 REQUIRED COMPONENTS c)
add_executable(c-only $source/docs/examples/enhance.c)
target_link_libraries(c-only PRIVATE kind::c)
TEXT
"$cmake" -S c-only -B c-only/build -Dkind_ROOT="$work/usr" >c-only.log 2>&1 && "$cmake" --build c-only/build \
  >>c-only.log 2>&1 || { cat c-only.log; fail "a project in C alone cannot be built"; }
