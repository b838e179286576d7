#!/usr/bin/env bash
# The whole check of the CUDA engine on a machine with a GPU.
#
#   scripts/gpu_check.sh build [FOLDER]    builds the one file that a bare machine needs (default: gpu_check in this folder)
#   scripts/gpu_check.sh [--numbers|--speed]   runs it: ./gpu_check beside this script or in the current folder, else built by cargo
#
# A bare machine needs the NVIDIA driver and the CUDA libraries NVRTC and cuBLASLt (in LD_LIBRARY_PATH or the system's folders), no Rust, no network.
# Exit code: 0 all as promised, 1 something is not, 3 no GPU or library (nothing was checked).
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"

if [ "${1:-}" = build ]; then
    (cd "$here/.." && cargo build --release --locked -p sward-tests --bin gpu_check)
    target="${CARGO_TARGET_DIR:-$here/../target}"
    cp "$target/release/gpu_check" "${2:-$here/gpu_check}"
    echo "built ${2:-$here/gpu_check}"
    exit 0
fi
# Common places of the libraries, for machines where they are installed but not registered; the last are those of Python packages.
packages='import glob, site; print("\n".join(p for s in site.getsitepackages() for p in glob.glob(s + "/nvidia/*/lib")))'
for folder in /usr/local/cuda/lib64 /usr/local/cuda/targets/x86_64-linux/lib $(python3 -c "$packages" 2>/dev/null || true); do
    if [ -d "$folder" ]; then export LD_LIBRARY_PATH="${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$folder"; fi
done
for binary in "$here/gpu_check" ./gpu_check; do
    if [ -x "$binary" ]; then exec "$binary" "$@"; fi
done
cd "$here/.."
exec cargo run --release --locked --quiet -p sward-tests --bin gpu_check -- "$@"
