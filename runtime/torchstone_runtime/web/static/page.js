// The page itself, whoever answers: pictures in, bars out. Names of classes become text nodes, never HTML.
// A backend has start() -> a sentence on its verification, classify(blob, inverted) and
// classifyExample(index, inverted, image) -> {top: [{label, probability}], seen, ground, notes, set}; `set` may be
// missing, or {coverage, labels}: the classes among which the right one is so often.

const UNSURE = 0.5; // below, the other classes together are likelier than the best one
const $ = id => document.getElementById(id);

export async function startPage(connect) {
  const page = new Page();
  try {
    const backend = await connect(text => page.tell(text));
    page.tell(await backend.start(), 'good');
    page.open(backend);
  } catch (error) {
    page.tell(error.message, 'bad');
  }
}

class Page {
  constructor() {
    this.asked = 0; // a later picture's answer must not be replaced by an earlier one's
    this.shown = null;
  }

  // Without a kind: how far it is; what else was under way when it ended says nothing any more.
  tell(text, kind = '') {
    if (this.settled && !kind) return;
    this.settled = kind !== '';
    $('status').textContent = text;
    $('status').className = kind;
  }

  open(backend) {
    this.backend = backend;
    for (const control of document.querySelectorAll('[data-needs-model]')) control.disabled = false;
    $('choose').onclick = () => $('file').click();
    $('file').onchange = () => {
      this.takeFile($('file').files[0]);
      $('file').value = ''; // the same file may be chosen again
    };
    // A picture of few pixels is shown as it is, not blurred.
    $('given').onload = () => $('given').classList.toggle('small', $('given').naturalWidth < 100);
    $('invert').onchange = () => this.last && this.show(...this.last);
    this.openDropping();
    this.openCamera();
    for (const button of document.querySelectorAll('[data-example]')) {
      button.onclick = () => this.takeExample(Number(button.dataset.example), button.querySelector('img'));
    }
  }

  openDropping() {
    const zone = document.documentElement;
    zone.ondragover = event => {
      event.preventDefault();
      $('drop').classList.add('over');
    };
    zone.ondragleave = event => event.relatedTarget || $('drop').classList.remove('over');
    zone.ondrop = event => {
      event.preventDefault();
      $('drop').classList.remove('over');
      this.takeFile(event.dataTransfer.files[0]);
    };
    document.onpaste = event => {
      const files = Array.from(event.clipboardData.files);
      if (files.length) this.takeFile(files.find(file => file.type.startsWith('image/')) ?? files[0]);
    };
  }

  openCamera() {
    if (!navigator.mediaDevices?.getUserMedia) return; // only over https or on this machine itself
    $('photograph').hidden = false;
    $('photograph').onclick = () => this.startCamera();
    $('camera').onclose = () => {
      for (const track of $('video').srcObject?.getTracks() ?? []) track.stop();
      $('video').srcObject = null;
    };
    $('leave').onclick = () => $('camera').close();
    $('shoot').onclick = async () => {
      const {videoWidth: width, videoHeight: height} = $('video');
      if (!width) return;
      const canvas = Object.assign(document.createElement('canvas'), {width, height});
      canvas.getContext('2d').drawImage($('video'), 0, 0);
      $('camera').close();
      canvas.toBlob(blob => this.takeFile(blob), 'image/png');
    };
  }

  async startCamera() {
    try {
      $('video').srcObject = await navigator.mediaDevices.getUserMedia({video: {facingMode: 'environment'}});
      $('camera').showModal();
      await $('video').play();
    } catch (error) {
      $('camera').close();
      this.fail(`The camera cannot be used: ${error.message}`);
    }
  }

  takeFile(blob) {
    if (!blob) return;
    this.show(URL.createObjectURL(blob), blob.name ?? 'The photograph', inverted => this.backend.classify(blob, inverted));
  }

  takeExample(index, image) {
    this.show(image.src, image.alt, inverted => this.backend.classifyExample(index, inverted, image));
  }

  async show(address, name, classify) {
    const turn = ++this.asked;
    if (this.shown !== address && this.shown?.startsWith('blob:')) URL.revokeObjectURL(this.shown);
    this.shown = address;
    this.last = [address, name, classify];
    $('result').hidden = false;
    $('result').setAttribute('aria-busy', 'true');
    $('given').src = address;
    $('given').alt = name;
    $('name').textContent = name;
    const started = performance.now();
    try {
      const answer = await classify($('invert').checked);
      if (turn === this.asked) this.fill(answer, performance.now() - started);
    } catch (error) {
      if (turn === this.asked) this.fail(error.message);
    }
    if (turn === this.asked) $('result').setAttribute('aria-busy', 'false');
  }

  fill({top, seen, ground, notes, set}, milliseconds) {
    const [best] = top, inverted = $('invert').checked;
    $('verdict').textContent = best.label;
    $('sure').textContent = percent(best.probability);
    $('bars').replaceChildren(...top.map(bar));
    const warnings = [...notes];
    if (best.probability < UNSURE) {
      warnings.unshift('The model is unsure: all other classes together are likelier than this one.');
    }
    if (ground && !inverted) {
      warnings.push(`The picture has a ${ground} background, unlike the images that the model was measured on. ` +
        'Try it inverted.');
    }
    this.warn(warnings);
    $('set').hidden = !set?.labels.length;
    if (set) $('set').textContent = setInWords(set);
    drawPixels($('seen'), seen);
    $('seen-figure').hidden = false;
    $('time').textContent = `Answered in ${milliseconds.toFixed(0)} ms.`;
    $('answer').hidden = false;
  }

  fail(message) {
    $('result').hidden = false;
    $('answer').hidden = true;
    $('seen-figure').hidden = true;
    this.warn([message]);
  }

  warn(lines) {
    $('warnings').replaceChildren(...lines.map(line => element('li', line)));
  }
}

const percent = share => `${(100 * share).toFixed(1)}%`;

function setInWords({coverage, labels}) {
  const often = `For ${+(100 * coverage).toFixed(1)} of 100 pictures like the validation images`;
  const here = labels.length === 1 ? 'this class alone' : labels.join(', ');
  return `${often}, the set contains the right class. Here it is ${here}.`;
}

function element(name, text = '', kind = '') {
  const made = document.createElement(name);
  made.textContent = text;
  made.className = kind;
  return made;
}

function bar({label, probability}) {
  const item = element('li'), track = element('span', '', 'track'), filled = element('span', '', 'bar');
  filled.style.width = `${100 * probability}%`;
  track.append(filled);
  track.setAttribute('aria-hidden', 'true');
  item.append(element('span', label, 'label'), track, element('span', percent(probability), 'share'));
  return item;
}

// seen: {width, height, channels, data}, rows of pixels.
function drawPixels(canvas, {width, height, channels, data}) {
  Object.assign(canvas, {width, height});
  const pixels = new ImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    for (let k = 0; k < 3; k++) pixels.data[4 * i + k] = data[i * channels + (channels === 1 ? 0 : k)];
    pixels.data[4 * i + 3] = 255;
  }
  canvas.getContext('2d', {willReadFrequently: true}).putImageData(pixels, 0, 0);
}
