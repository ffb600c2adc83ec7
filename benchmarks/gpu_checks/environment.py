"""GPUs, driver and versions."""

import os
import shutil
import subprocess
from importlib.util import find_spec

import torch
from gpu_checks.outcome import CheckError, Found, Setting, require

from bvalign.provenance import provenance

GIB = 2**30


def environment(setting: Setting) -> Found:
    """Names what is here; where there are GPUs, each computes something."""
    made = provenance()
    numbers = {
        "versions": made["versions"],
        "commit": made["commit"],
        "driver": _nvidia_smi("driver_version"),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "triton": find_spec("triton") is not None,
        "compiler": shutil.which("cc") is not None,
        "cores": os.cpu_count(),
        "gpus": [],
    }
    torch_version = f"torch {made['versions']['torch']}"
    if not torch.cuda.is_available():
        listed = _nvidia_smi("name")
        require(
            not listed, f"nvidia-smi lists {', '.join(listed)}, {torch_version} sees none", numbers
        )
        return Found(f"no GPU, {torch_version}", numbers)
    for number in range(torch.cuda.device_count()):
        numbers["gpus"].append(_gpu(number, numbers))
    first = numbers["gpus"][0]
    return Found(
        f"{len(numbers['gpus'])} x {first['name']}, {first['free'] / GIB:.0f} GiB free, driver "
        f"{', '.join(numbers['driver'][:1])}, CUDA {numbers['cuda']}, {torch_version}",
        numbers,
    )


def _gpu(number: int, numbers: dict[str, object]) -> dict[str, object]:
    """What one GPU is, once it has computed a product of matrices."""
    device = torch.device("cuda", number)
    properties = torch.cuda.get_device_properties(device)
    try:
        product = torch.ones(64, 64, device=device) @ torch.ones(64, 64, device=device)
    except RuntimeError as error:
        says = f"GPU {number}, {properties.name}: {str(error).splitlines()[0]}"
        raise CheckError(says, numbers) from error
    require(bool((product == 64).all()), f"GPU {number} multiplies wrongly", numbers)
    free, total = torch.cuda.mem_get_info(device)
    return {
        "name": properties.name,
        "capability": [properties.major, properties.minor],
        "multiprocessors": properties.multi_processor_count,
        "memory": total,
        "free": free,
        "bf16": torch.cuda.is_bf16_supported(including_emulation=False),
    }


def _nvidia_smi(query: str) -> list[str]:
    """An answer of nvidia-smi for each GPU; nothing where it is not installed or fails."""
    if shutil.which("nvidia-smi") is None:
        return []
    command = ["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader"]
    asked = subprocess.run(command, capture_output=True, text=True, check=False)
    return [] if asked.returncode else asked.stdout.split("\n")[:-1]
