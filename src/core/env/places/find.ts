import { adoPlaces, descriptorPlaces } from "./keyvalue.ts";
import { libpqPlaces } from "./libpq.ts";
import { listPlaces } from "./list.ts";
import { byDefault, elsewhere, type Place, readAddress, written } from "./place.ts";
import { jdbcPlaces, urlPlaces } from "./url.ts";

/** The MySQL driver of Go: `user:password@tcp(host:port)/db`. */
const goMysqlPlaces = (text: string): Place[] => {
  const start = text.lastIndexOf("tcp(") + 4;
  const close = text.indexOf(")", start);
  const found = close < 0 ? undefined : readAddress(text, { start, end: close });
  if (found === undefined) return [];
  return [
    { host: found.host, slot: found.port === undefined ? byDefault(3306, found.host.end, ":") : written(found.port) },
  ];
};

/** Most values that hold a target are its host and nothing else. */
const ALONE = /^[A-Za-z0-9.-]+$/;

/** Where clients read hosts in a string. The first family that the string's shape fits decides; no family: a list of hosts. */
export const findPlaces = (text: string): Place[] => {
  if (ALONE.test(text)) return [{ host: { start: 0, end: text.length }, slot: elsewhere }];
  const begin = text.slice(0, 64).trimStart();
  if (/^(jdbc|r2dbc):/i.test(begin)) return jdbcPlaces(text);
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(begin)) return urlPlaces(text);
  if (begin.startsWith("(")) return descriptorPlaces(text, { start: 0, end: text.length });
  if (/(^|@)tcp\(/.test(text)) return goMysqlPlaces(text);
  const equals = text.indexOf("=");
  if (equals < 0 || text.slice(0, equals).includes(",")) return listPlaces(text);
  return libpqPlaces(text) ?? adoPlaces(text);
};
