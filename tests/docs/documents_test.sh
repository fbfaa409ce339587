#!/usr/bin/env bash
# documents_test.sh SOURCE BUILD [TOOL]: manual pages and completions say what --help says, of every program. With a TOOL
# (mandoc, lexgrog or zsh): that program can read them.
set -euo pipefail
export LC_ALL=C
source=$1 build=$2 tool=${3:-}
documents=$build/documents
fail() { echo "documents_test: $*" >&2; exit 1; }
if [ -n "$tool" ] && ! command -v "$tool" >/dev/null; then
  echo "skipped: $tool is not there"
  exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# complete WORD... : what bash offers for the last one.
complete_words() {
  COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
  "_${1//-/_}"
  printf '%s\n' "${COMPREPLY[@]}" | sort
}
# expect "WORD WORD" COMMAND LINE
expect() {
  local want=$1 got
  shift
  got=$(complete_words "$@" | tr '\n' ' ')
  [ "$got" = "$want${want:+ }" ] || [ "$got" = "${want:- }" ] || fail "$*: offered '$got', expected '$want'"
}
# The long options of a text, once each.
long_options() { grep -oE -- '(^|[^-[:alnum:]])--[a-z][a-z0-9-]*' | grep -oE -- '--.*' | sort -u; }

programs="kind-eval kind-infer kind-report kind-train kind-weights"
if [ -n "$tool" ]; then
  for program in $programs; do
    zcat "$documents/$program.1.gz" >"$work/page.1"
    case $tool in
      mandoc) mandoc -T lint -W warning "$work/page.1" || fail "mandoc is not content with $program.1" ;;
      lexgrog) lexgrog "$work/page.1" >/dev/null || fail "$program.1 has no name that whatis finds" ;;
      zsh) zsh -n "$documents/zsh/_$program" || fail "zsh cannot read the completion of $program" ;;
      *) fail "there is no check with $tool" ;;
    esac
  done
  exit 0
fi

for program in $programs; do
  verbs=$([ $program != kind-weights ] || echo inspect import-tensorflow merge drop convert export-onnx export-darktable)
  "$build/$program" --help >"$work/help"
  for verb in $verbs; do "$build/$program" "$verb" --help >>"$work/help"; done
  # Options at the start of a line; what descriptions mention is theirs anyway.
  sed -nE 's/^ +(-[^ ]*).*/\1/p' "$work/help" | long_options >"$work/in-help"
  [ -s "$work/in-help" ] || fail "$program --help lists no options"
  grep -q "^Exit codes: 0 success; " "$work/help" || fail "$program --help says nothing of its exit codes"

  zcat "$documents/$program.1.gz" >"$work/page.1"
  grep -q '@' "$work/page.1" && fail "$program.1: something was not filled in"
  grep -A1 '^\.TP' "$work/page.1" | sed 's/\\-/-/g; s/\\f.//g' | grep '^-' | long_options >"$work/in-page"
  diff "$work/in-help" "$work/in-page" >&2 || fail "$program.1 has other options than --help"
  # Those that the page's own text speaks of.
  sed 's/\\-/-/g' "$source/docs/man/$program.1.in" | long_options >"$work/in-text" || true
  diff /dev/null <(comm -13 "$work/in-help" "$work/in-text") >&2 || fail "$program.1 speaks of options that are not there"
  grep -q '^\.SH EXIT STATUS' "$work/page.1" || fail "$program.1 says nothing of the exit status"

  # shellcheck source=/dev/null
  source "$documents/bash/$program"
  for verb in "" $verbs; do complete_words $program $verb --; done | sort -u >"$work/in-bash"
  diff "$work/in-help" "$work/in-bash" >&2 || fail "bash completes other options of $program than --help lists"
  long_options <"$documents/zsh/_$program" >"$work/in-zsh"
  diff "$work/in-help" <(comm -12 "$work/in-help" "$work/in-zsh") >&2 || fail "zsh misses options of $program"
done

mkdir "$work/here" && cd "$work/here"
mkdir folder && touch 'a picture.png' b.png
expect "auto none official" kind-infer --fusion ""
expect "official" kind-infer --fusion o
expect "official" kind-infer --fusion = o
expect "auto none official" kind-infer --fusion =
expect "420 422 444" kind-infer a.png --chroma 4
types=$("$build/kind-infer" none -o none -f none 2>&1 | sed -n 's/.*expected one of \(.*\), got.*/\1/p' | tr -d , | tr ' ' '\n' | sort || true)
[ -n "$types" ] || fail "kind-infer does not say which types it writes"
# shellcheck disable=SC2086
expect "$(echo $types)" kind-infer -f ""
expect "a picture.png b.png folder" kind-infer ""
expect "a picture.png b.png folder" kind-infer x.png -o ""
expect "folder" kind-infer --dump-maps ""
expect "folder" kind-infer --overwrite f
expect "" kind-infer --ratio ""
expect "gt-light gt-mean gt-ratio" kind-eval --protocol gt
expect "none,gt-light none,gt-mean none,gt-ratio" kind-eval --protocol none,gt
expect "psnr,ssim psnr,ssim-gray" kind-eval --metrics psnr,ss
expect "folder" kind-eval --data ""
expect "test train validation" kind-eval --split ""
expect "parallel slurm" kind-train --sweep b.png --emit ""
expect "folder" kind-report ""
expect "convert drop export-darktable export-onnx import-tensorflow inspect merge" kind-weights ""
expect "merge" kind-weights m
expect "--float16 --float32" kind-weights convert --fl
expect "adjustment all decomposition restoration" kind-weights export-onnx --nets ""
expect "a picture.png" kind-weights inspect --json a
