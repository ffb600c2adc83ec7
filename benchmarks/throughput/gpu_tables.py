"""The part of the Markdown page about a GPU."""

from table_cells import mib, ranged, table


def gpu_section(gpu: dict, recipe: dict) -> list[str]:
    """The section on a GPU: the fast recipe, whole fits, and what binds them."""
    lines = ["## GPU", ""]
    if "not_measured" in recipe:
        lines += [f"Fast recipe of CIFAR-10: not measured: {recipe['not_measured']}.", ""]
    else:
        lines += [
            f"{recipe['device']}: {recipe['members']} members of the fast recipe of CIFAR-10 took "
            f"{recipe['seconds'] / 60:.1f} minutes, start-up and report included; their mean "
            f"accuracy is {recipe['accuracy']:.2%}. {' '.join(recipe['notes'])}".rstrip(),
            "",
        ]
    if "not_measured" in gpu:
        return [*lines, f"ResNet-20: not measured: {gpu['not_measured']}."]
    return [*lines, *_gpu_fits(gpu), *_gpu_parts(gpu)]


def _gpu_fits(gpu: dict) -> list[str]:
    wrong = ", ".join(f"{plan} {value:.0e}" for plan, value in gpu["correctness"].items())
    fits, over = gpu["fits"], gpu["fits"]["over_lightning"]
    plan, besides = fits["plan"], ranged(fits["seconds_besides_epochs"], 1)
    later = 100 / fits["members"] * 200 * fits["seconds_per_epoch"]["fit"]["median"] / 60
    return [
        f"{gpu['device']}. Largest difference of a weight from the CPU, float64: {wrong}. The "
        f"bandwidth floor is {gpu['floor_milliseconds']:.3f} ms per member-step, a whole `fit` "
        f"takes {fits['milliseconds']:.3f} ms, and a batch with its augmentation "
        f"{gpu['steps']['batch_milliseconds']:.3f} ms of it.",
        "",
        f"Whole fits of {fits['members']} ResNet-20 in one pack on {fits['data']}, plan "
        f"{plan['plan']} ({plan['reason']}), CUDA graphs {plan['graph']}, {besides} s besides its "
        "epochs; the usual loop is one member, multiplied. At this rate 100 members take "
        f"{later:.0f} minutes for 200 epochs.",
        "",
        *table(
            "way | seconds per epoch of all members | times fit",
            [
                [name, ranged(seconds, 2), ranged(over[name], 1) if name in over else ""]
                for name, seconds in fits["seconds_per_epoch"].items()
            ],
        ),
    ]


def _gpu_parts(gpu: dict) -> list[str]:
    return [
        *table(
            "step of ResNet-20 (whole: as `fit` makes it) | ms per member | until the first, s",
            [
                [n, f"{r['milliseconds']:.3f}", f"{r['first_seconds']:.1f}"]
                for n, r in gpu["steps"]["rows"].items()
            ],
        ),
        *table(
            "packed, bf16, members | ms per member-step | peak MiB",
            [
                [r["members"], f"{r['milliseconds']:.3f}", mib(r["peak_bytes"])]
                for r in gpu["curve"]
            ],
        ),
        *table(
            "channels, side | precision | form | forward, ms per member | dx | dw",
            [
                [f"{r['channels']}, {r['side']}", r["precision"], r["form"]]
                + [f"{r[p]:.4f}" for p in ("forward", "dx", "dw")]
                for r in gpu["layers"]
            ],
        ),
        *table(
            "kernel of a packed step | share",
            [[f"`{r['kernel'][:80]}`", f"{r['share']:.0%}"] for r in gpu["kernels"]],
        ),
    ]
