// The page with the model in this browser: no picture leaves it.
import {startPage} from './page.js';
import {unlikeGround} from './planes.js';

class Local {
  constructor(site, tell) {
    const {model, golden, runtime} = site, total = model.size + golden.size + runtime.wasm.size;
    this.site = site;
    this.waiting = new Map();
    this.worker = new Worker(new URL('worker.js', import.meta.url), {type: 'module'});
    this.worker.onmessage = ({data}) => {
      if (data.loaded) tell(`Loading the model: ${megabytes(data.loaded)} of ${megabytes(total)} MB`);
      else this.settle(data);
    };
    this.worker.onerror = event => {
      for (const id of this.waiting.keys()) this.settle({id, error: event.message || 'worker.js cannot be loaded.'});
    };
  }

  settle({id, result, error}) {
    const {resolve, reject} = this.waiting.get(id);
    this.waiting.delete(id);
    if (error === undefined) resolve(result);
    else reject(new Error(error));
  }

  ask(task, ...values) {
    const id = `${task}-${performance.now()}-${Math.random()}`;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, {resolve, reject});
      this.worker.postMessage({id, task, values});
    });
  }

  async start() {
    const {samples, error, tolerance} = await this.ask('load', this.site);
    return `Verified here: ${samples} golden samples decide in this browser as they did at the export ` +
      `(largest logit difference ${error.toExponential(1)}, accepted ${tolerance.toExponential(1)}).`;
  }

  async classify(blob, inverted) {
    return this.ranked(await this.ask('classify', blob, inverted));
  }

  async classifyExample(index, inverted) {
    return this.ranked(await this.ask('classifyExample', index, inverted));
  }

  ranked({probabilities, seen, border}) {
    const order = Array.from(probabilities.keys()).sort((a, b) => probabilities[b] - probabilities[a] || a - b);
    const top = order.slice(0, 5).map(k => ({label: this.site.classes[k], probability: probabilities[k]}));
    return {top, seen, ground: unlikeGround(border, this.site.background), notes: []};
  }
}

const megabytes = bytes => (bytes / 1e6).toFixed(1);

startPage(async tell => {
  const response = await fetch(new URL('model.json', import.meta.url));
  if (!response.ok) throw new Error(`model.json cannot be loaded: the server answers ${response.status}.`);
  return new Local(await response.json(), tell);
});
