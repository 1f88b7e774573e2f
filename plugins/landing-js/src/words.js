/** The template's own wording in each language that it supports. */

const DAYS = ['monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday'];
const days = (...names) => Object.fromEntries(DAYS.map((day, at) => [day, names[at]]));

const PORTUGUESE = {
  skip: 'Pular para o conteúdo',
  sections: 'Partes desta página',
  services: 'Serviços',
  about: 'Sobre',
  testimonials: 'O que dizem os clientes',
  customer: 'Cliente',
  stars: (rating) => `${rating} de 5 estrelas`,
  questions: 'Perguntas frequentes',
  contact: 'Contato',
  call: 'Ligar agora',
  whatsapp: 'Chamar no WhatsApp',
  write: 'Enviar e-mail',
  phone: 'Telefone',
  email: 'E-mail',
  address: 'Endereço',
  areas: 'Onde atendemos',
  hours: 'Horário de funcionamento',
  day: 'Dia',
  time: 'Horário',
  closed: 'Fechado',
  allDay: '24 horas',
  years: (years) => (years === 1 ? '1 ano de história' : `${years} anos de história`),
  days: days('Segunda', 'Terça', 'Quarta', 'Quinta', 'Sexta', 'Sábado', 'Domingo'),
};

const ENGLISH = {
  skip: 'Skip to content',
  sections: 'Parts of this page',
  services: 'Services',
  about: 'About',
  testimonials: 'What customers say',
  customer: 'Customer',
  stars: (rating) => `${rating} out of 5 stars`,
  questions: 'Frequently asked questions',
  contact: 'Contact',
  call: 'Call now',
  whatsapp: 'Message on WhatsApp',
  write: 'Send an email',
  phone: 'Phone',
  email: 'Email',
  address: 'Address',
  areas: 'Where we work',
  hours: 'Opening hours',
  day: 'Day',
  time: 'Hours',
  closed: 'Closed',
  allDay: 'Open 24 hours',
  years: (years) => (years === 1 ? '1 year in business' : `${years} years in business`),
  days: days('Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday'),
};

const SPANISH = {
  skip: 'Saltar al contenido',
  sections: 'Partes de esta página',
  services: 'Servicios',
  about: 'Nosotros',
  testimonials: 'Lo que dicen los clientes',
  customer: 'Cliente',
  stars: (rating) => `${rating} de 5 estrellas`,
  questions: 'Preguntas frecuentes',
  contact: 'Contacto',
  call: 'Llamar ahora',
  whatsapp: 'Escribir por WhatsApp',
  write: 'Enviar un correo',
  phone: 'Teléfono',
  email: 'Correo electrónico',
  address: 'Dirección',
  areas: 'Dónde trabajamos',
  hours: 'Horario',
  day: 'Día',
  time: 'Horas',
  closed: 'Cerrado',
  allDay: '24 horas',
  years: (years) => (years === 1 ? '1 año de experiencia' : `${years} años de experiencia`),
  days: days('Lunes', 'Martes', 'Miércoles', 'Jueves', 'Viernes', 'Sábado', 'Domingo'),
};

const LANGUAGES = {
  pt: { name: 'Portuguese', words: PORTUGUESE, twelveHours: false },
  en: { name: 'English', words: ENGLISH, twelveHours: true },
  es: { name: 'Spanish', words: SPANISH, twelveHours: false },
};

/** The language of a locale; English if the template does not support it. */
export function language(locale) {
  const known = LANGUAGES[locale.split('-')[0]];
  return known ? { ...known, tag: locale } : { ...LANGUAGES.en, tag: 'en' };
}
