// Charts in SVG. Colours and strokes are classes of page.css.

const NS = 'http://www.w3.org/2000/svg';
const HEIGHT = 150, LEFT = 46, RIGHT = 8, TOP = 8, BOTTOM = 20;

function mk(name, attributes, content) {
  const made = document.createElementNS(NS, name);
  for (const key in attributes) made.setAttribute(key, attributes[key]);
  if (content != null) made.textContent = content;
  return made;
}

function nice(max) {
  const power = 10 ** Math.floor(Math.log10(max || 1));
  return [1, 2, 2.5, 5, 10].find((step) => step * power >= max) * power;
}

function frame(svg, ticks, y, labels) {
  const width = Math.max(svg.clientWidth, 200);
  svg.setAttribute('viewBox', `0 0 ${width} ${HEIGHT}`);
  const x = (part) => LEFT + (width - LEFT - RIGHT) * part;
  const nodes = [];
  for (const [value, label] of ticks) {
    nodes.push(mk('line', { class: 'grid', x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value) }));
    nodes.push(mk('text', { x: LEFT - 6, y: y(value) + 4, 'text-anchor': 'end' }, label));
  }
  for (const [part, label] of labels) {
    const anchor = part === 0 ? 'start' : part === 1 ? 'end' : 'middle';
    nodes.push(mk('text', { x: x(part), y: HEIGHT - 5, 'text-anchor': anchor }, label));
  }
  return { nodes, x, width };
}

const scale = (low, high) => (value) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - (value - low) / (high - low));

function path(values, x, y) {
  let d = '', pen = false;
  values.forEach((value, n) => {
    if (value == null) { pen = false; return; }
    d += `${pen ? 'L' : 'M'}${x(n / (values.length - 1)).toFixed(1)} ${y(value).toFixed(1)}`;
    // a point between two gaps would be no line at all
    if (!pen && values[n + 1] == null) d += 'h.01';
    pen = true;
  });
  return d;
}

const minutes = (seconds) => (seconds >= 60 ? `−${seconds / 60} min` : `−${seconds} s`);

// series: [[values, class], …], a point each `step` seconds, the last one now
export function lines(svg, series, step, { log = false, unit = (v) => v } = {}) {
  const seen = series.flatMap(([values]) => values.filter((v) => v != null));
  const span = step * series[0][0].length;
  const labels = [[0, minutes(span)], [0.5, minutes(span / 2)], [1, 'now']];
  let ticks, y, plotted;
  if (log) {
    const low = Math.floor(Math.log10(Math.max(Math.min(...seen, 1000), 0.1)));
    const high = Math.max(Math.ceil(Math.log10(Math.max(...seen, 10))), low + 1);
    y = scale(low, high);
    const each = Math.ceil((high - low) / 4);
    ticks = [];
    for (let power = low; power <= high; power += each) ticks.push([power, unit(10 ** power)]);
    plotted = series.map(([values, kind]) => [values.map((v) => (v == null ? v : Math.log10(Math.max(v, 0.1)))), kind]);
  } else {
    const max = nice(Math.max(1, ...seen));
    y = scale(0, max);
    ticks = [0, 0.5, 1].map((part) => [max * part, unit(max * part)]);
    plotted = series;
  }
  const { nodes, x } = frame(svg, ticks, y, labels);
  for (const [values, kind] of plotted) nodes.push(mk('path', { class: `line ${kind}`, d: path(values, x, y) }));
  const pointed = svg.dataset.at === undefined || svg.dataset.at === '' ? null : +svg.dataset.at;
  if (pointed != null) nodes.push(mk('line', { class: 'cursor', x1: x(pointed), x2: x(pointed), y1: TOP, y2: HEIGHT - BOTTOM }));
  svg.replaceChildren(...nodes);
}

// accepted and refused: counts by hundredths of the score
export function bars(svg, accepted, refused, threshold, wanted) {
  const bins = 25, size = 100 / bins;
  const sum = (counts, bin) => {
    let total = 0;
    for (let n = bin * size; n < (bin + 1) * size; n++) total += counts[n];
    return bin === bins - 1 ? total + counts[100] : total;
  };
  const both = [...Array(bins).keys()].map((bin) => [sum(accepted, bin), sum(refused, bin)]);
  const max = nice(Math.max(4, ...both.map(([a, r]) => a + r)));
  const y = scale(0, max);
  const ticks = [0, 0.5, 1].map((part) => [max * part, `${max * part}`]);
  const { nodes, x } = frame(svg, ticks, y, [0, 0.25, 0.5, 0.75, 1].map((part) => [part, part.toFixed(2)]));
  const width = x(1 / bins) - x(0) - 2;
  both.forEach(([a, r], bin) => {
    const left = x(bin / bins) + 1;
    if (a) nodes.push(mk('rect', { class: 'accepted', x: left, width, y: y(a), height: y(0) - y(a), rx: 1 }));
    if (r) nodes.push(mk('rect', { class: 'refused', x: left, width, y: y(a + r), height: y(0) - y(r), rx: 1 }));
  });
  const mark = (at, kind) => mk('line', { class: kind, x1: x(at), x2: x(at), y1: TOP - 4, y2: y(0) });
  nodes.push(mark(threshold, 'threshold'));
  if (wanted !== threshold) nodes.push(mark(wanted, 'wanted'));
  svg.replaceChildren(...nodes);
}

// Has a chart tell which point the pointer is at, as a part of its width; null where it is at none.
export function pointing(svg, tell) {
  svg.addEventListener('pointermove', (event) => {
    const box = svg.getBoundingClientRect();
    const part = (event.clientX - box.left - LEFT) / (box.width - LEFT - RIGHT);
    svg.dataset.at = part < 0 || part > 1 ? '' : part;
    tell();
  });
  svg.addEventListener('pointerleave', () => { svg.dataset.at = ''; tell(); });
}
