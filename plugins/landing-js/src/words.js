/**
 * The template's own wording in each language that it supports. `{}` is where a value goes.
 * `days` are written as within a sentence.
 */

export const DAYS = ['monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday'];
const days = (...names) => Object.fromEntries(DAYS.map((day, at) => [day, names[at]]));

const PORTUGUESE = {
  skip: 'Pular para o conteúdo',
  sections: 'Seções desta página',
  services: 'Serviços',
  about: 'Sobre',
  testimonials: 'O que dizem os clientes',
  customer: 'Cliente',
  stars: '{} de 5 estrelas',
  questions: 'Perguntas frequentes',
  contact: 'Contato',
  call: 'Ligar agora',
  whatsapp: 'Chamar no WhatsApp',
  write: 'Enviar e-mail',
  book: 'Agendar',
  phone: 'Telefone',
  email: 'E-mail',
  address: 'Endereço',
  areas: 'Onde atendemos',
  hours: 'Horário de funcionamento',
  day: 'Dia',
  time: 'Horário',
  closed: 'Fechado',
  allDay: '24 horas',
  daysTwo: '{} e {}',
  daysSpan: '{} a {}',
  comma: ', ',
  colon: ': ',
  year: '1 ano de história',
  years: '{} anos de história',
  prices: 'Preços',
  menu: 'Cardápio',
  orderOnline: 'Pedir online',
  menuLink: 'Ver o cardápio',
  giftCards: 'Vales-presente',
  donate: 'Doar',
  emergency: 'Emergências',
  team: 'Nossa equipe',
  locations: 'Nossas unidades',
  photo: 'Foto {}',
  photos: 'Fotos',
  vat: 'Número de IVA',
  taxNumber: 'Número fiscal',
  companyNumber: 'Registro comercial',
  license: 'Licença',
  representative: 'Representante legal',
  responsible: 'Responsável pelo site',
  formTitle: 'Escreva para nós',
  formLead:
    'Preencha os campos abaixo. A mensagem abre no seu programa de e-mail, pronta para enviar.',
  formLeadPost: 'Preencha os campos abaixo e entraremos em contato.',
  formName: 'Nome',
  formMessage: 'Mensagem',
  formSend: 'Enviar mensagem',
  required: 'obrigatório',
  lost: 'Página não encontrada',
  lostText: 'O endereço mudou ou nunca existiu. A página inicial está logo ali.',
  lostBack: 'Voltar ao início',
  imprint: 'Informações legais',
  imprintText: 'Quem responde por este site: nome, endereço e contato de {}.',
  privacy: 'Privacidade',
  privacyText: 'Quais dados este site trata e como falar com {} sobre eles.',
  privacySite:
    'Este site não usa cookies, não rastreia as visitas e não carrega nada de outros sites.',
  privacyServer:
    'O servidor que o hospeda recebe, como todo servidor web, o endereço IP de cada visitante ' +
    'e a página solicitada.',
  privacyMail:
    'O formulário de contato abre uma mensagem no seu programa de e-mail. Nada é enviado antes ' +
    'de você enviar essa mensagem.',
  privacyPost:
    'O que você escreve no formulário de contato vai para {}, o serviço que o recebe por nós.',
  privacyLinks: 'Os links levam a outros sites, que têm seus próprios avisos de privacidade.',
  privacyRights:
    'Você pode perguntar quais dados seus temos e pedir que sejam corrigidos ou apagados. ' +
    'Também pode procurar a autoridade de proteção de dados do seu país.',
  news: 'Novidades',
  months: (
    'janeiro fevereiro março abril maio junho ' +
    'julho agosto setembro outubro novembro dezembro'
  ).split(' '),
  days: days('segunda', 'terça', 'quarta', 'quinta', 'sexta', 'sábado', 'domingo'),
};

const ENGLISH = {
  skip: 'Skip to content',
  sections: 'Sections of this page',
  services: 'Services',
  about: 'About',
  testimonials: 'What customers say',
  customer: 'Customer',
  stars: '{} out of 5 stars',
  questions: 'Frequently asked questions',
  contact: 'Contact',
  call: 'Call now',
  whatsapp: 'Message on WhatsApp',
  write: 'Send an email',
  book: 'Book a visit',
  phone: 'Phone',
  email: 'Email',
  address: 'Address',
  areas: 'Where we work',
  hours: 'Opening hours',
  day: 'Day',
  time: 'Hours',
  closed: 'Closed',
  allDay: 'Open 24 hours',
  daysTwo: '{} and {}',
  daysSpan: '{} to {}',
  comma: ', ',
  colon: ': ',
  year: '1 year in business',
  years: '{} years in business',
  prices: 'Prices',
  menu: 'Menu',
  orderOnline: 'Order online',
  menuLink: 'See the menu',
  giftCards: 'Gift cards',
  donate: 'Donate',
  emergency: 'Emergencies',
  team: 'Our team',
  locations: 'Our locations',
  photo: 'Photo {}',
  photos: 'Photos',
  vat: 'VAT number',
  taxNumber: 'Tax number',
  companyNumber: 'Company number',
  license: 'License',
  representative: 'Represented by',
  responsible: 'Responsible for this website',
  formTitle: 'Write to us',
  formLead: 'Fill in the fields below. The message opens in your email program, ready to send.',
  formLeadPost: 'Fill in the fields below and we will get back to you.',
  formName: 'Name',
  formMessage: 'Message',
  formSend: 'Send message',
  required: 'required',
  lost: 'Page not found',
  lostText: 'The address has changed or never existed. The home page is just a step away.',
  lostBack: 'Back to the home page',
  imprint: 'Legal notice',
  imprintText: 'Who is responsible for this website: name, address and contact details of {}.',
  privacy: 'Privacy',
  privacyText: 'What data this website processes, and how to reach {} about it.',
  privacySite:
    'This website sets no cookies, does not track visits and loads nothing from other websites.',
  privacyServer:
    'The server that delivers it receives the IP address of each visitor and the page that is ' +
    'requested, as every web server does.',
  privacyMail:
    'The contact form opens a message in your email program. Nothing is sent before you send ' +
    'that message yourself.',
  privacyPost:
    'What you enter in the contact form is sent to {}, the service that receives it for us.',
  privacyLinks: 'Links lead to other websites, which have privacy notices of their own.',
  privacyRights:
    'You can ask us what data we hold about you, and have it corrected or deleted. You can also ' +
    'turn to the data protection authority of your country.',
  news: 'News',
  months: (
    'January February March April May June ' +
    'July August September October November December'
  ).split(' '),
  days: days('Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday'),
};

const SPANISH = {
  skip: 'Saltar al contenido',
  sections: 'Secciones de esta página',
  services: 'Servicios',
  about: 'Nosotros',
  testimonials: 'Lo que dicen los clientes',
  customer: 'Cliente',
  stars: '{} de 5 estrellas',
  questions: 'Preguntas frecuentes',
  contact: 'Contacto',
  call: 'Llamar ahora',
  whatsapp: 'Escribir por WhatsApp',
  write: 'Enviar un correo',
  book: 'Reservar',
  phone: 'Teléfono',
  email: 'Correo electrónico',
  address: 'Dirección',
  areas: 'Dónde trabajamos',
  hours: 'Horario',
  day: 'Día',
  time: 'Horas',
  closed: 'Cerrado',
  allDay: 'Abierto las 24 horas',
  daysTwo: '{} y {}',
  daysSpan: 'de {} a {}',
  comma: ', ',
  colon: ': ',
  year: '1 año de experiencia',
  years: '{} años de experiencia',
  prices: 'Precios',
  menu: 'Carta',
  orderOnline: 'Pedir en línea',
  menuLink: 'Ver la carta',
  giftCards: 'Tarjetas regalo',
  donate: 'Donar',
  emergency: 'Urgencias',
  team: 'Nuestro equipo',
  locations: 'Nuestros locales',
  photo: 'Foto {}',
  photos: 'Fotos',
  vat: 'N.º de IVA',
  taxNumber: 'Número fiscal',
  companyNumber: 'Número de registro',
  license: 'Licencia',
  representative: 'Representante',
  responsible: 'Responsable del sitio',
  formTitle: 'Escríbenos',
  formLead: 'Rellena los campos. El mensaje se abre en tu programa de correo, listo para enviar.',
  formLeadPost: 'Rellena los campos y te respondemos.',
  formName: 'Nombre',
  formMessage: 'Mensaje',
  formSend: 'Enviar mensaje',
  required: 'obligatorio',
  lost: 'Página no encontrada',
  lostText: 'La dirección ha cambiado o nunca existió. La página de inicio está a un paso.',
  lostBack: 'Volver al inicio',
  imprint: 'Aviso legal',
  imprintText: 'Quién responde de este sitio web: nombre, dirección y contacto de {}.',
  privacy: 'Privacidad',
  privacyText: 'Qué datos trata este sitio web y cómo contactar con {} al respecto.',
  privacySite:
    'Este sitio web no usa cookies, no rastrea las visitas y no carga nada de otros sitios.',
  privacyServer:
    'El servidor que lo ofrece recibe, como todo servidor web, la dirección IP de cada ' +
    'visitante y la página solicitada.',
  privacyMail:
    'El formulario de contacto abre un mensaje en tu programa de correo. No se envía nada ' +
    'hasta que tú envías ese mensaje.',
  privacyPost:
    'Lo que escribes en el formulario de contacto llega a {}, el servicio que lo recibe por ' +
    'nosotros.',
  privacyLinks: 'Los enlaces llevan a otros sitios, que tienen su propia política de privacidad.',
  privacyRights:
    'Puedes preguntarnos qué datos tuyos tenemos y pedir que los corrijamos o los borremos. ' +
    'También puedes acudir a la autoridad de protección de datos de tu país.',
  news: 'Novedades',
  months: (
    'enero febrero marzo abril mayo junio ' +
    'julio agosto septiembre octubre noviembre diciembre'
  ).split(' '),
  days: days('lunes', 'martes', 'miércoles', 'jueves', 'viernes', 'sábado', 'domingo'),
};

const FRENCH = {
  skip: 'Aller au contenu',
  sections: 'Sections de cette page',
  services: 'Services',
  about: 'À propos',
  testimonials: 'Ce que disent nos clients',
  customer: 'Avis client',
  stars: 'Note\u202f: {} sur 5',
  questions: 'Questions fréquentes',
  contact: 'Contact',
  call: 'Appeler',
  whatsapp: 'Écrire sur WhatsApp',
  write: 'Envoyer un e-mail',
  book: 'Prendre rendez-vous',
  phone: 'Téléphone',
  email: 'E-mail',
  address: 'Adresse',
  areas: 'Où nous intervenons',
  hours: 'Horaires d’ouverture',
  day: 'Jour',
  time: 'Horaires',
  closed: 'Fermé',
  allDay: '24\u00a0h/24',
  daysTwo: '{} et {}',
  daysSpan: 'du {} au {}',
  comma: ', ',
  colon: '\u202f: ',
  year: '1 an d’expérience',
  years: '{} ans d’expérience',
  prices: 'Tarifs',
  menu: 'La carte',
  orderOnline: 'Commander en ligne',
  menuLink: 'Voir la carte',
  giftCards: 'Bons cadeaux',
  donate: 'Faire un don',
  emergency: 'Urgences',
  team: 'Notre équipe',
  locations: 'Nos adresses',
  photo: 'Photo {}',
  photos: 'Photos',
  vat: 'N° de TVA',
  taxNumber: 'Numéro fiscal',
  companyNumber: 'Numéro d’immatriculation',
  license: 'Licence professionnelle',
  representative: 'Représentant légal',
  responsible: 'Éditeur du site',
  formTitle: 'Écrivez-nous',
  formLead:
    'Remplissez les champs ci-dessous. Le message s’ouvre dans votre messagerie, prêt à être envoyé.',
  formLeadPost: 'Remplissez les champs ci-dessous, nous vous répondrons.',
  formName: 'Nom',
  formMessage: 'Message',
  formSend: 'Envoyer le message',
  required: 'obligatoire',
  lost: 'Page introuvable',
  lostText: 'L’adresse a changé ou n’a jamais existé. La page d’accueil est à un clic.',
  lostBack: 'Retour à l’accueil',
  imprint: 'Mentions légales',
  imprintText: 'Qui publie ce site\u202f: nom, adresse et coordonnées de {}.',
  privacy: 'Confidentialité',
  privacyText: 'Les données que traite ce site et comment joindre {} à leur sujet.',
  privacySite:
    'Ce site ne dépose aucun cookie, ne mesure pas l’audience et ne charge rien depuis ' +
    'd’autres sites.',
  privacyServer:
    'Le serveur qui le diffuse reçoit, comme tout serveur web, l’adresse IP des visiteurs et ' +
    'la page demandée.',
  privacyMail:
    'Le formulaire de contact ouvre un message dans votre messagerie. Rien n’est envoyé avant ' +
    'que vous n’envoyiez vous-même ce message.',
  privacyPost:
    'Ce que vous saisissez dans le formulaire de contact est transmis à {}, le service qui le ' +
    'reçoit pour nous.',
  privacyLinks:
    'Les liens mènent à d’autres sites, qui ont leurs propres règles de confidentialité.',
  privacyRights:
    'Vous pouvez demander quelles données nous avons sur vous, les faire corriger ou ' +
    'supprimer. Vous pouvez aussi vous adresser à l’autorité de protection des données de ' +
    'votre pays.',
  news: 'Actualités',
  months: (
    'janvier février mars avril mai juin juillet août septembre octobre novembre décembre'
  ).split(' '),
  days: days('lundi', 'mardi', 'mercredi', 'jeudi', 'vendredi', 'samedi', 'dimanche'),
};

const GERMAN = {
  skip: 'Zum Inhalt springen',
  sections: 'Abschnitte dieser Seite',
  services: 'Leistungen',
  about: 'Über uns',
  testimonials: 'Das sagen unsere Kunden',
  customer: 'Kundenstimme',
  stars: '{} von 5 Sternen',
  questions: 'Häufige Fragen',
  contact: 'Kontakt',
  call: 'Jetzt anrufen',
  whatsapp: 'Per WhatsApp schreiben',
  write: 'E-Mail senden',
  book: 'Termin anfragen',
  phone: 'Telefon',
  email: 'E-Mail',
  address: 'Adresse',
  areas: 'Unser Einsatzgebiet',
  hours: 'Öffnungszeiten',
  day: 'Tag',
  time: 'Uhrzeit',
  closed: 'Geschlossen',
  allDay: 'Rund um die Uhr',
  daysTwo: '{} und {}',
  daysSpan: '{} bis {}',
  comma: ', ',
  colon: ': ',
  year: '1 Jahr Erfahrung',
  years: '{} Jahre Erfahrung',
  prices: 'Preise',
  menu: 'Speisekarte',
  orderOnline: 'Online bestellen',
  menuLink: 'Zur Speisekarte',
  giftCards: 'Gutscheine',
  donate: 'Spenden',
  emergency: 'Notfallnummer',
  team: 'Unser Team',
  locations: 'Unsere Standorte',
  photo: 'Foto {}',
  photos: 'Fotos',
  vat: 'USt-IdNr.',
  taxNumber: 'Steuernummer',
  companyNumber: 'Registernummer',
  license: 'Zulassung',
  representative: 'Vertreten durch',
  responsible: 'Verantwortlich für diese Website',
  formTitle: 'Schreiben Sie uns',
  formLead:
    'Füllen Sie die Felder aus. Die Nachricht öffnet sich versandfertig in Ihrem E-Mail-Programm.',
  formLeadPost: 'Füllen Sie die Felder aus, wir melden uns bei Ihnen.',
  formName: 'Name',
  formMessage: 'Nachricht',
  formSend: 'Nachricht senden',
  required: 'Pflichtfeld',
  lost: 'Seite nicht gefunden',
  lostText:
    'Die Adresse hat sich geändert oder war nie vergeben. Zur Startseite ist es nur ein Klick.',
  lostBack: 'Zur Startseite',
  imprint: 'Impressum',
  imprintText: 'Wer für diese Website verantwortlich ist: Name, Anschrift und Kontakt von {}.',
  privacy: 'Datenschutz',
  privacyText: 'Welche Daten diese Website verarbeitet und wie Sie {} dazu erreichen.',
  privacySite:
    'Diese Website setzt keine Cookies, wertet keine Besuche aus und lädt nichts von anderen ' +
    'Websites.',
  privacyServer:
    'Der Server, der sie ausliefert, erhält wie jeder Webserver die IP-Adresse der Besucher ' +
    'und die aufgerufene Seite.',
  privacyMail:
    'Das Kontaktformular öffnet eine Nachricht in Ihrem E-Mail-Programm. Gesendet wird erst, ' +
    'wenn Sie diese Nachricht selbst abschicken.',
  privacyPost:
    'Ihre Eingaben im Kontaktformular gehen an {}, den Dienst, der sie für uns entgegennimmt.',
  privacyLinks: 'Links führen zu anderen Websites mit eigenen Datenschutzhinweisen.',
  privacyRights:
    'Sie können Auskunft über Ihre Daten verlangen und sie berichtigen oder löschen lassen. ' +
    'Außerdem können Sie sich an die Datenschutzbehörde Ihres Landes wenden.',
  news: 'Aktuelles',
  months: (
    'Januar Februar März April Mai Juni Juli August September Oktober November Dezember'
  ).split(' '),
  days: days('Montag', 'Dienstag', 'Mittwoch', 'Donnerstag', 'Freitag', 'Samstag', 'Sonntag'),
};

const ITALIAN = {
  skip: 'Vai al contenuto',
  sections: 'Sezioni di questa pagina',
  services: 'Servizi',
  about: 'Chi siamo',
  testimonials: 'Cosa dicono i clienti',
  customer: 'Cliente',
  stars: '{} stelle su 5',
  questions: 'Domande frequenti',
  contact: 'Contatti',
  call: 'Chiama ora',
  whatsapp: 'Scrivi su WhatsApp',
  write: 'Invia un’email',
  book: 'Prenota',
  phone: 'Telefono',
  email: 'Email',
  address: 'Indirizzo',
  areas: 'Dove operiamo',
  hours: 'Orari di apertura',
  day: 'Giorno',
  time: 'Orario',
  closed: 'Chiuso',
  allDay: '24 ore su 24',
  daysTwo: '{} e {}',
  daysSpan: 'da {} a {}',
  comma: ', ',
  colon: ': ',
  year: '1 anno di attività',
  years: '{} anni di attività',
  prices: 'Prezzi',
  menu: 'Menu',
  orderOnline: 'Ordina online',
  menuLink: 'Guarda il menu',
  giftCards: 'Buoni regalo',
  donate: 'Fai una donazione',
  emergency: 'Emergenze',
  team: 'Il nostro team',
  locations: 'Le nostre sedi',
  photo: 'Foto {}',
  photos: 'Foto',
  vat: 'Partita IVA',
  taxNumber: 'Codice fiscale',
  companyNumber: 'Registro imprese',
  license: 'Licenza',
  representative: 'Legale rappresentante',
  responsible: 'Responsabile del sito',
  formTitle: 'Scrivici',
  formLead: 'Compila i campi. Il messaggio si apre nel tuo programma di posta, pronto da inviare.',
  formLeadPost: 'Compila i campi e ti risponderemo.',
  formName: 'Nome',
  formMessage: 'Messaggio',
  formSend: 'Invia il messaggio',
  required: 'obbligatorio',
  lost: 'Pagina non trovata',
  lostText: 'L’indirizzo è cambiato o non è mai esistito. La home è a un passo.',
  lostBack: 'Torna alla home',
  imprint: 'Note legali',
  imprintText: 'Chi è responsabile di questo sito: nome, indirizzo e contatti di {}.',
  privacy: 'Informativa sulla privacy',
  privacyText: 'Quali dati tratta questo sito e come contattare {} al riguardo.',
  privacySite:
    'Questo sito non usa cookie, non traccia le visite e non carica nulla da altri siti.',
  privacyServer:
    'Il server che lo pubblica riceve, come ogni server web, l’indirizzo IP dei visitatori e ' +
    'la pagina richiesta.',
  privacyMail:
    'Il modulo di contatto apre un messaggio nel tuo programma di posta. Nulla viene inviato ' +
    'finché non invii tu quel messaggio.',
  privacyPost:
    'Ciò che scrivi nel modulo di contatto arriva a {}, il servizio che lo riceve per noi.',
  privacyLinks: 'I link portano ad altri siti, che hanno una propria informativa.',
  privacyRights:
    'Puoi chiederci quali tuoi dati abbiamo e farli correggere o cancellare. Puoi anche ' +
    'rivolgerti all’autorità per la protezione dei dati del tuo paese.',
  news: 'Novità',
  months: (
    'gennaio febbraio marzo aprile maggio giugno ' +
    'luglio agosto settembre ottobre novembre dicembre'
  ).split(' '),
  days: days('lunedì', 'martedì', 'mercoledì', 'giovedì', 'venerdì', 'sabato', 'domenica'),
};

const ARABIC = {
  skip: 'انتقل إلى المحتوى',
  sections: 'أقسام هذه الصفحة',
  services: 'خدماتنا',
  about: 'من نحن',
  testimonials: 'ماذا يقول عملاؤنا',
  customer: 'أحد العملاء',
  stars: 'التقييم: {} من 5',
  questions: 'الأسئلة الشائعة',
  contact: 'اتصل بنا',
  call: 'اتصل الآن',
  whatsapp: 'راسلنا عبر واتساب',
  write: 'أرسل بريدًا إلكترونيًا',
  book: 'احجز موعدًا',
  phone: 'الهاتف',
  email: 'البريد الإلكتروني',
  address: 'العنوان',
  areas: 'مناطق الخدمة',
  hours: 'ساعات العمل',
  day: 'اليوم',
  time: 'الوقت',
  closed: 'مغلق',
  allDay: 'على مدار الساعة',
  daysTwo: '{} و{}',
  daysSpan: 'من {} إلى {}',
  comma: '، ',
  colon: ': ',
  year: 'سنوات الخبرة: 1',
  years: 'سنوات الخبرة: {}',
  prices: 'الأسعار',
  menu: 'قائمة الطعام',
  orderOnline: 'اطلب عبر الإنترنت',
  menuLink: 'عرض قائمة الطعام',
  giftCards: 'بطاقات هدايا',
  donate: 'تبرّع',
  emergency: 'الطوارئ',
  team: 'فريقنا',
  locations: 'فروعنا',
  photo: 'صورة {}',
  photos: 'صور',
  vat: 'رقم ضريبة القيمة المضافة',
  taxNumber: 'الرقم الضريبي',
  companyNumber: 'رقم السجل التجاري',
  license: 'رقم الترخيص',
  representative: 'الممثل القانوني',
  responsible: 'المسؤول عن هذا الموقع',
  formTitle: 'اكتب إلينا',
  formLead: 'املأ الحقول أدناه وستُفتح الرسالة جاهزة للإرسال في برنامج البريد لديك.',
  formLeadPost: 'املأ الحقول أدناه وسنعاود التواصل معك.',
  formName: 'الاسم',
  formMessage: 'الرسالة',
  formSend: 'إرسال الرسالة',
  required: 'مطلوب',
  lost: 'الصفحة غير موجودة',
  lostText: 'تغيّر العنوان أو لم يكن موجودًا. الصفحة الرئيسية على بُعد نقرة واحدة.',
  lostBack: 'العودة إلى الصفحة الرئيسية',
  imprint: 'بيانات قانونية',
  imprintText: 'الجهة المسؤولة عن هذا الموقع: الاسم والعنوان وبيانات التواصل مع {}.',
  privacy: 'الخصوصية',
  privacyText: 'البيانات التي يعالجها هذا الموقع وكيفية التواصل مع {} بشأنها.',
  privacySite:
    'لا يستخدم هذا الموقع ملفات تعريف الارتباط ولا يتتبّع الزيارات ولا يحمّل أي شيء من مواقع ' +
    'أخرى.',
  privacyServer: 'يستقبل الخادم الذي يعرض الموقع عنوان IP لكل زائر والصفحة المطلوبة، كأي خادم ويب.',
  privacyMail:
    'يفتح نموذج التواصل رسالة في برنامج البريد لديك، ولا يُرسل شيء قبل أن ترسل هذه الرسالة ' +
    'بنفسك.',
  privacyPost: 'ما تكتبه في نموذج التواصل يصل إلى {}، وهي الخدمة التي تستقبله نيابة عنا.',
  privacyLinks: 'تؤدي الروابط إلى مواقع أخرى لها سياسات خصوصية خاصة بها.',
  privacyRights:
    'يمكنك أن تسألنا عن بياناتك لدينا وأن تطلب تصحيحها أو حذفها، كما يمكنك اللجوء إلى هيئة ' +
    'حماية البيانات في بلدك.',
  news: 'الأخبار',
  months: 'يناير فبراير مارس أبريل مايو يونيو يوليو أغسطس سبتمبر أكتوبر نوفمبر ديسمبر'.split(' '),
  days: days('الاثنين', 'الثلاثاء', 'الأربعاء', 'الخميس', 'الجمعة', 'السبت', 'الأحد'),
};

const HEBREW = {
  skip: 'דילוג לתוכן',
  sections: 'חלקי העמוד',
  services: 'שירותים',
  about: 'אודות',
  testimonials: 'מה הלקוחות מספרים',
  customer: 'מפי הלקוחות',
  stars: 'דירוג: {} מתוך 5',
  questions: 'שאלות נפוצות',
  contact: 'יצירת קשר',
  call: 'להתקשר עכשיו',
  whatsapp: 'הודעה בוואטסאפ',
  write: 'שליחת דוא״ל',
  book: 'קביעת תור',
  phone: 'טלפון',
  email: 'דוא״ל',
  address: 'כתובת',
  areas: 'אזורי השירות',
  hours: 'שעות פתיחה',
  day: 'יום',
  time: 'שעות',
  closed: 'סגור',
  allDay: 'פתוח 24 שעות',
  daysTwo: '{} ו{}',
  daysSpan: '{} עד {}',
  comma: ', ',
  colon: ': ',
  year: 'שנות ניסיון: 1',
  years: 'שנות ניסיון: {}',
  prices: 'מחירים',
  menu: 'תפריט',
  orderOnline: 'הזמנה מקוונת',
  menuLink: 'לתפריט המלא',
  giftCards: 'כרטיסי מתנה',
  donate: 'תרומה',
  emergency: 'חירום',
  team: 'הצוות שלנו',
  locations: 'הסניפים שלנו',
  photo: 'תמונה {}',
  photos: 'תמונות',
  vat: 'מספר עוסק מורשה',
  taxNumber: 'מספר מס',
  companyNumber: 'מספר חברה',
  license: 'מספר רישיון',
  representative: 'מיוצג על ידי',
  responsible: 'האחראי לאתר',
  formTitle: 'כתבו לנו',
  formLead: 'מלאו את השדות, וההודעה תיפתח בתוכנת הדוא״ל שלכם, מוכנה לשליחה.',
  formLeadPost: 'מלאו את השדות ונחזור אליכם.',
  formName: 'שם',
  formMessage: 'הודעה',
  formSend: 'שליחת ההודעה',
  required: 'חובה',
  lost: 'העמוד לא נמצא',
  lostText: 'הכתובת השתנתה או מעולם לא הייתה קיימת. דף הבית נמצא במרחק לחיצה.',
  lostBack: 'חזרה לדף הבית',
  imprint: 'מידע משפטי',
  imprintText: 'מי אחראי לאתר הזה: שם, כתובת ופרטי התקשרות של {}.',
  privacy: 'פרטיות',
  privacyText: 'אילו נתונים האתר הזה מעבד ואיך לפנות אל {} בעניינם.',
  privacySite: 'האתר הזה אינו שומר עוגיות, אינו עוקב אחר ביקורים ואינו טוען דבר מאתרים אחרים.',
  privacyServer:
    'השרת שמציג את האתר מקבל את כתובת ה־IP של כל מבקר ואת העמוד המבוקש, כמו כל שרת אינטרנט.',
  privacyMail:
    'טופס יצירת הקשר פותח הודעה בתוכנת הדוא״ל שלכם. דבר אינו נשלח לפני שתשלחו את ההודעה בעצמכם.',
  privacyPost: 'מה שתכתבו בטופס יצירת הקשר נשלח אל {}, השירות שמקבל אותו עבורנו.',
  privacyLinks: 'הקישורים מובילים לאתרים אחרים, ולהם כללי פרטיות משלהם.',
  privacyRights:
    'אפשר לשאול אותנו אילו נתונים עליכם יש לנו ולבקש לתקן או למחוק אותם. אפשר גם לפנות לרשות ' +
    'להגנת הפרטיות במדינתכם.',
  news: 'חדשות',
  months: 'ינואר פברואר מרץ אפריל מאי יוני יולי אוגוסט ספטמבר אוקטובר נובמבר דצמבר'.split(' '),
  days: days('יום שני', 'יום שלישי', 'יום רביעי', 'יום חמישי', 'יום שישי', 'יום שבת', 'יום ראשון'),
};

const JAPANESE = {
  skip: '本文へ移動',
  sections: 'ページ内の項目',
  services: 'サービス',
  about: '私たちについて',
  testimonials: 'お客様からの声',
  customer: 'お客様',
  stars: '5段階評価で{}',
  questions: 'よくあるご質問',
  contact: 'お問い合わせ',
  call: '電話をかける',
  whatsapp: 'WhatsAppで相談する',
  write: 'メールを送る',
  book: '予約する',
  phone: '電話番号',
  email: 'メールアドレス',
  address: '所在地',
  areas: '対応エリア',
  hours: '営業時間',
  day: '曜日',
  time: '時間',
  closed: '定休日',
  allDay: '24時間営業',
  daysTwo: '{}・{}',
  daysSpan: '{}～{}',
  comma: '、',
  colon: '：',
  year: '営業年数：1年',
  years: '営業年数：{}年',
  prices: '料金',
  menu: 'メニュー',
  orderOnline: 'オンライン注文',
  menuLink: 'メニューを見る',
  giftCards: 'ギフトカード',
  donate: '寄付する',
  emergency: '緊急連絡先',
  team: 'スタッフ紹介',
  locations: '店舗一覧',
  photo: '写真{}',
  photos: '写真',
  vat: '付加価値税番号',
  taxNumber: '納税者番号',
  companyNumber: '法人番号',
  license: '許認可番号',
  representative: '代表者',
  responsible: 'サイト運営者',
  formTitle: 'お問い合わせフォーム',
  formLead: '以下の項目をご記入ください。送信できる状態のメッセージがメールソフトで開きます。',
  formLeadPost: '以下の項目をご記入ください。折り返しご連絡いたします。',
  formName: 'お名前',
  formMessage: 'メッセージ',
  formSend: '送信する',
  required: '必須',
  lost: 'ページが見つかりません',
  lostText: 'アドレスが変わったか、存在しないページです。ホームからお探しください。',
  lostBack: 'ホームに戻る',
  imprint: '運営者情報',
  imprintText: 'このサイトの運営者について、{}の名称、所在地、連絡先を掲載しています。',
  privacy: 'プライバシーについて',
  privacyText: 'このサイトが扱う情報と、{}への連絡方法をご案内します。',
  privacySite: 'このサイトはクッキーを使用せず、アクセスを計測せず、他のサイトから何も読み込みません。',
  privacyServer: 'サイトを配信するサーバーは、他のウェブサーバーと同じく、訪問者のIPアドレスと表示されたページの情報を受け取ります。',
  privacyMail: 'お問い合わせフォームはメールソフトでメッセージを開きます。ご自身で送信するまで、何も送信されません。',
  privacyPost: 'お問い合わせフォームの内容は、受付サービスの{}に送信されます。',
  privacyLinks: 'リンク先は他のサイトであり、それぞれのプライバシー方針があります。',
  privacyRights: 'ご自身の情報の開示、訂正、削除をお求めいただけます。お住まいの国の個人情報保護機関に相談することもできます。',
  news: 'お知らせ',
  months: '1月 2月 3月 4月 5月 6月 7月 8月 9月 10月 11月 12月'.split(' '),
  days: days('月曜日', '火曜日', '水曜日', '木曜日', '金曜日', '土曜日', '日曜日'),
};

/**
 * Each language: its English name, how copy addresses the reader, for the prompt, and its wording.
 */
const LANGUAGES = {
  pt: { name: 'Portuguese', voice: 'Address the reader as `você`.', words: PORTUGUESE },
  en: { name: 'English', voice: '', words: ENGLISH },
  es: { name: 'Spanish', voice: 'Address the reader as `tú`.', words: SPANISH },
  fr: {
    name: 'French',
    voice:
      'Address the reader as `vous`. Put a narrow no-break space before ; : ! ? and inside « ».',
    words: FRENCH,
  },
  de: { name: 'German', voice: 'Address the reader as `Sie`.', words: GERMAN },
  it: { name: 'Italian', voice: 'Address the reader as `tu`.', words: ITALIAN },
  ar: {
    name: 'Arabic',
    voice:
      'Write Modern Standard Arabic with wording that suits men and women, and Western digits.',
    words: ARABIC,
  },
  he: {
    name: 'Hebrew',
    voice: 'Address the reader in wording that suits men and women.',
    words: HEBREW,
  },
  ja: {
    name: 'Japanese',
    voice:
      'Write in the polite style (です・ます) with Japanese punctuation and no spaces between words.',
    words: JAPANESE,
  },
};

/** The language of a locale; English if the template does not support it. */
export function language(locale) {
  const code = locale.split('-')[0];
  const known = Object.hasOwn(LANGUAGES, code);
  return known ? { code, ...LANGUAGES[code], tag: locale } : { ...language('en'), tag: 'en' };
}

export const LANGUAGE_CODES = Object.keys(LANGUAGES);

/** Whether the language is written from right to left. */
export const isRightToLeft = ({ code }) => code === 'ar' || code === 'he';

/** Puts the values into the `{}` of a text. */
export function fill(text, ...values) {
  return text.replace(/\{\}/g, () => values.shift());
}

/** A number with the decimal separator of the language. */
export function decimal(number, { code }) {
  const hasPoint = ['ar', 'en', 'he', 'ja'].includes(code);
  return hasPoint ? String(number) : String(number).replace('.', ',');
}

/** A day such as `2026-03-09` as the language writes it. */
export function date(day, { code, tag, words }) {
  const [year, at, number] = day.split('-').map(Number);
  const month = words.months[at - 1];
  if (code === 'en' && (tag === 'en' || tag === 'en-US')) return `${month} ${number}, ${year}`;
  switch (code) {
    case 'fr':
      return `${number === 1 ? '1er' : number} ${month} ${year}`;
    case 'de':
      return `${number}. ${month} ${year}`;
    case 'he':
      return `${number} ב${month} ${year}`;
    case 'ja':
      return `${year}年${month}${number}日`;
    case 'pt':
    case 'es':
      return `${number} de ${month} de ${year}`;
    default:
      return `${number} ${month} ${year}`;
  }
}

/** The city and the state, as far as they are known, as the language joins them. */
export function place(city, state, { code, words }) {
  const parts = [city, state].filter(Boolean);
  const isAscii = (text) => /^[\0-\x7f]*$/.test(text);
  if (parts.some(isAscii)) return parts.join(', ');
  // From large to small without separators: 東京都渋谷区.
  return code === 'ja' ? parts.reverse().join('') : parts.join(words.comma);
}
