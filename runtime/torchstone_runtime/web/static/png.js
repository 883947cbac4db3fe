// PNG files to the pixels that Pillow reads: browsers apply colour profiles and gamma, keep 8 bits of 16, and lose
// the colours of transparent pixels. As decode_image does, alpha is dropped and 16 bits of gray become 8.

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const GRAY = 0, PALETTE = 3;
const CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4};
const DEPTHS = {0: [1, 2, 4, 8, 16], 2: [8, 16], 3: [1, 2, 4, 8], 4: [8, 16], 6: [8, 16]};
const PASSES = [[0, 0, 8, 8], [4, 0, 8, 8], [0, 4, 4, 8], [2, 0, 4, 4], [0, 2, 2, 4], [1, 0, 2, 2], [0, 1, 1, 2]];

export const isPng = bytes => SIGNATURE.every((byte, index) => bytes[index] === byte);

const damaged = what => new Error(`The picture cannot be read: its PNG file ${what}.`);

function readChunks(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), data = [];
  let header = null, palette = null, orientation = 1, at = SIGNATURE.length;
  while (at + 8 <= bytes.length) {
    const length = view.getUint32(at), type = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    const body = bytes.subarray(at + 8, at + 8 + length);
    if (body.length < length) throw damaged('ends too early');
    if (type === 'IHDR') header = readHeader(new DataView(body.buffer, body.byteOffset, body.byteLength));
    if (type === 'PLTE') palette = body;
    if (type === 'eXIf') orientation = exifOrientation(body);
    if (type === 'IDAT') data.push(body);
    if (type === 'IEND') break;
    at += 12 + length;
  }
  if (!header || !data.length) throw damaged('holds no picture');
  if (header.color === PALETTE && !palette) throw damaged('lacks its palette');
  return {...header, palette, orientation, data};
}

function readHeader(view) {
  if (view.byteLength < 13) throw damaged('has a short header');
  const [depth, color, compression, filter, interlaced] = [8, 9, 10, 11, 12].map(at => view.getUint8(at));
  const header = {width: view.getUint32(0), height: view.getUint32(4), depth, color, interlaced};
  if (!DEPTHS[color]?.includes(depth) || compression || filter || interlaced > 1 || !header.width || !header.height) {
    throw damaged('is of a kind that PNG does not have');
  }
  return header;
}

// The tag 0x0112 of the first directory of TIFF data: 1 to 8, 1 where it is not stated.
export function exifOrientation(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  try {
    const little = view.getUint16(0) === 0x4949, start = view.getUint32(4, little);
    for (let entry = 0; entry < view.getUint16(start, little); entry++) {
      const at = start + 2 + 12 * entry;
      if (view.getUint16(at, little) === 0x0112) return view.getUint16(at + 8, little);
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error; // a damaged directory states nothing
  }
  return 1;
}

async function inflate(parts, size) {
  const stream = new Blob(parts).stream().pipeThrough(new DecompressionStream('deflate'));
  const result = new Uint8Array(size), reader = stream.getReader();
  let filled = 0;
  try {
    while (filled < size) {
      const {done, value} = await reader.read();
      if (done) break;
      result.set(value.subarray(0, size - filled), filled);
      filled += value.length;
    }
  } catch {
    throw damaged('is damaged');
  }
  reader.cancel().catch(() => {});
  if (filled < size) throw damaged('ends too early');
  return result;
}

function paeth(left, above, corner) {
  const guess = left + above - corner;
  const a = Math.abs(guess - left), b = Math.abs(guess - above), c = Math.abs(guess - corner);
  return a <= b && a <= c ? left : b <= c ? above : corner;
}

// Undoes the filters of one pass in place; returns its lines without the filters' bytes.
function unfilter(data, start, lines, length, step) {
  let above = new Uint8Array(length);
  return Array.from({length: lines}, (_, index) => {
    const at = start + index * (length + 1), kind = data[at], line = data.subarray(at + 1, at + 1 + length);
    if (kind > 4) throw damaged('is damaged');
    for (let x = 0; x < length && kind; x++) {
      const left = x < step ? 0 : line[x - step], corner = x < step ? 0 : above[x - step];
      line[x] += kind === 1 ? left : kind === 2 ? above[x] : kind === 3 ? (left + above[x]) >> 1
        : paeth(left, above[x], corner);
    }
    above = line;
    return line;
  });
}

// One sample of a line: the upper byte of 16 bits, unless `wide`.
function sampleOf(line, index, depth, wide) {
  if (depth === 8) return line[index];
  if (depth === 16) return wide ? line[2 * index] << 8 | line[2 * index + 1] : line[2 * index];
  const bit = index * depth;
  return line[bit >> 3] >> (8 - depth - (bit & 7)) & ((1 << depth) - 1);
}

// bits: how many of 16 the values of 16-bit pictures use. Returns {width, height, channels, data, orientation}.
export async function decodePng(bytes, bits, maxPixels) {
  const file = readChunks(bytes), {width, height, depth, color} = file, inFile = CHANNELS[color];
  if (width * height > maxPixels) {
    throw new Error(`The picture has ${width} x ${height} pixels; the limit is ${maxPixels} in all.`);
  }
  const wide = depth === 16 && color === GRAY;
  if (depth === 16 && !wide && bits < 16) {
    throw new Error(`A 16-bit picture in colour can't be taken for one of ${bits} bits. Scale it to 8 bits first.`);
  }
  const all = (file.interlaced ? PASSES : [[0, 0, 1, 1]]).map(([x, y, across, down]) => {
    const columns = Math.ceil((width - x) / across), lines = Math.ceil((height - y) / down);
    return {x, y, across, down, columns, lines, length: Math.ceil(columns * inFile * depth / 8)};
  });
  const passes = all.filter(pass => pass.columns > 0 && pass.lines > 0);
  const size = passes.reduce((sum, {lines, length}) => sum + lines * (length + 1), 0);
  const raw = await inflate(file.data, size);
  const channels = color === PALETTE || inFile > 2 ? 3 : 1, result = new Uint8Array(width * height * channels);
  const put = pixelWriter(file, bits, wide);
  let start = 0;
  for (const {x, y, across, down, columns, lines, length} of passes) {
    unfilter(raw, start, lines, length, Math.max(1, inFile * depth >> 3)).forEach((line, row) => {
      for (let column = 0; column < columns; column++) {
        put(line, column, result, ((y + row * down) * width + x + column * across) * channels);
      }
    });
    start += lines * (length + 1);
  }
  return {width, height, channels, data: result, orientation: file.orientation};
}

function pixelWriter({depth, color, palette}, bits, wide) {
  const inFile = CHANNELS[color], largest = 2 ** bits - 1, scale = depth < 8 ? 255 / ((1 << depth) - 1) : 1;
  if (color === PALETTE) {
    return (line, column, result, to) => {
      const from = 3 * sampleOf(line, column, depth, false);
      for (let channel = 0; channel < 3; channel++) result[to + channel] = palette[from + channel] ?? 0;
    };
  }
  if (wide) {
    return (line, column, result, to) => {
      const value = sampleOf(line, column, depth, true);
      if (value > largest) throw new Error(`The picture has values up to ${value}; ${bits} bits hold ${largest}.`);
      result[to] = Math.floor((value * 255 + (largest >> 1)) / largest);
    };
  }
  const channels = inFile > 2 ? 3 : 1;
  return (line, column, result, to) => {
    for (let channel = 0; channel < channels; channel++) {
      result[to + channel] = sampleOf(line, column * inFile + channel, depth, false) * scale;
    }
  };
}
