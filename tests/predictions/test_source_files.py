from bvalign.predictions.source_files import source_files


def make(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return root


def found(source, root):
    return [file.relative_to(root).as_posix() for file in source_files(source)]


def test_a_file_is_read_with_what_is_its_own(tmp_path):
    make(tmp_path, "seed0.npy", "seed0.labels.npy", "seed1.labels.npy", "a.npz")
    assert found(tmp_path / "seed0.npy", tmp_path) == ["seed0.labels.npy", "seed0.npy"]
    assert found(str(tmp_path / "a.npz"), tmp_path) == ["a.npz"]
    assert source_files("s3://bucket/a.zarr") == []


def test_of_a_run_it_is_what_members_predict(tmp_path):
    folder = "members/0001/"
    wanted = [f"{folder}logits/{name}" for name in ("00000.safetensors", "manifest.json")]
    wanted = [*wanted, "members/0000/logits.safetensors", "members/0000/train.safetensors"]
    wanted += ["samples-train.npz", "samples.npz"]
    others = ("run.json", "summary.json", "samples.csv", "pieces/0.safetensors", "run.lock")
    make(tmp_path, *wanted, *others, f"{folder}weights.safetensors", f"{folder}history.csv")
    make(tmp_path, f"{folder}logits/.00001.safetensors.7.tmp")
    assert found(tmp_path, tmp_path) == sorted(wanted)


def test_of_a_folder_it_is_what_readers_may_open_and_no_report(tmp_path):
    wanted = [
        "labels.txt",
        "manifest.json",
        "seed0/a.safetensors",
        "seed1/b.csv.gz",
        "p=1/c.parquet",
    ]
    report = ("summary.json", "samples.csv", "samples.parquet", "report.html", "abstain.json")
    make(tmp_path, *wanted, *report, *(f"out/{name}" for name in report), "pieces/a.safetensors")
    make(tmp_path, "out/pieces/a.safetensors", ".seed0.npy.1.tmp", "_metadata.json", "run.log")
    (tmp_path / "seed0" / "circle").symlink_to(tmp_path / "seed1")
    assert found(tmp_path, tmp_path) == sorted([*wanted, "seed0/circle/b.csv.gz"])


def test_of_a_zarr_it_is_the_metadata(tmp_path):
    make(tmp_path, "x.zarr/zarr.json", "x.zarr/logits/zarr.json", "x.zarr/logits/c/0/0/0")
    assert found(tmp_path / "x.zarr", tmp_path) == ["x.zarr/logits/zarr.json", "x.zarr/zarr.json"]
