// What the switch itself wrote down: Asterisk's or FreeSWITCH's Master.csv, the second of the three accounts.

/** Reads a line of comma separated values with double quotes. */
function fields(line) {
  const found = [];
  let value = '';
  let quoted = false;
  for (let at = 0; at < line.length; at += 1) {
    const character = line[at];
    if (quoted && character === '"' && line[at + 1] === '"') {
      value += '"';
      at += 1;
    } else if (character === '"') quoted = !quoted;
    else if (character === ',' && !quoted) {
      found.push(value);
      value = '';
    } else value += character;
  }
  return [...found, value];
}

/** The leg of a channel that the service asked for, by the identifier that it gave the channel; `null` of any other. */
function legOf(channel) {
  const id = /^sklic-([0-9a-f]{8})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{12})$/.exec(channel);
  return id === null ? null : id.slice(1).join('-');
}

/** By the leg's identifier, which is in the channel's. Whole seconds, as the switch writes them.
 *  A channel that went from one part of the dialplan to another has several rows; while it was in a conference it may be the second party
 *  of another's row only; a switch that was killed has written none.
 *  Asterisk writes down pairs of a conference's members and leaves out the time that one is in it alone (its CDR specification, "multi-party bridges"),
 *  so where the last row is the conference's the end is known as a lower bound only: `exact` is false. */
function recordsOfAsterisk(text) {
  const records = new Map();
  /** Names of channels begin anew with each start of the switch, so each may have been several legs'. */
  const byChannel = new Map();
  const time = (value) => (value ? Date.parse(`${value.replace(' ', 'T')}Z`) : null);
  const rows = text.split('\n').map(fields).filter((row) => row.length > 16);
  for (const row of rows) {
    const leg = legOf(row[16]);
    if (leg === null) continue;
    const [channel, begun, answered, ended] = [row[5], time(row[9]), time(row[10]), time(row[11])];
    let record = records.get(leg);
    if (!record) {
      record = { leg, begun, answered: null, ended: null, exact: false, grain: 1 };
      records.set(leg, record);
      byChannel.set(channel, [...(byChannel.get(channel) ?? []), record]);
    }
    record.begun = Math.min(record.begun, begun);
    if (answered !== null) record.answered = Math.min(record.answered ?? answered, answered);
    if (ended !== null && ended >= (record.ended ?? 0)) {
      record.ended = ended;
      record.exact = row[7] !== 'ConfBridge';
    }
  }
  for (const row of rows) {
    const ended = time(row[11]);
    // The leg that had the channel then: of those that had begun, the last.
    const record = (byChannel.get(row[6]) ?? []).filter((one) => one.begun <= ended).sort((one, other) => other.begun - one.begun)[0];
    if (record && ended !== null && ended > record.ended) {
      record.ended = ended;
      record.exact = false;
    }
  }
  return records;
}

/** Times are microseconds, and a zero where something never was. The end is when the call was over. */
function recordsOfFreeswitch(text) {
  const time = (value) => (Number(value) > 0 ? Number(value) / 1000 : null);
  const rows = text.split('\n').map(fields).filter((row) => row.length >= 5);
  const records = rows.map(([channel, begun, answered, ended]) => ({ leg: legOf(channel), begun: time(begun), answered: time(answered), ended: time(ended), exact: true, grain: 0 }));
  return new Map(records.filter(({ leg }) => leg !== null).map((record) => [record.leg, record]));
}

const READERS = { asterisk: recordsOfAsterisk, freeswitch: recordsOfFreeswitch };

/** The records of the channels that the service asked for, in what this kind of switch has written. `grain`: how much later than written a time may be, in seconds. */
export const recordsOf = (kind, text) => READERS[kind](text);
