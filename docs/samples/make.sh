#!/usr/bin/env bash
# docs/samples/make.sh [OPTIONS OF kind infer]: regenerates before-after.jpg and before-after/*.jpg from the pictures in
# this folder, for example with another model: docs/samples/make.sh --weights MODEL. Needs ImageMagick (Debian's package
# imagemagick). KIND_INFER sets the program to run instead of ./kind infer.
set -euo pipefail

here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
read -ra infer <<<"${KIND_INFER:-$here/../../kind infer}"
gallery="room stream dandelions palace rocket sunset astronaut camera sky lamps nuthatch cup"
width=480
if ! command -v convert >/dev/null; then
  echo "make.sh: ImageMagick's program 'convert' is missing; please run: apt-get install imagemagick" >&2
  exit 2
fi

results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
mkdir -p "$here/before-after"

# side_by_side NAME FILE: the dark picture beside its result, in FILE.
side_by_side() {
  convert \( "$here/$1.jpg" -resize "$width" \) \( "$results/$1.png" -resize "$width" \) -colorspace sRGB +append \
    -strip -sampling-factor 4:2:0 -quality 85 "$2"
}

for name in $gallery dogs; do
  "${infer[@]}" "$here/$name.jpg" --output "$results/$name.png" "$@"
done
for name in $gallery; do
  side_by_side "$name" "$here/before-after/$name.jpg"
done
side_by_side dogs "$here/before-after.jpg"
