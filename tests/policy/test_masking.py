"""Content keys in queries are masked, in every spelling; everything else stays as it was."""

import base64
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsmanager.policy.masking import MAX_CUSTOM_DATA, MAX_QUERY, mask_custom_data, mask_query

KEY = "EjQSNBI0EjQSNBI0EjQSNw=="


def encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "query",
    [
        f"cfg=(contentkey:{KEY},sl:2000)",
        f"cfg=(kid:x,ContentKey:{KEY})",
        f"cfg=(ck:{KEY})",
        f"cfg=(keyseed:{KEY})",
        f"ContentKey={KEY}&PlayRight=1",
        f"PlayRight=1&KeySeed={quote(KEY)}",
        quote(f"cfg=(contentkey:{KEY})"),
        quote(quote(f"cfg=(contentkey:{KEY})")),
        "cfg=(content%6bey:" + KEY + ")",
        "cfg64=" + encode(f"(contentkey:{KEY})"),
        "cfg64=" + quote(encode(f"(contentkey:{KEY})"), ""),
        "x=1&cfg64=" + encode(f"(ck:{KEY})").rstrip("=").replace("+", "-"),
        f'json=[{{"contentkey":"{KEY}"}}]',
        quote(f"json=[{{'ck' : '{KEY}'}}]"),
        f"contentkye={KEY}",
        f"my.content-key={KEY[:16]}",
        f"cfg=(contentkey:({KEY})",
        f"cfg=(contentkey:abc)(content%6bey:{KEY})",
        f"ContentKey=abc&cfg=(content%256bey:{KEY})",
        f"cfg=(kid:{KEY[::-1]},guid:{KEY})",
        f"access_token={KEY[:14]}",
        f"jwt={KEY[:22]}.{KEY[:22]}",
        "cfg64=" + encode(f'[{{"contentk\\u0065y":"{KEY}"}}]'),
        f'cfg=[{{"content\\u006bey":"{KEY}"}}]',
        "cfg64=" + encode(f"(contentkey:{KEY})  ") + "A",
        "cfg%36%34=" + encode(f"(contentkey:{KEY})"),
        quote(quote(quote(quote(quote(f"cfg=(contentkey:{KEY})"))))),
    ],
)
def test_a_key_is_masked(query: str) -> None:
    masked = mask_query(query)
    assert KEY not in masked
    assert KEY[:12] not in masked
    assert encode(KEY)[4:16] not in masked
    assert "***" in masked


@pytest.mark.parametrize(
    "query",
    [
        "",
        "cfg=(errorcode:0x8004c065)",
        "cfg=(persist:false,sl:2000)&user=a%20b",
        f"cfg=(kid:{KEY})",
        "kid=0c3a1b52-6a0d-4f3e-9c77-1d2f8f5b4a10&cfg=persistent",
        "cfg64=" + encode("(sl:3000)"),
        "cfg64=***",
        "check=1&back=2",
    ],
)
def test_a_query_without_a_key_is_as_it_was(query: str) -> None:
    assert mask_query(query) == query


@given(st.text(max_size=300), st.integers(0, 5))
def test_any_text_gives_a_short_one(text: str, times: int) -> None:
    assert len(mask_query(f"cfg64={text}" * times)) <= MAX_QUERY


def test_the_beginning_of_a_value_is_cut_off_with_its_end() -> None:
    words = "word " * (MAX_CUSTOM_DATA // 5 - 1)
    assert mask_custom_data(words + KEY) == words + "…"
