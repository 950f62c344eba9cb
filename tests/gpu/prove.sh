#!/usr/bin/env bash
# Check a GPU in minutes, on a machine that has only Python with PyTorch and torchvision, and no network.
#
#   tests/gpu/prove.sh carry WHEELS     with a network: download the wheels that the check needs besides PyTorch
#   tests/gpu/prove.sh WHEELS RECORD    on the machine: install them into a new environment, check, and write RECORD
#   tests/gpu/prove.sh "" RECORD        the same, if everything is installed
#
# PYTHON is the interpreter (python3). Options after RECORD go to tests/gpu/prove.py, such as --device cpu --small.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
python=${PYTHON:-python3}
needed=(accelerate diffusers jaxtyping mlxtend numba pillow pot pyyaml safetensors scikit-learn scipy threadpoolctl tqdm
  transformers typer)

if [[ $# -lt 2 ]]; then
  sed -n '2,8s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
  exit 2
fi

if [[ $1 == carry ]]; then
  # the tested versions of all packages except PyTorch and CUDA, which the machine has
  lock=$(mktemp)
  trap 'rm -f "$lock"' EXIT
  grep -vE '^(torch|torchvision|triton|nvidia|cuda)' "$here/constraints.txt" > "$lock"
  "$python" -m pip download --quiet --no-deps --dest "$2" --requirement "$lock"
  exit 0
fi

wheels=$1 record=$(realpath -m "$2")
shift 2
if [[ -n $wheels ]]; then
  place=$(mktemp -d)
  trap 'rm -rf "$place"' EXIT
  "$python" -m venv --system-site-packages "$place/env"
  beside=$("$python" -c 'import pathlib, torch; print(pathlib.Path(torch.__file__).parents[1])')
  python=$place/env/bin/python
  # PyTorch may be in an environment itself, which a new environment does not see
  echo "$beside" > "$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/torch.pth"
  "$python" -m pip uninstall --quiet --yes setuptools  # an old version would hide that of PyTorch
  "$python" -m pip install --quiet --no-index --find-links "$wheels" "${needed[@]}"
fi
export PYTHONPATH="$here:$here/book" HF_HUB_OFFLINE=1 CUBLAS_WORKSPACE_CONFIG=:4096:8
cd "$here"
"$python" -m tests.gpu.prove "$record" --limit $((300 - SECONDS)) "$@"  # the limit includes the installation
