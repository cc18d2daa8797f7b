/* A library that is opened late, with requests of its own when it comes, when it is called and when it goes. */
#include <stdlib.h>
#include <string.h>

static void take(size_t bytes) {
    void *volatile block = malloc(bytes);
    free(block);
}

__attribute__((constructor)) static void plugin_open(void) {
    take(711);
}

__attribute__((destructor)) static void plugin_close(void) {
    take(712);
}

char *plugin_text(void);
char *plugin_text(void) {
    char text[713];
    void *(*volatile through_pointer)(size_t) = malloc;
    memset(text, 't', 712);
    text[712] = 0;
    free(through_pointer(714));
    return strdup(text);
}
