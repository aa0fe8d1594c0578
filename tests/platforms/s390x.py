"""Big-endian: s390x under qemu's user emulation, in a folder of Debian's packages, which needs no root to unpack."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from here import BUILD, ROOT, NotHereError, run

if TYPE_CHECKING:
    from pathlib import Path

SYSROOT = BUILD / "s390x"
PYTHON = BUILD / "s390x-python"
RELEASE = "trixie"
"""Debian's first with numpy >= 1.26; its Python is 3.13."""
PACKAGES = (
    "libc6-dev", "libzstd-dev", "python3", "python3-hypothesis", "python3-numpy", "python3-pytest", "python3-tqdm",
    "python3-zstandard",
)  # fmt: skip
PURE = ("construct==2.10.70", "google-crc32c")
"""From PyPI, as Python: the one that Debian has is too old, the other it has not."""
TESTS = ("tests/codec/test_codes.py", "tests/codec/test_decoding.py", "-k", "test_codes or packing")
"""Those of packing, and of codes with scales and offsets of each kind; all of tests/codec would take hours."""


def c_reader() -> str:
    """The C reader, cross-built, over the corpus."""
    _need("qemu-s390x", "qemu-user")
    _need("s390x-linux-gnu-gcc", "gcc-s390x-linux-gnu")
    _sysroot()
    folder = "conformance/implementations/c"
    # gcc for s390x calculates in double where the standard lets it, unless told not to
    flags = ["CFLAGS=-O2 -fexcess-precision=fast", f"CC=s390x-linux-gnu-gcc --sysroot={SYSROOT}", "ZSTD=yes"]
    run("make", "--silent", "-B", "-C", folder, "BUILD=build/s390x", *flags, "build/s390x/adapter")
    return _conformance("--decoder", f"qemu-s390x -L {SYSROOT} {folder}/build/s390x/adapter")


def spec_decoder() -> str:
    """The decoder written from the specification, in pure Python, over the corpus."""
    return _conformance("--decoder", f"{_python()} conformance/implementations/spec-decoder/qemb_spec.py")


def reference() -> str:
    """The reference codec over the corpus, as decoder and as encoder."""
    adapter = f"{_python()} conformance/implementations/reference/adapter.py"
    return _conformance("--decoder", adapter, "--encoder", f"{adapter} --encode")


def codec() -> str:
    """The tests of the reference codec, packing among them."""
    return run(_python(), "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", _NO_EXTENSION, *TESTS)


PARTS = {"s390x-c": c_reader, "s390x-spec": spec_decoder, "s390x-reference": reference, "s390x-codec": codec}

_NO_EXTENSION = "ignore:As the c extension couldn't be imported:RuntimeWarning"


def _conformance(*options: str) -> str:
    """Run the corpus; emulation takes ten times as long as the machine itself."""
    return run(sys.executable, "conformance/run.py", "--jsonl", "--timeout", "300", *options)


def _need(program: str, package: str) -> None:
    """Have a program here; on Debian root installs it.

    Raises
    ------
    NotHereError
        It is not, and cannot be.
    """
    if shutil.which(program):
        return
    if os.getuid() != 0 or not shutil.which("apt-get"):
        raise NotHereError(f"no {program}: root on Debian is needed once, for apt-get install {package}")
    run("apt-get", "-qq", "update")
    run("apt-get", "-qq", "install", "--no-install-recommends", package, DEBIAN_FRONTEND="noninteractive")


def _python() -> str:
    """Python of s390x with what the codec needs, as a command."""
    _need("qemu-s390x", "qemu-user")
    _sysroot()
    site = SYSROOT / "site"
    if not site.exists():
        run(
            sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-binary", "google-crc32c", "--target",
            str(site), *PURE, CRC32C_PURE_PYTHON="1",
        )  # fmt: skip
        # what a test starts with sys.executable has to run under qemu too
        (site / "sitecustomize.py").write_text(f"import sys\n\nsys.executable = {str(PYTHON)!r}\n")
    paths = ":".join(map(str, (ROOT / "codec", ROOT / "tools", ROOT / "conformance", site)))
    PYTHON.write_text(
        f"#!/bin/sh\nexport PYTHONPATH={paths} PYTHONDONTWRITEBYTECODE=1 PYTHONWARNINGS=ignore::RuntimeWarning\n"
        f'exec qemu-s390x -L {SYSROOT} {SYSROOT}/usr/bin/python3 "$@"\n'
    )
    PYTHON.chmod(0o755)
    said = run(
        str(PYTHON), "-c", "import sys, numpy, qemb; print(sys.byteorder, sys.version_info[:3], numpy.__version__)"
    )
    if not said.startswith("big"):
        raise NotHereError(f"{PYTHON} is not big-endian: {said}")
    return str(PYTHON)


def _sysroot() -> None:
    """Unpack Debian's packages for s390x, and what they need, from the archive that this machine is set up with."""
    if (SYSROOT / "ready").exists():
        return
    if not shutil.which("apt-get"):
        raise NotHereError("no apt-get: s390x comes from Debian's packages")
    shutil.rmtree(SYSROOT, ignore_errors=True)  # what is left of one that was broken off
    apt = _Apt(BUILD / "apt")
    archives = apt.download(PACKAGES)
    (SYSROOT / "usr" / "lib").mkdir(parents=True)
    (SYSROOT / "lib").symlink_to("usr/lib")
    for archive in archives:
        run("dpkg-deb", "-x", str(archive), str(SYSROOT))
    libraries = SYSROOT / "usr" / "lib" / "s390x-linux-gnu"
    for name in ("blas", "lapack"):  # links that the packages' scripts would make
        (libraries / f"lib{name}.so.3").symlink_to(f"{name}/lib{name}.so.3")
    (SYSROOT / "ready").touch()


class _Apt:
    """apt with folders of its own, for s390x: nothing of the machine's is changed."""

    def __init__(self, folder: Path) -> None:
        (folder / "lists" / "partial").mkdir(parents=True, exist_ok=True)
        (folder / "cache" / "archives" / "partial").mkdir(parents=True, exist_ok=True)
        (folder / "status").touch()
        self._folder = folder
        self._options = [
            f"-o{option}"
            for option in (
                "APT::Architecture=s390x",
                "APT::Architectures=s390x",
                "APT::Install-Recommends=0",
                f"Dir::State={folder}",
                f"Dir::State::status={folder}/status",
                f"Dir::Cache={folder}/cache",
                f"Dir::Etc::sourcelist={folder}/debian.sources",
                "Dir::Etc::sourceparts=/dev/null",
            )
        ]

    def download(self, packages: tuple[str, ...]) -> list[Path]:
        """The packages and what they need, as files."""
        self._update()
        run("apt-get", *self._options, "-qq", "-y", "--download-only", "install", *packages)
        return sorted((self._folder / "cache" / "archives").glob("*.deb"))

    def _update(self) -> None:
        """Get the lists of the release, by its name or, where a mirror is half way through an update, as stable."""
        targets = subprocess.run(
            ["apt-get", "indextargets", "--format", "$(ORIGIN) $(REPO_URI)"], capture_output=True, text=True, check=True
        )
        archive = re.search(r"^Debian (\S+/debian/?)$", targets.stdout, re.MULTILINE)
        if archive is None:
            raise NotHereError("apt knows no archive of Debian's; run apt-get update once")
        for suite in (RELEASE, "stable"):
            (self._folder / "debian.sources").write_text(
                f"Types: deb\nURIs: {archive[1]}\nSuites: {suite}\nComponents: main\n"
                "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
            )
            try:
                run("apt-get", *self._options, "-qq", "update")
            except subprocess.CalledProcessError as error:
                said = error.output
                continue
            if any(f"Codename: {RELEASE}" in path.read_text() for path in (self._folder / "lists").glob("*InRelease")):
                return
            said = f"stable is no longer {RELEASE}"
        raise NotHereError(f"Debian {RELEASE} for s390x cannot be had from the archive: {said.strip()[-300:]}")
