// Writes the table of a campaign: node tests/faults/results.mjs FILE... takes the results of several lanes together.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const CHECKS = ['conference stuck', 'leg missing', 'double charge', 'charge missing', 'charge past the end', 'end too early', 'wrong sum', 'left alone'];
const SETTLED = ['report missing', 'report double', 'message missing', 'message double'];
const CAMPAIGN = ['<!-- campaign: written by make faults -->', '<!-- end of campaign -->'];
const SOAK = ['<!-- long run: written by make soak -->', '<!-- end of long run -->'];

function table(files) {
  const lines = files.flatMap((file) => readFileSync(file, 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line)));
  const runs = lines.filter((line) => !line.settled);
  const settled = lines.filter((line) => line.settled);
  const kinds = [...new Set(runs.map((run) => run.kind))].sort();
  const number = (value, digits) => value.toFixed(digits).replace(/^-(0[.]?0*)$/, '$1');
  const euro = (money) => number(money / 10_000, 4);
  const rows = kinds.map((kind) => {
    const of = runs.filter((run) => run.kind === kind);
    const sum = (pick) => of.reduce((total, run) => total + pick(run), 0);
    const ends = of.flatMap((run) => run.differences.filter((one) => one.evidence));
    const seen = (evidence) => ends.filter((one) => one.evidence === evidence).length;
    const offs = ends.map((one) => one.seconds);
    const counts = CHECKS.map((check) => sum((run) => run.findings.filter((finding) => finding.check === check).length));
    const evidence = ['event', 'switch_record', 'snapshot', 'proof_of_life'].map(seen).join(' / ');
    return `| ${kind} | ${of.length} | ${sum((run) => run.conferences)} | ${sum((run) => run.legs)} | ${ends.length} | ${evidence} | ${ends.length ? `${number(Math.min(...offs), 1)} … ${number(Math.max(...offs), 1)}` : '–'} | ${ends.length ? euro(ends.reduce((total, one) => total + one.money, 0)) : '–'} | ${counts.join(' | ')} |`;
  });
  const failed = [...runs.flatMap((run) => run.findings.map((finding) => `- Seed \`${run.seed}\`, run ${run.run} (${run.pbx}, ${run.kind}): ${finding.check}: ${finding.words}.`)),
    ...settled.flatMap((one) => one.findings.map((finding) => `- ${one.pbx}, run ${finding.run}: ${finding.check}: ${finding.words}.`))];
  const seeds = [...new Set(runs.map((run) => `\`${run.seed}\` (${run.pbx})`))];
  const days = [...new Set(runs.map((run) => run.date.slice(0, 10)))].sort();
  const total = (pick) => runs.reduce((sum, run) => sum + pick(run), 0);
  return [
    `${runs.length} runs with ${total((run) => run.conferences)} conferences and ${total((run) => run.legs)} legs, ${days[0]}${days.length > 1 ? ` to ${days.at(-1)}` : ''}, seeds ${seeds.join(', ')}.`,
    '',
    `| fault | runs | conferences | legs | answered, seen by a phone | ends by event / switch_record / snapshot / proof_of_life | end, Sklic minus phone, s | charged minus due by the phone, EUR | ${CHECKS.join(' | ')} |`,
    `|---|${'---:|'.repeat(4)}---|---:|---:|${CHECKS.map(() => '---:|').join('')}`,
    ...rows,
    '',
    `Of ${settled.reduce((sum, one) => sum + one.owed, 0)} reports: ${SETTLED.map((check) => `${settled.reduce((sum, one) => sum + one.findings.filter((finding) => finding.check === check).length, 0)} ${check}`).join(', ')}; `
      + `${settled.reduce((sum, one) => sum + one.repeated, 0)} mails or short messages came again under their own identifier, after a lost answer.`,
    '',
    failed.length === 0 ? 'Nothing failed.' : `What failed:\n\n${failed.join('\n')}`,
  ].join('\n');
}

/** What the long run has seen, in words. */
function soak({ samples, after, erasing, problems, date }) {
  const last = samples.at(-1);
  const tables = Object.keys(last.counts).filter((table) => last.counts[table] > samples[0].counts[table]);
  return [
    `${last.held} conferences of three people on the simulated switch, ${date.slice(0, 10)}; each line is taken when all of them are over.`,
    '',
    '| conferences held | memory, KiB | threads | descriptors | database connections | metrics, bytes | conferences and legs left |',
    '|---:|---:|---:|---:|---:|---:|---:|',
    ...samples.map((one) => `| ${one.held} | ${one.rss} | ${one.threads} | ${one.descriptors} | ${one.connections} | ${one.metrics} | ${one.conferences + one.legs} |`),
    '',
    `Rows for each conference: ${tables.map((table) => `${table} ${((last.counts[table] - samples[0].counts[table]) / last.held).toFixed(1)}`).join(', ')}; the other tables do not grow.`,
    `As if 40 days had passed, with 30 days of retention: all was erased in ${erasing} s; left are ${Object.entries(after).filter(([table, count]) => count > 0 && tables.includes(table)).map(([table, count]) => `${count} rows of ${table}`).join(', ')}.`,
    '',
    problems.length === 0 ? 'Nothing grew without bound.' : `What grew:\n\n${problems.map((problem) => `- ${problem}`).join('\n')}`,
  ].join('\n');
}

function put(page, [begin, end], words) {
  const text = readFileSync(page, 'utf8');
  const [before, after] = [text.indexOf(begin), text.indexOf(end)];
  if (before < 0 || after < 0) throw new Error(`${page} has no place for the table: ${begin} … ${end}`);
  writeFileSync(page, `${text.slice(0, before)}${begin}\n\n${words}\n\n${text.slice(after)}`);
}

/** Puts the table of these results into the page, in the place of the one before. */
export function writeResults(files, page) {
  put(page, CAMPAIGN, table(files));
}

/** Puts what the long run has seen into the page. */
export function writeSoak(seen, page) {
  put(page, SOAK, soak(seen));
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) writeResults(process.argv.slice(2), join(import.meta.dirname, 'RESULTS.md'));
