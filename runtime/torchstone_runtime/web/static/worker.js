// The engine on a thread of its own, so that the page stays alive while a large picture is resized.
import {Engine} from './engine.js';

let engine = null;

const tasks = {
  async load(site) {
    let loaded = 0;
    engine = await Engine.load(site, bytes => postMessage({loaded: loaded += bytes}));
    return engine.verified;
  },
  classify: (blob, inverted) => engine.classify(blob, inverted),
  classifyExample: (index, inverted) => engine.classifyExample(index, inverted),
};

onmessage = async ({data: {id, task, values}}) => {
  try {
    postMessage({id, result: await tasks[task](...values)});
  } catch (error) {
    postMessage({id, error: error.message});
  }
};
