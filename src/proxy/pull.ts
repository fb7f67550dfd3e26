/** What a request asks for. `ping` is `/v2/` itself; `tags` and `referrers` are lists. */
export type PullKind = 'ping' | 'manifest' | 'blob' | 'tags' | 'referrers'

/** One well-formed pull request, read from the caller's bytes; every part has passed its grammar. */
export type Pull = {
  method: 'GET' | 'HEAD'
  kind: PullKind
  /** Canonical host of the registry; `''` for a ping that names none. */
  host: string
  repository: string
  /** A tag or digest of a manifest, a digest of a blob or of a subject; `''` otherwise. */
  reference: string
  /** The query that goes upstream, without `?`; built anew from known parameters, never the caller's bytes. */
  query: string
  /** How the caller named the registry, so that links can be written in the same way. */
  named: 'ns' | 'prefix' | 'default'
}

/** Path and query at the registry. */
export function upstreamPath(pull: Pull): string {
  const query = pull.query === '' ? '' : `?${pull.query}`
  switch (pull.kind) {
    case 'ping':
      return '/v2/'
    case 'manifest':
      return `/v2/${pull.repository}/manifests/${pull.reference}`
    case 'blob':
      return `/v2/${pull.repository}/blobs/${pull.reference}`
    case 'tags':
      return `/v2/${pull.repository}/tags/list${query}`
    case 'referrers':
      return `/v2/${pull.repository}/referrers/${pull.reference}${query}`
  }
}
