"""The results as Markdown, with every number from the JSON beside it."""

from goals import GIB, goals
from gpu_tables import gpu_section
from table_cells import mib, ranged, table

COMMAND = "`python benchmarks/throughput/run.py`"


def markdown(results: dict) -> str:
    """The whole page, results.md."""
    made, hardware = results["made_with"], results["hardware"]
    versions = ", ".join(f"{name} {version}" for name, version in made["versions"].items())
    spent = ", ".join(f"{name} {seconds:.0f}" for name, seconds in results["seconds"].items())
    lines = [
        "# Throughput",
        "",
        f"{hardware['processor']}, {hardware['cores']} cores, {hardware['memory'] / GIB:.0f} GiB; "
        f"{versions}; commit {made['commit']}. Seconds: {spent}. Made by {COMMAND}, whose "
        "docstring says what is measured. Ratios are of interleaved rounds, median (smallest to "
        "largest)." + _later(results.get("later", {})),
        "",
        "## Goals",
        "",
        *table(
            "what | goal | measured | verdict | what binds",
            [
                [g.what, g.goal, g.measured, g.verdict, g.reason if g.reached is False else ""]
                for g in goals(results)
            ],
        ),
        *_limits(results["limits"]),
        *_training(results["training"]),
        *_fits(results["fits"]),
        *_statistics(results["statistics"]),
        "## Start-up",
        "",
        *table(
            "command | seconds | imports torch",
            [
                [f"`{name}`", ranged(row["seconds"], 2), "yes" if row["imports_torch"] else "no"]
                for name, row in results["startup"].items()
            ],
        ),
        *_commands(results.get("commands")),
        *gpu_section(results["gpu"], results["recipe"]),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _later(later: dict[str, dict]) -> str:
    """What was measured after the rest."""
    texts = [
        f"{name} on {made['hardware']['processor']} at commit {made['made_with']['commit']}"
        for name, made in later.items()
    ]
    return f" Measured later: {'; '.join(texts)}." if texts else ""


def _limits(limits: dict[str, dict]) -> list[str]:
    kinds = [f"{kind}_{dtype}" for kind in ("matmul", "convolution") for dtype in TYPES]
    head = "threads | " + " | ".join(f"{k.replace('_', ', ')}, GFLOP/s" for k in kinds)
    rows = [
        [threads, *(f"{row[kind]['best']:.0f}" for kind in kinds), f"{row['copy']:.0f}"]
        for threads, row in limits.items()
    ]
    return [
        "## What the machine can do",
        "",
        "Best of several shapes, which the JSON lists; convolutions forward, channels last.",
        "",
        *table(head + " | copy, GB/s", rows),
    ]


TYPES = ("float32", "bfloat16")


def _training(training: dict[str, dict]) -> list[str]:
    lines = ["## Training steps", ""]
    for name, row in training.items():
        auto, half = row["auto"], row["bfloat16"]["seconds"]
        difference, first = max(row["difference_float64"].values()), row["compile_seconds"]
        lines += [
            f"### {name}",
            "",
            f"Batch {row['batch_size']}, packs of {row['pack']}, {row['threads']} threads, "
            f"{row['flops'] / 1e6:,.0f} MFLOP per member-step. Lightning trains one "
            f"member. `auto` chose {auto['plan']} ({auto['reason']}), which is at "
            f"{row['auto_of_best']:.2f} of the best plan. A bf16 step takes "
            f"{half['bfloat16'] / half['float32']:.2f} of a float32 step. After three steps in "
            f"float64 no weight differs between plans by more than {difference:.0e}."
            + (f" The first compiled step took {first:.0f} s, no part of a rate." if first else ""),
            "",
            *table(
                "way | member-steps per second | times Lightning | times plain loop | of peak",
                [
                    [
                        way,
                        ranged(rate["steps_per_second"], 1),
                        ranged(rate["over_lightning"], 2),
                        ranged(rate["over_plain_loop"], 2),
                        f"{rate['of_peak']:.3f}",
                    ]
                    for way, rate in row["rows"].items()
                ],
            ),
        ]
    return lines


def _fits(fits: dict[str, dict]) -> list[str]:
    return [
        "## Whole fits",
        "",
        "Seconds per epoch of a pack, without the first epochs; the usual loop is one member, "
        "multiplied.",
        "",
        *table(
            "network | members | plan | fit | bare loop | Lightning | Lightning / fit | fit / bare",
            [
                [
                    name,
                    row["members"],
                    row["plan"],
                    *(ranged(row["seconds_per_epoch"][k], 2) for k in ("fit", "bare", "usual")),
                    ranged(row["over_lightning"], 2),
                    ranged(row["over_bare"], 2),
                ]
                for name, row in fits.items()
            ],
        ),
    ]


def _statistics(statistics: dict) -> list[str]:
    rows = []
    for name in [key for key in statistics if key != "growth"]:
        row = statistics[name]
        if "not_measured" in row:
            rows.append([tuple(row["size"]), f"not measured: {row['not_measured']}", "", "", ""])
            continue
        for way, seconds in row["seconds"].items():
            ratio = ranged(row["over_softmax"], 2) if way == "statistics" else ""
            memory = f"{row['peak_bytes'][way] / GIB:.2f}"
            rows.append([tuple(row["size"]), way, ranged(seconds, 2), memory, ratio])
        if "naive_not_measured" in row:
            rows.append([tuple(row["size"]), "naive", row["naive_not_measured"], "", ""])
    growth = [
        [tuple(row["size"]), ranged(row["nanoseconds_per_logit"], 1), mib(row["peak_bytes"])]
        for row in statistics["growth"]
    ]
    return [
        "## Statistics from disk",
        "",
        *table("members, samples, classes | way | seconds | GiB | times the softmax", rows),
        "How `statistics` grows:",
        "",
        *table("members, samples, classes | ns per logit | MiB", growth),
    ]


def _commands(commands: dict | None) -> list[str]:
    if commands is None:  # results of before
        return []
    return [
        "## Whole commands",
        "",
        f"{commands['members']} MLPs on digits, {commands['epochs']} epochs, from start to end; "
        "`fit` writes its report, the Lightning script trains the members one after another and "
        "keeps nothing. W&B is offline.",
        "",
        *table(
            "command | seconds | CPU seconds | times Lightning | times its CPU seconds",
            [
                [
                    way,
                    ranged(row["seconds"], 1),
                    ranged(row["cpu_seconds"], 1),
                    ranged(row["over_lightning"], 2),
                    ranged(row["cpu_over_lightning"], 2),
                ]
                for way, row in commands["rows"].items()
            ],
        ),
    ]
