import type { Config } from '../config/config.ts'
import { meetsSelector } from './labels.ts'

type Kubernetes = NonNullable<Config['kubernetes']>

export type MirrorEntry = Kubernetes['mirrors'][number]

/** Kubernetes' own: a pattern or selector that is too wide shall not reach them. */
const SYSTEM = new Set(['kube-system', 'kube-public', 'kube-node-lease'])

/** Whether the entry is about namespaces that only the cluster can tell: it has a pattern or a selector. */
export function needsWatch({ namespaces, namespaceSelector }: MirrorEntry): boolean {
  return namespaceSelector !== undefined || (namespaces ?? []).some(isPattern)
}

/** Namespaces that the entry names in full, without looking at any cluster. */
export function namedIn({ namespaces, exceptNamespaces, namespaceSelector }: MirrorEntry): string[] {
  if (namespaceSelector !== undefined) return []
  const isExcept = anyOf(exceptNamespaces)
  return (namespaces ?? []).filter((name) => !isPattern(name) && !isExcept(name))
}

/** Names of Secrets that are followed in all namespaces: those that are written, and those that were. */
export function followedSecrets({
  mirrors,
  formerSecretNames,
}: Pick<Kubernetes, 'mirrors' | 'formerSecretNames'>): string[] {
  return [...new Set([...mirrors.map(({ secretName }) => secretName), ...formerSecretNames])]
}

/** Names of ServiceAccounts that are followed in all namespaces. */
export function followedAccounts({ mirrors }: Pick<Kubernetes, 'mirrors'>): string[] {
  return [...new Set(mirrors.flatMap(({ serviceAccounts }) => serviceAccounts))]
}

/** Whether a namespace with these labels gets the Secret of the entry. */
export function selects(entry: MirrorEntry, name: string, labels: Record<string, string>): boolean {
  const { namespaces, exceptNamespaces, namespaceSelector } = entry
  if (anyOf(exceptNamespaces)(name)) return false
  const isNamed = namespaces?.includes(name) === true
  if (!isNamed && SYSTEM.has(name)) return false
  if (!isNamed && namespaces !== undefined && !anyOf(namespaces)(name)) return false
  if (namespaceSelector === undefined) return namespaces !== undefined
  return meetsSelector(namespaceSelector, labels)
}

function isPattern(name: string): boolean {
  return name.includes('*')
}

function anyOf(patterns: string[]): (name: string) => boolean {
  return (name) => patterns.some((pattern) => meetsPattern(pattern.split('*'), name))
}

/** Compared piece by piece, since a regular expression with many stars can be made to take very long. */
function meetsPattern([first = '', ...rest]: string[], name: string): boolean {
  const last = rest.pop()
  if (last === undefined) return name === first
  if (name.length < first.length + last.length || !name.startsWith(first) || !name.endsWith(last)) return false
  const end = name.length - last.length
  let at = first.length
  for (const piece of rest) {
    const found = name.indexOf(piece, at)
    if (found < 0 || found + piece.length > end) return false
    at = found + piece.length
  }
  return true
}
