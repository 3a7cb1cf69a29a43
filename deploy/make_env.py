"""Writes deploy/.env with fresh secrets, for compose.yaml: `python3 deploy/make_env.py`. Needs Python only.

An existing file is left alone: its secrets open the data that is there.
"""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path

TARGET = Path(__file__).resolve().parent / ".env"
TEMPLATE = """\
# Made by make_env.py. Keep it: who loses it has lost the keys to the data.

# Which servers compose starts beside Triptych: valkey and one of seaweedfs, minio. Leave out those that you
# have elsewhere, and name them below. `gpu` adds the GPU worker.
COMPOSE_PROFILES=valkey,seaweedfs

# The broker and ledger: Valkey, or Redis 6.2 or newer, append-only file on, noeviction.
VALKEY_PASSWORD={valkey}
TRIPTYCH_REDIS_URL=redis://:{valkey}@valkey:6379/0

# Object storage: any S3.
TRIPTYCH_S3_URL=http://s3:9000
TRIPTYCH_S3_ACCESS_KEY={access}
TRIPTYCH_S3_SECRET_KEY={secret}
TRIPTYCH_S3_BUCKET=triptych

# Where clients reach that S3 themselves; empty: their bytes go through the API.
TRIPTYCH_S3_PUBLIC_URL=

# SeaweedFS' inner signatures.
SEAWEEDFS_WRITE_KEY={weed[0]}
SEAWEEDFS_READ_KEY={weed[1]}
SEAWEEDFS_FILER_WRITE_KEY={weed[2]}
SEAWEEDFS_FILER_READ_KEY={weed[3]}

# Your own MinIO image, for the profile `minio`.
MINIO_IMAGE=
"""


def content() -> str:
    """The file's text, with secrets of 128 bits or more that need no quoting anywhere."""
    return TEMPLATE.format(
        valkey=secrets.token_hex(24),
        access=secrets.token_hex(10),
        secret=secrets.token_hex(24),
        weed=[secrets.token_hex(32) for _ in range(4)],
    )


def main() -> int:
    """Writes the file, readable by its owner only. Exit code 1 when there is one already."""
    try:
        descriptor = os.open(TARGET, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        print(f"{TARGET} exists and was left as it is", file=sys.stderr)  # noqa: T201
        return 1
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(content())
    print(f"wrote {TARGET}")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
