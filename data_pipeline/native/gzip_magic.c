/* Where the next gzip member may begin: the magic bytes 1f 8b 08. */
#include <string.h>

#include "library.h"

/* Place of the first magic in data[start:end], or -1. */
int64_t headwater_find_gzip_magic(const uint8_t *data, int64_t start, int64_t end) {
    while (start >= 0 && start + 3 <= end) {
        const uint8_t *found = memchr(data + start, 0x1f, (size_t)(end - start - 2));
        if (found == NULL) return -1;
        if (found[1] == 0x8b && found[2] == 0x08) return found - data;
        start = found - data + 1;
    }
    return -1;
}
