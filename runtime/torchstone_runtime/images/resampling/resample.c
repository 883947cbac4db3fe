/* A part of a resized picture: what compiled.py calls. */

#include <stdlib.h>

#include "resampling.h"

/* A part of a resized picture; compiled.py declares the same fields. */
typedef struct {
    const uint8_t *pixels; /* rows without gaps, of pixels of `pixel_bytes`: 4 in colour, 1 in gray */
    int32_t width, height, pixel_bytes;
    int32_t filter;        /* 0 bilinear, 1 bicubic, 2 lanczos */
    float box[4];          /* left, upper, right and lower edge of what is resized */
    int32_t target_width, target_height;
    int32_t left, top, columns, rows; /* the part of the resized picture */
    int32_t loops;         /* not 0: without vectors, also where the processor has them */
    uint8_t *out;          /* [3 or 1][rows][columns] */
} resampling;

int torchstone_resampling_version(void) {
    return RESAMPLING_VERSION;
}

static void run(const resampling *job, const row_pass *across, column_pass *down) {
    torchstone_rows(across, job->loops);
    for (int plane = 0; plane < (job->pixel_bytes == 1 ? 1 : 3); plane++) {
        down->plane = across->planes + plane * across->stride * across->rows;
        down->out = job->out + (ptrdiff_t)plane * job->rows * job->columns;
        torchstone_columns(down, job->loops);
    }
}

/* Returns 0; or 1 where nothing was done: the rows are too short for whole vectors, too many pixels go into one,
   or there is no memory. */
int torchstone_resample(const resampling *job) {
    const float *box = job->box;
    axis x = torchstone_weights(job->filter, job->width, box[0], box[2], job->target_width, job->left, job->columns);
    axis y = torchstone_weights(job->filter, job->height, box[1], box[3], job->target_height, job->top, job->rows);
    int pixels = LANES / job->pixel_bytes, groups = (x.most + pixels - 1) / pixels, failed = 1;
    if (x.weights != NULL && y.weights != NULL && groups * pixels <= job->width) {
        int top = y.first[0], read = y.first[job->rows - 1] + y.count[job->rows - 1] - top;
        ptrdiff_t stride = (job->columns + BLOCK - 1) / BLOCK * BLOCK;
        ptrdiff_t row_bytes = (ptrdiff_t)job->width * job->pixel_bytes;
        int32_t *lanes = torchstone_lanes(&x, job->columns, job->width, pixels, groups);
        uint8_t *planes = malloc((size_t)(stride * read * (job->pixel_bytes == 1 ? 1 : 3)));
        if (lanes != NULL && planes != NULL) {
            for (int row = 0; row < job->rows; row++) y.first[row] -= top;
            row_pass across = {job->pixels + top * row_bytes, row_bytes, read, job->pixel_bytes, job->columns,
                               groups, lanes, x.first, planes, stride};
            column_pass down = {NULL, stride, job->rows, job->columns, y.taps, y.weights, y.first, y.count, NULL};
            run(job, &across, &down);
            failed = 0;
        }
        free(lanes);
        free(planes);
    }
    free(x.weights);
    free(y.weights);
    return failed;
}
