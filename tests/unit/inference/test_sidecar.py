"""Sidecars are well-formed whatever a model says, and a photo library's reader finds everything."""

from __future__ import annotations

from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from pipeline.inference.sidecar import text_file, xmp_file

NAMES = {
    "dc": "http://purl.org/dc/elements/1.1/",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "iptc": "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/",
}


def texts(packet: bytes, path: str) -> list[str | None]:
    return [one.text for one in ElementTree.fromstring(packet).findall(f".//{path}//rdf:li", NAMES)]


def test_everything_has_its_place() -> None:
    packet = xmp_file("A cat.", ["cat", "mat"], "en", title="Cat", alt_text="A cat, close.")
    assert texts(packet, "dc:description") == ["A cat."] * 2
    assert texts(packet, "dc:title") == ["Cat"] * 2
    assert texts(packet, "iptc:AltTextAccessibility") == ["A cat, close."] * 2
    assert texts(packet, "dc:subject") == ["cat", "mat"]
    assert packet.startswith(b"<?xpacket begin=")
    assert packet.endswith(b'<?xpacket end="w"?>\n')


def test_what_is_empty_is_left_out() -> None:
    packet = xmp_file("", [], "en")
    assert b"dc:description>" not in packet
    assert b"dc:subject" not in packet


def test_markup_is_text() -> None:
    evil = "</rdf:li><x a=\"'&]]>"
    assert texts(xmp_file(evil, [evil], "en"), "dc:description") == [evil] * 2
    assert texts(xmp_file(evil, [evil], "en"), "dc:subject") == [evil]


@given(text=st.text(min_size=1), language=st.sampled_from(["en", "zh"]))
def test_any_text_is_well_formed(text: str, language: str) -> None:
    """Also what XML cannot hold at all; that is left out."""
    packet = xmp_file(text, [text], language)
    found = texts(packet, "dc:subject")[0] or ""
    assert len(found) <= len(text)


def test_text_files_are_lines() -> None:
    assert text_file(["一", "b"]) == "一\nb\n".encode()
