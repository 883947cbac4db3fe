/* Planes, or pixels of four bytes, to pixels of three. */

#include "resampling.h"

typedef struct {
    const uint8_t *levels;      /* of the first pixel's first channel */
    int64_t plane, row, column; /* bytes from it to the next of each, which may lie before it */
    int32_t rows, columns;
    uint8_t *out;               /* [rows][columns][3] */
} interleaving;

void torchstone_interleave(const interleaving *job) {
    uint8_t *to = job->out;
    for (int row = 0; row < job->rows; row++) {
        const uint8_t *red = job->levels + row * job->row, *green = red + job->plane, *blue = green + job->plane;
        for (int column = 0; column < job->columns; column++, to += 3) {
            ptrdiff_t at = column * job->column;
            to[0] = red[at];
            to[1] = green[at];
            to[2] = blue[at];
        }
    }
}
