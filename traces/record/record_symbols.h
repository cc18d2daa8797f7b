/**
 * record_symbols.h: what an executable's symbol table tells of allocators that are linked into it.
 */
#ifndef MMREPLAY_TRACES_RECORD_RECORD_SYMBOLS_H
#define MMREPLAY_TRACES_RECORD_RECORD_SYMBOLS_H

#include <stdbool.h>

/**
 * A malloc that nobody outside the executable can see (hidden, or under a name of its own as jemalloc's and mimalloc's
 * are in Rust programs): calls of it cannot be recorded.
 * @param path an ELF file of this machine's kind; anything else has none. Cost: the symbol table is read once.
 * @return the function's name (static); NULL: none is known, as always when the file is stripped.
 */
const char *record_symbols_allocator(const char *path);

/** A program that Go's linker made: its memory comes from Go's runtime, which asks the system. */
bool record_symbols_is_go(const char *path);

/** A dynamic linker, by the name that it has as a library: it is linked to nothing, and loads whatever it is told to.
 */
bool record_symbols_is_linker(const char *path);

#endif
