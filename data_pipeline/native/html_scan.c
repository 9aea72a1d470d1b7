/* Scans the HTML that an HTML parser wrote out: text blocks and block elements, in one pass.
 *
 * html_scan_twin.py does the same in Python and gives the same arrays; a change here is a change
 * there. Any bytes are fine as input: nothing recurses, every read and write is checked against its end.
 */
#include <stdlib.h>
#include <string.h>

#include "library.h"

enum { INLINE = 1, VOID = 2, SKIP = 4, RAW = 8, LINK = 16, STRONG = 32, VERBATIM = 64, IMAGE = 128, FIELD = 256 };
enum { TOO_DEEP = 1, NO_MEMORY = 2 };
enum { BLOCK_COLUMNS = 21, ELEMENT_COLUMNS = 9, WORD_BYTES = 32, LINK_CHARS = 600, MOST_WEIGHT = 1 << 20 };

static const uint64_t FNV_START = 0xcbf29ce484222325u, FNV_PRIME = 0x100000001b3u;

/* An open-addressed table {hash: `width` numbers}; a hash of 0 is an empty place. */
typedef struct {
    const uint64_t *hashes;
    const int32_t *values;
    int64_t mask;
    int32_t width;
} Table;

typedef struct {
    uint64_t name;
    int32_t behaviour, element, inline_groups;
    int64_t inline_weight;
} Open;

typedef struct {
    int32_t groups;
    int64_t weight;
    const uint8_t *class_start, *class_end;
    const uint8_t *language_start, *language_end;
    int is_hidden, has_target;
} Attributes;

typedef struct {
    const uint8_t *page, *end;
    Table names, words;
    int32_t br, title, html, hidden_mark, body;
    uint8_t *text;
    int32_t *blocks, *elements;
    int64_t num_blocks, num_elements;
    Open *stack;
    int64_t depth, max_depth;
    uint64_t *path_hashes;
    int32_t *path_ids;
    int64_t path_mask, num_paths;
    const uint8_t *title_start, *title_end, *language_start, *language_end;
    int32_t element, skipping, links, strongs, verbatims, inline_groups;
    int64_t inline_weight, start, at; /* at: end of the text so far */
    int32_t gap, is_split, block_groups;
    int64_t block_weight;
    int32_t link_chars, strong_chars, block_links, chars, images, fields;
    int32_t link_left;   /* characters that the open link may still count for */
    uint64_t last_link;  /* attributes of the link before */
} Scan;

static int is_blank(uint8_t c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
static int is_lower(uint8_t c) { return c >= 'a' && c <= 'z'; }
static int is_upper(uint8_t c) { return c >= 'A' && c <= 'Z'; }
static int is_letter(uint8_t c) { return is_lower(c) || is_upper(c); }
static int is_counted(uint8_t c) { return !is_blank(c) && (c < 0x80 || c >= 0xC0); }

static uint64_t hashed(uint64_t hash, const uint8_t *at, const uint8_t *end) {
    for (; at < end; at++) hash = (hash ^ *at) * FNV_PRIME;
    return hash;
}

static const int32_t *looked_up(const Table *table, uint64_t hash) {
    hash += hash == 0;
    for (int64_t at = (int64_t)(hash & (uint64_t)table->mask);; at = (at + 1) & table->mask) {
        if (table->hashes[at] == hash) return table->values + at * table->width;
        if (table->hashes[at] == 0) return NULL;
    }
}

static int32_t clamped(int64_t weight) {
    return (int32_t)(weight > MOST_WEIGHT ? MOST_WEIGHT : weight < -MOST_WEIGHT ? -MOST_WEIGHT : weight);
}

static const uint8_t *found_byte(const uint8_t *at, const uint8_t *end, uint8_t byte) {
    return at < end ? memchr(at, byte, (size_t)(end - at)) : NULL;
}

static int starts_with(const uint8_t *at, const uint8_t *end, const char *what) {
    size_t length = strlen(what);
    return (size_t)(end - at) >= length && memcmp(at, what, length) == 0;
}

static int is_name(const uint8_t *at, const uint8_t *end, const char *what) {
    size_t length = strlen(what);
    return (size_t)(end - at) == length && memcmp(at, what, length) == 0;
}

static int holds(const uint8_t *at, const uint8_t *end, const char *what) {
    for (; (at = found_byte(at, end, (uint8_t)what[0])) != NULL; at++)
        if (starts_with(at, end, what)) return 1;
    return 0;
}

/* Path of an element: its number is given by the first element of that path, name and class. */
static int32_t path_of(Scan *scan, int32_t parent, uint64_t name, const Attributes *given) {
    uint64_t hash = (FNV_START ^ (uint32_t)parent) * FNV_PRIME;
    hash = (hash ^ name) * FNV_PRIME;
    for (const uint8_t *at = given->class_start; at < given->class_end; at++)
        if (is_letter(*at)) hash = (hash ^ *at) * FNV_PRIME;
    hash ^= hash >> 29;
    hash += hash == 0;
    int64_t at = (int64_t)(hash & (uint64_t)scan->path_mask);
    while (scan->path_hashes[at] != 0 && scan->path_hashes[at] != hash) at = (at + 1) & scan->path_mask;
    if (scan->path_hashes[at] == 0) {
        scan->path_hashes[at] = hash;
        scan->path_ids[at] = (int32_t)scan->num_paths++;
    }
    return scan->path_ids[at];
}

static void block_numbers(const uint8_t *at, const uint8_t *end, int32_t *row) {
    int32_t words = 0, commas = 0, sentences = 0, digits = 0, uppers = 0, lines = 0, symbols = 0;
    int in_word = 0;
    for (const uint8_t *p = at; p < end; p++) {
        uint8_t c = *p;
        int blank = is_blank(c);
        words += !blank && !in_word;
        in_word = !blank;
        digits += c >= '0' && c <= '9';
        uppers += is_upper(c);
        lines += c == '\n';
        commas += c == ',';
        symbols += c == '|' || c == '>';
        if (c == '.' || c == '!' || c == '?') sentences += p + 1 == end || is_blank(p[1]);
        if (c == 0xC2) symbols += p + 1 < end && p[1] == 0xBB;
        if (c == 0xE3 && p + 2 < end && p[1] == 0x80) {
            commas += p[2] == 0x81;
            sentences += p[2] == 0x82;
        }
        if (c == 0xEF) commas += p + 2 < end && p[1] == 0xBC && p[2] == 0x8C;
    }
    row[4] = words, row[5] = commas, row[6] = sentences, row[7] = digits, row[8] = uppers;
    row[11] = lines, row[16] = symbols;
    uint8_t first = at[0], last = end[-1];
    row[19] = is_upper(first) ? 1 : is_lower(first) ? 2 : first >= '0' && first <= '9' ? 3 : first >= 0x80 ? 4 : 0;
    if (last == '.' || last == '!' || last == '?') row[20] = 1;
    else if (last == ':') row[20] = 2;
    else if (last == ',' || last == ';') row[20] = 3;
    else if (last == '"' || last == '\'' || last == ')') row[20] = 4;
    else row[20] = end - at >= 3 && end[-3] == 0xE2 && end[-2] == 0x80 ? 5 : 0;
}

static void flush(Scan *scan) {
    if (scan->skipping) return;
    int64_t start = scan->start, end = scan->at;
    if (scan->chars) {
        if (scan->verbatims) {
            while (scan->text[start] == '\r' || scan->text[start] == '\n') start++;
            while (is_blank(scan->text[end - 1])) end--;
        }
        int32_t *row = scan->blocks + scan->num_blocks++ * BLOCK_COLUMNS;
        row[0] = (int32_t)start, row[1] = (int32_t)end, row[2] = scan->element, row[3] = scan->chars;
        row[9] = scan->link_chars, row[10] = scan->block_links, row[12] = scan->strong_chars;
        row[13] = scan->images, row[14] = scan->fields, row[15] = scan->is_split;
        row[17] = scan->block_groups, row[18] = clamped(scan->block_weight);
        block_numbers(scan->text + start, scan->text + end, row);
        scan->at = end;
        scan->images = scan->fields = scan->is_split = 0;
    } else {
        scan->at = start;
    }
    scan->start = scan->at;
    scan->chars = scan->link_chars = scan->strong_chars = scan->gap = 0;
    scan->block_links = scan->links > 0;
}

static void line_break(Scan *scan) {
    if (scan->skipping) return;
    if (scan->verbatims) {
        scan->text[scan->at++] = '\n';
    } else if (scan->gap == 2) {
        flush(scan);
        scan->is_split = 1;
    } else {
        scan->gap = 2;
    }
}

static void put(Scan *scan, uint8_t c) {
    if (is_counted(c)) {
        if (!scan->chars) scan->block_groups = scan->inline_groups, scan->block_weight = scan->inline_weight;
        scan->chars++;
        if (scan->links > 0 && scan->link_left > 0) scan->link_chars++, scan->link_left--;
        scan->strong_chars += scan->strongs > 0;
    }
    scan->text[scan->at++] = c;
}

/* The character at `at`, entities and hard blanks undone; gives the place behind it. */
static const uint8_t *next_byte(const uint8_t *at, const uint8_t *end, uint8_t *c) {
    *c = *at;
    if (*c == '&') {
        if (starts_with(at, end, "&amp;")) return at + 5;
        if (starts_with(at, end, "&lt;")) return *c = '<', at + 4;
        if (starts_with(at, end, "&gt;")) return *c = '>', at + 4;
        if (starts_with(at, end, "&quot;")) return *c = '"', at + 6;
        if (starts_with(at, end, "&nbsp;")) return *c = ' ', at + 6;
    } else if (*c == 0xC2 && at + 1 < end && at[1] == 0xA0) {
        return *c = ' ', at + 2;
    }
    return at + 1;
}

static void add_text(Scan *scan, const uint8_t *at, const uint8_t *end) {
    if (scan->skipping) return;
    while (at < end) {
        uint8_t c;
        at = next_byte(at, end, &c);
        if (scan->verbatims) {
            put(scan, c);
        } else if (is_blank(c)) {
            if (scan->gap < 1) scan->gap = 1;
        } else {
            if (scan->gap && scan->at > scan->start) scan->text[scan->at++] = scan->gap == 2 ? '\n' : ' ';
            scan->gap = 0;
            put(scan, c);
        }
    }
}

static void value_words(Scan *scan, const uint8_t *at, const uint8_t *end, Attributes *given) {
    while (at < end) {
        const uint8_t *word = at;
        if (!is_letter(*at)) {
            at++;
            continue;
        }
        if (is_lower(*at) || (at + 1 < end && is_lower(at[1]))) {
            for (at++; at < end && is_lower(*at); at++) {}
        } else {
            for (; at < end && is_upper(*at); at++) {}
        }
        if (at - word > WORD_BYTES) continue;
        uint64_t hash = FNV_START;
        for (const uint8_t *p = word; p < at; p++) hash = (hash ^ (*p | 0x20u)) * FNV_PRIME;
        const int32_t *found = looked_up(&scan->words, hash);
        if (found != NULL) given->groups |= found[0], given->weight += found[1];
    }
}

static int is_name_byte(uint8_t c) {
    return c != ' ' && c != '\t' && c != '\n' && c != '\r' && c != '\f' && c != '/' && c != '=';
}

static void read_attributes(Scan *scan, const uint8_t *at, const uint8_t *end, Attributes *given) {
    while (at < end) {
        const uint8_t *name = at;
        while (at < end && is_name_byte(*at)) at++;
        if (at == name) {
            at++;
            continue;
        }
        const uint8_t *name_end = at, *value = at, *value_end = at;
        if (at + 1 < end && at[0] == '=' && at[1] == '"') {
            value = at + 2;
            value_end = found_byte(value, end, '"');
            at = value_end == NULL ? end : value_end + 1;
            if (value_end == NULL) value_end = end;
        }
        int is_class = is_name(name, name_end, "class");
        if (is_class) given->class_start = value, given->class_end = value_end;
        if (is_class || is_name(name, name_end, "id") || is_name(name, name_end, "role") ||
            is_name(name, name_end, "itemprop")) {
            value_words(scan, value, value_end, given);
        } else if (is_name(name, name_end, "style")) {
            given->is_hidden |= holds(value, value_end, "display:none") || holds(value, value_end, "display: none");
        } else if (is_name(name, name_end, "hidden")) {
            given->is_hidden = 1;
        } else if (is_name(name, name_end, "aria-hidden")) {
            given->is_hidden |= is_name(value, value_end, "true");
        } else if (is_name(name, name_end, "href")) {
            given->has_target = 1;
        } else if (is_name(name, name_end, "lang")) {
            given->language_start = value, given->language_end = value_end;
        }
    }
}

/* A link never closed is opened again in every block behind it: its likes share one allowance of characters. */
static void open_link(Scan *scan, Open *entry, const Attributes *given, uint64_t attributes) {
    if (!given->has_target) {
        entry->behaviour &= ~LINK;
        return;
    }
    if (attributes != scan->last_link) scan->link_left = LINK_CHARS;
    scan->last_link = attributes;
    scan->links++;
    scan->block_links++;
}

static void enter(Scan *scan, Open *entry, int32_t tag, int32_t marks, const Attributes *given) {
    if (tag == scan->html && scan->language_start == scan->language_end)
        scan->language_start = given->language_start, scan->language_end = given->language_end;
    if (entry->behaviour & INLINE) {
        scan->inline_groups |= given->groups;
        scan->inline_weight += given->weight;
        scan->strongs += (entry->behaviour & STRONG) != 0;
        return;
    }
    scan->verbatims += (entry->behaviour & VERBATIM) != 0;
    int32_t path = path_of(scan, scan->elements[scan->element * ELEMENT_COLUMNS + 6], entry->name, given);
    int32_t *row = scan->elements + scan->num_elements * ELEMENT_COLUMNS;
    row[0] = scan->element, row[1] = tag, row[2] = marks | (given->is_hidden ? scan->hidden_mark : 0);
    row[3] = row[4] = (int32_t)scan->num_blocks, row[5] = (int32_t)scan->depth, row[6] = path;
    row[7] = given->groups, row[8] = clamped(given->weight);
    entry->element = scan->element = (int32_t)scan->num_elements++;
}

static void close_element(Scan *scan, uint64_t name) {
    if (scan->depth == 0 || scan->stack[scan->depth - 1].name != name) return;
    const Open *entry = &scan->stack[--scan->depth];
    if (!(entry->behaviour & INLINE)) flush(scan);
    if (entry->behaviour & SKIP) {
        scan->skipping--;
        return;
    }
    if (scan->skipping) return;
    scan->inline_groups = entry->inline_groups, scan->inline_weight = entry->inline_weight;
    if (entry->behaviour & INLINE) {
        scan->links -= (entry->behaviour & LINK) != 0;
        scan->strongs -= (entry->behaviour & STRONG) != 0;
        return;
    }
    scan->verbatims -= (entry->behaviour & VERBATIM) != 0;
    int32_t *row = scan->elements + (int64_t)entry->element * ELEMENT_COLUMNS;
    row[4] = (int32_t)scan->num_blocks;
    scan->element = row[0];
}

/* Where `</name` comes next. */
static const uint8_t *raw_end(const uint8_t *at, const uint8_t *end, const uint8_t *name, int64_t length) {
    for (; (at = found_byte(at, end, '<')) != NULL; at++)
        if (end - at >= length + 2 && at[1] == '/' && memcmp(at + 2, name, (size_t)length) == 0) return at;
    return end;
}

/* A start or end tag at `at`; gives the place behind it. */
static const uint8_t *tag_at(Scan *scan, const uint8_t *at, int is_end, int *status) {
    const uint8_t *end = scan->end, *name = at + 1 + is_end, *p = name;
    while (p < end && !is_blank(*p) && *p != '/' && *p != '>') p++;
    uint64_t hash = hashed(FNV_START, name, p);
    int64_t length = p - name;
    const uint8_t *attributes = p, *place = end;
    while (p < end && *p != '>') {
        if (*p == '=' && p + 1 < end && p[1] == '"') { /* a quote elsewhere is part of a broken name */
            const uint8_t *quote = found_byte(p + 2, end, '"');
            if (quote == NULL) break;
            p = quote;
        }
        p++;
    }
    if (p < end && *p == '>') place = p + 1;
    if (is_end) {
        close_element(scan, hash);
        return place;
    }
    const int32_t *found = looked_up(&scan->names, hash);
    int32_t behaviour = found ? found[0] : 0, tag = found ? found[1] : 0, marks = found ? found[2] : 0;
    scan->images += (behaviour & IMAGE) != 0;
    scan->fields += (behaviour & FIELD) != 0;
    if (!(behaviour & INLINE)) {
        if (tag == scan->br) line_break(scan);
        else flush(scan);
    }
    if (behaviour & VOID) return place;
    if (scan->depth >= scan->max_depth) {
        *status = TOO_DEEP;
        return place;
    }
    Open *entry = &scan->stack[scan->depth++];
    *entry = (Open){hash, behaviour, scan->element, scan->inline_groups, scan->inline_weight};
    if (tag == scan->title && !scan->skipping && scan->title_start == NULL) {
        const uint8_t *close = found_byte(place, end, '<');
        scan->title_start = place, scan->title_end = close == NULL ? end : close;
    }
    if (behaviour & SKIP || tag == scan->title) {
        entry->behaviour |= SKIP;
        scan->skipping++;
    } else if (!scan->skipping) {
        Attributes given = {0};
        given.class_start = given.class_end = given.language_start = given.language_end = scan->page;
        read_attributes(scan, attributes, p, &given);
        if (tag == scan->html || tag == scan->body) given.groups = 0; /* they say what the page has, not what it is */
        if (behaviour & LINK) open_link(scan, entry, &given, hashed(FNV_START, attributes, p));
        enter(scan, entry, tag, marks, &given);
    }
    return behaviour & RAW ? raw_end(place, end, name, length) : place;
}

static const uint8_t *markup_at(Scan *scan, const uint8_t *at, int *status) {
    const uint8_t *end = scan->end;
    if (starts_with(at, end, "<!--")) {
        for (const uint8_t *p = at + 4; (p = found_byte(p, end, '-')) != NULL; p++)
            if (starts_with(p, end, "-->")) return p + 3;
        return end;
    }
    if (at + 1 < end && (at[1] == '!' || at[1] == '?')) {
        const uint8_t *close = found_byte(at, end, '>');
        return close == NULL ? end : close + 1;
    }
    int is_end = at + 1 < end && at[1] == '/';
    if (at + 1 + is_end >= end || !is_letter(at[1 + is_end])) {
        add_text(scan, at, at + 1);
        return at + 1;
    }
    return tag_at(scan, at, is_end, status);
}

static int run(Scan *scan) {
    int status = 0;
    memset(scan->elements, 0, ELEMENT_COLUMNS * sizeof(int32_t));
    scan->num_elements = 1;
    scan->num_paths = 1;
    for (const uint8_t *at = scan->page; at < scan->end && status == 0;) {
        const uint8_t *mark = found_byte(at, scan->end, '<');
        if (mark == NULL) mark = scan->end;
        if (mark > at) add_text(scan, at, mark);
        if (mark >= scan->end) break;
        at = markup_at(scan, mark, &status);
    }
    if (status != 0) return status;
    flush(scan);
    scan->elements[4] = (int32_t)scan->num_blocks;
    for (int64_t i = 0; i < scan->depth; i++)
        if (!(scan->stack[i].behaviour & (INLINE | SKIP)))
            scan->elements[(int64_t)scan->stack[i].element * ELEMENT_COLUMNS + 4] = (int32_t)scan->num_blocks;
    return 0;
}

/* Arrays: text (length bytes), blocks (capacity x 21), elements (capacity x 9), capacity being the
 * number of `<` + 2. numbers: br, title, html, hidden mark and body; results: bytes of text, blocks,
 * elements, then start and end in the page of the title and of the language. Gives the status. */
int32_t hw_html_scan(const uint8_t *page, int64_t length, const uint64_t *name_hashes, const int32_t *name_values,
                     int64_t name_mask, const uint64_t *word_hashes, const int32_t *word_values, int64_t word_mask,
                     const int32_t *numbers, int64_t max_depth, int64_t capacity, uint8_t *text, int32_t *blocks,
                     int32_t *elements, int64_t *results) {
    int64_t places = 16;
    while (places < capacity * 2) places *= 2;
    Scan scan = {.page = page, .end = page + length, .text = text, .blocks = blocks, .elements = elements};
    scan.names = (Table){name_hashes, name_values, name_mask, 3};
    scan.words = (Table){word_hashes, word_values, word_mask, 2};
    scan.br = numbers[0], scan.title = numbers[1], scan.html = numbers[2], scan.hidden_mark = numbers[3], scan.body = numbers[4];
    scan.max_depth = max_depth, scan.path_mask = places - 1;
    scan.language_start = scan.language_end = page;
    int64_t deepest = max_depth < capacity ? max_depth : capacity;
    scan.max_depth = max_depth;
    scan.stack = malloc((size_t)(deepest + 1) * sizeof(Open));
    scan.path_hashes = calloc((size_t)places, sizeof(uint64_t));
    scan.path_ids = malloc((size_t)places * sizeof(int32_t));
    int status = NO_MEMORY;
    if (scan.stack != NULL && scan.path_hashes != NULL && scan.path_ids != NULL) status = run(&scan);
    free(scan.stack);
    free(scan.path_hashes);
    free(scan.path_ids);
    results[0] = scan.at, results[1] = scan.num_blocks, results[2] = scan.num_elements;
    results[3] = scan.title_start == NULL ? 0 : scan.title_start - page;
    results[4] = scan.title_start == NULL ? 0 : scan.title_end - page;
    results[5] = scan.language_start - page, results[6] = scan.language_end - page;
    return status;
}
