/**
 * nearest.h: what somebody may have meant by a misspelt word.
 */
#ifndef MMREPLAY_CORE_BASE_NEAREST_H
#define MMREPLAY_CORE_BASE_NEAREST_H

#include <stddef.h>

/**
 * The candidate nearest to `word` by edit distance (insertions, deletions, replacements), the first of equals.
 * @return NULL when none is nearer than a third of the word's length or two edits, whichever is more.
 */
const char *word_nearest(const char *word, const char *const *candidates, size_t count);

#endif
