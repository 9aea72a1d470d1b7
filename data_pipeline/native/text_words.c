/* Which words of a list stand in a text. Twin: filters/text_counts.py, words_among. */
#include "text.h"

#include <string.h>

#define LONGEST_LISTED 32
#define SLOTS 4096

static uint32_t hash_of(const uint32_t *word, int32_t length) {
    uint32_t hash = 2166136261u;
    for (int32_t i = 0; i < length; i++) {
        hash = (hash ^ word[i]) * 16777619u;
    }
    return hash ^ hash >> 15;
}

/* Slot of a listed word, or the free slot where it would stand. */
static uint32_t slot_of(const int16_t *table, const uint32_t *list, const int32_t *places,
                        const uint32_t *word, int32_t length) {
    uint32_t slot = hash_of(word, length) & (SLOTS - 1);
    while (table[slot] >= 0) {
        const int32_t *place = places + 2 * table[slot];
        if (place[1] - place[0] == length &&
            !memcmp(list + place[0], word, (size_t)length * sizeof(uint32_t))) {
            break;
        }
        slot = (slot + 1) & (SLOTS - 1);
    }
    return slot;
}

/* Marks the listed words that stand in the text in any case, between marks that are STRIPPED.
 *
 * text, flags: as in text_stats.c, every number a code point; words: (num_words, 2) start and end
 * of each; lower: (CODE_POINTS,) lower case of each; list, places: (num_listed, 2) the listed
 * words, of at most LONGEST_LISTED characters; hits: (num_listed,) zeros, filled.
 * Returns 0; 1 where the list is too long. */
int32_t headwater_listed_words(const uint32_t *text, const int32_t *words, int32_t num_words,
                               const uint16_t *flags, const uint32_t *lower,
                               const uint32_t *list, const int32_t *places, int32_t num_listed,
                               uint8_t *hits) {
    int16_t table[SLOTS];
    uint32_t word[LONGEST_LISTED];
    if (num_listed > SLOTS / 2) {
        return 1;
    }
    memset(table, 0xFF, sizeof table); /* -1: free */
    for (int32_t i = 0; i < num_listed; i++) {
        const uint32_t *listed = list + places[2 * i];
        table[slot_of(table, list, places, listed, places[2 * i + 1] - places[2 * i])] =
            (int16_t)i;
    }
    for (int32_t i = 0; i < num_words; i++) {
        int32_t start = words[2 * i], end = words[2 * i + 1];
        while (start < end && flags[text[start]] & STRIPPED) {
            start++;
        }
        while (end > start && flags[text[end - 1]] & STRIPPED) {
            end--;
        }
        if (start == end || end - start > LONGEST_LISTED) {
            continue;
        }
        for (int32_t j = start; j < end; j++) {
            word[j - start] = lower[text[j]];
        }
        int16_t found = table[slot_of(table, list, places, word, end - start)];
        if (found >= 0) {
            hits[found] = 1;
        }
    }
    return 0;
}
