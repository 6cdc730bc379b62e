CREATE TABLE plans (
    id uuid PRIMARY KEY,
    account uuid NOT NULL REFERENCES accounts ON DELETE CASCADE,
    title text NOT NULL CONSTRAINT plans_title_length CHECK (char_length(title) BETWEEN 1 AND 200),
    agenda text NOT NULL CONSTRAINT plans_agenda_length CHECK (char_length(agenda) <= 2000),
    schedule jsonb NOT NULL CONSTRAINT plans_schedule_object CHECK (jsonb_typeof(schedule) = 'object'),
    start_mode text NOT NULL CONSTRAINT plans_start_mode_word CHECK (start_mode IN ('call_convener', 'wait')),
    channels text[] NOT NULL CONSTRAINT plans_channels_words CHECK (channels <@ ARRAY['sms', 'email']),
    reminders integer[] NOT NULL CONSTRAINT plans_reminders_count CHECK (cardinality(reminders) <= 5),
    sequence integer NOT NULL DEFAULT 0 CONSTRAINT plans_sequence_range CHECK (sequence >= 0),
    left_out jsonb NOT NULL DEFAULT '[]' CONSTRAINT plans_left_out_array CHECK (jsonb_typeof(left_out) = 'array'),
    created_at timestamptz NOT NULL,
    cancelled_at timestamptz,
    CONSTRAINT plans_account_id_key UNIQUE (account, id)
);
COMMENT ON TABLE plans IS 'What a convener has planned: one conference, or a series of them.';
COMMENT ON COLUMN plans.schedule IS 'First start in wall-clock time, time zone, length and repetition.';
COMMENT ON COLUMN plans.reminders IS 'Minutes before the start.';
COMMENT ON COLUMN plans.sequence IS 'Counts the changes that invitations tell of (iCalendar SEQUENCE).';
COMMENT ON COLUMN plans.left_out IS 'The wall-clock starts of the series that were cancelled one by one.';

ALTER TABLE conferences ADD COLUMN plan uuid;
ALTER TABLE conferences ADD COLUMN plan_start text CONSTRAINT conferences_plan_start_length CHECK (char_length(plan_start) <= 40);
ALTER TABLE conferences ADD COLUMN plan_index integer CONSTRAINT conferences_plan_index_range CHECK (plan_index >= 0);
ALTER TABLE conferences ADD COLUMN length_minutes integer CONSTRAINT conferences_length_minutes_range CHECK (length_minutes BETWEEN 5 AND 1440);
ALTER TABLE conferences ADD CONSTRAINT conferences_plan_fkey FOREIGN KEY (account, plan) REFERENCES plans (account, id);
CREATE INDEX conferences_plan_idx ON conferences (plan, plan_index) WHERE plan IS NOT NULL;
COMMENT ON COLUMN conferences.plan IS 'The plan to which it belongs.';
COMMENT ON COLUMN conferences.plan_start IS 'The wall-clock start that the series gives it, though it may have been moved (iCalendar RECURRENCE-ID).';
COMMENT ON COLUMN conferences.plan_index IS 'Which of the series it is, from 0.';

ALTER TABLE messages ADD COLUMN plan uuid;
ALTER TABLE messages ADD CONSTRAINT messages_plan_fkey FOREIGN KEY (account, plan) REFERENCES plans (account, id) ON DELETE CASCADE;
CREATE INDEX messages_plan_idx ON messages (account, plan, created_at) WHERE plan IS NOT NULL;

CREATE TABLE plan_reminders (
    conference uuid NOT NULL REFERENCES conferences ON DELETE CASCADE,
    minutes_before integer NOT NULL,
    done_at timestamptz NOT NULL,
    PRIMARY KEY (conference, minutes_before)
);
COMMENT ON TABLE plan_reminders IS 'Reminders that were sent: each once, whichever node of the service is first.';
