import type { MirrorResult } from '../rotation/ports.ts'
import type { Cluster, SecretName } from './cluster.ts'
import { type Answer, type Fault, pauseAfter } from './fault.ts'
import { type Found, plan, type Step, type Wanted } from './plan.ts'
import type { Time } from './time.ts'

/** What became of one Secret. `fault` tells why a call failed, and is undefined where all calls went well. */
export type Applied = { result: MirrorResult; fault: Fault | undefined }

/**
 * Brings one Secret to what is wanted: reads it, decides, writes; begins again when somebody else wrote in between. Bounded in
 * attempts; throws nothing. Never deletes: a Secret that is made anew has another uid, and KEP-2535 ties running images to it.
 */
export async function applyWanted(
  { cluster, time }: { cluster: Cluster; time: Time },
  name: SecretName,
  wanted: Wanted,
  signal: AbortSignal,
): Promise<Applied> {
  for (let attempt = 1; ; attempt += 1) {
    const outcome = await attemptOnce(cluster, name, wanted, signal)
    if (outcome.ok) return { result: { ...name, ...outcome.value }, fault: undefined }
    const pauseMs = pauseAfter(outcome.fault, attempt, time.random())
    if (pauseMs === undefined || !(await paused(time, pauseMs, signal))) return failed(name, outcome.fault)
  }
}

/** The result of a Secret that a fault kept us from. */
export function failed(name: SecretName, fault: Fault): Applied {
  return { result: { ...name, outcome: 'failed', detail: fault.detail }, fault }
}

type Outcome = Pick<MirrorResult, 'outcome' | 'detail'>

async function attemptOnce(
  cluster: Cluster,
  name: SecretName,
  wanted: Wanted,
  signal: AbortSignal,
): Promise<Answer<Outcome>> {
  const found: Answer<Found | undefined> = await cluster.read(name, signal)
  if (!found.ok) return found
  const step = plan(wanted, found.value)
  const written = await write(cluster, name, step, signal)
  return written.ok ? { ok: true, value: { outcome: OUTCOMES[step.do], detail: step.detail } } : written
}

const OUTCOMES = {
  create: 'created',
  update: 'updated',
  unchanged: 'unchanged',
  foreign: 'foreign',
  refuse: 'failed',
} as const satisfies Record<Step['do'], MirrorResult['outcome']>

async function write(cluster: Cluster, name: SecretName, step: Step, signal: AbortSignal): Promise<Answer<void>> {
  if (step.do === 'create') return cluster.create(name, step.writing, signal)
  if (step.do === 'update') return cluster.update(name, step.writing, step, signal)
  return { ok: true, value: undefined }
}

/** False when the signal ended the pause. */
async function paused(time: Time, durationMs: number, signal: AbortSignal): Promise<boolean> {
  await time.sleep(durationMs, signal).catch(() => undefined)
  return !signal.aborted
}
