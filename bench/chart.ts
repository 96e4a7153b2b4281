import { bullmq } from './peers/bullmq.ts';
import { graphile } from './peers/graphile.ts';
import { oneByOne, service } from './contestants.ts';
import { median, Results, type Figure } from './results.ts';
import { createAt } from './scenarios/create.ts';
import { DRAIN } from './scenarios/drain.ts';

const WIDTH = 760;
const LABEL_WIDTH = 300;
const VALUE_WIDTH = 70;
const BAR_HEIGHT = 20;
const ROW_HEIGHT = 28;
const TITLE_HEIGHT = 34;
const GAP = 14;

const labels = new Map([
  [service.name, 'This service (transactional)'],
  [bullmq.name, `${bullmq.name} (not transactional)`],
  [graphile.name, `${graphile.name} (transactional)`],
  [oneByOne.name, 'This service, one transaction a request'],
]);

const panels = [
  { scenario: createAt(64), title: 'Orders created a second, 64 connections' },
  { scenario: createAt(256), title: 'Orders created a second, 256 connections' },
  { scenario: DRAIN, title: 'Queued orders completed a second, one worker' },
];

// The bars are visible on light and dark backgrounds. The text follows the colour scheme of the reader.
const STYLE = `
    text { font: 13px system-ui, sans-serif; fill: #1f2328 }
    .title { font-weight: 600 }
    .bar { fill: #8c959f } .ours { fill: #1f7a4d }
    .range { stroke: #1f2328; stroke-width: 1.5 }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3 } .range { stroke: #e6edf3 }
      .bar { fill: #6e7681 } .ours { fill: #2ea86a }
    }`;

/** An SVG of throughput, one panel for each main scenario. A bar is the median, and its line goes from min to max. */
export function chart(figures: Figure[]): string {
  const results = new Results(figures);
  const parts: string[] = [];
  let top = 4;
  for (const { scenario, title } of panels) {
    const bars = [...labels].flatMap(([contestant, label]) => {
      const figure = results.find(scenario, contestant, 'throughput');
      return figure
        ? [{ label, samples: figure.samples, isOurs: contestant === service.name }]
        : [];
    });
    if (bars.length === 0) continue;
    const most = Math.max(...bars.flatMap(({ samples }) => samples));
    parts.push(text(0, top + 18, title, 'title'));
    top += TITLE_HEIGHT;
    for (const bar of bars) {
      parts.push(...drawBar(bar, top, most));
      top += ROW_HEIGHT;
    }
    top += GAP;
  }
  const size = `viewBox="0 0 ${WIDTH} ${top}"`;
  const label = 'aria-label="Throughput of this service and its peers"';
  const head = `<svg xmlns="http://www.w3.org/2000/svg" ${size} role="img" ${label}>`;
  return [head, `  <style>${STYLE}\n  </style>`, ...parts, '</svg>', ''].join('\n');
}

type Bar = { label: string; samples: number[]; isOurs: boolean };

function drawBar({ label, samples, isOurs }: Bar, top: number, most: number): string[] {
  const scale = (WIDTH - LABEL_WIDTH - VALUE_WIDTH) / most;
  const at = (value: number) => (LABEL_WIDTH + value * scale).toFixed(1);
  const middle = median(samples);
  const [least, greatest] = [Math.min(...samples), Math.max(...samples)];
  const y = top + BAR_HEIGHT / 2;
  const bar = `class="${isOurs ? 'bar ours' : 'bar'}" x="${LABEL_WIDTH}" y="${top}"`;
  const size = `width="${(middle * scale).toFixed(1)}" height="${BAR_HEIGHT}"`;
  return [
    text(0, y + 5, label),
    `  <rect ${bar} ${size} rx="2"/>`,
    `  <line class="range" x1="${at(least)}" x2="${at(greatest)}" y1="${y}" y2="${y}"/>`,
    text(Number(at(greatest)) + 8, y + 5, Math.round(middle).toLocaleString('en')),
  ];
}

function text(x: number, y: number, content: string, className?: string): string {
  const escaped = content.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
  return `  <text${className ? ` class="${className}"` : ''} x="${x}" y="${y}">${escaped}</text>`;
}
