// People carried from the directory to the conference by mouse. What is carried stays in the page: nothing of it leaves by the clipboard.
import type { Contact } from '../api/types';

class Drag {
  people = $state.raw<Contact[]>([]);
}
export const drag = new Drag();

export function carry(event: DragEvent, people: Contact[]): void {
  drag.people = people;
  event.dataTransfer?.setData('text/plain', people.map((person) => person.name).join(', '));
  if (event.dataTransfer) event.dataTransfer.effectAllowed = 'copy';
}

export function release(): void {
  drag.people = [];
}
