-- A ledger to be rated: :legs ended legs of two minutes each, ten in a conference, spread over a month and a thousand accounts.
-- One leg in twenty came by the national access number, one in a hundred was dialled abroad, the others at home.
INSERT INTO accounts (id, user_number, name, phone, email, language, time_zone, password_hash, created_at)
SELECT md5('account' || number)::uuid, (100000 + number)::text, 'Ana Novak', '+38640123456', 'ana@example.test', 'sl', 'Europe/Ljubljana', '-', '2026-01-01Z'
FROM generate_series(0, 999) AS number;

INSERT INTO conferences (id, account, title, state, started_at, ended_at, settings, created_at)
SELECT md5('conference' || number)::uuid, md5('account' || number % 1000)::uuid, 'Meritev', 'ended', '2026-03-01Z', '2026-03-01Z', '{}', '2026-03-01Z'
FROM generate_series(0, :legs / 10 - 1) AS number;

INSERT INTO participants (id, conference, position, name, phone, convener)
SELECT md5('participant' || number)::uuid, md5('conference' || number)::uuid, 0, 'Ana Novak', '+38640123456', true
FROM generate_series(0, :legs / 10 - 1) AS number;

INSERT INTO legs (id, conference, participant, number, access_number, calling_line, way_of_entry, phase, outcome, evidence,
                  queued_at, answered_at, joined_at, left_at, ended_at)
SELECT md5('leg' || number)::uuid, md5('conference' || number / 10)::uuid, md5('participant' || number / 10)::uuid,
       CASE WHEN number % 100 = 7 THEN '+3859' ELSE (ARRAY['+38630', '+38631', '+38640', '+38641', '+3861'])[1 + number % 5] END || lpad((number % 999999)::text, 6, '0'), CASE WHEN number % 20 = 0 THEN '+38613099396' END,
       CASE WHEN number % 20 = 0 THEN '+38640123456' END, CASE WHEN number % 20 = 0 THEN 'national' ELSE 'web_out' END,
       'ended', 'answered', 'event', start, start, start + interval '3 seconds', start + (60 + number % 120) * interval '1 second',
       start + (60 + number % 120) * interval '1 second'
FROM (SELECT number, timestamptz '2026-03-01Z' + number * (interval '30 days' / :legs) AS start FROM generate_series(0, :legs - 1) AS number) AS numbered;

ANALYZE accounts, conferences, legs;
