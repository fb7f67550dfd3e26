import type { Config } from '../config/config.ts'
import { canonicalName } from '../registry/host.ts'
import type { SecretName } from './cluster.ts'

/** One Secret and the credentials that it is to hold, as canonical keys. */
export type Target = SecretName & { registries: string[] }

/**
 * The Secrets of the configuration, each once: a Secret that several mirrors name holds the registries of all of them, since two
 * writers with different contents would fight. Throws NAMESPACE_INVALID or NAME_INVALID for a registry that is no host.
 */
export function targetsOf(mirrors: NonNullable<Config['kubernetes']>['mirrors']): Target[] {
  const targets = new Map<string, Target>()
  for (const { registries, namespaces, secretName } of mirrors) {
    const names = registries.map((registry) => canonicalName(registry).name)
    for (const namespace of namespaces) {
      const id = `${namespace}/${secretName}`
      const before = targets.get(id)?.registries ?? []
      targets.set(id, { namespace, secretName, registries: [...new Set([...before, ...names])].sort() })
    }
  }
  return [...targets.values()]
}
