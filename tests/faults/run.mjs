// The fault harness: make faults. It holds conferences while it kills, stops and cuts, and has an auditor compare what phones, switch and service say of them.
//
//   SEED=word   decides everything (default: a new one, which is printed)     RUNS=n   how many runs (default 25: each kind once)
//   KINDS=a,b   only faults whose name holds one of these words               PBX=asterisk|freeswitch|simulator (default asterisk)
//   CONFERENCES=n   conferences at once in each run, 1 to 9 (default 5)       FIRST=n  the number of the first run, to play one again
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { openCampaign, playRun, settle } from './campaign.mjs';
import { KINDS, SWITCHES, kindsOf } from './plan.mjs';
import { writeResults } from './results.mjs';

const environment = (name, fallback) => process.env[name] || fallback;
const seed = environment('SEED', randomBytes(4).toString('hex'));
const runs = Number(environment('RUNS', '25'));
const first = Number(environment('FIRST', '0'));
const pbx = environment('PBX', 'asterisk');
const conferences = Math.min(9, Math.max(1, Number(environment('CONFERENCES', '5'))));
const only = environment('KINDS', '').split(',').map((word) => word.trim()).filter(Boolean);

if (!SWITCHES.includes(pbx)) throw new Error(`PBX=${pbx}: one of ${SWITCHES.join(', ')}`);
const kinds = kindsOf({ seed, runs: first + runs, pbx, only });
console.log(`seed ${seed}: ${runs} runs of ${conferences} conferences on the ${pbx}; ${only.length > 0 ? kinds.slice(first).join(', ') : `${Object.keys(KINDS).length} kinds of faults`}`);

const campaign = await openCampaign({ pbx, conferences, seconds: runs * 240 + 600, logDisk: kinds.slice(first).includes('no room for the database log') });
let stopped = false;
process.once('SIGINT', () => (stopped = true));
process.once('SIGTERM', () => (stopped = true));
let failed = 0;
const say = ({ findings }) => {
  for (const finding of findings) console.log(`      ${finding.check}: ${finding.words}`);
  failed += findings.length;
};
try {
  for (let run = first; run < first + runs && !stopped; run += 1) {
    const result = await playRun(campaign, { seed, run, kind: kinds[run], conferences });
    console.log(`${result.findings.length === 0 ? 'ok    ' : 'FAILED'} ${run} ${result.kind}: ${result.conferences} conferences, ${result.legs} legs, ${result.seconds} s`);
    say(result);
  }
  const result = await settle(campaign);
  console.log(`${result.owed} reports are owed, ${result.repeated} mails or messages came again under their own identifier`);
  say(result);
} finally {
  await campaign.close();
}
writeResults([campaign.results], join(import.meta.dirname, 'RESULTS.md'));
console.log(`${failed === 0 ? 'Nothing was lost.' : `${failed} findings.`} Details: ${campaign.folder}`);
process.exitCode = failed === 0 ? 0 : 1;
