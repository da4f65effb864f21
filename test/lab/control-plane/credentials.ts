// All files by which the parts of one control plane know each other, written into its folder.
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createAuthority, createTokenKeys, signClient, signServer } from "./certificates.ts";
import type { Signed, CertificateSubject } from "./certificates.ts";

export type Credentials = {
  /** The folder that the files are in. */
  readonly folder: string;
  /** The CA's certificate, PEM. */
  readonly ca: string;
  /** The admin's client certificate and key, PEM. */
  readonly admin: Signed;
  /** Writes a kubeconfig for one more user, NAME.kubeconfig, and returns its path. `address`: of the API server, where loopback does not reach it. */
  readonly signIn: (file: string, user: CertificateSubject, address?: string) => Promise<string>;
};

const users = [
  { file: "admin", name: "admin", group: "system:masters" },
  { file: "controller-manager", name: "system:kube-controller-manager" },
  { file: "scheduler", name: "system:kube-scheduler" },
] as const;

const base64 = (text: string): string => Buffer.from(text).toString("base64");

/** A kubeconfig (JSON, which is YAML too) with everything inline, so that the file can be copied. */
export function kubeconfigText(url: string, ca: string, client: Signed): string {
  const name = "test-cluster";
  const cluster = { server: url, "certificate-authority-data": base64(ca) };
  const user = { "client-certificate-data": base64(client.certificate), "client-key-data": base64(client.key) };
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    "current-context": name,
    contexts: [{ name, context: { cluster: name, user: name } }],
    clusters: [{ name, cluster }],
    users: [{ name, user }],
  });
}

/**
 * Creates fresh certificates, keys and kubeconfigs for the API server at this URL, which may have further addresses.
 */
export async function writeCredentials(
  folder: string,
  url: string,
  addresses: readonly string[] = [],
): Promise<Credentials> {
  await mkdir(folder, { mode: 0o700 });
  const write = (name: string, content: string): Promise<void> =>
    writeFile(join(folder, name), content, { mode: 0o600 });
  const authority = await createAuthority();
  const server = await signServer(authority, addresses);
  const tokens = await createTokenKeys();
  const clients = await Promise.all(users.map((user) => signClient(authority, user)));
  const toKubelets = await signClient(authority, { name: "kube-apiserver", group: "system:masters" });
  await Promise.all([
    write("ca.crt", authority.certificate),
    write("ca.key", authority.key),
    write("apiserver.crt", server.certificate),
    write("apiserver.key", server.key),
    write("kubelet-client.crt", toKubelets.certificate),
    write("kubelet-client.key", toKubelets.key),
    write("tokens.key", tokens.privateKey),
    write("tokens.pub", tokens.publicKey),
    ...users.map(({ file }, at) =>
      write(`${file}.kubeconfig`, kubeconfigText(url, authority.certificate, clients[at] as Signed)),
    ),
  ]);
  return {
    folder,
    ca: authority.certificate,
    admin: clients[0] as Signed,
    signIn: async (file, user, address = "127.0.0.1") => {
      const client = await signClient(authority, user);
      await write(
        `${file}.kubeconfig`,
        kubeconfigText(url.replace("127.0.0.1", address), authority.certificate, client),
      );
      return join(folder, `${file}.kubeconfig`);
    },
  };
}
