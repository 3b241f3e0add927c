// What both pages need. Text from elsewhere goes in by textContent alone.

export const $ = (id) => document.getElementById(id);

export function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === 'class') made.className = value;
    else if (key in made && typeof value !== 'string') made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child != null));
  return made;
}

// Sets a text only where it is another one, so that a selection stays.
export function text(node, value) {
  if (node.textContent !== value) node.textContent = value;
}

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
export const count = (n) => whole.format(n);

export function rate(n) {
  return n >= 100 ? whole.format(n) : n >= 10 ? n.toFixed(1).replace(/\.0$/, '') : +n.toFixed(2) + '';
}

export const percent = (part, of) => (of ? `${Math.round((100 * part) / of)} %` : '–');
export const score = (s) => (s == null ? '–' : s.toFixed(2));

export function duration(ms) {
  if (ms == null) return '–';
  if (ms < 0.1) return '< 0.1 ms';
  if (ms < 1000) return `${ms < 10 ? +ms.toFixed(1) : Math.round(ms)} ms`;
  const s = ms / 1000;
  if (s < 60) return `${s < 10 ? +s.toFixed(1) : Math.round(s)} s`;
  if (s < 5400) return `${Math.round(s / 60)} min`;
  return s < 172800 ? `${Math.round(s / 3600)} h` : `${Math.round(s / 86400)} d`;
}

const sameDay = (a, b) => a.toDateString() === b.toDateString();
export function clock(seconds) {
  const at = new Date(seconds * 1000);
  const time = at.toTimeString().slice(0, 8);
  return sameDay(at, new Date()) ? time : `${at.toISOString().slice(0, 10)} ${time}`;
}

export const plural = (n, one, many = one + 's') => `${count(n)} ${n === 1 ? one : many}`;

export const SOURCES = { model: 'model', cache: 'cache', store: 'store', coalesced: 'shared' };

export class Refused extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

// Calls the service; raises Refused with what it says is wrong.
export async function call(path, method = 'GET', body = undefined) {
  const options = { method, headers: { accept: 'application/json' } };
  if (body !== undefined) {
    options.headers['content-type'] = 'application/json';
    options.body = JSON.stringify(body);
  }
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Refused(0, 'the service cannot be reached');
  }
  const told = answer.status === 204 ? null : await answer.json().catch(() => null);
  if (!answer.ok) throw new Refused(answer.status, told?.detail ?? answer.statusText);
  return told;
}

export function themes() {
  const root = document.documentElement;
  const select = $('theme');
  select.value = root.dataset.theme ?? '';
  select.addEventListener('change', () => {
    if (select.value) root.dataset.theme = select.value;
    else delete root.dataset.theme;
    try { localStorage.setItem('tamiz-theme', select.value); } catch { /* for this page alone then */ }
  });
}
