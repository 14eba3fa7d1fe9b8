"""AcknowledgeLicense from the client's side: what became of the licences that a reply brought."""

from collections.abc import Mapping
from dataclasses import dataclass

from rightsmanager.crypto.random import Rng
from rightsmanager.device.acquire import CLIENT_VERSION, Acquired, call
from rightsmanager.device.http import Post
from rightsmanager.device.identity import ServerKeys
from rightsmanager.device.opening import LicenseOpener, response_key
from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.messages.acknowledgement import (
    FORM,
    STORED,
    StorageResult,
    open_acknowledgement_response,
    seal_acknowledgement,
)
from rightsmanager.protocol.messages.exchange import ChallengeKeys, ClientInfo
from rightsmanager.protocol.wire import Kid, TransactionId


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """What the server took note of."""

    transaction_id: TransactionId
    results: tuple[StorageResult, ...]


_NO_FAILURES: Mapping[Kid, int] = {}


def acknowledge(  # noqa: PLR0913 -- a device, a server, a reply, and its runtime
    url: str,
    acquired: Acquired,
    opening: LicenseOpener,
    server: ServerKeys,
    *,
    now: int,
    rng: Rng,
    post: Post,
    failures: Mapping[Kid, int] = _NO_FAILURES,
) -> Acknowledged | None:
    """Tell the server what became of a reply's persistent licences, if the reply asks for it.

    failures: the HRESULT of each licence that could not be stored; the others are stored.

    Returns None where the reply does not ask, or holds no licence that is to be stored. Raises the
    Refusal that a fault says, and InvalidMessage for a reply that does not pass every check.
    """
    transaction_id = acquired.response.transaction_id
    kids = dict.fromkeys(license_.kid for license_ in acquired.licenses if license_.persistent)
    if transaction_id is None or not kids:
        return None
    results = tuple(StorageResult(kid, failures.get(kid, STORED)) for kid in kids)
    body = seal_acknowledgement(
        transaction_id,
        results,
        ClientInfo((opening.device.chain.raw,), now, CLIENT_VERSION),
        ChallengeKeys(opening.device.signing_key, server.wmrmserver, opening.backend, rng),
    )
    answer, answered = open_acknowledgement_response(call(url, FORM.operation, body, post))
    answered.verify(response_key(answered.signing_chain, opening, now))
    if answer != transaction_id:
        raise InvalidMessage(
            f"the reply is to TransactionID {answer.text}, expected {transaction_id.text}"
        )
    return Acknowledged(transaction_id, results)
