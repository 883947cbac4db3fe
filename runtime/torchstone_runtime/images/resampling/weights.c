/* The weights of one axis, as precompute_coeffs and normalize_coeffs_8bpc of Pillow's Resample.c compute them. */

#include <math.h>
#include <stdlib.h>

#include "resampling.h"

#define MOST_TAPS 4096 /* beyond it the weights take more memory than the picture */

static double bilinear(double x) {
    return x < 0 ? (x > -1 ? 1 + x : 0) : x < 1 ? 1 - x : 0;
}

static double bicubic(double x) {
    const double a = -0.5; /* of the cubic convolution (R. Keys, 1981), as Pillow has it */
    x = fabs(x);
    if (x < 1) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
    return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

static double sinc(double x) {
    x *= 3.14159265358979323846;
    return x == 0 ? 1 : sin(x) / x;
}

static double lanczos(double x) {
    return -3 <= x && x < 3 ? sinc(x) * sinc(x / 3) : 0;
}

typedef struct {
    double (*at)(double);
    double support;
} filter;

static const filter FILTERS[] = {{bilinear, 1}, {bicubic, 2}, {lanczos, 3}};

static void weigh(const filter *by, double centre, double stretch, const axis *to, int place, double *exact) {
    int32_t *weight = to->weights + (ptrdiff_t)place * to->taps;
    double sum = 0;
    for (int tap = 0; tap < to->count[place]; tap++) {
        exact[tap] = by->at((tap + to->first[place] - centre + 0.5) * (1.0 / stretch));
        sum += exact[tap];
    }
    for (int tap = 0; tap < to->count[place]; tap++) {
        double share = (sum != 0 ? exact[tap] / sum : exact[tap]) * (1 << PRECISION_BITS);
        weight[tap] = (int32_t)(share < 0 ? share - 0.5 : share + 0.5);
    }
}

axis torchstone_weights(int kind, int size, float from, float to, int target, int start, int n) {
    const filter *by = &FILTERS[kind];
    /* The difference is rounded to single precision, as Pillow does it. */
    double scale = (double)(to - from) / target, stretch = scale < 1 ? 1 : scale, support = by->support * stretch;
    axis made = {0};
    if (support > MOST_TAPS / 2.0 - 1) return made;
    made.taps = (int)ceil(support) * 2 + 1;
    size_t values = (size_t)n * (size_t)(made.taps + 2);
    made.weights = calloc(values, sizeof(int32_t));
    if (made.weights == NULL) return made;
    made.first = made.weights + (size_t)n * (size_t)made.taps;
    made.count = made.first + n;
    double *exact = malloc((size_t)made.taps * sizeof(double));
    for (int place = 0; exact != NULL && place < n; place++) {
        double centre = from + (start + place + 0.5) * scale;
        int begin = (int)(centre - support + 0.5), end = (int)(centre + support + 0.5);
        made.first[place] = begin < 0 ? 0 : begin;
        made.count[place] = (end > size ? size : end) - made.first[place];
        if (made.count[place] > made.most) made.most = made.count[place];
        weigh(by, centre, stretch, &made, place, exact);
    }
    if (exact == NULL) {
        free(made.weights);
        made.weights = NULL;
    }
    free(exact);
    return made;
}

int32_t *torchstone_lanes(axis *one, int n, int size, int pixels, int groups) {
    int repeats = LANES / pixels;
    int32_t *lanes = calloc((size_t)n * (size_t)groups * LANES, sizeof(int32_t));
    for (int place = 0; lanes != NULL && place < n; place++) {
        int latest = size - groups * pixels, shift = one->first[place] > latest ? one->first[place] - latest : 0;
        int32_t *to = lanes + (ptrdiff_t)place * groups * LANES + (ptrdiff_t)shift * repeats;
        one->first[place] -= shift;
        for (int tap = 0; tap < one->count[place] * repeats; tap++) {
            to[tap] = one->weights[(ptrdiff_t)place * one->taps + tap / repeats];
        }
    }
    return lanes;
}

