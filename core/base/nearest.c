#include "core/base/nearest.h"

#include <string.h>

enum { WORD_BYTES_MAX = 64 };

/* Levenshtein distance of two words shorter than WORD_BYTES_MAX. */
static size_t word_distance(const char *a, const char *b) {
    size_t row[WORD_BYTES_MAX + 1];
    size_t b_length = strlen(b);
    for (size_t j = 0; j <= b_length; j++)
        row[j] = j;
    for (size_t i = 0; a[i]; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < b_length; j++) {
            size_t best = diagonal + (a[i] != b[j]);
            diagonal = row[j + 1];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (diagonal + 1 < best)
                best = diagonal + 1;
            row[j + 1] = best;
        }
    }
    return row[b_length];
}

const char *word_nearest(const char *word, const char *const *candidates, size_t count) {
    size_t length = strlen(word);
    size_t best = length / 3 > 2 ? length / 3 : 2;
    const char *nearest = NULL;
    for (size_t i = 0; i < count && length < WORD_BYTES_MAX; i++) {
        if (strlen(candidates[i]) >= WORD_BYTES_MAX)
            continue;
        size_t distance = word_distance(word, candidates[i]);
        if (distance <= best && distance < strlen(candidates[i])) {
            best = distance;
            nearest = candidates[i];
            if (!best)
                break;
            best--;
        }
    }
    return nearest;
}
