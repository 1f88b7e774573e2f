"""The template's own wording in each language that it supports."""

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
    phone="Telefone",
    email="E-mail",
    address="Endereço",
    areas="Onde atendemos",
    hours="Horário de funcionamento",
    day="Dia",
    time="Horário",
    closed="Fechado",
    all_day="24 horas",
    year="1 ano de história",
    years="{} anos de história",
    days=days("Segunda", "Terça", "Quarta", "Quinta", "Sexta", "Sábado", "Domingo"),
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
    phone="Phone",
    email="Email",
    address="Address",
    areas="Where we work",
    hours="Opening hours",
    day="Day",
    time="Hours",
    closed="Closed",
    all_day="Open 24 hours",
    year="1 year in business",
    years="{} years in business",
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
    phone="Teléfono",
    email="Correo electrónico",
    address="Dirección",
    areas="Dónde trabajamos",
    hours="Horario",
    day="Día",
    time="Horas",
    closed="Cerrado",
    all_day="24 horas",
    year="1 año de experiencia",
    years="{} años de experiencia",
    days=days("Lunes", "Martes", "Miércoles", "Jueves", "Viernes", "Sábado", "Domingo"),
)


@dataclass
class Language:
    name: str
    tag: str
    words: SimpleNamespace
    twelve_hours: bool


def language(locale: str) -> Language:
    """The language of a locale; English if the template does not support it."""
    match locale.split("-")[0]:
        case "pt":
            return Language("Portuguese", locale, PORTUGUESE, False)
        case "es":
            return Language("Spanish", locale, SPANISH, False)
        case "en":
            return Language("English", locale, ENGLISH, True)
        case _:
            return Language("English", "en", ENGLISH, True)
