"""Composition of the console's parts from those of a server."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from rightsmanager.admin.management import Management
from rightsmanager.errors import ServiceSpecific
from rightsmanager.inspection import Description
from rightsmanager.journal.building import Act
from rightsmanager.journal.journal import Journal
from rightsmanager.journal.recorder import Recorder
from rightsmanager.keyring.identities import IDENTITIES, LICENSE_SIGNER
from rightsmanager.settings import Settings
from rightsmanager.settings_loading import settings_in_force
from rightsmanager.web.console.parts import Decode, NamedChain, Parts, RecordAct
from rightsmanager.web.repeating import Wsgi, answer_here


@dataclass(frozen=True, slots=True)
class RunningServer:
    """The parts of a server that its console shows."""

    settings: Settings
    origins: Mapping[str, str]
    """The variable or the file of each setting that is not at its default."""
    management: Management
    describe: Callable[[bytes], Description] = field(repr=False)
    decode: Decode = field(repr=False)
    journal: Journal
    recording: str
    """The requests that the journal has: `all`, `faults` or `off`."""
    recorder: Recorder | None
    application: Wsgi = field(repr=False)


def make_parts(server: RunningServer) -> Parts:
    """Return the parts of a server's console."""
    return Parts(
        management=server.management,
        settings=settings_in_force(server.settings, server.origins),
        describe=server.describe,
        find_chains=partial(_find_chains, server.management),
        journal=server.journal,
        recording=server.recording,
        record_act=_recorder_of(server.recorder),
        repeat=partial(answer_here, server.application),
        decode=server.decode,
    )


def _recorder_of(recorder: Recorder | None) -> RecordAct:
    return (lambda _act: None) if recorder is None else recorder.record_act


def record_by_texts(record: RecordAct) -> Callable[[str, str, Mapping[str, str], str], None]:
    """Return a function that records an act by texts.

    It takes the caller, the act, its subject by names, and the refusal's text or nothing.
    """

    def record_texts(caller: str, name: str, subject: Mapping[str, str], text: str) -> None:
        told = ", ".join(f"{each} {value}" for each, value in subject.items())
        record(Act(name, told, caller, refusal=ServiceSpecific(text) if text else None))

    return record_texts


def _find_chains(management: Management) -> list[NamedChain]:
    """Return the chains of the keyring and of the metering ids."""
    named = {each.name: management.files.find_chain(each.name) for each in IDENTITIES}
    # The settings may name another signer than the data folder's.
    named[LICENSE_SIGNER.name] = management.keyring.signing_chain
    ids = (each for each in management.metering_ids.find_all() if not each.is_own)
    return [
        *(NamedChain(name, chain) for name, chain in named.items() if chain is not None),
        *(NamedChain(each.name or each.mid.text, each.certificate.chain) for each in ids),
    ]
