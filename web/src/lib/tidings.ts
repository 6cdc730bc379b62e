// What is told to a screen reader about other people's comings and goings: gathered, so that it does not flood.
import type { Conference } from '../api/types';
import { i18n } from '../i18n/index.svelte';
import { LOOK, shownState } from '../model/states';
import { announcer } from './announce.svelte';

const CALM = 5_000;
const WHILE_DIALLING = 10_000;

export class Tidings {
  #joined: string[] = [];
  #left: string[] = [];
  #failed = 0;
  #view: Conference | undefined;

  compare(before: Conference, after: Conference): void {
    const t = i18n.t;
    this.#view = after;
    if (before.state !== after.state && (after.state === 'ended' || after.state === 'failed')) {
      announcer.hush();
      announcer.alarm(after.state === 'ended' ? t.say.ended : t.say.failed);
      return;
    }
    this.#aboutAll(before, after);
    this.#calls(before, after);
    const old = new Map(before.participants.map((person) => [person.id, LOOK[shownState(person, false)].kind]));
    let news = false;
    let dialling = false;
    for (const person of after.participants) {
      const kind = LOOK[shownState(person, false)].kind;
      const was = old.get(person.id);
      dialling ||= kind === 'way';
      if (was === undefined || was === kind) continue;
      if (kind === 'in') this.#joined.push(person.name);
      else if (was === 'in' && kind === 'out') this.#left.push(person.name);
      else if (kind === 'bad') this.#failed += 1;
      else continue;
      news = true;
    }
    if (news) announcer.gather(() => this.#sentence(), dialling ? WHILE_DIALLING : CALM);
  }

  /** Who wants something of the convener is told at once. */
  #calls(before: Conference, after: Conference): void {
    const t = i18n.t;
    const was = new Map(before.participants.map((person) => [person.id, person]));
    const hands = after.participants.filter((person) => person.hand_raised_at).map((person) => person.hand_raised_at ?? '');
    for (const person of after.participants) {
      const old = was.get(person.id);
      if (person.hand_raised_at && !old?.hand_raised_at) {
        const place = hands.filter((at) => at <= (person.hand_raised_at ?? '')).length;
        announcer.say(place > 1 ? t.say.handAt(person.name, place) : t.say.hand(person.name));
      }
      if (person.state === 'waiting' && old?.state !== 'waiting') announcer.say(t.say.waiting(person.name));
    }
  }

  #aboutAll(before: Conference, after: Conference): void {
    const t = i18n.t;
    if (before.locked !== after.locked) announcer.say(after.locked ? t.say.locked : t.say.unlocked);
    const open = (view: Conference, control: string): boolean => view.pending.some((one) => one.control === control && one.state === 'requested');
    if (open(before, 'mute_all') && after.pending.length === 0) announcer.say(t.say.allMuted);
    if (open(before, 'unmute_all') && after.pending.length === 0) announcer.say(t.say.allUnmuted);
    for (const pending of after.pending) {
      const was = before.pending.find((one) => one.control === pending.control);
      if (pending.state === 'failed' && was?.state !== 'failed') announcer.say(t.failed[pending.control] ?? '');
    }
  }

  #sentence(): string {
    const t = i18n.t;
    const people = this.#view?.participants ?? [];
    const inside = people.filter((person) => LOOK[shownState(person, false)].kind === 'in').length;
    const parts: string[] = [];
    const names = (list: string[]): string => list.join(` ${t.say.and} `);
    if (this.#joined.length > 2) parts.push(t.say.inNow(inside, people.length));
    else if (this.#joined.length > 0) parts.push(t.say.joined(names(this.#joined)));
    if (this.#left.length > 2) parts.push(t.say.inNow(inside, people.length));
    else if (this.#left.length > 0) parts.push(t.say.leftNames(names(this.#left)));
    if (this.#failed > 0) parts.push(t.say.failedCount(this.#failed));
    this.#joined = [];
    this.#left = [];
    this.#failed = 0;
    return [...new Set(parts)].join(' ');
  }
}
