/**
 * The port that a client uses when the URL of a scheme names none: IANA's registry, and each driver's documentation.
 */
const ports = new Map<string, number>([
  ["amqp", 5672],
  ["amqps", 5671],
  ["bolt", 7687],
  ["cassandra", 9042],
  ["db2", 50000],
  ["ftp", 21],
  ["http", 80],
  ["https", 443],
  ["imap", 143],
  ["imaps", 993],
  ["kafka", 9092],
  ["ldap", 389],
  ["ldaps", 636],
  ["mariadb", 3306],
  ["memcached", 11211],
  ["mongodb", 27017],
  ["mqtt", 1883],
  ["mqtts", 8883],
  ["mssql", 1433],
  ["mysql", 3306],
  ["mysqlx", 33060],
  ["nats", 4222],
  ["neo4j", 7687],
  ["oracle", 1521],
  ["postgres", 5432],
  ["postgresql", 5432],
  ["redis", 6379],
  ["redis+sentinel", 26379],
  ["rediss", 6379],
  ["sftp", 22],
  ["smtp", 25],
  ["smtps", 465],
  ["sqlserver", 1433],
  ["ssh", 22],
  ["valkey", 6379],
  ["valkeys", 6379],
  ["ws", 80],
  ["wss", 443],
]);

/** SQLAlchemy names the driver behind a `+` (`postgresql+psycopg2`), which changes no port. */
export const defaultPort = (scheme: string): number | undefined =>
  ports.get(scheme) ?? ports.get(scheme.slice(0, Math.max(0, scheme.indexOf("+"))));
