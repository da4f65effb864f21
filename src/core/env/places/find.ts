import { adoPlaces, descriptorPlaces } from "./keyvalue.ts";
import { libpqPlaces } from "./libpq.ts";
import { listPlaces } from "./list.ts";
import { byDefault, elsewhere, type Places, readAddress, written } from "./place.ts";
import { jdbcPlaces, urlPlaces } from "./url.ts";

/** The MySQL driver of Go: `user:password@tcp(host:port)/db`. */
const goMysqlPlaces = (text: string): Places => {
  const start = text.lastIndexOf("tcp(") + 4;
  const close = text.indexOf(")", start);
  const found = close < 0 ? undefined : readAddress(text, { start, end: close });
  if (found === undefined) return { places: [], guards: [] };
  const place = { host: found.host, slot: found.port === undefined ? byDefault(3306) : written(found.port) };
  return {
    places: [place],
    guards: [
      { start: 0, end: start, kind: "secret" },
      { start: close, end: text.length, kind: "tail" },
    ],
  };
};

/** Most values that hold a target are its host and nothing else. */
const ALONE = /^[A-Za-z0-9.-]+$/;

/**
 * Where clients read hosts in a string. The first family that the string's shape fits decides; no family: a list of
 * hosts.
 */
export const findPlaces = (text: string): Places => {
  if (ALONE.test(text)) return { places: [{ host: { start: 0, end: text.length }, slot: elsewhere }], guards: [] };
  const begin = text.slice(0, 64).trimStart();
  if (/^(jdbc|r2dbc):/i.test(begin)) return jdbcPlaces(text);
  if (/^[a-z][a-z0-9+._-]*:\/\//i.test(begin)) return urlPlaces(text);
  if (begin.startsWith("(")) return { places: descriptorPlaces(text, { start: 0, end: text.length }), guards: [] };
  if (/(^|@)tcp\(/.test(text)) return goMysqlPlaces(text);
  const equals = text.indexOf("=");
  if (equals < 0 || text.slice(0, equals).includes(",")) return listPlaces(text);
  return libpqPlaces(text) ?? adoPlaces(text);
};
