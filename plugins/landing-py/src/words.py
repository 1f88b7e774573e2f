"""The template's own wording in each language that it supports.

`{}` is where a value goes. `days` are written as within a sentence.
"""

from dataclasses import dataclass
from types import SimpleNamespace

DAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]


def days(*names):
    return dict(zip(DAYS, names, strict=True))


PORTUGUESE = SimpleNamespace(
    skip="Pular para o conteúdo",
    sections="Partes desta página",
    services="Serviços",
    about="Sobre",
    testimonials="O que dizem os clientes",
    customer="Cliente",
    stars="{} de 5 estrelas",
    questions="Perguntas frequentes",
    contact="Contato",
    call="Ligar agora",
    whatsapp="Chamar no WhatsApp",
    write="Enviar e-mail",
    book="Agendar",
    phone="Telefone",
    email="E-mail",
    address="Endereço",
    areas="Onde atendemos",
    hours="Horário de funcionamento",
    day="Dia",
    time="Horário",
    closed="Fechado",
    all_day="24 horas",
    days_two="{} e {}",
    days_span="{} a {}",
    comma=", ",
    colon=": ",
    year="1 ano de história",
    years="{} anos de história",
    prices="Preços",
    menu="Cardápio",
    lost="Página não encontrada",
    lost_text="O endereço mudou ou nunca existiu. A página inicial está logo ali.",
    lost_back="Voltar ao início",
    days=days("segunda", "terça", "quarta", "quinta", "sexta", "sábado", "domingo"),
)

ENGLISH = SimpleNamespace(
    skip="Skip to content",
    sections="Parts of this page",
    services="Services",
    about="About",
    testimonials="What customers say",
    customer="Customer",
    stars="{} out of 5 stars",
    questions="Frequently asked questions",
    contact="Contact",
    call="Call now",
    whatsapp="Message on WhatsApp",
    write="Send an email",
    book="Book a visit",
    phone="Phone",
    email="Email",
    address="Address",
    areas="Where we work",
    hours="Opening hours",
    day="Day",
    time="Hours",
    closed="Closed",
    all_day="Open 24 hours",
    days_two="{} and {}",
    days_span="{} to {}",
    comma=", ",
    colon=": ",
    year="1 year in business",
    years="{} years in business",
    prices="Prices",
    menu="Menu",
    lost="Page not found",
    lost_text="The address has changed or never existed. The home page is just a step away.",
    lost_back="Back to the home page",
    days=days("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
)

SPANISH = SimpleNamespace(
    skip="Saltar al contenido",
    sections="Partes de esta página",
    services="Servicios",
    about="Nosotros",
    testimonials="Lo que dicen los clientes",
    customer="Cliente",
    stars="{} de 5 estrellas",
    questions="Preguntas frecuentes",
    contact="Contacto",
    call="Llamar ahora",
    whatsapp="Escribir por WhatsApp",
    write="Enviar un correo",
    book="Reservar",
    phone="Teléfono",
    email="Correo electrónico",
    address="Dirección",
    areas="Dónde trabajamos",
    hours="Horario",
    day="Día",
    time="Horas",
    closed="Cerrado",
    all_day="Las 24 horas",
    days_two="{} y {}",
    days_span="de {} a {}",
    comma=", ",
    colon=": ",
    year="1 año de experiencia",
    years="{} años de experiencia",
    prices="Precios",
    menu="Carta",
    lost="Página no encontrada",
    lost_text="La dirección ha cambiado o nunca existió. La página de inicio está a un paso.",
    lost_back="Volver al inicio",
    days=days("lunes", "martes", "miércoles", "jueves", "viernes", "sábado", "domingo"),
)

FRENCH = SimpleNamespace(
    skip="Aller au contenu",
    sections="Parties de cette page",
    services="Services",
    about="À propos",
    testimonials="Ce que disent nos clients",
    customer="Client",
    stars="Note\u202f: {} sur 5",
    questions="Questions fréquentes",
    contact="Contact",
    call="Appeler",
    whatsapp="Écrire sur WhatsApp",
    write="Envoyer un e-mail",
    book="Prendre rendez-vous",
    phone="Téléphone",
    email="E-mail",
    address="Adresse",
    areas="Où nous intervenons",
    hours="Horaires d’ouverture",
    day="Jour",
    time="Horaires",
    closed="Fermé",
    all_day="24\u00a0h/24",
    days_two="{} et {}",
    days_span="du {} au {}",
    comma=", ",
    colon="\u202f: ",
    year="1 an d’expérience",
    years="{} ans d’expérience",
    prices="Tarifs",
    menu="La carte",
    lost="Page introuvable",
    lost_text="L’adresse a changé ou n’a jamais existé. La page d’accueil est à un clic.",
    lost_back="Retour à l’accueil",
    days=days("lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche"),
)

GERMAN = SimpleNamespace(
    skip="Zum Inhalt springen",
    sections="Abschnitte dieser Seite",
    services="Leistungen",
    about="Über uns",
    testimonials="Das sagen unsere Kunden",
    customer="Kundenstimme",
    stars="{} von 5 Sternen",
    questions="Häufige Fragen",
    contact="Kontakt",
    call="Jetzt anrufen",
    whatsapp="Per WhatsApp schreiben",
    write="E-Mail senden",
    book="Termin anfragen",
    phone="Telefon",
    email="E-Mail",
    address="Adresse",
    areas="Unser Einsatzgebiet",
    hours="Öffnungszeiten",
    day="Tag",
    time="Uhrzeit",
    closed="Geschlossen",
    all_day="Rund um die Uhr",
    days_two="{} und {}",
    days_span="{} bis {}",
    comma=", ",
    colon=": ",
    year="1 Jahr Erfahrung",
    years="{} Jahre Erfahrung",
    prices="Preise",
    menu="Speisekarte",
    lost="Seite nicht gefunden",
    lost_text=(
        "Die Adresse hat sich geändert oder war nie vergeben. "
        "Zur Startseite ist es nur ein Klick."
    ),
    lost_back="Zur Startseite",
    days=days("Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag", "Samstag", "Sonntag"),
)

ITALIAN = SimpleNamespace(
    skip="Vai al contenuto",
    sections="Parti di questa pagina",
    services="Servizi",
    about="Chi siamo",
    testimonials="Cosa dicono i clienti",
    customer="Cliente",
    stars="{} stelle su 5",
    questions="Domande frequenti",
    contact="Contatti",
    call="Chiama ora",
    whatsapp="Scrivi su WhatsApp",
    write="Invia un’email",
    book="Prenota",
    phone="Telefono",
    email="Email",
    address="Indirizzo",
    areas="Dove operiamo",
    hours="Orari di apertura",
    day="Giorno",
    time="Orario",
    closed="Chiuso",
    all_day="24 ore su 24",
    days_two="{} e {}",
    days_span="da {} a {}",
    comma=", ",
    colon=": ",
    year="1 anno di attività",
    years="{} anni di attività",
    prices="Prezzi",
    menu="Menu",
    lost="Pagina non trovata",
    lost_text="L’indirizzo è cambiato o non è mai esistito. La home è a un passo.",
    lost_back="Torna alla home",
    days=days("lunedì", "martedì", "mercoledì", "giovedì", "venerdì", "sabato", "domenica"),
)

ARABIC = SimpleNamespace(
    skip="انتقل إلى المحتوى",
    sections="أقسام هذه الصفحة",
    services="خدماتنا",
    about="من نحن",
    testimonials="ماذا يقول عملاؤنا",
    customer="أحد العملاء",
    stars="التقييم: {} من 5",
    questions="الأسئلة الشائعة",
    contact="اتصل بنا",
    call="اتصل الآن",
    whatsapp="راسلنا عبر واتساب",
    write="أرسل بريدًا إلكترونيًا",
    book="احجز موعدًا",
    phone="الهاتف",
    email="البريد الإلكتروني",
    address="العنوان",
    areas="مناطق الخدمة",
    hours="ساعات العمل",
    day="اليوم",
    time="الوقت",
    closed="مغلق",
    all_day="على مدار الساعة",
    days_two="{} و{}",
    days_span="من {} إلى {}",
    comma="، ",
    colon=": ",
    year="سنوات الخبرة: 1",
    years="سنوات الخبرة: {}",
    prices="الأسعار",
    menu="قائمة الطعام",
    lost="الصفحة غير موجودة",
    lost_text="تغيّر العنوان أو لم يكن موجودًا. الصفحة الرئيسية على بُعد نقرة واحدة.",
    lost_back="العودة إلى الصفحة الرئيسية",
    days=days("الاثنين", "الثلاثاء", "الأربعاء", "الخميس", "الجمعة", "السبت", "الأحد"),
)

HEBREW = SimpleNamespace(
    skip="דילוג לתוכן",
    sections="חלקי העמוד",
    services="שירותים",
    about="אודות",
    testimonials="מה הלקוחות מספרים",
    customer="מפי הלקוחות",
    stars="דירוג: {} מתוך 5",
    questions="שאלות נפוצות",
    contact="יצירת קשר",
    call="להתקשר עכשיו",
    whatsapp="הודעה בוואטסאפ",
    write="שליחת דוא״ל",
    book="קביעת תור",
    phone="טלפון",
    email="דוא״ל",
    address="כתובת",
    areas="אזורי השירות",
    hours="שעות פתיחה",
    day="יום",
    time="שעות",
    closed="סגור",
    all_day="פתוח 24 שעות",
    days_two="{} ו{}",
    days_span="{} עד {}",
    comma=", ",
    colon=": ",
    year="שנות ניסיון: 1",
    years="שנות ניסיון: {}",
    prices="מחירים",
    menu="תפריט",
    lost="העמוד לא נמצא",
    lost_text="הכתובת השתנתה או מעולם לא הייתה קיימת. דף הבית נמצא במרחק לחיצה.",
    lost_back="חזרה לדף הבית",
    days=days("יום שני", "יום שלישי", "יום רביעי", "יום חמישי", "יום שישי", "יום שבת", "יום ראשון"),
)

JAPANESE = SimpleNamespace(
    skip="本文へ移動",
    sections="ページ内の項目",
    services="サービス",
    about="私たちについて",
    testimonials="お客様からの声",
    customer="お客様",
    stars="5段階評価で{}",
    questions="よくあるご質問",
    contact="お問い合わせ",
    call="電話をかける",
    whatsapp="WhatsAppで相談する",
    write="メールを送る",
    book="予約する",
    phone="電話番号",
    email="メールアドレス",
    address="所在地",
    areas="対応エリア",
    hours="営業時間",
    day="曜日",
    time="時間",
    closed="定休日",
    all_day="24時間営業",
    days_two="{}・{}",
    days_span="{}～{}",
    comma="、",
    colon="：",
    year="営業年数：1年",
    years="営業年数：{}年",
    prices="料金",
    menu="お品書き",
    lost="ページが見つかりません",
    lost_text="アドレスが変わったか、存在しないページです。ホームからお探しください。",
    lost_back="ホームに戻る",
    days=days("月曜日", "火曜日", "水曜日", "木曜日", "金曜日", "土曜日", "日曜日"),
)

LANGUAGES = {
    "pt": ("Portuguese", "Address the reader as `você`.", PORTUGUESE),
    "en": ("English", "", ENGLISH),
    "es": ("Spanish", "Address the reader as `tú`.", SPANISH),
    "fr": (
        "French",
        "Address the reader as `vous`. Put a narrow no-break space before ; : ! ? and inside « ».",
        FRENCH,
    ),
    "de": ("German", "Address the reader as `Sie`.", GERMAN),
    "it": ("Italian", "Address the reader as `tu`.", ITALIAN),
    "ar": (
        "Arabic",
        "Write Modern Standard Arabic with wording that suits men and women, and Western digits.",
        ARABIC,
    ),
    "he": ("Hebrew", "Address the reader in wording that suits men and women.", HEBREW),
    "ja": (
        "Japanese",
        "Write in the polite style (です・ます) with Japanese punctuation and no spaces between words.",
        JAPANESE,
    ),
}
"""Each language: its English name, how copy addresses the reader, for the prompt, and its wording.
"""


@dataclass
class Language:
    code: str
    tag: str
    """Value of `<html lang>`."""
    name: str
    voice: str
    words: SimpleNamespace

    @property
    def right_to_left(self) -> bool:
        return self.code in ("ar", "he")

    def decimal(self, number: float) -> str:
        """A number with the decimal separator of the language."""
        text = f"{number:g}"
        return text if self.code in ("ar", "en", "he", "ja") else text.replace(".", ",")

    def place(self, city: str | None, state: str | None) -> str:
        """The city and the state, as far as they are known, as the language joins them."""
        parts = [part for part in [city, state] if part]
        if any(part.isascii() for part in parts):
            return ", ".join(parts)
        if self.code == "ja":
            # From large to small without separators: 東京都渋谷区.
            return "".join(reversed(parts))
        return self.words.comma.join(parts)


def language(locale: str) -> Language:
    """The language of a locale; English if the template does not support it."""
    code = locale.split("-")[0]
    if code not in LANGUAGES:
        code = locale = "en"
    return Language(code, locale, *LANGUAGES[code])
