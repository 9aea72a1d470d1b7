/* Numbers of each text block of a scanned page, for a model: whole numbers only, so that the twin in
 * Python (html_features_twin.py) gives the same. Shares are per mille, rounded down.
 *
 * The columns stand in the order of FEATURES in html_features_twin.py.
 */
#include <stdlib.h>
#include <string.h>

#include "library.h"

enum { B_START, B_END, B_ELEMENT, B_CHARS, B_WORDS, B_COMMAS, B_SENTENCES, B_DIGITS, B_UPPERS, B_LINK_CHARS };
enum { B_LINKS = 10, B_LINES, B_STRONG, B_IMAGES, B_FIELDS, B_SPLIT, B_SYMBOLS, B_GROUPS, B_WEIGHT, B_FIRST, B_LAST };
enum { BLOCK_COLUMNS = 21, ELEMENT_COLUMNS = 9 };
enum { E_PARENT, E_TAG, E_MARKS, E_FIRST, E_END, E_DEPTH, E_PATH, E_GROUPS, E_WEIGHT };
enum { FAR = 16, MOST = 1 << 20, GOOD_CHARS = 60, GOOD_LINKS = 300, LEVELS = 5, TITLE_BYTES = 300, MAX_BITS = 64 };

typedef struct {
    const uint8_t *text, *title;
    const int32_t *blocks, *elements;
    int64_t num_blocks, num_elements, title_bytes;
    int32_t h1, h6, article, paragraph, num_groups, num_marks, comment; /* comment: bit of that group */
    uint32_t side_groups, side_marks; /* bits that mean nothing of what holds the page's heading */
    int64_t anchor;
    int64_t *chars, *links, *sentences, *good; /* sums over the blocks before each */
    int32_t *path_elements, *path_blocks, *branch, *same, *in_title, *is_comment;
    int64_t *path_chars, *path_links;
    uint8_t *far; /* (elements, groups + marks): levels up to the next that has it */
    int32_t *low, *high;
    int64_t *sum; /* weights of an element and those above it */
} Page;

static const int32_t *block(const Page *page, int64_t i) { return page->blocks + i * BLOCK_COLUMNS; }
static const int32_t *element(const Page *page, int64_t i) { return page->elements + i * ELEMENT_COLUMNS; }
static int64_t per_mille(int64_t part, int64_t whole) { return part * 1000 / (whole > 1 ? whole : 1); }
static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

static int32_t *put(int32_t *to, int64_t value) {
    *to = (int32_t)(value > MOST ? MOST : value < -MOST ? -MOST : value);
    return to + 1;
}

static int64_t link_share(const Page *page, int64_t first, int64_t end) {
    return per_mille(page->links[end] - page->links[first], page->chars[end] - page->chars[first]);
}

static int64_t good_share(const Page *page, int64_t first, int64_t end) {
    return per_mille(page->good[end] - page->good[first], page->good[page->num_blocks]);
}

static uint64_t text_hash(const uint8_t *at, const uint8_t *end) {
    uint64_t hash = 0xcbf29ce484222325u;
    for (; at < end; at++) hash = (hash ^ *at) * 0x100000001b3u;
    hash ^= hash >> 31;
    return hash ? hash : 1;
}

static int lower(int c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; }

static int is_in_title(const Page *page, const uint8_t *at, int64_t length) {
    if (length < 4 || length > TITLE_BYTES) return 0;
    for (int64_t start = 0; start + length <= page->title_bytes; start++) {
        int64_t i = 0;
        while (i < length && lower(at[i]) == page->title[start + i]) i++;
        if (i == length) return 1;
    }
    return 0;
}

/* The page's heading: its first h1, else the first block that its title holds; -1 where there is none. */
static int64_t anchor_of(const Page *page) {
    int64_t anchor = -1;
    for (int64_t i = 0; anchor < 0 && i < page->num_blocks; i++)
        if (element(page, block(page, i)[B_ELEMENT])[E_TAG] == page->h1) anchor = i;
    for (int64_t i = 0; anchor < 0 && i < page->num_blocks; i++)
        if (page->in_title[i]) anchor = i;
    return anchor;
}

static int holds_anchor(const Page *page, const int32_t *row) {
    return row[E_FIRST] <= page->anchor && page->anchor < row[E_END];
}

/* Elements of readers' comments: named so, or below one; but none that holds the page's heading. */
static void mark_comments(Page *page) {
    for (int64_t e = 1; e < page->num_elements; e++) {
        const int32_t *row = element(page, e);
        int is_named = ((uint32_t)row[E_GROUPS] >> page->comment & 1) && !holds_anchor(page, row);
        page->is_comment[e] = is_named || page->is_comment[row[E_PARENT]];
    }
}

static void sum_up(Page *page) {
    for (int64_t i = 0; i < page->num_blocks; i++) {
        const int32_t *row = block(page, i);
        int64_t chars = row[B_CHARS];
        int is_good = !page->is_comment[row[B_ELEMENT]] && chars >= GOOD_CHARS && per_mille(row[B_LINK_CHARS], chars) < GOOD_LINKS && row[B_SENTENCES] > 0;
        page->chars[i + 1] = page->chars[i] + chars;
        page->links[i + 1] = page->links[i] + row[B_LINK_CHARS];
        page->sentences[i + 1] = page->sentences[i] + row[B_SENTENCES];
        page->good[i + 1] = page->good[i] + (is_good ? chars : 0);
        int32_t path = element(page, row[B_ELEMENT])[E_PATH];
        page->path_blocks[path]++;
        page->path_chars[path] += chars;
        page->path_links[path] += row[B_LINK_CHARS];
    }
}

static int count_same(Page *page) {
    int64_t places = 16;
    while (places < page->num_blocks * 2) places *= 2;
    uint64_t *hashes = calloc((size_t)places, sizeof(uint64_t));
    int32_t *counts = calloc((size_t)places, sizeof(int32_t));
    int ok = hashes != NULL && counts != NULL;
    for (int64_t i = 0; ok && i < page->num_blocks; i++) {
        const int32_t *row = block(page, i);
        uint64_t hash = text_hash(page->text + row[B_START], page->text + row[B_END]);
        int64_t at = (int64_t)(hash & (uint64_t)(places - 1));
        while (hashes[at] != 0 && hashes[at] != hash) at = (at + 1) & (places - 1);
        hashes[at] = hash;
        counts[at]++;
        page->same[i] = (int32_t)at;
    }
    for (int64_t i = 0; ok && i < page->num_blocks; i++) page->same[i] = counts[page->same[i]];
    free(hashes);
    free(counts);
    return ok;
}

static void walk_elements(Page *page) {
    int32_t bits = page->num_groups + page->num_marks;
    for (int64_t e = 0; e < page->num_elements; e++) {
        const int32_t *row = element(page, e);
        uint8_t *far = page->far + e * bits;
        int64_t parent = row[E_PARENT];
        page->path_elements[row[E_PATH]]++;
        page->sum[e] = row[E_WEIGHT] + (e ? page->sum[parent] : 0);
        page->low[e] = e ? (int32_t)least(row[E_WEIGHT], page->low[parent]) : 0;
        page->high[e] = e ? (int32_t)most(row[E_WEIGHT], page->high[parent]) : 0;
        uint32_t groups = (uint32_t)row[E_GROUPS], marks = (uint32_t)row[E_MARKS];
        if (holds_anchor(page, row)) groups &= ~page->side_groups, marks &= ~page->side_marks;
        for (int32_t bit = 0; bit < bits; bit++) {
            uint32_t own = bit < page->num_groups ? groups >> bit : marks >> (bit - page->num_groups);
            far[bit] = own & 1 ? 0 : e ? (uint8_t)least(page->far[parent * bits + bit] + 1, FAR) : FAR;
        }
    }
}

static int32_t *own_numbers(const int32_t *row, int32_t *to) {
    int64_t chars = row[B_CHARS];
    to = put(to, chars), to = put(to, row[B_WORDS]), to = put(to, row[B_COMMAS]), to = put(to, row[B_SENTENCES]);
    to = put(to, per_mille(row[B_DIGITS], chars)), to = put(to, per_mille(row[B_UPPERS], chars));
    to = put(to, per_mille(row[B_LINK_CHARS], chars)), to = put(to, row[B_LINKS]), to = put(to, row[B_LINES]);
    to = put(to, per_mille(row[B_STRONG], chars)), to = put(to, row[B_IMAGES]), to = put(to, row[B_FIELDS]);
    to = put(to, row[B_SPLIT]), to = put(to, row[B_SYMBOLS]), to = put(to, row[B_FIRST]), to = put(to, row[B_LAST]);
    return put(to, chars * 10 / most(row[B_WORDS], 1));
}

static int32_t *container_numbers(const Page *page, int64_t i, int32_t *to) {
    int64_t e = block(page, i)[B_ELEMENT];
    for (int level = 0; level < LEVELS; level++) {
        const int32_t *row = element(page, e);
        int64_t first = row[E_FIRST], end = row[E_END], chars = page->chars[end] - page->chars[first];
        to = put(to, end - first), to = put(to, chars), to = put(to, link_share(page, first, end));
        to = put(to, good_share(page, first, end)), to = put(to, chars / most(end - first, 1));
        to = put(to, page->sentences[end] - page->sentences[first]);
        if (level == 2) to = put(to, i - first);
        e = row[E_PARENT];
    }
    return to;
}

/* The deepest element with at least `share` % of the good text: the last in the page's order. */
static int64_t core_of(const Page *page, int64_t share) {
    int64_t good = page->good[page->num_blocks], core = 0;
    for (int64_t e = 0; good > 0 && e < page->num_elements; e++) {
        const int32_t *row = element(page, e);
        if ((page->good[row[E_END]] - page->good[row[E_FIRST]]) * 100 >= share * good) core = e;
    }
    return core;
}

static void core_numbers(Page *page, int64_t share, int32_t *out, int64_t width) {
    int64_t core = core_of(page, share);
    const int32_t *top = element(page, core);
    int64_t first = top[E_FIRST], end = top[E_END];
    page->branch[0] = -1;
    for (int64_t e = 1; e < page->num_elements; e++) {
        int32_t parent = element(page, e)[E_PARENT];
        page->branch[e] = parent == core ? (int32_t)e : page->branch[parent];
    }
    for (int64_t i = 0; i < page->num_blocks; i++) {
        int32_t *to = out + i * width;
        const int32_t *own = element(page, block(page, i)[B_ELEMENT]);
        int64_t place = i < first ? i - first : i >= end ? i - end + 1 : 0;
        to = put(to, place), to = put(to, place ? -1 : own[E_DEPTH] - top[E_DEPTH]);
        to = put(to, i < first  ? page->chars[i] - page->chars[first]
                     : i >= end ? page->chars[i] - page->chars[end]
                                : 0);
        to = put(to, place ? -1 : i - first), to = put(to, place ? -1 : end - 1 - i);
        int32_t branch = page->branch[block(page, i)[B_ELEMENT]];
        const int32_t *row = element(page, branch < 0 ? 0 : branch);
        int64_t from = row[E_FIRST], until = row[E_END];
        to = put(to, branch < 0 ? -1 : until - from);
        to = put(to, branch < 0 ? -1 : page->chars[until] - page->chars[from]);
        to = put(to, branch < 0 ? -1 : link_share(page, from, until));
        to = put(to, branch < 0 ? -1 : good_share(page, from, until));
        to = put(to, branch < 0 ? -1 : row[E_TAG]), to = put(to, link_share(page, first, end));
        put(to, end - first);
    }
}

static int32_t *distances(const Page *page, const int32_t *row, int32_t *to) {
    int32_t bits = page->num_groups + page->num_marks;
    const uint8_t *far = page->far + (int64_t)row[B_ELEMENT] * bits;
    for (int32_t bit = 0; bit < bits; bit++) {
        int is_inline = bit < page->num_groups && (uint32_t)row[B_GROUPS] >> bit & 1;
        to = put(to, is_inline ? 0 : least(far[bit] + 1, FAR));
    }
    int64_t e = row[B_ELEMENT];
    to = put(to, element(page, e)[E_WEIGHT] + row[B_WEIGHT]), to = put(to, page->sum[e] + row[B_WEIGHT]);
    return to = put(to, page->low[e]), put(to, page->high[e]);
}

static int32_t *repetition(const Page *page, int64_t i, int32_t *to) {
    int64_t e = block(page, i)[B_ELEMENT], path = element(page, e)[E_PATH];
    int64_t chars = page->path_chars[path];
    to = put(to, page->path_blocks[path]), to = put(to, chars), to = put(to, per_mille(page->path_links[path], chars));
    to = put(to, chars / most(page->path_blocks[path], 1));
    for (int level = 0; level < 4; level++) {
        to = put(to, page->path_elements[element(page, e)[E_PATH]]);
        e = element(page, e)[E_PARENT];
    }
    return to = put(to, page->same[i]), put(to, page->in_title[i]);
}

/* Where the block stands: what came before it, what comes after; and its neighbours. */
static int32_t *neighbour(const Page *page, int64_t i, int64_t other, int32_t *to) {
    if (other < 0 || other >= page->num_blocks) {
        for (int k = 0; k < 3; k++) to = put(to, -1);
        return to = put(to, 0), put(to, 0);
    }
    const int32_t *row = block(page, other), *own = element(page, block(page, i)[B_ELEMENT]);
    const int32_t *its = element(page, row[B_ELEMENT]);
    to = put(to, row[B_CHARS]), to = put(to, per_mille(row[B_LINK_CHARS], row[B_CHARS])), to = put(to, its[E_TAG]);
    return to = put(to, its[E_PATH] == own[E_PATH]), put(to, its[E_PARENT] == own[E_PARENT]);
}

static int32_t *windows(const Page *page, int64_t i, int32_t *to) {
    for (int64_t width = 5; width <= 12; width += 7) {
        int64_t first = most(i - width, 0), end = least(i + width + 1, page->num_blocks);
        to = put(to, link_share(page, first, end)), to = put(to, page->good[end] - page->good[first]);
    }
    return to;
}

static void order_numbers(const Page *page, int32_t *out, int64_t width) {
    int64_t n = page->num_blocks, h1 = -1, heading = -1, title = -1, good = -1, first_h1 = -1, num_h1 = 0;
    for (int64_t i = 0; i < n; i++) {
        int32_t tag = element(page, block(page, i)[B_ELEMENT])[E_TAG];
        if (tag == page->h1 && first_h1 < 0) first_h1 = i;
        num_h1 += tag == page->h1;
    }
    for (int64_t i = 0; i < n; i++) {
        int32_t *to = out + i * width, tag = element(page, block(page, i)[B_ELEMENT])[E_TAG];
        if (tag == page->h1) h1 = i;
        if (tag >= page->h1 && tag <= page->h6) heading = i;
        if (page->in_title[i]) title = i;
        if (page->good[i + 1] > page->good[i]) good = i;
        to = put(to, h1 < 0 ? -1 : i - h1), to = put(to, heading < 0 ? -1 : i - heading);
        to = put(to, heading < 0 ? -1 : element(page, block(page, heading)[B_ELEMENT])[E_TAG]);
        to = put(to, title < 0 ? -1 : i - title), to = put(to, i - most(first_h1, 0)), to = put(to, num_h1);
        put(to, good < 0 ? -1 : i - good);
    }
    int64_t next = -1;
    for (int64_t i = n - 1; i >= 0; i--) {
        if (page->good[i + 1] > page->good[i]) next = i;
        put(out + i * width + 7, next < 0 ? -1 : next - i);
    }
}

static void page_numbers(const Page *page, int32_t *row) {
    int64_t n = page->num_blocks, articles = 0, paragraphs = 0, longest = 0;
    for (int64_t e = 0; e < page->num_elements; e++) articles += element(page, e)[E_TAG] == page->article;
    for (int64_t i = 0; i < n; i++) {
        paragraphs += element(page, block(page, i)[B_ELEMENT])[E_TAG] == page->paragraph;
        longest = most(longest, page->good[i + 1] - page->good[i]);
    }
    row = put(row, n), row = put(row, page->chars[n]), row = put(row, page->good[n]);
    row = put(row, per_mille(page->good[n], page->chars[n])), row = put(row, per_mille(page->links[n], page->chars[n]));
    row = put(row, page->num_elements), row = put(row, articles), row = put(row, paragraphs), put(row, longest);
}

enum { CORE_WIDTH = 12, ORDER_WIDTH = 8, PAGE_WIDTH = 9 };

static void fill(Page *page, int64_t width, int32_t *out) {
    int64_t n = page->num_blocks;
    int32_t whole[PAGE_WIDTH];
    page_numbers(page, whole);
    for (int64_t i = 0; i < n; i++) {
        const int32_t *row = block(page, i), *own = element(page, row[B_ELEMENT]);
        const int32_t *parent = element(page, own[E_PARENT]), *above = element(page, parent[E_PARENT]);
        int32_t *to = own_numbers(row, out + i * width);
        to = put(to, own[E_TAG]), to = put(to, parent[E_TAG]), to = put(to, above[E_TAG]);
        to = put(to, i), to = put(to, n - 1 - i), to = put(to, i * 1000 / n);
        to = put(to, per_mille(page->chars[i], page->chars[n])), to = put(to, own[E_DEPTH]);
        to = container_numbers(page, i, to);
        to = distances(page, row, to);
        to = repetition(page, i, to);
        to = neighbour(page, i, i - 1, to), to = neighbour(page, i, i + 1, to);
        to = windows(page, i, to);
        memcpy(to, whole, sizeof whole);
    }
    int32_t *rest = out + width - 2 * CORE_WIDTH - ORDER_WIDTH;
    order_numbers(page, rest, width);
    core_numbers(page, 51, rest + ORDER_WIDTH, width);
    core_numbers(page, 75, rest + ORDER_WIDTH + CORE_WIDTH, width);
}

/* numbers: h1, h6, article and p as tags, groups, marks, columns of `out`, bit of the group comment,
 * bits of the groups and marks of what stands beside the main text. Gives 0, or 1 for no memory. */
int32_t hw_html_features(const uint8_t *text, const int32_t *blocks, int64_t num_blocks, const int32_t *elements,
                         int64_t num_elements, const uint8_t *title, int64_t title_bytes, const int32_t *numbers,
                         int32_t *out) {
    Page page = {text, title, blocks, elements, num_blocks, num_elements, title_bytes, .h1 = numbers[0]};
    page.h6 = numbers[1], page.article = numbers[2], page.paragraph = numbers[3];
    page.num_groups = numbers[4], page.num_marks = numbers[5], page.comment = numbers[7];
    page.side_groups = (uint32_t)numbers[8], page.side_marks = (uint32_t)numbers[9];
    if (num_blocks == 0) return 0;
    size_t n = (size_t)num_blocks + 1, m = (size_t)num_elements, bits = (size_t)(numbers[4] + numbers[5]);
    int64_t *longs = calloc(4 * n + 3 * m, sizeof(int64_t));
    int32_t *ints = calloc(2 * n + 6 * m, sizeof(int32_t));
    page.far = malloc(m * bits);
    int ok = longs != NULL && ints != NULL && page.far != NULL;
    if (ok) {
        page.chars = longs, page.links = longs + n, page.sentences = longs + 2 * n, page.good = longs + 3 * n;
        page.path_chars = longs + 4 * n, page.path_links = page.path_chars + m, page.sum = page.path_links + m;
        page.same = ints, page.in_title = ints + n, page.path_elements = ints + 2 * n;
        page.path_blocks = page.path_elements + m, page.branch = page.path_blocks + m;
        page.low = page.branch + m, page.high = page.low + m, page.is_comment = page.high + m;
        for (int64_t i = 0; i < num_blocks; i++) {
            const int32_t *row = block(&page, i);
            page.in_title[i] = is_in_title(&page, text + row[B_START], row[B_END] - row[B_START]);
        }
        page.anchor = anchor_of(&page);
        mark_comments(&page);
        sum_up(&page);
        walk_elements(&page);
        ok = count_same(&page);
    }
    if (ok) fill(&page, numbers[6], out);
    free(longs);
    free(ints);
    free(page.far);
    return !ok;
}
