/** FNV-1a (32 bits) of a text's first `most` characters. It keeps texts apart, and protects nothing. */
export const fnv1a = (text: string, most = text.length): number => {
  const end = Math.min(most, text.length);
  let hash = 0x811c9dc5;
  for (let at = 0; at < end; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return hash >>> 0;
};
