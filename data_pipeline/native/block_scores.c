/* Scores of a page's text blocks by boosted trees.
 *
 * Whole numbers throughout, so that block_scores_twin.py gives the same.
 */
#include "library.h"

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
