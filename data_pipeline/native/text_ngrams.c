/* Repetition of word n-grams. Twin: filters/repetition.py, ngram_repetition.
 *
 * An n-gram can stand twice only where the n-gram without its last word does, and only if that word
 * stands twice too: each length looks only at the places the one before left over. */
#include "text_ngrams.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    int32_t num_words;
    const int32_t *ids;
    int64_t *ends;     /* (num_words + 1,) characters of the words before each */
    uint8_t *recurs;   /* (num_words,) whether the word stands twice or more */
    int32_t num_places;
    int32_t *places;   /* first words of the n-grams that are left, ascending */
    int32_t *groups;   /* number of each: equal n-grams have equal ones */
    int32_t *counts;   /* by group */
    int32_t *first;    /* by group, the lowest place */
    uint64_t *keys;    /* (slots,) */
    int32_t *table;    /* (slots,) group of the key, -1: free */
} ngrams;

static int prepare(ngrams *g, const span_list *words, int32_t num_distinct) {
    size_t n = (size_t)words->count + 1, slots = 16;
    while (slots < 2 * n) {
        slots *= 2;
    }
    g->ends = malloc(n * sizeof(int64_t));
    g->recurs = malloc(n);
    g->places = malloc(n * sizeof(int32_t));
    g->groups = malloc(n * sizeof(int32_t));
    g->counts = calloc(n, sizeof(int32_t));
    g->first = malloc(n * sizeof(int32_t));
    g->keys = malloc(slots * sizeof(uint64_t));
    g->table = malloc(slots * sizeof(int32_t));
    if (!g->ends || !g->recurs || !g->places || !g->groups || !g->counts || !g->first ||
        !g->keys || !g->table || num_distinct > words->count) {
        return 1;
    }
    for (int32_t i = 0; i < g->num_words; i++) {
        g->counts[g->ids[i]]++;
    }
    g->ends[0] = 0;
    for (int32_t i = 0; i < g->num_words; i++) {
        g->ends[i + 1] = g->ends[i] + words->at[i].end - words->at[i].start;
        g->recurs[i] = g->counts[g->ids[i]] > 1;
        if (g->recurs[i]) {
            g->places[g->num_places] = i;
            g->groups[g->num_places++] = g->ids[i];
        }
    }
    return 0;
}

/* Leaves the places where an n-gram can recur and groups them anew; gives the highest count. */
static int32_t group_places(ngrams *g, int32_t n) {
    int32_t left = 0, num_groups = 0, highest = 0;
    for (int32_t i = 0; i < g->num_places; i++) {
        int32_t place = g->places[i];
        if (place + n <= g->num_words && g->recurs[place + n - 1]) {
            g->places[left] = place;
            g->groups[left++] = g->groups[i];
        }
    }
    g->num_places = left;
    size_t slots = 16;
    while (slots < 2 * (size_t)left) {
        slots *= 2;
    }
    memset(g->table, 0xFF, slots * sizeof(int32_t));
    for (int32_t i = 0; i < left; i++) {
        uint64_t key = (uint64_t)(uint32_t)g->groups[i] << 32 |
                       (uint32_t)g->ids[g->places[i] + n - 1];
        uint64_t hash = key * 0x9E3779B97F4A7C15u;
        size_t slot = (hash ^ hash >> 32) & (slots - 1);
        while (g->table[slot] >= 0 && g->keys[slot] != key) {
            slot = (slot + 1) & (slots - 1);
        }
        if (g->table[slot] < 0) {
            g->keys[slot] = key;
            g->table[slot] = num_groups;
            g->counts[num_groups] = 0;
            g->first[num_groups++] = g->places[i];
        }
        int32_t group = g->table[slot];
        g->groups[i] = group;
        if (++g->counts[group] > highest) {
            highest = g->counts[group];
        }
    }
    return highest;
}

static int64_t characters(const ngrams *g, int32_t from, int32_t to) {
    return g->ends[to] - g->ends[from];
}

/* The most frequent n-gram; of equals the longest, then the earliest. */
static int32_t top_group(const ngrams *g, int32_t n, int32_t highest) {
    int32_t best = -1;
    int64_t longest = -1;
    for (int32_t i = 0; i < g->num_places; i++) {
        int32_t group = g->groups[i], start = g->first[group];
        if (g->counts[group] == highest && start == g->places[i] &&
            characters(g, start, start + n) > longest) {
            longest = characters(g, start, start + n);
            best = group;
        }
    }
    return best;
}

/* Characters under the n-grams of group `top`, or (-1) under those that stood before. */
static int64_t covered_by(const ngrams *g, int32_t n, int32_t top) {
    int64_t sum = 0;
    int32_t done = 0;
    for (int32_t i = 0; i < g->num_places; i++) {
        int32_t place = g->places[i], group = g->groups[i];
        if (top >= 0 ? group == top : g->first[group] < place) {
            sum += characters(g, place > done ? place : done, place + n);
            done = place + n;
        }
    }
    return sum;
}

static void keep_recurring(ngrams *g) {
    int32_t left = 0;
    for (int32_t i = 0; i < g->num_places; i++) {
        if (g->counts[g->groups[i]] > 1) {
            g->places[left] = g->places[i];
            g->groups[left++] = g->groups[i];
        }
    }
    g->num_places = left;
}

int ngram_repetition(const span_list *words, const int32_t *ids, int32_t num_distinct,
                     int64_t *covered) {
    ngrams g = {.num_words = words->count, .ids = ids};
    int failed = prepare(&g, words, num_distinct);
    for (int32_t n = 2; n <= LONGEST_NGRAM && !failed; n++) {
        int32_t highest = group_places(&g, n);
        if (highest < 2) {
            break;
        }
        int32_t top = n <= LONGEST_TOP_NGRAM ? top_group(&g, n, highest) : -1;
        covered[n - 2] = covered_by(&g, n, top);
        keep_recurring(&g);
    }
    free(g.ends);
    free(g.recurs);
    free(g.places);
    free(g.groups);
    free(g.counts);
    free(g.first);
    free(g.keys);
    free(g.table);
    return failed;
}
