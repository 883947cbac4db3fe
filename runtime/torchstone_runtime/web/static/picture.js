// Picture files to pixels, upright: PNG by our own decoder, anything else by the browser's.
import {MAX_PIXELS} from './geometry.js';
import {decodePng, isPng} from './png.js';

// Pillow's exif_transpose: for each pixel of the upright picture, where it lies in the stored one.
const PLACES = {
  2: (x, y, w) => [w - 1 - x, y],
  3: (x, y, w, h) => [w - 1 - x, h - 1 - y],
  4: (x, y, w, h) => [x, h - 1 - y],
  5: (x, y) => [y, x],
  6: (x, y, w, h) => [y, h - 1 - x],
  7: (x, y, w, h) => [w - 1 - y, h - 1 - x],
  8: (x, y, w) => [w - 1 - y, x],
};

export function upright(picture, orientation) {
  const place = PLACES[orientation];
  if (!place) return picture;
  const {width, height, channels, data} = picture, result = new Uint8Array(data.length);
  const [wide, high] = orientation > 4 ? [height, width] : [width, height];
  let to = 0;
  for (let y = 0; y < high; y++) {
    for (let x = 0; x < wide; x++) {
      const [column, row] = place(x, y, width, height), from = (row * width + column) * channels;
      for (let channel = 0; channel < channels; channel++) result[to++] = data[from + channel];
    }
  }
  return {width: wide, height: high, channels, data: result};
}

// Number of colour components that a JPEG file states; 0 where it states none.
export function jpegComponents(bytes) {
  let at = 2;
  while (at + 9 < bytes.length && bytes[at] === 0xff) {
    const marker = bytes[at + 1], frame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (frame) return bytes[at + 9];
    if (marker === 0xff || marker === 0x01 || (marker >= 0xd0 && marker <= 0xd8)) at += marker === 0xff ? 1 : 2;
    else at += 2 + (bytes[at + 2] << 8 | bytes[at + 3]);
  }
  return 0;
}

const isJpeg = bytes => bytes[0] === 0xff && bytes[1] === 0xd8;

async function decodeByBrowser(blob) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(blob, {
      imageOrientation: 'from-image', colorSpaceConversion: 'none', premultiplyAlpha: 'none',
    });
  } catch {
    throw new Error('This browser cannot read the picture. Save it as PNG or JPEG.');
  }
  const {width, height} = bitmap;
  if (width * height > MAX_PIXELS) {
    throw new Error(`The picture has ${width} x ${height} pixels; the limit is ${MAX_PIXELS} in all.`);
  }
  const context = new OffscreenCanvas(width, height).getContext('2d', {willReadFrequently: true});
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return withoutAlpha(context.getImageData(0, 0, width, height).data, width, height);
}

function withoutAlpha(rgba, width, height) {
  const data = new Uint8Array(width * height * 3);
  for (let i = 0, to = 0; i < rgba.length; i += 4) {
    // A canvas multiplies colours by their alpha, and does not give them back as they were.
    if (rgba[i + 3] !== 255) throw new Error('The picture has transparent parts. Save it as PNG, or without them.');
    data[to++] = rgba[i];
    data[to++] = rgba[i + 1];
    data[to++] = rgba[i + 2];
  }
  return {width, height, channels: 3, data};
}

// blob: a picture file; bits: how many of 16 the values of a 16-bit picture use. Returns it upright, gray or RGB.
export async function decodePicture(blob, bits) {
  const bytes = new Uint8Array(await blob.arrayBuffer());
  if (isPng(bytes)) {
    const {orientation, ...picture} = await decodePng(bytes, bits, MAX_PIXELS);
    return upright(picture, orientation);
  }
  if (isJpeg(bytes) && jpegComponents(bytes) === 4) {
    throw new Error('The picture is a JPEG in CMYK, which browsers convert differently. Save it in RGB.');
  }
  return decodeByBrowser(blob);
}
