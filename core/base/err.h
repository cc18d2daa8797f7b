/**
 * err.h: the one error vocabulary of the project.
 *
 * Every fallible function returns an `enum err`; 0 is success, and results
 * passed out through pointers are untouched on failure. The human story (path,
 * place, text) goes into a `struct diag` where the fault is found.
 */
#ifndef MMREPLAY_CORE_BASE_ERR_H
#define MMREPLAY_CORE_BASE_ERR_H

enum err {
    ERR_OK = 0,
    ERR_NOMEM,       /**< memory could not be had for the tool's own needs */
    ERR_IO,          /**< a system call on a file, pipe or process failed */
    ERR_NOT_FOUND,   /**< a named thing (file, allocator, format) does not exist */
    ERR_FORMAT,      /**< input does not follow its format */
    ERR_VERSION,     /**< input is of a version this build does not know */
    ERR_CHECKSUM,    /**< input was altered: a stored checksum does not match */
    ERR_TRUNCATED,   /**< input ends too early */
    ERR_INVALID,     /**< well-formed input that contradicts itself (free of an unknown block, …) */
    ERR_LIMIT,       /**< a documented bound is exceeded (size, number of live blocks, …) */
    ERR_UNSUPPORTED, /**< known, but not possible here (platform, build, settings) */
    ERR_USAGE,       /**< the caller (or the command line) asked for nonsense */
    ERR_CHILD,       /**< a child process failed or crashed */
    ERR_INTERRUPTED, /**< stopped by a signal; partial results may stand */
    ERR_COUNT
};

/** Short lower-case English for an error code, for messages without a diag. Never NULL. */
const char *err_text(enum err err);

#endif
