/* A program with CPython's allocator interface that says it is a free-threaded build; its domains are malloc. */
#include <stddef.h>
#include <stdlib.h>

struct api_allocator {
    void *ctx;
    void *(*malloc)(void *ctx, size_t bytes);
    void *(*calloc)(void *ctx, size_t count, size_t bytes);
    void *(*realloc)(void *ctx, void *block, size_t bytes);
    void (*free)(void *ctx, void *block);
};

const char *Py_GetVersion(void);
void PyMem_GetAllocator(int domain, struct api_allocator *out);
void PyMem_SetAllocator(int domain, const struct api_allocator *allocator);
void *PyMem_RawMalloc(size_t bytes);
void PyMem_RawFree(void *block);

static void *plain_malloc(void *ctx, size_t bytes) {
    (void)ctx;
    return malloc(bytes);
}

static void *plain_calloc(void *ctx, size_t count, size_t bytes) {
    (void)ctx;
    return calloc(count, bytes);
}

static void *plain_realloc(void *ctx, void *block, size_t bytes) {
    (void)ctx;
    return realloc(block, bytes);
}

static void plain_free(void *ctx, void *block) {
    (void)ctx;
    free(block);
}

static struct api_allocator allocators[3] = {{NULL, plain_malloc, plain_calloc, plain_realloc, plain_free},
                                             {NULL, plain_malloc, plain_calloc, plain_realloc, plain_free},
                                             {NULL, plain_malloc, plain_calloc, plain_realloc, plain_free}};

const char *Py_GetVersion(void) {
    return "3.13.0 experimental free-threading build (main, Jan  1 2026) [GCC]";
}

void PyMem_GetAllocator(int domain, struct api_allocator *out) {
    *out = allocators[domain];
}

void PyMem_SetAllocator(int domain, const struct api_allocator *allocator) {
    allocators[domain] = *allocator;
}

void *PyMem_RawMalloc(size_t bytes) {
    return allocators[0].malloc(allocators[0].ctx, bytes);
}

void PyMem_RawFree(void *block) {
    allocators[0].free(allocators[0].ctx, block);
}

int main(void) {
    for (int i = 0; i < 100; i++)
        PyMem_RawFree(PyMem_RawMalloc(741));
    return 0;
}
