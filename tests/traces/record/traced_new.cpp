// Every form of operator new and delete once in a round, with sizes of their own; static and thread-local objects.
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>
#include <thread>

struct alignas(128) wide {
    char bytes[896];
};

struct buffer {
    char *text = new char[801];
    ~buffer() {
        delete[] text;
        char *volatile last = new char[802]; // volatile: a pair that nobody uses may be left out
        delete[] last;
    }
};

static buffer global; // destroyed after main

static void each_form() {
    ::operator delete(::operator new(803));
    ::operator delete(::operator new(804), std::size_t{804});
    ::operator delete[](::operator new[](805));
    ::operator delete(::operator new(806, std::nothrow), std::nothrow);
    ::operator delete[](::operator new[](807, std::nothrow));
    ::operator delete(::operator new(960, std::align_val_t{64}), std::align_val_t{64});
    ::operator delete[](::operator new[](768, std::align_val_t{256}, std::nothrow), std::align_val_t{256});
    wide *volatile one = new wide;
    delete one;
}

static bool refused_is_thrown() {
    volatile std::size_t huge = SIZE_MAX / 4;
    try {
        ::operator delete(::operator new(huge));
        return false;
    } catch (const std::bad_alloc &) {
    }
    return ::operator new(huge, std::nothrow) == nullptr;
}

// An argument: the allocator ends the program instead of refusing.
int main(int argc, char **) {
    if (argc < 2 && !refused_is_thrown())
        return 1;
    for (int i = 0; i < 20; i++)
        each_form();
    std::thread([] { thread_local buffer mine; mine.text[0] = 1; }).join();
    std::free(std::malloc(810)); // after an exception: calls are still seen from outside
    return 0;
}
