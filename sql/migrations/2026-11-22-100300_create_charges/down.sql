DROP TABLE charges;
DROP TABLE tariff_rates;
DROP TABLE tariffs;
