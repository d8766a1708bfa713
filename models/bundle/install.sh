#!/bin/sh
# Installs eimf-local from the folder this file lies in: no network, no compiler, no root.
#   sh install.sh [--no-demo] [TARGET]      TARGET: the folder to make, default ~/eimf-local
# PYTHON=/path/to/python names the interpreter; bundle.env says which one the wheels are for.
set -eu
unset PYTHONPATH PYTHONHOME

fail() {
    echo "error: $1" >&2
    exit 1
}

demo=yes
if [ "${1:-}" = --no-demo ]; then
    demo=no
    shift
fi
[ $# -le 1 ] || fail "too many arguments - give one target folder, quoted if it has blanks"
target=${1:-$HOME/eimf-local}
case $target in
    /*) ;;
    *) target=$PWD/$target ;;
esac
here=$(cd -- "$(dirname -- "$0")" && pwd)
cd -- "$here"

# 1. Every digest, before anything of the bundle but this file is used.
echo "checking $(wc -l < SHA256SUMS) files" >&2
wrong=$(LC_ALL=C sha256sum --check --strict --quiet SHA256SUMS 2>/dev/null | head -n 1) || true
LC_ALL=C sha256sum --check --strict --status SHA256SUMS 2>/dev/null ||
    fail "the bundle was changed or damaged (${wrong:-SHA256SUMS}) - copy the tar again and unpack it anew"
identity=$(sha256sum < SHA256SUMS | cut -d ' ' -f 1)
. ./bundle.env

# 2. A matching Python.
python=${PYTHON:-$(command -v "python$BUNDLE_PYTHON" || command -v python3 || true)}
[ -n "$python" ] || fail "no Python here - install Python $BUNDLE_PYTHON, or set PYTHON=/path/to/python$BUNDLE_PYTHON"
found=$("$python" -c 'import os, sys
print("%d.%d" % sys.version_info[:2], os.uname().machine, os.confstr("CS_GNU_LIBC_VERSION").split()[1])' 2>/dev/null) ||
    fail "$python does not run here - set PYTHON=/path/to/python$BUNDLE_PYTHON"
case $found in
    "$BUNDLE_PYTHON $BUNDLE_MACHINE "*) ;;
    *) fail "$python is Python ${found% *}, the bundle is for $BUNDLE_PYTHON $BUNDLE_MACHINE - set PYTHON=/path/to/python$BUNDLE_PYTHON" ;;
esac
"$python" -c 'import sys
def parts(text): return tuple(map(int, text.split(".")))
sys.exit(parts(sys.argv[1]) < parts(sys.argv[2]))' "${found##* }" "$BUNDLE_GLIBC" ||
    fail "the C library is ${found##* }, the bundle needs glibc $BUNDLE_GLIBC - build it on a system as old as this one"

# 3. The target: done already, left half-done by a killed installation, or free.
done_file=$target/.eimf-local-bundle
begun_file=$target/.eimf-local-installing
run() {
    if "$target/bin/eimf-local" doctor --help >/dev/null 2>&1; then
        "$target/bin/eimf-local" doctor || fail "installed in $target, but doctor found what blocks - see its lines above"
    fi
    [ $demo = yes ] || return 0
    "$target/bin/eimf-local" reproduce demo --out "$target/demo" ||
        fail "installed in $target, but the demo failed - see its line above"
    echo "demo done: $target/demo/report.html" >&2
}
if [ -e "$done_file" ]; then
    [ "$(cat -- "$done_file")" = "$identity" ] ||
        fail "$target holds another bundle's installation - give another target, or remove it first"
    echo "already installed in $target: nothing to do" >&2
    exit 0
fi
if [ -e "$begun_file" ]; then
    echo "removing what an interrupted installation left in $target" >&2
    rm -rf -- "$target"
fi
if [ -e "$target" ] && { [ ! -d "$target" ] || [ -n "$(ls -A -- "$target")" ]; }; then
    fail "$target is there and not empty - give another target"
fi
mkdir -p -- "$target" 2>/dev/null && : 2>/dev/null > "$begun_file" ||
    fail "cannot write $target - check the permissions or give another target"
started=$(date +%s)
undo() {
    cd /
    rm -rf -- "$target"
}
trap undo EXIT
trap 'exit 130' INT TERM HUP
free=$(df -Pk -- "$target" | awk 'NR == 2 { print $4 }')
[ "$free" -ge "$BUNDLE_KB" ] ||
    fail "$target has $((free / 1024)) MB free and $((BUNDLE_KB / 1024)) MB are needed - free some space or give another target"

# 4. Install: nothing but the wheels here, each compared with its digest once more by pip.
log=$target/install.log
step() {
    what=$1
    shift
    "$@" >> "$log" 2>&1 || fail "$what failed: $(grep -v '^ *$' "$log" | tail -n 1) - mend that and install again"
}
echo "installing $BUNDLE_NAME into $target" >&2
step "making the environment" "$python" -m venv --without-pip -- "$target"
# pip's messages are in the target's log; whatever the user's pip is configured to do does not apply here.
step "installing the wheels" env PIP_CONFIG_FILE=/dev/null PYTHONPATH="$here/pip/$BUNDLE_PIP" \
    "$target/bin/python" -m pip --isolated --disable-pip-version-check install --no-cache-dir --no-index --no-deps \
    --require-hashes --find-links wheels -r requirements.txt
[ ! -d data ] || step "copying the data" cp -R data "$target/data"
if [ -d models ]; then
    step "copying the models" cp -R models "$target/models"
    for model in "$target/models"/*.gguf; do
        step "adding a model" "$target/bin/eimf-local" models add "$model"
    done
fi
step "copying the licences" cp -R licences sbom.cdx.json "$target/"
printf '%s\n' "$identity" > "$done_file"
rm -f -- "$begun_file"
trap - EXIT INT TERM HUP
echo "installed in $(($(date +%s) - started)) s: $target/bin/eimf-local" >&2
run
