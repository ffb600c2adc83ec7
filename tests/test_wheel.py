"""What the wheel and the source distribution hold."""

import shutil
import sys
from zipfile import ZipFile

import pytest

from bvalign import __version__
from tests import ROOT
from tests.copies import writable_copy
from tests.processes import run_process

pytestmark = pytest.mark.slow
BUILD = "from setuptools import build_meta as b; print(); print(b.build_{}('..'))"
DIST_INFO = {"METADATA", "WHEEL", "entry_points.txt", "top_level.txt", "RECORD", "licenses/LICENSE"}


def build(kind, checkout):
    """Path of what setuptools builds beside a checkout."""
    said = run_process([sys.executable, "-c", BUILD.format(kind)], cwd=checkout)
    return checkout.parent / said.stdout.splitlines()[-1]


@pytest.fixture
def checkout(tmp_path):
    """What git keeps at the root and the package, with folders that do not belong to it."""
    writable_copy(ROOT / "bvalign", tmp_path / "checkout" / "bvalign")
    for name in ("README.md", "LICENSE", "MANIFEST.in", "pyproject.toml"):
        shutil.copyfile(ROOT / name, tmp_path / "checkout" / name)
    for other in ("tests", "experiments", "runs"):
        (tmp_path / "checkout" / other).mkdir()
        (tmp_path / "checkout" / other / "test_other.py").touch()
    return tmp_path / "checkout"


def test_the_wheel_is_the_package_also_when_built_from_the_source_distribution(checkout):
    files = (path for path in (ROOT / "bvalign").rglob("*") if path.is_file())
    package = {str(p.relative_to(ROOT)) for p in files if p.suffix != ".pyc"}
    assert "bvalign/show/report/explorer/vendor/ag-grid-community.min.js" in package
    dist_info = {f"bvalign-{__version__}.dist-info/{name}" for name in DIST_INFO}
    wheel = build("wheel", checkout)
    assert set(ZipFile(wheel).namelist()) == package | dist_info
    wheel.unlink()
    shutil.unpack_archive(build("sdist", checkout), checkout.parent, filter="data")
    unpacked = checkout.parent / f"bvalign-{__version__}"
    assert not list(unpacked.rglob("test_other.py"))
    again = build("wheel", unpacked)
    assert set(ZipFile(again).namelist()) == package | dist_info
