import { RegcreddError } from '../errors.ts'
import { isDigest } from '../registry/digest.ts'
import { canonicalHost, looksLikeHost } from '../registry/host.ts'
import { isRepository, isTag } from '../registry/reference.ts'
import type { Pull, PullKind } from './pull.ts'

const ENDPOINTS = /^(.+)\/(manifests|blobs|referrers)\/([^/]+)$/
const TAG_LIST = /^(.+)\/tags\/list$/
const MAX_TARGET_LENGTH = 4096
/** Parameters that the distribution spec gives to lists; everything else is dropped. */
const LIST_PARAMETERS = { tags: ['n', 'last'], referrers: ['artifactType'] } as const

/**
 * Reads a request line into a typed pull, or throws a coded error; pure. The path is read from the right, since a repository
 * may be called `manifests/blobs`. `ns` (containerd) or a first segment that looks like a host (podman, skopeo) names the registry;
 * both are look-up keys only and are never part of a URL.
 * @throws METHOD_UNSUPPORTED, REQUEST_MALFORMED, NAMESPACE_INVALID, NAME_INVALID, TAG_INVALID, DIGEST_INVALID, PATH_UNKNOWN
 */
export function parsePull(method: string | undefined, target: string | undefined, defaultHost: string): Pull {
  if (method !== 'GET' && method !== 'HEAD') throw new RegcreddError('METHOD_UNSUPPORTED')
  const { path, parameters } = splitTarget(target ?? '')
  const ns = namespaceOf(parameters)
  if (path === '/v2' || path === '/v2/') {
    return { method, kind: 'ping', host: ns ?? '', repository: '', reference: '', query: '', named: 'default' }
  }
  if (!path.startsWith('/v2/')) throw new RegcreddError('PATH_UNKNOWN')
  const found = endpointOf(path.slice('/v2/'.length))
  const { host, repository, named } = registryOf(found.name, ns, defaultHost)
  if (!isRepository(repository)) throw new RegcreddError('NAME_INVALID')
  checkReference(found.kind, found.reference)
  return {
    method,
    kind: found.kind,
    host,
    repository,
    reference: found.reference,
    query: listQuery(found.kind, parameters),
    named,
  }
}

function splitTarget(target: string): { path: string; parameters: URLSearchParams } {
  if (target.length > MAX_TARGET_LENGTH) throw new RegcreddError('REQUEST_MALFORMED', 'the request target is too long')
  // Absolute-form targets and `//host` are for forward proxies (RFC 9112 § 3.2.2); node's parser lets them pass.
  if (!target.startsWith('/') || target.startsWith('//'))
    throw new RegcreddError('REQUEST_MALFORMED', 'the request target must be a path')
  const question = target.indexOf('?')
  // Go clients may escape the colon of a digest or port; no other escape is needed in a name, and `%2e%2e` or `%2f` is an attack.
  const path = (question === -1 ? target : target.slice(0, question)).replace(/%3a/gi, ':')
  if (/[^\w./:[\]~+-]/.test(path))
    throw new RegcreddError('REQUEST_MALFORMED', 'the path holds a character that no name has')
  if (path.split('/').some((segment) => segment === '.' || segment === '..')) {
    throw new RegcreddError('REQUEST_MALFORMED', 'the path holds a dot segment')
  }
  return { path, parameters: new URLSearchParams(question === -1 ? '' : target.slice(question + 1)) }
}

function namespaceOf(parameters: URLSearchParams): string | undefined {
  const named = parameters.getAll('ns')
  if (named.length > 1) throw new RegcreddError('NAMESPACE_INVALID', '"ns" is given more than once')
  return named[0] === undefined ? undefined : canonicalHost(named[0])
}

function endpointOf(rest: string): { name: string; kind: PullKind; reference: string } {
  const list = TAG_LIST.exec(rest)
  if (list?.[1] !== undefined) return { name: list[1], kind: 'tags', reference: '' }
  const [, name, endpoint, reference] = ENDPOINTS.exec(rest) ?? []
  if (name === undefined || reference === undefined) throw new RegcreddError('PATH_UNKNOWN')
  const kind = endpoint === 'manifests' ? 'manifest' : endpoint === 'blobs' ? 'blob' : 'referrers'
  return { name, kind, reference }
}

function registryOf(
  name: string,
  ns: string | undefined,
  defaultHost: string,
): Pick<Pull, 'host' | 'repository' | 'named'> {
  if (ns !== undefined) return { host: ns, repository: name, named: 'ns' }
  const slash = name.indexOf('/')
  const first = slash === -1 ? name : name.slice(0, slash)
  // registries.conf cannot hold a colon in a path, so `host:5000` is written `host_5000`.
  const host = first.replace(/_(\d{1,5})$/, ':$1')
  if (slash !== -1 && looksLikeHost(host)) {
    return { host: canonicalHost(host), repository: name.slice(slash + 1), named: 'prefix' }
  }
  return { host: defaultHost, repository: name, named: 'default' }
}

function checkReference(kind: PullKind, reference: string): void {
  if (kind === 'tags') return
  if (kind === 'manifest' && !reference.includes(':')) {
    if (!isTag(reference)) throw new RegcreddError('TAG_INVALID')
    return
  }
  if (!isDigest(reference)) throw new RegcreddError('DIGEST_INVALID')
}

function listQuery(kind: PullKind, parameters: URLSearchParams): string {
  if (kind !== 'tags' && kind !== 'referrers') return ''
  const kept = new URLSearchParams()
  for (const name of LIST_PARAMETERS[kind]) {
    const value = parameters.get(name)
    if (value !== null) kept.set(name, value)
  }
  return kept.toString()
}
