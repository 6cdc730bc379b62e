// What the console asks of the service.
import { call, sends, to } from './request';
import type { PersonInput, PlanInput } from './types';

export { ApiError, problemOf, signedOut, whenSignedOut } from './request';

/** Where the changes of a conference are told. */
export const liveAddress = (id: string): string => `/api/v1/conferences/${id}/live`;

/** A list that comes page by page. */
async function whole<P extends { next?: string | null }, T>(ask: (after: string | undefined) => Promise<P>, of: (page: P) => T[]): Promise<T[]> {
  const all: T[] = [];
  for (let after: string | undefined; ; ) {
    const page = await ask(after);
    all.push(...of(page));
    if (!page.next) return all;
    after = page.next;
  }
}

export const api = {
  login: (user_number: string, password: string) => call('post', '/login', { body: { user_number, password } }),
  logout: to('post', '/logout'),
  me: to('get', '/me'),
  changeMe: sends('patch', '/me'),
  changePassword: (current_password: string, new_password: string) => call('put', '/me/password', { body: { current_password, new_password } }),
  changePin: (current_password: string, pin?: string) => call('put', '/me/pin', { body: { current_password, pin } }),
  sessions: to('get', '/sessions'),
  endSessions: to('delete', '/sessions'),
  endSession: to('delete', '/sessions/{id}'),

  contacts: () => whole((after) => call('get', '/contacts', { query: { limit: 1000, after } }), ({ contacts }) => contacts),
  addContact: sends('post', '/contacts'),
  changeContact: sends('put', '/contacts/{id}'),
  deleteContact: to('delete', '/contacts/{id}'),
  renewCode: to('post', '/contacts/{id}/code'),
  importContacts: (text: string, check_only: boolean, type?: string) => call('post', '/contacts/import', { query: { skip_bad: true, check_only }, body: text, type }),
  groups: to('get', '/groups'),
  addGroup: (name: string, contact_ids: string[]) => call('post', '/groups', { body: { name, contact_ids } }),
  changeGroup: (id: string, name: string, contact_ids: string[]) => call('put', '/groups/{id}', { parts: [id], body: { name, contact_ids } }),
  deleteGroup: to('delete', '/groups/{id}'),

  conferences: (state: 'planned' | 'open' | 'over', limit: number, before?: string) => call('get', '/conferences', { query: { state, limit, before } }),
  conference: to('get', '/conferences/{id}'),
  make: (title: string, participants: PersonInput[]) => call('post', '/conferences', { body: { title, participants } }),
  changeConference: sends('patch', '/conferences/{id}'),
  deleteConference: to('delete', '/conferences/{id}'),
  start: to('post', '/conferences/{id}/start'),
  charges: (from: string, to: string) => whole((after) => call('get', '/charges', { query: { from, to, limit: 5000, after } }), ({ charges }) => charges),
  estimateDraft: (participants: PersonInput[]) => call('post', '/estimate', { body: { participants } }),
  estimate: to('get', '/conferences/{id}/estimate'),
  messages: to('get', '/conferences/{id}/messages'),
  previewMessage: sends('post', '/conferences/{id}/messages/preview'),
  sendMessage: sends('post', '/conferences/{id}/messages'),
  report: to('get', '/conferences/{id}/report'),
  addParticipant: sends('post', '/conferences/{id}/participants'),
  deleteParticipant: to('delete', '/conferences/{id}/participants/{pid}'),
  call: (id: string, pid: string, phone?: string) => call('post', '/conferences/{id}/participants/{pid}/call', { parts: [id, pid], body: { phone } }),
  control: (id: string, pid: string, what: 'mute' | 'unmute' | 'admit' | 'lower-hand' | 'remove') => call('post', `/conferences/{id}/participants/{pid}/${what}`, { parts: [id, pid] }),
  controlAll: (id: string, what: 'mute' | 'unmute' | 'lock' | 'unlock' | 'call_missing' | 'end') => call('post', `/conferences/{id}/${what}`, { parts: [id] }),

  plans: () => call('get', '/plans', { query: { limit: 100 } }),
  planOf: (conference: string) => call('get', '/plans', { query: { conference } }),
  planNamed: to('get', '/plans/{id}'),
  checkPlan: (body: PlanInput, plan?: string) => call('post', '/plans/check', { query: { plan }, body }),
  makePlan: sends('post', '/plans'),
  changePlan: sends('patch', '/plans/{id}'),
  cancelPlan: to('delete', '/plans/{id}'),
  moveDate: (id: string, pid: string, starts: string) => call('patch', '/plans/{id}/conferences/{pid}', { parts: [id, pid], body: { starts } }),
  cancelDate: to('delete', '/plans/{id}/conferences/{pid}'),
  planMessages: to('get', '/plans/{id}/messages'),

  /** For the operator's staff only. */
  operator: {
    health: to('get', '/operator/health'),
    conferences: to('get', '/operator/conferences'),
    deliveries: to('get', '/operator/deliveries'),
    retry: to('post', '/operator/deliveries/{id}/retry'),
    accounts: (search: string) => call('get', '/operator/accounts', { query: { search: search || undefined } }),
    account: (user_number: string, before?: string) => call('get', '/operator/accounts/{user_number}', { parts: [user_number], query: { before } }),
    tariffs: to('get', '/operator/tariffs'),
    rates: to('get', '/operator/tariffs/{id}/rates'),
  },
};
