#include "formats/base64.h"

#include <stdint.h>
#include <string.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(const char *from, size_t bytes, char *to) {
    const uint8_t *in = (const uint8_t *)from;
    for (size_t i = 0; i < bytes; i += 3) {
        uint32_t group = (uint32_t)in[i] << 16;
        if (i + 1 < bytes)
            group |= (uint32_t)in[i + 1] << 8;
        if (i + 2 < bytes)
            group |= in[i + 2];
        *to++ = digits[group >> 18];
        *to++ = digits[group >> 12 & 63];
        *to++ = i + 1 < bytes ? digits[group >> 6 & 63] : '=';
        *to++ = i + 2 < bytes ? digits[group & 63] : '=';
    }
    *to = '\0';
}

enum err base64_decode(char *text, size_t *bytes) {
    uint32_t group = 0;
    unsigned held = 0, pads = 0;
    size_t made = 0;
    for (const char *at = text; *at; at++) {
        const char *digit = strchr(digits, *at);
        if (*at == ' ' || *at == '\n')
            continue;
        if (*at == '=' && held + pads >= 2 && held + pads < 4) {
            pads++;
            continue;
        }
        if (!digit || pads)
            return ERR_FORMAT;
        group = group << 6 | (uint32_t)(digit - digits);
        if (++held == 4) {
            text[made++] = (char)(group >> 16);
            text[made++] = (char)(group >> 8);
            text[made++] = (char)group;
            held = 0, group = 0;
        }
    }
    if (held + pads != 0 && held + pads != 4)
        return ERR_FORMAT;
    if (held >= 2)
        text[made++] = (char)(group >> (held == 2 ? 4 : 10));
    if (held == 3)
        text[made++] = (char)(group >> 2);
    *bytes = made;
    return ERR_OK;
}
