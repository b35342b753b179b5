"""The name of the receivers' shared subscription, which has to be a secret.

Mosquitto's access lists do not look at subscriptions, only at deliveries (tried with 2.0.11). A gateway that joined
the receivers' group would be dealt its share of all messages and be refused each one: they would be lost until they
are sent again. So nobody may know the name of the group who has no business in it.
"""

from hashlib import sha256

from gateway.seal.cose import ED25519
from gateway.seal.keys import Signer

__all__ = ["share_group"]


def share_group(signer: Signer) -> str:
    """A group that only those who hold the cluster's key can name: the same for all receivers of a cluster.

    Raises `ValueError` for a key whose signatures are not always the same (all but Ed25519, RFC 8032).
    """
    if signer.alg != ED25519:
        message = "a group follows from an Ed25519 key only; choose a random name instead"
        raise ValueError(message)
    return sha256(signer.sign(b"aurora: name of the receivers' shared subscription")).hexdigest()[:32]
