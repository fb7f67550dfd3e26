import type { AccountResult } from '../rotation/ports.ts'
import type { AccountName } from './accounts.ts'
import { type Applying, patiently, type Read } from './applying.ts'
import type { Answer, Fault } from './fault.ts'
import { ADDED_ANNOTATION, parseNames } from './ownership.ts'
import { type AccountStep, type FoundAccount, planAdd, planRemove } from './service-account.ts'
import type { Target } from './targets.ts'

export type Brought = {
  results: AccountResult[]
  /** The first that failed, and why. */
  failed: string | undefined
  fault: Fault | undefined
  /** Somebody had taken away what we added. */
  drift: boolean
}

/** Lets each ServiceAccount of the target name its Secret; notes the versions in which they were left. Throws nothing. */
export async function bringAccounts(
  applying: Applying,
  { namespace, secretName, serviceAccounts }: Target,
  read: Read,
  versions: Map<string, string>,
): Promise<Brought> {
  const brought: Brought = { results: [], failed: undefined, fault: undefined, drift: false }
  for (const account of serviceAccounts) {
    const name = { namespace, account }
    const done = await patiently(applying, (attempt) =>
      attemptOnce(applying, name, attempt === 1 ? read.account(account) : undefined, (found) =>
        planAdd(account, secretName, found),
      ),
    )
    if (!done.ok) {
      brought.failed ??= account
      brought.fault ??= done.fault
      brought.results.push({ name: account, outcome: 'failed', detail: done.fault.detail })
      continue
    }
    const { step, found, version } = done.value
    if (version !== undefined) versions.set(account, version)
    if (step.do === 'patch' && parseNames(found?.annotations[ADDED_ANNOTATION]).includes(secretName)) {
      brought.drift = true
    }
    brought.results.push({ name: account, outcome: OUTCOMES[step.do], detail: undefined })
  }
  return brought
}

/** Takes the Secret's name away from a ServiceAccount, where we had added it. */
export async function withdraw(applying: Applying, name: AccountName, secretName: string): Promise<Answer<unknown>> {
  return patiently(applying, () => attemptOnce(applying, name, undefined, (found) => planRemove(secretName, found)))
}

const OUTCOMES = {
  create: 'added',
  patch: 'added',
  unchanged: 'unchanged',
  wait: 'absent',
} as const satisfies Record<AccountStep['do'], AccountResult['outcome']>

async function attemptOnce(
  { cluster, signal }: Applying,
  name: AccountName,
  read: { value: FoundAccount | undefined } | undefined,
  decide: (found: FoundAccount | undefined) => AccountStep,
): Promise<Answer<{ step: AccountStep; found: FoundAccount | undefined; version: string | undefined }>> {
  const answer: Answer<FoundAccount | undefined> =
    read === undefined ? await cluster.accounts.read(name, signal) : { ok: true, value: read.value }
  if (!answer.ok) return answer
  const found = answer.value
  const step = decide(found)
  if (step.do !== 'create' && step.do !== 'patch') {
    return { ok: true, value: { step, found, version: found?.resourceVersion } }
  }
  const written =
    step.do === 'create'
      ? await cluster.accounts.create(name, step.writing, signal)
      : await cluster.accounts.patch(name, step.writing, step, signal)
  return written.ok ? { ok: true, value: { step, found, version: written.value.resourceVersion } } : written
}
