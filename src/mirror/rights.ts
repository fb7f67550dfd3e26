import type { Config } from '../config/config.ts'
import type { Right } from './review.ts'
import { followedAccounts, followedSecrets, type MirrorEntry, namedIn, needsWatch } from './selection.ts'

/** A right that the configuration needs, and what for. */
export type Needed = {
  right: Right
  purpose: string
  /** Whether it is enough to have it in each namespace, where it is missing for the whole cluster. */
  isPerNamespace: boolean
}

/** Every right that the configuration needs, each once; kubernetes/ has manifests that give them. */
export function rightsOf(config: NonNullable<Config['kubernetes']>): Needed[] {
  const { mirrors } = config
  const isWide = mirrors.some(needsWatch)
  const needed = mirrors.flatMap((mirror) => rightsOfMirror(mirror, isWide))
  if (isWide) {
    needed.push(...following('namespaces', undefined, 'to know the namespaces'))
    needed.push(need(undefined, 'get', 'namespaces', undefined, 'to look again before a Secret is deleted'))
    for (const name of followedSecrets(config)) {
      needed.push(...following('secrets', name, 'to see drift at once, and to read many at a time'))
      needed.push(need(undefined, 'delete', 'secrets', name, 'to clean up what no mirror wants any more', true))
    }
    for (const name of followedAccounts(config)) {
      needed.push(...following('serviceaccounts', name, 'to see new ServiceAccounts at once'))
    }
  }
  return [...new Map(needed.map((item) => [JSON.stringify(item.right), item])).values()]
}

/** What it takes to ask who a caller of the admin API is, and what he may do. */
export const callerRights: Needed[] = [
  need(undefined, 'create', 'tokenreviews', undefined, 'to know who a caller of the admin API is'),
  need(undefined, 'create', 'subjectaccessreviews', undefined, 'to know what he may do'),
]

function rightsOfMirror(mirror: MirrorEntry, isWide: boolean): Needed[] {
  const places = isWide ? [undefined] : namedIn(mirror)
  return places.flatMap((namespace) => [
    need(namespace, 'get', 'secrets', mirror.secretName, 'to compare the Secret', isWide),
    need(namespace, 'patch', 'secrets', mirror.secretName, 'to write it in place', isWide),
    need(namespace, 'create', 'secrets', undefined, 'to make it where it is missing', isWide),
    ...mirror.serviceAccounts.flatMap((account) => [
      need(namespace, 'get', 'serviceaccounts', account, 'to see which pull secrets it names', isWide),
      need(namespace, 'patch', 'serviceaccounts', account, 'to let it name the Secret', isWide),
      ...(account === 'default'
        ? [need(namespace, 'create', 'serviceaccounts', undefined, 'to make `default` before the first pod', isWide)]
        : []),
    ]),
  ])
}

function following(resource: Right['resource'], name: string | undefined, purpose: string): Needed[] {
  return ['list', 'watch'].map((verb) => need(undefined, verb, resource, name, purpose))
}

/** `isPerNamespace` as in what it gives; `namespace` undefined stands for the whole cluster. */
export function need(
  namespace: string | undefined,
  verb: string,
  resource: Right['resource'],
  name: string | undefined,
  purpose: string,
  isPerNamespace = false,
): Needed {
  return { right: { namespace, verb, resource, name }, purpose, isPerNamespace }
}
