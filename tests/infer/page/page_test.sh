#!/usr/bin/env bash
# page_test.sh SOURCE BUILD KIND-INFER CMAKE: builds the page, and tests it in Chromium without a window against the program.
set -euo pipefail
source=$1 build=$2/page infer=$3 cmake=$4
chromium=$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)
for tool in emcmake ninja python3 "${chromium:-chromium}"; do
  if ! command -v "$tool" >/dev/null; then
    echo "skipped: $tool is not there"
    exit 0
  fi
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
log=$work/log
{
  emcmake "$cmake" -S "$source/infer/page" -B "$build" -G Ninja &&
    "$cmake" --build "$build" && "$cmake" --install "$build" --prefix "$work/page"
} >"$log" 2>&1 || { tail -n 30 "$log" >&2; echo "page_test: the page cannot be built" >&2; exit 1; }
export PYTHONDONTWRITEBYTECODE=1
python3 "$source/tests/infer/page/page_test.py" "$work/page" "$chromium" "$infer" "$source/docs/samples"
