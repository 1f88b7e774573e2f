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
    sections="Seções desta página",
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
    order_online="Pedir online",
    menu_link="Ver o cardápio",
    gift_cards="Vales-presente",
    donate="Doar",
    emergency="Emergências",
    team="Nossa equipe",
    locations="Nossas unidades",
    photo="Foto {}",
    photos="Fotos",
    vat="Número de IVA",
    tax_number="Número fiscal",
    company_number="Registro comercial",
    license="Licença",
    representative="Representante legal",
    responsible="Responsável pelo site",
    form_title="Escreva para nós",
    form_lead=(
        "Preencha os campos abaixo. A mensagem abre no seu programa de e-mail, pronta "
        "para enviar."
    ),
    form_lead_post="Preencha os campos abaixo e entraremos em contato.",
    form_name="Nome",
    form_message="Mensagem",
    form_send="Enviar mensagem",
    required="obrigatório",
    lost="Página não encontrada",
    lost_text="O endereço mudou ou nunca existiu. A página inicial está logo ali.",
    lost_back="Voltar ao início",
    imprint="Informações legais",
    imprint_text="Quem responde por este site: nome, endereço e contato de {}.",
    privacy="Privacidade",
    privacy_text="Quais dados este site trata e como falar com {} sobre eles.",
    privacy_site=(
        "Este site não usa cookies, não rastreia as visitas e não carrega nada de outros sites."
    ),
    privacy_server=(
        "O servidor que o hospeda recebe, como todo servidor web, o endereço IP de cada "
        "visitante e a página solicitada."
    ),
    privacy_mail=(
        "O formulário de contato abre uma mensagem no seu programa de e-mail. Nada é enviado "
        "antes de você enviar essa mensagem."
    ),
    privacy_post=(
        "O que você escreve no formulário de contato vai para {}, o serviço que o recebe por "
        "nós."
    ),
    privacy_links="Os links levam a outros sites, que têm seus próprios avisos de privacidade.",
    privacy_rights=(
        "Você pode perguntar quais dados seus temos e pedir que sejam corrigidos ou apagados. "
        "Também pode procurar a autoridade de proteção de dados do seu país."
    ),
    news="Novidades",
    months=(
        "janeiro fevereiro março abril maio junho "
        "julho agosto setembro outubro novembro dezembro"
    ).split(),
    days=days("segunda", "terça", "quarta", "quinta", "sexta", "sábado", "domingo"),
)

ENGLISH = SimpleNamespace(
    skip="Skip to content",
    sections="Sections of this page",
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
    order_online="Order online",
    menu_link="See the menu",
    gift_cards="Gift cards",
    donate="Donate",
    emergency="Emergencies",
    team="Our team",
    locations="Our locations",
    photo="Photo {}",
    photos="Photos",
    vat="VAT number",
    tax_number="Tax number",
    company_number="Company number",
    license="License",
    representative="Represented by",
    responsible="Responsible for this website",
    form_title="Write to us",
    form_lead="Fill in the fields below. The message opens in your email program, ready to send.",
    form_lead_post="Fill in the fields below and we will get back to you.",
    form_name="Name",
    form_message="Message",
    form_send="Send message",
    required="required",
    lost="Page not found",
    lost_text="The address has changed or never existed. The home page is just a step away.",
    lost_back="Back to the home page",
    imprint="Legal notice",
    imprint_text="Who is responsible for this website: name, address and contact details of {}.",
    privacy="Privacy",
    privacy_text="What data this website processes, and how to reach {} about it.",
    privacy_site=(
        "This website sets no cookies, does not track visits and loads nothing from other "
        "websites."
    ),
    privacy_server=(
        "The server that delivers it receives the IP address of each visitor and the page that "
        "is requested, as every web server does."
    ),
    privacy_mail=(
        "The contact form opens a message in your email program. Nothing is sent before you "
        "send that message yourself."
    ),
    privacy_post=(
        "What you enter in the contact form is sent to {}, the service that receives it for us."
    ),
    privacy_links="Links lead to other websites, which have privacy notices of their own.",
    privacy_rights=(
        "You can ask us what data we hold about you, and have it corrected or deleted. You can "
        "also turn to the data protection authority of your country."
    ),
    news="News",
    months=(
        "January February March April May June "
        "July August September October November December"
    ).split(),
    days=days("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
)

SPANISH = SimpleNamespace(
    skip="Saltar al contenido",
    sections="Secciones de esta página",
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
    all_day="Abierto las 24 horas",
    days_two="{} y {}",
    days_span="de {} a {}",
    comma=", ",
    colon=": ",
    year="1 año de experiencia",
    years="{} años de experiencia",
    prices="Precios",
    menu="Carta",
    order_online="Pedir en línea",
    menu_link="Ver la carta",
    gift_cards="Tarjetas regalo",
    donate="Donar",
    emergency="Urgencias",
    team="Nuestro equipo",
    locations="Nuestros locales",
    photo="Foto {}",
    photos="Fotos",
    vat="N.º de IVA",
    tax_number="Número fiscal",
    company_number="Número de registro",
    license="Licencia",
    representative="Representante",
    responsible="Responsable del sitio",
    form_title="Escríbenos",
    form_lead=(
        "Rellena los campos. El mensaje se abre en tu programa de correo, listo para "
        "enviar."
    ),
    form_lead_post="Rellena los campos y te respondemos.",
    form_name="Nombre",
    form_message="Mensaje",
    form_send="Enviar mensaje",
    required="obligatorio",
    lost="Página no encontrada",
    lost_text="La dirección ha cambiado o nunca existió. La página de inicio está a un paso.",
    lost_back="Volver al inicio",
    imprint="Aviso legal",
    imprint_text="Quién responde de este sitio web: nombre, dirección y contacto de {}.",
    privacy="Privacidad",
    privacy_text="Qué datos trata este sitio web y cómo contactar con {} al respecto.",
    privacy_site=(
        "Este sitio web no usa cookies, no rastrea las visitas y no carga nada de otros sitios."
    ),
    privacy_server=(
        "El servidor que lo ofrece recibe, como todo servidor web, la dirección IP de cada "
        "visitante y la página solicitada."
    ),
    privacy_mail=(
        "El formulario de contacto abre un mensaje en tu programa de correo. No se envía nada "
        "hasta que tú envías ese mensaje."
    ),
    privacy_post=(
        "Lo que escribes en el formulario de contacto llega a {}, el servicio que lo recibe "
        "por nosotros."
    ),
    privacy_links="Los enlaces llevan a otros sitios, que tienen su propia política de privacidad.",
    privacy_rights=(
        "Puedes preguntarnos qué datos tuyos tenemos y pedir que los corrijamos o los "
        "borremos. También puedes acudir a la autoridad de protección de datos de tu país."
    ),
    news="Novedades",
    months=(
        "enero febrero marzo abril mayo junio "
        "julio agosto septiembre octubre noviembre diciembre"
    ).split(),
    days=days("lunes", "martes", "miércoles", "jueves", "viernes", "sábado", "domingo"),
)

FRENCH = SimpleNamespace(
    skip="Aller au contenu",
    sections="Sections de cette page",
    services="Services",
    about="À propos",
    testimonials="Ce que disent nos clients",
    customer="Avis client",
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
    order_online="Commander en ligne",
    menu_link="Voir la carte",
    gift_cards="Bons cadeaux",
    donate="Faire un don",
    emergency="Urgences",
    team="Notre équipe",
    locations="Nos adresses",
    photo="Photo {}",
    photos="Photos",
    vat="N° de TVA",
    tax_number="Numéro fiscal",
    company_number="Numéro d’immatriculation",
    license="Licence professionnelle",
    representative="Représentant légal",
    responsible="Éditeur du site",
    form_title="Écrivez-nous",
    form_lead=(
        "Remplissez les champs ci-dessous. Le message s’ouvre dans votre messagerie, prêt "
        "à être envoyé."
    ),
    form_lead_post="Remplissez les champs ci-dessous, nous vous répondrons.",
    form_name="Nom",
    form_message="Message",
    form_send="Envoyer le message",
    required="obligatoire",
    lost="Page introuvable",
    lost_text="L’adresse a changé ou n’a jamais existé. La page d’accueil est à un clic.",
    lost_back="Retour à l’accueil",
    imprint="Mentions légales",
    imprint_text="Qui publie ce site\u202f: nom, adresse et coordonnées de {}.",
    privacy="Confidentialité",
    privacy_text="Les données que traite ce site et comment joindre {} à leur sujet.",
    privacy_site=(
        "Ce site ne dépose aucun cookie, ne mesure pas l’audience et ne charge rien depuis "
        "d’autres sites."
    ),
    privacy_server=(
        "Le serveur qui le diffuse reçoit, comme tout serveur web, l’adresse IP des visiteurs "
        "et la page demandée."
    ),
    privacy_mail=(
        "Le formulaire de contact ouvre un message dans votre messagerie. Rien n’est envoyé "
        "avant que vous n’envoyiez vous-même ce message."
    ),
    privacy_post=(
        "Ce que vous saisissez dans le formulaire de contact est transmis à {}, le service qui "
        "le reçoit pour nous."
    ),
    privacy_links=(
        "Les liens mènent à d’autres sites, qui ont leurs propres règles de confidentialité."
    ),
    privacy_rights=(
        "Vous pouvez demander quelles données nous avons sur vous, les faire corriger ou "
        "supprimer. Vous pouvez aussi vous adresser à l’autorité de protection des données de "
        "votre pays."
    ),
    news="Actualités",
    months=(
        "janvier février mars avril mai juin juillet août septembre octobre novembre décembre"
    ).split(),
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
    order_online="Online bestellen",
    menu_link="Zur Speisekarte",
    gift_cards="Gutscheine",
    donate="Spenden",
    emergency="Notfallnummer",
    team="Unser Team",
    locations="Unsere Standorte",
    photo="Foto {}",
    photos="Fotos",
    vat="USt-IdNr.",
    tax_number="Steuernummer",
    company_number="Registernummer",
    license="Zulassung",
    representative="Vertreten durch",
    responsible="Verantwortlich für diese Website",
    form_title="Schreiben Sie uns",
    form_lead=(
        "Füllen Sie die Felder aus. Die Nachricht öffnet sich versandfertig in Ihrem "
        "E-Mail-Programm."
    ),
    form_lead_post="Füllen Sie die Felder aus, wir melden uns bei Ihnen.",
    form_name="Name",
    form_message="Nachricht",
    form_send="Nachricht senden",
    required="Pflichtfeld",
    lost="Seite nicht gefunden",
    lost_text=(
        "Die Adresse hat sich geändert oder war nie vergeben. "
        "Zur Startseite ist es nur ein Klick."
    ),
    lost_back="Zur Startseite",
    imprint="Impressum",
    imprint_text="Wer für diese Website verantwortlich ist: Name, Anschrift und Kontakt von {}.",
    privacy="Datenschutz",
    privacy_text="Welche Daten diese Website verarbeitet und wie Sie {} dazu erreichen.",
    privacy_site=(
        "Diese Website setzt keine Cookies, wertet keine Besuche aus und lädt nichts von anderen "
        "Websites."
    ),
    privacy_server=(
        "Der Server, der sie ausliefert, erhält wie jeder Webserver die IP-Adresse der "
        "Besucher und die aufgerufene Seite."
    ),
    privacy_mail=(
        "Das Kontaktformular öffnet eine Nachricht in Ihrem E-Mail-Programm. Gesendet wird "
        "erst, wenn Sie diese Nachricht selbst abschicken."
    ),
    privacy_post=(
        "Ihre Eingaben im Kontaktformular gehen an {}, den Dienst, der sie für uns "
        "entgegennimmt."
    ),
    privacy_links="Links führen zu anderen Websites mit eigenen Datenschutzhinweisen.",
    privacy_rights=(
        "Sie können Auskunft über Ihre Daten verlangen und sie berichtigen oder löschen "
        "lassen. Außerdem können Sie sich an die Datenschutzbehörde Ihres Landes wenden."
    ),
    news="Aktuelles",
    months=(
        "Januar Februar März April Mai Juni Juli August September Oktober November Dezember"
    ).split(),
    days=days("Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag", "Samstag", "Sonntag"),
)

ITALIAN = SimpleNamespace(
    skip="Vai al contenuto",
    sections="Sezioni di questa pagina",
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
    order_online="Ordina online",
    menu_link="Guarda il menu",
    gift_cards="Buoni regalo",
    donate="Fai una donazione",
    emergency="Emergenze",
    team="Il nostro team",
    locations="Le nostre sedi",
    photo="Foto {}",
    photos="Foto",
    vat="Partita IVA",
    tax_number="Codice fiscale",
    company_number="Registro imprese",
    license="Licenza",
    representative="Legale rappresentante",
    responsible="Responsabile del sito",
    form_title="Scrivici",
    form_lead=(
        "Compila i campi. Il messaggio si apre nel tuo programma di posta, pronto da "
        "inviare."
    ),
    form_lead_post="Compila i campi e ti risponderemo.",
    form_name="Nome",
    form_message="Messaggio",
    form_send="Invia il messaggio",
    required="obbligatorio",
    lost="Pagina non trovata",
    lost_text="L’indirizzo è cambiato o non è mai esistito. La home è a un passo.",
    lost_back="Torna alla home",
    imprint="Note legali",
    imprint_text="Chi è responsabile di questo sito: nome, indirizzo e contatti di {}.",
    privacy="Informativa sulla privacy",
    privacy_text="Quali dati tratta questo sito e come contattare {} al riguardo.",
    privacy_site=(
        "Questo sito non usa cookie, non traccia le visite e non carica nulla da altri siti."
    ),
    privacy_server=(
        "Il server che lo pubblica riceve, come ogni server web, l’indirizzo IP dei visitatori "
        "e la pagina richiesta."
    ),
    privacy_mail=(
        "Il modulo di contatto apre un messaggio nel tuo programma di posta. Nulla viene "
        "inviato finché non invii tu quel messaggio."
    ),
    privacy_post=(
        "Ciò che scrivi nel modulo di contatto arriva a {}, il servizio che lo riceve per noi."
    ),
    privacy_links="I link portano ad altri siti, che hanno una propria informativa.",
    privacy_rights=(
        "Puoi chiederci quali tuoi dati abbiamo e farli correggere o cancellare. Puoi anche "
        "rivolgerti all’autorità per la protezione dei dati del tuo paese."
    ),
    news="Novità",
    months=(
        "gennaio febbraio marzo aprile maggio giugno "
        "luglio agosto settembre ottobre novembre dicembre"
    ).split(),
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
    order_online="اطلب عبر الإنترنت",
    menu_link="عرض قائمة الطعام",
    gift_cards="بطاقات هدايا",
    donate="تبرّع",
    emergency="الطوارئ",
    team="فريقنا",
    locations="فروعنا",
    photo="صورة {}",
    photos="صور",
    vat="رقم ضريبة القيمة المضافة",
    tax_number="الرقم الضريبي",
    company_number="رقم السجل التجاري",
    license="رقم الترخيص",
    representative="الممثل القانوني",
    responsible="المسؤول عن هذا الموقع",
    form_title="اكتب إلينا",
    form_lead="املأ الحقول أدناه وستُفتح الرسالة جاهزة للإرسال في برنامج البريد لديك.",
    form_lead_post="املأ الحقول أدناه وسنعاود التواصل معك.",
    form_name="الاسم",
    form_message="الرسالة",
    form_send="إرسال الرسالة",
    required="مطلوب",
    lost="الصفحة غير موجودة",
    lost_text="تغيّر العنوان أو لم يكن موجودًا. الصفحة الرئيسية على بُعد نقرة واحدة.",
    lost_back="العودة إلى الصفحة الرئيسية",
    imprint="بيانات قانونية",
    imprint_text="الجهة المسؤولة عن هذا الموقع: الاسم والعنوان وبيانات التواصل مع {}.",
    privacy="الخصوصية",
    privacy_text="البيانات التي يعالجها هذا الموقع وكيفية التواصل مع {} بشأنها.",
    privacy_site=(
        "لا يستخدم هذا الموقع ملفات تعريف الارتباط ولا يتتبّع الزيارات ولا يحمّل أي شيء من مواقع "
        "أخرى."
    ),
    privacy_server=(
        "يستقبل الخادم الذي يعرض الموقع عنوان IP لكل زائر والصفحة المطلوبة، كأي خادم ويب."
    ),
    privacy_mail=(
        "يفتح نموذج التواصل رسالة في برنامج البريد لديك، ولا يُرسل شيء قبل أن ترسل هذه الرسالة "
        "بنفسك."
    ),
    privacy_post="ما تكتبه في نموذج التواصل يصل إلى {}، وهي الخدمة التي تستقبله نيابة عنا.",
    privacy_links="تؤدي الروابط إلى مواقع أخرى لها سياسات خصوصية خاصة بها.",
    privacy_rights=(
        "يمكنك أن تسألنا عن بياناتك لدينا وأن تطلب تصحيحها أو حذفها، كما يمكنك اللجوء إلى هيئة "
        "حماية البيانات في بلدك."
    ),
    news="الأخبار",
    months="يناير فبراير مارس أبريل مايو يونيو يوليو أغسطس سبتمبر أكتوبر نوفمبر ديسمبر".split(),
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
    order_online="הזמנה מקוונת",
    menu_link="לתפריט המלא",
    gift_cards="כרטיסי מתנה",
    donate="תרומה",
    emergency="חירום",
    team="הצוות שלנו",
    locations="הסניפים שלנו",
    photo="תמונה {}",
    photos="תמונות",
    vat="מספר עוסק מורשה",
    tax_number="מספר מס",
    company_number="מספר חברה",
    license="מספר רישיון",
    representative="מיוצג על ידי",
    responsible="האחראי לאתר",
    form_title="כתבו לנו",
    form_lead="מלאו את השדות, וההודעה תיפתח בתוכנת הדוא״ל שלכם, מוכנה לשליחה.",
    form_lead_post="מלאו את השדות ונחזור אליכם.",
    form_name="שם",
    form_message="הודעה",
    form_send="שליחת ההודעה",
    required="חובה",
    lost="העמוד לא נמצא",
    lost_text="הכתובת השתנתה או מעולם לא הייתה קיימת. דף הבית נמצא במרחק לחיצה.",
    lost_back="חזרה לדף הבית",
    imprint="מידע משפטי",
    imprint_text="מי אחראי לאתר הזה: שם, כתובת ופרטי התקשרות של {}.",
    privacy="פרטיות",
    privacy_text="אילו נתונים האתר הזה מעבד ואיך לפנות אל {} בעניינם.",
    privacy_site="האתר הזה אינו שומר עוגיות, אינו עוקב אחר ביקורים ואינו טוען דבר מאתרים אחרים.",
    privacy_server=(
        "השרת שמציג את האתר מקבל את כתובת ה־IP של כל מבקר ואת העמוד המבוקש, כמו כל שרת אינטרנט."
    ),
    privacy_mail=(
        "טופס יצירת הקשר פותח הודעה בתוכנת הדוא״ל שלכם. דבר אינו נשלח לפני שתשלחו את ההודעה "
        "בעצמכם."
    ),
    privacy_post="מה שתכתבו בטופס יצירת הקשר נשלח אל {}, השירות שמקבל אותו עבורנו.",
    privacy_links="הקישורים מובילים לאתרים אחרים, ולהם כללי פרטיות משלהם.",
    privacy_rights=(
        "אפשר לשאול אותנו אילו נתונים עליכם יש לנו ולבקש לתקן או למחוק אותם. אפשר גם לפנות "
        "לרשות להגנת הפרטיות במדינתכם."
    ),
    news="חדשות",
    months="ינואר פברואר מרץ אפריל מאי יוני יולי אוגוסט ספטמבר אוקטובר נובמבר דצמבר".split(),
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
    menu="メニュー",
    order_online="オンライン注文",
    menu_link="メニューを見る",
    gift_cards="ギフトカード",
    donate="寄付する",
    emergency="緊急連絡先",
    team="スタッフ紹介",
    locations="店舗一覧",
    photo="写真{}",
    photos="写真",
    vat="付加価値税番号",
    tax_number="納税者番号",
    company_number="法人番号",
    license="許認可番号",
    representative="代表者",
    responsible="サイト運営者",
    form_title="お問い合わせフォーム",
    form_lead="以下の項目をご記入ください。送信できる状態のメッセージがメールソフトで開きます。",
    form_lead_post="以下の項目をご記入ください。折り返しご連絡いたします。",
    form_name="お名前",
    form_message="メッセージ",
    form_send="送信する",
    required="必須",
    lost="ページが見つかりません",
    lost_text="アドレスが変わったか、存在しないページです。ホームからお探しください。",
    lost_back="ホームに戻る",
    imprint="運営者情報",
    imprint_text="このサイトの運営者について、{}の名称、所在地、連絡先を掲載しています。",
    privacy="プライバシーについて",
    privacy_text="このサイトが扱う情報と、{}への連絡方法をご案内します。",
    privacy_site="このサイトはクッキーを使用せず、アクセスを計測せず、他のサイトから何も読み込みません。",
    privacy_server="サイトを配信するサーバーは、他のウェブサーバーと同じく、訪問者のIPアドレスと表示されたページの情報を受け取ります。",
    privacy_mail="お問い合わせフォームはメールソフトでメッセージを開きます。ご自身で送信するまで、何も送信されません。",
    privacy_post="お問い合わせフォームの内容は、受付サービスの{}に送信されます。",
    privacy_links="リンク先は他のサイトであり、それぞれのプライバシー方針があります。",
    privacy_rights="ご自身の情報の開示、訂正、削除をお求めいただけます。お住まいの国の個人情報保護機関に相談することもできます。",
    news="お知らせ",
    months="1月 2月 3月 4月 5月 6月 7月 8月 9月 10月 11月 12月".split(),
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

    def date(self, day: str) -> str:
        """A day such as `2026-03-09` as the language writes it."""
        year, month, number = day.split("-")
        month, number = self.words.months[int(month) - 1], int(number)
        match self.code:
            case "en" if self.tag in ("en", "en-US"):
                return f"{month} {number}, {year}"
            case "fr" if number == 1:
                return f"1er {month} {year}"
            case "de":
                return f"{number}. {month} {year}"
            case "he":
                return f"{number} ב{month} {year}"
            case "ja":
                return f"{year}年{month}{number}日"
            case "pt" | "es":
                return f"{number} de {month} de {year}"
            case _:
                return f"{number} {month} {year}"

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
