/** Listens on `host`, and on all of IPv4 instead of all of IPv6 (which takes both) where the machine has no IPv6, as Go does. */
export const listenOn = async <T>(host: string, listen: (host: string) => Promise<T>): Promise<T> => {
  try {
    return await listen(host);
  } catch (error) {
    if (host !== "::" || (error as NodeJS.ErrnoException).code !== "EAFNOSUPPORT") throw error;
    return await listen("0.0.0.0");
  }
};
