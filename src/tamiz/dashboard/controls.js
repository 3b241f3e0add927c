// What an operator may change: the threshold, the cache, traffic, dead letters.

import { $, Refused, call, count, plural, text } from './common.js';
import { sum } from './panels.js';

let quiet;
export function say(message, bad = false) {
  const said = $('said');
  said.hidden = false;
  said.dataset.state = bad ? 'bad' : '';
  said.textContent = message;
  clearTimeout(quiet);
  quiet = setTimeout(() => { said.hidden = true; }, 8000);
}

// Does something, and says what came of it.
async function attempt(action, then) {
  try {
    say(then(await action()));
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    say(error.status === 404 ? `not possible here: ${error.message}` : error.message, true);
  }
}

function sure(question) {
  const dialog = $('ask');
  $('ask-text').textContent = question;
  dialog.returnValue = 'no';
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => resolve(dialog.returnValue === 'yes'), { once: true });
  });
}

export async function replay(kind, n) {
  if (!(await sure(`Ask ${plural(n, 'question')} again that failed with ${kind}? Each may cost calls.`))) return;
  await attempt(() => call('/dead-letters/replay', 'POST', { kind }), (told) => `${plural(told.questions, 'question')} put back`);
}

export function stopRun(id) {
  return attempt(() => call(`/traffic/${encodeURIComponent(id)}`, 'DELETE'), () => `${id} is stopped`);
}

export function traffic() {
  const form = $('traffic');
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const given = Object.fromEntries(new FormData(form));
    for (const name of ['rate', 'duration', 'alpha', 'seed']) given[name] = +given[name];
    attempt(() => call('/traffic', 'POST', given), (run) => `${run.id} is started`);
  });
}

// The threshold: what is chosen, and what it would do to the answers that were seen.
export function bar(draw) {
  const range = $('threshold');
  let chosen = null, current = 0, scores = null;
  const show = () => {
    const value = chosen ?? current;
    if (range.value !== String(value)) range.value = value;
    text($('chosen'), value.toFixed(2));
    text($('whatif'), scores ? whatIf(scores, value, current) : '');
    $('set').disabled = $('reset').disabled = value === current;
    draw();
  };
  range.addEventListener('input', () => { chosen = +range.value; show(); });
  $('reset').addEventListener('click', () => { chosen = null; show(); range.focus(); });
  $('bar').addEventListener('submit', (event) => {
    event.preventDefault();
    const threshold = chosen ?? current;
    attempt(() => call('/policy', 'PUT', { threshold }), (policy) => {
      [current, chosen] = [policy.threshold, null];
      show();
      range.focus();
      return `the threshold is ${policy.threshold.toFixed(2)} now, until the service starts anew`;
    });
  });
  return {
    wanted: () => chosen ?? current,
    update(snapshot) {
      [current, scores] = [snapshot.policy.threshold, snapshot.beat.scores];
      if (chosen === current) chosen = null;
      show();
    },
  };
}

function whatIf({ accepted, refused }, value, current) {
  const total = sum(accepted) + sum(refused);
  if (!total) return 'No scored answer yet to try it on.';
  const of = `the last ${plural(total, 'scored answer')}`;
  if (value === current) return `Move it to see what it would do to ${of}.`;
  const from = Math.round(value * 100);
  const lost = sum(accepted.slice(0, from)), won = sum(refused.slice(from));
  if (!lost && !won) return `At ${value.toFixed(2)}, nothing would change for ${of}.`;
  return `At ${value.toFixed(2)}, of ${of}: ${count(lost)} accepted would be refused, ${count(won)} refused would be accepted.`;
}

export function cache() {
  const form = $('cache');
  let touched = false, due;
  const given = () => {
    const { policy, size, ttl } = Object.fromEntries(new FormData(form));
    return { policy, size: +size, ttl: ttl === '' ? null : +ttl };
  };
  const preview = async () => {
    const { policy, size, ttl } = given();
    const query = new URLSearchParams({ policy, size, ...(ttl === null ? {} : { ttl }) });
    try {
      const told = await call(`/cache/preview?${query}`);
      text($('cache-whatif'), told.answers
        ? `Of the last ${plural(told.answers, 'accepted answer')}, such a cache, empty at first, would have had ${count(told.hits)}.`
        : 'No accepted answer yet to try it on.');
    } catch (error) {
      text($('cache-whatif'), error.message);
    }
  };
  form.addEventListener('input', () => {
    touched = true;
    clearTimeout(due);
    due = setTimeout(preview, 200);
  });
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    attempt(() => call('/cache/policy', 'PUT', given()), () => {
      touched = false;
      return 'the cache is changed, until the service starts anew';
    });
  });
  return (stats) => {
    const limit = stats.limit ? ` of ${count(stats.limit)}` : '';
    text($('cache-now'), `${stats.policy}: ${count(stats.size)}${limit} answers kept${stats.ttl ? `, each for ${stats.ttl} s` : ''}.`);
    if (touched || form.contains(document.activeElement)) return;
    form.elements.policy.value = stats.policy;
    form.elements.size.value = stats.limit;
    form.elements.ttl.value = stats.ttl ?? '';
  };
}
