/* A part of a resized picture: what compiled.py calls. */

#include <stdlib.h>

#include "resampling.h"

/* A part of a resized picture; compiled.py declares the same fields. */
typedef struct {
    const uint8_t *pixels; /* of `pixel_bytes`: 4 in colour, 1 in gray */
    int64_t row_bytes;     /* from one row of them to the next */
    int32_t width, height, pixel_bytes;
    int32_t filter;        /* 0 bilinear, 1 bicubic, 2 lanczos */
    float box[4];          /* left, upper, right and lower edge of what is resized */
    int32_t target_width, target_height;
    int32_t left, top, columns, rows; /* the part of the resized picture */
    int32_t columns_first; /* not 0: the columns are resized before the rows */
    int32_t loops;         /* not 0: without vectors, also where the processor has them */
    uint8_t *out;          /* [3 or 1][rows][columns] */
} resampling;

int torchstone_resampling_version(void) {
    return RESAMPLING_VERSION;
}

static int planes_of(const resampling *job) {
    return job->pixel_bytes == 1 ? 1 : 3;
}

/* Along the rows, of those that are needed, and then down the columns. Returns 0, or 1 where there is no memory. */
static int rows_first(const resampling *job, row_pass across, column_pass down) {
    int top = down.first[0], last = job->rows - 1;
    across.rows = down.first[last] + down.count[last] - top;
    across.pixels = job->pixels + top * across.row_bytes;
    across.stride = down.stride = job->columns < BLOCK ? BLOCK : job->columns;
    across.planes = malloc((size_t)(across.stride * across.rows * planes_of(job)));
    if (across.planes == NULL) return 1;
    torchstone_rows(&across, job->loops);
    down.begin = top;
    down.plane = across.planes;
    for (int plane = 0; plane < planes_of(job); plane++) {
        down.out = job->out + (ptrdiff_t)plane * job->rows * job->columns;
        torchstone_columns(&down, job->loops);
        down.plane += across.stride * across.rows;
    }
    free(across.planes);
    return 0;
}

/* Down the columns, whose pixels are still bytes side by side, and then along the rows. Returns as `rows_first`. */
static int columns_first(const resampling *job, row_pass across, column_pass down) {
    down.columns = job->width * job->pixel_bytes;
    down.stride = job->row_bytes;
    down.plane = job->pixels;
    down.out = malloc((size_t)down.columns * (size_t)job->rows);
    if (down.out == NULL) return 1;
    torchstone_columns(&down, job->loops);
    across.row_bytes = down.columns;
    across.pixels = down.out;
    across.rows = job->rows;
    across.stride = job->columns;
    across.planes = job->out;
    torchstone_rows(&across, job->loops);
    free(down.out);
    return 0;
}

/* Returns 0; or 1 where nothing was done: the rows are too short for whole vectors, too many pixels go into one,
   or there is no memory. */
int torchstone_resample(const resampling *job) {
    const float *box = job->box;
    axis x = torchstone_weights(job->filter, job->width, box[0], box[2], job->target_width, job->left, job->columns);
    axis y = torchstone_weights(job->filter, job->height, box[1], box[3], job->target_height, job->top, job->rows);
    int pixels = LANES / job->pixel_bytes, groups = (x.most + pixels - 1) / pixels, failed = 1;
    int has_vector = groups * pixels <= job->width && job->width * job->pixel_bytes >= BLOCK;
    if (x.weights != NULL && y.weights != NULL && has_vector) {
        int32_t *lanes = torchstone_lanes(&x, job->columns, job->width, pixels, groups);
        row_pass across = {.row_bytes = job->row_bytes, .pixel_bytes = job->pixel_bytes, .columns = job->columns,
                           .groups = groups, .weights = lanes, .first = x.first};
        column_pass down = {.rows = job->rows, .columns = job->columns, .taps = y.taps, .weights = y.weights,
                            .first = y.first, .count = y.count};
        if (lanes != NULL) failed = (job->columns_first ? columns_first : rows_first)(job, across, down);
        free(lanes);
    }
    free(x.weights);
    free(y.weights);
    return failed;
}
