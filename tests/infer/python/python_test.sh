#!/bin/bash
# python_test.sh SOURCE LIBRARY KIND-INFER: the tests of the Python package on the library of a build tree.
set -eu
source=$1 library=$2 infer=$3
python=/usr/bin/python3
if ! "$python" -c 'import numpy' 2>/dev/null; then
  echo "skipped: $python has no numpy"
  exit 0
fi
export PYTHONPATH=$source/infer/python PYTHONDONTWRITEBYTECODE=1
export KIND_LIBRARY=$library KIND_INFER_PROGRAM=$infer KIND_MODEL=$source/nets/pretrained/kind.safetensors
exec "$python" "$source/tests/infer/python/kind_test.py"
