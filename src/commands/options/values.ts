/**
 * The values of options. Each reader takes a text, or throws the error that commander shows beside the option's name.
 */
import { isIP } from "node:net";
import { InvalidArgumentError } from "commander";

export const number =
  (least: number, most: number) =>
  (text: string): number => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= least && value <= most) return value;
    throw new InvalidArgumentError(`It must be a whole number from ${least} to ${most}.`);
  };

export const namespaceOption = (text: string): string => {
  if (/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(text)) return text;
  throw new InvalidArgumentError("It is not a namespace's name: a-z, 0-9 and -, at most 63.");
};

export const DAY_MS = 86_400_000;
const UNITS: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: DAY_MS };

/** Ten minutes at least: replicas look at their certificates every few seconds, and the next one must have its time. */
export const lifetime = (text: string): number => {
  const [, amount, unit = ""] = /^(\d{1,6})([mhd])$/.exec(text) ?? [];
  const ms = Number(amount) * (UNITS[unit] ?? NaN);
  if (ms >= 10 * 60_000 && ms <= 3650 * DAY_MS) return ms;
  throw new InvalidArgumentError("It must be minutes, hours or days, as in 90d, 12h or 30m; 10m to 3650d.");
};

export const serverNames = (text: string): readonly string[] => {
  const names = text.split(",").map((name) => name.trim().toLowerCase());
  const wrong = names.find((name) => isIP(name) === 0 && !/^(?=.{1,253}$)[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(name));
  if (wrong === undefined) return names;
  throw new InvalidArgumentError(`${JSON.stringify(wrong)} is neither a DNS name nor an IP address.`);
};

/** Names with commas between them. */
export const names = (text: string): readonly string[] => {
  const all = text.split(",").map((name) => name.trim());
  if (!all.includes("")) return all;
  throw new InvalidArgumentError("It must be one name, or some with commas between them.");
};
