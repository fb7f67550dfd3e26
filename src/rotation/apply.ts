import { RegcreddError } from '../errors.ts'
import { type Credential, type RotationRecord, type Version, versionOf } from '../keychain/credential.ts'
import { journalled } from './act-journal.ts'
import type { JournalRecord } from './journal-line.ts'
import type { View } from './next-move.ts'
import { patiently } from './patience.ts'
import { adopt } from './plan.ts'
import type { Hook, HookEnd, HookInput, Made } from './ports.ts'
import { act, type Run, subjectOf } from './run.ts'

export type HookPast = Pick<View, 'runs' | 'last' | 'isInFlight'>

/** What the journal tells of the hook's runs. A run without a result was lost in a crash: what it sent may still take effect. */
export function pastOf(records: JournalRecord[]): HookPast {
  const past: HookPast = { runs: 0, last: undefined, isInFlight: false }
  for (const { what, act, outcome } of records) {
    if (act !== 'apply') continue
    if (what === 'intent') Object.assign(past, { runs: past.runs + 1, last: 'lost', isInFlight: true })
    if (what === 'result') Object.assign(past, afterRun(past, outcome))
  }
  return past
}

function afterRun({ runs }: HookPast, outcome: string | undefined): HookPast {
  if (outcome === 'ok') return { runs, last: 'done', isInFlight: false }
  if (outcome === 'retry') return { runs: runs - 1, last: 'retry', isInFlight: false }
  if (outcome === 'refused') return { runs, last: 'refused', isInFlight: false }
  return { runs, last: 'unknown', isInFlight: outcome === 'unknown, in flight' }
}

/**
 * Runs the registry's hook once, and stores the secret that the registry has made itself, if it has; `onEnd` is told before anything else can fail, for a
 * hook that has run must not be run again over a full disk. Throws what the stores throw.
 */
export async function applyOnce(
  run: Run,
  hook: Hook,
  { stored, record }: { stored: Credential; record: RotationRecord },
  onEnd: (end: HookEnd) => void,
): Promise<void> {
  const { parts, signal } = run
  const pending = stored.versions.find(({ id }) => id === record.version)
  const current = versionOf(stored, 'current')
  if (pending === undefined || current === undefined) {
    throw new RegcreddError('KEYCHAIN_CORRUPT', 'a staged version is missing')
  }
  const input = inputOf(run, pending, current)
  const runAndAdopt = async () => {
    const end = await parts.runHook(hook, input, signal)
    // Kept trying: after this the secret is nowhere but at the registry.
    if (end.outcome === 'done' && end.made !== undefined) await adoptMade(run, end.made)
    onEnd(end)
    return end
  }
  await act(
    run,
    { action: 'rotation.apply', detail: { version: pending.id } },
    () => journalled(parts, 'apply', subjectOf(run), runAndAdopt, (end) => ({ outcome: wordOf(end) })),
    (end) => ({ hook: wordOf(end) }),
  )
}

async function adoptMade(run: Run, made: Made): Promise<void> {
  const { parts, key, id, signal } = run
  const store = () => parts.keychain.update(key, (before) => adopt(before, id, made, parts.now()))
  const adopted = await patiently(parts, key, id, () => journalled(parts, 'adopt', subjectOf(run), store), signal)
  // It is lost with this process, so the hook must be known as one to be run again.
  if (adopted === undefined) throw new RegcreddError('SHUTTING_DOWN', 'what the hook has made could not be stored')
}

function inputOf({ key, id }: Run, pending: Version, current: Version): HookInput {
  return {
    action: 'apply',
    registry: key,
    rotation: id,
    username: pending.username,
    email: pending.email,
    oldUsername: current.username,
    oldSecret: current.secret,
    newSecret: pending.secret,
    madeBy: undefined,
  }
}

function wordOf(end: HookEnd): string {
  if (end.outcome === 'done') return 'ok'
  if (end.outcome !== 'unknown') return end.outcome
  return end.isInFlight ? 'unknown, in flight' : 'unknown'
}
