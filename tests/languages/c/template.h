// Memory layout of the contract's types.

struct text {
    const char *begin;
    unsigned length;
};

#define TEXT(literal) {literal, sizeof(literal) - 1}

struct manifest {
    struct text name, version, summary, schema;
    void *purposes;
    unsigned purpose_count;
    struct text *locales;
    unsigned locale_count;
};

#ifdef __cplusplus
extern "C"
#endif
int bake_in_cpp(int loaves);
