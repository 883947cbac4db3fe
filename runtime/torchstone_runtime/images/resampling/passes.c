/* The two passes, once in vectors of AVX2 and once in loops that a compiler makes vectors of elsewhere. */

#include <string.h>

#include "resampling.h"

#define HALF (1 << (PRECISION_BITS - 1))

static uint8_t rounded(int32_t sum) {
    int32_t level = (sum + HALF) >> PRECISION_BITS;
    return (uint8_t)(level < 0 ? 0 : level > 255 ? 255 : level);
}

static void rows_by_loops(const row_pass *pass) {
    for (int row = 0; row < pass->rows; row++) {
        const uint8_t *line = pass->pixels + row * pass->row_bytes;
        uint8_t *to = pass->planes + row * pass->stride;
        const int32_t *weight = pass->weights;
        for (int column = 0; column < pass->columns; column++) {
            const uint8_t *from = line + (ptrdiff_t)pass->pixel_bytes * pass->first[column];
            int32_t sums[4] = {0};
            for (int group = 0; group < pass->groups; group++, weight += LANES, from += LANES) {
                for (int lane = 0; lane < LANES; lane++) sums[lane % 4] += from[lane] * weight[lane];
            }
            if (pass->pixel_bytes == 1) {
                to[column] = rounded(sums[0] + sums[1] + sums[2] + sums[3]);
            } else {
                for (int c = 0; c < 3; c++) to[c * pass->stride * pass->rows + column] = rounded(sums[c]);
            }
        }
    }
}

/* Sums `count` rows from `from` on, BLOCK columns of them, to `out`. */
typedef void block_sum(const uint8_t *from, ptrdiff_t stride, const int32_t *weights, int count, uint8_t *out);

static void columns_by(block_sum *sum, const column_pass *pass) {
    for (int row = 0; row < pass->rows; row++) {
        const int32_t *weights = pass->weights + (ptrdiff_t)row * pass->taps;
        const uint8_t *top = pass->plane + (pass->first[row] - pass->begin) * pass->stride;
        uint8_t *to = pass->out + (ptrdiff_t)row * pass->columns;
        for (int column = 0; column < pass->columns; column += BLOCK) {
            int length = pass->columns < BLOCK ? pass->columns : BLOCK;
            /* The last block begins early enough to end with the row: nothing beyond it is read. */
            if (column > pass->columns - length) column = pass->columns - length;
            uint8_t block[BLOCK];
            sum(top + column, pass->stride, weights, pass->count[row], block);
            memcpy(to + column, block, (size_t)length);
        }
    }
}

static void block_by_loops(const uint8_t *from, ptrdiff_t stride, const int32_t *weights, int count, uint8_t *out) {
    int32_t sums[BLOCK] = {0};
    for (int tap = 0; tap < count; tap++, from += stride) {
        for (int i = 0; i < BLOCK; i++) sums[i] += from[i] * weights[tap];
    }
    for (int i = 0; i < BLOCK; i++) out[i] = rounded(sums[i]);
}

#if defined(__x86_64__)
#include <immintrin.h>
#define AVX2 __attribute__((target("avx2")))

/* Eight bytes times eight weights. */
AVX2 static inline __m256i weighted(const uint8_t *from, __m256i weights) {
    return _mm256_mullo_epi32(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)from)), weights);
}

/* The sums of the four bytes of a pixel; in gray they are parts of one sum. */
AVX2 static inline __m128i summed(const uint8_t *from, const int32_t *weights, int groups) {
    __m256i left = _mm256_setzero_si256(), right = left;
    for (int group = 0; group < groups; group++, weights += LANES, from += LANES) {
        left = _mm256_add_epi32(left, weighted(from, _mm256_loadu_si256((const __m256i *)weights)));
        right = _mm256_add_epi32(right, weighted(from + 8, _mm256_loadu_si256((const __m256i *)(weights + 8))));
    }
    left = _mm256_add_epi32(left, right);
    return _mm_add_epi32(_mm256_castsi256_si128(left), _mm256_extracti128_si256(left, 1));
}

AVX2 static inline __m128i levels(__m128i sums) {
    return _mm_srai_epi32(_mm_add_epi32(sums, _mm_set1_epi32(HALF)), PRECISION_BITS);
}

AVX2 static inline void put_four(uint8_t *to, __m128i bytes) {
    int32_t four = _mm_cvtsi128_si32(bytes);
    memcpy(to, &four, sizeof four);
}

/* The sums of four columns, to each plane: packing clips at 0 and 255. */
AVX2 static inline void put_columns(const row_pass *pass, __m128i a, __m128i b, __m128i c, __m128i d, uint8_t *to) {
    if (pass->pixel_bytes == 1) {
        __m128i four = levels(_mm_hadd_epi32(_mm_hadd_epi32(a, b), _mm_hadd_epi32(c, d)));
        four = _mm_packus_epi32(four, four);
        put_four(to, _mm_packus_epi16(four, four));
        return;
    }
    const __m128i by_plane = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    __m128i pixels = _mm_packus_epi16(_mm_packus_epi32(levels(a), levels(b)), _mm_packus_epi32(levels(c), levels(d)));
    ptrdiff_t plane = pass->stride * pass->rows;
    pixels = _mm_shuffle_epi8(pixels, by_plane);
    put_four(to, pixels);
    put_four(to + plane, _mm_srli_si128(pixels, 4));
    put_four(to + 2 * plane, _mm_srli_si128(pixels, 8));
}

AVX2 static void rows_by_vectors(const row_pass *pass) {
    ptrdiff_t each = (ptrdiff_t)pass->groups * LANES;
    int last = pass->columns - 4;
    for (int row = 0; row < pass->rows; row++) {
        const uint8_t *line = pass->pixels + row * pass->row_bytes;
        for (int step = 0; step < pass->columns; step += 4) {
            /* The last four begin early enough to end with the row. */
            int column = step < last ? step : last;
            const int32_t *weights = pass->weights + column * each, *first = pass->first + column;
#define SUMMED(i) summed(line + (ptrdiff_t)pass->pixel_bytes * first[i], weights + (i) * each, pass->groups)
            put_columns(pass, SUMMED(0), SUMMED(1), SUMMED(2), SUMMED(3), pass->planes + row * pass->stride + column);
#undef SUMMED
        }
    }
}

AVX2 static void block_by_vectors(const uint8_t *from, ptrdiff_t stride, const int32_t *weights, int count,
                                  uint8_t *out) {
    __m256i sums[4];
    for (int part = 0; part < 4; part++) sums[part] = _mm256_set1_epi32(HALF);
    for (int tap = 0; tap < count; tap++, from += stride) {
        __m256i factor = _mm256_set1_epi32(weights[tap]);
        for (int part = 0; part < 4; part++) {
            sums[part] = _mm256_add_epi32(sums[part], weighted(from + 8 * part, factor));
        }
    }
    for (int part = 0; part < 4; part++) sums[part] = _mm256_srai_epi32(sums[part], PRECISION_BITS);
    /* Packing clips, and takes the halves of its operands in turns. */
    __m256i packed = _mm256_packus_epi16(_mm256_packs_epi32(sums[0], sums[1]), _mm256_packs_epi32(sums[2], sums[3]));
    packed = _mm256_permutevar8x32_epi32(packed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    _mm256_storeu_si256((__m256i *)out, packed);
}
#else
#define rows_by_vectors rows_by_loops
#define block_by_vectors block_by_loops
#endif

int torchstone_has_vectors(void) {
#if defined(__x86_64__)
    return __builtin_cpu_supports("avx2") != 0;
#else
    return 0;
#endif
}

void torchstone_rows(const row_pass *pass, int loops) {
    (torchstone_has_vectors() && !loops && pass->columns >= 4 ? rows_by_vectors : rows_by_loops)(pass);
}

void torchstone_columns(const column_pass *pass, int loops) {
    columns_by(torchstone_has_vectors() && !loops ? block_by_vectors : block_by_loops, pass);
}
