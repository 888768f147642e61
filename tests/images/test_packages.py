"""Choosing, cutting, compiling and listing what is installed in an image."""

import json
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from images import packages
from tests.pipelines.command_line import ROOT

REQUIREMENTS = """# made by make requirements
alpha==1.0 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
    # via -r stage.in
beta-two==2.0 ; sys_platform == 'linux' \\
    --hash=sha256:cc
    # via alpha
gamma==3.0 \\
    --hash=sha256:dd
"""
SITE = Path(sysconfig.get_path("purelib"))


def test_left_out_packages_go_with_their_hashes():
    chosen = packages.choose(REQUIREMENTS, ["beta-two"])

    assert "beta-two" not in chosen
    assert "sha256:cc" not in chosen
    assert chosen == REQUIREMENTS.replace(REQUIREMENTS[REQUIREMENTS.index("beta") : REQUIREMENTS.index("gamma")], "")


def test_a_list_that_names_what_is_not_required_is_refused(tmp_path, capsys):
    (tmp_path / "r.txt").write_text(REQUIREMENTS)
    (tmp_path / "l.txt").write_text("# why\nalpha\ndelta  # gone\n")

    assert packages.main(["choose", str(tmp_path / "r.txt"), str(tmp_path / "l.txt")]) == 1

    assert "not required: delta" in capsys.readouterr().err


@pytest.mark.parametrize("image", ["stage"])
def test_the_shipped_list_fits_the_requirements(image):
    left_out = packages.entries(ROOT / "images" / image / "left_out.txt")
    requirements = (ROOT / "requirements" / f"{image}.txt").read_text()

    chosen = packages.choose(requirements, left_out)

    assert chosen.count("==") < requirements.count("==")
    for name in ("kfp", "lightgbm", "evidently", "kserve", "minio"):
        assert f"\n{name}==" in chosen


@pytest.mark.parametrize("image", ["stage", "predictor"])
def test_the_shipped_cuts_name_nothing_that_is_imported_by_the_project(image):
    patterns = packages.entries(ROOT / "images" / image / "unused.txt")

    assert patterns
    assert not [pattern for pattern in patterns if pattern.startswith(("/", "..", "*"))]


def test_cutting_removes_files_and_folders_and_counts_them(tmp_path):
    (tmp_path / "a/tests/deep").mkdir(parents=True)
    (tmp_path / "a/tests/deep/t.py").write_bytes(b"x" * 100)
    (tmp_path / "a/lib.so").write_bytes(b"x" * 10)
    (tmp_path / "a/kept.py").write_bytes(b"x")

    assert packages.cut(tmp_path, ["a/**/tests", "a/*.so"]) == 110

    assert [path.name for path in (tmp_path / "a").iterdir()] == ["kept.py"]


def test_a_cut_that_fits_nothing_is_refused(tmp_path):
    with pytest.raises(packages.PackagesError, match=r"nothing there fits: b/\*\.so"):
        packages.cut(tmp_path, ["b/*.so"])


def test_bytecode_is_used_without_a_look_at_its_source(tmp_path):
    (tmp_path / "module.py").write_text("VALUE = 1\n")
    (tmp_path / "template.py").write_text("no {{ python }}\n")

    packages.compile_all([tmp_path])

    (tmp_path / "module.py").write_text("VALUE = 2\n")
    done = subprocess.run(
        [sys.executable, "-c", "import module; print(module.VALUE)"],
        env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "1\n"


def test_the_bill_of_materials_lists_what_is_installed(capsys, tmp_path):
    status = tmp_path / "status"
    status.write_text(
        "Package: libgomp1\nStatus: install ok installed\nArchitecture: amd64\nVersion: 12.2.0-14+deb12u1\n"
        "Description: a\n b\n\nPackage: gone\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 1\n"
    )
    assert packages.main(["sbom", "--python", str(SITE), "--debian", str(status), "fullcircle-stage", "1a2b"]) == 0

    bill = json.loads(capsys.readouterr().out)
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert bill["metadata"]["component"]["version"] == "1a2b"
    found = {component["name"]: component for component in bill["components"]}
    assert found["python"]["version"] == "{}.{}.{}".format(*sys.version_info[:3])
    assert found["kfp"]["purl"] == f"pkg:pypi/kfp@{found['kfp']['version']}"
    assert found["libgomp1"]["purl"] == "pkg:deb/debian/libgomp1@12.2.0-14%2Bdeb12u1?arch=amd64"
    assert "gone" not in found
    assert found["numpy"]["licenses"]
    references = [component["bom-ref"] for component in bill["components"]]
    assert references == sorted(set(references))


def test_the_bill_of_a_go_program(tmp_path):
    listing = tmp_path / "modules.txt"
    listing.write_text(
        "/result/minio: go1.26.1\n\tpath\tgithub.com/minio/minio\n"
        "\tmod\tgithub.com/minio/minio\tv0.0.0-2026\th1:x=\n"
        "\tdep\tgithub.com/a/b\tv1.2.3+incompatible\th1:y=\n\tbuild\tCGO_ENABLED=0\n"
    )

    found = {component["name"]: component for component in packages.go_components(listing)}

    assert found["go"]["version"] == "1.26.1"
    assert found["github.com/minio/minio"]["type"] == "application"
    assert found["github.com/a/b"]["purl"] == "pkg:golang/github.com/a/b@v1.2.3%2Bincompatible"
    assert len(found) == 3


def test_the_largest_packages_come_first_and_the_rest_last(tmp_path):
    for name, size in {"small": 10, "large": 5000, "middle": 1000}.items():
        folder = tmp_path / f"{name}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (folder / "RECORD").write_text(f"{name}.py,,\ngone.py,,\n")
        (tmp_path / f"{name}.py").write_bytes(bytes(range(250)) * size)

    lines = packages.largest(tmp_path, 1).splitlines()

    assert lines[0] == "| package | MB installed | MB compressed |"
    assert lines[2].startswith("| large 1.0 | 1.2 |")
    assert lines[3].startswith("| the other 2 | 0.3 |")
