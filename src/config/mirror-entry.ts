import type { z } from 'zod'
import type { mirrorEntry } from './kubernetes-section.ts'
import { checkSelectorLabels } from './label.ts'
import { NAMESPACE, SUBDOMAIN } from './names.ts'
import type { Report } from './problem.ts'
import { resolveName } from './registry-entry.ts'

export type MirrorEntry = z.output<typeof mirrorEntry>

const PATTERN = /^(?=.{1,63}$)[a-z0-9*-]+$/

const HINTS = {
  object: 'lower case letters, digits, hyphens and dots, at most 253',
  namespace: 'lower case letters, digits and hyphens, at most 63',
  pattern: 'lower case letters, digits, hyphens and `*`, at most 63',
}

/** Checks the entries of `kubernetes.mirrors` and makes their registries canonical; `listed` are the names of the registries, `undefined` while some of them are bad. */
export function resolveMirrors(
  entries: { entry: MirrorEntry; at: string; isWhole: boolean }[],
  listed: Set<string> | undefined,
  report: Report,
): MirrorEntry[] {
  const claims = new Map<string, string>()
  return entries.map(({ entry, at, isWhole }) => {
    if (isWhole && entry.namespaces === undefined && entry.namespaceSelector === undefined) {
      report(at, 'names no namespaces', '`namespaces`, `namespaceSelector` or both')
    }
    checkSecretName(entry.secretName, `${at}.secretName`, report)
    for (const [index, name] of entry.serviceAccounts.entries()) {
      if (!SUBDOMAIN.test(name))
        report(`${at}.serviceAccounts[${index}]`, 'is no name of a ServiceAccount', HINTS.object)
    }
    checkNamespaces(entry, at, claims, report)
    if (entry.namespaceSelector !== undefined) {
      checkSelectorLabels(entry.namespaceSelector, `${at}.namespaceSelector`, report)
    }
    return { ...entry, registries: resolveMirrored(entry.registries, `${at}.registries`, listed, report) }
  })
}

export function checkSecretName(name: string, at: string, report: Report): void {
  if (!SUBDOMAIN.test(name)) report(at, 'is no name of a Secret', HINTS.object)
}

function checkNamespaces(entry: MirrorEntry, at: string, claims: Map<string, string>, report: Report): void {
  for (const [index, name] of entry.exceptNamespaces.entries()) {
    if (!PATTERN.test(name)) report(`${at}.exceptNamespaces[${index}]`, 'is no pattern of namespaces', HINTS.pattern)
  }
  for (const [index, name] of (entry.namespaces ?? []).entries()) {
    const place = `${at}.namespaces[${index}]`
    if (name.includes('*')) {
      if (!PATTERN.test(name)) report(place, 'is no pattern of namespaces', HINTS.pattern)
      continue
    }
    if (!NAMESPACE.test(name)) {
      report(place, 'is no name of a namespace', HINTS.namespace)
      continue
    }
    const claim = `${name}/${entry.secretName}`
    const earlier = claims.get(claim)
    if (earlier === undefined) claims.set(claim, place)
    else report(place, `names the same Secret as ${earlier}`, 'put all registries of one Secret into one mirror')
  }
}

function resolveMirrored(texts: string[], at: string, listed: Set<string> | undefined, report: Report): string[] {
  const names = new Set<string>()
  for (const [index, text] of texts.entries()) {
    const place = `${at}[${index}]`
    const name = resolveName(text, place, report)?.name
    if (name === undefined) continue
    if (names.has(name)) report(place, `names ${name} for the second time`)
    if (listed !== undefined && !listed.has(name)) {
      report(
        place,
        `${name} is not listed in registries`,
        listed.size === 0 ? undefined : `listed: ${[...listed].join(', ')}`,
      )
    }
    names.add(name)
  }
  return [...names]
}
