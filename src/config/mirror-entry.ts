import type { z } from 'zod'
import type { Report } from './problem.ts'
import { resolveName } from './registry-entry.ts'
import type { mirrorEntry } from './schema.ts'

export type MirrorEntry = z.output<typeof mirrorEntry>

/** Names of objects in Kubernetes: RFC 1123 labels for namespaces, subdomains for Secrets. */
const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/
const SUBDOMAIN = /^(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/

/** Checks the entries of `kubernetes.mirrors` and makes their registries canonical; `listed` are the names of the registries, `undefined` while some of them are bad. */
export function resolveMirrors(
  entries: { entry: MirrorEntry; at: string }[],
  listed: Set<string> | undefined,
  report: Report,
): MirrorEntry[] {
  const claims = new Map<string, string>()
  return entries.map(({ entry, at }) => {
    if (!SUBDOMAIN.test(entry.secretName)) {
      report(`${at}.secretName`, 'is no name of a Secret', 'lower case letters, digits, hyphens and dots, at most 253')
    }
    for (const [index, namespace] of entry.namespaces.entries()) {
      const place = `${at}.namespaces[${index}]`
      if (!LABEL.test(namespace)) {
        report(place, 'is no name of a namespace', 'lower case letters, digits and hyphens, at most 63')
        continue
      }
      const claim = `${namespace}/${entry.secretName}`
      const earlier = claims.get(claim)
      if (earlier === undefined) claims.set(claim, place)
      else report(place, `names the same Secret as ${earlier}`, 'put all registries of one Secret into one mirror')
    }
    return { ...entry, registries: resolveMirrored(entry.registries, `${at}.registries`, listed, report) }
  })
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
