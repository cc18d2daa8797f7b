/*
 * The first allocation of all is made inside gettext, with its lock held: nothing that the shim does then may ask
 * gettext for a text. Were the lock taken again there, whoever wants it next would wait forever.
 */
#include <libintl.h>
#include <stdlib.h>

static void before_constructors(void) {
    bindtextdomain("traced", "/nonexistent");
}

__attribute__((section(".preinit_array"), used)) static void (*const preinit)(void) = before_constructors;

int main(void) {
    bindtextdomain("traced too", "/nonexistent");
    void *volatile block = malloc(715);
    free(block);
    return 0;
}
