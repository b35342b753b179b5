"""What systemd hands to the service, in the folder that it names (systemd.exec(5), CREDENTIALS)."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from gateway.site import ClusterSpec

__all__ = ["BROKER_KEY", "with_credentials"]

BROKER_KEY = "aurora-broker.key"
"""The private key of the certificate that the broker asks for. The signing key: `gateway.seal.keys.KEY_NAME`."""


def with_credentials(cluster: ClusterSpec, environ: Mapping[str, str] = os.environ) -> ClusterSpec:
    """The uplink with the private key that systemd hands over in place of a file, where there is one."""
    folder = environ.get("CREDENTIALS_DIRECTORY")
    if not folder or cluster.certificate is None:
        return cluster
    key = Path(folder) / BROKER_KEY
    return replace(cluster, key=key) if key.exists() else cluster
