"""The table of parameters: each kind of wrong value is refused by name, value and expectation."""

import pytest

from rightsmanager.errors import ServiceSpecific
from rightsmanager.policy.legacy import read_legacy
from rightsmanager.policy.parameters import BY_LEGACY_NAME, BY_NAME, PARAMETERS
from rightsmanager.policy.query import parse_query

WRONG = {
    "kid": ["", "headers", "1234", "YXg64czYhEKSRXyDXr3p", "(a,b)"],
    "contentkey": ["", "AAAA", "EjQSNBI0EjQSNBI0EjQSNx==", "!!!!", "(a:b)", "EjQSNBI0EjQSNBI0EjQ="],
    "keyseed": ["", "AAAA", "XVBovsmzhP9gRIZxWfFta3VVRPzVEWmJsazEJ46"],
    "ckt": ["", "aes", "1", "cocktail", "aesctr2", "keyexchange"],
    "sl": ["", "0", "151", "-150", "2000.0", "1e3", "99999999999", "true", "(150)"],
    "persist": ["", "yes", "1", "0", "tru"],
    "simple": ["", "1", "no"],
    "playright": ["", "1", "2"],
    "readright": ["", "1"],
    "executeright": ["", "1"],
    "copyright": ["", "1"],
    "extendedright": [
        "",
        "500",
        "()",
        "(type:0)",
        "(type:65536)",
        "(type:9)",
        "(extended:((type:400)))",
        "(type:500,extended:400)",
        "(type:500,extended:((type:11)))",
        "(type:500,other:1)",
        "(type:500,type:501)",
    ],
    "usedomains": ["", "1"],
    "begindate": [
        "",
        "2017",
        "20170230",
        "2017010101",
        "2017-01-01",
        "01/01/2017",
        "19691231",
        "+",
    ],
    "expiration": ["", "21060207062815", "20170101240000", "99991231", "never"],
    "firstplayexpiration": ["", "-1", "4294967296", "1h"],
    "realtime": ["", "1"],
    "removaldate": ["", "20171301"],
    "graceperiod": ["", "x"],
    "isroot": ["", "1"],
    "rootid": ["", "header", "x"],
    "accountid": ["", "x", "AAAA"],
    "tid": ["", "1"],
    "mid": ["", "1"],
    "securestop": ["", "1"],
    "sourceid": ["", "-1", "4294967296"],
    "restrictedsourceids": ["", "()", "(x)", "(1,-1)", "(a:1)"],
    "embedding": ["", "65536"],
    "revinfo": ["", "4294967296"],
    "policymetadata": ["", "x", "(data:AAAA)"],
    "caopl": ["", "-1", "65536", "x"],
    "ucaopl": ["", "65536"],
    "cvopl": ["", "65536"],
    "ucvopl": ["", "65536", "100.0"],
    "avopl": ["", "65536"],
    "dvop": [
        "",
        "ABB2C6F1-E663-4625-A945-972D17B231E7",
        "()",
        "(guid:x)",
        "(data:AAAA)",
        "(guid:ABB2C6F1-E663-4625-A945-972D17B231E7,data:A)",
        "(guid:ABB2C6F1-E663-4625-A945-972D17B231E7,data:A!==)",
        "(guid:ABB2C6F1-E663-4625-A945-972D17B231E7,date:AAAA)",
        f"(guid:ABB2C6F1-E663-4625-A945-972D17B231E7,data:{'A' * 5500})",
    ],
    "daop": ["", "(guid:x)"],
    "avop": ["", "(guid:x)"],
    "explicitacp": ["", "4", "-1", "02x"],
    "maxres": ["", "1920", "1920x", "x1080", "0x1080", "1920x4294967296", "1920*1080"],
    "playenablers": [
        "",
        "()",
        "(x)",
        "(786627D8-C2A6-44BE-8F88-08AE255B01A7,786627D8-C2A6-44BE-8F88-08AE255B01A7)",
        "(guid:786627D8-C2A6-44BE-8F88-08AE255B01A7)",
    ],
    "allowunknownsd": ["", "1"],
    "allowunknownhd": ["", "1"],
    "extendedrestrictions": [
        "",
        "()",
        "400",
        "((type:0))",
        "((type:13))",
        "((type:400,mustunderstand:1))",
        "((type:400,besteffort:maybe))",
        "((type:400,data:A))",
        "((mustunderstand:true))",
    ],
    "errorcode": ["", "0", "8004c0", "0x8004c066", "0x00000000"],
    "revoked": ["", "1"],
    "msg": ["", "clientinfos", "true"],
    "clientinfo": ["1", "yes"],
}
WRONG_LEGACY = {
    "ContentKey": ["", "AAAA"],
    "KeySeed": ["", "AAAA"],
    "SecurityLevel": ["", "151"],
    "UseSimpleNonPersistentLicense": ["", "2", "yes"],
    "PlayRight": ["", "2", "on"],
    "BeginDate": ["", "20170101", "2017/01/01", "13/01/2017", "01/01/2017 1:2", "31/12/2017"],
    "Expiration": ["", "02/30/2017", "01/01/2017 24:00:00", "01/01/1969"],
    "FirstPlayExpiration": ["", "x"],
    "AccountID": ["", "x"],
    "SecureStop": ["", "2"],
    "RealTimeExpiration": ["", "2"],
    "MaxResDecode": ["", "1920"],
    "UseRootLicense": ["", "2"],
    "UplinkKey": ["", "x"],
    "UseDomains": ["", "2"],
    "CompressedDigitalAudioOPL": ["", "x"],
    "UncompressedDigitalAudioOPL": ["", "x"],
    "CompressedDigitalVideoOPL": ["", "x"],
    "UncompressedDigitalVideoOPL": ["", "x"],
    "AnalogVideoOPL": ["", "x"],
    "DigitalVideoOutputProtection": ["", "x", "{ABB2C6F1-E663-4625-A945-972D17B231E7};A"],
    "DigitalAudioOutputProtection": ["", "x"],
    "AnalogVideoOutputProtection": ["", "x"],
    "PlayEnablers": ["", ";", "x", "786627D8-C2A6-44BE-8F88-08AE255B01A7;x"],
    "ErrorCode": ["", "1"],
}


def refusal(query: str) -> str:
    with pytest.raises(ServiceSpecific) as caught:
        parse_query(query)
    return caught.value.text


def test_every_parameter_has_wrong_values_here() -> None:
    assert {parameter.name for parameter in PARAMETERS} == WRONG.keys()
    assert {parameter.legacy for parameter in PARAMETERS if parameter.legacy} == WRONG_LEGACY.keys()


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name, wrong in WRONG.items() for value in wrong],
    ids=lambda part: part[:40],
)
def test_a_wrong_value_is_refused_by_name_value_and_expectation(name: str, value: str) -> None:
    kind = BY_NAME[name].value_type
    text = refusal(f"cfg=({name}:{value})")
    shown = f"a value of {len(value)} characters" if kind.secret else f"'{value[:75]}"
    assert text.startswith(f"{name} is {shown}")
    assert text.endswith(f", expected {kind.expected}")


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name, wrong in WRONG_LEGACY.items() for value in wrong],
)
def test_a_wrong_legacy_value_is_refused_by_its_legacy_name(name: str, value: str) -> None:
    kind = BY_LEGACY_NAME[name.lower()].value_type
    text = refusal(f"{name}={value}")
    assert text.startswith(f"{name} is ")
    assert kind.secret or f"'{value}'" in text
    assert ", expected " in text


def test_names_are_unique_and_in_lower_case() -> None:
    names = [name for parameter in PARAMETERS for name in parameter.names]
    assert sorted(set(names)) == sorted(names)
    assert all(name == name.lower() for name in names)
    assert sum(parameter.legacy is not None for parameter in PARAMETERS) == len(BY_LEGACY_NAME)


def test_each_row_is_a_sentence_with_its_expectation() -> None:
    for parameter in PARAMETERS:
        assert parameter.meaning[0].isupper() or parameter.meaning.startswith("msg:")
        assert parameter.meaning.endswith(".")
        assert parameter.value_type.expected
        assert parameter.sets.split(".")[0] in {"policy", "levels", "grant", "reply"}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("12/31/2017", 1514678400),
        ("1/2/2030 3:04:05", 1893553445),
        ("01/02/2030+03:04:05", 1893553445),
    ],
)
def test_legacy_dates_are_those_of_the_united_states(text: str, seconds: int) -> None:
    requested = read_legacy([("Expiration", text)])
    assert (BY_NAME["expiration"], seconds) in requested


@pytest.mark.parametrize(
    ("pairs", "persistent", "simple"),
    [
        ([], True, None),
        ([("UseSimpleNonPersistentLicense", "0")], True, None),
        ([("UseSimpleNonPersistentLicense", "1")], None, True),
        ([("usesimplenonpersistentlicense", "true")], None, True),
    ],
)
def test_a_legacy_licence_is_persistent_unless_it_is_simple(
    pairs: list[tuple[str, str]], *, persistent: bool | None, simple: bool | None
) -> None:
    values = {parameter.name: value for parameter, value in read_legacy(pairs)}
    assert (values.get("persist"), values.get("simple")) == (persistent, simple)
