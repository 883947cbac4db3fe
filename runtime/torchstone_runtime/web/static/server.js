// The page of `torchstone serve`: the picture's own bytes go to the server, which reads them as in training.
import {borderLevel, channelsFirst, channelsLast, inverse, unlikeGround} from './planes.js';
import {startPage} from './page.js';

const NO_ANSWER = 'The model gives no answer for this picture.';

class Remote {
  // served: what the page's data block holds.
  constructor(served) {
    this.served = served;
    this.address = `v2/models/${encodeURIComponent(served.model)}/versions/${encodeURIComponent(served.version)}`;
  }

  async start() {
    const {samples, variant, verified} = this.served, answer = await fetch(`${this.address}/ready`);
    if (!answer.ok) throw new Error('The server is not ready. Reload this page in a moment.');
    if (!verified) return `Ready. The server was told not to replay the golden samples of its ${variant} model.`;
    return `Verified: before the server was ready, its ${variant} model decided ${samples} golden samples there as ` +
      'it did at its export.';
  }

  async classify(blob, inverted) {
    const {model, version, coverage} = this.served;
    const query = new URLSearchParams({top: 5, seen: 1, drift: 1, model, version, ...(coverage && {coverage})});
    const answer = await read(await fetch(`predict?${query}`, {method: 'POST', body: blob}));
    const planes = await pixelsOf(await loaded(answer.seen), this.served.shape);
    if (inverted) return this.classifyPixels(inverse(planes));
    if (!answer.top.length) throw new Error(NO_ANSWER);
    const top = answer.top.map(({class: label, probability}) => ({label, probability}));
    // The server has its own sentence on the ground.
    const notes = [...answer.warnings ?? [], ...driftNotes(answer.drift)];
    return {...this.shown(top, planes, notes, answer.set), ground: null};
  }

  async classifyExample(index, inverted, image) {
    const planes = await pixelsOf(image, this.served.shape);
    return this.classifyPixels(inverted ? inverse(planes) : planes);
  }

  // Pixels that are the model's input already, by the Open Inference Protocol.
  async classifyPixels(planes) {
    const {channels, height, width} = this.served.shape;
    const header = new TextEncoder().encode(JSON.stringify({
      inputs: [{
        name: 'images', datatype: 'UINT8', shape: [1, channels, height, width],
        parameters: {binary_data_size: planes.length},
      }],
      outputs: [{name: 'probabilities', parameters: {binary_data: false}}],
      ...(this.served.coverage && {parameters: {coverage: this.served.coverage}}),
    }));
    const answer = await read(await fetch(`${this.address}/infer`, {
      method: 'POST', body: new Blob([header, planes]), headers: {'Inference-Header-Content-Length': header.length},
    }));
    const output = name => answer.outputs.find(each => each.name === name)?.data.flat();
    const probabilities = output('probabilities'), members = output('set');
    if (!probabilities.every(Number.isFinite)) throw new Error(NO_ANSWER);
    const order = [...probabilities.keys()].sort((a, b) => probabilities[b] - probabilities[a] || a - b);
    const top = order.slice(0, 5).map(k => ({label: this.served.classes[k], probability: probabilities[k]}));
    return this.shown(top, planes, [], members && order.filter(k => members[k]).map(k => this.served.classes[k]));
  }

  shown(top, planes, notes, labels) {
    const {shape, background} = this.served, ground = unlikeGround(borderLevel(planes, shape), background);
    const set = labels && {coverage: this.served.coverage, labels};
    return {top, seen: channelsLast(planes, shape), ground, notes, set};
  }
}

function driftNotes(drift) {
  if (!drift?.alarm) return [];
  const changes = drift.changes.slice(0, 3).join(', ');
  return [`Drift: the latest ${drift.images} pictures that this model was sent differ from its validation ` +
    `images${changes && ` (${changes})`}. Its answers may be wrong more often than its accuracy says.`];
}

async function read(response) {
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(answer.error ?? `The server answers ${response.status}.`);
  return answer;
}

async function loaded(address) {
  const image = new Image();
  image.src = address;
  await image.decode();
  return image;
}

// An opaque canvas gives an image's pixels back unchanged.
async function pixelsOf(image, {channels, height, width}) {
  const canvas = Object.assign(document.createElement('canvas'), {width, height});
  const context = canvas.getContext('2d', {willReadFrequently: true});
  context.drawImage(image, 0, 0);
  const rgba = context.getImageData(0, 0, width, height).data, data = new Uint8Array(width * height * channels);
  for (let i = 0; i < width * height; i++) {
    for (let channel = 0; channel < channels; channel++) data[i * channels + channel] = rgba[4 * i + channel];
  }
  return channelsFirst({width, height, channels, data});
}

startPage(() => new Remote(JSON.parse(document.getElementById('served').textContent)));
