CREATE TABLE service_nodes (
    id uuid PRIMARY KEY,
    name text NOT NULL CONSTRAINT service_nodes_name_length CHECK (char_length(name) BETWEEN 1 AND 300),
    started_at timestamptz NOT NULL,
    renewed_at timestamptz NOT NULL
);
COMMENT ON TABLE service_nodes IS 'The processes of the service that share this database; one that has not renewed its row for some seconds counts as dead.';
COMMENT ON COLUMN service_nodes.id IS 'New at each start of a process.';
COMMENT ON COLUMN service_nodes.renewed_at IS 'By the clock of the database, which is the only one that leases are measured with.';

CREATE TABLE switch_leases (
    switch text PRIMARY KEY CONSTRAINT switch_leases_switch_length CHECK (char_length(switch) BETWEEN 1 AND 200),
    owner uuid,
    epoch bigint NOT NULL DEFAULT 0 CONSTRAINT switch_leases_epoch_range CHECK (epoch >= 0),
    taken_at timestamptz,
    ready boolean NOT NULL DEFAULT false,
    room integer NOT NULL DEFAULT 0
);
COMMENT ON TABLE switch_leases IS 'Which process of the service drives a switch.';
COMMENT ON COLUMN switch_leases.owner IS 'A row of service_nodes; nobody when its owner has given it back.';
COMMENT ON COLUMN switch_leases.epoch IS 'Grows with each change of the owner: what an owner of an earlier epoch would still write is refused.';
COMMENT ON COLUMN switch_leases.ready IS 'Its link is up and resynchronised.';
COMMENT ON COLUMN switch_leases.room IS 'How many members more it takes.';

CREATE TABLE crossings (
    id uuid PRIMARY KEY,
    to_node uuid NOT NULL,
    request jsonb NOT NULL,
    asked_at timestamptz NOT NULL,
    taken_at timestamptz,
    answer jsonb
);
CREATE INDEX crossings_to_node_idx ON crossings (to_node) WHERE taken_at IS NULL;
COMMENT ON TABLE crossings IS 'What one process of the service asks of another, for as long as it waits for the answer.';
