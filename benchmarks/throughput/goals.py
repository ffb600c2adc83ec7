"""The goals, each with its measurement and, where it is missed, the reason."""

from typing import NamedTuple

GIB = 2**30
SHORT_STEP = 1.0  # milliseconds; the loop around shorter steps may cost more


class Goal(NamedTuple):
    """A row of the table of goals; `reached` is None where nothing was measured."""

    what: str
    goal: str
    measured: str = "not measured"
    reached: bool | None = None
    reason: str = ""

    @property
    def verdict(self) -> str:
        """The outcome in words."""
        return {None: "not measured", True: "reached", False: "missed"}[self.reached]


def goals(results: dict[str, dict]) -> list[Goal]:
    """All goals, in order."""
    over = {"mlp": 10.0, "cnn": 3.0, "resnet8": 1.8, "resnet20": 1.8}
    return [
        *(_over_lightning(results, name, goal) for name, goal in over.items()),
        *(_over_bare(results, name) for name in over),
        _share_of_peak(results),
        *_on_gpu(results["gpu"]),
        _fast_recipe(results["recipe"]),
        *_statistics(results["statistics"].get("large")),
        _many_members(results["statistics"].get("growth", [])),
        *_startup(results["startup"]),
        _whole_command(results.get("commands")),
    ]


def _over_lightning(results: dict[str, dict], name: str, least: float) -> Goal:
    fits = results["fits"].get(name)
    what = f"whole `fit`, {name}, against the usual Lightning loop, start-up subtracted"
    if fits is None:
        return Goal(what, f">= {least:g}x")
    ratio, training = fits["over_lightning"], results["training"][name]
    rows, peak = training["rows"], training["peak"]["float32"]
    usual, plan = rows["Lightning"]["of_peak"], rows[fits["plan"]]["of_peak"]
    best = max(rows, key=lambda row: rows[row]["steps_per_second"]["median"])
    reasons = [
        f"the usual loop computes at {usual:.1%} of the measured peak of {peak:.0f} GFLOP/s, so "
        f"{1 / usual:.3g}x is all that float32 could gain; {fits['plan']} is at {plan:.1%}. The "
        f"quickest step is {best}"
    ]
    if not training["bfloat16"]["pays"]:
        took = training["bfloat16"]["seconds"]
        slower = took["bfloat16"] / took["float32"]
        reasons.append(f"bf16 takes {slower:.1f} times as long as float32 on this processor")
    if training["convolution_share"]:
        reasons.append(_convolutions(training))
    measured = f"{_ratio(ratio)} ({fits['plan']})"
    return Goal(what, f">= {least:g}x", measured, ratio["median"] >= least, "; ".join(reasons))


def _over_bare(results: dict[str, dict], name: str) -> Goal:
    fits = results["fits"].get(name)
    what = f"whole `fit`, {name}, against a bare loop of the same plan"
    if fits is None:
        return Goal(what, "<= 1.1x")
    step, ratio = fits["step_milliseconds"], fits["over_bare"]
    most = 1.2 if step < SHORT_STEP else 1.1
    extra = (ratio["median"] - 1) * step
    reason = f"{extra:.2f} ms around each step of {step:.1f} ms"
    measured = f"{_ratio(ratio)} (a step of the pack takes {step:.1f} ms)"
    return Goal(what, f"<= {most}x", measured, ratio["median"] <= most, reason)


def _share_of_peak(results: dict[str, dict]) -> Goal:
    what, goal = "ResNet-20 on the CPU, fraction of convolution peak", ">= 0.6"
    training = results["training"].get("resnet20")
    if training is None:
        return Goal(what, goal)
    rows = {n: r["of_peak"] for n, r in training["rows"].items() if "bf16" not in n}
    best = max(rows, key=rows.get)
    reached = rows[best] >= 0.6
    return Goal(what, goal, f"{rows[best]:.2f} ({best})", reached, _convolutions(training))


def _convolutions(training: dict) -> str:
    """The share of convolutions in a step of `sequential`, and their speed there."""
    share = training["convolution_share"]
    rate = training["rows"]["sequential"]["of_peak"] / share
    return (
        f"in `sequential` convolutions take {share:.0%} of a step, forward and backward, and reach "
        f"{rate:.2f} of the peak; normalisation, ReLU and sums take the rest"
    )


def _on_gpu(gpu: dict[str, object]) -> list[Goal]:
    what = "whole `fit` of 20 ResNet-20, batch 128, one GPU,"
    rows = (
        (f"{what} against the usual Lightning loop without workers, start-up subtracted", ">= 25x"),
        ("the same with eight workers", ">= 12x"),
        ("the same, of the bandwidth floor", ">= 35%, upper goal 50%"),
    )
    if "not_measured" in gpu:
        return [Goal(*row, f"not measured: {gpu['not_measured']}") for row in rows]
    fits, worst = gpu["fits"], gpu["kernels"][0]
    none, eight = fits["over_lightning"].values()
    share = gpu["floor_milliseconds"] / fits["milliseconds"]
    how = f"{fits['plan']['plan']}, {gpu['device']}"
    reason = (
        f"{fits['milliseconds']:.3f} ms per member-step; most of a packed step is "
        f"{worst['kernel'][:60]} ({worst['share']:.0%})"
    )
    return [
        Goal(*rows[0], f"{_ratio(none)} ({how})", none["median"] >= 25, reason),
        Goal(*rows[1], f"{_ratio(eight)} ({how})", eight["median"] >= 12, reason),
        Goal(*rows[2], f"{share:.0%} ({how})", share >= 0.35, reason),
    ]


def _fast_recipe(recipe: dict[str, object]) -> Goal:
    what = "64 members of the fast recipe, mean accuracy >= 90% on a JPEG copy of CIFAR-10, H100"
    goal = "<= 8 minutes"
    if "not_measured" in recipe:
        return Goal(what, goal, f"not measured: {recipe['not_measured']}")
    minutes, accuracy = recipe["seconds"] / 60, recipe["accuracy"]
    measured = f"{minutes:.1f} minutes, {accuracy:.1%} ({recipe['device']})"
    return Goal(what, goal, measured, minutes <= 8 and accuracy >= 0.9, measured)


def _statistics(large: dict | None) -> list[Goal]:
    rows = (
        ("statistics of (20, 50,000, 1000) from disk, against a float64 softmax", "<= 1.5x"),
        ("the same, peak memory above the interpreter", "<= 1.2 GiB"),
    )
    if large is None or "not_measured" in large:
        why = "not measured" + (f": {large['not_measured']}" if large else "")
        return [Goal(*row, why) for row in rows]
    ratio, memory = large["over_softmax"], large["peak_bytes"]["statistics"] / GIB
    seconds = large["seconds"]
    reason = (
        f"{seconds['statistics']['median']:.1f} s where the softmax alone takes "
        f"{seconds['softmax']['median']:.1f} s"
    )
    return [
        Goal(*rows[0], _ratio(ratio), ratio["median"] <= 1.5, reason),
        Goal(*rows[1], f"{memory:.2f} GiB", memory <= 1.2, "blocks of samples and their results"),
    ]


def _many_members(growth: list[dict]) -> Goal:
    what = "the same of 80 members, time per logit against 20"
    per_logit = {tuple(row["size"]): row["nanoseconds_per_logit"]["median"] for row in growth}
    few, many = (per_logit.get((members, 4000, 100)) for members in (20, 80))
    if few is None or many is None:
        return Goal(what, "<= 1.15x")
    reason = f"{few:.1f} and {many:.1f} ns"
    return Goal(what, "<= 1.15x", f"{many / few:.2f}x", many / few <= 1.15, reason)


def _startup(startup: dict[str, dict]) -> list[Goal]:
    rows = []
    for command in ("bvalign --help", "bvalign analyze --help", "bvalign report --help"):
        measurement = startup[command]
        took, torch = measurement["seconds"]["median"], measurement["imports_torch"]
        measured = f"{took:.2f} s, {'with' if torch else 'without'} torch"
        reached = took <= 1 and not torch
        rows.append(Goal(f"`{command}`", "<= 1 s, without torch", measured, reached, "imports"))
    return rows


def _whole_command(commands: dict | None) -> Goal:
    what = "whole `fit` of 8 MLPs on digits with its report, against a Lightning script"
    if commands is None:  # results of before
        return Goal(what, "<= 1x")
    row = commands["rows"]["fit"]
    ratio, cpu = row["over_lightning"], row["cpu_over_lightning"]["median"]
    measured = f"{_ratio(ratio)}, {cpu:.2f}x its CPU seconds"
    return Goal(what, "<= 1x", measured, ratio["median"] <= 1, "imports and figures")


def _ratio(ratio: dict[str, float]) -> str:
    return f"{ratio['median']:.2f}x ({ratio['min']:.2f} to {ratio['max']:.2f})"
