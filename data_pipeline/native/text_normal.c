/* The normal form in which texts are compared, and the hashes of its shingles.
 *
 * Twins: normal_text/form.py, normalized; normal_text/ngrams.py, shingle_hashes. */
#include "text.h"

#include <string.h>

/* What a table of normal forms says of a code point: a positive number is the word character it
 * becomes, -2 and below is a place in `expansions`, where a length and so many of these stand. */
#define SEPARATOR 0
#define NOT_ALONE (-1)

typedef struct {
    uint8_t *bytes;
    int64_t length;
    int blank;
} output;

static void put(output *out, uint32_t c) {
    uint8_t *to = out->bytes + out->length;
    if (c == SEPARATOR) {
        out->blank = out->length > 0;
        return;
    }
    if (out->blank) {
        *to++ = ' ';
        out->blank = 0;
    }
    if (c < 0x80) {
        *to++ = (uint8_t)c;
    } else if (c < 0x800) {
        *to++ = (uint8_t)(0xC0 | c >> 6);
        *to++ = (uint8_t)(0x80 | (c & 0x3F));
    } else if (c < 0x10000) {
        *to++ = (uint8_t)(0xE0 | c >> 12);
        *to++ = (uint8_t)(0x80 | (c >> 6 & 0x3F));
        *to++ = (uint8_t)(0x80 | (c & 0x3F));
    } else {
        *to++ = (uint8_t)(0xF0 | c >> 18);
        *to++ = (uint8_t)(0x80 | (c >> 12 & 0x3F));
        *to++ = (uint8_t)(0x80 | (c >> 6 & 0x3F));
        *to++ = (uint8_t)(0x80 | (c & 0x3F));
    }
    out->length = to - out->bytes;
}

/* The normal form of a text in UTF-8.
 *
 * text: (size,) code points; forms: (CODE_POINTS,) as above; expansions: lengths of at most 3;
 * bytes: room for 15 bytes a character.
 * Returns how many bytes; -1 where a character's form depends on those around it. */
int64_t headwater_normal_form(const uint32_t *text, int64_t size, const int32_t *forms,
                              const int32_t *expansions, uint8_t *bytes) {
    output out = {.bytes = bytes};
    for (int64_t i = 0; i < size; i++) {
        int32_t form = text[i] < CODE_POINTS ? forms[text[i]] : NOT_ALONE;
        if (form >= 0) {
            put(&out, (uint32_t)form);
        } else if (form == NOT_ALONE) {
            return -1;
        } else {
            const int32_t *expansion = expansions + (-2 - form);
            for (int32_t j = 1; j <= expansion[0]; j++) {
                put(&out, (uint32_t)expansion[j]);
            }
        }
    }
    return out.length;
}

static uint64_t mix(uint64_t value) {
    value ^= value >> 33;
    value *= 0xFF51AFD7ED558CCDu;
    value ^= value >> 33;
    value *= 0xC4CEB9FE1A85EC53u;
    return value ^ value >> 33;
}

/* Thai, Lao, Burmese, Khmer, kana, Han: each character is a word. */
static int is_unspaced(uint32_t c) {
    return (c >= 0x0E01 && c <= 0x0E5B) || (c >= 0x0E81 && c <= 0x0EFF) ||
           (c >= 0x1000 && c <= 0x109F) || (c >= 0x1780 && c <= 0x17FF) ||
           (c >= 0x3041 && c <= 0x30FF) || (c >= 0x3400 && c <= 0x4DBF) ||
           (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x20000 && c <= 0x3FFFF);
}

/* Bytes of the unspaced character at `at`, 0 where there is none. */
static int64_t unspaced_at(const uint8_t *bytes, int64_t at, int64_t size) {
    uint8_t lead = bytes[at];
    if (lead < 0xE0 || lead > 0xF4) {
        return 0;
    }
    int64_t length = lead < 0xF0 ? 3 : 4;
    if (at + length > size) {
        return 0;
    }
    uint32_t c = lead & (lead < 0xF0 ? 0x0F : 0x07);
    for (int64_t i = 1; i < length; i++) {
        c = c << 6 | (bytes[at + i] & 0x3F);
    }
    return is_unspaced(c) ? length : 0;
}

/* Hash of each word: a polynomial in its bytes, mixed. `hashes` has room for size / 2 + 1. */
static int64_t word_hashes(const uint8_t *bytes, int64_t size, uint64_t *hashes) {
    int64_t count = 0, unspaced;
    uint64_t hash = 0;
    int inside = 0;
    for (int64_t i = 0; i < size; i++) {
        unspaced = unspaced_at(bytes, i, size);
        if (inside && (bytes[i] == ' ' || unspaced)) {
            hashes[count++] = mix(hash);
            hash = 0;
            inside = 0;
        }
        if (unspaced) {
            for (int64_t end = i + unspaced; i < end; i++) {
                hash = hash * 0x9E3779B97F4A7C15u + bytes[i];
            }
            i--;
            hashes[count++] = mix(hash);
            hash = 0;
        } else if (bytes[i] != ' ') {
            hash = hash * 0x9E3779B97F4A7C15u + bytes[i];
            inside = 1;
        }
    }
    if (inside) {
        hashes[count++] = mix(hash);
    }
    return count;
}

/* One hash for each run of `ngram_words` words of a normal form, in order.
 *
 * bytes: (size,) UTF-8, words parted by one blank; hashes: room for size / 2 + 1.
 * Returns how many; 0 for fewer words than a shingle has. */
int64_t headwater_shingle_hashes(const uint8_t *bytes, int64_t size, int32_t ngram_words,
                                 uint64_t *hashes) {
    int64_t shingles = word_hashes(bytes, size, hashes) - ngram_words + 1;
    for (int64_t i = 0; i < shingles; i++) {
        uint64_t hash = 0;
        for (int32_t j = 0; j < ngram_words; j++) {
            hash = hash * 0x9E3779B97F4A7C15u + hashes[i + j];
        }
        hashes[i] = mix(hash);
    }
    return shingles > 0 ? shingles : 0;
}
