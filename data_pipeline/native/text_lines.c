/* Takes lines out of a text by the rules of C4. Twin: filters/c4_lines.py. */
#include "text.h"

typedef struct {
    int32_t min_words;
    int32_t removes_unterminated;
    int32_t removes_javascript;
} line_rules;

static int32_t words_in(const uint32_t *text, const uint16_t *flags, int32_t start, int32_t end) {
    int32_t words = 0;
    int inside = 0;
    for (int32_t i = start; i < end; i++) {
        uint16_t bits = flags[text[i]];
        if (bits & SPACE) {
            inside = 0;
        } else if (bits & UNSPACED) {
            words++;
            inside = 0;
        } else {
            words += !inside;
            inside = 1;
        }
    }
    return words;
}

static int speaks_of_javascript(const uint32_t *text, int32_t start, int32_t end) {
    for (int32_t i = start; i < end; i++) {
        if ((text[i] | 0x20) == 'j' && stands_at(text, i, end, "javascript")) {
            return 1;
        }
    }
    return 0;
}

static int removes(const uint32_t *text, const uint16_t *flags, const line_rules *rules,
                   int32_t start, int32_t end) {
    return (rules->removes_unterminated && !(flags[text[end - 1]] & TERMINAL)) ||
           words_in(text, flags, start, end) < rules->min_words ||
           (rules->removes_javascript && speaks_of_javascript(text, start, end));
}

/* Adds a line; of several blank ones the first stays, and none at the beginning. */
static int32_t add_line(uint32_t *out, int32_t length, const uint32_t *line, int32_t size) {
    if (!size && (!length || (length >= 2 && out[length - 2] == '\n'))) {
        return length;
    }
    for (int32_t i = 0; i < size; i++) {
        out[length++] = line[i];
    }
    out[length++] = '\n';
    return length;
}

/* The text without the faulty lines.
 *
 * text: (size,) code points; out: (size + 1,) filled; removed: (2,) lines and their characters.
 * Returns the length of `out`; -1 where a number is no code point. */
int32_t headwater_remove_lines(const uint32_t *text, int32_t size, const uint16_t *flags,
                               int32_t min_words, int32_t removes_unterminated,
                               int32_t removes_javascript, uint32_t *out, int64_t *removed) {
    const line_rules rules = {min_words, removes_unterminated, removes_javascript};
    int32_t length = 0, begin = 0, first = -1, last = -1;
    for (int32_t i = 0; i <= size; i++) {
        if (i < size && text[i] != '\n') {
            if (text[i] >= CODE_POINTS) {
                return -1;
            }
            if (!(flags[text[i]] & SPACE)) {
                first = first < 0 ? i : first;
                last = i;
            }
            continue;
        }
        if (first < 0) {
            length = add_line(out, length, text + begin, 0);
        } else if (removes(text, flags, &rules, first, last + 1)) {
            removed[0]++;
            removed[1] += i - begin;
        } else {
            length = add_line(out, length, text + begin, i - begin);
        }
        begin = i + 1;
        first = -1;
    }
    while (length && out[length - 1] == '\n') {
        length--;
    }
    return length;
}
