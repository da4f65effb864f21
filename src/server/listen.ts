/** Listens on `host`. `::` takes IPv4 and IPv6; on a machine without IPv6 it becomes `0.0.0.0`, as in Go. */
export const listenOn = async <T>(host: string, listen: (host: string) => Promise<T>): Promise<T> => {
  try {
    return await listen(host);
  } catch (error) {
    if (host !== "::" || (error as NodeJS.ErrnoException).code !== "EAFNOSUPPORT") throw error;
    return await listen("0.0.0.0");
  }
};
