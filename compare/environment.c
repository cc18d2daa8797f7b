#include "compare/environment.h"

#include <gnu/libc-version.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

/* The first line of a small file, without its newline; "" when it cannot be read. */
static bool line_read(const char *path, char *buffer, size_t buffer_bytes) {
    FILE *file = fopen(path, "re");
    buffer[0] = '\0';
    if (!file)
        return false;
    bool got = fgets(buffer, (int)buffer_bytes, file);
    fclose(file);
    buffer[strcspn(buffer, "\n")] = '\0';
    return got;
}

/* The bracketed one of "always [madvise] never". */
static void choice_take(const char *line, char *buffer, size_t buffer_bytes) {
    const char *open = strchr(line, '[');
    if (open)
        snprintf(buffer, buffer_bytes, "%.*s", (int)strcspn(open + 1, "]"), open + 1);
}

static void cpuinfo_read(struct environment *out) {
    char line[4096];
    FILE *file = fopen("/proc/cpuinfo", "re");
    while (file && fgets(line, sizeof line, file)) {
        char *value = strchr(line, ':');
        if (!value)
            continue;
        value[strcspn(value, "\n")] = '\0';
        if (!out->cpu[0] && strncmp(line, "model name", 10) == 0)
            snprintf(out->cpu, sizeof out->cpu, "%.127s", value + 2);
        if (strncmp(line, "flags", 5) == 0) {
            out->virtual_machine = strstr(value, " hypervisor") != NULL;
            break;
        }
    }
    if (file)
        fclose(file);
}

static void clock_policy_read(int cpu, struct environment *out) {
    char path[128];
    char line[64];
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/cpufreq/scaling_governor", cpu < 0 ? 0 : cpu);
    line_read(path, out->governor, sizeof out->governor);
    if (line_read("/sys/devices/system/cpu/intel_pstate/no_turbo", line, sizeof line))
        snprintf(out->turbo, sizeof out->turbo, "%s", line[0] == '0' ? "on" : "off");
    else if (line_read("/sys/devices/system/cpu/cpufreq/boost", line, sizeof line))
        snprintf(out->turbo, sizeof out->turbo, "%s", line[0] == '1' ? "on" : "off");
}

/* What glibc, jemalloc, mimalloc and tcmalloc read; an entry that ends in '_' stands for all that begin so. */
static bool steers_an_allocator(const char *entry) {
    static const char *const names[] = {
        "MALLOC_",   "GLIBC_TUNABLES=", "JE_MALLOC_CONF=", "_RJEM_MALLOC_CONF=", "MIMALLOC_",
        "TCMALLOC_", "HOARD_",          "SNMALLOC_",       "SCUDO_OPTIONS="};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strncmp(entry, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

static void settings_read(struct environment *out) {
    size_t used = 0;
    for (char **entry = environ; entry && *entry; entry++) {
        if (!steers_an_allocator(*entry))
            continue;
        int length = snprintf(out->settings + used, sizeof out->settings - used, "%s%s", used ? " " : "", *entry);
        if (length < 0 || (size_t)length >= sizeof out->settings - used)
            return;
        used += (size_t)length;
    }
}

static void memory_read(struct environment *out) {
    char line[256];
    unsigned long long kib;
    FILE *file = fopen("/proc/meminfo", "re");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1)
            out->memory_available_bytes = (uint64_t)kib * 1024;
    if (file)
        fclose(file);
}

static void system_read(struct environment *out) {
    struct utsname name;
    if (!uname(&name)) {
        snprintf(out->host, sizeof out->host, "%s", name.nodename);
        snprintf(out->kernel, sizeof out->kernel, "%s %s %s", name.sysname, name.release, name.machine);
    }
    snprintf(out->libc, sizeof out->libc, "glibc %s", gnu_get_libc_version());
#ifdef __clang__
    snprintf(out->compiler, sizeof out->compiler, "%s", __VERSION__);
#else
    snprintf(out->compiler, sizeof out->compiler, "gcc %s", __VERSION__);
#endif
    time_t now = time(NULL);
    struct tm utc;
    gmtime_r(&now, &utc);
    strftime(out->started, sizeof out->started, "%Y-%m-%dT%H:%M:%SZ", &utc);
}

void environment_read(int pinned_cpu, struct environment *out) {
    char line[256];
    memset(out, 0, sizeof *out);
    out->pinned_cpu = pinned_cpu;
    system_read(out);
    cpuinfo_read(out);
    memory_read(out);
    clock_policy_read(pinned_cpu, out);
    settings_read(out);
    if (line_read("/sys/kernel/mm/transparent_hugepage/enabled", line, sizeof line))
        choice_take(line, out->thp, sizeof out->thp);
    out->has_load = getloadavg(&out->load_average, 1) == 1;
    out->cpu_count = (int)sysconf(_SC_NPROCESSORS_ONLN);
}

int environment_cpu_choose(void) {
    cpu_set_t cpus;
    if (sched_getaffinity(0, sizeof cpus, &cpus))
        return -1;
    for (int cpu = CPU_SETSIZE - 1; cpu >= 0; cpu--)
        if (CPU_ISSET(cpu, &cpus))
            return cpu;
    return -1;
}

bool environment_cpu_allowed(uint64_t cpu) {
    cpu_set_t cpus;
    return cpu < CPU_SETSIZE && !sched_getaffinity(0, sizeof cpus, &cpus) && CPU_ISSET((size_t)cpu, &cpus);
}
