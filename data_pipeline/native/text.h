/* Texts as arrays of code points, and what the tables that Python makes say of a code point. */
#ifndef HEADWATER_TEXT_H
#define HEADWATER_TEXT_H

#include "library.h"

#define CODE_POINTS 0x110000u

/* Bits of filters/code_points.py; the order is the same. */
enum {
    SPACE = 1 << 0,
    UNSPACED = 1 << 1,
    LETTER = 1 << 2,
    ALPHANUMERIC = 1 << 3,
    TERMINAL = 1 << 4,
    SENTENCE_END = 1 << 5,
    CLOSING = 1 << 6,
    BULLET = 1 << 7,
    STRIPPED = 1 << 8,
    LOWERS_ODDLY = 1 << 9,
};

/* A stretch of a text. */
typedef struct {
    int32_t start;
    int32_t end;
} span;

/* Spans in a block that grows. */
typedef struct {
    span *at;
    int32_t count;
    int32_t room;
} span_list;

/* Nonzero where the memory is used up. */
int span_push(span_list *list, int32_t start, int32_t end);

/* Gives equal spans equal numbers in order of first appearance.
 * ids: (count,) number of each; first: (count,) for each number the span that had it first.
 * Returns how many numbers were given, -1 where memory is used up. */
int32_t number_spans(const uint32_t *text, const span_list *list, int32_t *ids, int32_t *first);

/* Whether `word` (lower-case ASCII) stands at `at`, in any case of ASCII letters. */
int stands_at(const uint32_t *text, int32_t at, int32_t end, const char *word);

#endif
