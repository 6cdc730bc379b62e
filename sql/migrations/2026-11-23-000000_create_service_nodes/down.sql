DROP TABLE crossings;
DROP TABLE switch_leases;
DROP TABLE service_nodes;
