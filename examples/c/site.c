#include "site.h"

#include <string.h>

enum { LONGEST_TITLE = 60 };

static bool is_of_host(char byte) {
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9') || byte == '-' || byte == '.' || byte == ':';
}

static bool is_of_path(char byte) {
    return is_of_host(byte) || byte == '/' || byte == '_' || byte == '~';
}

struct view site_address(struct view url) {
    static const char *schemes[] = {"https://", "http://"};
    for (size_t at = 0; at < 2; at++) {
        size_t length = strlen(schemes[at]);
        if (url.length > length && memcmp(url.begin, schemes[at], length) == 0) {
            url.begin += length;
            url.length -= length;
            break;
        }
    }
    const char *slash = url.length > 0 ? memchr(url.begin, '/', url.length) : NULL;
    size_t host = slash ? (size_t)(slash - url.begin) : url.length;
    if (host == 0 || !memchr(url.begin, '.', host))
        return (struct view){0};
    for (size_t at = 0; at < url.length; at++)
        if (!(at < host ? is_of_host(url.begin[at]) : is_of_path(url.begin[at])))
            return (struct view){0};
    struct buffer address = {0};
    put(&address, "https://");
    put_view(&address, url);
    if (address.begin[address.length - 1] != '/')
        put(&address, "/");
    return view_of(&address);
}

// The headline and the name, if both fit; a long name is cut.
static struct view title(const struct business *business, const struct copy *copy) {
    struct buffer title = {0};
    put_view(&title, shortened(business->name, LONGEST_TITLE));
    size_t room = characters(view_of(&title)) + 3;
    if (room + characters(copy->headline) <= LONGEST_TITLE) {
        put(&title, " · ");
        put_view(&title, copy->headline);
    }
    return view_of(&title);
}

static void put_element(struct buffer *out, const char *name, struct view text) {
    put(out, "<");
    put(out, name);
    put(out, ">");
    put_escaped(out, text);
    put(out, "</");
    put(out, name);
    put(out, ">\n");
}

static void put_meta(struct buffer *out, const char *name, struct view content) {
    put(out, "<meta name=\"");
    put(out, name);
    put(out, "\" content=\"");
    put_escaped(out, content);
    put(out, "\">\n");
}

// The digits of a phone number, behind a `+` if it begins with one and `plus` is set.
static void put_digits(struct buffer *out, struct view phone, bool plus) {
    if (plus && phone.length > 0 && phone.begin[0] == '+')
        put(out, "+");
    for (size_t at = 0; at < phone.length; at++)
        if (phone.begin[at] >= '0' && phone.begin[at] <= '9')
            put_bytes(out, phone.begin + at, 1);
}

// A line with a link. `href` is of the characters of URLs only.
static void put_link(struct buffer *out, struct view label, const struct buffer *href,
                     struct view text) {
    put(out, "<p>");
    put_escaped(out, label);
    put(out, ": <a href=\"");
    put_view(out, view_of(href));
    put(out, "\"><bdi dir=\"ltr\">");
    put_escaped(out, text);
    put(out, "</bdi></a></p>\n");
}

static void put_contact(struct buffer *out, const struct business *business,
                        const struct words *words) {
    put(out, "<section id=\"contact\">\n");
    put_element(out, "h2", (struct view){words->contact, strlen(words->contact)});
    struct view label = {words->call, strlen(words->call)};
    if (business->phone.length > 0) {
        struct buffer href = {0};
        put(&href, "tel:");
        put_digits(&href, business->phone, true);
        put_link(out, label, &href, business->phone);
    }
    // An address at wa.me needs the number with its country.
    if (business->whatsapp.length > 0 && business->whatsapp.begin[0] == '+') {
        struct buffer href = {0};
        put(&href, "https://wa.me/");
        put_digits(&href, business->whatsapp, false);
        put_link(out, VIEW("WhatsApp"), &href, business->whatsapp);
    } else if (business->whatsapp.length > 0) {
        put(out, "<p>WhatsApp: <bdi dir=\"ltr\">");
        put_escaped(out, business->whatsapp);
        put(out, "</bdi></p>\n");
    }
    const char *at = business->email.length > 0
                         ? memchr(business->email.begin, '@', business->email.length)
                         : NULL;
    if (at) {
        size_t length = (size_t)(at - business->email.begin);
        struct buffer href = {0};
        put(&href, "mailto:");
        put_encoded(&href, (struct view){business->email.begin, length});
        put(&href, "@");
        put_encoded(&href, (struct view){at + 1, business->email.length - length - 1});
        label = (struct view){words->mail, strlen(words->mail)};
        put_link(out, label, &href, business->email);
    }
    if (business->address.length > 0)
        put_element(out, "p", business->address);
    if (business->city.length > 0)
        put_element(out, "p", business->city);
    put(out, "</section>\n");
}

static void put_services(struct buffer *out, const struct business *business,
                         const struct words *words) {
    struct json entry = {0};
    bool any = false;
    while (json_next(business->services, &entry)) {
        struct view service = trimmed(json_text(entry));
        if (service.length == 0)
            continue;
        if (!any) {
            put(out, "<section id=\"services\">\n");
            put_element(out, "h2", (struct view){words->services, strlen(words->services)});
            put(out, "<ul>\n");
        }
        any = true;
        put_element(out, "li", service);
    }
    if (any)
        put(out, "</ul>\n</section>\n");
}

void put_page(struct buffer *out, const struct business *business, const struct copy *copy,
              const struct words *words, struct view address) {
    put(out, "<!doctype html>\n<html lang=\"");
    put_escaped(out, business->locale);
    put(out, "\">\n<head>\n<meta charset=\"utf-8\">\n"
             "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
             "<meta name=\"color-scheme\" content=\"light dark\">\n");
    put_element(out, "title", title(business, copy));
    put_meta(out, "description", copy->description);
    if (address.length > 0) {
        put(out, "<link rel=\"canonical\" href=\"");
        put_escaped(out, address);
        put(out, "\">\n");
    }
    put(out, "<link rel=\"icon\" href=\"favicon.svg\" type=\"image/svg+xml\">\n"
             "<link rel=\"stylesheet\" href=\"style.css\">\n</head>\n<body>\n<header>\n");
    put_element(out, "p", business->name);
    put(out, "</header>\n<main>\n");
    put_element(out, "h1", copy->headline);
    put_element(out, "p", copy->lead);
    put_services(out, business, words);
    put_contact(out, business, words);
    put(out, "</main>\n</body>\n</html>\n");
}

void put_sitemap(struct buffer *out, struct view address) {
    put(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
             "<urlset xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\">\n  <url><loc>");
    put_escaped(out, address);
    put(out, "</loc></url>\n</urlset>\n");
}

void put_robots(struct buffer *out, struct view address) {
    put(out, "User-agent: *\nAllow: /\n");
    if (address.length > 0) {
        put(out, "\nSitemap: ");
        put_view(out, address);
        put(out, "sitemap.xml\n");
    }
}
