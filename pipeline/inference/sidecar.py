"""Sidecar files of a description: plain text, and XMP for photo libraries. The original is never touched."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.sax.saxutils import escape, quoteattr

# XML 1.0, production 2: what may stand in a document at all.
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_HEAD = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">\n'
    ' <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\n'
    '  <rdf:Description rdf:about=""\n'
    '    xmlns:dc="http://purl.org/dc/elements/1.1/"\n'
    '    xmlns:Iptc4xmpCore="http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/">\n'
)
_TAIL = '  </rdf:Description>\n </rdf:RDF>\n</x:xmpmeta>\n<?xpacket end="w"?>\n'


def text_file(sentences: Sequence[str]) -> bytes:
    """A sentence a line, UTF-8."""
    return "".join(f"{sentence}\n" for sentence in sentences).encode()


def xmp_file(
    description: str, keywords: Sequence[str], language: str, *, title: str = "", alt_text: str = ""
) -> bytes:
    """An XMP packet (ISO 16684-1) with dc:description and dc:subject, in UTF-8.

    Args:
        description: "" leaves it out, as with all others.
        keywords: For dc:subject.
        language: Of the texts, ISO 639-1.
        title: For dc:title.
        alt_text: For the accessibility text of IPTC Photo Metadata 2021.
    """
    texts = {
        "dc:title": title,
        "dc:description": description,
        "Iptc4xmpCore:AltTextAccessibility": alt_text,
    }
    body = "".join(_alternatives(name, text, language) for name, text in texts.items() if text)
    return (_HEAD + body + _bag("dc:subject", keywords) + _TAIL).encode()


def _alternatives(name: str, text: str, language: str) -> str:
    """A text by language: what every reader takes, and what it is."""
    items = "".join(
        f"     <rdf:li xml:lang={quoteattr(one)}>{_plain(text)}</rdf:li>\n" for one in ("x-default", language)
    )
    return f"   <{name}>\n    <rdf:Alt>\n{items}    </rdf:Alt>\n   </{name}>\n"


def _bag(name: str, words: Sequence[str]) -> str:
    if not words:
        return ""
    items = "".join(f"     <rdf:li>{_plain(word)}</rdf:li>\n" for word in words)
    return f"   <{name}>\n    <rdf:Bag>\n{items}    </rdf:Bag>\n   </{name}>\n"


def _plain(text: str) -> str:
    return escape(_NOT_XML.sub("", text))
