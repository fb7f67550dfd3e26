import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'

/**
 * A registry of our own, small and by the spec (pull side), on a real socket. It stands in for a real one where a test needs
 * what a real one cannot be made to do: hostile challenges, redirects, cut bodies, a password changed in mid-pull without a restart.
 */
export type FakeRegistry = {
  origin: URL
  port: number
  /** Every request that arrived, in order, the token endpoint's included. */
  requests: { method: string; url: string; headers: IncomingMessage['headers'] }[]
  setPassword(password: string): void
  /** Runs before the registry's own answer; `true` if it has answered. */
  script: ((request: IncomingMessage, response: ServerResponse) => boolean | Promise<boolean>) | undefined
  addBlob(content: Buffer): string
  addManifest(repository: string, tag: string, manifest: object, mediaType?: string): string
  /** Requests that were not for the token endpoint. */
  pulls(): string[]
  openConnections(): Promise<number>
  close(): Promise<void>
}

export type FakeRegistryOptions = {
  auth: 'none' | 'basic' | 'bearer'
  username?: string
  password?: string
  tls?: { key: string; cert: string }
  port?: number
  /** Origin of the token endpoint, where it is another registry's; default: this registry. */
  realmOrigin?: string
}

const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json'

export async function startFakeRegistry(options: FakeRegistryOptions): Promise<FakeRegistry> {
  const username = options.username ?? 'ci'
  let password = options.password ?? 'the-password'
  const blobs = new Map<string, Buffer>()
  const manifests = new Map<string, { content: Buffer; mediaType: string; digest: string }>()
  const tokens = new Map<string, string>()
  const requests: FakeRegistry['requests'] = []

  const handle = async (request: IncomingMessage, response: ServerResponse) => {
    requests.push({ method: request.method ?? '', url: request.url ?? '', headers: request.headers })
    if (registry.script !== undefined && (await registry.script(request, response))) return
    const url = new URL(request.url ?? '', registry.origin)
    if (url.pathname === '/token') return giveToken(url, request, response)
    const repository = /^\/v2\/(.+)\/(?:manifests|blobs|tags|referrers)\//.exec(url.pathname)?.[1] ?? ''
    if (!isAuthorized(request, repository)) return challenge(repository, response)
    if (url.pathname === '/v2/') return send(response, 200, 'application/json', Buffer.from('{}'), undefined, request)
    const [, , kind, reference] = /^\/v2\/(.+)\/(manifests|blobs|tags)\/([^/]+)$/.exec(url.pathname) ?? []
    if (kind === 'tags') {
      const tags = [...manifests.keys()].flatMap((key) =>
        key.startsWith(`${repository}:`) ? key.slice(repository.length + 1) : [],
      )
      const named = tags.filter((tag) => !tag.includes(':')).sort()
      const last = url.searchParams.get('last') ?? ''
      const size = Number(url.searchParams.get('n') ?? named.length)
      const after = named.filter((tag) => tag > last)
      const page = after.slice(0, size)
      // distribution-spec § Listing Tags: a relative link, without anything that its reader added to the query.
      if (after.length > page.length)
        response.setHeader('link', `</v2/${repository}/tags/list?n=${size}&last=${page.at(-1)}>; rel="next"`)
      const content = Buffer.from(JSON.stringify({ name: repository, tags: page }))
      return send(response, 200, 'application/json', content, undefined, request)
    }
    const manifest = kind === 'manifests' ? manifests.get(`${repository}:${reference}`) : undefined
    const blob = kind === 'blobs' && reference !== undefined ? blobs.get(reference) : undefined
    if (manifest !== undefined)
      return send(response, 200, manifest.mediaType, manifest.content, manifest.digest, request)
    if (blob !== undefined) return send(response, 200, 'application/octet-stream', blob, reference, request)
    const missing = JSON.stringify({
      errors: [{ code: kind === 'blobs' ? 'BLOB_UNKNOWN' : 'MANIFEST_UNKNOWN', message: 'unknown' }],
    })
    return send(response, 404, 'application/json', Buffer.from(missing), undefined, request)
  }

  const basicIsRight = (request: IncomingMessage) =>
    request.headers.authorization === `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`

  function isAuthorized(request: IncomingMessage, repository: string): boolean {
    if (options.auth === 'none') return true
    if (options.auth === 'basic') return basicIsRight(request)
    const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1]
    const scope = token === undefined ? undefined : tokens.get(token)
    return scope !== undefined && (repository === '' || scope === `repository:${repository}:pull`)
  }

  function challenge(repository: string, response: ServerResponse): void {
    const realm = `${options.realmOrigin ?? registry.origin.origin}/token`
    const scope = repository === '' ? '' : `,scope="repository:${repository}:pull"`
    const value = options.auth === 'basic' ? 'Basic realm="fake"' : `Bearer realm="${realm}",service="fake"${scope}`
    const body = JSON.stringify({ errors: [{ code: 'UNAUTHORIZED', message: 'authentication required' }] })
    response
      .writeHead(401, { 'www-authenticate': value, 'content-type': 'application/json', 'content-length': body.length })
      .end(body)
  }

  function giveToken(url: URL, request: IncomingMessage, response: ServerResponse): void {
    if (!basicIsRight(request)) {
      response.writeHead(401, { 'content-type': 'application/json' }).end('{"errors":[{"code":"UNAUTHORIZED"}]}')
      return
    }
    const token = createHash('sha256').update(`${Math.random()}`).digest('hex')
    tokens.set(token, url.searchParams.get('scope') ?? '')
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ token, expires_in: 300 }))
  }

  const server: Server = options.tls === undefined ? createServer(handle) : createTlsServer(options.tls, handle)
  await new Promise<void>((resolve) => server.listen(options.port ?? 0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const registry: FakeRegistry = {
    origin: new URL(`${options.tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}`),
    port,
    requests,
    script: undefined,
    setPassword: (next) => {
      password = next
      tokens.clear()
    },
    addBlob: (content) => {
      const digest = digestOf(content)
      blobs.set(digest, content)
      return digest
    },
    addManifest: (repository, tag, manifest, mediaType = OCI_MANIFEST) => {
      const content = Buffer.from(JSON.stringify(manifest))
      const entry = { content, mediaType, digest: digestOf(content) }
      manifests.set(`${repository}:${tag}`, entry)
      manifests.set(`${repository}:${entry.digest}`, entry)
      return entry.digest
    },
    pulls: () => requests.filter(({ url }) => !url.startsWith('/token')).map(({ method, url }) => `${method} ${url}`),
    openConnections: () =>
      new Promise((resolve, reject) =>
        server.getConnections((error, count) => (error ? reject(error) : resolve(count))),
      ),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
  return registry
}

export function digestOf(content: Buffer): string {
  return `sha256:${createHash('sha256').update(content).digest('hex')}`
}

function send(
  response: ServerResponse,
  status: number,
  type: string,
  content: Buffer,
  digest: string | undefined,
  request: IncomingMessage,
): void {
  const headers: Record<string, string | number> = { 'content-type': type, 'accept-ranges': 'bytes' }
  if (digest !== undefined) Object.assign(headers, { 'docker-content-digest': digest, etag: `"${digest}"` })
  const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? []
  if (status === 200 && from !== undefined) {
    const start = Number(from)
    const end = to === '' || to === undefined ? content.length - 1 : Math.min(Number(to), content.length - 1)
    headers['content-range'] = `bytes ${start}-${end}/${content.length}`
    headers['content-length'] = end - start + 1
    response.writeHead(206, headers).end(request.method === 'HEAD' ? undefined : content.subarray(start, end + 1))
    return
  }
  headers['content-length'] = content.length
  response.writeHead(status, headers).end(request.method === 'HEAD' ? undefined : content)
}
