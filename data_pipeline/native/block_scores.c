/* Scores of a page's text blocks by boosted trees, and numbers of what scores stand around a block.
 *
 * Whole numbers throughout, so that block_scores_twin.py gives the same.
 */
#include <stdlib.h>

#include "library.h"

enum { BLOCK_COLUMNS = 21, ELEMENT_COLUMNS = 9, B_ELEMENT = 2, B_CHARS = 3 };
enum { E_PARENT = 0, E_FIRST = 3, E_END = 4, E_DEPTH = 5, E_PATH = 6 };
enum { REACH = 3, LEVELS = 4, AHEAD = 6, NUM_WINDOWS = 2, EVEN = 4000, CONTEXT_COLUMNS = 26 };

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

/* Sum of each row's leaves. A node: column, threshold, left, right; a child below 0 is leaf ~child.
 * `roots`: where each tree begins, same numbering. The caller has checked all numbers. */
void hw_block_scores(const int32_t *rows, int64_t num_rows, int64_t width, const int32_t *nodes, const int32_t *leaves,
                     const int32_t *roots, int64_t num_trees, int32_t *scores) {
    for (int64_t i = 0; i < num_rows; i++) scores[i] = 0;
    for (int64_t tree = 0; tree < num_trees; tree++) {
        int32_t root = roots[tree];
        for (int64_t i = 0; i < num_rows; i++) {
            const int32_t *row = rows + i * width;
            int32_t at = root;
            while (at >= 0) {
                const int32_t *node = nodes + (int64_t)at * 4;
                at = row[node[0]] <= node[1] ? node[2] : node[3];
            }
            scores[i] += leaves[~at];
        }
    }
}

typedef struct {
    const int32_t *blocks, *elements, *scores;
    int64_t num_blocks, num_elements;
    int64_t *chars, *weighted, *main; /* sums over the blocks before each: chars, chars x score, chars of main text */
    int64_t *path_chars, *path_weighted;
    int32_t *branch;
} Page;

static const int32_t *block(const Page *page, int64_t i) { return page->blocks + i * BLOCK_COLUMNS; }
static const int32_t *element(const Page *page, int64_t e) { return page->elements + e * ELEMENT_COLUMNS; }

static int32_t mean(const Page *page, int64_t first, int64_t end) {
    return (int32_t)((page->weighted[end] - page->weighted[first]) / most(page->chars[end] - page->chars[first], 1));
}

static void sum_up(Page *page) {
    for (int64_t i = 0; i < page->num_blocks; i++) {
        int64_t chars = block(page, i)[B_CHARS], score = page->scores[i];
        page->chars[i + 1] = page->chars[i] + chars;
        page->weighted[i + 1] = page->weighted[i] + chars * score;
        page->main[i + 1] = page->main[i] + (score > EVEN ? chars : 0);
        int32_t path = element(page, block(page, i)[B_ELEMENT])[E_PATH];
        page->path_chars[path] += chars;
        page->path_weighted[path] += chars * score;
    }
}

static int64_t core_of(Page *page) {
    int64_t core = 0, total = page->main[page->num_blocks];
    for (int64_t e = 0; total > 0 && e < page->num_elements; e++) {
        const int32_t *row = element(page, e);
        if ((page->main[row[E_END]] - page->main[row[E_FIRST]]) * 100 >= 51 * total) core = e;
    }
    page->branch[0] = -1;
    for (int64_t e = 1; e < page->num_elements; e++) {
        int32_t parent = element(page, e)[E_PARENT];
        page->branch[e] = parent == core ? (int32_t)e : page->branch[parent];
    }
    return core;
}

static int32_t *around(const Page *page, int64_t i, int32_t *to) {
    static const int64_t widths[NUM_WINDOWS] = {4, 10};
    int64_t n = page->num_blocks, e = block(page, i)[B_ELEMENT];
    *to++ = page->scores[i];
    for (int64_t step = -REACH; step <= REACH; step++)
        if (step) *to++ = i + step < 0 || i + step >= n ? -1 : page->scores[i + step];
    for (int level = 0; level < LEVELS; level++) {
        *to++ = mean(page, element(page, e)[E_FIRST], element(page, e)[E_END]);
        e = element(page, e)[E_PARENT];
    }
    for (int k = 0; k < NUM_WINDOWS; k++)
        *to++ = mean(page, most(i - widths[k], 0), least(i + widths[k] + 1, n));
    int32_t path = element(page, block(page, i)[B_ELEMENT])[E_PATH];
    *to++ = (int32_t)(page->path_weighted[path] / most(page->path_chars[path], 1));
    *to++ = (int32_t)least(page->main[i] - page->main[most(i - AHEAD, 0)], 1 << 20);
    *to++ = (int32_t)least(page->main[least(i + 1 + AHEAD, n)] - page->main[i + 1], 1 << 20);
    return to;
}

static void fill(Page *page, int32_t *out) {
    int64_t n = page->num_blocks, total = page->main[n], last = -1, next = -1, num_main = 0;
    int64_t core = core_of(page);
    const int32_t *top = element(page, core);
    for (int64_t i = 0; i < n; i++) num_main += page->scores[i] > EVEN;
    for (int64_t i = 0; i < n; i++) {
        int32_t *to = around(page, i, out + i * CONTEXT_COLUMNS);
        const int32_t *own = element(page, block(page, i)[B_ELEMENT]);
        *to++ = (int32_t)(page->main[i] * 1000 / most(total, 1));
        *to++ = (int32_t)least(total, 1 << 20), *to++ = (int32_t)num_main, *to++ = mean(page, 0, n);
        int64_t place = i < top[E_FIRST] ? i - top[E_FIRST] : i >= top[E_END] ? i - top[E_END] + 1 : 0;
        *to++ = (int32_t)place, *to++ = place ? -1 : own[E_DEPTH] - top[E_DEPTH];
        int32_t branch = page->branch[block(page, i)[B_ELEMENT]];
        *to++ = branch < 0 ? -1 : mean(page, element(page, branch)[E_FIRST], element(page, branch)[E_END]);
        *to++ = last < 0 ? -1 : (int32_t)(i - last);
        if (page->scores[i] > EVEN) last = i;
        *to++ = mean(page, top[E_FIRST], top[E_END]);
    }
    for (int64_t i = n - 1; i >= 0; i--) {
        out[i * CONTEXT_COLUMNS + CONTEXT_COLUMNS - 1] = next < 0 ? -1 : (int32_t)(next - i);
        if (page->scores[i] > EVEN) next = i;
    }
}

/* (blocks, CONTEXT_COLUMNS) of scores between 0 and 2 x EVEN. Gives 0, or 1 for no memory. */
int32_t hw_score_context(const int32_t *blocks, int64_t num_blocks, const int32_t *elements, int64_t num_elements,
                         const int32_t *scores, int32_t *out) {
    Page page = {.blocks = blocks, .elements = elements, .scores = scores};
    page.num_blocks = num_blocks, page.num_elements = num_elements;
    size_t n = (size_t)num_blocks + 1, m = (size_t)num_elements;
    int64_t *longs = calloc(3 * n + 2 * m, sizeof(int64_t));
    page.branch = calloc(m, sizeof(int32_t));
    int ok = longs != NULL && page.branch != NULL;
    if (ok) {
        page.chars = longs, page.weighted = longs + n, page.main = longs + 2 * n;
        page.path_chars = longs + 3 * n, page.path_weighted = page.path_chars + m;
        sum_up(&page);
        fill(&page, out);
    }
    free(longs);
    free(page.branch);
    return !ok;
}
