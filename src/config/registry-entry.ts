import type { z } from 'zod'
import { RegcreddError } from '../errors.ts'
import { apiOrigin, canonicalName } from '../registry/host.ts'
import { originOf, parseOrigin } from '../registry/origin.ts'
import { isRepository } from '../registry/reference.ts'
import { matchesPattern } from '../registry/repository-pattern.ts'
import { isCidr, isLocalLiteral } from './address.ts'
import { resolveClientCertificate } from './client-certificate.ts'
import type { ListedRegistry } from './config.ts'
import { type ReadFile, readCertificates } from './files.ts'
import { DNS_NAME } from './names.ts'
import type { Report } from './problem.ts'
import type { registryEntry } from './registry-section.ts'
import { resolveRotation } from './rotation-section.ts'

export type RegistryEntry = z.output<typeof registryEntry>

const PATTERN = /^[a-z0-9*][a-z0-9._*-]*(?:\/[a-z0-9*][a-z0-9._*-]*)*$/

/** Checks one entry of `registries` and makes it canonical; `at` is its path. `undefined` where its name or upstream is bad; whatever is wrong is reported. */
export function resolveRegistry(
  entry: RegistryEntry,
  at: string,
  readFile: ReadFile,
  report: Report,
): ListedRegistry | undefined {
  const name = resolveName(entry.host, `${at}.host`, report)
  const upstream = resolveUpstream(entry.upstream, name?.host, `${at}.upstream`, report)
  const isPlain = upstream?.protocol === 'http:'
  const realms = entry.realms.flatMap((text, index) => resolveRealm(text, isPlain, `${at}.realms[${index}]`, report))
  const ca = entry.caFile === undefined ? undefined : readCertificates(entry.caFile, `${at}.caFile`, readFile, report)
  const clientCertificate = resolveClientCertificate(entry, at, readFile, report)
  checkTls(entry, isPlain, at, report)
  checkRepositories(entry, name?.path ?? '', at, report)
  for (const [index, range] of entry.allowAddresses.entries()) {
    if (isCidr(range)) continue
    report(
      `${at}.allowAddresses[${index}]`,
      'is no address range',
      'such as 10.20.0.0/16, with zeroes after the prefix',
    )
  }
  if (name === undefined || upstream === undefined) return undefined
  const { serverName, caFile, repositories, allowAddresses, credential, callers, fallback, redirects, canary, limits } =
    entry
  const trust = { serverName, ca, caFile, clientCertificate }
  const rotation = resolveRotation(entry.rotation, `${at}.rotation`, report)
  const rules = {
    repositories,
    realms,
    allowAddresses,
    credential,
    callers,
    fallback,
    redirects,
    canary,
    limits,
    rotation,
  }
  return { ...name, upstream, ...trust, ...rules }
}

/** `canonicalName`, with what is wrong reported. */
export function resolveName(text: string, at: string, report: Report): ReturnType<typeof canonicalName> | undefined {
  try {
    return canonicalName(text)
  } catch (thrown) {
    if (!(thrown instanceof RegcreddError)) throw thrown
    const hint = text.includes('://') ? 'without https://' : thrown.detail
    report(at, 'must be `host[:port]` or `host[:port]/path`', hint)
    return undefined
  }
}

function resolveUpstream(
  text: string | undefined,
  host: string | undefined,
  at: string,
  report: Report,
): URL | undefined {
  if (text === undefined) return host === undefined ? undefined : new URL(apiOrigin(host))
  const url = originFrom(text, at, report)
  if (url?.protocol !== 'http:' || isLocalLiteral(url.hostname)) return url
  report(at, 'must be https://', 'http:// is for loopback and private addresses, written as numbers')
  return undefined
}

function resolveRealm(text: string, isPlainUpstream: boolean, at: string, report: Report): string[] {
  const url = originFrom(text, at, report)
  if (url === undefined) return []
  if (url.protocol === 'https:' || isPlainUpstream) return [originOf(url)]
  report(at, 'must be https://', 'http:// token servers are for registries whose upstream is http:// too')
  return []
}

function originFrom(text: string, at: string, report: Report): URL | undefined {
  try {
    return parseOrigin(text)
  } catch (thrown) {
    if (!(thrown instanceof RegcreddError)) throw thrown
    report(at, 'must be `https://host[:port]` and nothing more', 'no user, path, query or fragment')
    return undefined
  }
}

function checkTls(entry: RegistryEntry, isPlain: boolean, at: string, report: Report): void {
  if (entry.serverName !== undefined && !DNS_NAME.test(entry.serverName)) {
    report(`${at}.serverName`, 'must be a DNS name', 'without port; a certificate for an address needs no serverName')
  }
  for (const key of ['serverName', 'caFile', 'clientCertFile', 'clientKeyFile'] as const) {
    if (isPlain && entry[key] !== undefined) report(`${at}.${key}`, 'has no meaning where `upstream` is http://')
  }
}

function checkRepositories(entry: RegistryEntry, path: string, at: string, report: Report): void {
  for (const [index, pattern] of (entry.repositories ?? []).entries()) {
    if (PATTERN.test(pattern)) continue
    report(
      `${at}.repositories[${index}]`,
      'is no repository pattern',
      'lower case, such as `team/*` or `team/**`, without host and tag',
    )
  }
  const { canary, repositories } = entry
  if (canary === undefined) return
  const isBelow = path === '' || canary === path || canary.startsWith(`${path}/`)
  if (!isRepository(canary)) report(`${at}.canary`, 'must be the name of a repository', 'without host and tag')
  else if (!isBelow || (repositories !== undefined && !matchesPattern(canary, repositories))) {
    report(`${at}.canary`, 'must be a repository that this entry lets through')
  }
}
