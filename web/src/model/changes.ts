// Applying what the service tells to the picture, and what follows from the difference.
import type { Conference, LiveDelta, Participant } from '../api/types';

/** The picture after a change. Those who did not change stay the same objects, so that only what changed is drawn again. */
export function applied(view: Conference, delta: LiveDelta): Conference {
  const changed = new Map(delta.participants.map((person) => [person.id, person]));
  const gone = new Set(delta.removed ?? []);
  const participants: Participant[] = [];
  for (const person of view.participants) {
    if (gone.has(person.id)) continue;
    participants.push(changed.get(person.id) ?? person);
    changed.delete(person.id);
  }
  participants.push(...changed.values());
  // Fields that are absent in the new head are gone, so the old head must not shine through.
  const { id, title, convener_participant_id, created_at, scheduled_at } = view;
  const head = delta.conference ?? view;
  return { ...head, id, title, convener_participant_id, created_at, scheduled_at, seq: delta.seq, participants };
}

/** Whether a change is nothing but somebody beginning or ceasing to talk. */
export function isOnlyTalk(view: Conference, delta: LiveDelta): boolean {
  if (delta.conference || delta.removed?.length) return false;
  return delta.participants.every((person) => {
    const before = view.participants.find((one) => one.id === person.id);
    // Both as the service writes them, so that a field that is gone tells too.
    return before !== undefined && JSON.stringify({ ...before, talking: person.talking }) === JSON.stringify(person);
  });
}
