CREATE SEQUENCE conference_rooms AS bigint START WITH 100001;
COMMENT ON SEQUENCE conference_rooms IS 'Numbers by which the switch knows conferences; one is never given twice.';

CREATE TABLE conferences (
    id uuid PRIMARY KEY,
    account uuid NOT NULL REFERENCES accounts,
    room bigint NOT NULL DEFAULT nextval('conference_rooms') CONSTRAINT conferences_room_key UNIQUE,
    title text NOT NULL CONSTRAINT conferences_title_length CHECK (char_length(title) <= 200),
    state text NOT NULL CONSTRAINT conferences_state_word
        CHECK (state IN ('planned', 'calling_convener', 'running', 'closing', 'ended', 'failed')),
    reason text CONSTRAINT conferences_reason_length CHECK (char_length(reason) <= 200),
    scheduled_at timestamptz,
    started_at timestamptz,
    running_since timestamptz,
    ended_at timestamptz,
    settings jsonb NOT NULL CONSTRAINT conferences_settings_object CHECK (jsonb_typeof(settings) = 'object'),
    node text CONSTRAINT conferences_node_length CHECK (char_length(node) BETWEEN 1 AND 100),
    created_at timestamptz NOT NULL,
    CONSTRAINT conferences_account_id_key UNIQUE (account, id),
    CONSTRAINT conferences_end_has_time CHECK ((state IN ('ended', 'failed')) = (ended_at IS NOT NULL))
);
ALTER SEQUENCE conference_rooms OWNED BY conferences.room;
CREATE INDEX conferences_open_idx ON conferences (id) WHERE state IN ('calling_convener', 'running', 'closing');
CREATE INDEX conferences_scheduled_idx ON conferences (scheduled_at) WHERE state = 'planned' AND scheduled_at IS NOT NULL;
COMMENT ON TABLE conferences IS 'Meetings: planned, run, ended. While one runs, its row follows its journal.';
COMMENT ON COLUMN conferences.reason IS 'Why it failed or ended, as a word of the API.';
COMMENT ON COLUMN conferences.settings IS 'The settings it was made with.';
COMMENT ON COLUMN conferences.node IS 'The switch on which it runs.';

CREATE TABLE participants (
    id uuid PRIMARY KEY,
    conference uuid NOT NULL REFERENCES conferences ON DELETE CASCADE,
    position integer NOT NULL CONSTRAINT participants_position_range CHECK (position >= 0),
    name text NOT NULL CONSTRAINT participants_name_length CHECK (char_length(name) <= 200),
    phone text NOT NULL CONSTRAINT participants_phone_form CHECK (phone ~ '^\+?[0-9]{2,20}$'),
    email text CONSTRAINT participants_email_length CHECK (char_length(email) BETWEEN 3 AND 254),
    contact uuid,
    convener boolean NOT NULL,
    removed boolean NOT NULL DEFAULT false,
    CONSTRAINT participants_conference_id_key UNIQUE (conference, id)
);
CREATE INDEX participants_conference_idx ON participants (conference, position);
CREATE UNIQUE INDEX participants_convener_key ON participants (conference) WHERE convener;
COMMENT ON TABLE participants IS 'People in a conference, the convener included, as they were called then.';
COMMENT ON COLUMN participants.contact IS 'The contact from which the person was taken. Not a reference: the contact may be deleted, the history stays.';

CREATE TABLE legs (
    id uuid PRIMARY KEY,
    conference uuid NOT NULL REFERENCES conferences ON DELETE CASCADE,
    participant uuid NOT NULL,
    number text NOT NULL CONSTRAINT legs_number_length CHECK (char_length(number) <= 64),
    access_number text CONSTRAINT legs_access_number_length CHECK (char_length(access_number) <= 64),
    calling_line text CONSTRAINT legs_calling_line_length CHECK (char_length(calling_line) <= 64),
    way_of_entry text NOT NULL CONSTRAINT legs_way_of_entry_word
        CHECK (way_of_entry IN ('web_out', 'onnet_short', 'national', 'international')),
    phase text NOT NULL CONSTRAINT legs_phase_form CHECK (phase ~ '^[a-z_]{1,40}$'),
    outcome text CONSTRAINT legs_outcome_word CHECK (outcome IN
        ('answered', 'busy', 'no_answer', 'rejected', 'unreachable', 'invalid_number', 'congested', 'not_accepted', 'cancelled', 'failed')),
    evidence text CONSTRAINT legs_evidence_word CHECK (evidence IN ('event', 'switch_record', 'snapshot', 'proof_of_life')),
    queued_at timestamptz NOT NULL,
    dialled_at timestamptz,
    ringing_at timestamptz,
    early_media boolean NOT NULL DEFAULT false,
    answered_at timestamptz,
    joined_at timestamptz,
    left_at timestamptz,
    ended_at timestamptz,
    q850 integer,
    sip integer,
    CONSTRAINT legs_participant_fkey FOREIGN KEY (conference, participant) REFERENCES participants (conference, id),
    CONSTRAINT legs_end_has_outcome CHECK ((ended_at IS NULL) = (outcome IS NULL)),
    CONSTRAINT legs_end_has_evidence CHECK ((ended_at IS NULL) = (evidence IS NULL))
);
CREATE INDEX legs_participant_idx ON legs (conference, participant);
COMMENT ON TABLE legs IS 'Telephone connections, and the attempts at one. Times are the switch''s.';
COMMENT ON COLUMN legs.number IS 'The number at the other end: dialled by the service, or the line from which the caller came.';
COMMENT ON COLUMN legs.evidence IS 'Where the knowledge of the leg''s end comes from.';
COMMENT ON COLUMN legs.q850 IS 'ITU-T Q.850 cause of the end.';
COMMENT ON COLUMN legs.sip IS 'Final SIP status that the far end sent.';

CREATE TABLE journal (
    conference uuid NOT NULL REFERENCES conferences ON DELETE CASCADE,
    seq bigint NOT NULL CONSTRAINT journal_seq_range CHECK (seq >= 1),
    at timestamptz NOT NULL,
    entry jsonb NOT NULL,
    PRIMARY KEY (conference, seq)
);
COMMENT ON TABLE journal IS 'Every input that changed a conference, in order and without a gap from 1; replaying it gives the conference.';
