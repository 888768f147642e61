"""What an image holds of packages: chosen, cut, compiled, listed. For the builds; the standard library is enough.

python3 packages.py choose stage.txt left_out.txt > requirements.txt
python3 packages.py cut SITE_PACKAGES unused.txt
python3 packages.py compile FOLDER…
python3 packages.py sbom --python SITE_PACKAGES --debian DPKG_STATUS --go GO_VERSION_M NAME VERSION > sbom.cdx.json
python3 packages.py largest SITE_PACKAGES
"""

import argparse
import compileall
import json
import py_compile
import re
import shutil
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from email.parser import HeaderParser
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any
from urllib.parse import quote

_CHUNK = 1 << 20
Entry = dict[str, Any]  # of a CycloneDX list, as JSON


class PackagesError(Exception):
    """A list does not fit what it is about."""


def main(arguments: list[str] | None = None) -> int:
    """Run a command.

    Returns:
        The exit code: 0, or 1 when a list does not fit.
    """
    options = _parser().parse_args(arguments)
    try:
        if options.command == "choose":
            sys.stdout.write(choose(options.requirements.read_text(), entries(options.left_out)))
        elif options.command == "cut":
            print(f"cut {cut(options.site, entries(options.unused)) / 1e6:.0f} MB", file=sys.stderr)
        elif options.command == "compile":
            compile_all(options.folders)
        elif options.command == "sbom":
            components = [*python_components(options.python), *debian_components(options.debian)]
            components += go_components(options.go)
            json.dump(sbom(options.name, options.version, components), sys.stdout, indent=1)
        else:
            print(largest(options.site, options.count))
    except PackagesError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    chosen = commands.add_parser("choose", help="print requirements without the packages that are left out")
    chosen.add_argument("requirements", type=Path)
    chosen.add_argument("left_out", type=Path)
    cutting = commands.add_parser("cut", help="remove files that nothing uses")
    cutting.add_argument("site", type=Path)
    cutting.add_argument("unused", type=Path)
    compiled = commands.add_parser("compile", help="write bytecode")
    compiled.add_argument("folders", type=Path, nargs="+")
    listed = commands.add_parser("sbom", help="print a CycloneDX list of what is installed")
    listed.add_argument("--python", type=Path, help="folder of Python packages")
    listed.add_argument("--debian", type=Path, help="dpkg's status file")
    listed.add_argument("--go", type=Path, help="what `go version -m` says of a program")
    listed.add_argument("name")
    listed.add_argument("version")
    sizes = commands.add_parser("largest", help="print the largest packages as a Markdown table")
    sizes.add_argument("site", type=Path)
    sizes.add_argument("--count", type=int, default=10)
    return parser


def entries(path: Path) -> list[str]:
    """Lines of a list that are neither empty nor comments; a comment ends a line too."""
    lines = (line.split("#", 1)[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line]


def choose(requirements: str, left_out: list[str]) -> str:
    """Requirements, hashes included, without some packages.

    Args:
        requirements: Content of a file of hashed requirements.
        left_out: Names of packages.

    Raises:
        PackagesError: A name is not among the requirements, so the list is out of date.
    """
    kept, found = [], set()
    for block in re.split(r"^(?=[A-Za-z0-9])", requirements, flags=re.MULTILINE):
        name = re.split(r"[^A-Za-z0-9._-]", block, maxsplit=1)[0]
        if name in left_out:
            found.add(name)
        else:
            kept.append(block)
    if missing := sorted(set(left_out) - found):
        raise PackagesError(f"left out but not required: {', '.join(missing)}. Take them off the list.")
    return "".join(kept)


def cut(site: Path, unused: list[str]) -> int:
    """Remove files and folders.

    Args:
        site: Folder of packages.
        unused: Glob patterns below it.

    Returns:
        Bytes removed.

    Raises:
        PackagesError: A pattern fits nothing, so the list is out of date.
    """
    removed = 0
    for pattern in unused:
        found = sorted(site.glob(pattern))
        if not found:
            raise PackagesError(f"unused, but nothing there fits: {pattern}. Take it off the list.")
        for path in found:
            removed += _size(path)
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
    return removed


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() and not path.is_symlink() else [path]
    return sum(file.lstat().st_size for file in files if file.is_file() or file.is_symlink())


def compile_all(folders: list[Path]) -> None:
    """Write bytecode that is used unseen: nobody writes into an image, so nothing has to be compared.

    Args:
        folders: Folders of modules. What is not Python of this version, such as templates, is passed over.
    """
    for folder in folders:
        compileall.compile_dir(
            folder, quiet=2, workers=0, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH
        )


# The list of what is installed


def sbom(name: str, version: str, components: list[Entry]) -> Entry:
    """A CycloneDX bill of materials, the same for the same content.

    Args:
        name: Name of the image.
        version: Version of the image.
        components: What is in it.
    """
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "container", "bom-ref": "image", "name": name, "version": version}},
        "components": sorted(components, key=lambda component: str(component["bom-ref"])),
    }


def _component(kind: str, name: str, version: str, purl: str) -> Entry:
    return {"type": kind, "bom-ref": purl, "name": name, "version": version, "purl": purl}


def python_components(site: Path | None) -> list[Entry]:
    """Python itself and the packages of a folder, by their own metadata."""
    if site is None:
        return []
    python = "{}.{}.{}".format(*sys.version_info[:3])
    found = [_component("platform", "python", python, f"pkg:generic/python@{python}")]
    for distribution in distributions(path=[str(site)]):
        name = re.sub(r"[-_.]+", "-", distribution.metadata["Name"]).lower()
        component = _component("library", name, distribution.version, f"pkg:pypi/{name}@{quote(distribution.version)}")
        found.append(component | _licenses(distribution))
    return found


def _licenses(distribution: Distribution) -> Entry:
    metadata = distribution.metadata
    if expression := metadata.get_all("License-Expression"):
        return {"licenses": [{"expression": expression[0]}]}
    classifiers = [line for line in metadata.get_all("Classifier") or [] if line.startswith("License :: ")]
    names = [line.rsplit(" :: ", 1)[1] for line in classifiers]
    if not names and (stated := (metadata.get_all("License") or [""])[0].strip()) and "\n" not in stated:
        names = [stated]
    return {"licenses": [{"license": {"name": name}} for name in names]} if names else {}


def debian_components(status: Path | None) -> Iterator[Entry]:
    """Debian's packages by dpkg's status file."""
    for paragraph in status.read_text(encoding="utf-8").split("\n\n") if status else []:
        fields = HeaderParser().parsestr(paragraph)
        if fields.get("Status", "").endswith(" installed"):
            name, version = str(fields["Package"]), str(fields["Version"])
            purl = f"pkg:deb/debian/{quote(name)}@{quote(version)}?arch={fields['Architecture']}"
            yield _component("library", name, version, purl)


def go_components(listing: Path | None) -> Iterator[Entry]:
    """Go itself and a program's modules by `go version -m`."""
    for line in listing.read_text(encoding="utf-8").splitlines() if listing else []:
        words = line.split()
        if re.search(r": go\d", line):
            version = words[-1].removeprefix("go")
            yield _component("platform", "go", version, f"pkg:generic/go@{version}")
        elif words[:1] in (["mod"], ["dep"], ["=>"]):  # `=>` replaces the module of the line before
            kind = "application" if words[0] == "mod" else "library"
            yield _component(kind, words[1], words[2], f"pkg:golang/{words[1]}@{quote(words[2])}")


# Sizes


@dataclass(slots=True)
class _Package:
    name: str
    installed: int = 0
    compressed: int = 0


def sizes(site: Path) -> list[_Package]:
    """Packages of a folder with their bytes, installed and compressed (each file by itself), the largest first.

    Args:
        site: Folder of packages.
    """
    packages = []
    for distribution in distributions(path=[str(site)]):
        package = _Package(f"{distribution.metadata['Name']} {distribution.version}")
        for path in _files(distribution):
            package.installed += path.stat().st_size
            package.compressed += _compressed(path)
        packages.append(package)
    return sorted(packages, key=lambda package: -package.compressed)


def _files(distribution: Distribution) -> set[Path]:
    """Files of a package that are there, its bytecode included."""
    found = set()
    for file in distribution.files or []:
        path = Path(str(distribution.locate_file(file)))
        found |= {path, *(path.parent / "__pycache__").glob(f"{path.stem}.cpython-*.pyc")}
    return {path for path in found if path.is_file()}


def _compressed(path: Path) -> int:
    packer, size = zlib.compressobj(6), 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            size += len(packer.compress(chunk))
    return size + len(packer.flush())


def largest(site: Path, count: int) -> str:
    """A Markdown table of the largest packages.

    Args:
        site: Folder of packages.
        count: Number of rows; the last one holds all the others.
    """
    packages = sizes(site)
    rest = _Package(f"the other {len(packages[count:])}")
    for package in packages[count:]:
        rest.installed += package.installed
        rest.compressed += package.compressed
    rows = [
        f"| {package.name} | {package.installed / 1e6:.1f} | {package.compressed / 1e6:.1f} |"
        for package in [*packages[:count], rest]
    ]
    return "\n".join(["| package | MB installed | MB compressed |", "|---|---|---|", *rows])


if __name__ == "__main__":
    sys.exit(main())
