import { ClusterError, type Metadata } from "./cluster.ts";

/** The media type of a list of metadata alone. */
export const METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

/** Pods on a page: some 2 MB of metadata. */
const PAGE = "500";
const HAS_NOT_ENDED = "status.phase!=Succeeded,status.phase!=Failed";

type Page = {
  readonly items: readonly { readonly metadata: Metadata }[] | null;
  readonly metadata?: { readonly continue?: string };
};

/**
 * The metadata of live pods, page after page of one listing. A listing that grew too old to be continued (410 Expired)
 * begins anew. `ask`: asks the API server for a page.
 */
export async function* livePods(
  labelSelector: string,
  ask: (query: URLSearchParams) => Promise<unknown>,
): AsyncGenerator<Metadata> {
  const all = { labelSelector, fieldSelector: HAS_NOT_ENDED, limit: PAGE };
  for (let token = "", isOver = false; !isOver;) {
    try {
      const page = (await ask(new URLSearchParams({ ...all, ...(token !== "" && { continue: token }) }))) as Page;
      for (const { metadata } of page.items ?? []) yield metadata;
      token = page.metadata?.continue ?? "";
      isOver = token === "";
    } catch (error) {
      const isExpired = token !== "" && error instanceof ClusterError && error.code === 410;
      if (!isExpired) throw error;
      token = "";
    }
  }
}
