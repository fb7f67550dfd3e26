import { canonicalName } from '../registry/host.ts'
import type { SecretName } from './secrets.ts'
import { type MirrorEntry, namedIn, selects } from './selection.ts'

/** One Secret, the credentials that it is to hold as canonical keys, and the ServiceAccounts that are to name it. */
export type Target = SecretName & { registries: string[]; serviceAccounts: string[]; adopt: boolean }

/** Namespaces that the configuration names in full, each once. */
export function namedNamespaces(mirrors: MirrorEntry[]): string[] {
  return [...new Set(mirrors.flatMap(namedIn))]
}

/**
 * The Secrets of one namespace, each once: a Secret that several mirrors name holds the registries of all of them, since two
 * writers with different contents would fight. `labels` is undefined for a namespace that is not there or not known: only
 * mirrors that name it in full count then. Throws NAMESPACE_INVALID or NAME_INVALID for a registry that is no host.
 */
export function targetsIn(
  mirrors: MirrorEntry[],
  namespace: string,
  labels: Record<string, string> | undefined,
): Target[] {
  const targets = new Map<string, Target>()
  for (const mirror of mirrors) {
    const isWanted = labels === undefined ? namedIn(mirror).includes(namespace) : selects(mirror, namespace, labels)
    if (!isWanted) continue
    const { secretName } = mirror
    const before = targets.get(secretName)
    const registries = mirror.registries.map((registry) => canonicalName(registry).name)
    targets.set(secretName, {
      namespace,
      secretName,
      registries: united(before?.registries, registries),
      serviceAccounts: united(before?.serviceAccounts, mirror.serviceAccounts),
      adopt: mirror.adopt || before?.adopt === true,
    })
  }
  return [...targets.values()]
}

export function isSameTarget(a: Target, b: Target): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}

function united(before: string[] | undefined, more: string[]): string[] {
  return [...new Set([...(before ?? []), ...more])].sort()
}
