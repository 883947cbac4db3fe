/* Pillow's two-pass resampling (its Resample.c), bit for bit, on vectors of whole numbers.

   Each pass is a sum of bytes times weights of 22 bits in 32-bit whole numbers, rounded to 8 bits. Whole numbers may
   be added in any order, so that vectors and loops give the same bytes. The weights are computed as Pillow does, in
   double precision and without fused operations (-ffp-contract=off). */

#include <stddef.h>
#include <stdint.h>

#define RESAMPLING_VERSION 3 /* counts the changes of what compiled.py calls */
#define PRECISION_BITS 22 /* of Pillow: 32, less 8 of a pixel and 2 for filters that overshoot */
#define LANES 16 /* bytes that are weighted together: 4 pixels in colour, of 4 bytes each, or 16 gray ones */
#define BLOCK 32 /* columns that are computed together */

/* One axis: the pixels that those of the result are made of, and their weights. */
typedef struct {
    int taps;
    int32_t *weights; /* [n][taps] */
    int32_t *first;   /* [n] */
    int32_t *count;   /* [n] */
    int most;         /* of count */
} axis;

/* The weights of `n` pixels, from `start` on, of `target` that the pixels `from` to `to` of `size` are resized to.
   filter: 0 bilinear, 1 bicubic, 2 lanczos. All of the answer is one allocation, which begins at `weights`; that is
   NULL where there is no memory, or where more than MOST_TAPS pixels of one axis go into one. */
axis torchstone_weights(int filter, int size, float from, float to, int target, int start, int n);

/* The same for whole vectors, which must not reach beyond a row of `size` pixels: [n][groups][LANES], in colour each
   weight four times over. NULL: there is no memory. */
int32_t *torchstone_lanes(axis *one, int n, int size, int pixels, int groups);

typedef struct {
    const uint8_t *pixels;  /* first of the rows that are read */
    ptrdiff_t row_bytes;    /* from one of them to the next */
    int rows;
    int pixel_bytes;        /* 4 in colour, of which the last is not used; 1 in gray */
    int columns;            /* that are written */
    int groups;             /* of LANES bytes, for each of them */
    const int32_t *weights; /* [columns][groups][LANES], in colour each four times over */
    const int32_t *first;   /* [columns], the pixel where the groups begin */
    uint8_t *planes;        /* [3 or 1][rows][stride] */
    ptrdiff_t stride;
} row_pass;

typedef struct {
    const uint8_t *plane;
    ptrdiff_t stride;       /* from one of its rows to the next: at least `columns`, and at least BLOCK */
    int rows;               /* that are written */
    int columns;
    int taps;
    const int32_t *weights; /* [rows][taps], of which count[row] are used */
    const int32_t *first;   /* [rows], where they begin */
    int begin;              /* what `first` counts for the first row of the plane */
    const int32_t *count;
    uint8_t *out;           /* [rows][columns] */
} column_pass;

/* Whether this processor has the vectors; compiled.py asks, too. */
int torchstone_has_vectors(void);

/* Both passes, by vectors where the processor has them, unless `loops` is not 0. */
void torchstone_rows(const row_pass *pass, int loops);
void torchstone_columns(const column_pass *pass, int loops);
