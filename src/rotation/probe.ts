import { RegcreddError } from '../errors.ts'
import { type Credential, versionOf } from '../keychain/credential.ts'
import { marked } from './points.ts'
import type { Verdict } from './ports.ts'
import type { Run } from './run.ts'

export type Label = 'pending' | 'current' | 'previous'

type Asking = Pick<Run, 'parts' | 'key' | 'id' | 'signal'>

/** What the registry says to one version; `absent` where no version has that label. Never throws. */
export async function tryVersion(
  { parts, key, id, signal }: Asking,
  stored: Credential,
  label: Label,
): Promise<Verdict | { outcome: 'absent' }> {
  const version = versionOf(stored, label)
  if (version === undefined) return { outcome: 'absent' }
  try {
    return await marked(parts.pass, 'try', () => parts.verify(key, version, signal))
  } catch (thrown) {
    // Verify promises not to throw; if it does, that decides nothing about the password.
    parts.onFault(thrown, { key, rotation: id })
    return { outcome: 'unreachable', detail: 'the check itself failed' }
  }
}

export type Probe = { version: string; label: Label; outcome: Verdict['outcome'] }

/** Tries every stored version, PENDING first, one after the other. */
export async function probeAll(asking: Asking, stored: Credential): Promise<Probe[]> {
  const probes: Probe[] = []
  for (const label of ['pending', 'current', 'previous'] as const) {
    const version = versionOf(stored, label)
    if (version === undefined) continue
    const { outcome } = await tryVersion(asking, stored, label)
    if (outcome === 'absent') throw new RegcreddError('INTERNAL', 'a version went away')
    probes.push({ version: version.id, label, outcome })
  }
  return probes
}

/** `v3 (PENDING) rejected, v2 (CURRENT) accepted`. */
export function describeProbes(probes: Probe[]): string {
  return probes.map(({ version, label, outcome }) => `${version} (${label.toUpperCase()}) ${outcome}`).join(', ')
}
