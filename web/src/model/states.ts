// From what the service says about a participant to what a rectangle shows, and what can be done with it now.
import type { Participant } from '../api/types';
import type { IconName } from '../lib/icons';
import type { Messages } from '../i18n/messages';

/** The words of a rectangle's state. */
export type Shown = keyof Messages['state'];
/** The colours of a state: see `tokens.css`. */
export type Tone = 'idle' | 'plan' | 'call' | 'wait' | 'in' | 'talk' | 'mute' | 'hand' | 'fail' | 'unk';
/** How the filters gather the states. */
export type Kind = 'in' | 'waiting' | 'way' | 'bad' | 'out' | 'unknown';
export type Act = keyof Messages['act'];

export const LOOK: Record<Shown, { tone: Tone; icon: IconName; kind: Kind }> = {
  not_called: { tone: 'plan', icon: 'person', kind: 'out' },
  queued: { tone: 'plan', icon: 'queued', kind: 'way' },
  calling: { tone: 'call', icon: 'calling', kind: 'way' },
  ringing: { tone: 'call', icon: 'ringing', kind: 'way' },
  waiting: { tone: 'wait', icon: 'waiting', kind: 'waiting' },
  greeting: { tone: 'call', icon: 'greeting', kind: 'way' },
  in: { tone: 'in', icon: 'in', kind: 'in' },
  talking: { tone: 'talk', icon: 'talking', kind: 'in' },
  muted: { tone: 'mute', icon: 'muted', kind: 'in' },
  self_muted: { tone: 'mute', icon: 'selfmuted', kind: 'in' },
  hand_raised: { tone: 'hand', icon: 'hand', kind: 'in' },
  leaving: { tone: 'idle', icon: 'left', kind: 'out' },
  left: { tone: 'idle', icon: 'left', kind: 'out' },
  not_in: { tone: 'fail', icon: 'rejected', kind: 'bad' },
  busy: { tone: 'fail', icon: 'busy', kind: 'bad' },
  no_answer: { tone: 'fail', icon: 'noanswer', kind: 'bad' },
  rejected: { tone: 'fail', icon: 'rejected', kind: 'bad' },
  unreachable: { tone: 'fail', icon: 'warn', kind: 'bad' },
  invalid_number: { tone: 'fail', icon: 'wrong', kind: 'bad' },
  congested: { tone: 'fail', icon: 'busy', kind: 'bad' },
  not_accepted: { tone: 'fail', icon: 'noanswer', kind: 'bad' },
  cancelled: { tone: 'idle', icon: 'x', kind: 'out' },
  failed: { tone: 'fail', icon: 'warn', kind: 'bad' },
  unknown: { tone: 'unk', icon: 'unknown', kind: 'unknown' },
};

/** One place shows one state. Before others comes: unknown, hand raised, muted by oneself, muted, talking, in. */
export function shownState(person: Participant, blind: boolean): Shown {
  const state = person.state in LOOK ? person.state : 'unknown';
  if (blind && ['in', 'way', 'waiting'].includes(LOOK[state].kind)) return 'unknown';
  if (state !== 'in') return state;
  if (person.hand_raised_at) return 'hand_raised';
  return person.self_muted ? 'self_muted' : person.muted ? 'muted' : person.talking ? 'talking' : 'in';
}

export type Phase = 'planned' | 'calling_convener' | 'running' | 'closing' | 'ended' | 'failed';

/** What can be done with a person now; the first is the one on the rectangle. */
export function actsOf(person: Participant, shown: Shown, phase: Phase): Act[] {
  if (phase === 'planned') return person.convener ? [] : ['remove'];
  if (phase === 'calling_convener' && shown === 'waiting') return ['away'];
  if (phase === 'calling_convener') return person.convener || LOOK[shown].kind === 'unknown' ? [] : shown === 'not_called' ? ['remove'] : [];
  if (phase !== 'running') return [];
  switch (LOOK[shown].kind) {
    case 'unknown':
      return [];
    case 'in': {
      // A microphone that its owner closed stays closed: we never open it.
      const mute: Act[] = person.self_muted ? [] : [person.muted ? 'unmute' : 'mute'];
      const lower: Act[] = person.hand_raised_at ? ['lower'] : [];
      // To give the word is what a raised hand asks for; where the microphone is open already, the hand is all there is to lower.
      const acts = person.muted ? [...mute, ...lower] : [...lower, ...mute];
      return person.convener ? acts : [...acts, 'message', 'remove'];
    }
    case 'waiting':
      return ['admit', 'away'];
    case 'way':
      return person.convener ? [] : ['cancel'];
    default:
      if (shown === 'leaving') return [];
      if (shown === 'not_called') return person.convener ? ['call'] : ['call', 'other', 'message', 'remove'];
      if (person.convener) return ['recall', 'other'];
      return shown === 'invalid_number' ? ['fix', 'recall', 'message'] : ['recall', 'other', 'message'];
  }
}

export const ACT_ICON: Record<Act, IconName> = {
  mute: 'muted',
  unmute: 'mic',
  call: 'phone',
  recall: 'retry',
  cancel: 'end',
  fix: 'edit',
  other: 'phone',
  remove: 'remove',
  admit: 'check',
  away: 'end',
  lower: 'hand',
  message: 'message',
};

/** The key that does it while the rectangle has the focus. */
export const ACT_KEY: Partial<Record<Act, string>> = { mute: 'M', unmute: 'M', call: 'K', recall: 'K', cancel: 'Del', remove: 'Del', away: 'Del', lower: 'H', admit: 'A' };

/** Whether a person can be called now: those whom "call the missing" calls. */
export const isMissing = (person: Participant, shown: Shown): boolean =>
  !person.convener && (LOOK[shown].kind === 'bad' || LOOK[shown].kind === 'out') && shown !== 'leaving';
