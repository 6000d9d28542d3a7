"""pack.py BINARY ZIP: a layer with exactly one file, extensions/logspool, which everybody may run. The same binary gives the same bytes."""

import sys
import zipfile
from pathlib import Path

EARLIEST = (1980, 1, 1, 0, 0, 0)  # that a zip can tell; when it was packed is nobody's business


def pack(binary: Path, layer: Path) -> None:
    program = binary.read_bytes()
    entry = zipfile.ZipInfo("extensions/logspool", EARLIEST)
    entry.create_system = 3  # Unix, whose mode follows
    entry.external_attr = 0o100755 << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    layer.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(layer, "w") as archive:
        archive.writestr(entry, program, compresslevel=9)
    print(f"{layer}: {layer.stat().st_size:,} bytes, unpacked {len(program):,}")


if __name__ == "__main__":
    pack(Path(sys.argv[1]), Path(sys.argv[2]))
