// The model in this browser: files checked by their SHA-256, golden samples replayed, and only then answers.
import * as ort from './ort.wasm.min.js';
import {modelInput} from './geometry.js';
import {decodePicture} from './picture.js';
import {borderLevel, channelsLast, inverse} from './planes.js';

const BATCH = 16;

export class Refused extends Error {}

async function download({file, sha256, size}, progress) {
  const response = await fetch(new URL(file, import.meta.url));
  if (!response.ok) throw new Refused(`${file} cannot be loaded: the server answers ${response.status}.`);
  const content = new Uint8Array(size), reader = response.body.getReader();
  let filled = 0;
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    if (filled + part.value.length > size) throw altered(file);
    content.set(part.value, filled);
    filled += part.value.length;
    progress(part.value.length);
  }
  if (filled !== size || !await hasHash(content, sha256)) throw altered(file);
  return content;
}

const altered = file => new Refused(
  `${file} is not the file that the site was made with. Reload the page; if that does not help, make the site again.`);

async function hasHash(content, expected) {
  if (!crypto.subtle) return true; // not over plain http from another machine: then the golden samples must do
  const found = new Uint8Array(await crypto.subtle.digest('SHA-256', content));
  return Array.from(found, byte => byte.toString(16).padStart(2, '0')).join('') === expected;
}

export class Engine {
  // site: what model.json holds; progress: called with the number of bytes that arrived.
  static async load(site, progress) {
    const files = [site.model, site.golden, site.runtime.wasm];
    const [model, golden, wasmBinary] = await Promise.all(files.map(file => download(file, progress)));
    Object.assign(ort.env.wasm, {
      wasmBinary, numThreads: 1, wasmPaths: {mjs: new URL(site.runtime.loader.file, import.meta.url).href},
    });
    ort.env.logLevel = 'error';
    const session = await ort.InferenceSession.create(model, {executionProviders: ['wasm']});
    const engine = new Engine(site, session, readGolden(golden, site));
    engine.verified = await engine.replay();
    return engine;
  }

  constructor(site, session, golden) {
    Object.assign(this, {site, session, golden});
    const {height, width, color} = site.input;
    this.shape = {channels: color === 'L' ? 1 : 3, height, width};
  }

  // images: uint8 [n, C, H, W] as one array. Returns {logits, probabilities}, float32 [n, K] each.
  async run(images, count) {
    const {channels, height, width} = this.shape, size = channels * height * width;
    // A view of a larger buffer is not taken: slice copies.
    const tensor = new ort.Tensor('uint8', images.slice(0, count * size), [count, channels, height, width]);
    const {logits, probabilities} = await this.session.run({images: tensor}, ['logits', 'probabilities']);
    return {logits: logits.data, probabilities: probabilities.data};
  }

  async replay() {
    const {images, logits, probabilities} = this.golden, {count, tolerance, probability_tolerance: small} = this.site.golden;
    const size = images.length / count, classes = this.site.classes.length;
    let error = 0, off = 0, flipped = 0;
    for (let start = 0; start < count; start += BATCH) {
      const length = Math.min(BATCH, count - start);
      const found = await this.run(images.subarray(start * size, (start + length) * size), length);
      error = Math.max(error, difference(found.logits, logits, start * classes));
      off = Math.max(off, difference(found.probabilities, probabilities, start * classes));
      for (let i = 0; i < length; i++) {
        const expected = probabilities.subarray((start + i) * classes, (start + i + 1) * classes);
        flipped += best(found.probabilities.subarray(i * classes, (i + 1) * classes)) !== best(expected);
      }
    }
    // Written so that NaN fails.
    if (flipped || !(error <= tolerance && off <= small)) {
      throw new Refused(
        `In this browser the model does not do what it did when it was exported: of ${count} golden samples ` +
        `${flipped} change class; the largest logit difference is ${error.toPrecision(3)}, accepted is ` +
        `${tolerance.toPrecision(3)}. So no picture is classified here.`);
    }
    return {samples: count, error, tolerance};
  }

  // blob: a picture file. Returns {probabilities, seen, border}; inverted: bright where the picture is dark.
  async classify(blob, inverted) {
    const picture = await decodePicture(blob, this.site.input.bits ?? 16);
    return this.answer(modelInput(picture, this.site.input), inverted);
  }

  async classifyExample(index, inverted) {
    const size = this.golden.images.length / this.site.golden.count;
    return this.answer(this.golden.images.slice(index * size, (index + 1) * size), inverted);
  }

  async answer(given, inverted) {
    const pixels = inverted ? inverse(given) : given;
    const {probabilities} = await this.run(pixels, 1);
    if (!probabilities.every(Number.isFinite)) throw new Error('The model gives no answer for this picture.');
    return {probabilities, seen: channelsLast(pixels, this.shape), border: borderLevel(pixels, this.shape)};
  }
}

function readGolden(content, {golden, classes, input}) {
  const size = golden.count * (input.color === 'L' ? 1 : 3) * input.height * input.width;
  const outputs = new Float32Array(content.slice(size).buffer), half = golden.count * classes.length;
  return {images: content.slice(0, size), logits: outputs.subarray(0, half), probabilities: outputs.subarray(half)};
}

function difference(found, expected, start) {
  let largest = 0;
  for (let i = 0; i < found.length; i++) {
    const off = Math.abs(found[i] - expected[start + i]);
    if (Number.isNaN(off)) return NaN; // which Math.max in the caller keeps
    largest = Math.max(largest, off);
  }
  return largest;
}

function best(values) {
  let place = 0;
  values.forEach((value, index) => { if (value > values[place]) place = index; });
  return place;
}
