import { Counter, Gauge, type Registry } from 'prom-client'

/** What the last look at the Secrets and at the watches found. */
export type MirrorSight = {
  outcomes: string[]
  isStale: boolean
  /** `heardAtMs` of a watch that never was heard of is the time of the start. Unix time. */
  watches: { kind: string; name: string; heardAtMs: number }[]
}

export type MirrorMetrics = {
  /** The outcomes of all Secrets after a mirror run, and whether some may not hold what the keychain holds. */
  mirrorResult: (sight: MirrorSight) => void
  /** A Secret or ServiceAccount had been changed by somebody, and was repaired. */
  mirrorDrifted: () => void
}

const MAX_OUTCOMES = 20

/** The metrics of the mirror. Namespaces are never a label: a cluster has thousands. */
export function createMirrorMetrics(register: Registry): MirrorMetrics {
  const registers = [register]
  const secrets = new Gauge({
    name: 'regcredd_mirror_secrets',
    help: 'Secrets by what the last mirror run made of them.',
    labelNames: ['outcome'],
    registers,
  })
  const stale = new Gauge({
    name: 'regcredd_mirror_stale',
    help: '1 while some Secret may not hold what the keychain holds.',
    registers,
  })
  const drift = new Counter({
    name: 'regcredd_mirror_drift_total',
    help: 'Secrets and ServiceAccounts that somebody had changed and that were repaired.',
    registers,
  })
  const heard = new Gauge({
    name: 'regcredd_mirror_watch_heard_timestamp_seconds',
    help: 'When a watch on the cluster was last heard of, in Unix time; it is sent a sign each minute.',
    labelNames: ['kind', 'name'],
    registers,
  })
  return {
    mirrorResult: ({ outcomes, isStale, watches }) => {
      const counts = new Map<string, number>()
      for (const outcome of outcomes) counts.set(outcome, (counts.get(outcome) ?? 0) + 1)
      secrets.reset()
      for (const [outcome, count] of [...counts].slice(0, MAX_OUTCOMES)) secrets.set({ outcome }, count)
      stale.set(isStale ? 1 : 0)
      heard.reset()
      for (const { kind, name, heardAtMs } of watches) heard.set({ kind, name }, heardAtMs / 1000)
    },
    mirrorDrifted: () => drift.inc(),
  }
}
