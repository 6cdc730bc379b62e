CREATE TABLE switch_nodes (
    name text PRIMARY KEY CONSTRAINT switch_nodes_name_length CHECK (char_length(name) BETWEEN 1 AND 100),
    booted_at timestamptz,
    last_heard_at timestamptz NOT NULL
);
COMMENT ON TABLE switch_nodes IS 'Proof of life of the switches: when each was started and last heard.';
