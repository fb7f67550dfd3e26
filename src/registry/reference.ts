import { isIPv6 } from 'node:net'
import { RegcreddError } from '../errors.ts'
import { isDigest } from './digest.ts'

/** An image reference, taken apart. `host` stands as it was written, except that the Hub is `docker.io`. */
export type Reference = { host: string; repository: string; tag: string | undefined; digest: string | undefined }

/** distribution/reference: the limit of the path, without the domain. */
const MAX_REPOSITORY_LENGTH = 255
const REPOSITORY = /^[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*$/
const TAG = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/
const DOMAIN_LABEL = /^[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?$/
/** 64 hex characters alone are an image id, not a name (distribution/reference: anchoredIdentifierRegexp). */
const IDENTIFIER = /^[0-9a-f]{64}$/
/** More than any valid reference has: domain, path, tag and digest at their limits. */
const MAX_LENGTH = 1024

/** Whether the text is a repository name (distribution-spec § Pulling manifests): lower-case segments, at most 255 characters. */
export function isRepository(text: string): boolean {
  return text.length <= MAX_REPOSITORY_LENGTH && REPOSITORY.test(text)
}

/** Whether the text is a tag (distribution-spec § Pulling manifests). */
export function isTag(text: string): boolean {
  return TAG.test(text)
}

/**
 * Reads an image reference by the rules of distribution/reference (`nginx` is docker.io/library/nginx:latest). With a digest
 * and no tag, `tag` is undefined; with both, the digest is what counts.
 * Throws NAMESPACE_INVALID, NAME_INVALID, TAG_INVALID or DIGEST_INVALID.
 */
export function parseReference(text: string): Reference {
  if (text.length > MAX_LENGTH) throw new RegcreddError('NAME_INVALID', 'the reference is too long')
  if (IDENTIFIER.test(text))
    throw new RegcreddError('NAME_INVALID', '64 hexadecimal digits are an image id, not a name')
  const { host, remainder } = splitDomain(text)
  const at = remainder.indexOf('@')
  const digest = at === -1 ? undefined : remainder.slice(at + 1)
  const named = at === -1 ? remainder : remainder.slice(0, at)
  const colon = named.indexOf(':')
  const tag = colon === -1 ? undefined : named.slice(colon + 1)
  const path = colon === -1 ? named : named.slice(0, colon)
  const repository = host === 'docker.io' && !path.includes('/') ? `library/${path}` : path

  if (!isRepository(path)) throw new RegcreddError('NAME_INVALID')
  if (tag !== undefined && !isTag(tag)) throw new RegcreddError('TAG_INVALID')
  if (digest !== undefined && !isDigest(digest)) throw new RegcreddError('DIGEST_INVALID')
  return { host, repository, tag: tag ?? (digest === undefined ? 'latest' : undefined), digest }
}

function splitDomain(text: string): { host: string; remainder: string } {
  const slash = text.indexOf('/')
  const first = text.slice(0, Math.max(slash, 0))
  const isDomain = first === 'localhost' || /[.:A-Z]/.test(first)
  if (!isDomain) return { host: 'docker.io', remainder: text }
  if (!isDomainOfGrammar(first)) throw new RegcreddError('NAMESPACE_INVALID')
  return { host: first === 'index.docker.io' ? 'docker.io' : first, remainder: text.slice(slash + 1) }
}

function isDomainOfGrammar(text: string): boolean {
  const [, bracketed, name, port] = /^(?:\[([0-9A-Fa-f:]+)\]|([^:[\]]+))(?::([0-9]+))?$/.exec(text) ?? []
  if (port !== undefined && !(Number(port) >= 1 && Number(port) <= 65_535)) return false
  if (bracketed !== undefined) return isIPv6(bracketed)
  return name?.split('.').every((label) => DOMAIN_LABEL.test(label)) ?? false
}
