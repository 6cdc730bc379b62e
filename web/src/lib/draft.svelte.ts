// The conference that is being put together. It lives in this browser until it is started or planned, so nothing typed is lost.
import { api } from '../api/client';
import type { Conference, PersonInput } from '../api/types';
import { i18n } from '../i18n/index.svelte';
import { directory } from './directory.svelte';
import type { PlanForm } from './plan';
import { router } from './router.svelte';

export interface DraftPerson { key: string; contact_id?: string; name: string; phone: string; email?: string }

const KEY = 'sklic.draft';

export class Draft {
  title = $state.raw('');
  people = $state.raw<DraftPerson[]>([]);
  /** What the service says against some of them, by their keys. */
  trouble = $state.raw<Record<string, string>>({});
  /** What was typed about its date, if anything was. */
  form = $state.raw<PlanForm>();
  #account = '';
  #next = 0;

  /** Takes up what this account left behind. */
  open(account: string): void {
    if (this.#account === account) return;
    this.#account = account;
    this.clear();
    try {
      const kept = JSON.parse(localStorage.getItem(KEY) ?? 'null') as { account?: string; title?: string; people?: DraftPerson[]; form?: PlanForm } | null;
      if (kept?.account !== account) return;
      this.title = String(kept.title ?? '');
      this.form = kept.form;
      for (const person of kept.people ?? []) this.add(person);
    } catch {
      // What cannot be read is as good as nothing.
    }
  }

  keep(): void {
    // Read in any case: whoever watches the draft has to see all of it.
    const { title, people, form } = this;
    const text = JSON.stringify({ account: this.#account, title, people, form });
    // Before it was taken up there is nothing to be kept, and much to be lost.
    if (this.#account === '') return;
    try {
      if (people.length === 0 && title === '' && !form) localStorage.removeItem(KEY);
      else localStorage.setItem(KEY, text);
    } catch {
      // A browser that keeps nothing: the draft lives as long as the page.
    }
  }

  has(person: { contact_id?: string | null; phone: string }): boolean {
    return this.people.some((one) => (person.contact_id ? one.contact_id === person.contact_id : one.phone === person.phone));
  }

  /** Adds a person who is not there yet. */
  add(person: Omit<DraftPerson, 'key'>): boolean {
    if (this.has(person)) return false;
    this.#next += 1;
    this.people = [...this.people, { ...person, key: `${Date.now()}-${this.#next}` }];
    return true;
  }

  remove(key: string): void {
    this.people = this.people.filter((person) => person.key !== key);
  }

  clear(): void {
    this.title = '';
    this.people = [];
    this.form = undefined;
  }

  /** The same people as in another conference. */
  repeat(conference: Conference): void {
    this.clear();
    this.title = conference.title;
    this.take(conference);
  }

  inputs(): PersonInput[] {
    return this.people.map(({ contact_id, name, phone, email }) =>
      contact_id !== undefined && directory.byId.has(contact_id) ? { contact_id } : { name: name || phone, phone, email },
    );
  }

  /** Takes in people whom a conference has. */
  take(conference: Conference): void {
    for (const person of conference.participants) {
      if (!person.convener) this.add({ contact_id: person.contact_id ?? undefined, name: person.name, phone: person.phone, email: person.email ?? undefined });
    }
  }

  titleAt = (at: string | number): string => this.title.trim() || i18n.t.titleDefault(i18n.dateTime(at));

  /** Makes it a conference of the service; the draft is empty afterwards. */
  async make(): Promise<Conference> {
    const made = await api.make(this.titleAt(Date.now()), this.inputs());
    this.done();
    return made;
  }

  done(): void {
    this.clear();
    this.keep();
  }
}

export const draft = new Draft();

/** Puts together the same conference once more. */
export async function repeat(id: string): Promise<void> {
  draft.repeat(await api.conference(id));
  router.go('/new');
}
