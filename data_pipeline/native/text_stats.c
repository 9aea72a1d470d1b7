/* What the filters count in a text, in one pass and a second over its words.
 *
 * Twin: filters/text_counts.py, PythonCounts. A word is what stands between blanks; a character of
 * a script without blanks is a word of its own. */
#include "text.h"

#include <stdlib.h>

#include "text_ngrams.h"

/* Places in `counts`; the order is that of native/text_stats.py. */
enum {
    NUM_BYTES,
    NUM_WORDS,
    NUM_WORD_CHARACTERS,
    NUM_ALPHABETIC_WORDS,
    NUM_SENTENCE_ENDS,
    NUM_HASH_SIGNS,
    NUM_ELLIPSES,
    NUM_CURLY_BRACKETS,
    HAS_LOREM_IPSUM,
    HAS_ODD_LOWER,
    NUM_LINES,
    NUM_TERMINATED_LINES,
    NUM_BULLET_LINES,
    NUM_ELLIPSIS_LINES,
    NUM_JAVASCRIPT_LINES,
    NUM_LINE_CHARACTERS,
    NUM_REPEATED_LINES,
    NUM_REPEATED_LINE_CHARACTERS,
    NUM_PARAGRAPHS,
    NUM_PARAGRAPH_CHARACTERS,
    NUM_REPEATED_PARAGRAPHS,
    NUM_REPEATED_PARAGRAPH_CHARACTERS,
    NUM_DISTINCT_WORDS,
    NGRAMS, /* LONGEST_NGRAM - 1 places: characters covered for n = 2 to 10 */
};

typedef struct {
    const uint32_t *text;
    const uint16_t *flags;
    int64_t *counts;
    int32_t *line_lengths;
    int32_t *line_words;
    span_list words, lines, paragraphs;
    int32_t word;                       /* start of the open word, -1: none */
    int32_t line_first, line_last;      /* first and last character that is no blank, -1: none */
    int32_t part_first, part_last;      /* the same of the open paragraph */
    int32_t words_of_line, newlines, dots;
    uint16_t word_flags;
    int speaks_of_javascript;
} scan;

static int ends_sentence(const scan *s, int32_t start, int32_t end) {
    if (s->flags[s->text[end - 1]] & ALPHANUMERIC) {
        return 0;
    }
    while (end > start && s->flags[s->text[end - 1]] & CLOSING) {
        end--;
    }
    return end > start && s->flags[s->text[end - 1]] & SENTENCE_END;
}

static int close_word(scan *s, int32_t start, int32_t end, uint16_t flags) {
    s->counts[NUM_WORD_CHARACTERS] += end - start;
    s->counts[NUM_ALPHABETIC_WORDS] += (flags & LETTER) != 0;
    s->counts[NUM_SENTENCE_ENDS] += ends_sentence(s, start, end);
    s->words_of_line++;
    s->word = -1;
    s->word_flags = 0;
    return span_push(&s->words, start, end);
}

static int close_line(scan *s) {
    int32_t first = s->line_first, last = s->line_last;
    int failed = 0;
    if (first >= 0) {
        const uint32_t *text = s->text;
        int dots = last - first >= 2 && text[last] == '.' && text[last - 1] == '.' &&
                   text[last - 2] == '.';
        s->counts[NUM_TERMINATED_LINES] += (s->flags[text[last]] & TERMINAL) != 0;
        s->counts[NUM_BULLET_LINES] += (s->flags[text[first]] & BULLET) != 0;
        s->counts[NUM_ELLIPSIS_LINES] += dots || text[last] == 0x2026;
        s->counts[NUM_JAVASCRIPT_LINES] += s->speaks_of_javascript;
        s->line_lengths[s->lines.count] = last + 1 - first;
        s->line_words[s->lines.count] = s->words_of_line;
        failed = span_push(&s->lines, first, last + 1);
    }
    s->line_first = -1;
    s->words_of_line = 0;
    s->speaks_of_javascript = 0;
    return failed;
}

static int close_paragraph(scan *s) {
    int failed = s->part_first >= 0 && span_push(&s->paragraphs, s->part_first, s->part_last + 1);
    s->part_first = -1;
    return failed;
}

static void count_symbol(scan *s, int32_t at, int32_t size) {
    uint32_t c = s->text[at];
    s->counts[NUM_BYTES] += 1 + (c >= 0x80) + (c >= 0x800) + (c >= 0x10000);
    s->dots = c == '.' ? s->dots + 1 : 0;
    switch (c) {
    case '.':
        s->counts[NUM_ELLIPSES] += s->dots % 3 == 0;
        break;
    case 0x2026:
        s->counts[NUM_ELLIPSES]++;
        break;
    case '#':
        s->counts[NUM_HASH_SIGNS]++;
        break;
    case '{':
    case '}':
        s->counts[NUM_CURLY_BRACKETS]++;
        break;
    case 'j':
    case 'J':
        s->speaks_of_javascript |= stands_at(s->text, at, size, "javascript");
        break;
    case 'l':
    case 'L':
        s->counts[HAS_LOREM_IPSUM] |= stands_at(s->text, at, size, "lorem ipsum");
        break;
    default:
        break;
    }
}

static int take_blank(scan *s, int32_t at) {
    int failed = s->word >= 0 && close_word(s, s->word, at, s->word_flags);
    if (s->text[at] == '\n') {
        s->newlines++;
        failed |= close_line(s);
    }
    return failed;
}

static int take_character(scan *s, int32_t at, uint16_t flags) {
    int failed = 0;
    if (s->newlines >= 2) {
        failed |= close_paragraph(s);
    }
    s->newlines = 0;
    s->line_first = s->line_first < 0 ? at : s->line_first;
    s->part_first = s->part_first < 0 ? at : s->part_first;
    s->line_last = s->part_last = at;
    s->counts[HAS_ODD_LOWER] |= (flags & LOWERS_ODDLY) != 0;
    if (flags & UNSPACED) {
        failed |= s->word >= 0 && close_word(s, s->word, at, s->word_flags);
        return failed | close_word(s, at, at + 1, flags);
    }
    s->word = s->word < 0 ? at : s->word;
    s->word_flags |= flags;
    return failed;
}

static int scan_text(scan *s, int32_t size) {
    int failed = 0;
    for (int32_t i = 0; i < size && !failed; i++) {
        if (s->text[i] >= CODE_POINTS) {
            return 1;
        }
        uint16_t flags = s->flags[s->text[i]];
        count_symbol(s, i, size);
        failed = flags & SPACE ? take_blank(s, i) : take_character(s, i, flags);
    }
    failed |= s->word >= 0 && close_word(s, s->word, size, s->word_flags);
    return failed | close_line(s) | close_paragraph(s);
}

/* Counts of parts, of their characters, and of those that stood before, from counts[0] on. */
static int count_parts(const uint32_t *text, const span_list *parts, int64_t *counts[4]) {
    int32_t *ids = malloc(((size_t)parts->count + 1) * 2 * sizeof(int32_t));
    int32_t *first = ids ? ids + parts->count : NULL;
    if (!ids || number_spans(text, parts, ids, first) < 0) {
        free(ids);
        return 1;
    }
    for (int32_t i = 0; i < parts->count; i++) {
        int32_t length = parts->at[i].end - parts->at[i].start;
        int repeated = first[ids[i]] < i;
        *counts[1] += length;
        *counts[2] += repeated;
        *counts[3] += repeated ? length : 0;
    }
    *counts[0] = parts->count;
    free(ids);
    return 0;
}

static int count_words(scan *s, int32_t *distinct) {
    int32_t count = s->words.count;
    int32_t *ids = malloc(((size_t)count + 1) * 2 * sizeof(int32_t));
    int32_t *first = ids ? ids + count : NULL;
    int32_t num_distinct = ids ? number_spans(s->text, &s->words, ids, first) : -1;
    if (num_distinct < 0 ||
        ngram_repetition(&s->words, ids, num_distinct, s->counts + NGRAMS)) {
        free(ids);
        return 1;
    }
    for (int32_t i = 0; i < num_distinct; i++) {
        distinct[2 * i] = s->words.at[first[i]].start;
        distinct[2 * i + 1] = s->words.at[first[i]].end;
    }
    s->counts[NUM_WORDS] = count;
    s->counts[NUM_DISTINCT_WORDS] = num_distinct;
    free(ids);
    return 0;
}

/* Everything the filters count.
 *
 * text: (size,) code points; flags: (CODE_POINTS,) bits of each code point.
 * counts: (32,) zeros, filled; line_lengths, line_words: (size / 2 + 1,) of each line that holds
 * more than blanks; distinct: (size, 2) start and end of each word where it first stands.
 * Returns 0; 1 where memory is used up or a number is no code point. */
int32_t headwater_text_stats(const uint32_t *text, int32_t size, const uint16_t *flags,
                             int64_t *counts, int32_t *line_lengths, int32_t *line_words,
                             int32_t *distinct) {
    scan s = {.text = text,
              .flags = flags,
              .counts = counts,
              .line_lengths = line_lengths,
              .line_words = line_words,
              .word = -1,
              .line_first = -1,
              .part_first = -1};
    int64_t *of_lines[4] = {counts + NUM_LINES, counts + NUM_LINE_CHARACTERS,
                            counts + NUM_REPEATED_LINES, counts + NUM_REPEATED_LINE_CHARACTERS};
    int64_t *of_paragraphs[4] = {counts + NUM_PARAGRAPHS, counts + NUM_PARAGRAPH_CHARACTERS,
                                 counts + NUM_REPEATED_PARAGRAPHS,
                                 counts + NUM_REPEATED_PARAGRAPH_CHARACTERS};
    int failed = scan_text(&s, size) || count_parts(text, &s.lines, of_lines) ||
                 count_parts(text, &s.paragraphs, of_paragraphs) || count_words(&s, distinct);
    free(s.words.at);
    free(s.lines.at);
    free(s.paragraphs.at);
    return failed;
}
