#include "json.h"

#include <stdint.h>
#include <string.h>

static bool is_blank(char byte) {
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

static const char *skip_blanks(const char *at, const char *end) {
    while (at < end && is_blank(*at))
        at++;
    return at;
}

// The end of the string that begins at `at`, behind its quotation mark.
static const char *skip_string(const char *at, const char *end) {
    for (at++; at < end; at++) {
        if (*at == '\\')
            at++;
        else if (*at == '"')
            return at + 1;
    }
    bug("a string of a JSON document has no end");
}

// The end of the value that begins at `at`. Does not recurse: a document may be nested deeply.
static const char *skip_value(const char *at, const char *end) {
    size_t depth = 0;
    do {
        at = skip_blanks(at, end);
        if (at >= end)
            bug("a JSON document ends inside of a value");
        switch (*at) {
        case '"': at = skip_string(at, end); break;
        case '{':
        case '[':
            depth++;
            at++;
            break;
        case '}':
        case ']':
            if (depth == 0)
                bug("a JSON document has a closing bracket without an opening one");
            depth--;
            at++;
            break;
        case ',':
        case ':': at++; break;
        default:
            for (at++; at < end && !is_blank(*at) && !strchr(",:]}", *at); at++)
                ;
        }
    } while (depth > 0);
    return at;
}

static struct json value_at(const char *at, const char *end) {
    const char *stop = skip_value(at, end);
    return (struct json){{at, (size_t)(stop - at)}};
}

struct json json_document(struct view text) {
    const char *end = text.begin + text.length;
    return value_at(skip_blanks(text.begin, end), end);
}

static bool is_kind(struct json value, char first) {
    return value.text.length > 0 && value.text.begin[0] == first;
}

struct json json_member(struct json object, const char *name) {
    if (!is_kind(object, '{'))
        return (struct json){0};
    const char *at = object.text.begin + 1, *end = object.text.begin + object.text.length - 1;
    size_t length = strlen(name);
    while ((at = skip_blanks(at, end)) < end) {
        struct view key = value_at(at, end).text;
        at = skip_blanks(key.begin + key.length, end);
        if (at == end || *at != ':')
            bug("a name in a JSON document has no value");
        struct json value = value_at(skip_blanks(at + 1, end), end);
        // The names that are looked for have nothing that would be escaped.
        if (key.length == length + 2 && memcmp(key.begin + 1, name, length) == 0)
            return is_kind(value, 'n') ? (struct json){0} : value;
        at = skip_blanks(value.text.begin + value.text.length, end);
        at += at < end;
    }
    return (struct json){0};
}

bool json_next(struct json list, struct json *entry) {
    if (!is_kind(list, '['))
        return false;
    const char *at = list.text.begin + 1, *end = list.text.begin + list.text.length - 1;
    if (entry->text.begin) {
        at = skip_blanks(entry->text.begin + entry->text.length, end);
        at += at < end;
    }
    at = skip_blanks(at, end);
    if (at >= end)
        return false;
    *entry = value_at(at, end);
    return true;
}

static uint32_t hexadecimal(const char *at, const char *end) {
    if (end - at < 4)
        bug("an escape of a JSON document is cut");
    uint32_t number = 0;
    for (int digit = 0; digit < 4; digit++) {
        char byte = at[digit];
        uint32_t value = byte <= '9' ? byte - '0' : (byte | 0x20) - 'a' + 10;
        number = number << 4 | (value & 15);
    }
    return number;
}

static void put_character(struct buffer *out, uint32_t code) {
    char bytes[4];
    size_t length = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const unsigned char firsts[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t at = length - 1; at > 0; at--, code >>= 6)
        bytes[at] = (char)(0x80 | (code & 0x3f));
    bytes[0] = (char)(firsts[length] | code);
    put_bytes(out, bytes, length);
}

struct view json_text(struct json value) {
    if (!is_kind(value, '"'))
        return (struct view){0};
    const char *at = value.text.begin + 1, *end = value.text.begin + value.text.length - 1;
    struct buffer out = {0};
    while (at < end) {
        if (*at != '\\') {
            put_bytes(&out, at++, 1);
            continue;
        }
        at += 2;
        switch (at[-1]) {
        case 'b': put(&out, "\b"); break;
        case 'f': put(&out, "\f"); break;
        case 'n': put(&out, "\n"); break;
        case 'r': put(&out, "\r"); break;
        case 't': put(&out, "\t"); break;
        case 'u': {
            uint32_t code = hexadecimal(at, end);
            at += 4;
            // A character beyond 0xffff is written as two halves.
            if (code >= 0xd800 && code < 0xdc00 && end - at >= 6 && at[0] == '\\' && at[1] == 'u') {
                uint32_t low = hexadecimal(at + 2, end);
                if (low >= 0xdc00 && low < 0xe000) {
                    code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
                    at += 6;
                }
            }
            // Half a character is no text of UTF-8.
            put_character(&out, code >= 0xd800 && code < 0xe000 ? 0xfffd : code);
            break;
        }
        default: put_bytes(&out, at - 1, 1);
        }
    }
    return view_of(&out);
}
