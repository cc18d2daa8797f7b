/* Mallocs of 77,776, 77,777 and 77,778 bytes, then frees of the middle one and of the last. */
#include <stdlib.h>

static void *volatile blocks[3]; /* so that no call is left out */

int main(void) {
    for (size_t i = 0; i < 3; i++)
        blocks[i] = malloc(77776 + i);
    free(blocks[1]);
    free(blocks[2]);
    return 0;
}
