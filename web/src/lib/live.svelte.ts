// One conference as the service tells it: a snapshot, then deltas; what the convener asks for; a connection that heals by itself.
import { ApiError, api, liveAddress, problemOf, signedOut } from '../api/client';
import type { Conference, LiveDelta, Participant } from '../api/types';
import { i18n } from '../i18n/index.svelte';
import { applied, isOnlyTalk } from '../model/changes';
import { LOOK, isMissing, shownState, type Act, type Phase, type Shown } from '../model/states';
import { announcer } from './announce.svelte';
import { sentence } from './problem';
import { readEvents, type ServerEvent } from './sse';
import { Tidings } from './tidings';

/** The service sends something at least every 5 seconds; after this long without anything the connection is dead. */
const SILENCE = 12_000;
/** A connection that is back this soon was never shown as lost. */
const BLINK = 1_200;
const LONGEST_WAIT = 5_000;
const CONFIRMED_FOR = 1_500;
/** Marks of talking are painted at most this often. */
const TALK_EVERY = 250;

export type OneControl = 'mute' | 'unmute' | 'remove' | 'cancel' | 'call' | 'admit' | 'away' | 'lower';
export type AllControl = 'mute_all' | 'unmute_all' | 'lock' | 'unlock' | 'call_missing' | 'end';
/** What became of a control over one person. */
export interface Note { kind: 'requested' | 'failed' | 'done'; control: OneControl; words: string; why?: string }

/** The service's words for controls, where they are others; whoever is called, or waits, is removed. */
const WORD: Partial<Record<OneControl, 'mute' | 'unmute' | 'admit' | 'lower-hand'>> = { mute: 'mute', unmute: 'unmute', admit: 'admit', lower: 'lower-hand' };

export class LiveConference {
  view = $state.raw<Conference | undefined>(undefined);
  link = $state.raw<'connecting' | 'up' | 'lost'>('connecting');
  /** When the next attempt to connect comes; none while one is under way. */
  nextTryAt = $state.raw<number | undefined>(undefined);
  missing = $state.raw(false);
  /** For some seconds after a lost connection has come back. */
  back = $state.raw(false);
  /** A control over the whole that did not succeed, in a sentence. */
  trouble = $state.raw<string | undefined>(undefined);
  #own = $state.raw<ReadonlyMap<string, Note>>(new Map());
  /** Whose controls were asked for in this window: their results are told at once. */
  #mine = new Set<string>();
  #busy = $state.raw<ReadonlySet<AllControl>>(new Set());

  phase = $derived((this.view?.state ?? 'planned') as Phase);
  /** The page cannot see the conference: nothing is green. */
  blind = $derived(this.link !== 'up');
  people = $derived.by(() => {
    const blind = this.blind && this.phase !== 'planned' && this.phase !== 'ended' && this.phase !== 'failed';
    return (this.view?.participants ?? []).map((person) => ({ person, shown: shownState(person, blind) }));
  });
  inside = $derived(this.people.filter(({ shown }) => LOOK[shown].kind === 'in').length);
  missingCount = $derived(this.people.filter(({ person, shown }) => isMissing(person, shown)).length);

  #abort: AbortController | undefined;
  #closed = false;
  #queue: LiveDelta[] = [];
  #painting = false;
  #paintTimer: ReturnType<typeof setTimeout> | undefined;
  #seq = 0;
  #wake: (() => void) | undefined;
  #tidings = new Tidings();

  constructor(readonly id: string) {
    addEventListener('offline', this.#offline);
    addEventListener('online', this.reconnect);
    void this.#run();
  }

  close(): void {
    this.#closed = true;
    removeEventListener('offline', this.#offline);
    removeEventListener('online', this.reconnect);
    clearTimeout(this.#paintTimer);
    announcer.hush();
    this.#abort?.abort();
    this.#wake?.();
  }

  /** Tries to connect now instead of waiting. */
  reconnect = (): void => {
    if (this.link !== 'up') this.#wake?.();
  };

  #offline = (): void => this.#abort?.abort();

  async #run(): Promise<void> {
    for (let failures = 0; !this.#closed; ) {
      const soon = setTimeout(() => this.#lose(), BLINK);
      this.nextTryAt = undefined;
      let came = false;
      try {
        this.#abort = new AbortController();
        await readEvents(liveAddress(this.id), this.#abort, SILENCE, this.#answered, (event) => {
          if (event.name === 'snapshot') {
            came = true;
            clearTimeout(soon);
          }
          this.#heard(event);
        });
      } catch {
        // Whatever the reason: it is tried again.
      }
      clearTimeout(soon);
      if (this.#closed || this.missing || this.#isOver()) return;
      failures = came ? 0 : failures + 1;
      // The first attempt after a working connection comes at once, and is not shown if it succeeds.
      if (failures > 0) {
        this.#lose();
        await this.#pause(Math.min(LONGEST_WAIT, 500 * 2 ** failures));
      } else {
        this.link = this.link === 'up' ? 'connecting' : this.link;
        await this.#pause(100);
      }
    }
  }

  #isOver(): boolean {
    return this.view?.state === 'ended' || this.view?.state === 'failed';
  }

  #answered = async (response: Response): Promise<boolean> => {
    if (response.ok) return true;
    if (response.status === 404) this.missing = true;
    await problemOf(response);
    return false;
  };

  #lose(): void {
    if (this.link === 'lost') return;
    const known = this.view !== undefined;
    this.link = 'lost';
    if (known && !this.#isOver()) announcer.alarm(i18n.t.say.lost);
  }

  #pause(milliseconds: number): Promise<void> {
    this.nextTryAt = Date.now() + milliseconds;
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #heard(event: ServerEvent): void {
    if (event.name === 'snapshot') {
      const view = JSON.parse(event.data) as Conference;
      this.#queue = [];
      this.#seq = view.seq;
      this.#show(view);
      const wasLost = this.link === 'lost';
      this.link = 'up';
      if (wasLost) {
        this.back = true;
        setTimeout(() => (this.back = false), 5_000);
        announcer.alarm(i18n.t.backAgain);
      }
    } else if (event.name === 'delta') {
      const delta = JSON.parse(event.data) as LiveDelta;
      if (delta.seq <= this.#seq) return;
      if (delta.seq !== this.#seq + 1) {
        this.#abort?.abort();
        return;
      }
      this.#seq = delta.seq;
      this.#queue.push(delta);
      this.#plan(delta);
    } else if (event.name === 'signed_out') {
      signedOut();
      this.#abort?.abort();
    }
    if (this.#isOver()) this.#abort?.abort();
  }

  /** Changes are painted once a frame; those that are only talk wait a little longer. */
  #plan(delta: LiveDelta): void {
    if (this.#painting) return;
    if (this.view && isOnlyTalk(this.view, delta)) {
      this.#paintTimer ??= setTimeout(this.#paint, TALK_EVERY);
      return;
    }
    this.#painting = true;
    // No frames come while the page is hidden, yet its title and announcements go on.
    if (document.hidden) setTimeout(this.#paint, 50);
    else requestAnimationFrame(this.#paint);
  }

  #paint = (): void => {
    clearTimeout(this.#paintTimer);
    this.#paintTimer = undefined;
    this.#painting = false;
    if (this.#closed || !this.view || this.#queue.length === 0) return;
    let view = this.view;
    for (const delta of this.#queue.splice(0)) view = applied(view, delta);
    this.#show(view);
    if (this.#isOver()) this.#abort?.abort();
  };

  #show(view: Conference): void {
    const before = this.view;
    this.view = view;
    const notes = new Map(this.#own);
    const old = new Map(before?.participants.map((person) => [person.id, person]));
    for (const person of view.participants) {
      const was = old.get(person.id);
      if (was !== undefined && was !== person) this.#settle(notes, was, person);
    }
    if (notes.size > 0 || this.#own.size > 0) this.#own = notes;
    if (before) this.#tidings.compare(before, view);
  }

  /** A control is confirmed when what was open is open no more; its tick stays for a moment. */
  #settle(notes: Map<string, Note>, was: Participant, person: Participant): void {
    const own = notes.get(person.id);
    const open = was.pending.find((pending) => pending.state === 'requested');
    const still = person.pending.length > 0;
    const changed = was.state !== person.state || was.muted !== person.muted || was.hand_raised_at !== person.hand_raised_at;
    if (own && (still || changed || own.kind === 'requested')) notes.delete(person.id);
    if (still) {
      const failed = person.pending[0]?.state === 'failed' && was.pending[0]?.state !== 'failed';
      if (failed && this.#mine.delete(person.id)) announcer.say(`${person.name}: ${this.noteOf(person, notes)?.words ?? ''}`);
      return;
    }
    if (!changed || (!open && own?.kind !== 'requested') || own?.control === 'call') return;
    const control = (open?.control ?? own?.control) as OneControl;
    notes.set(person.id, { kind: 'done', control, words: i18n.t.confirmed });
    if (this.#mine.delete(person.id)) announcer.say(`${person.name}: ${i18n.t.state[shownState(person, false)]}`);
    setTimeout(() => this.#drop(person.id, 'done'), CONFIRMED_FOR);
  }

  #drop(id: string, kind: Note['kind']): void {
    if (this.#own.get(id)?.kind !== kind) return;
    const notes = new Map(this.#own);
    notes.delete(id);
    this.#own = notes;
  }

  #note(id: string, note: Note): void {
    this.#own = new Map(this.#own).set(id, note);
  }

  /** What became of a control over this person, if there is something to tell. */
  noteOf(person: Participant, notes: ReadonlyMap<string, Note> = this.#own): Note | undefined {
    const t = i18n.t;
    const own = notes.get(person.id);
    const told = person.pending[0];
    if (own && (own.kind === 'requested' || !told)) return own;
    if (!told) return undefined;
    const way = LOOK[shownState(person, false)].kind === 'way';
    const control: OneControl = told.control === 'remove' ? (way ? 'cancel' : 'remove') : told.control === 'unmute' || told.control === 'admit' ? told.control : 'mute';
    if (told.state === 'requested') return { kind: 'requested', control, words: t.requested[control] };
    const why = told.reason ? t.controlFailed[told.reason] : undefined;
    return { kind: 'failed', control, words: t.failed[control] ?? '', why };
  }

  /** Asks for something about one person. */
  async ask(person: Participant, act: Exclude<Act, 'message'>, phone?: string): Promise<void> {
    const control: OneControl = act === 'recall' || act === 'fix' || act === 'other' ? 'call' : act;
    if (this.noteOf(person)?.kind === 'requested') return;
    if (control !== 'call') this.#mine.add(person.id);
    this.#note(person.id, { kind: 'requested', control, words: i18n.t.requested[control] });
    try {
      if (control === 'call') await api.call(this.id, person.id, phone);
      else await api.control(this.id, person.id, WORD[control] ?? 'remove');
      // The stream tells the rest; should it have told already, nothing stays behind.
      setTimeout(() => this.#drop(person.id, 'requested'), CONFIRMED_FOR);
    } catch (error) {
      if (error instanceof ApiError && error.fields.length > 0 && phone !== undefined) {
        this.#drop(person.id, 'requested');
        throw error;
      }
      const words = i18n.t.failed[control] ?? '';
      this.#note(person.id, { kind: 'failed', control, words, why: sentence(error) });
      announcer.say(`${person.name}: ${words}. ${sentence(error)}`);
    }
  }

  isBusy = (control: AllControl): boolean => this.#busy.has(control) || this.pending(control)?.state === 'requested';
  pending = (control: AllControl): { state: string } | undefined => this.view?.pending.find((one) => one.control === control);

  /** Asks for something about everybody. */
  async askAll(control: AllControl): Promise<void> {
    if (this.isBusy(control)) return;
    this.trouble = undefined;
    this.#busy = new Set(this.#busy).add(control);
    try {
      await api.controlAll(this.id, control === 'mute_all' ? 'mute' : control === 'unmute_all' ? 'unmute' : control);
    } catch (error) {
      this.trouble = sentence(error);
      announcer.say(this.trouble);
    }
    const busy = new Set(this.#busy);
    busy.delete(control);
    this.#busy = busy;
  }

  /** The words of a state, for those who ask outside a rectangle. */
  words = (shown: Shown): string => i18n.t.state[shown];
}
