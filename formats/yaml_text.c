#include "formats/yaml_text.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/base/utf8.h"
#include "formats/base64.h"

enum { WRAP_COLUMNS = 100 };

/* What a text is made of decides how it can be written. */
struct texture {
    bool utf8;
    bool printable; /* nothing that YAML can only write escaped, newlines apart */
    bool newline;
    size_t bytes;
};

static struct texture texture_of(const char *text) {
    struct texture texture = {.utf8 = true, .printable = true, .bytes = strlen(text)};
    for (const char *at = text; *at;) {
        uint32_t point;
        size_t bytes = utf8_decode(at, &point);
        if (!bytes) {
            texture.utf8 = texture.printable = false;
            break;
        }
        if (point == '\n')
            texture.newline = true;
        else if (!utf8_is_printable(point))
            texture.printable = false;
        at += bytes;
    }
    return texture;
}

/* Words that YAML readers (of 1.1 or 1.2) take for something else than text. */
static bool word_is_reserved(const char *text) {
    static const char *const words[] = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcasecmp(text, words[i]) == 0)
            return true;
    return false;
}

static bool char_is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Plain text needs no quotes: begins with a letter, ends with no blank, and has nothing that could mean something. */
static bool text_is_plain(const char *text, size_t bytes) {
    static const char harmless[] = "0123456789 _-./+=@()<>;$^~";
    if (!char_is_letter(text[0]) || text[bytes - 1] == ' ' || word_is_reserved(text) || bytes > WRAP_COLUMNS)
        return false;
    for (size_t i = 0; i < bytes; i++)
        if (!char_is_letter(text[i]) && !strchr(harmless, text[i]))
            return false;
    return true;
}

static void quoted_write(FILE *out, const char *text) {
    fputc('"', out);
    while (*text) {
        uint32_t point;
        size_t bytes = utf8_decode(text, &point);
        if (point == '"' || point == '\\')
            fprintf(out, "\\%c", (char)point);
        else if (point == '\n')
            fputs("\\n", out);
        else if (point == '\t')
            fputs("\\t", out);
        else if (utf8_is_printable(point))
            fwrite(text, 1, bytes, out);
        else if (point <= 0xff)
            fprintf(out, "\\x%02" PRIX32, point);
        else
            fprintf(out, point <= 0xffff ? "\\u%04" PRIX32 : "\\U%08" PRIX32, point);
        text += bytes;
    }
    fputs("\"\n", out);
}

/* Lines as they are; the sign says how many newlines end the text: none, one, more. */
static void literal_write(FILE *out, const char *text, size_t bytes, int indent) {
    size_t newlines = 0;
    while (newlines < bytes && text[bytes - 1 - newlines] == '\n')
        newlines++;
    fputs(newlines == 0 ? "|-\n" : newlines == 1 ? "|\n" : "|+\n", out);
    for (const char *end = text + bytes; text < end;) {
        const char *stop = strchr(text, '\n');
        size_t length = stop ? (size_t)(stop - text) : (size_t)(end - text);
        if (length)
            fprintf(out, "%*s", indent, "");
        fwrite(text, 1, length, out);
        fputc('\n', out);
        text += length + (stop != NULL);
    }
}

/* One long line, folded at single blanks. */
static void folded_write(FILE *out, const char *text, int indent) {
    fputs(">-\n", out);
    while (*text) {
        size_t length = strlen(text);
        if (length > WRAP_COLUMNS) {
            size_t at = WRAP_COLUMNS;
            while (at && text[at] != ' ')
                at--;
            if (!at)
                at = strcspn(text, " ");
            length = at;
        }
        fprintf(out, "%*s", indent, "");
        fwrite(text, 1, length, out);
        fputc('\n', out);
        text += length + (text[length] == ' ');
    }
}

static bool text_is_foldable(const char *text) {
    return !strstr(text, "  ") && text[strlen(text) - 1] != ' ';
}

static enum err binary_write(FILE *out, const char *text, size_t bytes) {
    char *encoded = malloc((bytes + 2) / 3 * 4 + 1);
    if (!encoded)
        return ERR_NOMEM;
    base64_encode(text, bytes, encoded);
    fprintf(out, "!!binary \"%s\"\n", encoded);
    free(encoded);
    return ERR_OK;
}

enum err yaml_text_write(FILE *out, const char *text, int indent) {
    struct texture texture = texture_of(text);
    bool can_block = texture.printable && texture.bytes && text[0] != ' ' && text[0] != '\n';
    if (!texture.utf8)
        return binary_write(out, text, texture.bytes);
    if (can_block && texture.newline)
        literal_write(out, text, texture.bytes, indent);
    else if (can_block && texture.bytes > WRAP_COLUMNS && text_is_foldable(text))
        folded_write(out, text, indent);
    else if (texture.bytes && text_is_plain(text, texture.bytes))
        fprintf(out, "%s\n", text);
    else
        quoted_write(out, text);
    return ERR_OK;
}
