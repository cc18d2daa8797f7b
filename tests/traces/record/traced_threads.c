/*
 * N threads, all alive at once (or one after the other); each has a destructor that frees at its end. "late": the
 * destructor comes back in every round there is, and allocates each time.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static pthread_barrier_t all_here;
static pthread_key_t key;
static int at_once;

static void late_again(void *block) {
    free(block);
    pthread_setspecific(key, malloc(321));
}

static void *thread_run(void *unused) {
    (void)unused;
    void *block = malloc(123);
    pthread_setspecific(key, malloc(321));
    if (at_once)
        pthread_barrier_wait(&all_here);
    free(block);
    return NULL;
}

int main(int argc, char **argv) {
    int count = argc > 1 ? atoi(argv[1]) : 10;
    at_once = argc > 2 && strcmp(argv[2], "at-once") == 0;
    pthread_key_create(&key, argc > 2 && strcmp(argv[2], "late") == 0 ? late_again : free);
    pthread_barrier_init(&all_here, NULL, (unsigned)count);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 64 * 1024);
    pthread_t *threads = malloc((size_t)count * sizeof *threads);
    for (int i = 0; i < count; i++) {
        if (pthread_create(&threads[i], &attributes, thread_run, NULL))
            return 1;
        if (!at_once)
            pthread_join(threads[i], NULL);
    }
    for (int i = 0; at_once && i < count; i++)
        pthread_join(threads[i], NULL);
    free(threads);
    return 0;
}
