"""The pages that the law may want: who is responsible for the site, and which data it processes.

They are made by form from what the order says. No model writes them, and without an address, which
they must show, they are left out with a warning.
"""

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from sitewright import html

from contact import Link
from content import known_identifiers
from fold import fold
from page import details, direction, head_links, home_link
from title import title

IMPRINT = {
    "imprint", "legal", "legais", "aviso", "mentions", "legales", "impressum", "legali",
    "قانونيه", "משפטי", "運営者",
}
PRIVACY = {
    "privacy", "gdpr", "privacidade", "lgpd", "privacidad", "confidentialite", "rgpd",
    "datenschutz", "datenschutzerklarung", "dsgvo", "informativa", "خصوصيه", "פרטיות",
    "プライバシー", "個人情報",
}
LAWYERS = {
    "terms", "cookies", "termos", "terminos", "condiciones", "cgv", "cgu", "agb", "termini",
    "شروط", "احكام", "תקנון", "利用規約", "特定商取引",
}
"""Words in the names of pages as customers type them, in lower case without accents. Pages of the
last kind need the text of a lawyer.
"""

OF_LAW = {"legal", "legais", "legales", "legali", "قانونيه", "משפטי"}
"""Words of `IMPRINT` that what a law firm offers has too."""
NOTICES = {
    "imprint", "impressum", "notice", "notices", "info", "information", "informations",
    "disclosure", "disclaimer", "mentions", "aviso", "avisos", "nota", "note", "informacion",
    "informacao", "informacoes", "informazioni", "dati", "datos", "dados", "بيانات", "معلومات",
    "اشعار", "تنويه", "מידע", "הודעה", "הודעות", "גילוי",
}
"""Words that are of a notice only."""

FILES = {
    "pt": ("informacoes-legais.html", "privacidade.html"),
    "es": ("aviso-legal.html", "privacidad.html"),
    "fr": ("mentions-legales.html", "confidentialite.html"),
    "de": ("impressum.html", "datenschutz.html"),
    "it": ("note-legali.html", "privacy.html"),
}
ENGLISH_FILES = ("legal-notice.html", "privacy.html")


@dataclass
class LegalPages:
    """The two pages, of which each may be missing, and warnings (code, message) about pages that
    are left out.
    """

    imprint: Link | None = None
    privacy: Link | None = None
    notes: list[tuple[str, str]] = field(default_factory=list)

    @property
    def links(self) -> list[Link]:
        return [link for link in (self.imprint, self.privacy) if link]


def legal_pages(order, lang) -> LegalPages:
    """Which pages the order asks for and has the data of."""
    words, pages = lang.words, LegalPages()
    paths = FILES.get(lang.code, ENGLISH_FILES)
    wants_imprint, wants_privacy = bool(order.legal), False
    for name in order.selected_pages:
        if has_word(name, LAWYERS):
            pages.notes.append((
                "page-unknown",
                f"the page `{name}` of `selected_pages` was left out: legal texts are not written "
                "by a model; add the text of your lawyer",
            ))
            continue
        is_privacy = has_word(name, PRIVACY)
        if not is_privacy and (not has_word(name, IMPRINT) or is_advice(order, name)):
            continue
        if not order.business_address:
            label = words.privacy if is_privacy else words.imprint
            pages.notes.append((
                "page-empty",
                f"the page `{label}` was left out: the order has no `business_address`, which it "
                "must show; add it and generate again",
            ))
        elif is_privacy:
            wants_privacy = True
        else:
            wants_imprint = True
    if wants_imprint and order.business_address:
        pages.imprint = Link(paths[0], words.imprint)
    if wants_privacy:
        pages.privacy = Link(paths[1], words.privacy)
    return pages


def is_advice(order, name: str) -> bool:
    """Whether a name is of what a law firm offers: "Legal advice", and not "Legal notice"."""
    is_several = len(name.split()) > 1
    is_of_law = has_word(name, OF_LAW) and not has_word(name, NOTICES)
    return order.niche == "lawyer" and is_several and is_of_law


def has_word(name: str, known: set[str]) -> bool:
    """Whether a name of a page has one of the words. Japanese has no spaces between words; an
    Arabic article and a Hebrew prefix are written together with their word.
    """
    letters = fold(name)
    typed = {word.removeprefix(start) for word in letters.split() for start in ("", "ال", "ה")}
    japanese = (word for word in known if word[0] >= "\u3000")
    return bool(typed & known) or any(word in letters for word in japanese)


def imprint_page(order, contacts, lang, pages, address, shades):
    words = lang.words
    lines = known_identifiers(order, words)
    if not order.legal.get("legal_name"):
        lines.insert(0, (words.responsible, order.business_name))
    text = words.imprint_text.format(order.business_name)
    return legal_page(order, contacts, lang, pages.imprint, text, terms(lines), address, shades)


def privacy_page(order, contacts, lang, pages, address, shades):
    words = lang.words
    form = None
    if contacts.form:
        by_mail = contacts.form.startswith("mailto:")
        host = urlsplit(contacts.form).hostname
        form = words.privacy_mail if by_mail else words.privacy_post.format(host)
    said = [
        words.privacy_site, words.privacy_server, form, words.privacy_links, words.privacy_rights,
    ]
    who = order.legal.get("legal_name") or order.business_name
    body = html(
        t"{terms([(words.responsible, who)])}"
        t"{[html(t'<p>{text}</p>') for text in said if text]}"
    )
    text = words.privacy_text.format(order.business_name)
    return legal_page(order, contacts, lang, pages.privacy, text, body, address, shades)


def terms(lines):
    entries = [html(t"<dt>{label}</dt><dd><bdi>{value}</bdi></dd>") for label, value in lines]
    return html(t"<dl>{entries}</dl>")


def legal_page(order, contacts, lang, page, text, body, address, shades):
    words = lang.words
    canonical = address and html(t'<link rel="canonical" href="{address}{page.href}">\n')
    return html(t"""<!doctype html>
<html lang="{lang.tag}"{direction(lang)}>
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title(order.business_name, page.label)}</title>
<meta name="description" content="{text}">
{canonical}{head_links(shades)}</head>
<body>
<header class="top">{home_link(order)}</header>
<main class="legal">
  <h1>{page.label}</h1>
  {body}
  <h2>{words.contact}</h2>
  {details(order, contacts, words)}
  <p><a href="index.html">{words.lost_back}</a></p>
</main>
</body>
</html>
""")
