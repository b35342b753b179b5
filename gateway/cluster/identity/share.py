"""The name of the receivers' shared subscription, which has to be a secret.

Mosquitto's access lists do not look at subscriptions, only at deliveries (tried with 2.0.11). A gateway that joined
the receivers' group would be dealt its share of all messages and be refused each one: they would be lost until they
are sent again. So nobody may know the name of the group who has no business in it.
"""

from hashlib import sha256

from gateway.errors import ConfigError, Problem
from gateway.seal.cose import ED25519
from gateway.seal.keys import Signer

__all__ = ["share_group"]


def share_group(signer: Signer, name: str) -> str:
    """The group of this name that only those who hold the cluster's key can join: the same for all its receivers.

    Raises `ConfigError` for a key whose signatures are not always the same (all but Ed25519, RFC 8032).
    """
    if signer.alg != ED25519:
        remedy = "use an Ed25519 key for the cluster"
        raise ConfigError("cluster.key", [Problem("group", "follows from an Ed25519 key only", remedy)])
    words = f"aurora: shared subscription of the receivers {name}"
    return sha256(signer.sign(words.encode())).hexdigest()[:32]
