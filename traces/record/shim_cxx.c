#include "traces/record/shim.h"

#include <dlfcn.h>

/*
 * operator new and delete, where the allocator has its own, which do not come by malloc (jemalloc, tcmalloc, mimalloc).
 * Everywhere else they call malloc and free, and nothing here is used.
 *
 * No bracket around the real operator: it may throw through this frame, and what a new handler does is the program's.
 */

typedef void any_function(void);

enum { FORM_COUNT = 20 };
static any_function *forms[FORM_COUNT];

static inline bool is_recorded(void) {
    return shim_is_outermost() && (shim_mode() & SHIM_C);
}

static inline void *block_made(unsigned kind, void *block, size_t bytes, size_t align) {
    if (is_recorded()) {
        if (block)
            shim_event(kind, DOMAIN_C, (uintptr_t)block, bytes, align ? (unsigned)__builtin_ctzl(align) : 0);
        else
            shim_refused();
    }
    return block;
}

static inline void block_ends(const void *block) {
    if (is_recorded())
        shim_event(RECORD_FREE, DOMAIN_C, (uintptr_t)block, 0, 0);
}

/* NOLINTBEGIN(bugprone-macro-parentheses): parameter lists are types here, in parentheses already */
#define NEW(index, name, parameters, arguments, kind, align)                                                           \
    static void *name parameters {                                                                                     \
        return block_made(kind, ((void *(*)parameters)forms[index])arguments, bytes, align);                           \
    }
#define DELETE(index, name, parameters, arguments)                                                                     \
    static void name parameters {                                                                                      \
        block_ends(block);                                                                                             \
        ((void(*) parameters)forms[index]) arguments;                                                                  \
    }

/* NOLINTEND(bugprone-macro-parentheses) */

NEW(0, new_one, (size_t bytes), (bytes), RECORD_MALLOC, 0)
NEW(1, new_many, (size_t bytes), (bytes), RECORD_MALLOC, 0)
NEW(2, new_one_nothrow, (size_t bytes, const void *tag), (bytes, tag), RECORD_MALLOC, 0)
NEW(3, new_many_nothrow, (size_t bytes, const void *tag), (bytes, tag), RECORD_MALLOC, 0)
NEW(4, new_one_aligned, (size_t bytes, size_t align), (bytes, align), RECORD_ALIGNED, align)
NEW(5, new_many_aligned, (size_t bytes, size_t align), (bytes, align), RECORD_ALIGNED, align)
NEW(6, new_one_aligned_nothrow, (size_t bytes, size_t align, const void *tag), (bytes, align, tag), RECORD_ALIGNED,
    align)
NEW(7, new_many_aligned_nothrow, (size_t bytes, size_t align, const void *tag), (bytes, align, tag), RECORD_ALIGNED,
    align)
DELETE(8, delete_one, (void *block), (block))
DELETE(9, delete_many, (void *block), (block))
DELETE(10, delete_one_sized, (void *block, size_t bytes), (block, bytes))
DELETE(11, delete_many_sized, (void *block, size_t bytes), (block, bytes))
DELETE(12, delete_one_nothrow, (void *block, const void *tag), (block, tag))
DELETE(13, delete_many_nothrow, (void *block, const void *tag), (block, tag))
DELETE(14, delete_one_aligned, (void *block, size_t align), (block, align))
DELETE(15, delete_many_aligned, (void *block, size_t align), (block, align))
DELETE(16, delete_one_sized_aligned, (void *block, size_t bytes, size_t align), (block, bytes, align))
DELETE(17, delete_many_sized_aligned, (void *block, size_t bytes, size_t align), (block, bytes, align))
DELETE(18, delete_one_aligned_nothrow, (void *block, size_t align, const void *tag), (block, align, tag))
DELETE(19, delete_many_aligned_nothrow, (void *block, size_t align, const void *tag), (block, align, tag))

/* In the order of `forms`; the names are those of the Itanium C++ ABI, size_t being unsigned long. */
static struct shim_binding bindings[FORM_COUNT] = {
    {.name = "_Znwm", .to = (uintptr_t)new_one},
    {.name = "_Znam", .to = (uintptr_t)new_many},
    {.name = "_ZnwmRKSt9nothrow_t", .to = (uintptr_t)new_one_nothrow},
    {.name = "_ZnamRKSt9nothrow_t", .to = (uintptr_t)new_many_nothrow},
    {.name = "_ZnwmSt11align_val_t", .to = (uintptr_t)new_one_aligned},
    {.name = "_ZnamSt11align_val_t", .to = (uintptr_t)new_many_aligned},
    {.name = "_ZnwmSt11align_val_tRKSt9nothrow_t", .to = (uintptr_t)new_one_aligned_nothrow},
    {.name = "_ZnamSt11align_val_tRKSt9nothrow_t", .to = (uintptr_t)new_many_aligned_nothrow},
    {.name = "_ZdlPv", .to = (uintptr_t)delete_one},
    {.name = "_ZdaPv", .to = (uintptr_t)delete_many},
    {.name = "_ZdlPvm", .to = (uintptr_t)delete_one_sized},
    {.name = "_ZdaPvm", .to = (uintptr_t)delete_many_sized},
    {.name = "_ZdlPvRKSt9nothrow_t", .to = (uintptr_t)delete_one_nothrow},
    {.name = "_ZdaPvRKSt9nothrow_t", .to = (uintptr_t)delete_many_nothrow},
    {.name = "_ZdlPvSt11align_val_t", .to = (uintptr_t)delete_one_aligned},
    {.name = "_ZdaPvSt11align_val_t", .to = (uintptr_t)delete_many_aligned},
    {.name = "_ZdlPvmSt11align_val_t", .to = (uintptr_t)delete_one_sized_aligned},
    {.name = "_ZdaPvmSt11align_val_t", .to = (uintptr_t)delete_many_sized_aligned},
    {.name = "_ZdlPvSt11align_val_tRKSt9nothrow_t", .to = (uintptr_t)delete_one_aligned_nothrow},
    {.name = "_ZdaPvSt11align_val_tRKSt9nothrow_t", .to = (uintptr_t)delete_many_aligned_nothrow},
};

static bool is_bound;
static const void *allocator_base;

/* How the arguments of a form go on behind the first: none, nothrow; align; align, nothrow; size; … */
enum { WITH_SIZE = 1, WITH_ALIGN = 2, WITH_NOTHROW = 4 };
static const uint8_t form_arguments[FORM_COUNT] = {0,
                                                   0,
                                                   WITH_NOTHROW,
                                                   WITH_NOTHROW,
                                                   WITH_ALIGN,
                                                   WITH_ALIGN,
                                                   WITH_ALIGN | WITH_NOTHROW,
                                                   WITH_ALIGN | WITH_NOTHROW,
                                                   0,
                                                   0,
                                                   WITH_SIZE,
                                                   WITH_SIZE,
                                                   WITH_NOTHROW,
                                                   WITH_NOTHROW,
                                                   WITH_ALIGN,
                                                   WITH_ALIGN,
                                                   WITH_SIZE | WITH_ALIGN,
                                                   WITH_SIZE | WITH_ALIGN,
                                                   WITH_ALIGN | WITH_NOTHROW,
                                                   WITH_ALIGN | WITH_NOTHROW};
enum { NEW_COUNT = 8, PROBE_BYTES = 64 };

/* Calls a form on `first` (a size, a block); whether malloc or free was called on the way. */
static bool form_comes_by(unsigned form, uintptr_t first, uintptr_t *result) {
    static const char tag;
    uintptr_t rest[3] = {0};
    unsigned count = 0;
    if (form_arguments[form] & WITH_SIZE)
        rest[count++] = PROBE_BYTES;
    if (form_arguments[form] & WITH_ALIGN)
        rest[count++] = PROBE_BYTES;
    if (form_arguments[form] & WITH_NOTHROW)
        rest[count++] = (uintptr_t)&tag;
    shim_thread.was_probed = 0;
    shim_thread.is_probing = 1;
    /* Arguments too many stay in their registers. */
    *result = ((uintptr_t(*)(uintptr_t, uintptr_t, uintptr_t, uintptr_t))forms[form])(first, rest[0], rest[1], rest[2]);
    shim_thread.is_probing = 0;
    return shim_thread.was_probed;
}

/* The allocator's own form, if the program uses that one; a form that the program replaced stays as it is. */
static bool form_find(unsigned form) {
    Dl_info found;
    void *function = dlsym(RTLD_DEFAULT, bindings[form].name);
    if (!function || !dladdr(function, &found) || found.dli_fbase != allocator_base)
        return false;
    *(void **)&forms[form] = function;
    return true;
}

/* To be bound: the form is there, and the call does not come by anyhow. */
static void form_bind(unsigned form) {
    bindings[form].from = (uintptr_t)forms[form];
    bindings[form].takes_unresolved = true;
    is_bound = true;
}

/* Each new form with a delete form that fits it; the first call ever may do more than the later ones. */
static void forms_probe(void) {
    uintptr_t block, ignored;
    form_comes_by(0, PROBE_BYTES, &block);
    form_comes_by(NEW_COUNT, block, &ignored);
    for (unsigned form = 0; form < NEW_COUNT; form++) {
        unsigned delete_form = form_arguments[form] & WITH_ALIGN ? 14 : NEW_COUNT;
        if (!forms[form] || !forms[delete_form])
            continue;
        if (!form_comes_by(form, PROBE_BYTES, &block))
            form_bind(form);
        form_comes_by(delete_form, block, &ignored);
    }
    for (unsigned form = NEW_COUNT; form < FORM_COUNT; form++) {
        unsigned new_form = form_arguments[form] & WITH_ALIGN ? 4 : 0;
        if (!forms[form] || !forms[new_form])
            continue;
        form_comes_by(new_form, PROBE_BYTES, &block);
        if (!form_comes_by(form, block, &ignored))
            form_bind(form);
    }
}

void shim_cxx_start(void) {
    Dl_info allocator;
    if (!dladdr(*(void **)&shim.real.malloc, &allocator))
        return;
    allocator_base = allocator.dli_fbase;
    unsigned found_count = 0;
    for (unsigned form = 0; form < FORM_COUNT; form++)
        found_count += form_find(form);
    shim_dlerror_clear();
    if (found_count && forms[0] && forms[NEW_COUNT])
        forms_probe();
    shim_cxx_rebind();
}

void shim_cxx_rebind(void) {
    if (is_bound)
        shim_rebind(bindings, FORM_COUNT, allocator_base);
}
