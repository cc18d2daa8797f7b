#include "traces/record/shim.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/*
 * Some calls go past an interposed function: those of a library that was opened with RTLD_DEEPBIND, of a program whose
 * preloaded malloc stands before the shim, and operator new where an allocator has one of its own. Their objects'
 * tables of resolved functions are changed here. Only entries that hold exactly the function that the shim itself calls
 * are touched (or, where said so, entries not resolved yet), so that every call ends where it ended before.
 */

#if defined __x86_64__
enum { RELOC_SLOT = R_X86_64_JUMP_SLOT, RELOC_GOT = R_X86_64_GLOB_DAT, RELOC_WORD = R_X86_64_64 };
#elif defined __aarch64__
enum { RELOC_SLOT = R_AARCH64_JUMP_SLOT, RELOC_GOT = R_AARCH64_GLOB_DAT, RELOC_WORD = R_AARCH64_ABS64 };
#else
enum { RELOC_SLOT = -1, RELOC_GOT = -2, RELOC_WORD = -3 };
#endif

/* A loaded object, as its dynamic section tells. */
struct object {
    uintptr_t base;
    uintptr_t text_begin, text_end; /* its loaded segments */
    uintptr_t relro_begin, relro_end;
    const ElfW(Sym) * symbols;
    const char *strings;
    const ElfW(Rela) * tables[2];
    size_t table_bytes[2];
};

struct rebinding {
    const struct shim_binding *bindings;
    size_t count;
    const void *shim_base;
    const void *real_base; /* the object whose functions are bound from: its own calls are its own affair */
    size_t bound_count;
};

static void dynamic_read(struct object *object, const ElfW(Dyn) * dynamic) {
    for (; dynamic->d_tag != DT_NULL; dynamic++) {
        uintptr_t value = dynamic->d_un.d_ptr;
        uintptr_t address = value < object->base ? object->base + value : value; /* glibc has relocated most of them */
        switch (dynamic->d_tag) {
        case DT_SYMTAB:
            object->symbols = (const ElfW(Sym) *)address;
            break;
        case DT_STRTAB:
            object->strings = (const char *)address;
            break;
        case DT_RELA:
            object->tables[0] = (const ElfW(Rela) *)address;
            break;
        case DT_RELASZ:
            object->table_bytes[0] = value;
            break;
        case DT_JMPREL:
            object->tables[1] = (const ElfW(Rela) *)address;
            break;
        case DT_PLTRELSZ:
            object->table_bytes[1] = value;
            break;
        default:
            break;
        }
    }
}

static bool object_read(struct object *object, const struct dl_phdr_info *info) {
    const ElfW(Dyn) *dynamic = NULL;
    *object = (struct object){.base = info->dlpi_addr, .text_begin = UINTPTR_MAX};
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        uintptr_t begin = object->base + segment->p_vaddr, end = begin + segment->p_memsz;
        if (segment->p_type == PT_DYNAMIC) {
            dynamic = (const ElfW(Dyn) *)begin;
        } else if (segment->p_type == PT_GNU_RELRO) {
            object->relro_begin = begin;
            object->relro_end = end;
        } else if (segment->p_type == PT_LOAD) {
            object->text_begin = begin < object->text_begin ? begin : object->text_begin;
            object->text_end = end > object->text_end ? end : object->text_end;
        }
    }
    if (dynamic)
        dynamic_read(object, dynamic);
    return object->symbols && object->strings;
}

static bool slot_write(const struct object *object, uintptr_t *slot, uintptr_t value) {
    uintptr_t page_bytes = (uintptr_t)getpagesize(), page = (uintptr_t)slot & ~(page_bytes - 1);
    bool is_protected =
        (uintptr_t)slot >= (object->relro_begin & ~(page_bytes - 1)) && (uintptr_t)slot < object->relro_end;
    if (is_protected && mprotect((void *)page, page_bytes, PROT_READ | PROT_WRITE))
        return false;
    __atomic_store_n(slot, value, __ATOMIC_RELEASE);
    if (is_protected)
        mprotect((void *)page, page_bytes, PROT_READ);
    return true;
}

static void slot_rebind(const struct object *object, const ElfW(Rela) * relocation, struct rebinding *rebinding) {
    uint32_t type = (uint32_t)ELF64_R_TYPE(relocation->r_info);
    if ((type != RELOC_SLOT && type != RELOC_GOT && type != RELOC_WORD) || relocation->r_addend)
        return;
    const ElfW(Sym) *symbol = &object->symbols[ELF64_R_SYM(relocation->r_info)];
    uintptr_t *slot = (uintptr_t *)(object->base + relocation->r_offset);
    const char *name = object->strings + symbol->st_name;
    for (size_t i = 0; i < rebinding->count; i++) {
        const struct shim_binding *binding = &rebinding->bindings[i];
        if (!binding->from || strcmp(name, binding->name) != 0)
            continue;
        bool is_unresolved = type == RELOC_SLOT && *slot >= object->text_begin && *slot < object->text_end;
        if (*slot == binding->from || (is_unresolved && binding->takes_unresolved))
            rebinding->bound_count += slot_write(object, slot, binding->to);
        return;
    }
}

static int object_rebind(struct dl_phdr_info *info, size_t bytes, void *ctx) {
    struct rebinding *rebinding = ctx;
    struct object object;
    Dl_info place;
    (void)bytes;
    if (!object_read(&object, info) || !dladdr(object.symbols, &place) || place.dli_fbase == rebinding->shim_base ||
        place.dli_fbase == rebinding->real_base)
        return 0;
    for (unsigned table = 0; table < 2; table++)
        for (size_t i = 0; object.tables[table] && i < object.table_bytes[table] / sizeof(ElfW(Rela)); i++)
            slot_rebind(&object, &object.tables[table][i], rebinding);
    return 0;
}

size_t shim_rebind(const struct shim_binding *bindings, size_t count, const void *real_base) {
    Dl_info ours;
    if (RELOC_SLOT < 0 || !dladdr(&shim, &ours))
        return 0;
    struct rebinding rebinding = {bindings, count, ours.dli_fbase, real_base, 0};
    dl_iterate_phdr(object_rebind, &rebinding);
    return rebinding.bound_count;
}
