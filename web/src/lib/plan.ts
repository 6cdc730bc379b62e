// A planned conference or a series of them, as a form and in words. Times are by the clock on the wall, in the plan's own time zone.
import type { Plan, PlanInput } from '../api/types';
import { i18n } from '../i18n/index.svelte';

/** What is typed and chosen about a plan, as the fields hold it. */
export interface PlanForm {
  date: string;
  time: string;
  zone: string;
  length: string;
  every: string;
  ends: string;
  count: string;
  until: string;
  mode: string;
  channels: string[];
  reminders: string[];
  agenda: string;
}
type Every = NonNullable<Plan['repeat']>['every'];

export const EVERY = ['week', 'two_weeks', 'month_by_date', 'month_by_weekday'] as const;
export const LENGTHS = [15, 30, 45, 60, 90, 120, 180, 240];
export const REMINDERS = [1440, 60, 15];

/** A moment as the clock on the wall shows it: `2027-03-22T09:00`. Without a time zone in the browser's own. */
export const wall = (at: string | number, timeZone?: string): string =>
  // The Swedish way of writing times is the machine's.
  new Intl.DateTimeFormat('sv-SE', { dateStyle: 'short', timeStyle: 'short', timeZone }).format(new Date(at)).replace(' ', 'T');

/** The next full hour, in this time zone, once and for an hour. */
export function freshForm(zone: string): PlanForm {
  const [date = '', time = ''] = wall(Math.ceil((Date.now() + 600_000) / 3_600_000) * 3_600_000, zone).split('T');
  return { date, time, zone, length: '60', every: '', ends: 'count', count: '10', until: '', mode: 'wait', channels: ['email'], reminders: [], agenda: '' };
}

export function formOf(plan: Plan): PlanForm {
  const [date = '', time = ''] = plan.starts.split('T');
  return {
    ...freshForm(plan.time_zone), date, time: time.slice(0, 5), length: String(plan.length_minutes), every: plan.repeat?.every ?? '', ends: plan.repeat?.until ? 'until' : 'count', count: String(plan.repeat?.count ?? ''),
    until: plan.repeat?.until ?? '', mode: plan.start_mode, channels: plan.channels, reminders: plan.reminders.map(String), agenda: plan.agenda,
  };
}

/** What a form asks of the service, the people and the title aside. */
export function wishes(form: PlanForm): Omit<PlanInput, 'title' | 'participants' | 'repeat'> {
  return {
    starts: `${form.date}T${form.time}`, time_zone: form.zone.trim(), length_minutes: Number(form.length), start_mode: form.mode as 'wait', channels: form.channels as ('sms' | 'email')[],
    reminders: form.channels.length > 0 ? form.reminders.map(Number) : [], agenda: form.agenda,
  };
}

export const repeatOf = ({ every, ends, count, until }: PlanForm): PlanInput['repeat'] =>
  every ? { every: every as Every, ...(ends === 'until' ? { until } : { count: Number(count) }) } : undefined;

/** How a series repeats that begins on this day. */
export function everyWords(every: Every, date: string): string {
  const { plans } = i18n.t;
  const day = new Date(`${date.slice(0, 10)}T00:00Z`);
  if (Number.isNaN(day.getTime())) return plans.every[every]('–');
  const nth = Math.ceil(day.getUTCDate() / 7);
  const weekday = i18n.weekday(day);
  if (every === 'month_by_date') return plans.every[every](day.getUTCDate());
  if (every !== 'month_by_weekday') return plans.every[every](weekday);
  return plans.every[every](nth > 4 ? (plans.lastDay[day.getUTCDay()] ?? '') : plans.nth(plans.ordinals[nth - 1] ?? nth, weekday));
}

/** Minutes in words: `45 min`, `1 h 30 min`. */
export const minutesWords = (minutes: number): string => [minutes >= 60 && `${Math.floor(minutes / 60)} h`, minutes % 60 && `${minutes % 60} min`].filter(Boolean).join(' ');
