// Reads JSON without making a tree of it. The order and the replies with a schema were checked by
// the host, so an error of syntax is a bug and ends the run.

#pragma once

#include "buffer.h"

// A value in a document: its text, without white space around it. Empty if there is none.
struct json {
    struct view text;
};

// The value of a whole document.
struct json json_document(struct view text);

// The member of an object; empty if there is none, it is `null`, or the value is no object.
struct json json_member(struct json object, const char *name);

// Moves to the next entry of a list. Begin with `entry` empty; returns false at the end, or if the
// value is no list.
bool json_next(struct json list, struct json *entry);

// The text of a string, decoded; empty if the value is no string.
struct view json_text(struct json value);
