// Resizing as Pillow 13 does it, bit for bit: two passes in whole numbers of 22 bits, each rounded to 8 bits. Without
// antialiasing as torchstone_runtime/images/sampling.py does it, in double precision and in its order.
// A picture is {width, height, channels, data}: data is a Uint8Array, row by row, the channels of a pixel together.

const PRECISION_BITS = 22; // of Pillow's Resample.c: 32, less 8 of a pixel and 2 for filters that overshoot
const PILLOW_CUBIC = -0.5;
const SAMPLED_CUBIC = -0.75; // of OpenCV and PyTorch

const sinc = x => x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI);

const FILTERS = {
  box: {support: 0.5, at: x => x > -0.5 && x <= 0.5 ? 1 : 0},
  bilinear: {support: 1, at: x => Math.max(0, 1 - Math.abs(x))},
  bicubic: {support: 2, at: x => cubicPillow(Math.abs(x))},
  lanczos: {support: 3, at: x => x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0},
};

function cubicPillow(x) {
  const a = PILLOW_CUBIC;
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

// For each pixel of one axis of the result: where its neighbours begin, how many they are, and their weights.
function coefficients(size, target, filter) {
  const scale = size / target, stretch = Math.max(scale, 1), support = filter.support * stretch;
  const taps = Math.ceil(support) * 2 + 1;
  const weights = new Int32Array(target * taps), first = new Int32Array(target), count = new Int32Array(target);
  const exact = new Float64Array(taps);
  for (let place = 0; place < target; place++) {
    const centre = (place + 0.5) * scale;
    const begin = Math.max(Math.trunc(centre - support + 0.5), 0);
    const length = Math.min(Math.trunc(centre + support + 0.5), size) - begin;
    let sum = 0;
    for (let tap = 0; tap < length; tap++) {
      exact[tap] = filter.at((tap + begin - centre + 0.5) * (1 / stretch));
      sum += exact[tap];
    }
    for (let tap = 0; tap < length; tap++) {
      const weight = (sum === 0 ? exact[tap] : exact[tap] / sum) * (1 << PRECISION_BITS);
      weights[place * taps + tap] = Math.trunc(weight < 0 ? weight - 0.5 : weight + 0.5);
    }
    first[place] = begin;
    count[place] = length;
  }
  return {taps, weights, first, count};
}

const HALF = 1 << (PRECISION_BITS - 1);
const clip = sum => Math.min(Math.max(sum >> PRECISION_BITS, 0), 255);

function resizeRows({width, height, channels, data}, target, filter) {
  const {taps, weights, first, count} = coefficients(width, target, filter);
  const result = new Uint8Array(target * height * channels);
  for (let row = 0, to = 0; row < height; row++) {
    for (let place = 0; place < target; place++) {
      const begin = (row * width + first[place]) * channels, length = count[place];
      for (let channel = 0; channel < channels; channel++) {
        let sum = HALF, from = begin + channel;
        for (let tap = 0; tap < length; tap++, from += channels) sum += data[from] * weights[place * taps + tap];
        result[to++] = clip(sum);
      }
    }
  }
  return {width: target, height, channels, data: result};
}

function resizeColumns({width, height, channels, data}, target, filter) {
  const {taps, weights, first, count} = coefficients(height, target, filter);
  const line = width * channels, result = new Uint8Array(line * target);
  for (let place = 0, to = 0; place < target; place++) {
    const begin = first[place] * line, length = count[place];
    for (let x = 0; x < line; x++) {
      let sum = HALF, from = begin + x;
      for (let tap = 0; tap < length; tap++, from += line) sum += data[from] * weights[place * taps + tap];
      result[to++] = clip(sum);
    }
  }
  return {width, height: target, channels, data: result};
}

// Pillow adds the step up instead of multiplying it, which matters where a sum lands beside a whole number.
function nearestPlaces(size, target) {
  const step = size / target, places = new Int32Array(target);
  for (let place = 0, at = step * 0.5; place < target; place++, at += step) places[place] = at;
  return places;
}

function resizeNearest({width, height, channels, data}, newWidth, newHeight) {
  const columns = nearestPlaces(width, newWidth), rows = nearestPlaces(height, newHeight);
  const result = new Uint8Array(newWidth * newHeight * channels);
  let to = 0;
  for (const row of rows) {
    for (const column of columns) {
      const from = (row * width + column) * channels;
      // Where the sum ends beyond the last pixel, Pillow leaves black.
      const inside = row < height && column < width;
      for (let channel = 0; channel < channels; channel++) result[to++] = inside ? data[from + channel] : 0;
    }
  }
  return {width: newWidth, height: newHeight, channels, data: result};
}

// The picture at another size, as Pillow's Image.resize gives it: nearest, box, bilinear, bicubic or lanczos.
export function resize(picture, width, height, name) {
  if (picture.width === width && picture.height === height) return picture;
  if (name === 'nearest') return resizeNearest(picture, width, height);
  const filter = FILTERS[name];
  if (!filter) throw new Error(`There is no filter '${name}'.`);
  const steps = [
    given => given.width === width ? given : resizeRows(given, width, filter),
    given => given.height === height ? given : resizeColumns(given, height, filter),
  ];
  return (columnsFirst(picture, width, height) ? steps.reverse() : steps).reduce((given, step) => step(given), picture);
}

// Since Pillow 13 the height goes first where it shrinks by more than twice as many pixels as the width. The order
// matters by a level, for each pass rounds.
function columnsFirst(picture, width, height) {
  return height < picture.height && picture.height - height > 2 * (picture.width - width);
}

function neighbours(size, target, wanted, cubic) {
  const a = SAMPLED_CUBIC;
  const near = x => ((a + 2) * x - (a + 3)) * x * x + 1;
  const far = x => ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
  return wanted.map(place => {
    const centre = (place + 0.5) * (size / target) - 0.5, first = Math.floor(centre), t = centre - first;
    const weights = cubic ? [far(t + 1), near(t), near(1 - t), far(2 - t)] : [1 - t, t];
    const indices = weights.map((_, tap) => Math.min(Math.max(first + tap - (cubic ? 1 : 0), 0), size - 1));
    return {indices, weights};
  });
}

// A part of the picture as it would be at another size, without antialiasing: bilinear, or bicubic.
// size: [height, width] of the whole; rows, columns: arrays of those that are wanted.
export function sample({width, height, channels, data}, size, rows, columns, cubic) {
  const down = neighbours(height, size[0], rows, cubic), across = neighbours(width, size[1], columns, cubic);
  const result = new Uint8Array(rows.length * columns.length * channels);
  let to = 0;
  for (const vertical of down) {
    for (const {indices, weights} of across) {
      for (let channel = 0; channel < channels; channel++) {
        let total = 0;
        vertical.indices.forEach((row, tap) => {
          let line = 0;
          for (let k = 0; k < indices.length; k++) {
            line += weights[k] * data[(row * width + indices[k]) * channels + channel];
          }
          total += vertical.weights[tap] * line;
        });
        result[to++] = Math.min(Math.max(Math.floor(total + 0.5), 0), 255);
      }
    }
  }
  return {width: columns.length, height: rows.length, channels, data: result};
}
