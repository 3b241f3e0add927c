// The live page: listens to /events, shows each snapshot, and says so when there is none.

import { bars, lines, pointing } from './charts.js';
import { $, call, clock, duration, el, rate, text, themes } from './common.js';
import * as controls from './controls.js';
import * as panels from './panels.js';

const SILENCE = 5000, AGAIN = 2000;

let last = null, source = null, heard = 0, held = false, waiting = null;

const chosen = (name) => document.querySelector(`input[name=${name}]:checked`).value;

function status(state, words) {
  const pill = $('status');
  pill.dataset.state = state;
  text(pill, words);
}

// ---- what is shown

const threshold = controls.bar(() => last && drawScores(last));
const cache = controls.cache();

const LEGENDS = {
  rate: [['asked', 'asked'], ['ended', 'ended']],
  latency: [['p50', 'p50'], ['p95', 'p95'], ['p99', 'p99']],
  scores: [['accepted', 'accepted'], ['refused', 'best was refused'], ['threshold', 'threshold']],
};
for (const [name, entries] of Object.entries(LEGENDS)) {
  $(`${name}-legend`).append(...entries.map(([kind, label]) => el('li', { class: kind }, el('i', { 'aria-hidden': 'true' }), label, ' ', el('b', { 'data-f': kind }))));
}

function legend(name, series, values) {
  const at = $(name).dataset.at;
  for (const kind of Object.keys(values)) {
    const points = series[kind];
    const value = points[at ? Math.round(at * (points.length - 1)) : points.length - 1];
    text($(`${name}-legend`).querySelector(`[data-f=${kind}]`), value == null ? '' : values[kind](value));
  }
}

function drawRate({ beat }) {
  const series = beat[chosen('span')];
  lines($('rate'), [[series.ended, 'ended'], [series.asked, 'asked']], series.step, { unit: rate });
  legend('rate', series, { asked: rate, ended: rate });
  $('rate').setAttribute('aria-label', `Rate: ${rate(beat.asked_rate)} questions and ${rate(beat.ended_rate)} outcomes a second`);
}

function drawLatency({ beat }) {
  const series = beat[chosen('span')];
  lines($('latency'), [[series.p99, 'p99'], [series.p95, 'p95'], [series.p50, 'p50']], series.step, { log: true, unit: duration });
  legend('latency', series, { p50: duration, p95: duration, p99: duration });
  $('latency').setAttribute('aria-label', `Time to an answer, last minute: p50 ${duration(beat.p50)}, p95 ${duration(beat.p95)}, p99 ${duration(beat.p99)}`);
}

function drawScores({ beat, policy }) {
  const { accepted, refused } = beat.scores;
  bars($('scores'), accepted, refused, policy.threshold, threshold.wanted());
  $('scores').setAttribute('aria-label', `Scores of the last answers: ${panels.sum(accepted)} accepted, ${panels.sum(refused)} refused, threshold ${policy.threshold.toFixed(2)}`);
}

function drawCharts() {
  if (!last) return;
  drawRate(last);
  drawLatency(last);
  drawScores(last);
}

// The list of answers stands still while somebody reads in it.
function drawAnswers(snapshot) {
  const rows = snapshot.beat[chosen('which')];
  const reading = $('recent').matches(':hover') && matchMedia('(hover: hover)').matches || $('rows').contains(document.activeElement);
  if ((held || reading) && $('rows').children.length) {
    const shown = $('rows').firstElementChild.dataset.key;
    const newest = rows[0];
    text($('held'), newest && !shown.startsWith(newest.message_id) ? 'held; there are newer ones' : 'held');
    return;
  }
  text($('held'), '');
  panels.answers(rows, snapshot.at);
}

function show(snapshot) {
  last = snapshot;
  const { gauges, can } = snapshot;
  $('signin').hidden = true;
  $('board').hidden = false;
  $('board').classList.toggle('tenant', !gauges);
  $('out').hidden = !snapshot.keys;
  text($('since'), `${snapshot.tenant ? `${snapshot.tenant} · ` : ''}since ${clock(snapshot.since)}`);
  panels.tiles(panels.now(snapshot));
  panels.failed(snapshot.beat.trouble);
  threshold.update(snapshot);
  drawCharts();
  drawAnswers(snapshot);
  $('bar').hidden = !can.includes('policy');
  $('traffic').hidden = !can.includes('traffic');
  $('cache').hidden = !can.includes('cache');
  $('trouble').hidden = !gauges?.trouble;
  if (!gauges) return;
  text($('trouble'), gauges.trouble ?? '');
  panels.models(gauges.endpoints, snapshot.at);
  panels.queues(gauges, snapshot.at);
  panels.dead(gauges.dead_letters, can.includes('replay') ? (kind) => controls.replay(kind, last.gauges.dead_letters[kind] ?? 0) : null);
  panels.runs(snapshot.runs, controls.stopRun);
  if (gauges.cache) cache(gauges.cache);
}

// ---- where it comes from

function listen() {
  source?.close();
  clearTimeout(waiting);
  source = new EventSource('/events');
  source.onmessage = (event) => {
    heard = Date.now();
    status('good', 'live');
    show(JSON.parse(event.data));
  };
  source.addEventListener('trouble', (event) => {
    heard = Date.now();
    status('bad', JSON.parse(event.data));
  });
  source.onerror = () => {
    status('bad', 'connection lost, retrying…');
    // after an answer that is no stream, the browser does not try again by itself
    if (source.readyState === EventSource.CLOSED) waiting = setTimeout(begin, AGAIN);
  };
}

async function begin() {
  try {
    show(await call('/snapshot'));
    heard = Date.now();
    listen();
  } catch (error) {
    if (error.status === 401) signIn();
    else {
      status('bad', error.status === 0 ? 'connection lost, retrying…' : error.message);
      waiting = setTimeout(begin, AGAIN);
    }
  }
}

setInterval(() => {
  if (source?.readyState !== EventSource.OPEN || Date.now() - heard < SILENCE) return;
  status('bad', 'no news, retrying…');
  heard = Date.now();
  listen();
}, 1000);

function signIn() {
  source?.close();
  last = null;
  status('wait', 'signed out');
  text($('since'), '');
  $('board').hidden = true;
  $('out').hidden = true;
  $('signin').hidden = false;
  $('key').focus();
}

$('signin').querySelector('form').addEventListener('submit', async (event) => {
  event.preventDefault();
  text($('denied'), '');
  try {
    await call('/session', 'POST', { key: $('key').value.trim() });
    $('key').value = '';
    await begin();
  } catch (error) {
    text($('denied'), error.message);
  }
});
$('out').addEventListener('click', async () => {
  await call('/session', 'DELETE').catch(() => null);
  signIn();
});

// ---- what the reader does

controls.traffic();
themes();
pointing($('rate'), () => last && drawRate(last));
pointing($('latency'), () => last && drawLatency(last));
for (const input of document.querySelectorAll('input[name=span]')) input.addEventListener('change', drawCharts);
for (const input of document.querySelectorAll('input[name=which]')) {
  input.addEventListener('change', () => last && panels.answers(last.beat[chosen('which')], last.at));
}
$('hold').addEventListener('click', () => {
  held = !held;
  $('hold').setAttribute('aria-pressed', held);
  if (last) drawAnswers(last);
});
addEventListener('resize', drawCharts);
begin();
