/** The types of `order.schema.json`. A missing text, list or object is absent. */

/** The normalized order document. */
export interface Order {
  /**
   * The CRM's id of the order: 1 to 64 characters of `A-Z a-z 0-9 - _ .`, not beginning or ending
   * with `.`, and not a device name of Windows.
   */
  id: string;
  /** The language of the site. */
  locale: Locale;
  /** Name of the business, as typed. Never blank. */
  business_name: string;
  /**
   * E-mail address for customers. At least one of `business_email`, `business_phone` and
   * `whatsapp_phone` is there.
   */
  business_email?: string;
  /** Phone number for customers. */
  business_phone?: Phone;
  /** Whether the phone number is also on WhatsApp. */
  has_whatsapp?: boolean;
  /** Number on WhatsApp, if it is not `business_phone`. */
  whatsapp_phone?: Phone;
  /** Number for emergencies. */
  emergency_phone?: Phone;
  /** Street address; may contain line breaks. */
  business_address?: string;
  /** The trade of the business; `general` if unknown. */
  niche?: Niche;
  /** The trade in the customer's words. May be absent even if `niche` is `other`. */
  custom_niche?: string;
  /** The city in which the business is located. */
  primary_city?: string;
  /** The part of the city. */
  neighborhood?: string;
  /** The state or region. */
  state?: string;
  /** Postal code, as typed. */
  postal_code?: string;
  /** The country, as its two-letter code (ISO 3166-1): `BR`. */
  country?: string;
  /** Other places that the business serves. */
  service_areas?: string[];
  /** The services that the business offers, in the order of the customer. May be empty. */
  services?: string[];
  /** The most important service; not necessarily one of `services`. */
  primary_service?: string;
  /** What is sold, with prices: services, plans, packages, fees. */
  prices?: Price[];
  /** The menu. */
  menu?: MenuSection[];
  /** The articles of a blog, or news, in the order in which they were sent. */
  posts?: Post[];
  /** The objective of the site, for example `generate_leads`. */
  site_objective?: string;
  /** Description of the business in the customer's words. */
  site_description?: string;
  /**
   * Address of the finished site, `https://…` or `http://…`: for canonical links and the sitemap.
   */
  site_url?: string;
  /**
   * Page names as the customer typed them (`Home`, `Cardápio`, `faq`). If empty, the template
   * decides.
   */
  selected_pages?: string[];
  /** The tone of the copy. */
  tone?: Tone;
  /** The primary call to action. */
  primary_cta?: Cta;
  /** The label of the primary call to action. */
  cta_text?: string;
  /** Where visitors book, `https://…` or `http://…`. */
  booking_url?: string;
  /** Where visitors order, `https://…` or `http://…`. */
  order_url?: string;
  /** Where visitors donate, `https://…` or `http://…`. */
  donation_url?: string;
  /** The menu on another site, `https://…` or `http://…`. */
  menu_url?: string;
  /** Where visitors buy vouchers, `https://…` or `http://…`. */
  gift_card_url?: string;
  /** Where a form of the site posts to, `https://…` or `http://…`. */
  form_endpoint?: string;
  /** Primary brand colour. */
  primary_color?: Color;
  /** Secondary brand colour. */
  secondary_color?: Color;
  /** Colour for highlights. */
  accent_color?: Color;
  /** URL of the logo, `https://…` or `http://…`. */
  logo_url?: string;
  /** Photos of the business and of its work. */
  photos?: Photo[];
  /**
   * Websites that the customer likes, as typed. They are not validated: do not use them as links.
   */
  reference_sites?: string[];
  /** Wishes about the design, in the customer's words. */
  design_notes?: string;
  /** Opening hours; unknown if empty. */
  business_hours?: Hours;
  /** What is said about the opening hours that is not a range of times, to be shown beside them. */
  hours_notes?: HoursNote[];
  /** The places of a business that has several. */
  locations?: Place[];
  /** URL of the Facebook page, `https://…` or `http://…`. */
  social_facebook?: string;
  /** URL of the Instagram page, `https://…` or `http://…`. */
  social_instagram?: string;
  /** URL of the LinkedIn page, `https://…` or `http://…`. */
  social_linkedin?: string;
  /** URL of the YouTube channel, `https://…` or `http://…`. */
  social_youtube?: string;
  /** URL of the TikTok page, `https://…` or `http://…`. */
  social_tiktok?: string;
  /** URL of the page on X, `https://…` or `http://…`. */
  social_x?: string;
  /** URL of the page on Threads, `https://…` or `http://…`. */
  social_threads?: string;
  /** URL of the Pinterest page, `https://…` or `http://…`. */
  social_pinterest?: string;
  /** URL of the Telegram channel, `https://…` or `http://…`. */
  social_telegram?: string;
  /** URL of the page on Tripadvisor, `https://…` or `http://…`. */
  social_tripadvisor?: string;
  /** URL of the page on Yelp, `https://…` or `http://…`. */
  social_yelp?: string;
  /** Testimonials of customers. Entries without a text are dropped when the order is parsed. */
  testimonials?: Testimonial[];
  /** URL of the reviews page, `https://…` or `http://…`. */
  google_reviews_link?: string;
  /** The owner's story, in the customer's words. */
  about_owner?: string;
  /** The people of the business. */
  team?: Person[];
  /** Age of the business in full years, 1 to 1,500; absent if unknown or 0. */
  years_in_business?: number;
  /** Identifiers that the law wants to be published. */
  legal?: Legal;
  /**
   * Business data of the CRM that this version does not know, unchanged. Payment data and secrets
   * are removed.
   */
  extra?: Record<string, unknown>;
}

/** A BCP 47 language tag in canonical case: `pt-BR`, `en`, `zh-Hant-TW`. */
export type Locale = string;

/**
 * A phone number for display: 6 to 15 digits, separators and an optional leading `+`, at most 60
 * bytes. The host writes numbers whose country is known in the international form, so that links
 * reach them from everywhere.
 */
export type Phone = string;

/** The trades that the CRM knows. */
export type Niche =
  | 'restaurant'
  | 'lawyer'
  | 'dentist'
  | 'real_estate'
  | 'general'
  | 'plumber'
  | 'electrician'
  | 'landscaping'
  | 'cleaning'
  | 'other';

/** What something costs, in the words of the customer: a service, a plan, a package, a fee. */
export interface Price {
  /** What is sold. Never blank. */
  name: string;
  /** The price as typed, with its currency: `from $75`, `R$ 189/mês`, `on request`. */
  price?: string;
  /** How long it takes, as typed: `60 min`. */
  duration?: string;
  /** What it is. */
  description?: string;
  /** What it includes. */
  includes?: string[];
  /** The list that it comes from: `services`, `plans`, `packages`, `fees` or `prices`. */
  group?: string;
}

/** A section of a menu. */
export interface MenuSection {
  /** Name of the section; absent if the menu has no sections. */
  section?: string;
  /** The dishes. Never empty. */
  items: MenuItem[];
}

/** A dish of a menu. */
export interface MenuItem {
  /** Name of the dish. Never blank. */
  name: string;
  /** What it is made of. */
  description?: string;
  /** The price as typed, with its currency. */
  price?: string;
  /** Allergens, as typed. */
  allergens?: string[];
}

/** An article of a blog, or a piece of news, in the customer's words. */
export interface Post {
  /** The title. Never blank. */
  title: string;
  /**
   * The part of its address, unlike that of any other post of the order: at most 80 lower-case
   * letters, digits and single `-`. Made of the title if none was sent.
   */
  slug: string;
  /** The day of its publication: `2026-03-09`. Absent if unknown; never made up. */
  date?: string;
  /** What it is about, in a sentence or two. */
  summary?: string;
  /** The article; paragraphs are lines. Never blank. */
  text: string;
  /** URL of its picture, `https://…` or `http://…`. */
  image_url?: string;
  /** What the picture shows, in the customer's words. */
  image_alt?: string;
}

/** The tone of the copy. */
export type Tone = 'professional' | 'friendly' | 'premium';

/** A call to action: what a visitor should do. */
export type Cta = 'call' | 'whatsapp' | 'form' | 'book_online';

/**
 * An opaque sRGB colour. Serialized as `#rrggbb`, parsed from any CSS colour (`#abc`, `blue`,
 * `rgb(0, 0, 0)`, `hsl(…)`, `oklch(…)`). The alpha channel is ignored: brand colours are opaque.
 */
export type Color = string;

/** A photo of the business or of its work. */
export interface Photo {
  /** URL of the photo, `https://…` or `http://…`. */
  url: string;
  /** What it shows, in the customer's words. */
  alt?: string;
}

/**
 * The opening hours of a week, from Monday, each day at most once. The hours of a day that is not
 * listed are unknown; it is not a closed day.
 */
export type Hours = DayHours[];

/** The opening hours of one day. The business is closed on that day if there are no ranges. */
export interface DayHours {
  /** The day of the week. */
  day: Day;
  /** The ranges, sorted and without overlaps. */
  ranges: Range[];
}

/** A day of the week. */
export type Day =
  | 'monday'
  | 'tuesday'
  | 'wednesday'
  | 'thursday'
  | 'friday'
  | 'saturday'
  | 'sunday';

/**
 * A range of opening hours, in minutes from midnight. `close` exceeds 1440 (24:00) if the business
 * closes after midnight. Serialized as `11:30-15:00`; `00:00-24:00` is the whole day.
 */
export type Range = string;

/**
 * What is said about opening hours that is not a range of times, as typed: `by appointment`, `till
 * sold out`, the hours of public holidays. To be shown beside the hours.
 */
export interface HoursNote {
  /** The days that it is about. Empty if it is about none or all of them. */
  days?: Day[];
  /** The days as typed: `samedi`, `feriados`. */
  label?: string;
  /** The text. Never blank. */
  text: string;
}

/** A place where the business can be visited. */
export interface Place {
  /** Name of the place. */
  name?: string;
  /** Street address; may contain line breaks. */
  address?: string;
  /** The city. */
  city?: string;
  /** Phone number of the place. */
  phone?: Phone;
  /** E-mail address of the place. */
  email?: string;
  /** Opening hours of the place; those of the business if empty. */
  hours?: Hours;
  /** What is said about the hours of the place that is not a range of times. */
  hours_notes?: HoursNote[];
}

/** The testimonial of a customer. */
export interface Testimonial {
  /** Name of the customer. */
  name?: string;
  /** The testimonial. Never blank. */
  text: string;
  /** Stars, 0 to 5. */
  rating?: number;
  /** Role of the customer: `Cliente`, `Homeowner`. */
  role?: string;
}

/** A person of the team. */
export interface Person {
  /** Name of the person. Never blank. */
  name: string;
  /** What the person does: `Owner, colourist`. */
  role?: string;
  /** About the person. */
  bio?: string;
  /** URL of a photo, `https://…` or `http://…`. */
  photo_url?: string;
}

/** Identifiers that the law wants to be published, as typed. */
export interface Legal {
  /** Name of the company or person that is responsible, if it is not the business's name. */
  legal_name?: string;
  /** Who represents the company. */
  representative?: string;
  vat_id?: string;
  /** A tax number that is not a VAT number: `CNPJ`, `NIF`, `Steuernummer`. */
  tax_id?: string;
  siret?: string;
  siren?: string;
  ein?: string;
  /** Number in a company or trade register, with the register: `HRB 12345, Leipzig`. */
  company_number?: string;
  /** Licence of the trade: `CPI 3701 2018 000 031 542`. */
  license_number?: string;
}
