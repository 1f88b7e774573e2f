#include "buffer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "template_sync.h"

void bug_at(const char *file, unsigned line, const char *message) {
    // What a template prints is in the record of a failure, and in what `generate` shows.
    fprintf(stderr, "%s:%u: %s\n", file, line, message);
    sitewright_template_diagnostics_panic_t panic = {0};
    template_sync_string_set(&panic.message, message);
    panic.location.is_some = true;
    template_sync_string_set(&panic.location.val.file, file);
    panic.location.val.line = line;
    sitewright_template_diagnostics_panicked(&panic);
    // The host reports the frames of the trap beside the message.
    __builtin_trap();
}

void *allocate(size_t bytes) {
    void *block = malloc(bytes > 0 ? bytes : 1);
    if (!block)
        bug("there is no memory left");
    return block;
}

void put_bytes(struct buffer *buffer, const char *bytes, size_t length) {
    if (length == 0)
        return;
    if (length > buffer->capacity - buffer->length) {
        size_t capacity = 2 * buffer->capacity + length + 64;
        char *grown = realloc(buffer->begin, capacity);
        if (!grown)
            bug("there is no memory left");
        buffer->begin = grown;
        buffer->capacity = capacity;
    }
    memcpy(buffer->begin + buffer->length, bytes, length);
    buffer->length += length;
}

void put(struct buffer *buffer, const char *text) { put_bytes(buffer, text, strlen(text)); }

void put_view(struct buffer *buffer, struct view text) {
    put_bytes(buffer, text.begin, text.length);
}

void put_escaped(struct buffer *buffer, struct view text) {
    for (size_t at = 0; at < text.length; at++) {
        unsigned char byte = (unsigned char)text.begin[at];
        unsigned char next = at + 1 < text.length ? (unsigned char)text.begin[at + 1] : 0;
        switch (byte) {
        case '&': put(buffer, "&amp;"); break;
        case '<': put(buffer, "&lt;"); break;
        case '>': put(buffer, "&gt;"); break;
        case '"': put(buffer, "&quot;"); break;
        case '\'': put(buffer, "&#39;"); break;
        case '\t':
        case '\n':
        case '\r': put(buffer, " "); break;
        default:
            // Control characters are not allowed in HTML, not even as references. Those above 0x7f
            // have two bytes.
            if (byte < 0x20 || byte == 0x7f) {
                put(buffer, " ");
            } else if (byte == 0xc2 && next >= 0x80 && next < 0xa0) {
                put(buffer, " ");
                at++;
            } else {
                put_bytes(buffer, text.begin + at, 1);
            }
        }
    }
}

static bool is_unreserved(char byte) {
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9') || byte == '-' || byte == '.' || byte == '_' || byte == '~';
}

void put_encoded(struct buffer *buffer, struct view text) {
    const char *digits = "0123456789ABCDEF";
    for (size_t at = 0; at < text.length; at++) {
        unsigned char byte = (unsigned char)text.begin[at];
        char code[] = {'%', digits[byte >> 4], digits[byte & 15]};
        bool plain = is_unreserved((char)byte);
        put_bytes(buffer, plain ? text.begin + at : code, plain ? 1 : sizeof code);
    }
}

static bool is_space(char byte) {
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

struct view trimmed(struct view text) {
    while (text.length > 0 && is_space(text.begin[0])) {
        text.begin++;
        text.length--;
    }
    while (text.length > 0 && is_space(text.begin[text.length - 1]))
        text.length--;
    return text;
}

// Whether a byte begins a character of UTF-8.
static bool begins(char byte) { return ((unsigned char)byte & 0xc0) != 0x80; }

size_t characters(struct view text) {
    size_t count = 0;
    for (size_t at = 0; at < text.length; at++)
        count += begins(text.begin[at]);
    return count;
}

struct view shortened(struct view text, size_t most) {
    if (characters(text) <= most)
        return text;
    size_t end = 0, space = 0, count = 0;
    for (size_t at = 0; at < text.length; at++) {
        if (begins(text.begin[at]) && count++ == most - 1) {
            end = at;
            break;
        }
        if (text.begin[at] == ' ')
            space = at;
    }
    // A word that is longer than half of the text is cut.
    if (2 * space > end)
        end = space;
    struct buffer cut = {0};
    put_view(&cut, trimmed((struct view){text.begin, end}));
    put(&cut, "…");
    return view_of(&cut);
}
