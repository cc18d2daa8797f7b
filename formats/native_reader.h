/**
 * native_reader.h: the native format, NAME.yaml + NAME.events.gz, behind the registry of formats (format.h).
 */
#ifndef MMREPLAY_FORMATS_NATIVE_READER_H
#define MMREPLAY_FORMATS_NATIVE_READER_H

#include "formats/format_table.h"

/** The path of `file` in the folder of `beside`. @return owned by the caller, NULL: out of memory. */
char *native_events_path(const char *beside, const char *file);

extern const struct format native_format;

#endif
