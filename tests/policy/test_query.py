"""Requests in four spellings: values, refusals and limits."""

import json
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsmanager.errors import ServiceSpecific
from rightsmanager.policy.grants import Protection
from rightsmanager.policy.json_text import _TOKEN
from rightsmanager.policy.parsed_values import MAX_DEPTH, MAX_LICENSES, MAX_TEXT, MAX_VALUES
from rightsmanager.policy.query import (
    ParsedRequest,
    Spelling,
    parse_custom_data,
    parse_query,
    parse_request,
    write,
)
from rightsmanager.policy.requested_licenses import RequestedLicense
from rightsmanager.policy.rules import UnknownParameters, WarningCode
from rightsmanager.protocol.wire import AccountId, Guid, Kid

PUBLISHED_CFG64 = (
    "W3sna2lkJzonQjZFMzk2MjYtMUNGQi00QUExLUJDQkQtNEVGMUFCQTc4NDNBJywnc2wnOiczMDAwJ30seydraWQnOic3Qz"
    "k0ODRCQS1DMjM4LTQ2N0EtODY5Qy1DREQ4QzcxNjc3MTInLCdzbCc6JzIwMDAnfV0="
)
PUBLISHED_JSON = (
    "[{'kid':'B6E39626-1CFB-4AA1-BCBD-4EF1ABA7843A','sl':'3000'},"
    "{'kid':'7C9484BA-C238-467A-869C-CDD8C7167712','sl':'2000'}]"
)
PUBLISHED_CFG = (
    "cfg=(kid:B6E39626-1CFB-4AA1-BCBD-4EF1ABA7843A,sl:3000),"
    "(kid:7C9484BA-C238-467A-869C-CDD8C7167712,sl:2000)"
)
TWO = [
    {"kid": Kid.from_text("b6e39626-1cfb-4aa1-bcbd-4ef1aba7843a"), "sl": 3000},
    {"kid": Kid.from_text("7c9484ba-c238-467a-869c-cdd8c7167712"), "sl": 2000},
]


def values(requested_licenses: tuple[RequestedLicense, ...]) -> list[dict[str, Any]]:
    return [
        {parameter.name: value for parameter, value in requested}
        for requested in requested_licenses
    ]


def only_values(query: str) -> dict[str, Any]:
    (only,) = values(parse_query(query))
    return only


def json_values(text: str) -> dict[str, Any]:
    (only,) = values(parse_custom_data("json=" + text))
    return only


def refusal(query: str, custom_data: str | None = None) -> str:
    with pytest.raises(ServiceSpecific) as caught:
        parse_request(query, custom_data)
    return caught.value.text


def cfg64(text: str) -> str:
    return "cfg64=" + b64encode(text.encode()).decode()


# --- values ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "custom_data"),
    [
        (PUBLISHED_CFG, None),
        (f"cfg64={PUBLISHED_CFG64}", None),
        ("", f"json={PUBLISHED_JSON}"),
        ("", f" JSON={PUBLISHED_JSON.replace(chr(39), chr(34))}\n"),
    ],
)
def test_published_examples_ask_for_two_licences(query: str, custom_data: str | None) -> None:
    assert values(parse_request(query, custom_data).licenses) == TWO


def test_custom_data_is_ignored_if_the_url_has_parameters() -> None:
    requested_licenses = parse_request(
        "cfg=(persist:true)", "json=[{'sl':'2000'},{'sl':'nonsense'}]"
    ).licenses
    assert values(requested_licenses) == [{"persist": True}]


@pytest.mark.parametrize("query", ["", "&", "&amp;&"])
@pytest.mark.parametrize("custom_data", [None, "", "a token", "json"])
def test_a_request_without_parameters(query: str, custom_data: str | None) -> None:
    assert parse_request(query, custom_data) == ParsedRequest()


@pytest.mark.parametrize(
    "query",
    [
        "cfg=(kid:header,sl:2000)",
        "CFG=(KID:Header,SL:2000)",
        "cfg=%28kid%3Aheader%2csl:2000%29",
        "%63fg=(kid:header,sl:2000)&",
    ],
)
def test_names_have_any_letter_case_and_percent_encoding_is_undone(query: str) -> None:
    assert only_values(query) == {"kid": "header", "sl": 2000}


@pytest.mark.parametrize("plus", ["+", "%2B", "%2b"])
def test_a_plus_sign_stays_one(plus: str) -> None:
    key = b"\xfb\xef\xbe" * 5 + b"\xfb"
    text = b64encode(key).decode().replace("+", plus)
    assert only_values(f"cfg=(ck:{text})") == {"contentkey": key}
    assert only_values(f"ContentKey={text}")["contentkey"] == key


@pytest.mark.parametrize(
    "kid",
    [
        "e13a7861-d8cc-4284-9245-7c835ebde9f0",
        "{E13A7861-D8CC-4284-9245-7C835EBDE9F0}",
        "YXg64czYhEKSRXyDXr3p8A==",
    ],
)
def test_a_kid_is_a_guid_or_base64(kid: str) -> None:
    assert only_values(f"cfg=(kid:{kid})") == {"kid": Kid.from_base64("YXg64czYhEKSRXyDXr3p8A==")}


def test_json_values_are_strings_or_jsons_own() -> None:
    assert (
        json_values("[{'sl':2000,\"persist\":true,'firstexp':'60','maxres':'1920x1080'}]")
        == json_values('[{"sl":"2000","persist":"true","firstexp":60,"maxres":"1920x1080"}]')
        == {"sl": 2000, "persist": True, "firstplayexpiration": 60, "maxres": (1920, 1080)}
    )


def test_json_structures_are_objects_or_written_as_in_cfg() -> None:
    guid = "ABB2C6F1-E663-4625-A945-972D17B231E7"
    restriction = {"type": 400, "mustunderstand": True, "besteffort": False, "data": "Ah=="}
    as_json = json.dumps(
        [
            {
                "dvop": [{"guid": guid, "data": "AAAAAQ=="}, {"guid": guid}],
                "playenablers": [guid],
                "extendedrestrictions": [restriction],
                "extendedright": {"type": 500, "extended": [restriction]},
            }
        ]
    )
    written = "(type:400,mustunderstand:true,besteffort:false,data:Ah==)"
    as_text = json.dumps(
        [
            {
                "dvop": [f"(guid:{guid},data:AAAAAQ==)", f"(guid:{guid})"],
                "playenablers": f"({guid})",
                "extendedrestrictions": f"({written})",
                "extendedright": f"(type:500,extended:({written}))",
            }
        ]
    )
    query = (
        f"cfg=(dvop:(guid:{guid},data:AAAAAQ==),dvop:(guid:{guid}),playenablers:({guid}),"
        f"extendedrestrictions:({written}),extendedright:(type:500,extended:({written})))"
    )
    assert parse_custom_data("json=" + as_json) == parse_query(query)
    assert parse_custom_data("json=" + as_text) == parse_query(query)
    assert parse_query(cfg64(as_json)) == parse_query(query)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (r"""[{'it\'s':1}]""", "it's"),
        (r"""[{'say \"hi\"':1}]""", 'say "hi"'),
        ("""[{'say "hi"':1}]""", 'say "hi"'),
        (r"""[{"\u0061b\tc":1}]""", "ab\\tc"),
    ],
)
def test_strings_in_either_quotes_have_jsons_escapes(text: str, name: str) -> None:
    assert name in refusal("", f"json={text}")


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "query",
    [
        "cfg=",
        "cfg",
        "cfg=sl:150",
        "cfg=(sl:150",
        "cfg=sl:150)",
        "cfg=((sl:150)",
        "cfg=(sl:150))",
        "cfg=(sl:150)(sl:150)",
        "cfg=(sl:150),",
        "cfg=(sl:150,)",
        "cfg=(,sl:150)",
        "cfg=(dvop(guid:x))",
        "cfg=(dvop:x(guid:x))",
        "cfg=((guid:x),sl:150)",
        "cfg=(sl:150, persist:true)",
        "cfg=(sl:150,%20persist:true)",
    ],
)
def test_malformed_brackets_are_refused(query: str) -> None:
    assert refusal(query).startswith("cfg has ")


def test_base64_in_cfg_is_refused_with_the_name_for_it() -> None:
    assert refusal("cfg=W3tdXQ==&data=1") == (
        "cfg has 'W' at character 1, expected '(': each licence is in brackets, and base64 is "
        "written cfg64="
    )


@pytest.mark.parametrize("bad", ["%", "%2", "%zz", "%ff%fe", "a%u0041"])
def test_bad_percent_encoding_is_refused(bad: str) -> None:
    assert "percent-encoded" in (text := refusal(f"cfg=(kid:{bad})")) or "hexadecimal" in text
    assert "percent-encoded" in (text := refusal(f"ContentKey={bad}")) or "hexadecimal" in text


@pytest.mark.parametrize(
    "query",
    [
        "cfg=(sl:150)&cfg64=W10=",
        "cfg=(sl:150)&PlayRight=1",
        "cfg=(sl:150)&cfg=(sl:150)",
        "PlayRight=1&cfg64=W10=",
    ],
)
def test_contradicting_spellings_are_refused(query: str) -> None:
    assert "expected cfg or cfg64 alone" in refusal(query)


@pytest.mark.parametrize(
    ("query", "near"),
    [
        ("cfg=(playrihgt:true)", "the nearest known name is playright"),
        ("cfg=(persistent:true)", "the nearest known name is persist"),
        ("cfg=(contentky:x)", "the nearest known name is contentkey"),
        ("SecurityLevl=150", "the nearest known name is SecurityLevel"),
        ("cfg=(zzzzzz:1)", "no known name is like it"),
        ("SecurityLevel=150&PlayRihgt=1", "the nearest known name is PlayRight"),
        ("cfg=(sl:150)&SecurityLevl=150", "the nearest known name is SecurityLevel"),
        ("UseSimpleNonPersistentLicence=1", "known name is UseSimpleNonPersistentLicense"),
        ("AccountIDs=1", "the nearest known name is AccountID"),
        ("cgf=(sl:150)", "the nearest known name is cfg"),
        ("cfg46=W10=", "the nearest known name is cfg"),
        ("conf=%28SL:150)", "the nearest known name is cfg"),
        ("realtimes=true", "the nearest known name is realtime"),
        ("sl=150", "unknown in the legacy spelling, expected it in cfg"),
        ("cfg=(sl:150)&persist=true", "unknown in the legacy spelling, expected it in cfg"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_known_one(query: str, near: str) -> None:
    assert near in refusal(query)


@pytest.mark.parametrize(
    "query",
    [
        "cfg=(sl:150,sl:150)",
        "cfg=(sl:150,SL:2000)",
        "cfg=(ck:EjQSNBI0EjQSNBI0EjQSNw==,contentkey:EjQSNBI0EjQSNBI0EjQSNw==)",
        "cfg=(expiration:20300101,enddate:20300101)",
        "SecurityLevel=150&securitylevel=150",
        cfg64("[{'sl':150,'sl':150}]"),
    ],
)
def test_a_parameter_given_twice_is_refused(query: str) -> None:
    assert refusal(query).endswith(" is given twice for one licence, expected once")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "[",
        "[{]",
        "[{}",
        "[{},]",
        "[{}]x",
        "[{}] []",
        "[1]",
        "['sl']",
        "[{sl:150}]",
        "[{'sl'}]",
        "[{'sl':}]",
        "[{'sl':null}]",
        "[{'sl':NaN}]",
        "[{'sl':01}]",
        "[{'sl':0x96}]",
        "[{'sl':150,}]",
        "[{'sl':'150\"}]",
        "[{'sl':'1\n50'}]",
        r"[{'\x':1}]",
        r"[{'\u12':1}]",
        "[{'sl':__import__('os')}]",
        "[{'sl':{'a':1}}]",
    ],
)
def test_anything_but_an_array_of_objects_is_refused(text: str) -> None:
    assert "expected" in refusal(cfg64(text))
    assert "expected" in refusal("", f"json={text}")


@pytest.mark.parametrize("value", ["!", "AAAAA", "_w==", "gICA"])
def test_anything_but_base64_of_text_is_refused(value: str) -> None:
    assert refusal(f"cfg64={value}") == (
        f"cfg64 is a value of {len(value)} characters, expected base64 of a JSON array in UTF-8"
    )


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("cfg=" + ",".join(["()"] * (MAX_LICENSES + 1)), "more than 100 licences"),
        ("cfg=" + ",".join(["()"] * 10_000), "more than 100 licences"),
        ("cfg=" + "(" * 10_000, f"more than {MAX_DEPTH} deep"),
        ("cfg=(a:" + "(" * 10_000 + ")" * 10_000 + ")", f"more than {MAX_DEPTH} deep"),
        ("cfg=(" + ",".join(["a"] * (MAX_VALUES + 1)) + ")", f"more than {MAX_VALUES} values"),
        ("cfg=(" + "a" * MAX_TEXT + ")", f"expected at most {MAX_TEXT}"),
        ("a" * (MAX_TEXT + 1), f"expected at most {MAX_TEXT}"),
        ("&".join(["expirationzz"] * (MAX_VALUES + 1)), f"more than {MAX_VALUES} values"),
        (cfg64("[" + ",".join(["{}"] * 4_000) + "]"), "more than 100 licences"),
        (cfg64('[{"a":' + "[" * 10_000), f"more than {MAX_DEPTH} deep"),
        (cfg64('[{"a":' * 4_000), f"more than {MAX_DEPTH} deep"),
        (cfg64('[{"a":[' + "1," * 10_000 + "1]}]"), f"more than {MAX_VALUES} values"),
        (cfg64('[{"sl":' + "1" * 20_000 + "}]"), "sl is '111"),
    ],
)
def test_text_over_the_limits_is_refused(query: str, text: str) -> None:
    assert text in refusal(query)
    assert len(refusal(query)) < 600


def test_overlong_json_in_custom_data_is_refused() -> None:
    assert f"expected at most {MAX_TEXT}" in refusal("", "json=[" + " " * MAX_TEXT + "]")


@pytest.mark.parametrize(
    "query",
    [
        "cfg=(contentkey:{key}AA)",
        "cfg=(contentkey={key})",
        "cfg=({key})",
        "cfg=(contentkey:({key}))",
        "cfg=(contentkey:{key},contentkey:{key})",
        "ContentKey={key}AA",
        cfg64("[{{'contentkey' '{key}'}}]").replace("{{", "{"),
        "cfg=(keyseed:{key})",
    ],
)
def test_no_refusal_contains_a_key(query: str) -> None:
    key = "EjQSNBI0EjQSNBI0EjQSNw=="
    assert key[:22] not in refusal(query.replace("{key}", key))


def test_no_refusal_of_json_contains_a_key() -> None:
    key = "EjQSNBI0EjQSNBI0EjQSNw=="
    for text in (f"[{{'contentkey' '{key}'}}]", f"['{key}'", f"[{{'ck':'{key}AA'}}]", f"[{{{key}"):
        assert key[:22] not in refusal(cfg64(text))


@pytest.mark.parametrize(
    ("text", "character"),
    [
        ("", 1),
        ("[{'sl':150,}]", 12),
        ('[{"sl" 150}]', 8),
        # Rewriting of the quotes makes the text longer and shorter.
        ("""[{'a"b"':1} 2]""", 13),
        (r"""[{'a\'b':1} 2]""", 13),
        ("[{'sl':'15\n0'}]", 11),
    ],
)
def test_malformed_json_is_refused_with_its_position(text: str, character: int) -> None:
    assert refusal(cfg64(text)) == (
        f"cfg64 is not JSON from character {character} on, "
        "expected an array of objects, one licence each"
    )


@pytest.mark.parametrize("text", [r"'\'\'\'", r'"\"\"\"', "'\\\n\\'", "'[{", "'"])
def test_a_string_without_an_end_is_read_once(text: str) -> None:
    # Each escaped quote began another search once: 60 kB of them took half a minute.
    assert [token[0] for token in _TOKEN.finditer(text)] == [text]
    assert "cfg64 is not JSON" in refusal(cfg64(f"[{{'a'{text}"))


def test_a_string_ends_with_the_quote_that_it_begins_with() -> None:
    assert "is not JSON from character 7 on" in refusal(cfg64("""[{'a':"b'}]"""))
    assert "is not JSON from character 8 on" in refusal(cfg64(r"""[{'a':"\'\''}]"""))


# --- names of others ---------------------------------------------------------------------------

FOREIGN = [
    "token=abc",
    "pX=AB12",
    "CrmId=twc&AccountId=twc&contentId=329",
    "AccountId=name&CrmId=twc",
    "ExpressPlayToken=AQAA%2Bx==",
    "_=1",
    "rmp=1",
    "contentId=1&customData=xyz",
    "SessionId=TOKEN&Ticket=TOKEN",
    "kid=1234&mid=1&tid=2&msg=hi",
    "KeyId=1234",
    "ContentKeyId=1234",
    "Expires=1790000000&Signature=a~b&Key-Pair-Id=K",
    "%zz=1&%ff=2",
    "bad=%zz",
    "=",
    "é=1",
]


@pytest.mark.parametrize("query", FOREIGN)
def test_names_of_others_are_passed_over_with_a_warning(query: str) -> None:
    parsed = parse_request(query, None)
    assert parsed.licenses == ()
    assert {warning.code for warning in parsed.warnings} == {WarningCode.UNKNOWN_PARAMETER}
    assert len(parsed.warnings) == len(query.split("&"))
    for warning in parsed.warnings:
        assert warning.text.isascii()
        assert warning.text.isprintable()


@pytest.mark.parametrize("query", FOREIGN)
@pytest.mark.parametrize(
    "own", ["cfg=(sl:2000)", cfg64("[{'sl':2000}]"), "SecurityLevel=2000&PlayRight=1"]
)
def test_names_of_others_may_be_next_to_parameters(own: str, query: str) -> None:
    alone = parse_request(own, None)
    for both in (f"{own}&{query}", f"{query}&{own}"):
        parsed = parse_request(both, None)
        assert parsed.licenses == alone.licenses
        assert len(parsed.warnings) == len(query.split("&"))


@pytest.mark.parametrize("query", FOREIGN)
def test_by_rule_names_of_others_are_refused(query: str) -> None:
    with pytest.raises(ServiceSpecific, match="is an unknown parameter, "):
        parse_request(query, None, UnknownParameters.REFUSE)


@pytest.mark.parametrize(
    "query",
    ["wsdl", "WSDL", "singleWsdl", "op=AcquireLicense", "disco", "CMCD=ot%3Dk%2Csid%3D%22a%22"],
)
def test_names_of_stacks_and_players_are_not_read(query: str) -> None:
    for rule in UnknownParameters:
        assert parse_request(query, None, rule) == ParsedRequest()
        for both in (f"cfg=(sl:150)&{query}", f"{query}&cfg=(sl:150)"):
            assert parse_request(both, None, rule) == parse_request("cfg=(sl:150)", None)


def test_custom_data_counts_if_the_query_has_only_names_of_others() -> None:
    parsed = parse_request("token=abc", "json=[{'sl':2000}]")
    assert values(parsed.licenses) == [{"sl": 2000}]
    assert len(parsed.warnings) == 1


def test_an_account_with_a_valid_id_is_ours() -> None:
    account = AccountId(bytes(16))
    parsed = parse_request(f"CrmId=twc&AccountId={account.text}", None)
    assert values(parsed.licenses) == [{"persist": True, "accountid": account}]
    assert refusal("AccountId=twc").startswith("AccountID is 'twc', expected a GUID")


def test_no_warning_contains_a_long_name() -> None:
    key = "EjQSNBI0EjQSNBI0EjQSNw=="
    (warning,) = parse_request(key, None).warnings
    assert key[:22] not in warning.text


# --- legacy samples -----------------------------------------------------------------------------

UPLINK = "SFNBRGhGRkdPS1VTdmlkZQ=="


@pytest.mark.parametrize(
    ("query", "value"),
    [
        ("RealTimeExpiration=1", {"realtime": True}),
        ("MaxResDecode=1920x1080", {"maxres": (1920, 1080)}),
        ("UseRootLicense=1", {"isroot": True}),
        ("UseDomains=1", {"usedomains": True}),
        (f"UseChainLicense=1&UplinkKey={UPLINK}", {"rootid": Kid.from_base64(UPLINK)}),
        (f"UplinkKey={UPLINK}&usechainlicense=true", {"rootid": Kid.from_base64(UPLINK)}),
        (f"UplinkKey={UPLINK}", {"rootid": Kid.from_base64(UPLINK)}),
        (f"UseChainLicense=0&UplinkKey={UPLINK}", {}),
        ("UseChainLicense=0", {}),
    ],
)
def test_legacy_names_of_published_samples(query: str, value: dict[str, Any]) -> None:
    assert only_values(query) == {"persist": True, **value}


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("UseChainLicense=1", "UseChainLicense is '1', expected with UplinkKey"),
        ("UseChainLicense=x", "UseChainLicense is 'x', expected 1 or 0"),
        (f"UseChainLicense=1&UseChainLicense=1&UplinkKey={UPLINK}", "given twice"),
        (f"UseRootLicense=1&UplinkKey={UPLINK}&UplinkKey={UPLINK}", "given twice"),
    ],
)
def test_wrong_chains_in_the_legacy_spelling_are_refused(query: str, text: str) -> None:
    assert text in refusal(query)


@pytest.mark.parametrize(
    "query",
    [
        "PlayRight=1;UseSimpleNonPersistentLicense=1;SecurityLevel=2000",
        "PlayRight=1; UseSimpleNonPersistentLicense=1&SecurityLevel=2000",
        "PlayRight=1 &UseSimpleNonPersistentLicense=1;securitylevel=2000",
    ],
)
def test_legacy_parameters_may_be_separated_by_semicolons(query: str) -> None:
    assert only_values(query) == {"playright": True, "simple": True, "sl": 2000}


def test_a_semicolon_within_a_value_does_not_separate() -> None:
    guid = "ABB2C6F1-E663-4625-A945-972D17B231E7"
    found = only_values(f"DigitalVideoOutputProtection={{{guid}}};AAAAAQ==;PlayRight=1")
    assert found["dvop"] == Protection(Guid.from_text(guid), b"\0\0\0\1")
    assert found["playright"] is True


# --- JSON alone ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        '[{"sl":"2000","persist":"true"}]',
        '{"sl":"2000","persist":"true"}',
        "{'sl':2000,'persist':true}",
        ' \n[{"SL":2000,"Persist":true}] ',
    ],
)
def test_json_alone_in_custom_data_is_read(text: str) -> None:
    parsed = parse_request("", text)
    assert values(parsed.licenses) == [{"sl": 2000, "persist": True}]
    assert parsed.warnings == ()


@pytest.mark.parametrize("text", ['{"kid":"header"}', '[{"kid":"header","simple":true}]'])
def test_json_alone_with_nothing_but_parameters_is_read(text: str) -> None:
    assert len(parse_request("", text).licenses) == 1


@pytest.mark.parametrize(
    "text",
    [
        '{"user":"x","kid":"1234"}',
        '{"token":"abc"}',
        '[{"token":"abc"}]',
        '{"sl":150',
        "[]",
        "{}",
        "[1]",
        "{not json}",
        "[" * 5000,
    ],
)
def test_other_json_in_custom_data_is_passed_over_with_a_warning(text: str) -> None:
    parsed = parse_request("", text)
    assert parsed.licenses == ()
    (warning,) = parsed.warnings
    assert warning.code is WarningCode.CUSTOM_DATA
    assert warning.text.isascii()
    assert warning.text.isprintable()


def test_an_unknown_name_next_to_parameters_in_json_is_refused() -> None:
    assert "is an unknown parameter" in refusal("", '{"sl":150,"persit":"true"}')


# --- writing --------------------------------------------------------------------------------------


def test_each_spelling_is_written() -> None:
    requested_licenses = parse_query(
        "SecurityLevel=2000&Expiration=12/31/2017 10:11:12&PlayRight=1"
    )
    assert write(requested_licenses, Spelling.CFG) == (
        "cfg=(persist:true,sl:2000,expiration:20171231101112,playright:true)"
    )
    assert write(requested_licenses, Spelling.JSON) == (
        'json=[{"persist":"true","sl":"2000","expiration":"20171231101112","playright":"true"}]'
    )
    assert write(requested_licenses, Spelling.LEGACY) == (
        "SecurityLevel=2000&Expiration=12/31/2017%2010:11:12&PlayRight=1"
    )
    assert parse_query(write(requested_licenses, Spelling.LEGACY)) == requested_licenses


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("cfg=(),()", "the legacy spelling asks for one licence, not for 2"),
        ("cfg=(tid:3033e8f0-fb1b-4170-ad5c-60549aab2c79)", "spelling has no name for tid"),
        ("cfg=(kid:e13a7861-d8cc-4284-9245-7c835ebde9f0)", "no name for kid"),
    ],
)
def test_licences_beyond_the_legacy_spelling_are_refused(query: str, text: str) -> None:
    with pytest.raises(ServiceSpecific, match=text.replace("(", r"\(")):
        write(parse_query(query), Spelling.LEGACY)


@pytest.mark.parametrize(
    ("query", "legacy"),
    [
        ("cfg=(kid:header)", "UseSimpleNonPersistentLicense=1"),
        ("cfg=(persist:true)", ""),
        ("cfg=(persist:false,sl:150)", "UseSimpleNonPersistentLicense=1&SecurityLevel=150"),
        (
            "cfg=(securestop:true,dvop:(guid:abb2c6f1-e663-4625-a945-972d17b231e7,data:Ag==))",
            (
                "UseSimpleNonPersistentLicense=1&SecureStop=1&"
                "DigitalVideoOutputProtection={abb2c6f1-e663-4625-a945-972d17b231e7};Ag=="
            ),
        ),
    ],
)
def test_the_legacy_spelling_states_persistence(query: str, legacy: str) -> None:
    assert write(parse_query(query), Spelling.LEGACY) == legacy


# --- anything at all ------------------------------------------------------------------------------

PIECES = st.lists(
    st.sampled_from(
        [
            *"()[]{}:=&%,'\"\\é\ud800",
            *("cfg=", "sl", "150", "dvop", "guid", "extendedright", "type", "400", "kid", "header"),
        ]
    ),
    max_size=40,
).map("".join)


@given(PIECES)
def test_anything_is_read_or_refused(text: str) -> None:
    for query, custom_data in (
        (text, None),
        ("cfg=(" + text + ")", None),
        ("cfg64=" + b64encode(text.encode("utf-8", "replace")).decode(), None),
        ("", "json=[{" + text + "}]"),
    ):
        try:
            requested_licenses = parse_request(query, custom_data).licenses
        except ServiceSpecific:
            continue
        if requested_licenses:
            assert requested_licenses == parse_query(write(requested_licenses, Spelling.CFG))


@given(PIECES)
def test_warnings_are_lines_of_printable_ascii(text: str) -> None:
    for query, custom_data in ((text, None), (f"token={text}&{text}=1", None), ("", "{" + text)):
        try:
            warnings = parse_request(query, custom_data).warnings
        except ServiceSpecific:
            continue
        for warning in warnings:
            assert warning.text.isascii()
            assert warning.text.isprintable()


def test_a_guid_in_a_written_query_is_read_again() -> None:
    guid = Guid(bytes(range(16)))
    assert only_values(f"cfg=(playenablers:({guid.text}))") == {"playenablers": (guid,)}
