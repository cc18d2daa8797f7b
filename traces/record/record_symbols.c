#include "traces/record/record_symbols.h"

#include <elf.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Entry points of malloc libraries, as they are called where they do not replace malloc. */
static const char *const allocator_names[] = {"malloc",    "je_malloc", "_rjem_malloc", "jemalloc",   "mi_malloc",
                                              "tc_malloc", "rpmalloc",  "sn_malloc",    "hoardmalloc"};
enum { NAME_COUNT = sizeof allocator_names / sizeof allocator_names[0] };

struct image {
    const char *bytes;
    uint64_t length;
};

static bool image_open(struct image *image, const char *path) {
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    void *bytes = MAP_FAILED;
    if (fd < 0)
        return false;
    if (fstat(fd, &status) == 0 && status.st_size >= (off_t)sizeof(Elf64_Ehdr))
        bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (bytes == MAP_FAILED)
        return false;
    *image = (struct image){bytes, (uint64_t)status.st_size};
    return true;
}

static bool image_holds(const struct image *image, uint64_t at, uint64_t bytes) {
    return at <= image->length && bytes <= image->length - at;
}

static bool section_read(const struct image *image, const Elf64_Ehdr *header, uint32_t index, Elf64_Shdr *out) {
    uint64_t at = header->e_shoff + (uint64_t)index * sizeof *out;
    if (index >= header->e_shnum || header->e_shoff > image->length || !image_holds(image, at, sizeof *out))
        return false;
    memcpy(out, image->bytes + at, sizeof *out);
    return out->sh_type == SHT_NOBITS || image_holds(image, out->sh_offset, out->sh_size);
}

/* A "malloc" that others see is another matter: the shim notices that one itself. */
static const char *symbol_judge(const Elf64_Sym *symbol, const char *name) {
    if (ELF64_ST_TYPE(symbol->st_info) != STT_FUNC || symbol->st_shndx == SHN_UNDEF)
        return NULL;
    bool is_private =
        ELF64_ST_BIND(symbol->st_info) == STB_LOCAL || ELF64_ST_VISIBILITY(symbol->st_other) == STV_HIDDEN;
    for (unsigned i = is_private ? 0 : 1; i < NAME_COUNT; i++)
        if (strcmp(name, allocator_names[i]) == 0)
            return allocator_names[i];
    return NULL;
}

static const char *table_search(const struct image *image, const Elf64_Shdr *symbols, const Elf64_Shdr *strings) {
    const char *text = image->bytes + strings->sh_offset;
    if (strings->sh_type != SHT_STRTAB || strings->sh_size == 0 || text[strings->sh_size - 1] != 0)
        return NULL;
    for (uint64_t i = 0; i < symbols->sh_size / sizeof(Elf64_Sym); i++) {
        Elf64_Sym symbol;
        memcpy(&symbol, image->bytes + symbols->sh_offset + i * sizeof symbol, sizeof symbol);
        const char *found = symbol.st_name < strings->sh_size ? symbol_judge(&symbol, text + symbol.st_name) : NULL;
        if (found)
            return found;
    }
    return NULL;
}

static bool header_read(const struct image *image, Elf64_Ehdr *out) {
    memcpy(out, image->bytes, sizeof *out);
    return memcmp(out->e_ident, ELFMAG, SELFMAG) == 0 && out->e_ident[EI_CLASS] == ELFCLASS64 &&
           out->e_shentsize == sizeof(Elf64_Shdr);
}

static const char *image_search(const struct image *image) {
    Elf64_Ehdr header;
    Elf64_Shdr symbols, strings;
    if (!header_read(image, &header))
        return NULL;
    for (uint32_t i = 0; i < header.e_shnum; i++)
        if (section_read(image, &header, i, &symbols) && symbols.sh_type == SHT_SYMTAB &&
            section_read(image, &header, symbols.sh_link, &strings))
            return table_search(image, &symbols, &strings);
    return NULL;
}

const char *record_symbols_allocator(const char *path) {
    struct image image;
    if (!image_open(&image, path))
        return NULL;
    const char *found = image_search(&image);
    munmap((void *)(uintptr_t)image.bytes, image.length);
    return found;
}

/* Go's linker writes this section always, and strip leaves it. */
static bool image_is_go(const struct image *image) {
    static const char name[] = ".go.buildinfo";
    Elf64_Ehdr header;
    Elf64_Shdr section, names;
    if (!header_read(image, &header) || !section_read(image, &header, header.e_shstrndx, &names) ||
        names.sh_type != SHT_STRTAB)
        return false;
    for (uint32_t i = 0; i < header.e_shnum; i++)
        if (section_read(image, &header, i, &section) && section.sh_name < names.sh_size &&
            names.sh_size - section.sh_name >= sizeof name &&
            memcmp(image->bytes + names.sh_offset + section.sh_name, name, sizeof name) == 0)
            return true;
    return false;
}

bool record_symbols_is_go(const char *path) {
    struct image image;
    if (!image_open(&image, path))
        return false;
    bool is_go = image_is_go(&image);
    munmap((void *)(uintptr_t)image.bytes, image.length);
    return is_go;
}

static bool name_is_linker(const struct image *image, const Elf64_Shdr *names, uint64_t name_at) {
    static const char start[] = "ld-";
    return names->sh_type == SHT_STRTAB && name_at < names->sh_size && names->sh_size - name_at >= sizeof start &&
           memcmp(image->bytes + names->sh_offset + name_at, start, sizeof start - 1) == 0;
}

static bool dynamic_is_linker(const struct image *image, const Elf64_Shdr *section, const Elf64_Shdr *names) {
    for (uint64_t i = 0; i < section->sh_size / sizeof(Elf64_Dyn); i++) {
        Elf64_Dyn entry;
        memcpy(&entry, image->bytes + section->sh_offset + i * sizeof entry, sizeof entry);
        if (entry.d_tag == DT_SONAME)
            return name_is_linker(image, names, entry.d_un.d_val);
    }
    return false;
}

static bool image_is_linker(const struct image *image) {
    Elf64_Ehdr header;
    Elf64_Shdr section, names;
    if (!header_read(image, &header))
        return false;
    for (uint32_t i = 0; i < header.e_shnum; i++)
        if (section_read(image, &header, i, &section) && section.sh_type == SHT_DYNAMIC)
            return section_read(image, &header, section.sh_link, &names) && dynamic_is_linker(image, &section, &names);
    return false;
}

bool record_symbols_is_linker(const char *path) {
    struct image image;
    if (!image_open(&image, path))
        return false;
    bool is_linker = image_is_linker(&image);
    munmap((void *)(uintptr_t)image.bytes, image.length);
    return is_linker;
}
