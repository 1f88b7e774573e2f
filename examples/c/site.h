// The files of the site.

#pragma once

#include "json.h"

// What the order says, trimmed; empty texts are absent.
struct business {
    struct view locale, name, email, phone, whatsapp, address, city, description;
    struct json services;
};

// What the model wrote.
struct copy {
    struct view headline, lead, description;
};

// The texts of the template itself in one language.
struct words {
    const char *locale, *language, *services, *contact, *call, *mail;
};

// The address of the site with a `/` at its end, for canonical links; empty if `url` is none.
struct view site_address(struct view url);

void put_page(struct buffer *out, const struct business *business, const struct copy *copy,
              const struct words *words, struct view address);
void put_sitemap(struct buffer *out, struct view address);
void put_robots(struct buffer *out, struct view address);
