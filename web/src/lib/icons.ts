// The icons, drawn for this product: 24 × 24, round ends, in the colour of the text.
// A path with a second element is drawn with that stroke width (for dots).

type Path = string | [path: string, width: number];

const HANDSET =
  'M6.2 4.2h2.3c.4 0 .8.3.9.7l.8 3c.1.4 0 .8-.3 1l-1.5 1.4c1.1 2.3 3 4.2 5.3 5.3l1.4-1.5c.3-.3.7-.4 1-.3l3 .8c.4.1.7.5.7.9v2.3c0 1-.8 1.8-1.8 1.8C10.8 19.2 4.8 13.2 4.4 6c0-1 .8-1.8 1.8-1.8z';
const MIC = 'M12 3.5a2.8 2.8 0 0 1 2.8 2.8v5a2.8 2.8 0 0 1-5.6 0v-5A2.8 2.8 0 0 1 12 3.5zM6 11.5a6 6 0 0 0 12 0M12 17.5V21';
const PERSON = 'M12 11.5a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM5 20c.5-3.9 3.3-6 7-6s6.5 2.1 7 6';
const DISC = 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18z';

const icons = {
  // states
  person: [PERSON],
  queued: [DISC, 'M12 7v5.3l3.5 2'],
  calling: [HANDSET, 'M14.5 9.5 20 4M15.5 4H20v4.5'],
  ringing: [HANDSET, 'M13.8 7.6a3.4 3.4 0 0 1 2.6 2.6M14.3 4a6.8 6.8 0 0 1 5.7 5.7'],
  greeting: ['M4 9.5v5h3.5l5 4v-13l-5 4zM16 9a4.2 4.2 0 0 1 0 6M18.6 6.2a8.2 8.2 0 0 1 0 11.6'],
  in: [HANDSET, 'M13.5 6.5l2.4 2.4 4.6-4.8'],
  talking: ['M4.5 10v4M9.5 6.5v11M14.5 9v6M19.5 5.5v13'],
  muted: [MIC, 'M4 4l16 16'],
  selfmuted: ['M10.5 3.5a2.6 2.6 0 0 1 2.6 2.6v4.6a2.6 2.6 0 0 1-5.2 0V6.1a2.6 2.6 0 0 1 2.6-2.6zM5 11a5.5 5.5 0 0 0 6.5 5.4M3.5 4l11.5 11.5M18.5 16.3a1.7 1.7 0 1 0 0-3.4 1.7 1.7 0 0 0 0 3.4zM15.3 21c.2-1.8 1.5-2.8 3.2-2.8s3 1 3.2 2.8'],
  waiting: ['M9 17.5V6l9.5-2v11.5M9 17.5a2.6 2.6 0 1 1-5.2 0 2.6 2.6 0 0 1 5.2 0zM18.5 15.5a2.6 2.6 0 1 1-5.2 0 2.6 2.6 0 0 1 5.2 0z'],
  hand: ['M7.5 12.5V6.8a1.3 1.3 0 0 1 2.6 0V11M10.1 10.5V4.8a1.3 1.3 0 0 1 2.6 0v5.7M12.7 10.5V5.8a1.3 1.3 0 0 1 2.6 0V12M15.3 9.3a1.3 1.3 0 0 1 2.6 0v5.4c0 3.6-2.3 5.9-5.6 5.9-2.7 0-4.2-1.2-5.4-3.4l-2.2-4a1.3 1.3 0 0 1 2.2-1.4l.6 1'],
  left: ['M13 4H6.5A1.5 1.5 0 0 0 5 5.5v13A1.5 1.5 0 0 0 6.5 20H13M10 12h10M16.5 8.5 20 12l-3.5 3.5'],
  busy: [HANDSET, 'M14 6.5h6.5'],
  noanswer: [HANDSET, ['M13.5 6h.01M17 6h.01M20.5 6h.01', 2.6]],
  rejected: [HANDSET, 'M15 4.2l5 5M20 4.2l-5 5'],
  wrong: ['M8 5 6.5 19M13.5 5 12 19M4.5 9.5h11M4 14.5h11M20 5v8.5', ['M20 18.7h.01', 2.6]],
  unknown: ['M8.7 9.2a3.3 3.3 0 1 1 5.1 2.8c-1.2.8-1.8 1.5-1.8 2.9', ['M12 18.6h.01', 2.6]],
  // actions and furniture
  mic: [MIC],
  phone: [HANDSET],
  end: [
    'M3 14.5c0-1 .3-1.9 1-2.5 4.4-3.8 11.6-3.8 16 0 .7.6 1 1.5 1 2.5v1c0 .6-.5 1-1 .9l-3-.5c-.5-.1-.8-.5-.8-1v-1.7c-2.7-.8-5.7-.8-8.4 0v1.7c0 .5-.3.9-.8 1l-3 .5c-.6.1-1-.3-1-.9z',
  ],
  message: ['M4 5.5h16v11H10l-4.5 3.5v-3.5H4zM8 9.5h8M8 12.5h5'],
  add: ['M12 5v14M5 12h14'],
  addperson: ['M9.5 11.5a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM3 20c.4-3.9 3-6 6.5-6 2.2 0 4 .8 5.2 2.3M18.5 9v6M15.5 12h6'],
  group: [
    'M9 11.5a3.2 3.2 0 1 0 0-6.4 3.2 3.2 0 0 0 0 6.4zM3 19.5c.4-3.5 2.8-5.4 6-5.4s5.6 1.9 6 5.4M15.5 5.6a3.2 3.2 0 0 1 0 5.8M17.2 14.6c2.1.6 3.5 2.3 3.8 4.9',
  ],
  search: ['M10.5 17a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13zM15.3 15.3 20.5 20.5'],
  lock: ['M6 11h12v9H6zM8.5 11V7.5a3.5 3.5 0 0 1 7 0V11M12 14.5v2'],
  unlock: ['M6 11h12v9H6zM8.5 11V7a3.5 3.5 0 0 1 6.7-1.4M12 14.5v2'],
  remove: ['M5 12h14'],
  x: ['M6 6l12 12M18 6 6 18'],
  check: ['M5 12.5l4.5 4.5L19 7.5'],
  warn: ['M12 4 2.8 19.5h18.4zM12 10v4.5', ['M12 17.2h.01', 2.6]],
  info: [DISC, 'M12 11v5.5', ['M12 7.7h.01', 2.6]],
  retry: ['M19.5 12a7.5 7.5 0 1 1-2.3-5.4M17.5 3v4h-4'],
  edit: ['M4.5 19.5l.8-4L16 4.8l3.2 3.2L8.5 18.7z'],
  more: [['M5 12h.01M12 12h.01M19 12h.01', 3]],
  calendar: ['M4 6h16v14H4zM4 10.5h16M8.5 3.5V8M15.5 3.5V8'],
  chevron: ['M6 9.5l6 6 6-6'],
  back: ['M14.5 6l-6 6 6 6'],
  download: ['M12 4v11M7.5 11 12 15.5 16.5 11M4.5 19.5h15'],
  upload: ['M12 15.5V4.5M7.5 8.5 12 4l4.5 4.5M4.5 19.5h15'],
  print: ['M7 9V4h10v5M7 17H4V9h16v8h-3M7 14h10v6H7z'],
  eye: ['M2.5 12C5 7.7 8.2 5.5 12 5.5s7 2.2 9.5 6.5c-2.5 4.3-5.7 6.5-9.5 6.5S5 16.3 2.5 12zM12 15a3 3 0 1 0 0-6 3 3 0 0 0 0 6z'],
  link: ['M4 9.5c4.7-4 11.3-4 16 0M7 13c3-2.5 7-2.5 10 0M3.5 4l17 17', ['M12 17.5h.01', 2.8]],
  spin: ['M12 3.5a8.5 8.5 0 1 1-8.5 8.5'],
} satisfies Record<string, Path[]>;

export type IconName = keyof typeof icons;

/** All icons, to be written into the page once; `Icon.svelte` refers to them by name. */
export function sprite(): string {
  const path = (one: Path): string => (typeof one === 'string' ? `<path d="${one}"/>` : `<path d="${one[0]}" stroke-width="${one[1]}"/>`);
  const symbol = ([name, paths]: [string, Path[]]): string => `<symbol id="i-${name}" viewBox="0 0 24 24">${paths.map(path).join('')}</symbol>`;
  return `<div hidden><svg>${Object.entries<Path[]>(icons).map(symbol).join('')}</svg></div>`;
}
