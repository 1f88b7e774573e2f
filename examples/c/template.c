// A template in C: one AI call, one page.
//
//     order ──> one AI call ──> copy ──> the page and the files beside it
//
// - `template.c`: the manifest, the call, and what happens when something is missing
// - `site.c`: the files. `json.c`, `buffer.c`: reading JSON, and text that is escaped
//
// `template_sync.h` is made from the contract by wit-bindgen; see README.md.

#include "template_sync.h"

#include <string.h>

#include "site.h"

typedef exports_sitewright_template_generator_sync_manifest_t manifest_t;
typedef exports_sitewright_template_generator_sync_failure_t failure_t;
typedef sitewright_template_ai_types_message_t message_t;
typedef sitewright_template_ai_types_part_t part_t;

static const char ORDER_SCHEMA[] = {
#embed "order.schema.json"
};
static const char REPLY_SCHEMA[] = {
#embed "reply.schema.json"
};
static const char STYLE[] = {
#embed "style.css"
};
static const char ICON[] = {
#embed "favicon.svg"
};

#define PURPOSE "copywriting"

// The languages of the template. The first one is for an order in another language.
static const struct words LANGUAGES[] = {
    {"en", "English", "Services", "Contact", "Call us", "Write to us"},
    {"pt-BR", "Brazilian Portuguese", "Serviços", "Contato", "Ligue", "Escreva"},
};
enum { LANGUAGE_COUNT = sizeof LANGUAGES / sizeof *LANGUAGES };

// ---- The manifest ----

// What the template returns must be its own: the bindings free it after the host has read it. So
// texts are copies (`dup`), and lists are allocated.
void exports_sitewright_template_generator_sync_describe(manifest_t *ret) {
    *ret = (manifest_t){0};
    template_sync_string_dup(&ret->name, "example-c");
    template_sync_string_dup(&ret->version, "0.1.0");
    template_sync_string_dup(&ret->summary, "One page for a local business. Written in C.");
    template_sync_string_dup_n(&ret->order_schema, ORDER_SCHEMA, sizeof ORDER_SCHEMA);

    ret->ai_purposes.len = 1;
    ret->ai_purposes.ptr = allocate(sizeof *ret->ai_purposes.ptr);
    template_sync_string_dup(&ret->ai_purposes.ptr->name, PURPOSE);
    template_sync_string_dup(&ret->ai_purposes.ptr->description, "the texts of the page: one call");

    ret->locales.len = LANGUAGE_COUNT;
    ret->locales.ptr = allocate(LANGUAGE_COUNT * sizeof *ret->locales.ptr);
    for (size_t at = 0; at < LANGUAGE_COUNT; at++)
        template_sync_string_dup(&ret->locales.ptr[at], LANGUAGES[at].locale);
    ret->fallback_locale.is_some = true;
    template_sync_string_dup(&ret->fallback_locale.val, LANGUAGES[0].locale);
}

// ---- Errors ----

// Why no site was made, with the line that says so. `call` is the id of the AI call to blame: a
// retry of the order repeats it. Always returns false, which is what `generate` returns then.
#define fail(err, code, message, call) fail_at(__FILE__, __LINE__, err, code, message, call)
static bool fail_at(const char *file, unsigned line, failure_t *err, const char *code,
                    struct view message, struct view call) {
    *err = (failure_t){0};
    template_sync_string_dup(&err->code, code);
    template_sync_string_dup_n(&err->message, message.begin, message.length);
    err->location.is_some = true;
    template_sync_string_dup(&err->location.val.file, file);
    err->location.val.line = line;
    if (call.length > 0) {
        err->ai_calls.len = 1;
        err->ai_calls.ptr = allocate(sizeof *err->ai_calls.ptr);
        template_sync_string_dup_n(err->ai_calls.ptr, call.begin, call.length);
    }
    return false;
}

static struct view view_of_string(const template_sync_string_t *text) {
    return (struct view){(const char *)text->ptr, text->len};
}

// Text that the host reads during a call, and does not keep.
static template_sync_string_t lent(struct view text) {
    return (template_sync_string_t){(uint8_t *)text.begin, text.length};
}

// Adds a line to the order's report: the site is worse for it.
static void warn(const char *code, const char *message) {
    sitewright_template_diagnostics_diagnostic_t diagnostic = {0};
    diagnostic.severity = SITEWRIGHT_TEMPLATE_DIAGNOSTICS_SEVERITY_WARNING;
    template_sync_string_set(&diagnostic.code, code);
    template_sync_string_set(&diagnostic.message, message);
    sitewright_template_diagnostics_report(&diagnostic);
}

static void progress(const char *stage, uint32_t done, uint32_t total) {
    template_sync_string_t name;
    template_sync_string_set(&name, stage);
    sitewright_template_diagnostics_progress(&name, done, total);
}

// ---- The order ----

static struct view field(struct json order, const char *name) {
    return trimmed(json_text(json_member(order, name)));
}

static struct business business_of(struct json order) {
    return (struct business){
        .locale = field(order, "locale"),
        .name = field(order, "business_name"),
        .email = field(order, "business_email"),
        .phone = field(order, "business_phone"),
        .whatsapp = field(order, "whatsapp_phone"),
        .address = field(order, "business_address"),
        .city = field(order, "primary_city"),
        .description = field(order, "site_description"),
        .services = json_member(order, "services"),
    };
}

// The words for a language or one of its varieties: `pt-PT` gets those of `pt-BR`.
static const struct words *words_for(struct view locale) {
    for (size_t at = 0; at < LANGUAGE_COUNT; at++) {
        size_t length = strcspn(LANGUAGES[at].locale, "-");
        bool fits = locale.length == length ||
                    (locale.length > length && locale.begin[length] == '-');
        if (fits && memcmp(locale.begin, LANGUAGES[at].locale, length) == 0)
            return &LANGUAGES[at];
    }
    return &LANGUAGES[0];
}

// ---- The copy ----

// A text of the template.
static part_t text_part(struct view text) {
    return (part_t){.tag = SITEWRIGHT_TEMPLATE_AI_TYPES_PART_TEXT, .val.text = lent(text)};
}

// Untrusted text of the order: the host delimits it, so that a model does not follow it.
static part_t data_part(const char *name, struct view text) {
    part_t part = {.tag = SITEWRIGHT_TEMPLATE_AI_TYPES_PART_DATA};
    template_sync_string_set(&part.val.data.name, name);
    part.val.data.text = lent(text);
    return part;
}

// Asks for the copy. Returns false and sets `err` if there is none that can be used.
static bool write_copy(const struct business *business, const struct words *words,
                       struct copy *copy, failure_t *err) {
    part_t rules = text_part(VIEW("You write copy for local businesses. Use only facts of the "
                                  "data; never invent prices, years, awards or names. Plain text: "
                                  "no HTML, no Markdown, no placeholders."));
    struct buffer task = {0};
    put(&task, "Write the beginning of a one-page site, only in ");
    put(&task, words->language);
    put(&task, ".");

    part_t user[5];
    size_t count = 0;
    user[count++] = text_part(view_of(&task));
    user[count++] = data_part("name", business->name);
    if (business->description.length > 0)
        user[count++] = data_part("about the business", business->description);
    struct json first = {0};
    if (json_next(business->services, &first))
        user[count++] = data_part("services", business->services.text);
    if (business->city.length > 0)
        user[count++] = data_part("city", business->city);

    message_t messages[2] = {
        {.role = SITEWRIGHT_TEMPLATE_AI_TYPES_ROLE_SYSTEM, .content = {&rules, 1}},
        {.role = SITEWRIGHT_TEMPLATE_AI_TYPES_ROLE_USER, .content = {user, count}},
    };
    sitewright_template_ai_sync_request_t request = {0};
    template_sync_string_set(&request.purpose, PURPOSE);
    request.messages.ptr = messages;
    request.messages.len = 2;
    request.format.tag = SITEWRIGHT_TEMPLATE_AI_TYPES_FORMAT_JSON_SCHEMA;
    request.format.val.json_schema = lent((struct view){REPLY_SCHEMA, sizeof REPLY_SCHEMA});

    sitewright_template_ai_sync_completion_t completion;
    sitewright_template_ai_sync_error_t error;
    if (!sitewright_template_ai_sync_complete(&request, &completion, &error))
        return fail(err, "copy", view_of_string(&error.message), view_of_string(&error.call_id));

    // The host has held the reply against the schema, which cannot say that a text is not blank.
    struct json reply = json_document(view_of_string(&completion.content));
    copy->headline = field(reply, "headline");
    copy->lead = field(reply, "lead");
    copy->description = field(reply, "description");
    struct view call = view_of_string(&completion.call_id);
    if (copy->headline.length == 0 || copy->lead.length == 0 || copy->description.length == 0)
        return fail(err, "empty-copy", VIEW("the model left out a text of the page"), call);
    return true;
}

// ---- The site ----

static bool write_file(const char *path, struct view content, failure_t *err) {
    template_sync_string_t name;
    template_sync_string_set(&name, path);
    template_sync_list_u8_t bytes = {(uint8_t *)content.begin, content.length};
    sitewright_template_site_write_error_t error;
    if (sitewright_template_site_write(&name, &bytes, &error))
        return true;
    return fail(err, "site", view_of_string(&error.message), (struct view){0});
}

bool exports_sitewright_template_generator_sync_generate(template_sync_string_t *order,
                                                         failure_t *err) {
    struct json document = json_document(view_of_string(order));
    struct business business = business_of(document);
    const struct words *words = words_for(business.locale);
    struct json first = {0};
    if (!json_next(business.services, &first))
        warn("no-services", "the order has no services, so the page lists none");

    progress("copy", 0, 2);
    struct copy copy;
    if (!write_copy(&business, words, &copy, err))
        return false;

    progress("page", 1, 2);
    struct view address = site_address(field(document, "site_url"));
    struct buffer page = {0}, robots = {0}, sitemap = {0};
    put_page(&page, &business, &copy, words, address);
    put_robots(&robots, address);
    if (!write_file("index.html", view_of(&page), err) ||
        !write_file("style.css", (struct view){STYLE, sizeof STYLE}, err) ||
        !write_file("favicon.svg", (struct view){ICON, sizeof ICON}, err) ||
        !write_file("robots.txt", view_of(&robots), err))
        return false;
    if (address.length == 0)
        return true;
    put_sitemap(&sitemap, address);
    return write_file("sitemap.xml", view_of(&sitemap), err);
}
