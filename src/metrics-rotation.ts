import { Gauge, type Registry } from 'prom-client'

export type RotationMetrics = {
  /** Of every listed registry whose credential is known: when its password in force ends, where that is known, and whether a rotation is stuck. */
  credentials: (all: { registry: string; expiresAt: string | undefined; isStuck: boolean }[]) => void
}

export function createRotationMetrics(register: Registry, registryLabel: (name: string) => string): RotationMetrics {
  const registers = [register]
  const expires = new Gauge({
    name: 'regcredd_credential_expires_timestamp_seconds',
    help: 'When the password in force ends at its registry, where that is known.',
    labelNames: ['registry'],
    registers,
  })
  const stuck = new Gauge({
    name: 'regcredd_rotation_stuck',
    help: '1 while a rotation waits for somebody, because the registry accepts no stored version.',
    labelNames: ['registry'],
    registers,
  })
  return {
    credentials(all) {
      expires.reset()
      stuck.reset()
      for (const { registry, expiresAt, isStuck } of all) {
        const labels = { registry: registryLabel(registry) }
        if (expiresAt !== undefined) expires.set(labels, Date.parse(expiresAt) / 1_000)
        stuck.set(labels, isStuck ? 1 : 0)
      }
    },
  }
}
