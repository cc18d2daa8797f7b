/**
 * backend_cpython.h: what prepares the real CPython allocator for backend_cpython.
 */
#ifndef MMREPLAY_COMPARE_WORKER_BACKEND_CPYTHON_H
#define MMREPLAY_COMPARE_WORKER_BACKEND_CPYTHON_H

#include "compare/worker/real_python.h"
#include "compare/worker/worker_protocol.h"

/**
 * Opens `request->python` and puts the counting arena source under it; fills the reply's library, version and settings.
 * Once per process. @return as real_python_open().
 */
enum err backend_cpython_prepare(const struct worker_request *request, struct worker_reply *reply, struct diag *diag);

#endif
