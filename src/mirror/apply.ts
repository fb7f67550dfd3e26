import type { MirrorResult } from '../rotation/ports.ts'
import { bringAccounts, withdraw } from './apply-accounts.ts'
import { type Applying, NOTHING_READ, patiently, type Read } from './applying.ts'
import type { Answer, Fault } from './fault.ts'
import { claimOn, isSurelyOurs, parseNames, SERVICE_ACCOUNTS_ANNOTATION } from './ownership.ts'
import { type Found, plan, type Step, type Wanted } from './plan.ts'
import type { SecretName } from './secrets.ts'
import type { Target } from './targets.ts'

/** What became of one Secret. `fault` tells why a call failed, and is undefined where all calls went well. */
export type Applied = {
  result: MirrorResult
  fault: Fault | undefined
  /** Somebody had changed what we wrote before. */
  drift: boolean
  /** Versions of the Secret (key `''`) and of the ServiceAccounts as they were left. */
  versions: Map<string, string>
}

/**
 * Brings one Secret to what is wanted, and the ServiceAccounts to naming it: reads, decides, writes; begins again when somebody
 * else wrote in between. Bounded in attempts; throws nothing. Never deletes: a Secret that is made anew has another uid, and
 * KEP-2535 ties running images to it.
 */
export async function applyWanted(
  applying: Applying,
  target: Target,
  wanted: Wanted,
  read: Read = NOTHING_READ,
): Promise<Applied> {
  const { namespace, secretName } = target
  const name = { namespace, secretName }
  const written = await patiently(applying, (attempt) =>
    attemptOnce(applying, target, wanted, attempt === 1 ? read.secret : undefined),
  )
  if (!written.ok) return failed(name, written.fault)
  const { step, version } = written.value
  const outcome = OUTCOMES[step.do]
  const drift = step.do === 'update' && step.drift
  const versions = new Map(version === undefined ? [] : [['', version]])
  const result = { ...name, outcome, detail: step.detail }
  if (outcome === 'foreign' || outcome === 'failed' || target.serviceAccounts.length === 0) {
    return { result, fault: undefined, drift, versions }
  }
  const accounts = await bringAccounts(applying, target, read, versions)
  const serviceAccounts = accounts.results
  if (accounts.fault === undefined) {
    return { result: { ...result, serviceAccounts }, fault: undefined, drift: drift || accounts.drift, versions }
  }
  const detail = `the Secret holds the credential, but ServiceAccount ${accounts.failed}: ${accounts.fault.detail}`
  return { result: { ...name, outcome: 'failed', detail, serviceAccounts }, fault: accounts.fault, drift, versions }
}

/**
 * Takes away a Secret that nobody wants any more, and first its name from the ServiceAccounts that we gave it to. Only where the
 * Secret says that this very owner made it; anything else is left as it is and reported as `unchanged`.
 */
export async function applyRemoval(applying: Applying, name: SecretName): Promise<Applied> {
  const { cluster, owner, signal } = applying
  const done = await patiently(applying, async (): Promise<Answer<boolean>> => {
    const found = await cluster.read(name, signal)
    if (!found.ok) return found
    if (found.value === undefined) return { ok: true, value: true }
    const { labels, annotations, uid, resourceVersion } = found.value
    if (!isSurelyOurs(labels, annotations, owner)) return { ok: true, value: false }
    for (const account of parseNames(annotations[SERVICE_ACCOUNTS_ANNOTATION])) {
      const withdrawn = await withdraw(applying, { namespace: name.namespace, account }, name.secretName)
      if (!withdrawn.ok) return withdrawn
    }
    const removed = await cluster.remove(name, { uid, resourceVersion }, signal)
    return removed.ok ? { ok: true, value: true } : removed
  })
  if (!done.ok) return failed(name, done.fault)
  const result: MirrorResult = done.value
    ? { ...name, outcome: 'removed', detail: 'no mirror wanted it any more' }
    : { ...name, outcome: 'unchanged', detail: 'not ours any more, and left as it is' }
  return { result, fault: undefined, drift: false, versions: new Map() }
}

/** The result of a Secret that a fault kept us from. */
export function failed(name: SecretName, fault: Fault): Applied {
  const { namespace, secretName } = name
  const result: MirrorResult = { namespace, secretName, outcome: 'failed', detail: fault.detail }
  return { result, fault, drift: false, versions: new Map() }
}

const OUTCOMES = {
  create: 'created',
  update: 'updated',
  unchanged: 'unchanged',
  foreign: 'foreign',
  refuse: 'failed',
} as const satisfies Record<Step['do'], MirrorResult['outcome']>

async function attemptOnce(
  applying: Applying,
  target: Target,
  wanted: Wanted,
  read: { value: Found | undefined } | undefined,
): Promise<Answer<{ step: Step; version: string | undefined }>> {
  const { cluster, owner, signal } = applying
  const found: Answer<Found | undefined> =
    read === undefined ? await cluster.read(target, signal) : { ok: true, value: read.value }
  if (!found.ok) return found
  const still = found.value === undefined ? [] : await withdrawOthers(applying, target, found.value)
  const holder = { owner, adopt: target.adopt, serviceAccounts: [...target.serviceAccounts, ...still] }
  const step = plan(wanted, found.value, holder)
  if (step.do !== 'create' && step.do !== 'update') {
    return { ok: true, value: { step, version: found.value?.resourceVersion } }
  }
  const written =
    step.do === 'create'
      ? await cluster.create(target, step.writing, signal)
      : await cluster.update(target, step.writing, step, signal)
  return written.ok ? { ok: true, value: { step, version: written.value.resourceVersion } } : written
}

/** Takes the Secret's name from ServiceAccounts that are not to have it any more. Gives those where that failed: they stay on record. */
async function withdrawOthers(applying: Applying, target: Target, found: Found): Promise<string[]> {
  if (claimOn(found.labels, found.annotations, applying.owner) !== 'ours') return []
  const recorded = parseNames(found.annotations[SERVICE_ACCOUNTS_ANNOTATION])
  const still: string[] = []
  for (const account of recorded.filter((name) => !target.serviceAccounts.includes(name))) {
    const withdrawn = await withdraw(applying, { namespace: target.namespace, account }, target.secretName)
    if (!withdrawn.ok) still.push(account)
  }
  return still
}
