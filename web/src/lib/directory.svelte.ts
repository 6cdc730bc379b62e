// The account's address book, loaded once and kept in step with what is changed here.
import { api } from '../api/client';
import type { Contact, ContactInput, Group } from '../api/types';
import { i18n } from '../i18n/index.svelte';
import { digits } from './phone';

/** For comparing what is typed with what is there: without accents and case. */
export const plain = (text: string): string => text.normalize('NFD').replace(/\p{M}/gu, '').toLowerCase();

class Directory {
  contacts = $state.raw<Contact[]>([]);
  groups = $state.raw<Group[]>([]);
  state = $state.raw<'loading' | 'ready' | 'failed'>('loading');

  byId = $derived(new Map(this.contacts.map((contact) => [contact.id, contact])));
  sorted = $derived([...this.contacts].sort((a, b) => i18n.compare(a.name, b.name)));
  #index = $derived(new Map(this.contacts.map((contact) => [contact.id, { text: plain(`${contact.name} ${contact.email ?? ''}`), digits: digits(contact.phone) }])));
  sortedGroups = $derived([...this.groups].sort((a, b) => i18n.compare(a.name, b.name)));

  async load(): Promise<void> {
    try {
      const [contacts, groups] = await Promise.all([api.contacts(), api.groups()]);
      this.contacts = contacts;
      this.groups = groups;
      this.state = 'ready';
    } catch {
      if (this.state !== 'ready') this.state = 'failed';
    }
  }

  /** Whether a contact fits what was typed: all its words in the name, or its digits in the number, however the number is written. */
  fits(contact: Contact, typed: string): boolean {
    const words = plain(typed).split(/\s+/).filter(Boolean);
    const index = this.#index.get(contact.id);
    if (!index) return false;
    if (words.every((word) => index.text.includes(word))) return true;
    const number = digits(typed).replace(/^0+/, '');
    return number.length >= 2 && /^[\d\s+()/.-]+$/.test(typed) && index.digits.includes(number);
  }

  membersOf(group: Group): Contact[] {
    return group.contact_ids.flatMap((id) => this.byId.get(id) ?? []);
  }

  async save(id: string | undefined, input: ContactInput): Promise<Contact> {
    const saved = id === undefined ? await api.addContact(input) : await api.changeContact(id, input);
    this.contacts = [...this.contacts.filter((contact) => contact.id !== saved.id), saved];
    return saved;
  }

  /** Gives a person another code, and tells it. */
  async renewCode(id: string): Promise<string> {
    const changed = await api.renewCode(id);
    this.contacts = this.contacts.map((contact) => (contact.id === id ? changed : contact));
    return changed.code ?? '';
  }

  async remove(id: string): Promise<void> {
    await api.deleteContact(id);
    this.contacts = this.contacts.filter((contact) => contact.id !== id);
    this.groups = this.groups.map((group) => ({ ...group, contact_ids: group.contact_ids.filter((one) => one !== id) }));
  }

  async saveGroup(id: string | undefined, name: string, members: string[]): Promise<void> {
    const saved = id === undefined ? await api.addGroup(name, members) : await api.changeGroup(id, name, members);
    this.groups = [...this.groups.filter((group) => group.id !== saved.id), saved];
  }

  async removeGroup(id: string): Promise<void> {
    await api.deleteGroup(id);
    this.groups = this.groups.filter((group) => group.id !== id);
  }
}

export const directory = new Directory();
