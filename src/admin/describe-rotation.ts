import type { z } from 'zod'
import { catalogue } from '../errors.ts'
import type { DryRun } from '../rotation/dry-run.ts'
import type { Rotation } from '../rotation/rotation.ts'
import type { dryRun, rotation } from './answers.ts'

export function describeRotation(found: Rotation): z.infer<typeof rotation> {
  const { key, endedAt, graceEndsAt, rollbackOf, code, note, mirror, ...rest } = found
  return {
    ...rest,
    host: key,
    endedAt: endedAt ?? null,
    graceEndsAt: graceEndsAt ?? null,
    rollbackOf: rollbackOf ?? null,
    code: code ?? null,
    note: note ?? null,
    mirror: mirror.map((result) => ({ ...result, detail: result.detail ?? null })),
  }
}

export function describeDryRun(found: DryRun): z.infer<typeof dryRun> {
  const { key, refusals, current, forgotten, hook, canary, pulls, kubernetes, ...rest } = found
  return {
    dryRun: true,
    ...rest,
    host: key,
    refusals: refusals.map(({ code, detail }) => ({ code, detail: detail ?? catalogue[code].message })),
    current: current === undefined ? null : { ...current, detail: current.detail ?? null },
    forgotten: forgotten ?? null,
    hook: hook ?? null,
    canary: canary ?? null,
    pulls: pulls ?? null,
    kubernetes: kubernetes ?? null,
  }
}
