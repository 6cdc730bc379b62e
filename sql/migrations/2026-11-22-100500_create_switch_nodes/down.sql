DROP TABLE switch_nodes;
