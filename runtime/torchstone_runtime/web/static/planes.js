// Pixels as a model takes them, channel by channel, and as pictures have them; and how bright their border is.

// Rows of pixels to what the model takes: [C, H, W].
export function channelsFirst({width, height, channels, data}) {
  const pixels = width * height, result = new Uint8Array(pixels * channels);
  for (let i = 0; i < pixels; i++) {
    for (let channel = 0; channel < channels; channel++) result[channel * pixels + i] = data[i * channels + channel];
  }
  return result;
}

// The other way, for showing what the model saw.
export function channelsLast(planes, {channels, height, width}) {
  const pixels = width * height, data = new Uint8Array(pixels * channels);
  for (let i = 0; i < pixels; i++) {
    for (let channel = 0; channel < channels; channel++) data[i * channels + channel] = planes[channel * pixels + i];
  }
  return {width, height, channels, data};
}

export const inverse = levels => levels.map(level => 255 - level);

const FAR = 128; // half of the range, as torchstone_runtime/images/background.py has it

// 'light' or 'dark' where a border is unlike those of the images that a model knows, else null.
export function unlikeGround(level, {low, high}) {
  if (level > high + FAR) return 'light';
  return level < low - FAR ? 'dark' : null;
}

// Mean level of the outermost pixels: border_levels of torchstone_runtime/images/background.py.
export function borderLevel(planes, {channels, height, width}) {
  let rows = 0, columns = 0;
  for (let channel = 0; channel < channels; channel++) {
    const plane = planes.subarray(channel * height * width, (channel + 1) * height * width);
    for (let x = 0; x < width; x++) rows += plane[x] + plane[(height - 1) * width + x];
    for (let y = 0; y < height; y++) columns += plane[y * width] + plane[y * width + width - 1];
  }
  const across = rows / (2 * channels * width), down = columns / (2 * channels * height);
  return (across * width + down * height) / (height + width);
}
