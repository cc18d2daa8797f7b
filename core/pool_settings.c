/* Settings as text, both ways, from one table. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/nearest.h"
#include "core/base/units.h"
#include "core/pool_config.h"

/* How a value is read and written. */
enum setting_kind { KIND_SIZE, KIND_COUNT, KIND_WORD, KIND_RESIDUES, KIND_BITS };

enum { WORDS_MAX = 5, VALUE_BYTES = POOL_CONFIG_TEXT_BYTES };

struct setting {
    struct pool_setting shown;
    enum setting_kind kind;
    size_t offset;                    /* of the member of struct pool_config */
    const char *words[WORDS_MAX + 1]; /* of an enum, in its order */
};

#define AT(member) offsetof(struct pool_config, member)

/* clang-format off */
static const struct setting settings[] = {
    {{"arena", "SIZE", "larger arenas need fewer system calls and are harder to drain"}, KIND_SIZE, AT(arena_bytes), {NULL}},
    {{"pool", "SIZE", "larger pools lose less to headers and rests, and hold more free blocks of rare classes"}, KIND_SIZE, AT(pool_bytes), {NULL}},
    {{"align", "SIZE", "finer classes round less; C promises 16 on 64 bits"}, KIND_SIZE, AT(align_bytes), {NULL}},
    {{"threshold", "SIZE", "which requests are small: served here and not by the raw layer"}, KIND_SIZE, AT(threshold_bytes), {NULL}},
    {{"keep", "N", "how many empty arenas may wait for use: fewer system calls against memory held"}, KIND_COUNT, AT(keep_count), {NULL}},
    {{"order", "fullest|linear|emptiest|address", "which arena is filled first decides which ones can drain"}, KIND_WORD, AT(order), {"fullest", "linear", "emptiest", "address"}},
    {{"reentry", "front|back", "at the front a full pool serves its first free block at once; at the back it gathers several"}, KIND_WORD, AT(reentry), {"front", "back"}},
    {{"headers", "pool|side", "headers at equal steps of a pool meet in the same cache sets; in a table they do not"}, KIND_WORD, AT(headers), {"pool", "side"}},
    {{"residues", "auto|trace|0|LIST", "where arenas begin within a pool, in turn: one that is not aligned loses a pool"}, KIND_RESIDUES, 0, {NULL}},
    {{"source", "mmap|malloc", "whether an arena that is given back goes to the system or to malloc"}, KIND_WORD, AT(source), {"mmap", "malloc"}},
    {{"hugepages", "no|advise|map", "fewer address translations against memory in larger pieces (CPython 3.15, arenas of 2M)"}, KIND_WORD, AT(hugepages), {"no", "advise", "map"}},
    {{"bits", "64", "the size of a pointer; 32 cannot be had in a process of 64"}, KIND_BITS, 0, {NULL}},
};
/* clang-format on */

enum { SETTING_COUNT = sizeof settings / sizeof settings[0] };

const struct pool_setting *pool_setting_at(size_t index) {
    return index < SETTING_COUNT ? &settings[index].shown : NULL;
}

/* ---- text to settings ---- */

static enum err value_refuse(const struct setting *setting, const char *value, struct diag *diag) {
    return diag_set(diag, ERR_USAGE, NULL, "pool: %s=%s: expected %s", setting->shown.key, value,
                    setting->shown.values);
}

static enum err size_parse(const struct setting *setting, const char *value, struct pool_config *config,
                           struct diag *diag) {
    uint64_t bytes;
    if (units_parse_bytes(value, &bytes))
        return value_refuse(setting, value, diag);
    *(size_t *)((char *)config + setting->offset) = bytes;
    return ERR_OK;
}

static enum err count_parse(const struct setting *setting, const char *value, struct pool_config *config,
                            struct diag *diag) {
    uint64_t count;
    if (units_parse_u64(value, &count) || count > UINT32_MAX)
        return value_refuse(setting, value, diag);
    *(uint32_t *)((char *)config + setting->offset) = (uint32_t)count;
    return ERR_OK;
}

static enum err word_parse(const struct setting *setting, const char *value, struct pool_config *config,
                           struct diag *diag) {
    for (uint8_t i = 0; setting->words[i]; i++)
        if (strcmp(setting->words[i], value) == 0) {
            *((uint8_t *)config + setting->offset) = i;
            return ERR_OK;
        }
    return value_refuse(setting, value, diag);
}

/* One residue: hexadecimal behind 0x, or a size. @return false for anything else. */
static bool residue_parse(const char *text, uint32_t *out) {
    uint64_t bytes;
    if (strncmp(text, "0x", 2) == 0) {
        if (!text[2] || strlen(text) > 2 + 8 || text[2 + strspn(text + 2, "0123456789abcdefABCDEF")])
            return false;
        bytes = strtoull(text + 2, NULL, 16);
    } else if (units_parse_bytes(text, &bytes) || bytes > UINT32_MAX) {
        return false;
    }
    *out = (uint32_t)bytes;
    return true;
}

static enum err residues_parse(const struct setting *setting, const char *value, struct pool_config *config,
                               struct diag *diag) {
    char list[VALUE_BYTES];
    uint32_t count = 0, residues[POOL_RESIDUES_MAX] = {0};
    config->residue_count = 0;
    config->residues = POOL_RESIDUES_AUTO;
    if (strcmp(value, "auto") == 0)
        return ERR_OK;
    if (strcmp(value, "trace") == 0) {
        config->residues = POOL_RESIDUES_TRACE;
        return ERR_OK;
    }
    snprintf(list, sizeof list, "%s", value);
    for (char *text = list; text; count++) {
        char *plus = strchr(text, '+');
        if (plus)
            *plus++ = '\0';
        if (count == POOL_RESIDUES_MAX)
            return diag_set(diag, ERR_USAGE, NULL, "pool: residues: at most %d of them", POOL_RESIDUES_MAX);
        if (!residue_parse(text, &residues[count]))
            return diag_set(diag, ERR_USAGE, NULL,
                            "pool: residues=%s: expected auto, trace, 0 or sizes as 0x1000+0x3000+0", value);
        text = plus;
    }
    /* Always aligned is what no list means. */
    if (count == 1 && !residues[0])
        config->residues = POOL_RESIDUES_NONE;
    else
        config->residue_count = count;
    memcpy(config->residues_bytes, residues, sizeof residues);
    (void)setting;
    return ERR_OK;
}

static enum err bits_parse(const struct setting *setting, const char *value, struct pool_config *config,
                           struct diag *diag) {
    (void)config;
    if (strcmp(value, "64") == 0)
        return ERR_OK;
    if (strcmp(value, "32") != 0)
        return value_refuse(setting, value, diag);
    return diag_set(diag, ERR_UNSUPPORTED, NULL,
                    "pool: bits=32 cannot be had: a header there has pointers of 4 bytes, a process of 64 bits has "
                    "none, and requests recorded on 64 bits are not those of 32");
}

static enum err setting_parse(const struct setting *setting, const char *value, struct pool_config *config,
                              struct diag *diag) {
    static enum err (*const parsers[])(const struct setting *, const char *, struct pool_config *, struct diag *) = {
        [KIND_SIZE] = size_parse,         [KIND_COUNT] = count_parse, [KIND_WORD] = word_parse,
        [KIND_RESIDUES] = residues_parse, [KIND_BITS] = bits_parse,
    };
    return parsers[setting->kind](setting, value, config, diag);
}

static enum err key_unknown(const char *key, struct diag *diag) {
    const char *keys[SETTING_COUNT];
    for (size_t i = 0; i < SETTING_COUNT; i++)
        keys[i] = settings[i].shown.key;
    const char *nearest = word_nearest(key, keys, SETTING_COUNT);
    if (nearest)
        return diag_set(diag, ERR_USAGE, NULL, "pool: unknown setting '%s'; did you mean '%s'?", key, nearest);
    return diag_set(diag, ERR_USAGE, NULL, "pool: unknown setting '%s'; 'mmreplay allocators' lists them", key);
}

static enum err profile_unknown(const char *name, struct diag *diag) {
    char names[256] = "";
    for (size_t i = 0, used = 0; pool_profile_at(i) && used < sizeof names; i++)
        used += (size_t)snprintf(names + used, sizeof names - used, " %s", pool_profile_at(i)->config.name);
    return diag_set(diag, ERR_USAGE, NULL, "no pool profile '%s'; there are%s, and settings as key=value", name, names);
}

/* A parse under way. */
struct parse {
    struct pool_config config;
    uint32_t seen; /* a bit per setting */
};

static const struct setting *setting_find(const char *key) {
    for (size_t i = 0; i < SETTING_COUNT; i++)
        if (strcmp(settings[i].shown.key, key) == 0)
            return &settings[i];
    return NULL;
}

static bool setting_seen(const struct parse *parse, const char *key) {
    return parse->seen >> (setting_find(key) - settings) & 1;
}

static enum err pair_take(struct parse *parse, char *key, const char *value, struct diag *diag) {
    const struct setting *setting = setting_find(key);
    if (!setting)
        return key_unknown(key, diag);
    if (setting_seen(parse, key))
        return diag_set(diag, ERR_USAGE, NULL, "pool: %s is given twice", key);
    parse->seen |= 1u << (setting - settings);
    return setting_parse(setting, value, &parse->config, diag);
}

/* @param first it may be a profile. */
static enum err item_take(struct parse *parse, char *item, bool first, struct diag *diag) {
    char *value = strchr(item, '=');
    if (value) {
        *value = '\0';
        return pair_take(parse, item, value + 1, diag);
    }
    if (strcmp(item, "hugepages") == 0)
        return pair_take(parse, item, "advise", diag);
    if (!first)
        return setting_find(item) ? diag_set(diag, ERR_USAGE, NULL, "pool: %s needs a value: %s=%s", item, item,
                                             setting_find(item)->shown.values)
                                  : key_unknown(item, diag);
    const struct pool_config *profile = pool_profile_find(item);
    if (!profile)
        return profile_unknown(item, diag);
    parse->config = *profile;
    return ERR_OK;
}

static enum err items_take(struct parse *parse, char *text, struct diag *diag) {
    for (bool first = true; text; first = false) {
        char *comma = strchr(text, ',');
        if (comma)
            *comma++ = '\0';
        if (!*text)
            return diag_set(diag, ERR_USAGE, NULL, "pool: an empty setting");
        enum err err = item_take(parse, text, first, diag);
        if (err)
            return err;
        text = comma;
    }
    return ERR_OK;
}

enum err pool_config_parse(const char *text, struct pool_config *out, struct diag *diag) {
    struct parse parse = {.config = *pool_profile_find(pool_profile_default)};
    char items[POOL_CONFIG_TEXT_BYTES];
    if (strlen(text) >= sizeof items)
        return diag_set(diag, ERR_USAGE, NULL, "pool: settings of more than %zu characters", sizeof items - 1);
    snprintf(items, sizeof items, "%s", text);
    enum err err = *text ? items_take(&parse, items, diag) : ERR_OK;
    /* Huge pages come with the arenas they have in CPython. */
    if (!err && parse.config.hugepages && !setting_seen(&parse, "arena"))
        parse.config.arena_bytes = 2 << 20;
    if (!err)
        err = pool_config_check(&parse.config, diag);
    if (!err)
        *out = parse.config;
    return err;
}

/* ---- settings to text ---- */

/* `16K`, `1M`: the largest unit that leaves no rest. */
static void size_format(size_t bytes, char *value) {
    static const char units[] = {'\0', 'K', 'M', 'G'};
    unsigned unit = 0;
    for (; bytes && bytes % 1024 == 0 && unit < sizeof units - 1; unit++)
        bytes /= 1024;
    snprintf(value, VALUE_BYTES, "%zu%.1s", bytes, unit ? &units[unit] : "");
}

static void residues_format(const struct pool_config *config, char *value) {
    static const char *const words[POOL_RESIDUES_COUNT] = {"auto", "0", "trace"};
    size_t used = (size_t)snprintf(value, VALUE_BYTES, "%s", config->residue_count ? "" : words[config->residues]);
    for (uint32_t i = 0; i < config->residue_count; i++)
        used += (size_t)snprintf(value + used, VALUE_BYTES - used, "%s%#x", i ? "+" : "", config->residues_bytes[i]);
}

static void setting_format(const struct setting *setting, const struct pool_config *config, char *value) {
    const char *member = (const char *)config + setting->offset;
    switch (setting->kind) {
    case KIND_SIZE:
        size_format(*(const size_t *)member, value);
        break;
    case KIND_COUNT:
        snprintf(value, VALUE_BYTES, "%u", *(const uint32_t *)member);
        break;
    case KIND_WORD:
        snprintf(value, VALUE_BYTES, "%s", setting->words[*(const uint8_t *)member]);
        break;
    case KIND_RESIDUES:
        residues_format(config, value);
        break;
    case KIND_BITS:
        snprintf(value, VALUE_BYTES, "64");
        break;
    }
}

bool pool_setting_is_choice(size_t index) {
    return settings[index].kind == KIND_WORD || settings[index].kind == KIND_RESIDUES;
}

const char *pool_setting_value(size_t index, const struct pool_config *config, char buffer[POOL_CONFIG_TEXT_BYTES]) {
    setting_format(&settings[index], config, buffer);
    return buffer;
}

static size_t text_append(char *buffer, size_t used, const char *separator, const char *key, const char *value) {
    if (used >= POOL_CONFIG_TEXT_BYTES)
        return used;
    return used +
           (size_t)snprintf(buffer + used, POOL_CONFIG_TEXT_BYTES - used, "%s%s=%s", used ? separator : "", key, value);
}

const char *pool_config_format(const struct pool_config *config, char buffer[POOL_CONFIG_TEXT_BYTES]) {
    const struct pool_config *profile = config->name ? pool_profile_find(config->name) : NULL;
    size_t used = profile ? (size_t)snprintf(buffer, POOL_CONFIG_TEXT_BYTES, "%s", profile->name) : 0;
    buffer[used] = '\0';
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        char value[VALUE_BYTES], usual[VALUE_BYTES];
        setting_format(&settings[i], config, value);
        if (profile)
            setting_format(&settings[i], profile, usual);
        if (!profile || strcmp(value, usual) != 0)
            used = text_append(buffer, used, ",", settings[i].shown.key, value);
    }
    return buffer;
}

const char *pool_config_describe(const struct pool_config *config, char buffer[POOL_CONFIG_TEXT_BYTES]) {
    size_t used = 0;
    buffer[0] = '\0';
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        char value[VALUE_BYTES];
        setting_format(&settings[i], config, value);
        if (settings[i].kind != KIND_BITS)
            used = text_append(buffer, used, " ", settings[i].shown.key, value);
    }
    return buffer;
}
