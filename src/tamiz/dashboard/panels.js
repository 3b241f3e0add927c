// The parts of the page that show a snapshot. Each is called with what is new and leaves alone what is as it was, so
// that focus, selections and scrolling stay.

import { $, SOURCES, clock, count, duration, el, percent, plural, rate, score, text } from './common.js';

const KINDS = {
  overload: 'overload', quota: 'quota', timeout: 'timeout', invalid: 'invalid', fatal: 'fatal', refused: 'answer fell short',
};
const STAGES = ['intake', 'generate', 'judge', 'retry', 'persist'];

// Keeps a list's items by key: makes what is new, fills in all, takes away what is gone; in the order given.
function keep(list, items, key, make, fill) {
  const known = new Map([...list.children].map((node) => [node.dataset.key, node]));
  let at = list.firstElementChild;
  for (const item of items) {
    const name = key(item);
    let node = known.get(name);
    known.delete(name);
    if (!node) {
      node = make(item);
      node.dataset.key = name;
    }
    if (node === at) at = at.nextElementSibling;
    else list.insertBefore(node, at);
    fill?.(node, item);
  }
  for (const node of known.values()) node.remove();
}

function field(node, name, value) {
  text(node.querySelector(`[data-f="${name}"]`), value);
}

export function tiles(shown) {
  keep($('board').querySelector('.tiles'), shown, (tile) => tile[0],
    ([name]) => el('div', { class: 'card' }, el('dt', {}, name), el('dd', { 'data-f': 'value' }), el('dd', { class: 'muted', 'data-f': 'more' })),
    (node, [, value, more, state]) => {
      field(node, 'value', value);
      field(node, 'more', more ?? '');
      node.dataset.state = state ?? '';
    });
}

export function now(snapshot) {
  const { beat, gauges } = snapshot;
  const { outcomes, sources, questions } = beat.totals;
  const failed = gauges && beat.whole ? sum(gauges.dead_letters) : outcomes.failed ?? 0;
  const accepted = outcomes.accepted ?? 0, exhausted = outcomes.exhausted ?? 0;
  const ended = accepted + exhausted + failed;
  const saved = sum(sources) - (sources.model ?? 0);
  const shown = [
    ['Asked a second', rate(beat.asked_rate), `${rate(beat.ended_rate)} answered`],
    ['Median wait', duration(beat.p50), `p95 ${duration(beat.p95)} · p99 ${duration(beat.p99)}`],
    ['Calls saved', percent(beat.reused, beat.ended), `10 min · ${count(saved)} of ${count(sum(sources))} in all`],
    ['Cache hits', percent(beat.cached, beat.ended), `10 min · ${count(sources.cache ?? 0)} in all`],
    ['Accepted', percent(accepted, ended), `${count(accepted)} of ${count(ended)}` + (exhausted ? ` · ${count(exhausted)} exhausted` : '')],
  ];
  if (gauges) {
    const known = gauges.endpoints.filter((each) => each.in_flight != null);
    const calls = known.reduce((total, each) => total + each.in_flight, 0);
    const limit = known.reduce((total, each) => total + each.limit, 0);
    const open = beat.whole ? Math.max(questions - ended, 0) : gauges.open;
    const more = gauges.refused ? ` · ${count(gauges.refused)} turned away` : gauges.limit ? ` · room for ${count(gauges.limit)}` : '';
    if (known.length) shown.push(['Calls in flight', count(calls), `of ${count(limit)} at once`]);
    else if (gauges.lag) shown.push(['Calls under way', count(sum(gauges.lag.generate)), 'in flight, or wait for a worker']);
    shown.push(['Open questions', count(open), `of ${count(questions)}${more}`, gauges.limit && gauges.open >= gauges.limit ? 'bad' : '']);
    shown.push(['Dead letters', count(failed), failed ? 'see below' : 'none', failed ? 'warn' : '']);
  } else {
    shown.push(['Failed', count(failed), `of ${count(ended)}`, failed ? 'warn' : '']);
  }
  return shown;
}

export const sum = (counts) => Object.values(counts ?? {}).reduce((total, n) => total + n, 0);

export function failed(trouble) {
  const rows = Object.entries(trouble).sort((a, b) => b[1] - a[1]);
  const most = Math.max(1, ...rows.map((row) => row[1]));
  keep($('failed'), rows.length ? rows : [['', 0]], (row) => row[0],
    ([kind]) => (kind
      ? el('li', {}, el('span', {}, KINDS[kind] ?? kind), el('span', { class: 'n', 'data-f': 'n' }), el('i', { 'aria-hidden': 'true' }))
      : el('li', { class: 'muted' }, 'Nothing.')),
    (node, [kind, n]) => {
      if (!kind) return;
      field(node, 'n', count(n));
      node.dataset.kind = kind;
      node.lastElementChild.style.width = `${(100 * n) / most}%`;
    });
}

export function models(endpoints, at) {
  keep($('models'), endpoints, (each) => each.name,
    (each) => el('li', {}, el('b', {}, each.name), el('span', { class: 'state', 'data-f': 'state' }), el('span', { class: 'meter', 'aria-hidden': 'true' }, el('i')), el('span', { class: 'muted', 'data-f': 'more' })),
    (node, each) => {
      const paused = each.since != null;
      node.dataset.state = paused ? 'bad' : 'good';
      const until = each.opens_at == null ? '' : each.opens_at <= at ? ', tried again now' : ` until ${clock(each.opens_at)}, in ${duration((each.opens_at - at) * 1000)}`;
      field(node, 'state', paused ? `paused${until}` : each.in_flight == null ? 'not paused' : 'answers');
      const load = each.in_flight == null ? '' : `${count(each.in_flight)} of ${count(each.limit)} in flight`;
      const why = paused ? [each.kind ?? 'rate limit', each.reason].filter(Boolean).join(': ') : '';
      field(node, 'more', [load, why].filter(Boolean).join(' · '));
      node.querySelector('.meter').hidden = each.in_flight == null;
      node.querySelector('i').style.width = each.limit ? `${Math.min(100, (100 * each.in_flight) / each.limit)}%` : '0';
    });
}

export function queues(gauges, at) {
  const rows = [];
  if (gauges.limit != null) rows.push(['taken in', `${count(gauges.open)} of ${count(gauges.limit)}`]);
  for (const stage of STAGES) if (stage in gauges.waiting) rows.push([`${stage} waiting`, count(gauges.waiting[stage])]);
  for (const [stage, topics] of Object.entries(gauges.lag ?? {})) rows.push([`${stage} lag`, count(sum(topics))]);
  rows.push(['wait for an identical one', count(gauges.parked)]);
  const due = gauges.next_due == null ? '' : gauges.next_due <= at ? ', first due now' : `, first in ${duration((gauges.next_due - at) * 1000)}`;
  rows.push(['deferred calls', count(gauges.deferred) + due]);
  if (gauges.refused) rows.push(['turned away', count(gauges.refused)]);
  keep($('queues'), rows, (row) => row[0],
    ([name]) => el('div', {}, el('dt', {}, name), el('dd', { 'data-f': 'n' })),
    (node, [, n]) => field(node, 'n', n));
}

const NO_QUESTIONS = new Set(['bad_row', 'unreadable']);
export function dead(kinds, replay) {
  const rows = Object.entries(kinds).sort((a, b) => b[1] - a[1]);
  keep($('dead'), rows.length ? rows : [['', 0]], (row) => row[0],
    ([kind]) => {
      if (!kind) return el('li', { class: 'muted' }, 'None.');
      const button = replay && !NO_QUESTIONS.has(kind) ? el('button', { type: 'button', 'aria-label': `Replay ${kind}` }, 'Replay') : null;
      button?.addEventListener('click', () => replay(kind));
      return el('li', {}, el('span', {}, kind), el('span', { class: 'n', 'data-f': 'n' }), button);
    },
    (node, [kind, n]) => kind && field(node, 'n', count(n)));
}

export function runs(told, stop) {
  keep($('runs'), told, (run) => run.id,
    (run) => {
      const button = el('button', { type: 'button', class: 'plain', 'aria-label': `Stop ${run.id}` }, 'Stop');
      button.addEventListener('click', () => stop(run.id));
      return el('li', {}, el('span', { 'data-f': 'what' }), button, el('span', { class: 'muted', 'data-f': 'more' }));
    },
    (node, run) => {
      const { report, plan } = run;
      const going = report.state === 'running' || report.state === 'new';
      const pace = plan.arrivals === 'max' ? 'as fast as can be' : `${plan.arrivals} at ${rate(plan.rate)}/s`;
      field(node, 'what', `${run.dataset}, ${pace}: ${report.state}`);
      const ends = Object.entries(report.outcomes).map(([name, n]) => `${count(n)} ${name}`).join(', ');
      const late = report.late_p99_ms == null ? '' : ` · late ${duration(report.late_p99_ms)} (p99)`;
      field(node, 'more', run.error ?? `${clock(run.began_at)} · ${count(report.sent)} asked, ${rate(report.rate)}/s${late}${ends ? ` · ${ends}` : ''}`);
      node.querySelector('button').hidden = !going;
      node.dataset.state = run.error ? 'bad' : going ? 'good' : '';
    });
}

const STATE = { accepted: 'good', exhausted: 'warn', failed: 'bad' };
export function answers(rows, at) {
  keep($('rows'), rows, (row) => `${row.message_id} ${row.outcome} ${row.finished_at}`, answer, (node, row) => {
    field(node, 'ago', ago(at - row.finished_at));
  });
  $('none').hidden = rows.length > 0;
}

const ago = (s) => (s < 1 ? 'now' : `${duration(s * 1000)} ago`);

function answer(row) {
  const cell = (label, kind, ...parts) => el('td', { class: kind, 'data-label': label }, ...parts);
  const why = row.outcome === 'failed' ? `${row.kind}: ${row.reason ?? ''}` : row.reasons[0] ?? (row.score == null ? row.reason : null);
  const tries = `${row.attempts}` + (row.retries ? ` + ${plural(row.retries, 'retry', 'retries')}` : '');
  const made = el('tr', {},
    cell('Question', 'q', el('a', { href: `/life/${encodeURIComponent(row.message_id)}` }, row.question || '(empty)'), el('small', { class: 'muted', 'data-f': 'ago' })),
    cell('Reference', '', el('p', { class: row.reference == null ? 'muted' : '' }, (Array.isArray(row.reference) ? row.reference.join(' | ') : row.reference) ?? 'none')),
    cell('Answer', '', el('p', { class: row.answer == null ? 'muted' : '' }, row.answer ?? 'none'), why ? el('small', { class: 'why' }, why) : null),
    cell('Score', 'n', el('b', {}, score(row.score)), el('small', { class: 'outcome' }, row.outcome)),
    cell('Attempts', 'n', tries),
    cell('From', 'from', SOURCES[row.source] ?? '–', el('small', { class: 'muted' }, row.source === 'model' ? duration(row.latency_ms) : '')));
  made.dataset.state = STATE[row.outcome];
  return made;
}
