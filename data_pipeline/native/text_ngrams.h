/* Repetition of word n-grams; see text_ngrams.c. */
#ifndef HEADWATER_TEXT_NGRAMS_H
#define HEADWATER_TEXT_NGRAMS_H

#include "text.h"

#define LONGEST_TOP_NGRAM 4
#define LONGEST_NGRAM 10

/* covered: (LONGEST_NGRAM - 1,) zeros, filled for n = 2 to LONGEST_NGRAM. Up to LONGEST_TOP_NGRAM:
 * characters of the words under the most frequent n-gram, where it stands twice; above: characters
 * under n-grams that stood before. Nonzero where memory is used up. */
int ngram_repetition(const span_list *words, const int32_t *ids, int32_t num_distinct,
                     int64_t *covered);

#endif
