/**
 * record_host.h: on what machine, when and with what a trace was captured.
 */
#ifndef MMREPLAY_TRACES_RECORD_RECORD_HOST_H
#define MMREPLAY_TRACES_RECORD_RECORD_HOST_H

#include <time.h>

#include "traces/trace.h"

/**
 * Fills capture_date, _tool, _cpu, _kernel, _libc and _page_bytes of `info`.
 * @param started when the recording began. @return ERR_OK, ERR_NOMEM.
 */
enum err record_host_describe(struct trace_info *info, time_t started);

/** Copies these, and the clock (record_time.h), from another. @return ERR_OK, ERR_NOMEM. */
enum err record_host_copy(struct trace_info *info, const struct trace_info *from);

/** The command as a shell would take it: words that need it are quoted. @return ERR_OK and *out owned, or ERR_NOMEM. */
enum err record_command_text(char *const *argv, char **out);

/** Sets program_version and _interpreter from what Py_GetVersion() said. @return ERR_OK, ERR_NOMEM. */
enum err record_python_describe(const char *version, struct trace_info *info);

/** "exit 0", "signal 11 (SIGSEGV)": how a process ended, from its wait status. @return buffer. */
const char *record_end_text(int wait_status, char *buffer, size_t buffer_bytes);

#endif
