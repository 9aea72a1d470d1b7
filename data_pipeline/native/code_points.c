/* Which block of code points a table does not cover yet. */
#include "text.h"

/* The first code point whose block of 256 is not covered; -1: none, -2: a number is none.
 *
 * covered: (CODE_POINTS / 256,) nonzero where the table is filled. */
int32_t headwater_uncovered(const uint32_t *text, int64_t size, const uint8_t *covered) {
    for (int64_t i = 0; i < size; i++) {
        if (text[i] >= CODE_POINTS) {
            return -2;
        }
        if (!covered[text[i] >> 8]) {
            return (int32_t)text[i];
        }
    }
    return -1;
}
