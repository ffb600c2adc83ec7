#!/usr/bin/env bash
# Runs the tests in environments that must not matter to them, one after another.
#
#   tests/hostile.sh [PYTHON [ENVIRONMENT...]]       environments: wandb launcher bare
#
# Each runs in a copy of the checkout that nobody can write, from inside it, in a random order.
# SEED=1 repeats an order, WORKERS=2 is for all environments, MARK=slow takes other tests.
set -euo pipefail
python=${1:-python3}
environments=("${@:2}")
[ ${#environments[@]} -gt 0 ] || environments=(wandb launcher bare)
seed=${SEED:-$RANDOM}
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
mkdir "$work/checkout" "$work/tmp"
git -C "$root" ls-files -z --cached --others --exclude-standard |
	tar -C "$root" --null --files-from - --create | tar -C "$work/checkout" --extract
chmod -R a-w "$work/checkout"
cd "$work/checkout"
# root may write what nobody may; without these capabilities it may not
[ "$(id -u)" -ne 0 ] || drop="setpriv --bounding-set=-dac_override,-dac_read_search"
options="-q -p no:cacheprovider --random-order --random-order-seed=$seed --dist loadgroup"

run() {  # workers, variables
	echo "environment $environment, order $seed: ${*:2}"
	# shellcheck disable=SC2086  # two lists of words
	env -i PATH="$PATH" TMPDIR="$work/tmp" ${PYTHONPATH:+PYTHONPATH="$PYTHONPATH"} "${@:2}" \
		${drop-} "$python" -m pytest $options -n "${WORKERS:-$1}" -m "${MARK:-not slow}"
}

for environment in "${environments[@]}"; do
	case $environment in
	wandb)  # settings and a login of W&B, and a home with nothing in it
		run 4 HOME=/nonexistent WANDB_MODE=offline WANDB_PROJECT=other WANDB_DIR=/nonexistent \
			WANDB_API_KEY=0123 WANDB_BASE_URL=http://127.0.0.1:9 WANDB_RUN_ID=other CI=true ;;
	launcher)  # as in a job of torchrun and Slurm, with settings of Lightning and matplotlib
		run 2 HOME="$work/tmp" WANDB_MODE=disabled RANK=1 LOCAL_RANK=1 WORLD_SIZE=2 NODE_RANK=1 \
			MASTER_ADDR=127.0.0.1 MASTER_PORT=9 SLURM_JOB_ID=7 SLURM_JOB_NAME=job SLURM_NTASKS=2 \
			SLURM_PROCID=1 SLURM_LOCALID=0 SLURM_NNODES=2 SLURM_NODELIST=other OMP_NUM_THREADS=7 \
			PL_TRAINER_MAX_EPOCHS=9 BVALIGN_DATA=/nonexistent MPLBACKEND=svg COLUMNS=20 NO_COLOR=1 ;;
	bare)  # no home and no language
		run 1 LC_ALL=C WANDB_MODE=offline ;;
	*) echo "no environment '$environment'; there are wandb, launcher and bare" >&2; exit 2 ;;
	esac
done
