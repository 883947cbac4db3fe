// From a picture of any size to a model's input: the twin of torchstone_runtime/images/geometry.py.
// A spec is the `input` object of a bundle's manifest.
import {channelsFirst} from './planes.js';
import {resize, sample} from './resample.js';

export const MAX_PIXELS = 89478485; // Pillow's limit for decompression bombs

// Python's round: halves to even.
function round(value) {
  const floor = Math.floor(value), rest = value - floor;
  return rest === 0.5 ? floor + floor % 2 : floor + (rest > 0.5 ? 1 : 0);
}

function offset(size, target) {
  return size <= target ? Math.floor((target - size) / 2) : -round((size - target) / 2);
}

// Where a picture comes to lie in the input: {height, width, top, left}; negative where it is cut.
export function placement(height, width, spec) {
  let rows = spec.height, columns = spec.width;
  if (spec.fit === 'crop') {
    const longer = Math.floor(spec.resize * Math.max(height, width) / Math.min(height, width));
    [rows, columns] = width <= height ? [longer, spec.resize] : [spec.resize, longer];
  } else if (spec.fit === 'pad') {
    const scale = Math.min(spec.height / height, spec.width / width);
    [rows, columns] = [Math.max(1, round(height * scale)), Math.max(1, round(width * scale))];
  }
  return {height: rows, width: columns, top: offset(rows, spec.height), left: offset(columns, spec.width)};
}

// Pillow's convert('L') of a picture in colour (ITU-R 601, in whole numbers of 16 bits); 'RGB' of a gray one.
export function convert(picture, color) {
  const {width, height, channels, data} = picture, pixels = width * height;
  if (channels === (color === 'L' ? 1 : 3)) return picture;
  const result = new Uint8Array(pixels * (color === 'L' ? 1 : 3));
  for (let i = 0; i < pixels; i++) {
    if (color === 'L') {
      result[i] = (data[3 * i] * 19595 + data[3 * i + 1] * 38470 + data[3 * i + 2] * 7471 + 0x8000) >> 16;
    } else {
      result.fill(data[i], 3 * i, 3 * i + 3);
    }
  }
  return {width, height, channels: color === 'L' ? 1 : 3, data: result};
}

const span = (from, to) => Array.from({length: Math.max(0, to - from)}, (_, index) => from + index);

// The picture, upright and of the spec's colour, at the spec's height and width.
export function fitPicture(picture, spec) {
  const place = placement(picture.height, picture.width, spec);
  if (place.height === picture.height && place.width === picture.width) return onGround(picture, place, spec);
  if (spec.antialias !== false || spec.resample === 'nearest') {
    if (Math.max(place.width * picture.height, place.width * place.height) > MAX_PIXELS) {
      throw new Error(
        `The picture has ${picture.width} x ${picture.height} pixels (width x height), and would be resized to ` +
        `${place.width} x ${place.height}: too long and narrow. Cut it to the part that matters first.`);
    }
    return onGround(resize(picture, place.width, place.height, spec.resample), place, spec);
  }
  const rows = span(Math.max(-place.top, 0), Math.min(place.height, spec.height - place.top));
  const columns = span(Math.max(-place.left, 0), Math.min(place.width, spec.width - place.left));
  const part = sample(picture, [place.height, place.width], rows, columns, spec.resample === 'bicubic');
  return onGround(part, {top: Math.max(place.top, 0), left: Math.max(place.left, 0)}, spec);
}

function onGround(picture, {top, left}, spec) {
  const {width, height, channels, data} = picture;
  if (width === spec.width && height === spec.height && top === 0 && left === 0) return picture;
  const result = new Uint8Array(spec.width * spec.height * channels).fill(spec.fill ?? 0);
  const from = Math.max(-left, 0), length = Math.min(width - from, spec.width - Math.max(left, 0));
  for (let row = Math.max(-top, 0); row < height && row + top < spec.height; row++) {
    const line = data.subarray((row * width + from) * channels, (row * width + from + length) * channels);
    result.set(line, ((row + top) * spec.width + Math.max(left, 0)) * channels);
  }
  return {width: spec.width, height: spec.height, channels, data: result};
}

// What decode_image does behind the decoder: a decoded picture to the model's pixels, [C, H, W].
export function modelInput(picture, spec) {
  return channelsFirst(fitPicture(convert(picture, spec.color), spec));
}
