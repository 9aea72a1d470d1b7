/* Spans of a text, and numbering equal ones. */
#include "text.h"

#include <stdlib.h>
#include <string.h>

int span_push(span_list *list, int32_t start, int32_t end) {
    if (list->count == list->room) {
        int32_t room = list->room ? 2 * list->room : 256;
        span *grown = realloc(list->at, (size_t)room * sizeof(span));
        if (!grown) {
            return 1;
        }
        list->at = grown;
        list->room = room;
    }
    list->at[list->count].start = start;
    list->at[list->count].end = end;
    list->count++;
    return 0;
}

static uint64_t span_hash(const uint32_t *text, span part) {
    uint64_t hash = 0x9E3779B97F4A7C15u;
    for (int32_t i = part.start; i < part.end; i++) {
        hash = (hash ^ text[i]) * 0xFF51AFD7ED558CCDu;
        hash ^= hash >> 32;
    }
    return hash;
}

static int spans_equal(const uint32_t *text, span a, span b) {
    size_t length = (size_t)(a.end - a.start);
    return a.end - a.start == b.end - b.start &&
           !memcmp(text + a.start, text + b.start, length * sizeof(uint32_t));
}

int32_t number_spans(const uint32_t *text, const span_list *list, int32_t *ids, int32_t *first) {
    size_t slots = 16;
    while (slots < 2 * (size_t)list->count) {
        slots *= 2;
    }
    int32_t *table = malloc(slots * sizeof(int32_t));
    if (!table) {
        return -1;
    }
    memset(table, 0xFF, slots * sizeof(int32_t)); /* -1: free */
    int32_t given = 0;
    for (int32_t i = 0; i < list->count; i++) {
        size_t slot = span_hash(text, list->at[i]) & (slots - 1);
        while (table[slot] >= 0 && !spans_equal(text, list->at[first[table[slot]]], list->at[i])) {
            slot = (slot + 1) & (slots - 1);
        }
        if (table[slot] < 0) {
            first[given] = i;
            table[slot] = given++;
        }
        ids[i] = table[slot];
    }
    free(table);
    return given;
}

int stands_at(const uint32_t *text, int32_t at, int32_t end, const char *word) {
    for (; *word; word++, at++) {
        if (at >= end) {
            return 0;
        }
        uint32_t c = text[at];
        if (c >= 'A' && c <= 'Z') {
            c += 'a' - 'A';
        }
        if (c != (unsigned char)*word) {
            return 0;
        }
    }
    return 1;
}
