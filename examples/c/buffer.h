// Text that grows, and text inside of other text.

#pragma once

#include <stdbool.h>
#include <stddef.h>

// A part of a text in UTF-8 that belongs to somebody else. It does not end with a zero byte.
struct view {
    const char *begin;
    size_t length;
};

#define VIEW(literal) ((struct view){(literal), sizeof(literal) - 1})

// A text that grows at its end. Begin with `{0}`. Nothing is freed: each order has an instance of
// the component of its own, which is dropped as a whole.
struct buffer {
    char *begin;
    size_t length, capacity;
};

// The content of a buffer, valid until it grows.
static inline struct view view_of(const struct buffer *buffer) {
    return (struct view){buffer->begin, buffer->length};
}

// Memory that is never freed. Ends the run if there is none.
void *allocate(size_t bytes);

void put_bytes(struct buffer *buffer, const char *bytes, size_t length);
void put(struct buffer *buffer, const char *text);
void put_view(struct buffer *buffer, struct view text);

// Adds text of the order or of a model to HTML, XML or a quoted attribute.
void put_escaped(struct buffer *buffer, struct view text);

// Adds a part of a URL: everything but letters, digits and `-._~` as `%41`.
void put_encoded(struct buffer *buffer, struct view text);

// The text without white space around it.
struct view trimmed(struct view text);

// The number of characters, which are one to four bytes.
size_t characters(struct view text);

// The text in at most `most` characters: cut after a word, with an ellipsis.
struct view shortened(struct view text, size_t most);

// Reports a bug of the template with file and line, and ends the run.
#define bug(message) bug_at(__FILE__, __LINE__, message)
[[noreturn]] void bug_at(const char *file, unsigned line, const char *message);
