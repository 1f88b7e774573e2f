// A template in C that fails in the way that `"fault": "..."` of its order selects.
//
// It uses no C library and declares the contract's functions under their component names, so that
// all of its debug information describes this file.

#include "template.h"

#define EXPORT(name) __attribute__((export_name(name)))
#define IMPORT(module, name) __attribute__((import_module(module), import_name(name)))

IMPORT("sitewright:template/diagnostics@0.1.0", "progress")
void host_progress(const char *stage, unsigned stage_length, unsigned done, unsigned total);
IMPORT("sitewright:template/diagnostics@0.1.0", "log")
void host_log(unsigned level, const char *text, unsigned length);

static unsigned char heap[1 << 20];
static unsigned used;

EXPORT("cabi_realloc")
void *host_realloc(void *old, unsigned old_size, unsigned align, unsigned size) {
    used = (used + align - 1) & ~(align - 1);
    void *block = heap + used;
    used += size;
    return block;
}

// Storage for results that do not fit into one core value.
static struct text name = TEXT("c-template"), version = TEXT("0.1.0"), locale = TEXT("en"),
                   summary = TEXT("Fails in C."), schema = TEXT("{\"type\": \"object\"}");
static struct manifest manifest;

EXPORT("sitewright:template/generator@0.1.0#describe")
struct manifest *describe(void) {
    manifest.name = name;
    manifest.version = version;
    manifest.summary = summary;
    manifest.schema = schema;
    manifest.locales = &locale;
    manifest.locale_count = 1;
    return &manifest;
}

volatile int zero = 0, minus_one = -1, least = -2147483647 - 1;
volatile unsigned beyond = 0xfffffff0u;
volatile unsigned long long sink;

__attribute__((noinline)) void trap(void) {
    sink++;
    __builtin_trap(); // unreachable
}

__attribute__((noinline)) int read_out_of_bounds(void) {
    return *(volatile int *)beyond; // out of bounds
}

__attribute__((noinline)) int deeper(int depth) {
    int below = deeper(depth + 1); // recursion
    sink += (unsigned)depth;
    return below + (int)sink;
}

__attribute__((noinline)) int divide_by_zero(void) {
    return 7 / zero; // division by zero
}

__attribute__((noinline)) int overflow(void) {
    return least / minus_one; // overflow
}

static int three(int a, int b, int c) { return a + b + c; }
int (*volatile wrong)(int, int, int) = three;

__attribute__((noinline)) int call_wrongly(void) {
    return ((int (*)(void))wrong)(); // bad call
}

__attribute__((noinline)) void hoard(void) {
    for (;;)
        if (__builtin_wasm_memory_grow(0, 16) == (__SIZE_TYPE__)-1) // out of memory
            return;
}

__attribute__((noinline)) void spin(void) {
    for (;;)
        sink++; // endless
}

__attribute__((noinline)) void call_badly(void) {
    host_log(2, "\xff\xfe", 2); // no UTF-8
}

// Inlined into its caller, so that a record shows both.
static inline __attribute__((always_inline)) int portion(int plates) {
    return 100 / (plates + zero); // inlined
}

__attribute__((noinline)) int serve(void) {
    return portion(zero); // caller
}

static int has_fault(const char *order, unsigned length, const char *fault) {
    unsigned size = 0;
    while (fault[size])
        size++;
    for (unsigned at = 0; at + size + 2 <= length; at++) {
        unsigned same = 0;
        while (same < size && order[at + 1 + same] == fault[same])
            same++;
        if (order[at] == '"' && same == size && order[at + 1 + size] == '"')
            return 1;
    }
    return 0;
}

// `result<_, failure>`: all zeroes are `ok`.
static unsigned result[32];

EXPORT("sitewright:template/generator@0.1.0#generate")
unsigned *generate(const char *order, unsigned length) {
    host_progress("fault", 5, 0, 1);
    if (has_fault(order, length, "unreachable"))
        trap();
    if (has_fault(order, length, "oob"))
        sink += (unsigned)read_out_of_bounds();
    if (has_fault(order, length, "stack-overflow"))
        sink += (unsigned)deeper(0);
    if (has_fault(order, length, "divide-by-zero"))
        sink += (unsigned)divide_by_zero();
    if (has_fault(order, length, "integer-overflow"))
        sink += (unsigned)overflow();
    if (has_fault(order, length, "bad-call"))
        sink += (unsigned)call_wrongly();
    if (has_fault(order, length, "memory-bomb"))
        hoard();
    if (has_fault(order, length, "spin"))
        spin();
    if (has_fault(order, length, "host-call"))
        call_badly();
    if (has_fault(order, length, "inlined"))
        sink += (unsigned)serve();
    if (has_fault(order, length, "cpp"))
        sink += (unsigned)bake_in_cpp(zero);
    return result;
}
